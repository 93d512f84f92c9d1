//! Gradients of one group of completions on a real model: shared prompt against repeated prompt, and as a file for PyTorch.
//!
//!     cargo run --release --example gradients -- MODEL-FOLDER PROMPTS.jsonl OUT.safetensors [GROUP-SIZE] [NEW-TOKENS]
//!
//! Samples completions (8 of 64 tokens) for the first prompt of the file (`{"prompt_text": …}` a line), and takes the loss
//! `Σ s · log p(token)` with `s = ±1/1000` by completion. Ends with one JSON line: the relative difference of the loss, and
//! the largest difference of a gradient, relative to its parameter's largest gradient, when every completion has a copy of
//! the prompt of its own. `OUT` gets the tokens, the slopes and all gradients: `benches/gradients.py` compares them with
//! PyTorch's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;

use safetensors::{Dtype, tensor::TensorView};
use toolexpander::base::Seed;
use toolexpander::lm::sample::{PromptRequest, Sampling, sample};
use toolexpander::lm::train::{AdamW, PromptGroup, TokenGradients, TokenScores, Trainer};
use toolexpander::lm::{LanguageModel, LmError};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SLOPE: f32 = 1e-3;

/// The slope of a completion's log-probabilities: groups of one completion are numbered like completions of one group.
fn slope(number: usize) -> f32 {
    if number.is_multiple_of(2) { SLOPE } else { -SLOPE }
}

/// Accumulates the gradients of the loss; returns the loss.
fn accumulate(trainer: &mut Trainer, groups: &[PromptGroup]) -> Result<f64, LmError> {
    let mut loss = 0.0;
    trainer.accumulate::<LmError>(groups, &mut |range, scores: &[TokenScores]| {
        let of_group = |(group, scores): (usize, &TokenScores)| -> TokenGradients {
            let of_completion = |(index, log_probs): (usize, &Vec<f32>)| vec![slope(group + index); log_probs.len()];
            scores.log_probs.iter().enumerate().map(of_completion).collect::<Vec<_>>().into()
        };
        for (group, scores) in range.clone().zip(scores) {
            for (index, log_probs) in scores.log_probs.iter().enumerate() {
                loss += log_probs.iter().map(|value| f64::from(slope(group + index) * value)).sum::<f64>();
            }
        }
        Ok(range.zip(scores).map(of_group).collect())
    })?;
    Ok(loss)
}

fn bytes<T: Copy, const N: usize>(values: &[T], little_endian: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| little_endian(*value)).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, prompts, out, rest @ ..] = &*arguments else {
        return Err("give a model folder, a file of prompts and where the gradients go".into());
    };
    let count = rest.first().map_or(Ok(8), |text| text.parse())?;
    let max_tokens = rest.get(1).map_or(Ok(64), |text| text.parse())?;
    let mut model = LanguageModel::load(folder.as_str().into())?;
    // Completions of equal length: no token ends a turn.
    model.config.eos_token_ids.clear();
    model.tokenizer.eos.clear();
    let text = fs_err::read_to_string(prompts)?;
    let row: serde_json::Value = serde_json::from_str(text.lines().next().unwrap_or_default())?;
    let text = row["prompt_text"].as_str().ok_or("the first prompt lacks its prompt_text")?;
    let prompt = model.tokenizer.encode(text, false)?;
    let request = PromptRequest { id: "first".to_owned(), tokens: prompt.clone(), count };
    let sampling = Sampling { max_tokens, ..Sampling::default() };
    let sampled = sample(&model, &[request], &sampling, Seed(1), count)?;
    let completions: Vec<Vec<u32>> = sampled.into_iter().flatten().map(|completion| completion.tokens).collect();

    let mut trainer = Trainer::new(model, AdamW::default())?.rows_per_pass(1024);
    let shared = accumulate(&mut trainer, &[PromptGroup { prompt: prompt.clone(), completions: completions.clone() }])?;
    let names: Vec<(String, Vec<usize>)> = trainer
        .model()
        .weights
        .parameters
        .iter()
        .map(|parameter| (parameter.name.clone(), parameter.shape.clone()))
        .collect();
    let gradient = |trainer: &Trainer, name: &str| -> Result<Vec<f32>, LmError> {
        Ok(trainer.gradient(name)?.map(Cow::into_owned).unwrap_or_default())
    };
    let gradients: Vec<Vec<f32>> = names.iter().map(|(name, _)| gradient(&trainer, name)).collect::<Result<_, _>>()?;

    trainer.discard();
    let alone: Vec<PromptGroup> =
        completions.iter().map(|one| PromptGroup { prompt: prompt.clone(), completions: vec![one.clone()] }).collect();
    let repeated = accumulate(&mut trainer, &alone)?;
    let (mut worst, mut zero) = ((0.0, String::new()), 0);
    for ((name, _), shared) in names.iter().zip(&gradients) {
        let size = shared.iter().fold(0.0f32, |size, value| size.max(value.abs()));
        let differences = shared.iter().zip(gradient(&trainer, name)?).map(|(a, b)| (a - b).abs());
        let relative = differences.fold(0.0f32, f32::max) / size.max(f32::MIN_POSITIVE);
        zero += usize::from(size == 0.0);
        if relative > worst.0 {
            worst = (relative, name.clone());
        }
    }

    let mut tensors = BTreeMap::new();
    for ((name, shape), gradient) in names.iter().zip(&gradients) {
        tensors.insert(name.clone(), (Dtype::F32, shape.clone(), bytes(gradient, f32::to_le_bytes)));
    }
    let slopes: Vec<f32> = (0..count).map(slope).collect();
    tensors.insert("slopes".to_owned(), (Dtype::F32, vec![count], bytes(&slopes, f32::to_le_bytes)));
    tensors.insert("prompt".to_owned(), (Dtype::U32, vec![prompt.len()], bytes(&prompt, u32::to_le_bytes)));
    let tokens = completions.concat();
    let shape = vec![count, tokens.len() / count];
    tensors.insert("completions".to_owned(), (Dtype::U32, shape, bytes(&tokens, u32::to_le_bytes)));
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        TensorView::new(*dtype, shape.clone(), data).map(|view| (name.as_str(), view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>()?;
    fs_err::write(out, safetensors::serialize(views, None)?)?;
    let line = serde_json::json!({
        "kind": "sharing",
        "completions": count,
        "loss": shared,
        "loss_relative_difference": ((shared - repeated) / shared).abs(),
        "gradient_largest_relative_difference": worst.0,
        "at": worst.1,
        "parameters": names.len(),
        "parameters_without_gradient": zero,
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
