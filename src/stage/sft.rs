//! `sft`: supervised fine-tuning on gold answers.
//!
//! The loss of a step is the mean negative log-probability of its answers' tokens, the end of the turn included and prompts
//! not: every token of the step weighs the same.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    lm::{
        LanguageModel,
        train::{AdamW, PromptGroup, TokenGradients, TokenScores, Trainer},
    },
    rl::{LearningRate, RlError, Shape},
    stage::{
        StageCtx, StageError,
        training::{
            self,
            learner::{self, Learner, Method, StepError, Work},
            order::{self, Length, Turn},
            prompts::{LongPrompts, Question, Room, answer_tokens, end_of_turn, questions},
        },
    },
    table::MetricRow,
    tools::Style,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    answer_style: Style,
    demonstrations: bool,
    epochs: usize,
    steps: Option<usize>,
    batch_size: usize,
    lr: f64,
    schedule: Schedule,
    lr_floor: f64,
    step_decay: f64,
    warm_up: u32,
    max_grad_norm: f64,
    weight_decay: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    long_prompts: LongPrompts,
    rows_per_pass: Option<usize>,
    #[serde(default)]
    recompute: bool,
    /// Read by [`learner::lora`], which names it when it is wrong.
    #[serde(rename = "lora")]
    _lora: Option<IgnoredAny>,
    /// Read by [`Learner`], beside `store-dtype`.
    #[serde(rename = "moments")]
    _moments: Option<IgnoredAny>,
    #[serde(rename = "store-dtype")]
    _store_dtype: Option<IgnoredAny>,
    /// Read by [`training::device::place`].
    #[serde(rename = "device")]
    _device: Option<IgnoredAny>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Schedule {
    Constant,
    Linear,
    Cosine,
    Exponential,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    training::on_threads(context, |context| train(context, &parameters))
}

fn train(context: &mut StageCtx, parameters: &Parameters) -> Result<(), StageError> {
    let lora = learner::lora(context)?;
    let place = training::device::place(context)?;
    let model = LanguageModel::load(context.input_path("model")?).map_err(StageError::failed("read the model"))?;
    let samples = context.input_samples("samples")?;
    let end = end_of_turn(&model.tokenizer)?;
    let answers = samples
        .iter()
        .map(|sample| answer_tokens(sample, parameters.answer_style, &model.tokenizer, end))
        .collect::<Result<Vec<_>, _>>()?;
    let room = Room { context: model.config.max_position_embeddings, long: parameters.long_prompts };
    let questions = questions(context, &samples, &model.tokenizer, parameters.demonstrations, room, |sample| {
        answers[sample].len()
    })?;
    let length = parameters.steps.map_or(Length::Epochs(parameters.epochs), Length::Steps);
    let steps = order::steps(context.seed().derive("sft"), questions.len(), parameters.batch_size, length);
    let rate = parameters.rate(steps.len()).map_err(|error| StageError::parameter("lr", error.to_string()))?;
    let optimizer = AdamW {
        beta1: parameters.beta1,
        beta2: parameters.beta2,
        eps: parameters.epsilon,
        weight_decay: parameters.weight_decay,
    };

    let method = Method {
        optimizer,
        temperature: 1.0,
        lora,
        seed: context.seed(),
        rows: parameters.rows_per_pass,
        recompute: parameters.recompute,
        place,
    };
    let rows = |question: &Question| question.tokens(true).len() + answers[question.sample].len();
    let longest = questions.iter().map(rows).max().unwrap_or(0);
    let work = Work { longest, groups: parameters.batch_size, sampling: 0, others: 0 };
    let (mut learner, tables) = Learner::new(context, model, &method, work)?;
    let mut metrics: Vec<MetricRow> = learner::rows(&tables, 0)?;
    while learner.steps < steps.len() {
        let lr = rate.at(u32::try_from(learner.steps).unwrap_or(u32::MAX));
        let batch = batch(&steps[learner.steps], &questions, &answers);
        let max_norm = Some(parameters.max_grad_norm).filter(|norm| *norm > 0.0);
        let number = learner.updates + 1;
        let row =
            step(&mut learner.trainer, &batch, lr, max_norm, number).map_err(|error| error.at(context, number))?;
        learner.updates = number;
        for (name, value) in [("loss", row.loss), ("grad-norm", row.grad_norm)] {
            context.metric(name, number as u64, f64::from(value));
        }
        metrics.push(row);
        let worked: usize = batch.iter().map(|group| group.prompt.len() + group.completions[0].len()).sum();
        learner.finish_step(context, worked as u64, || Ok(vec![learner::encoded(&metrics)?]))?;
        context.progress_tokens(learner.steps as u64, steps.len() as u64, "steps", learner.tokens);
    }
    learner.save(context)?;
    context.write_table("metrics", &metrics)
}

impl Parameters {
    fn rate(&self, steps: usize) -> Result<LearningRate, RlError> {
        let shape = match self.schedule {
            Schedule::Constant => Shape::Constant,
            Schedule::Linear => Shape::Linear { floor: self.lr_floor },
            Schedule::Cosine => Shape::Cosine { floor: self.lr_floor },
            Schedule::Exponential => Shape::Exponential { decay: self.step_decay },
        };
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        LearningRate { shape, warmup: self.warm_up, steps, ..LearningRate::constant(self.lr) }.checked()
    }
}

/// Returns one group a sample: its prompt, and its answer as the only completion.
fn batch(turns: &[Turn], questions: &[Question], answers: &[Vec<u32>]) -> Vec<PromptGroup> {
    turns
        .iter()
        .map(|turn| {
            let question = &questions[turn.sample];
            PromptGroup { prompt: question.tokens(true).to_vec(), completions: vec![answers[question.sample].clone()] }
        })
        .collect()
}

/// Makes optimiser step `number` (from 1).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "columns are 32 bits wide, the model's numbers too"
)]
fn step(
    trainer: &mut Trainer,
    groups: &[PromptGroup],
    lr: f64,
    max_norm: Option<f64>,
    number: usize,
) -> Result<MetricRow, StepError> {
    let tokens: usize = groups.iter().flat_map(|group| &group.completions).map(Vec::len).sum();
    let weight = 1.0 / tokens as f64;
    let (mut loss, mut entropy) = (0.0, 0.0);
    trainer.accumulate(groups, &mut |_, scores: &[TokenScores]| -> Result<Vec<TokenGradients>, StepError> {
        let sum = |values: &[Vec<f32>]| values.iter().flatten().map(|value| f64::from(*value)).sum::<f64>();
        for scores in scores {
            loss -= weight * sum(&scores.log_probs);
            entropy += weight * sum(&scores.entropies);
        }
        if !loss.is_finite() {
            return Err(RlError::NotFinite { value: loss }.into());
        }
        let gradient = |scores: &TokenScores| -> Vec<Vec<f32>> {
            scores.log_probs.iter().map(|tokens| vec![-weight as f32; tokens.len()]).collect()
        };
        Ok(scores.iter().map(|scores| gradient(scores).into()).collect())
    })?;
    let report = trainer.step(lr, max_norm)?;
    Ok(MetricRow {
        step: number as i32,
        round: 0,
        loss: loss as f32,
        reward_mean: f32::NAN,
        reward_std: f32::NAN,
        correct_rate: f32::NAN,
        kl: 0.0,
        entropy: entropy as f32,
        clip_low: 0.0,
        clip_high: 0.0,
        grad_norm: report.grad_norm as f32,
        lr,
        live_groups: groups.len() as i32,
        dead_groups: 0,
        tokens: tokens as i64,
    })
}
