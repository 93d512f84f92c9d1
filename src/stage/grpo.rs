//! `grpo`: one round of training on groups of the policy's own rollouts.
//!
//! Sources: DeepSeekMath (arXiv 2402.03300) for the algorithm; ToolExpander (arXiv 2510.07737) for the learning rate that
//! decays over rounds, no KL term with unequal clip bounds, and demonstrations for samples that the policy cannot solve.
//! Differences from TRL's trainer: groups whose rewards are all equal are not trained on when there is no KL term (their
//! gradient is 0, and they still count in what the loss is averaged over); the smallest deviation that advantages are divided by is
//! `std-floor`; demonstrations are taken away during the round with a probability that moves in a line, and a prompt with them and the same prompt without are never normalised
//! together, since a group is the rollouts of one rendered prompt.

mod anneal;
mod batch;
mod parameters;
mod trl;
mod update;

use std::time::Instant;

use crate::{
    base::Seed,
    lm::{Config, LanguageModel, Place, speed, train::Trainer},
    stage::{
        StageCtx, StageError,
        training::{
            self,
            learner::{self, Learner, Method, StepError, Work},
            order,
            prompts::{Question, Room, questions},
            rollouts::BATCH,
        },
        worlds::Worlds,
    },
    table::{MetricRow, RolloutRow},
};

use batch::{Course, Group, number, totals};
use parameters::{Engine, Parameters, Settings};
use update::{Lesson, Update};

pub use trl::serve_scores;

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let settings = context.params::<Parameters>()?.checked()?;
    match settings.engine {
        Engine::Native => training::on_threads(context, |context| train(context, &settings)),
        Engine::Trl => trl::train(context, &settings),
    }
}

fn train(context: &mut StageCtx, settings: &Settings) -> Result<(), StageError> {
    let lora = learner::lora(context)?;
    let place = training::device::place(context)?;
    let model = LanguageModel::load(context.input_path("model")?).map_err(StageError::failed("read the model"))?;
    let worlds = Worlds::read(context)?;
    let mut samples = context.input_samples("samples")?;
    worlds.offer(&mut samples)?;
    let room = Room { context: model.config.max_position_embeddings, long: settings.long_prompts };
    let questions = questions(context, &samples, &model.tokenizer, true, room, |_| settings.sampling.max_tokens)?;
    let mut reference = reference(context, settings, place, &model.config)?;

    let seed = seed(context, settings);
    let steps = order::steps(seed, questions.len(), settings.prompts_per_step, settings.length);
    let course = Course { settings, worlds: &worlds, samples: &samples, questions: &questions, steps: &steps, seed };

    let method = Method {
        optimizer: settings.optimizer,
        temperature: settings.sampling.temperature,
        lora,
        seed,
        rows: settings.rows_per_pass,
        recompute: settings.recompute,
        place,
    };
    let work = work(settings, &model, &questions);
    let (mut learner, tables) = Learner::new(context, model, &method, work)?;
    let mut metrics: Vec<MetricRow> = learner::rows(&tables, 0)?;
    let mut rollouts: Vec<RolloutRow> = learner::rows(&tables, 1)?;
    // Of a device, nobody has measured what it can do.
    let peak = (place == Place::Cpu).then(|| speed::plain_product(5));
    while learner.steps < steps.len() {
        let step = learner.steps;
        learner.trainer.release_activations();
        let groups = course.roll(context, &learner.trainer, step, learner.tokens)?;
        rollouts.extend(groups.iter().flat_map(|group| group.rows(&samples)));
        let lr = settings.rate.at(u32::try_from(step).unwrap_or(u32::MAX));
        let failed = |error: StepError, context: &StageCtx, updates: usize| error.at(context, updates + 1);
        let lesson = Lesson::new(settings, &groups, totals(&groups), reference.as_mut())
            .map_err(|error| failed(error, context, learner.updates))?;
        for _ in 0..settings.inner_steps {
            let began = Instant::now();
            let update =
                lesson.update(&mut learner.trainer, lr).map_err(|error| failed(error, context, learner.updates))?;
            let speed = lesson.operations(learner.trainer.model()) / began.elapsed().as_secs_f64();
            learner.updates += 1;
            let row = metric_row(settings, learner.updates, lr, &groups, &update);
            say(context, &row, &groups, peak.map(|peak| speed / peak));
            metrics.push(row);
        }
        learner.finish_step(context, groups.iter().map(Group::worked).sum(), || {
            Ok(vec![learner::encoded(&metrics)?, learner::encoded(&rollouts)?])
        })?;
        context.progress_tokens(learner.steps as u64, steps.len() as u64, "steps", learner.tokens);
    }
    number(&mut rollouts);
    learner.save(context)?;
    context.write_table("metrics", &metrics)?;
    context.write_table("rollouts", &rollouts)
}

/// Returns the seed of the round: rounds draw from streams of their own, though the stage's seed may be the same in all.
fn seed(context: &StageCtx, settings: &Settings) -> Seed {
    context.seed().derive(&format!("grpo round {}", settings.rate.round))
}

/// Returns how much there is to do at once.
fn work(settings: &Settings, model: &LanguageModel, questions: &[Question]) -> Work {
    let (group_size, prompts) = (settings.advantages.group_size, settings.prompts_per_step);
    let tokens = |question: &Question| question.tokens(true).len().max(question.tokens(false).len());
    let prompt = questions.iter().map(tokens).max().unwrap_or(0);
    let Config { num_hidden_layers: layers, num_key_value_heads: heads, head_dim, vocab_size, .. } = model.config;
    // Keys and values of the prompts and of all that grow together, their logits, and the weights in panels.
    let positions = prompts * prompt + BATCH.min(prompts * group_size) * settings.limits.tokens;
    let floats = 2 * layers * heads * head_dim * positions + (prompts + BATCH) * vocab_size + model.weights.count();
    Work {
        longest: prompt + group_size * (settings.limits.tokens - 1),
        groups: prompts,
        sampling: 4 * floats as u64,
        others: if settings.kl.is_some() { 4 * model.weights.count() as u64 } else { 0 },
    }
}

/// Returns the port of the reference policy.
fn reference_port(context: &StageCtx) -> &'static str {
    if context.has_input("reference") { "reference" } else { "model" }
}

/// Loads the reference policy if there is a KL term.
fn reference(
    context: &StageCtx,
    settings: &Settings,
    place: Place,
    policy: &Config,
) -> Result<Option<Trainer>, StageError> {
    if settings.kl.is_none() {
        return Ok(None);
    }
    let model = LanguageModel::load(context.input_path(reference_port(context))?)
        .map_err(StageError::failed("read the reference model"))?;
    check_reference(model.config.vocab_size, policy.vocab_size)?;
    let reference =
        Trainer::on(place, model, settings.optimizer).map_err(StageError::failed("set up the reference model"))?;
    let rows = settings.rows_per_pass.unwrap_or(Trainer::DEFAULT_ROWS);
    Ok(Some(reference.at_temperature(settings.sampling.temperature).rows_per_pass(rows)))
}

/// Refuses a reference policy whose tokens are not the policy's.
fn check_reference(tokens: usize, of_policy: usize) -> Result<(), StageError> {
    if tokens == of_policy {
        return Ok(());
    }
    Err(StageError::data(
        "input `reference`",
        format!("has {tokens} tokens, the policy {of_policy}"),
        "connect a model with the policy's tokenizer: the policy before some of its training",
    ))
}

/// Returns the row of one optimiser update.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "columns are 32 bits wide, counts of one step are far smaller"
)]
fn metric_row(settings: &Settings, updates: usize, lr: f64, groups: &[Group], update: &Update) -> MetricRow {
    let rollouts = || groups.iter().flat_map(|group| &group.rollouts);
    let count = rollouts().count() as f64;
    let mean = rollouts().map(|rollout| rollout.reward.total).sum::<f64>() / count;
    let variance = rollouts().map(|rollout| (rollout.reward.total - mean).powi(2)).sum::<f64>() / count;
    let live = groups.iter().filter(|group| group.live).count();
    MetricRow {
        step: updates as i32,
        round: settings.rate.round as i32,
        loss: update.loss as f32,
        reward_mean: mean as f32,
        reward_std: variance.sqrt() as f32,
        correct_rate: (rollouts().filter(|rollout| rollout.reward.correct).count() as f64 / count) as f32,
        kl: update.kl as f32,
        entropy: update.entropy as f32,
        clip_low: update.clip_low as f32,
        clip_high: update.clip_high as f32,
        grad_norm: update.grad_norm as f32,
        lr,
        live_groups: live as i32,
        dead_groups: (groups.len() - live) as i32,
        tokens: update.tokens as i64,
    }
}

/// Says the numbers that people follow; `mfu` is the share of the machine's speed that the update reached, if it is known.
#[expect(clippy::cast_precision_loss, reason = "a step has few groups")]
fn say(context: &mut StageCtx, row: &MetricRow, groups: &[Group], mfu: Option<f64>) {
    let step = row.step.unsigned_abs().into();
    let share = |count: usize| count as f32 / groups.len() as f32;
    if let Some(mfu) = mfu {
        context.metric("mfu", step, mfu);
    }
    for (name, value) in [
        ("reward", row.reward_mean),
        ("correct", row.correct_rate),
        ("loss", row.loss),
        ("kl", row.kl),
        ("entropy", row.entropy),
        ("grad-norm", row.grad_norm),
        ("live", share(groups.iter().filter(|group| group.live).count())),
        ("demonstrated", share(groups.iter().filter(|group| group.demonstrated).count())),
    ] {
        context.metric(name, step, f64::from(value));
    }
}
