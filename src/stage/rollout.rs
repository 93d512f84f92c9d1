//! `rollout`: completions of every sample under the current policy, scored.

use serde::Deserialize;

use crate::{
    lm::sample::{PromptRequest, Sampling},
    stage::{
        StageCtx, StageError,
        training::{
            self,
            completions::Order,
            constrain::Constrain,
            policy::Policy,
            prompts::{LongPrompts, Question, Room, questions},
        },
    },
    table::RolloutRow,
    tools::reward::{RewardSpec, score},
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
    #[serde(default)]
    backend: serde_json::Value,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    training::on_threads(context, |context| roll(context, &parameters))
}

fn roll(context: &mut StageCtx, parameters: &Parameters) -> Result<(), StageError> {
    let policy = Policy::read(context, &parameters.backend)?;
    let samples = context.input_samples("samples")?;
    let room = Room { context: policy.context(), long: parameters.long_prompts };
    let questions =
        questions(context, &samples, policy.tokenizer(), parameters.demonstrations, room, |_| parameters.max_tokens)?;
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
    let texts = policy.texts(context, &samples, &questions, parameters.demonstrations)?;
    let mut groups: Vec<Vec<RolloutRow>> = vec![Vec::new(); questions.len()];
    let (mut ended, mut reward) = (0_usize, 0.0);
    let grammar = |question: &Question| parameters.constrain.grammar(&samples[question.sample]);
    let grammars = questions.iter().map(grammar).collect();
    let order = Order {
        policy: &policy,
        requests: &requests,
        texts: &texts,
        sampling: &sampling,
        seed: context.seed(),
        grammars,
        unit: "rollouts",
    };
    order.complete(context, |context, request, answers| {
        let (question, tokens) = (&questions[request], requests[request].tokens.len());
        let sample = &samples[question.sample];
        let rewards: Vec<_> = answers.iter().map(|answer| score(&parameters.rewards, sample, &answer.text)).collect();
        ended += answers.len();
        reward += rewards.iter().map(|reward| reward.total).sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
        context.metric("reward", ended as u64, reward / ended as f64);
        let rows = answers.iter().zip(&rewards).enumerate();
        groups[request] = rows
            .map(|(index, (answer, reward))| answer.row(sample, reward, index, tokens, question.shown.is_some()))
            .collect();
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
