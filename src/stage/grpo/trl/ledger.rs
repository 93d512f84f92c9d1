//! From what the script tells to the tables of the stage.

use crate::{
    lm::{
        Tokenizer,
        sample::{Completion, Finish},
    },
    stage::{
        StageCtx, StageError,
        grpo::{
            batch::{Course, Group, number},
            metric_row, say,
        },
        training::rollouts::Spoken,
    },
    table::{MetricRow, RolloutRow},
};

use super::{
    child::Ended,
    error::TrlError,
    events::{Code, Event, Sampled, Told},
    parameters::NAME,
};

/// What a training has come to so far.
pub(super) struct Ledger<'a> {
    course: &'a Course<'a>,
    tokenizer: &'a Tokenizer,
    metrics: Vec<MetricRow>,
    /// By step.
    rollouts: Vec<Vec<RolloutRow>>,
    /// Tokens worked through in each step.
    worked: Vec<u64>,
    /// Of the step under way.
    groups: Vec<Group>,
    /// The error that says most.
    error: Option<(Code, String)>,
    done: bool,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(course: &'a Course<'a>, tokenizer: &'a Tokenizer) -> Self {
        Self {
            course,
            tokenizer,
            metrics: Vec::new(),
            rollouts: Vec::new(),
            worked: Vec::new(),
            groups: Vec::new(),
            error: None,
            done: false,
        }
    }

    /// Takes in what an earlier attempt has told.
    ///
    /// # Errors
    /// [`StageError::Failed`] for an update that does not fit.
    pub(super) fn remember(&mut self, event: Event) -> Result<(), StageError> {
        match event {
            Event::Begin { updates, .. } => self.begin(updates),
            Event::Update(told) => {
                self.update(*told)?;
            }
            Event::Error { .. } | Event::Done => {}
        }
        Ok(())
    }

    /// Takes in what the child tells, and hands on what people follow.
    ///
    /// # Errors
    /// [`StageError::Failed`] for an update that does not fit.
    pub(super) fn take(&mut self, context: &mut StageCtx, event: Event) -> Result<(), StageError> {
        let total = self.course.steps.len();
        match event {
            Event::Begin { updates, facts } => {
                if updates > 0 {
                    context.log(format!("going on after update {updates}, where an earlier attempt left off"));
                }
                for (name, value) in facts {
                    context.fact(&format!("trl-{name}").replace("trl-trl-", "trl-"), value);
                }
                self.begin(updates);
            }
            Event::Update(told) => {
                let row = self.update(*told)?;
                say(context, &row, &self.groups, None);
                let done = self.metrics.len() / self.course.settings.inner_steps;
                context.progress_tokens(done as u64, total as u64, "steps", self.worked.iter().sum());
            }
            // The first that names its cause: others may be what it brought about in other processes.
            Event::Error { code, message } => {
                if self.error.as_ref().is_none_or(|(first, _)| *first == Code::Other && code != Code::Other) {
                    self.error = Some((code, message));
                }
            }
            Event::Done => self.done = true,
        }
        Ok(())
    }

    /// Forgets what came after the update that the training goes on from.
    fn begin(&mut self, updates: usize) {
        let steps = updates / self.course.settings.inner_steps;
        self.metrics.truncate(updates);
        self.rollouts.truncate(steps);
        self.worked.truncate(steps);
        (self.error, self.done) = (None, false);
    }

    fn update(&mut self, told: Told) -> Result<MetricRow, StageError> {
        let (settings, update) = (self.course.settings, self.metrics.len() + 1);
        let unexpected = |what: String| StageError::failed("read what TRL tells")(TrlError::Unexpected { what });
        if told.update != update {
            return Err(unexpected(format!("update {}, after {} others", told.update, update - 1)));
        }
        let first = (update - 1).is_multiple_of(settings.inner_steps);
        match told.rollouts {
            Some(sampled) if first => self.step((update - 1) / settings.inner_steps, sampled)?,
            None if !first => {}
            _ => return Err(unexpected(format!("update {update} with or without completions where it should not"))),
        }
        let row = metric_row(settings, update, told.lr, &self.groups, &told.found);
        self.metrics.push(row.clone());
        Ok(row)
    }

    /// Takes in the completions of a step.
    fn step(&mut self, step: usize, sampled: Vec<Sampled>) -> Result<(), StageError> {
        let unexpected = |what: String| StageError::failed("read what TRL tells")(TrlError::Unexpected { what });
        if step >= self.course.steps.len() {
            return Err(unexpected(format!("step {} of {}", step + 1, self.course.steps.len())));
        }
        let prompts = self.course.prompts(step);
        let first = step * self.course.settings.prompts_per_step;
        let mut completions: Vec<Vec<Spoken>> = vec![Vec::new(); prompts.len()];
        for Sampled { row, tokens, log_probs } in sampled {
            let place = row.checked_sub(first).and_then(|place| completions.get_mut(place));
            let Some(place) = place.filter(|_| tokens.len() == log_probs.len()) else {
                return Err(unexpected(format!("a completion of prompt {row} in step {}", step + 1)));
            };
            let text = self.tokenizer.decode(&tokens).map_err(StageError::failed("read what TRL has sampled"))?;
            let stopped = tokens.last().is_some_and(|token| self.tokenizer.eos.contains(token));
            let finish = if stopped { Finish::Stop } else { Finish::Length };
            let turns = vec![text.clone()];
            place.push((Completion { tokens, log_probs, text, finish, given: Vec::new(), turns }, None));
        }
        let wanted = self.course.settings.advantages.group_size;
        if let Some(group) = completions.iter().find(|group| group.len() != wanted) {
            return Err(unexpected(format!("{} of {wanted} completions in step {}", group.len(), step + 1)));
        }
        self.groups = self.course.scored(step, prompts, completions)?;
        self.rollouts.push(self.groups.iter().flat_map(|group| group.rows(self.course.samples)).collect());
        self.worked.push(self.groups.iter().map(Group::worked).sum());
        Ok(())
    }

    /// Fails unless the child has trained to the end.
    ///
    /// # Errors
    /// What the child said was wrong, or how it ended and its last lines.
    pub(super) fn check(&mut self, context: &StageCtx, ended: Ended, tail: Vec<String>) -> Result<(), StageError> {
        let doing = "train with TRL";
        if let Some((code, message)) = self.error.take() {
            return Err(match code {
                Code::Package | Code::Argument => StageError::parameter(NAME, message),
                Code::Model => StageError::data(
                    "input `model`",
                    message,
                    "train it with `engine = \"native\"`, or bring a newer transformers",
                ),
                Code::Memory => StageError::data(
                    "the training with TRL",
                    message,
                    "take fewer completions at once (`trl = { args = { per_device_train_batch_size = … } }`), \
                     `recompute = true`, `args = { bf16 = true }`, or more devices (`launch`)",
                ),
                Code::Number => StageError::data(
                    format!("{message}, seed {}", context.seed().0),
                    "the training broke down",
                    "lower `lr`, raise `warm-up`, or check that the model it starts from is sound",
                ),
                Code::Score | Code::Other => StageError::failed(doing)(TrlError::Said { message, tail }),
            });
        }
        let whole = self.metrics.len() == self.course.steps.len() * self.course.settings.inner_steps;
        if ended.status.success() && self.done && whole {
            return Ok(());
        }
        Err(StageError::failed(doing)(ended.unexplained(tail)))
    }

    /// Returns the rows of both tables.
    pub(super) fn tables(self) -> (Vec<MetricRow>, Vec<RolloutRow>) {
        let mut rollouts: Vec<RolloutRow> = self.rollouts.into_iter().flatten().collect();
        number(&mut rollouts);
        (self.metrics, rollouts)
    }
}
