//! The rollouts of one step: which prompts, what was sampled, what it is worth.

use std::collections::HashMap;

use crate::{
    base::Seed,
    lm::{
        sample::{Completion, PromptRequest},
        train::{PromptGroup, Trainer},
    },
    rl::{Totals, advantages},
    stage::{
        StageCtx, StageError,
        training::{
            order::Turn,
            prompts::Question,
            rollouts::{Rollout, Spoken, scored},
            turns::Turns,
        },
        worlds::Worlds,
    },
    table::RolloutRow,
    tools::{Sample, reward::RewardSpec},
};

use super::parameters::Settings;

/// Rewards that differ by less are equal.
const EQUAL: f64 = 1e-8;

/// What the round trains on.
pub(super) struct Course<'a> {
    pub(super) settings: &'a Settings,
    pub(super) worlds: &'a Worlds,
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
    fn new(prompt: Prompt, rollouts: Vec<Rollout>, advantages: &[f64]) -> Self {
        let first = rollouts.first().map_or(0.0, |rollout| rollout.reward.total);
        let live = rollouts.iter().any(|rollout| (rollout.reward.total - first).abs() > EQUAL);
        let completions = rollouts.iter().map(|rollout| rollout.completion.tokens.clone()).collect();
        Self {
            sample: prompt.sample,
            demonstrated: prompt.demonstrated,
            // Equal rewards can leave advantages of rounding errors.
            advantages: if live { advantages.to_vec() } else { vec![0.0; rollouts.len()] },
            live,
            tokens: PromptGroup { prompt: prompt.request.tokens, completions },
            rollouts,
        }
    }

    /// Returns the rows of the table, numbered within the group.
    pub(super) fn rows(&self, samples: &[Sample]) -> Vec<RolloutRow> {
        let sample = &samples[self.sample];
        let row = |(index, rollout): (usize, &Rollout)| {
            rollout.row(sample, index, self.tokens.prompt.len(), self.demonstrated)
        };
        self.rollouts.iter().enumerate().map(row).collect()
    }

    /// Returns the tokens to work through: the prompt's, once, and those of all completions.
    pub(super) fn worked(&self) -> u64 {
        (self.tokens.prompt.len() + self.tokens.completions.iter().map(Vec::len).sum::<usize>()) as u64
    }
}

impl Course<'_> {
    /// Samples and scores the rollouts of step `step` with the policy as it is. `tokens` were worked through before, for the progress.
    pub(super) fn roll(
        &self,
        context: &mut StageCtx,
        policy: &Trainer,
        step: usize,
        tokens: u64,
    ) -> Result<Vec<Group>, StageError> {
        let prompts = self.prompts(step);
        let requests: Vec<PromptRequest> = prompts.iter().map(|prompt| prompt.request.clone()).collect();
        let (seed, total) = (context.seed().0, self.steps.len() as u64);
        let failed = || StageError::failed(format!("sample rollouts at step {} (seed {seed})", step + 1));
        let seed_of_rollouts = self.seed.derive("rollouts");
        let mut generation = policy
            .generation(&requests, &self.settings.sampling, seed_of_rollouts, self.worlds.batch())
            .map_err(failed())?;
        let limits = self.settings.limits;
        generation = generation.at_most(limits.tokens);
        let samples = prompts.iter().map(|prompt| &self.samples[prompt.sample]).collect();
        let mut turns = Turns::new(&policy.model().tokenizer, self.worlds, samples, limits.turns);
        let mut completions: Vec<Vec<Spoken>> = vec![Vec::new(); requests.len()];
        while let Some(news) = generation.step_with(&mut |turn| turns.follow(turn)).map_err(failed())? {
            if !news.ended.is_empty() {
                context.progress_tokens(step as u64, total, "steps", tokens + news.progress.tokens as u64);
            }
            for (request, ended) in news.ended {
                let talk = |(index, completion): (usize, Completion)| -> Result<Spoken, StageError> {
                    let talk = turns.end(request, index, completion.turns.clone())?;
                    Ok((completion, talk))
                };
                completions[request] = ended.into_iter().enumerate().map(talk).collect::<Result<_, _>>()?;
            }
        }
        self.scored(step, prompts, completions)
    }

    /// Returns how completions of step `step` are scored.
    fn rewards(&self, step: usize) -> RewardSpec {
        let mut spec = self.settings.rewards.clone();
        spec.step = u32::try_from(self.steps_before() + step).unwrap_or(u32::MAX);
        spec
    }

    /// Returns the steps of the rounds before this one.
    pub(super) fn steps_before(&self) -> usize {
        self.steps.len() * (self.settings.rate.round.saturating_sub(1) as usize)
    }

    /// Returns the groups of a step, with their advantages. `completions` are in the order of `prompts`.
    pub(super) fn scored(
        &self,
        step: usize,
        prompts: Vec<Prompt>,
        completions: Vec<Vec<Spoken>>,
    ) -> Result<Vec<Group>, StageError> {
        let spec = self.rewards(step);
        let rollouts = prompts
            .iter()
            .zip(completions)
            .map(|(prompt, completions)| scored(&spec, &self.samples[prompt.sample], completions))
            .collect::<Vec<Vec<Rollout>>>();
        let rewards: Vec<Vec<f64>> = rollouts.iter().flatten().map(|rollout| vec![rollout.reward.total]).collect();
        let advantages =
            advantages(&rewards, &self.settings.advantages).map_err(StageError::failed("compute advantages"))?;
        let chunks = advantages.values.chunks(self.settings.advantages.group_size);
        Ok(prompts.into_iter().zip(rollouts).zip(chunks).map(|((p, r), a)| Group::new(p, r, a)).collect())
    }

    /// Returns the prompts of step `step`, with or without demonstrations as the draw has it.
    pub(super) fn prompts(&self, step: usize) -> Vec<Prompt> {
        let prompt = |turn: &Turn| {
            let question = &self.questions[turn.sample];
            let id = &self.samples[question.sample].id;
            let keeps = self.settings.keep.keeps(self.seed, id, step, self.steps.len());
            let demonstrated = question.shown.is_some() && keeps;
            let request = PromptRequest {
                // A step can take a sample twice when it goes through several epochs: different streams.
                id: format!("{}/{id}", turn.epoch),
                tokens: question.tokens(demonstrated).to_vec(),
                count: self.settings.advantages.group_size,
            };
            Prompt { sample: question.sample, demonstrated, request }
        };
        self.steps[step].iter().map(prompt).collect()
    }
}

/// Numbers the rollouts of each sample through the round, in the order of the rows.
pub(super) fn number(rollouts: &mut [RolloutRow]) {
    let mut had: HashMap<String, i32> = HashMap::new();
    for row in rollouts {
        let index = had.entry(row.sample_id.clone()).or_default();
        row.rollout_index = *index;
        *index += 1;
    }
}

/// One prompt of a step.
pub(super) struct Prompt {
    /// The sample's index in its table.
    pub(super) sample: usize,
    demonstrated: bool,
    pub(super) request: PromptRequest,
}

/// Returns what the loss of a step is averaged over: every completion, those of dead groups included, so that skipping
/// them changes nothing. What completions read between their turns is no part of it.
#[expect(clippy::cast_precision_loss, reason = "a step has fewer than 2^53 tokens")]
pub(super) fn totals(groups: &[Group]) -> Totals {
    let lengths = || groups.iter().flat_map(|group| &group.rollouts).map(|rollout| rollout.completion.count_drawn());
    Totals {
        sequences: lengths().count() as f64,
        filled: lengths().filter(|length| *length > 0).count() as f64,
        tokens: lengths().sum::<usize>() as f64,
    }
}
