//! `rollout`: completions of every sample under the current policy, scored.

use serde::Deserialize;

use crate::{
    lm::{
        LanguageModel,
        sample::{PromptRequest, Sampling},
    },
    stage::{
        StageCtx, StageError,
        training::{
            self,
            completions::{Constrain, Order},
            prompts::{LongPrompts, Question, Room, questions},
            rollouts::scored,
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
    min_p: f32,
    top_k: usize,
    max_tokens: usize,
    stop: Vec<String>,
    constrain: Constrain,
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
        min_p: parameters.min_p,
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
    let mut groups: Vec<Vec<RolloutRow>> = vec![Vec::new(); questions.len()];
    let (mut ended, mut reward) = (0_usize, 0.0);
    let grammar = |question: &Question| parameters.constrain.grammar(&samples[question.sample]);
    let grammars = questions.iter().map(grammar).collect();
    let order = Order {
        model: &model,
        requests: &requests,
        sampling: &sampling,
        seed: context.seed(),
        grammars,
        unit: "rollouts",
    };
    order.complete(context, |context, request, completions| {
        let (question, tokens) = (&questions[request], requests[request].tokens.len());
        let sample = &samples[question.sample];
        let rollouts = scored(&parameters.rewards, sample, completions.to_vec());
        ended += rollouts.len();
        reward += rollouts.iter().map(|rollout| rollout.reward.total).sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        context.metric("reward", ended as u64, reward / ended as f64);
        let rows = rollouts.iter().enumerate();
        groups[request] = rows.map(|(index, it)| it.row(sample, index, tokens, question.shown.is_some())).collect();
    })?;
    let table: Vec<RolloutRow> = groups.into_iter().flatten().collect();
    let solved = table.chunks(parameters.group_size).filter(|group| group.iter().any(|row| row.correct)).count();
    context.log(format!(
        "{} of {} rollouts are right, {solved} of {} samples at least once",
        table.iter().filter(|row| row.correct).count(),
        table.len(),
        questions.len()
    ));
    context.write_table("rollouts", &table)
}
