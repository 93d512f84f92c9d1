//! Low-rank adapters: gradients against candle and finite differences, frozen weights, merging, PEFT's files.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use camino::{Utf8Path, Utf8PathBuf};
use candle_core::{DType, Device, Tensor};
use rand::Rng;
use serde_json::json;
use toolexpander::base::Seed;
use toolexpander::lm::lora::{Adapter, LoraOptions, Target, save_peft};
use toolexpander::lm::sample::{PromptRequest, Sampling, sample};
use toolexpander::lm::train::{AdamW, OptimizerState, PromptGroup, TokenScores, Trainer};
use toolexpander::lm::{Config, LanguageModel, LmError, Reference, Weights};

use super::engine_training::{SIZES, agree, config, configs, gradients, groups, model, relative, slopes};
use super::load_fixtures::load;

pub(super) fn options(rank: usize, targets: &[Target]) -> LoraOptions {
    LoraOptions { rank, alpha: 6.0, targets: targets.to_vec() }
}

/// The options that the tests go through: every map, PEFT's own choice, and maps that share no input.
fn choices() -> [LoraOptions; 3] {
    [
        options(3, &Target::ALL),
        options(8, &[Target::VProj, Target::QProj]),
        options(1, &[Target::DownProj, Target::KProj]),
    ]
}

/// Puts an adapter on the model, in which `B` is not zero: as after some training.
pub(super) fn adapted(mut model: LanguageModel, options: &LoraOptions, seed: u64) -> LanguageModel {
    model.adapt(options, Seed(seed)).unwrap();
    let mut rng = Seed(seed).rng("test adapter");
    for parameter in model.trained_mut().iter_mut().filter(|parameter| parameter.name.ends_with("lora_B.weight")) {
        parameter.data.iter_mut().for_each(|value| *value = rng.random_range(-0.1..0.1));
    }
    model
}

fn score(model: &LanguageModel, groups: &[PromptGroup]) -> Vec<TokenScores> {
    Trainer::new(model.clone(), AdamW::default()).unwrap().score(groups).unwrap()
}

#[test]
fn a_fresh_adapter_has_pefts_first_values_and_changes_nothing() {
    for config in configs() {
        let plain = model(&config, 31);
        let mut model = plain.clone();
        model.adapt(&options(4, &Target::ALL), Seed(1)).unwrap();
        let parameters = model.trained();
        assert_eq!(parameters.len(), 2 * 7 * config.num_hidden_layers);
        for parameter in parameters {
            if parameter.name.ends_with("lora_A.weight") {
                let bound = 1.0 / (parameter.shape[1] as f32).sqrt();
                assert_eq!(parameter.shape[0], 4);
                let largest = parameter.data.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                assert!(largest > 0.9 * bound && largest < bound, "{}: {largest}", parameter.name);
            } else {
                assert_eq!(parameter.shape[1], 4);
                assert!(parameter.data.iter().all(|value| *value == 0.0));
            }
        }
        let groups = groups(SIZES, 1001, 32);
        assert_eq!(score(&model, &groups), score(&plain, &groups));
        assert!(model.clone().merged().weights == plain.weights);
        // Every matrix has a stream of its own, from the seed.
        let mut other = plain.clone();
        other.adapt(&options(4, &[Target::UpProj]), Seed(1)).unwrap();
        let name = &other.trained()[0].name;
        assert_eq!(parameters.iter().find(|known| known.name == *name), other.trained().first());
        assert_ne!(
            parameters[0].data,
            Adapter::new(&config, &options(4, &Target::ALL), Seed(2)).unwrap().parameters[0].data
        );
        let error = model.adapt(&options(4, &Target::ALL), Seed(1)).unwrap_err();
        assert!(error.to_string().contains("merge that one first"), "{error}");
    }
}

#[test]
fn scores_and_gradients_equal_the_reference() {
    for (config, options) in configs().iter().flat_map(|config| choices().map(|options| (config.clone(), options))) {
        let model = adapted(model(&config, 33), &options, 34);
        let groups = groups(SIZES, 1001, 35);
        let scores = score(&model, &groups);
        let slopes = slopes(&scores, 0.0);
        let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F64)
            .unwrap()
            .adapted(model.adapter.as_ref().unwrap())
            .unwrap();
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
            }
        }
        let expected = reference.gradients(&loss).unwrap();
        let found = gradients(&model, &groups, 0.0, 4096);
        assert_eq!(found.len(), 2 * options.targets.len() * config.num_hidden_layers);
        for (name, found) in found {
            agree(&name, &found, &expected[&name], 1e-4);
        }
    }
}

#[test]
fn gradients_of_log_probs_and_entropies_equal_finite_differences() {
    let model = adapted(model(&config(true), 36), &options(3, &Target::ALL), 37);
    let groups = groups(&[(9, &[6, 4]), (3, &[5])], 1001, 38);
    let slopes = slopes(&score(&model, &groups), 2.0);
    let value = |model: &LanguageModel| -> f64 {
        let product = |a: &[Vec<f32>], b: &[Vec<f32>]| -> f64 {
            a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let scores = score(model, &groups);
        let terms = scores.iter().zip(&slopes);
        terms.map(|(s, g)| product(&s.log_probs, &g.log_probs) + product(&s.entropies, &g.entropies)).sum()
    };
    for (slot, (name, gradient)) in gradients(&model, &groups, 2.0, 4096).into_iter().enumerate() {
        let norm = gradient.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let step = 2e-3;
        let moved = |sign: f64| {
            let mut model = model.clone();
            for (value, slope) in model.trained_mut()[slot].data.iter_mut().zip(&gradient) {
                *value += (sign * step * f64::from(*slope) / norm) as f32;
            }
            value(&model)
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * step);
        assert!((slope / norm - 1.0).abs() < 0.02, "{name}: {slope} by differences, {norm} by the backward pass");
    }
}

pub(super) fn train(trainer: &mut Trainer, groups: &[PromptGroup], steps: usize) {
    for _ in 0..steps {
        trainer.accumulate::<LmError>(groups, &mut |_, scores| Ok(slopes(scores, 0.1))).unwrap();
        trainer.step(1e-2, Some(1.0)).unwrap();
    }
}

#[test]
fn weights_stay_frozen_and_the_adapter_learns() {
    for config in configs() {
        let plain = model(&config, 39);
        let mut model = plain.clone();
        model.adapt(&options(4, &Target::ALL), Seed(2)).unwrap();
        let groups = groups(SIZES, 1001, 40);
        let first = model.trained().to_vec();
        let mut trainer = Trainer::new(model, AdamW { weight_decay: 0.1, ..AdamW::default() }).unwrap();
        trainer.accumulate::<LmError>(&groups, &mut |_, scores| Ok(slopes(scores, 0.1))).unwrap();
        for parameter in &first {
            // While B is zero nothing reaches A.
            let gradient = trainer.gradient(&parameter.name).unwrap().unwrap();
            let moves = gradient.iter().any(|value| *value != 0.0);
            assert_eq!(moves, parameter.name.ends_with("lora_B.weight"), "{}", parameter.name);
        }
        assert_eq!(trainer.gradient("model.layers.0.self_attn.q_proj.weight").unwrap(), None);
        trainer.discard();
        train(&mut trainer, &groups, 3);
        assert_eq!(trainer.state().unwrap().first.len(), first.len());
        let model = trainer.into_model();
        assert!(model.weights == plain.weights, "bit for bit");
        assert!(model.trained().iter().zip(&first).all(|(after, before)| after.data != before.data));
        let apart = |a: &[TokenScores], b: &[TokenScores]| distance(a, b);
        let before = score(&plain, &groups);
        assert!(apart(&score(&model, &groups), &before) > 0.01);
        assert!(apart(&score(&model.merged(), &groups), &before) > 0.01);
    }
}

/// The largest difference of log-probabilities.
fn distance(a: &[TokenScores], b: &[TokenScores]) -> f32 {
    let values = |scores: &[TokenScores]| -> Vec<f32> {
        scores.iter().flat_map(|scores| scores.log_probs.iter().flatten().copied()).collect()
    };
    values(a).iter().zip(values(b)).fold(0.0, |worst: f32, (a, b)| worst.max((a - b).abs()))
}

#[test]
fn merging_changes_scores_by_rounding_only() {
    for (config, options) in configs().iter().flat_map(|config| choices().map(|options| (config.clone(), options))) {
        let model = adapted(model(&config, 41), &options, 42);
        let groups = groups(SIZES, 1001, 43);
        let merged = model.clone().merged();
        assert!(merged.adapter.is_none());
        let changed = |a: &Weights, b: &Weights| {
            a.parameters
                .iter()
                .zip(&b.parameters)
                .filter(|(a, b)| a.data != b.data)
                .map(|(a, _)| a.name.clone())
                .collect()
        };
        let names: Vec<String> = changed(&merged.weights, &model.weights);
        assert_eq!(names.len(), options.targets.len() * config.num_hidden_layers, "{names:?}");
        let difference = distance(&score(&model, &groups), &score(&merged, &groups));
        assert!(difference < 1e-5, "{difference}");
    }
}

#[test]
fn rollouts_have_the_log_probs_of_training() {
    for (config, options) in configs().iter().flat_map(|config| choices().map(|options| (config.clone(), options))) {
        let model = adapted(model(&config, 44), &options, 45);
        let prompts = groups(&[(40, &[]), (7, &[])], 1001, 46);
        let requests: Vec<PromptRequest> = prompts
            .iter()
            .enumerate()
            .map(|(index, group)| PromptRequest { id: index.to_string(), tokens: group.prompt.clone(), count: 3 })
            .collect();
        let sampling = Sampling { max_tokens: 12, ..Sampling::default() };
        let completions = sample(&model, &requests, &sampling, Seed(3), 4).unwrap();
        let groups: Vec<PromptGroup> = prompts
            .into_iter()
            .zip(&completions)
            .map(|(group, completions)| PromptGroup {
                prompt: group.prompt,
                completions: completions.iter().map(|completion| completion.tokens.clone()).collect(),
            })
            .collect();
        for (scores, completions) in score(&model, &groups).iter().zip(&completions) {
            for (scored, completion) in scores.log_probs.iter().zip(completions) {
                assert_eq!(*scored, completion.log_probs, "the sampler adapts as the trainer does, bit for bit");
            }
        }
    }
}

#[test]
fn threads_and_resuming_do_not_change_a_bit() {
    for config in configs() {
        let model = adapted(model(&config, 47), &options(3, &Target::ALL), 48);
        let groups = groups(&[(90, &[50, 60, 40]), (150, &[80, 33])], 1001, 49);
        let trainer = |model: LanguageModel, state: Option<&OptimizerState>| {
            let mut trainer = Trainer::new(model, AdamW { weight_decay: 0.1, ..AdamW::default() }).unwrap();
            state.map_or(Ok(()), |state| trainer.restore(state)).unwrap();
            trainer
        };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = trainer(model.clone(), None);
                train(&mut trainer, &groups, 3);
                trainer.into_model().merged().weights
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3));

        let mut begun = trainer(model.clone(), None);
        train(&mut begun, &groups, 1);
        let (state, mut resumed) = (begun.state().unwrap(), model.clone());
        for (parameter, trained) in resumed.trained_mut().iter_mut().zip(begun.model().trained()) {
            parameter.data.clone_from(&trained.data);
        }
        let mut resumed = trainer(resumed, Some(&state));
        train(&mut resumed, &groups, 2);
        assert!(resumed.into_model().merged().weights == one);
    }
}

#[test]
fn passes_of_few_rows_and_dead_groups_give_the_same_gradients() {
    let model = adapted(model(&config(false), 50), &options(3, &Target::ALL), 51);
    let groups = groups(SIZES, 1001, 52);
    let once = gradients(&model, &groups, 0.1, 4096);
    for ((name, once), (_, split)) in once.into_iter().zip(gradients(&model, &groups, 0.1, 1)) {
        let error = relative(&split, &once);
        assert!(error < 1e-5, "{name}: relative error {error}");
    }
    let mut derivatives = slopes(&score(&model, &groups), 0.1);
    let dead = &mut derivatives[1];
    dead.log_probs.iter_mut().chain(&mut dead.entropies).flatten().for_each(|value| *value = 0.0);
    let mut all = Trainer::new(model.clone(), AdamW::default()).unwrap();
    let done = all.accumulate::<LmError>(&groups, &mut |range, _| Ok(derivatives[range].to_vec())).unwrap();
    assert_eq!(done.dead_groups, 1);
    let mut live = Trainer::new(model.clone(), AdamW::default()).unwrap();
    let (groups, derivatives) =
        ([groups[0].clone(), groups[2].clone()], [&derivatives[0], &derivatives[2]].map(Clone::clone));
    live.accumulate::<LmError>(&groups, &mut |range, _| Ok(derivatives[range].to_vec())).unwrap();
    for parameter in model.trained() {
        assert_eq!(
            all.gradient(&parameter.name).unwrap(),
            live.gradient(&parameter.name).unwrap(),
            "{}",
            parameter.name
        );
    }
}

#[test]
fn a_saved_model_is_merged_and_an_adapter_of_another_shape_is_refused() {
    let keep = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(keep.path()).unwrap();
    let model = adapted(load("tied"), &options(2, &[Target::QProj]), 53);
    model.save(folder).unwrap();
    assert!(LanguageModel::load(folder).unwrap().weights == model.clone().merged().weights);

    let mut wrong = model.clone();
    wrong.trained_mut()[1].data.pop();
    let error = Trainer::new(wrong, AdamW::default()).err().unwrap().to_string();
    assert!(error.contains("model.layers.0.self_attn.q_proj.lora_B.weight"), "{error}");
    let other =
        Adapter::new(&Config { num_hidden_layers: 1, ..model.config.clone() }, &options(2, &[Target::QProj]), Seed(1));
    assert!(other.unwrap().check(&model.config).is_err());
}

#[test]
fn peft_files_have_its_names_and_every_number() {
    let keep = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(keep.path()).unwrap().join("adapter");
    let model = adapted(load("tied"), &options(2, &[Target::UpProj, Target::QProj]), 54);
    let adapter = model.adapter.as_ref().unwrap();
    save_peft(adapter, &folder).unwrap();
    let config: serde_json::Value =
        serde_json::from_str(&fs_err::read_to_string(folder.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["peft_type"], &config["r"], &config["lora_alpha"]), (&json!("LORA"), &json!(2), &json!(6)));
    assert_eq!(config["target_modules"], json!(["q_proj", "up_proj"]));
    let tensors = candle_core::safetensors::load(folder.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(tensors.len(), adapter.parameters.len());
    for parameter in &adapter.parameters {
        let tensor = &tensors[&format!("base_model.model.{}", parameter.name)];
        assert_eq!(tensor.dims(), parameter.shape);
        assert_eq!(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(), parameter.data);
    }
    assert!(tensors.contains_key("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"));
}

/// Folders for PEFT to judge: `EXPORT=FOLDER cargo test --release adapters_for_peft -- --ignored`, then
/// `python tests/fixtures/lm/check_peft.py FOLDER`.
#[test]
#[ignore = "writes folders for a Python script: see above"]
fn adapters_for_peft_with_what_they_should_do() {
    let folder = Utf8PathBuf::from(std::env::var("EXPORT").expect("EXPORT names the folder"));
    for (name, options) in ["tied", "sharded", "qwen2", "qwen3"].into_iter().zip(choices().into_iter().cycle()) {
        let mut model = load(name);
        model.save(&folder.join(name).join("base")).unwrap();
        model.adapt(&options, Seed(4)).unwrap();
        let mut trainer = Trainer::new(model, AdamW::default()).unwrap();
        let vocabulary = trainer.model().config.vocab_size as u32;
        train(&mut trainer, &groups(&[(8, &[6, 9]), (5, &[7])], vocabulary, 55), 6);
        let model = trainer.into_model();
        let adapter = model.adapter.as_ref().unwrap();
        save_peft(adapter, &folder.join(name).join("adapter")).unwrap();
        model.save(&folder.join(name).join("merged")).unwrap();
        let prompt = groups(&[(20, &[])], vocabulary, 56).remove(0).prompt;
        let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F32).unwrap();
        let logits = |reference: &Reference| -> Vec<Vec<f32>> { reference.logits(&prompt).unwrap().to_vec2().unwrap() };
        let base = logits(&reference);
        let adapted = logits(&reference.adapted(adapter).unwrap());
        let group = PromptGroup { prompt: prompt[..1].to_vec(), completions: vec![prompt[1..].to_vec()] };
        let log_probs = score(&model, &[group]).remove(0).log_probs.remove(0);
        let facts = json!({ "prompt": prompt, "base": base, "adapted": adapted, "log_probs": log_probs });
        fs_err::write(folder.join(format!("{name}.json")), facts.to_string()).unwrap();
    }
}
