//! The native engine's forward and backward against the candle reference, repeated prompts and finite differences.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use candle_core::{DType, Device, Tensor};
use rand::Rng;
use toolexpander::base::Seed;
use toolexpander::lm::train::{AdamW, PromptGroup, TokenGradients, TokenScores, Trainer};
use toolexpander::lm::{Config, Family, LanguageModel, LmError, Reference, Tokenizer, Weights};

/// A small model: odd sizes, so that every tail of every kernel is used.
pub(super) fn config(tied: bool) -> Config {
    Config {
        family: Family::Llama,
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
        tie_word_embeddings: tied,
        bos_token_id: None,
        eos_token_ids: vec![],
    }
}

/// One of every kind of model.
pub(super) fn configs() -> [Config; 4] {
    [
        config(true),
        config(false),
        Config { family: Family::Qwen2, ..config(true) },
        Config { family: Family::Qwen3, ..config(false) },
    ]
}

/// Random weights whose norms are not all one.
pub(super) fn model(config: &Config, seed: u64) -> LanguageModel {
    let mut weights = Weights::random(config, Seed(seed));
    let mut rng = Seed(seed).rng("test weights");
    for parameter in &mut weights.parameters {
        let norm = parameter.shape.len() == 1;
        for value in &mut parameter.data {
            *value = if norm { 1.0 + rng.random_range(-0.3..0.3) } else { *value * 3.0 };
        }
    }
    let tokenizer = Tokenizer::train_bpe(["to be or not to be"], 262, &[]).unwrap();
    LanguageModel::new(config.clone(), weights, tokenizer).unwrap()
}

/// Groups of the given prompt and completion lengths, with random tokens.
pub(super) fn groups(sizes: &[(usize, &[usize])], vocabulary: u32, seed: u64) -> Vec<PromptGroup> {
    let mut rng = Seed(seed).rng("test groups");
    let mut tokens = |count: usize| -> Vec<u32> { (0..count).map(|_| rng.random_range(0..vocabulary)).collect() };
    sizes
        .iter()
        .map(|(prompt, completions)| PromptGroup {
            prompt: tokens(*prompt),
            completions: completions.iter().map(|length| tokens(*length)).collect(),
        })
        .collect()
}

/// Derivatives of a made-up loss: different for every token, and the same however the completions are grouped.
pub(super) fn slopes(scores: &[TokenScores], entropy: f32) -> Vec<TokenGradients> {
    let (mut first, mut second) = (0.0f32, 0.0f32);
    let wave = |number: &mut f32, scale: f32| {
        *number += 1.0;
        scale * (*number * 0.7).sin()
    };
    let mut slopes = Vec::new();
    for scores in scores {
        let mut slope = TokenGradients::default();
        for values in &scores.log_probs {
            slope.log_probs.push(values.iter().map(|_| wave(&mut first, 1.0)).collect());
            if entropy != 0.0 {
                slope.entropies.push(values.iter().map(|_| wave(&mut second, entropy)).collect());
            }
        }
        slopes.push(slope);
    }
    slopes
}

/// The gradient of everything that is trained, by name.
pub(super) fn gradients(
    model: &LanguageModel,
    groups: &[PromptGroup],
    entropy: f32,
    rows: usize,
) -> Vec<(String, Vec<f32>)> {
    let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap().rows_per_pass(rows);
    let all = slopes(&trainer.score(groups).unwrap(), entropy);
    trainer.accumulate::<LmError>(groups, &mut |range, _| Ok(all[range].to_vec())).unwrap();
    let names = model.trained().iter().map(|parameter| parameter.name.clone());
    names.map(|name| (name.clone(), trainer.gradient(&name).unwrap().unwrap().to_vec())).collect()
}

pub(super) fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

pub(super) fn relative(a: &[f32], b: &[f32]) -> f64 {
    let largest = b.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let worst = a.iter().zip(b).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    f64::from(worst / largest)
}

pub(super) const SIZES: &[(usize, &[usize])] = &[(70, &[5, 33, 1, 0, 20]), (1, &[3]), (21, &[40, 40])];

#[test]
fn scores_and_gradients_equal_the_reference() {
    for config in configs() {
        let model = model(&config, 3);
        let groups = groups(SIZES, 1001, 4);
        let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap();
        let scores = trainer.score(&groups).unwrap();
        let slopes = slopes(&scores, 0.0);
        let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F64).unwrap();
        let mut loss = Tensor::new(0.0f64, &Device::Cpu).unwrap();
        for ((group, scores), slopes) in groups.iter().zip(&scores).zip(&slopes) {
            for (index, completion) in group.completions.iter().enumerate().filter(|(_, tokens)| !tokens.is_empty()) {
                let expected = reference.log_probs(&group.prompt, completion).unwrap();
                for (found, expected) in scores.log_probs[index].iter().zip(expected.to_vec1::<f64>().unwrap()) {
                    assert!((f64::from(*found) - expected).abs() < 2e-5, "{found} instead of {expected}");
                }
                let factors: Vec<f64> = slopes.log_probs[index].iter().map(|slope| f64::from(*slope)).collect();
                let factors = Tensor::new(factors, &Device::Cpu).unwrap();
                loss = (loss + (expected * factors).unwrap().sum_all().unwrap()).unwrap();

                let tokens = [&group.prompt[..], completion].concat();
                let logits = reference.logits(&tokens).unwrap().to_vec2::<f64>().unwrap();
                for (token, found) in scores.entropies[index].iter().enumerate() {
                    let row = &logits[group.prompt.len() + token - 1];
                    let largest = row.iter().fold(f64::MIN, |largest, logit| largest.max(*logit));
                    let sum: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
                    let moment: f64 = row.iter().map(|logit| (logit - largest).exp() * (logit - largest)).sum();
                    let expected = sum.ln() - moment / sum;
                    assert!((f64::from(*found) - expected).abs() < 2e-5, "{found} instead of {expected}");
                }
            }
        }
        let expected = reference.gradients(&loss).unwrap();
        for (name, found) in gradients(&model, &groups, 0.0, 4096) {
            agree(&name, &found, &expected[&name], 2e-5);
        }
    }
}

/// Asserts that a parameter's gradient is the reference's, which is not zero.
pub(super) fn agree(name: &str, found: &[f32], expected: &Tensor, limit: f64) {
    let expected = expected.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(expected.iter().any(|value| *value != 0.0), "{name} has a gradient");
    let (cosine, relative) = (cosine(found, &expected), relative(found, &expected));
    assert!(cosine > 0.999_999_9 && relative < limit, "{name}: cosine {cosine}, relative error {relative}");
}

#[test]
fn sharing_a_prompt_changes_nothing() {
    for config in configs() {
        let model = model(&config, 5);
        let shared = groups(SIZES, 1001, 6);
        let alone: Vec<PromptGroup> = shared
            .iter()
            .flat_map(|group| {
                let alone =
                    |tokens: &Vec<u32>| PromptGroup { prompt: group.prompt.clone(), completions: vec![tokens.clone()] };
                group.completions.iter().map(alone)
            })
            .collect();
        let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap();
        let flat = |scores: Vec<TokenScores>| -> Vec<Vec<f32>> {
            scores.into_iter().flat_map(|scores| scores.log_probs).collect()
        };
        assert_eq!(flat(trainer.score(&shared).unwrap()), flat(trainer.score(&alone).unwrap()), "bit for bit");
        for ((name, shared), (_, alone)) in
            gradients(&model, &shared, 0.1, 4096).into_iter().zip(gradients(&model, &alone, 0.1, 4096))
        {
            let error = relative(&shared, &alone);
            assert!(error < 1e-5, "{name}: relative error {error}");
        }
    }
}

#[test]
fn passes_of_few_rows_give_the_same_gradients() {
    let model = model(&config(false), 7);
    let groups = groups(SIZES, 1001, 8);
    for ((name, once), (_, split)) in
        gradients(&model, &groups, 0.1, 4096).into_iter().zip(gradients(&model, &groups, 0.1, 1))
    {
        let error = relative(&split, &once);
        assert!(error < 1e-5, "{name}: relative error {error}");
    }
}

#[test]
fn gradients_of_log_probs_and_entropies_equal_finite_differences() {
    let model = model(&config(true), 9);
    let groups = groups(&[(9, &[6, 4]), (3, &[5])], 1001, 10);
    let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap();
    let slopes = slopes(&trainer.score(&groups).unwrap(), 2.0);
    let value = |model: &LanguageModel| -> f64 {
        let scores = Trainer::new(model.clone(), AdamW::default()).unwrap().score(&groups).unwrap();
        let product = |a: &[Vec<f32>], b: &[Vec<f32>]| -> f64 {
            a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let terms = scores.iter().zip(&slopes);
        terms.map(|(s, g)| product(&s.log_probs, &g.log_probs) + product(&s.entropies, &g.entropies)).sum()
    };
    for (name, gradient) in gradients(&model, &groups, 2.0, 4096) {
        // Along the gradient itself, so that the difference is far above the rounding of f32.
        let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let step = 2e-3;
        let moved = |sign: f64| {
            let mut model = model.clone();
            let parameter = model.weights.get_mut(&name).unwrap();
            for (value, slope) in parameter.data.iter_mut().zip(&gradient) {
                *value += (sign * step * f64::from(*slope) / norm) as f32;
            }
            value(&model)
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        assert!((slope / norm - 1.0).abs() < 0.01, "{name}: {slope} by differences, {norm} by the backward pass");
    }
}

#[test]
fn dead_groups_cost_no_backward_and_change_nothing() {
    for config in configs() {
        let model = model(&config, 11);
        let groups = groups(SIZES, 1001, 12);
        for dead in [[true, false, false], [false, true, false], [true, false, true]] {
            let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap();
            let mut slopes = slopes(&trainer.score(&groups).unwrap(), 0.1);
            for (slopes, _) in slopes.iter_mut().zip(dead).filter(|(_, dead)| *dead) {
                for value in slopes.log_probs.iter_mut().chain(&mut slopes.entropies).flatten() {
                    *value = 0.0;
                }
            }
            let done = trainer.accumulate::<LmError>(&groups, &mut |_, _| Ok(slopes.clone())).unwrap();
            assert_eq!(done.dead_groups, dead.iter().filter(|dead| **dead).count());
            assert!(done.backward_rows < done.forward_rows);
            let mut live = Trainer::new(model.clone(), AdamW::default()).unwrap();
            let keep = |index: &usize| !dead[*index];
            let (some, slopes): (Vec<_>, Vec<_>) =
                (0..3).filter(keep).map(|index| (groups[index].clone(), slopes[index].clone())).unzip();
            live.accumulate::<LmError>(&some, &mut |_, _| Ok(slopes.clone())).unwrap();
            for parameter in &model.weights.parameters {
                assert_eq!(
                    trainer.gradient(&parameter.name).unwrap(),
                    live.gradient(&parameter.name).unwrap(),
                    "{}",
                    parameter.name
                );
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for config in configs() {
        let model = model(&config, 13);
        let groups = groups(&[(90, &[50, 60, 40]), (150, &[80, 33])], 1001, 14);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = Trainer::new(model.clone(), AdamW { weight_decay: 0.1, ..AdamW::default() }).unwrap();
                for _ in 0..2 {
                    let loss = &mut |_, scores: &[TokenScores]| Ok(slopes(scores, 0.1));
                    trainer.accumulate::<LmError>(&groups, loss).unwrap();
                    trainer.step(1e-3, Some(1.0)).unwrap();
                }
                trainer.into_model().weights
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));
    }
}

#[test]
fn updates_follow_the_formula_and_go_on_from_a_state() {
    let model = model(&config(true), 15);
    let groups = groups(&[(5, &[4])], 1001, 16);
    let optimizer = AdamW { weight_decay: 0.1, ..AdamW::default() };
    let mut trainer = Trainer::new(model.clone(), optimizer).unwrap();
    let train = |trainer: &mut Trainer| {
        trainer.accumulate::<LmError>(&groups, &mut |_, scores| Ok(slopes(scores, 0.0))).unwrap();
        let name = "model.layers.0.mlp.up_proj.weight";
        let before = trainer.model().weights.get(name).unwrap().data[7];
        let gradient = trainer.gradient(name).unwrap().unwrap()[7];
        let norm = trainer.step(1e-2, Some(0.5)).unwrap().grad_norm;
        (
            f64::from(before),
            f64::from(gradient) * (0.5 / (norm + 1e-6)).min(1.0),
            f64::from(trainer.model().weights.get(name).unwrap().data[7]),
        )
    };
    let (before, g1, after) = train(&mut trainer);
    // The first bias-corrected moments are the gradient and its square.
    let expected = before * (1.0 - 1e-3) - 1e-2 * g1 / (g1.abs() + 1e-8);
    assert!((after - expected).abs() < 1e-7, "{after} instead of {expected}");

    let state = trainer.state().unwrap();
    assert_eq!(state.steps, 1);
    let mut resumed = Trainer::new(trainer.model().clone(), optimizer).unwrap();
    resumed.restore(&state).unwrap();
    let (before, g2, after) = train(&mut trainer);
    let m = (0.1 * 0.9 * g1 + 0.1 * g2) / (1.0 - 0.81);
    let v = (0.001 * 0.999 * g1 * g1 + 0.001 * g2 * g2) / (1.0 - 0.999 * 0.999);
    let expected = before * (1.0 - 1e-3) - 1e-2 * m / (v.sqrt() + 1e-8);
    assert!((after - expected).abs() < 1e-6, "{after} instead of {expected}");
    train(&mut resumed);
    assert!(resumed.model().weights == trainer.model().weights && resumed.state().unwrap() == trainer.state().unwrap());
    assert!(matches!(
        resumed.restore(&toolexpander::lm::train::OptimizerState { steps: 1, ..Default::default() }),
        Err(LmError::Layout { .. })
    ));
}

#[test]
fn bad_input_is_refused_with_its_place() {
    let model = model(&config(true), 17);
    let mut trainer = Trainer::new(model.clone(), AdamW::default()).unwrap();
    let group = |prompt: Vec<u32>, completion: Vec<u32>| [PromptGroup { prompt, completions: vec![completion] }];
    assert!(matches!(trainer.score(&group(vec![], vec![1])), Err(LmError::Request(_))));
    let error = trainer.score(&group(vec![1, 2], vec![3, 1001])).unwrap_err();
    assert!(matches!(error, LmError::TokenOutOfRange { token: 1001, position: 1, .. }), "{error}");
    assert!(matches!(trainer.score(&group(vec![1; 500], vec![1; 13])), Err(LmError::TooLong { tokens: 513, .. })));
    let group = group(vec![1, 2], vec![3, 4]);
    let error = trainer.accumulate::<LmError>(&group, &mut |_, _| Ok(vec![vec![vec![1.0]].into()])).unwrap_err();
    assert!(error.to_string().contains("1 tokens instead of 2"), "{error}");
    let error =
        trainer.accumulate::<LmError>(&group, &mut |_, _| Ok(vec![vec![vec![1.0, f32::NAN]].into()])).unwrap_err();
    assert!(matches!(error, LmError::NotFinite { .. }), "{error}");

    let mut broken = model;
    broken.weights.get_mut("model.layers.1.mlp.down_proj.weight").unwrap().data[5] = f32::NAN;
    let error = Trainer::new(broken, AdamW::default()).unwrap().score(&group).unwrap_err();
    assert!(matches!(error, LmError::NotFinite { .. }), "{error}");
}
