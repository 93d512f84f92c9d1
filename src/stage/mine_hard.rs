//! `mine-hard`: which samples does the current policy (almost) never solve?
//!
//! Source: ToolExpander (arXiv 2510.07737), dynamic multi-round hard sampling: a hard sample has no correct output in
//! ten rollouts of the current policy.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    stage::{StageCtx, StageError},
    table::{HardRow, RolloutRow, SampleRow},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    group_size: usize,
    max_correct: usize,
    unrolled: Unrolled,
}

/// What becomes of a sample without any rollout.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Unrolled {
    Error,
    NotHard,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    let samples: Vec<SampleRow> = context.input_table("samples")?;
    let rollouts: Vec<RolloutRow> = context.input_table("rollouts")?;
    let hard = mine(&samples, rollouts, &parameters)?;
    let kept: Vec<SampleRow> =
        samples.into_iter().zip(&hard).filter(|(_, row)| row.hard).map(|(sample, _)| sample).collect();
    context.log(format!(
        "{} of {} samples are hard: at most {} right of {}",
        kept.len(),
        hard.len(),
        parameters.max_correct,
        parameters.group_size
    ));
    context.write_table("hard", &hard)?;
    context.write_table("samples", &kept)
}

/// Returns one row a sample, in sample order.
fn mine(samples: &[SampleRow], rollouts: Vec<RolloutRow>, parameters: &Parameters) -> Result<Vec<HardRow>, StageError> {
    let mut groups: BTreeMap<&str, BTreeMap<i32, &RolloutRow>> =
        samples.iter().map(|sample| (sample.id.as_str(), BTreeMap::new())).collect();
    if groups.len() < samples.len() {
        return Err(StageError::data(
            "input `samples`",
            "two samples have the same id",
            "give every sample its own id",
        ));
    }
    for rollout in &rollouts {
        let place = || format!("input `rollouts`, sample `{}`", rollout.sample_id);
        let Some(group) = groups.get_mut(rollout.sample_id.as_str()) else {
            return Err(StageError::data(
                place(),
                "is not among the samples",
                "connect `samples` to the table that was rolled out",
            ));
        };
        if group.insert(rollout.rollout_index, rollout).is_some() {
            let what = format!("has two rollouts with index {}", rollout.rollout_index);
            return Err(StageError::data(place(), what, "number the rollouts of a sample 0, 1, 2, …"));
        }
    }
    samples.iter().map(|sample| judge(sample, &groups[sample.id.as_str()], parameters)).collect()
}

fn judge(
    sample: &SampleRow,
    group: &BTreeMap<i32, &RolloutRow>,
    parameters: &Parameters,
) -> Result<HardRow, StageError> {
    if group.is_empty() && parameters.unrolled == Unrolled::NotHard {
        let (sample_id, category) = (sample.id.clone(), sample.category.clone());
        return Ok(HardRow { sample_id, category, rollouts: 0, correct: 0, mean_reward: 0.0, hard: false });
    }
    let counted: Vec<_> = group.values().take(parameters.group_size).collect();
    if counted.len() < parameters.group_size {
        return Err(StageError::data(
            format!("input `rollouts`, sample `{}`", sample.id),
            format!("has {} rollouts, {} are needed", counted.len(), parameters.group_size),
            "make the rollout stage's `group-size` at least that of this stage",
        ));
    }
    let correct = counted.iter().filter(|rollout| rollout.correct).count();
    let total: f64 = counted.iter().map(|rollout| f64::from(rollout.reward)).sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_possible_wrap,
        reason = "a group has few rollouts"
    )]
    Ok(HardRow {
        sample_id: sample.id.clone(),
        category: sample.category.clone(),
        rollouts: counted.len() as i32,
        correct: correct as i32,
        mean_reward: (total / counted.len() as f64) as f32,
        hard: correct <= parameters.max_correct,
    })
}
