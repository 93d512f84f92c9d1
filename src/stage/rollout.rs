//! `rollout`: completions of every sample under the current policy, scored.

use crate::{
    stage::{
        StageCtx, StageError,
        training::{self, completions::Order, rollouts::score},
    },
    table::RolloutRow,
    tools::reward::RewardSpec,
};

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    training::on_threads(context, roll)
}

fn roll(context: &mut StageCtx) -> Result<(), StageError> {
    let (group_size, spec): (usize, RewardSpec) = (context.param("group-size")?, context.param("rewards")?);
    let seed = context.seed();
    let order = Order::read(context, group_size, seed, "rollouts")?;
    let mut groups: Vec<Vec<RolloutRow>> = vec![Vec::new(); order.questions.len()];
    let (mut ended, mut reward) = (0_usize, 0.0);
    order.complete(context, |context, request, answers| {
        let (question, tokens) = (&order.questions[request], order.requests[request].tokens.len());
        let sample = order.sample_of(request);
        let rewards: Vec<_> =
            answers.iter().map(|answer| score(&spec, sample, &answer.text, answer.talk.as_deref())).collect();
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
    let solved = table.chunks(group_size).filter(|group| group.iter().any(|row| row.correct)).count();
    context.log(format!(
        "{} of {} rollouts are right, {solved} of {} samples at least once",
        table.iter().filter(|row| row.correct).count(),
        table.len(),
        order.questions.len()
    ));
    context.write_table("rollouts", &table)
}
