//! The instruction sets of this processor against each other: the whole model, forward and backward.

use crate::base::Seed;
use crate::lm::layout::Layout;
use crate::lm::lora::{Adapter, LoraOptions, Target};
use crate::lm::native::buffer::Buffer;
use crate::lm::native::head::Upstream;
use crate::lm::native::lanes::InstructionSet;
use crate::lm::native::pass::Pass;
use crate::lm::native::shape::Plan;
use crate::lm::native::threads::Threads;
use crate::lm::native::weights::Parameters;
use crate::lm::train::PromptGroup;
use crate::lm::{Config, Family, Weights};

fn config(family: Family) -> Config {
    Config {
        family,
        hidden_size: 40,
        intermediate_size: 72,
        num_hidden_layers: 2,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        head_dim: 10,
        vocab_size: 1001,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        max_position_embeddings: 512,
        tie_word_embeddings: true,
        bos_token_id: None,
        eos_token_ids: vec![],
    }
}

/// An adapter of every map, in which nothing is zero.
fn adapter(config: &Config) -> Adapter {
    let options = LoraOptions { rank: 3, targets: Target::ALL.to_vec(), ..LoraOptions::default() };
    let mut adapter = Adapter::new(config, &options, Seed(6)).unwrap();
    for parameter in &mut adapter.parameters {
        parameter.data.iter_mut().enumerate().for_each(|(index, value)| *value += (index as f32).sin() * 0.1);
    }
    adapter
}

/// The bits of log-probabilities, entropies and gradients.
fn run(family: Family, adapted: bool, set: InstructionSet) -> Vec<u32> {
    let config = config(family);
    let mut weights = Weights::random(&config, Seed(5));
    weights.parameters.iter_mut().flat_map(|parameter| &mut parameter.data).for_each(|value| *value *= 3.0);
    let adapter = adapted.then(|| adapter(&config));
    let trained = adapter.as_ref().map_or(&weights.parameters, |adapter| &adapter.parameters);
    let parameters = Parameters { weights: &weights, adapter: adapter.as_ref() };
    let plan = Plan::new(&config, parameters).unwrap();
    let tokens = |from: u32, count: u32| (from..from + count).map(|token| token * 37 % 1001).collect();
    let groups = [
        PromptGroup { prompt: tokens(1, 50), completions: vec![tokens(9, 20), tokens(4, 7)] },
        PromptGroup { prompt: tokens(3, 5), completions: vec![tokens(2, 33)] },
    ];
    let layout = Layout::new(&groups, 0, 1001, 512).unwrap();
    let threads = Threads::with(set);
    let mut pass = Pass::new(0.8);
    pass.forward(threads, &plan, parameters, &layout, true);
    let log_probs = pass.log_probs()[..layout.targets.len()].to_vec();
    let entropies = pass.entropies()[..layout.head_rows.len()].to_vec();
    let upstream: Vec<f32> = (0..layout.targets.len()).map(|index| (index as f32 * 0.7).sin()).collect();
    let mut gradients: Vec<Buffer> = trained.iter().map(|parameter| Buffer::zeros(parameter.data.len())).collect();
    let upstream = Upstream { log_probs: &upstream, entropies: Some(&upstream) };
    pass.backward(threads, &plan, parameters, &layout, upstream, &mut gradients);
    let gradients = gradients.iter().flat_map(|gradient| gradient.iter());
    log_probs.iter().chain(&entropies).chain(gradients).map(|value| value.to_bits()).collect()
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    let sets = InstructionSet::available();
    assert!(sets.contains(&InstructionSet::Portable) && sets.contains(&InstructionSet::detect()));
    for (family, adapted) in Family::ALL.into_iter().flat_map(|family| [(family, false), (family, true)]) {
        let expected = run(family, adapted, InstructionSet::Portable);
        assert!(expected.iter().all(|bits| f32::from_bits(*bits).is_finite()));
        for set in &sets {
            assert!(run(family, adapted, *set) == expected, "{family:?}, {adapted}: {set:?} differs from plain Rust");
        }
    }
}
