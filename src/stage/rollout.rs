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
    let total = (questions.len() * parameters.group_size) as u64;
    let seed = context.seed();
    let (mut table, mut tokens, mut correct) = (Vec::new(), 0_u64, 0_u64);
    // A chunk at a time, so that memory does not grow with the table and progress is seen.
    for chunk in questions.chunks(BATCH.div_ceil(parameters.group_size)) {
        let requests: Vec<PromptRequest> = chunk
            .iter()
            .map(|question| PromptRequest {
                id: samples[question.sample].id.clone(),
                tokens: question.tokens(true).to_vec(),
                count: parameters.group_size,
            })
            .collect();
        let completions = sample(&model, &requests, &sampling, seed, BATCH, &mut |_| {})
            .map_err(StageError::failed(format!("sample completions (seed {})", seed.0)))?;
        for ((question, request), completions) in chunk.iter().zip(&requests).zip(completions) {
            let sample = &samples[question.sample];
            for (index, rollout) in scored(&parameters.rewards, sample, completions).into_iter().enumerate() {
                tokens += rollout.completion.tokens.len() as u64;
                correct += u64::from(rollout.reward.correct);
                table.push(rollout.row(sample, index, request.tokens.len(), question.shown.is_some()));
            }
        }
        context.progress_tokens(table.len() as u64, total, "rollouts", tokens);
    }
    let solved: std::collections::BTreeSet<&str> =
        table.iter().filter(|row| row.correct).map(|row| row.sample_id.as_str()).collect();
    context.log(format!(
        "{correct} of {total} rollouts are right, {} of {} samples at least once",
        solved.len(),
        questions.len()
    ));
    context.write_table("rollouts", &table)
}
