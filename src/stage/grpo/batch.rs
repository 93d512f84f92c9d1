//! The rollouts of one step: which prompts, what was sampled, what it is worth.

use crate::{
    base::Seed,
    lm::{
        LanguageModel,
        sample::{PromptRequest, sample},
        train::PromptGroup,
    },
    rl::{Totals, advantages},
    stage::{
        StageCtx, StageError,
        training::{
            order::Turn,
            prompts::Question,
            rollouts::{BATCH, Rollout, scored},
        },
    },
    tools::Sample,
};

use super::parameters::Settings;

/// Rewards that differ by less are equal.
const EQUAL: f64 = 1e-8;

/// What the round trains on.
pub(super) struct Course<'a> {
    pub(super) settings: &'a Settings,
    pub(super) samples: &'a [Sample],
    pub(super) questions: &'a [Question],
    /// The turns of every step.
    pub(super) steps: &'a [Vec<Turn>],
    pub(super) seed: Seed,
}

/// The rollouts of one prompt.
pub(super) struct Group {
    /// The sample's index in its table.
    pub(super) sample: usize,
    /// The prompt showed demonstrations.
    pub(super) demonstrated: bool,
    pub(super) rollouts: Vec<Rollout>,
    /// One advantage a rollout; all 0 where the group is not live.
    pub(super) advantages: Vec<f64>,
    /// The rewards differ.
    pub(super) live: bool,
    /// Prompt and completions, as the trainer takes them.
    pub(super) tokens: PromptGroup,
}

impl Group {
    /// Returns the tokens of all completions.
    pub(super) fn completion_tokens(&self) -> usize {
        self.tokens.completions.iter().map(Vec::len).sum()
    }
}

impl Course<'_> {
    /// Samples and scores the rollouts of step `step`.
    pub(super) fn roll(
        &self,
        context: &StageCtx,
        model: &LanguageModel,
        step: usize,
    ) -> Result<Vec<Group>, StageError> {
        let Self { settings, samples, questions, .. } = self;
        let size = settings.advantages.group_size;
        let turns = &self.steps[step];
        let shown: Vec<bool> = turns
            .iter()
            .map(|turn| {
                let question = &questions[turn.sample];
                let id = &samples[question.sample].id;
                question.shown.is_some() && settings.keep.keeps(self.seed, id, step, self.steps.len())
            })
            .collect();
        let requests: Vec<PromptRequest> = turns
            .iter()
            .zip(&shown)
            .map(|(turn, shown)| {
                let question = &questions[turn.sample];
                // A step can take a sample twice when it goes through several epochs: different streams.
                let id = format!("{}/{}", turn.epoch, samples[question.sample].id);
                PromptRequest { id, tokens: question.tokens(*shown).to_vec(), count: size }
            })
            .collect();
        let completions =
            sample(model, &requests, &settings.sampling, self.seed.derive("rollouts"), BATCH, &mut |_| {}).map_err(
                StageError::failed(format!("sample rollouts at step {} (seed {})", step + 1, context.seed().0)),
            )?;
        let rollouts: Vec<Vec<Rollout>> = turns
            .iter()
            .zip(completions)
            .map(|(turn, completions)| scored(&settings.rewards, &samples[questions[turn.sample].sample], completions))
            .collect();
        let rewards: Vec<Vec<f64>> = rollouts.iter().flatten().map(|rollout| vec![rollout.reward.total]).collect();
        let advantages =
            advantages(&rewards, &settings.advantages).map_err(StageError::failed("compute advantages"))?;
        let groups = turns.iter().zip(shown).zip(requests).zip(rollouts).zip(advantages.values.chunks(size));
        Ok(groups
            .map(|((((turn, demonstrated), request), rollouts), advantages)| {
                let first = rollouts.first().map_or(0.0, |rollout| rollout.reward.total);
                let live = rollouts.iter().any(|rollout| (rollout.reward.total - first).abs() > EQUAL);
                let completions = rollouts.iter().map(|rollout| rollout.completion.tokens.clone()).collect();
                Group {
                    sample: questions[turn.sample].sample,
                    demonstrated,
                    advantages: if live { advantages.to_vec() } else { vec![0.0; rollouts.len()] },
                    live,
                    tokens: PromptGroup { prompt: request.tokens, completions },
                    rollouts,
                }
            })
            .collect())
    }
}

/// Returns what the loss of a step is averaged over: every completion, those of dead groups included, so that skipping
/// them changes nothing.
#[expect(clippy::cast_precision_loss, reason = "a step has fewer than 2^53 tokens")]
pub(super) fn totals(groups: &[Group]) -> Totals {
    let lengths = || groups.iter().flat_map(|group| &group.tokens.completions).map(Vec::len);
    Totals {
        sequences: lengths().count() as f64,
        filled: lengths().filter(|length| *length > 0).count() as f64,
        tokens: lengths().sum::<usize>() as f64,
    }
}
