//! Sampled completions, scored: what `rollout` writes and `grpo` learns from.

use crate::{
    lm::sample::Completion,
    stage::backend::{Answer, Talk},
    table::RolloutRow,
    tools::{
        Judgement, Sample, episode, judge,
        reward::{RewardParts, RewardSpec, score_judged},
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

/// A completion and, if it is a conversation with tools, what that came to.
pub(in crate::stage) type Spoken = (Completion, Option<Box<Talk>>);

/// Scores completions of one sample.
pub(in crate::stage) fn scored(spec: &RewardSpec, sample: &Sample, completions: Vec<Spoken>) -> Vec<Rollout> {
    completions
        .into_iter()
        .map(|(completion, talk)| Rollout {
            reward: score(spec, sample, &completion.text, talk.as_deref()),
            completion,
        })
        .collect()
}

/// Judges a completion: the text, or the conversation that it is.
pub(in crate::stage) fn judged(sample: &Sample, text: &str, talk: Option<&Talk>) -> Judgement {
    match talk {
        None => judge(sample, text),
        Some(talk) => episode::judge(sample, &talk.turns, &talk.trace, &talk.gold),
    }
}

/// Rewards a completion.
pub(in crate::stage) fn score(spec: &RewardSpec, sample: &Sample, text: &str, talk: Option<&Talk>) -> RewardParts {
    score_judged(spec, sample, text, &judged(sample, text, talk))
}

impl Rollout {
    /// Returns the row of the table.
    pub(in crate::stage) fn row(
        &self,
        sample: &Sample,
        index: usize,
        prompt_tokens: usize,
        demonstrated: bool,
    ) -> RolloutRow {
        Answer::from(&self.completion).row(sample, &self.reward, index, prompt_tokens, demonstrated)
    }
}

impl Answer {
    /// Returns the row of the table.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "columns are 32 bits wide; contexts and tables are far smaller"
    )]
    pub(in crate::stage) fn row(
        &self,
        sample: &Sample,
        reward: &RewardParts,
        index: usize,
        prompt_tokens: usize,
        demonstrated: bool,
    ) -> RolloutRow {
        RolloutRow {
            sample_id: sample.id.clone(),
            rollout_index: index as i32,
            completion: self.text.clone(),
            finish: self.finish.as_str().to_owned(),
            prompt_tokens: prompt_tokens as i32,
            completion_tokens: self.tokens as i32,
            log_prob: self.log_prob,
            format: reward.format as f32,
            correctness: reward.correctness as f32,
            execution: reward.execution as f32,
            bonus: reward.bonus as f32,
            reward: reward.total as f32,
            correct: reward.correct,
            demonstrated,
        }
    }
}
