//! Sampled completions, scored: what `rollout` writes and `grpo` learns from.

use crate::{
    lm::sample::Completion,
    table::RolloutRow,
    tools::{
        Sample,
        reward::{RewardParts, RewardSpec, score},
    },
};

/// How many sequences are generated at once. It moves memory and speed only: every rollout has its own random stream.
pub(in crate::stage) const BATCH: usize = 64;

/// A completion and what it is worth.
#[derive(Clone, Debug)]
pub(in crate::stage) struct Rollout {
    pub(in crate::stage) completion: Completion,
    pub(in crate::stage) reward: RewardParts,
}

/// Scores completions of one sample.
pub(in crate::stage) fn scored(spec: &RewardSpec, sample: &Sample, completions: Vec<Completion>) -> Vec<Rollout> {
    completions
        .into_iter()
        .map(|completion| Rollout { reward: score(spec, sample, &completion.text), completion })
        .collect()
}

impl Rollout {
    /// Returns the row of the table.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "columns are 32 bits wide; contexts and tables are far smaller"
    )]
    pub(in crate::stage) fn row(
        &self,
        sample: &Sample,
        index: usize,
        prompt_tokens: usize,
        demonstrated: bool,
    ) -> RolloutRow {
        let log_prob: f64 = self.completion.log_probs.iter().map(|value| f64::from(*value)).sum();
        RolloutRow {
            sample_id: sample.id.clone(),
            rollout_index: index as i32,
            completion: self.completion.text.clone(),
            finish: self.completion.finish.as_str().to_owned(),
            prompt_tokens: prompt_tokens as i32,
            completion_tokens: self.completion.tokens.len() as i32,
            log_prob: log_prob as f32,
            format: self.reward.format as f32,
            correctness: self.reward.correctness as f32,
            execution: self.reward.execution as f32,
            bonus: self.reward.bonus as f32,
            reward: self.reward.total as f32,
            correct: self.reward.correct,
            demonstrated,
        }
    }
}
