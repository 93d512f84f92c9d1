//! What the script is told: one JSON file, and the prompts of every step, one a line.

use std::{fmt::Write as _, io};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rand::Rng;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    lm::{Tokenizer, lora::LoraOptions},
    rl::{LossType, RatioLevel, Scale},
    stage::{StageCtx, StageError, grpo::batch::Course},
};

use super::{
    parameters::Trl,
    score::{self, Scoring},
};

/// Where everything of one training lies, in the folder that outlives a killed attempt.
pub(super) struct Folders {
    pub(super) root: Utf8PathBuf,
    /// What the script tells.
    pub(super) events: Utf8PathBuf,
    /// Where the script leaves the trained model.
    pub(super) model: Utf8PathBuf,
}

impl Folders {
    pub(super) fn new(scratch: &Utf8Path) -> Self {
        let root = scratch.join("trl");
        Self { events: root.join("events.jsonl"), model: root.join("model"), root }
    }
}

/// The request. `trl_engine.py` reads it.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a Utf8Path,
    reference: Option<&'a Utf8Path>,
    prompts: &'a Utf8Path,
    events: &'a Utf8Path,
    checkpoints: &'a Utf8Path,
    checkpoint_seconds: f64,
    output: &'a Utf8Path,
    /// The words of the command that scores.
    score: Vec<String>,
    threads: usize,
    seed: u32,
    steps: usize,
    prompts_per_step: usize,
    group_size: usize,
    inner_steps: usize,
    /// The learning rate of each step.
    rates: Vec<f64>,
    /// Tokens that end a completion.
    eos: &'a [u32],
    scale: &'static str,
    std_floor: f64,
    lora: Option<Lora>,
    recompute: bool,
    config: Config,
    args: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Lora {
    rank: usize,
    alpha: f64,
    targets: Vec<&'static str>,
}

/// Arguments of `GRPOConfig`, by their names there.
#[derive(Serialize)]
struct Config {
    num_generations: usize,
    num_iterations: usize,
    max_completion_length: usize,
    temperature: f32,
    top_p: f32,
    top_k: usize,
    min_p: Option<f32>,
    loss_type: &'static str,
    importance_sampling_level: &'static str,
    scale_rewards: &'static str,
    epsilon: f64,
    epsilon_high: f64,
    delta: Option<f64>,
    beta: f64,
    max_grad_norm: f64,
    weight_decay: f64,
    adam_beta1: f64,
    adam_beta2: f64,
    adam_epsilon: f64,
}

/// One line of the prompts' file.
#[derive(Serialize)]
struct Line<'a> {
    sample: usize,
    tokens: &'a [u32],
}

/// A norm that no gradient has.
const NEVER: f64 = 1e30;

/// Writes all that the script reads; returns the path of the request.
///
/// # Errors
/// [`StageError::Io`].
pub(super) fn write(
    context: &StageCtx,
    course: &Course<'_>,
    trl: &Trl,
    lora: Option<&LoraOptions>,
    reference: Option<&Utf8Path>,
    tokenizer: &Tokenizer,
    folders: &Folders,
) -> Result<Utf8PathBuf, StageError> {
    let Folders { root, events, model } = folders;
    fs::create_dir_all(root).map_err(StageError::io("create", root))?;
    let (prompts, scoring) = (root.join("prompts.jsonl"), root.join("score.json"));
    put(&prompts, lines(course)?.as_bytes())?;
    let policy = context.input_path("model")?;
    put_json(
        &scoring,
        &Scoring {
            model: policy.to_owned(),
            samples: context.input_path("samples")?.to_owned(),
            rewards: course.settings.rewards.clone(),
            steps_before: course.steps_before(),
        },
    )?;
    let settings = course.settings;
    let name = |names: &'static [&'static str], index: usize| names.get(index).copied().unwrap_or_default();
    let (epsilon, epsilon_high, delta) = settings.clip;
    let scale = match settings.advantages.scale {
        Scale::Group => "group",
        Scale::Batch => "batch",
        Scale::None => "none",
    };
    let request = Request {
        model: policy,
        reference,
        prompts: &prompts,
        events,
        checkpoints: &root.join("checkpoints"),
        checkpoint_seconds: trl.checkpoint_seconds,
        output: model,
        score: score::words(&scoring).map_err(StageError::failed("find the program of this process"))?,
        threads: context.threads(),
        // Python's generators take 32 bits, and every process adds its rank.
        seed: course.seed.rng("trl").random_range(0..1 << 31),
        steps: course.steps.len(),
        prompts_per_step: settings.prompts_per_step,
        group_size: settings.advantages.group_size,
        inner_steps: settings.inner_steps,
        rates: (0..course.steps.len()).map(|step| settings.rate.at(u32::try_from(step).unwrap_or(u32::MAX))).collect(),
        eos: &tokenizer.eos,
        scale,
        std_floor: settings.advantages.std_floor,
        lora: lora.map(|lora| Lora {
            rank: lora.rank,
            alpha: lora.alpha,
            targets: lora.targets.iter().map(|target| target.as_str()).collect(),
        }),
        recompute: settings.recompute,
        config: Config {
            num_generations: settings.advantages.group_size,
            num_iterations: settings.inner_steps,
            max_completion_length: settings.sampling.max_tokens,
            temperature: settings.sampling.temperature,
            top_p: settings.sampling.top_p,
            top_k: settings.sampling.top_k,
            min_p: Some(settings.sampling.min_p).filter(|min_p| *min_p > 0.0),
            loss_type: name(
                LossType::NAMES,
                LossType::ALL.iter().position(|it| *it == settings.loss_type).unwrap_or(usize::MAX),
            ),
            importance_sampling_level: match settings.level {
                RatioLevel::Token => "token",
                RatioLevel::Sequence | RatioLevel::SequenceDetached => "sequence",
            },
            scale_rewards: scale,
            epsilon,
            epsilon_high,
            delta,
            beta: settings.kl.map_or(0.0, |kl| kl.beta),
            max_grad_norm: if settings.max_grad_norm > 0.0 { settings.max_grad_norm } else { NEVER },
            weight_decay: settings.optimizer.weight_decay,
            adam_beta1: settings.optimizer.beta1,
            adam_beta2: settings.optimizer.beta2,
            adam_epsilon: settings.optimizer.eps,
        },
        args: &trl.args,
    };
    let path = root.join("request.json");
    put_json(&path, &request)?;
    Ok(path)
}

/// Returns the prompts of all steps, one a line.
fn lines(course: &Course<'_>) -> Result<String, StageError> {
    let mut text = String::new();
    for step in 0..course.steps.len() {
        for prompt in course.prompts(step) {
            let line = Line { sample: prompt.sample, tokens: &prompt.request.tokens };
            let line = serde_json::to_string(&line).map_err(StageError::failed("write a prompt"))?;
            writeln!(text, "{line}").map_err(StageError::failed("write a prompt"))?;
        }
    }
    Ok(text)
}

fn put(path: &Utf8Path, bytes: &[u8]) -> Result<(), StageError> {
    fs::write(path, bytes).map_err(StageError::io("write", path))
}

fn put_json(path: &Utf8Path, value: &impl Serialize) -> Result<(), StageError> {
    let bytes = serde_json::to_vec(value).map_err(|error| StageError::io("write", path)(io::Error::from(error)))?;
    put(path, &bytes)
}
