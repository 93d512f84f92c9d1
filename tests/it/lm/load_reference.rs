//! The reference path against PyTorch, finite differences and candle-transformers.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use candle_transformers::models::llama;
use toolexpander::{
    base::Seed,
    lm::{Config, LanguageModel, Llama3RopeScaling, LmError, Reference, Weights},
};

use super::load_fixtures::{load, max_difference, oracle, tensor, tiny_config};

fn reference(model: &LanguageModel, dtype: DType) -> Reference {
    Reference::new(&model.config, &model.weights, &Device::Cpu, dtype).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// - Σ weights · log-probabilities.
fn loss(reference: &Reference, prompt: &[u32], completion: &[u32], weights: &[f64]) -> Tensor {
    let log_probs = reference.log_probs(prompt, completion).unwrap();
    let weights = Tensor::new(weights, &Device::Cpu).unwrap().to_dtype(log_probs.dtype()).unwrap();
    (log_probs * weights).unwrap().sum_all().unwrap().neg().unwrap()
}

/// Weights far enough from a normal initialisation's near-uniform output that every term matters.
pub fn lively(config: &Config, seed: u64) -> Weights {
    let mut weights = Weights::random(config, Seed(seed));
    for parameter in &mut weights.parameters {
        if !parameter.name.ends_with("norm.weight") {
            parameter.data.iter_mut().for_each(|value| *value *= 12.0);
        }
    }
    weights
}

#[test]
fn logits_equal_transformers() {
    let oracle = oracle();
    for (name, file, tolerance) in
        [("tied", "tied", 1e-5), ("sharded", "sharded", 1e-5)].map(|(name, file, tolerance)| (name, file, tolerance))
    {
        let model = load(file);
        let expected = tensor(&format!("{name}.logits"));
        for dtype in [DType::F64, DType::F32] {
            let found = values(&reference(&model, dtype).logits(&oracle.tokens()).unwrap());
            let difference = max_difference(&found, &expected);
            assert!(difference < tolerance, "{name} in {dtype:?}: {difference}");
        }
    }
}

#[test]
fn greedy_continuations_equal_transformers() {
    let oracle = oracle();
    for (name, expected) in [("tied", &oracle.tied_greedy), ("sharded", &oracle.sharded_greedy)] {
        let reference = reference(&load(name), DType::F32);
        assert_eq!(greedy(&reference, &oracle.prompt, expected.len()), *expected, "{name}");
    }
}

pub fn greedy(reference: &Reference, prompt: &[u32], count: usize) -> Vec<u32> {
    let mut tokens = prompt.to_vec();
    for _ in 0..count {
        let logits = reference.logits(&tokens).unwrap();
        let last = logits.get(tokens.len() - 1).unwrap();
        tokens.push(last.argmax(0).unwrap().to_scalar::<u32>().unwrap());
    }
    tokens.split_off(prompt.len())
}

#[test]
fn log_probs_and_gradients_equal_pytorch() {
    let oracle = oracle();
    let model = load("tied");
    for (dtype, tolerance) in [(DType::F64, 1e-6), (DType::F32, 2e-5)] {
        let reference = reference(&model, dtype);
        let log_probs = values(&reference.log_probs(&oracle.prompt, &oracle.completion).unwrap());
        assert!(max_difference(&log_probs, &tensor("tied.log_probs")) < 1e-5);
        let loss = loss(&reference, &oracle.prompt, &oracle.completion, &oracle.weights);
        let gradients = reference.gradients(&loss).unwrap();
        assert_eq!(gradients.len(), Weights::layout(&model.config).len());
        for (name, gradient) in gradients {
            let expected = tensor(&format!("tied.gradients.{name}"));
            let scale = expected.iter().map(|value| f64::from(value.abs())).fold(1.0, f64::max);
            let difference = max_difference(&values(&gradient), &expected) / scale;
            assert!(difference < tolerance, "{name} in {dtype:?}: {difference}");
        }
    }
}

#[test]
fn every_parameter_gets_a_gradient() {
    for tie_word_embeddings in [false, true] {
        let config = Config { tie_word_embeddings, ..tiny_config() };
        let reference = Reference::new(&config, &lively(&config, 1), &Device::Cpu, DType::F32).unwrap();
        let gradients = reference.gradients(&loss(&reference, &[1, 2, 3], &[4, 5], &[1.0, -0.5])).unwrap();
        assert_eq!(gradients.len(), if tie_word_embeddings { 20 } else { 21 });
        for (name, gradient) in gradients {
            let largest = values(&gradient).into_iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            assert!(largest > 1e-6, "{name}: {largest}");
        }
    }
}

#[test]
fn a_cut_graph_is_reported() {
    let config = tiny_config();
    let reference = Reference::new(&config, &lively(&config, 1), &Device::Cpu, DType::F32).unwrap();
    let loss = loss(&reference, &[1, 2, 3], &[4, 5], &[1.0, -0.5]).detach();
    assert!(matches!(reference.gradients(&loss), Err(LmError::NoGradient { .. })));
}

/// Central differences in f64: (L(w + h) - L(w - h)) / 2h, for some elements of every parameter.
#[test]
fn gradients_equal_finite_differences() {
    let scaling = Llama3RopeScaling {
        factor: 4.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 16,
    };
    let config = Config { rope_scaling: Some(scaling), ..tiny_config() };
    let reference = Reference::new(&config, &lively(&config, 2), &Device::Cpu, DType::F64).unwrap();
    let loss = || loss(&reference, &[7, 1, 30, 7], &[8, 39, 2], &[0.7, -1.1, 0.4]);
    let gradients = reference.gradients(&loss()).unwrap();
    let step = 1e-5;
    for (name, variable) in reference.variables() {
        let original = variable.as_tensor().copy().unwrap();
        let shape = original.shape().clone();
        let elements = values(&original);
        let analytic = values(&gradients[name]);
        // The element with the largest gradient, and a few wherever they fall.
        let largest = (0..analytic.len()).max_by(|a, b| analytic[*a].abs().total_cmp(&analytic[*b].abs())).unwrap();
        for index in [largest, 0, elements.len() / 3, elements.len() - 1] {
            let at = |offset: f64| {
                let mut moved = elements.clone();
                moved[index] += offset;
                variable.set(&Tensor::from_vec(moved, shape.clone(), &Device::Cpu).unwrap()).unwrap();
                loss().to_scalar::<f64>().unwrap()
            };
            let numeric = (at(step) - at(-step)) / (2.0 * step);
            let difference = (numeric - analytic[index]).abs() / (1.0 + numeric.abs());
            assert!(difference < 1e-7, "{name}[{index}]: {numeric} by differences, {} found", analytic[index]);
        }
        variable.set(&original).unwrap();
    }
}

#[test]
fn logits_equal_candle_transformers() {
    for (tie_word_embeddings, rope_scaling) in [
        (false, None),
        (
            true,
            Some(Llama3RopeScaling {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 16,
            }),
        ),
    ] {
        let config = Config { tie_word_embeddings, rope_scaling, ..tiny_config() };
        let weights = lively(&config, 3);
        let tokens: Vec<u32> = (0..20).map(|index| index * 7 % 40).collect();
        let ours = Reference::new(&config, &weights, &Device::Cpu, DType::F32).unwrap().logits(&tokens).unwrap();
        let theirs = candle_llama(&config, &weights, &tokens);
        for (position, theirs) in theirs.iter().enumerate() {
            let difference = max_difference(&values(&ours.get(position).unwrap()), theirs);
            assert!(difference < 1e-5, "position {position}: {difference}");
        }
    }
}

/// candle-transformers' logits after each token.
fn candle_llama(config: &Config, weights: &Weights, tokens: &[u32]) -> Vec<Vec<f32>> {
    let rope_scaling = config.rope_scaling.map(|scaling| llama::Llama3RopeConfig {
        factor: scaling.factor as f32,
        low_freq_factor: scaling.low_freq_factor as f32,
        high_freq_factor: scaling.high_freq_factor as f32,
        original_max_position_embeddings: scaling.original_max_position_embeddings,
        rope_type: llama::Llama3RopeType::Llama3,
    });
    let theirs = llama::Config {
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        vocab_size: config.vocab_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads,
        use_flash_attn: false,
        rms_norm_eps: config.rms_norm_eps,
        rope_theta: config.rope_theta as f32,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling,
        max_position_embeddings: config.max_position_embeddings,
        tie_word_embeddings: config.tie_word_embeddings,
    };
    let tensors: HashMap<String, Tensor> = weights
        .parameters
        .iter()
        .map(|parameter| {
            let tensor = Tensor::from_slice(&parameter.data, parameter.shape.as_slice(), &Device::Cpu).unwrap();
            (parameter.name.clone(), Var::from_tensor(&tensor).unwrap().as_tensor().clone())
        })
        .collect();
    let model = llama::Llama::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &theirs).unwrap();
    (1..=tokens.len())
        .map(|length| {
            let mut cache = llama::Cache::new(false, DType::F32, &theirs, &Device::Cpu).unwrap();
            let input = Tensor::new(&tokens[..length], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            model.forward(&input, 0, &mut cache).unwrap().squeeze(0).unwrap().to_vec1().unwrap()
        })
        .collect()
}

#[test]
fn rotary_frequencies_equal_transformers() {
    let oracle = oracle();
    let found = load("sharded").config.inverse_frequencies();
    assert_eq!(found.len(), oracle.sharded_frequencies.len());
    for (found, expected) in found.iter().zip(&oracle.sharded_frequencies) {
        assert!((found - expected).abs() < 1e-6 * expected, "{found} {expected}");
    }
    // One of each kind: kept, between, divided by 8.
    let plain = Config { rope_scaling: None, ..load("sharded").config }.inverse_frequencies();
    let ratios: Vec<f64> = plain.iter().zip(&found).map(|(plain, found)| plain / found).collect();
    assert!(ratios.iter().any(|ratio| (ratio - 1.0).abs() < 1e-9), "{ratios:?}");
    assert!(ratios.iter().any(|ratio| (ratio - 8.0).abs() < 1e-9), "{ratios:?}");
}

#[test]
fn requests_out_of_bounds_are_refused() {
    let config = tiny_config();
    let reference = Reference::new(&config, &lively(&config, 1), &Device::Cpu, DType::F32).unwrap();
    assert!(matches!(reference.logits(&[]), Err(LmError::Request(_))));
    let error = reference.logits(&[1, 40]).unwrap_err().to_string();
    assert_eq!(error, "token 40 at position 1 is outside the vocabulary of 40 tokens");
    assert!(matches!(reference.logits(&[1; 33]), Err(LmError::TooLong { tokens: 33, limit: 32, .. })));
    assert!(matches!(reference.log_probs(&[], &[1]), Err(LmError::Request(_))));
}
