//! Qwen 2 and Qwen 3 against transformers: folders and GGUF files, the reference path and the native engine.

use camino::Utf8PathBuf;
use candle_core::{DType, Device};
use serde::Deserialize;
use toolexpander::{
    base::Seed,
    lm::{
        Family, LanguageModel, Reference, gguf,
        sample::{PromptRequest, Sampling, sample},
        train::{AdamW, PromptGroup, Trainer},
    },
};

use super::load_fixtures::{folder, load, max_difference};

#[derive(Deserialize)]
struct Oracle {
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    greedy: std::collections::BTreeMap<String, Vec<u32>>,
}

fn oracle() -> Oracle {
    serde_json::from_str(&fs_err::read_to_string(folder().join("families.json")).unwrap()).unwrap()
}

fn logits(name: &str) -> Vec<f32> {
    let bytes = fs_err::read(folder().join("families.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap().data().to_vec();
    data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The four fixtures: a folder and a GGUF file for each family.
fn models() -> Vec<(&'static str, LanguageModel)> {
    let mut models: Vec<_> = ["qwen2", "qwen3"].into_iter().map(|name| (name, load(name))).collect();
    for name in ["qwen2.gguf", "qwen3.gguf"] {
        models.push((name, gguf::import(&folder().join(name)).unwrap()));
    }
    models
}

#[test]
fn logits_of_the_reference_equal_transformers() {
    let oracle = oracle();
    for (name, model) in models() {
        let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F64).unwrap();
        let found: Vec<f64> = reference.logits(&oracle.tokens).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let difference = max_difference(&found, &logits(name));
        assert!(difference < 2e-5, "{name}: {difference}");
    }
}

#[test]
fn the_engine_scores_and_continues_like_transformers() {
    let oracle = oracle();
    for (name, mut model) in models() {
        let vocabulary = model.config.vocab_size;
        let rows = logits(name);
        let completion = oracle.tokens[oracle.prompt.len()..].to_vec();
        let group = PromptGroup { prompt: oracle.prompt.clone(), completions: vec![completion.clone()] };
        let scores = Trainer::new(model.clone(), AdamW::default()).unwrap().score(&[group]).unwrap();
        for (index, (token, found)) in completion.iter().zip(&scores[0].log_probs[0]).enumerate() {
            let row = &rows[(oracle.prompt.len() + index - 1) * vocabulary..][..vocabulary];
            let largest = row.iter().copied().fold(f32::MIN, f32::max);
            let sum: f64 = row.iter().map(|logit| f64::from(logit - largest).exp()).sum();
            let expected = f64::from(row[*token as usize] - largest) - sum.ln();
            assert!((f64::from(*found) - expected).abs() < 2e-5, "{name}: {found} instead of {expected}");
        }

        // The oracle goes on whatever it says.
        model.config.eos_token_ids.clear();
        model.tokenizer.eos.clear();
        let expected = &oracle.greedy[name];
        let request = PromptRequest { id: name.to_owned(), tokens: oracle.prompt.clone(), count: 1 };
        let greedy = Sampling { temperature: 0.0, max_tokens: expected.len(), ..Sampling::default() };
        assert_eq!(sample(&model, &[request], &greedy, Seed(0), 1).unwrap()[0][0].tokens, *expected, "{name}");
    }
}

#[test]
fn a_saved_model_is_the_same_model() {
    let guard = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
    for (name, model) in models() {
        let family = if name.starts_with("qwen2") { Family::Qwen2 } else { Family::Qwen3 };
        assert_eq!(model.config.family, family);
        model.save(&root.join(name)).unwrap();
        let again = LanguageModel::load(&root.join(name)).unwrap();
        assert!(again.config == model.config && again.weights == model.weights, "{name}");
    }
}
