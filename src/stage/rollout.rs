//! `rollout`: completions of every sample under the current policy, scored.

use serde::Deserialize;

use crate::{
    lm::{
        LanguageModel,
        sample::{PromptRequest, Sampling, sample},
    },
    stage::{
        StageCtx, StageError,
        training::{
            self,
            prompts::{LongPrompts, Room, questions},
            rollouts::{BATCH, scored},
        },
    },
    table::RolloutRow,
    tools::reward::RewardSpec,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    demonstrations: bool,
    group_size: usize,
    temperature: f32,
    top_p: f32,
    top_k: usize,
    max_tokens: usize,
    stop: Vec<String>,
    rewards: RewardSpec,
    long_prompts: LongPrompts,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    training::on_threads(context, |context| roll(context, &parameters))
}

fn roll(context: &mut StageCtx, parameters: &Parameters) -> Result<(), StageError> {
    let model = LanguageModel::load(context.input_path("model")?).map_err(StageError::failed("read the model"))?;
    let samples = context.input_samples("samples")?;
    let room = Room { context: model.config.max_position_embeddings, long: parameters.long_prompts };
    let questions =
        questions(context, &samples, &model.tokenizer, parameters.demonstrations, room, |_| parameters.max_tokens)?;
    let sampling = Sampling {
        temperature: parameters.temperature,
        top_k: parameters.top_k,
        top_p: parameters.top_p,
        max_tokens: parameters.max_tokens,
        stop: parameters.stop.clone(),
    };
    let requests: Vec<PromptRequest> = questions
        .iter()
        .map(|question| PromptRequest {
            id: samples[question.sample].id.clone(),
            tokens: question.tokens(true).to_vec(),
            count: parameters.group_size,
        })
        .collect();
    let seed = context.seed();
    let mut told = 0;
    let completions = sample(&model, &requests, &sampling, seed, BATCH, &mut |progress| {
        if progress.done > told {
            told = progress.done;
            context.progress_tokens(told as u64, progress.total as u64, "rollouts", progress.tokens as u64);
        }
    })
    .map_err(StageError::failed(format!("sample completions (seed {})", seed.0)))?;
    let mut table: Vec<RolloutRow> = Vec::with_capacity(requests.len() * parameters.group_size);
    for ((question, request), completions) in questions.iter().zip(&requests).zip(completions) {
        let sample = &samples[question.sample];
        for (index, rollout) in scored(&parameters.rewards, sample, completions).into_iter().enumerate() {
            table.push(rollout.row(sample, index, request.tokens.len(), question.shown.is_some()));
        }
    }
    let solved = table.chunks(parameters.group_size).filter(|group| group.iter().any(|row| row.correct)).count();
    context.log(format!(
        "{} of {} rollouts are right, {solved} of {} samples at least once",
        table.iter().filter(|row| row.correct).count(),
        table.len(),
        questions.len()
    ));
    context.write_table("rollouts", &table)
}
