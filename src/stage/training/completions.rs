//! Completions of many prompts, told as they come and kept for an attempt that has to go on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    base::Seed,
    lm::{
        LanguageModel,
        sample::{Completion, Finish, Generation, PromptRequest, Sampling},
    },
    stage::{
        StageCtx, StageError,
        training::{
            checkpoint::{self, State},
            pace::Pace,
            rollouts::BATCH,
        },
    },
    tools::{Sample, Style, grammar},
};

/// What is to be completed, and how.
pub(in crate::stage) struct Order<'a> {
    pub(in crate::stage) model: &'a LanguageModel,
    pub(in crate::stage) requests: &'a [PromptRequest],
    pub(in crate::stage) sampling: &'a Sampling,
    pub(in crate::stage) seed: Seed,
    /// What the completions of each request are held to.
    pub(in crate::stage) grammars: Vec<Option<String>>,
    /// What one completion is called: `rollouts`.
    pub(in crate::stage) unit: &'a str,
}

/// What completions are held to: the `constrain` parameter of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::stage) enum Constrain {
    /// Nothing.
    None,
    /// A list of calls of the sample's tools, in Python style.
    Python,
    /// A list of calls of the sample's tools, in JSON.
    Json,
}

impl Constrain {
    /// Returns the grammar for the answer to a sample.
    pub(in crate::stage) fn grammar(self, sample: &Sample) -> Option<String> {
        match self {
            Self::None => None,
            Self::Python => grammar::calls(&sample.tools, Style::Python),
            Self::Json => grammar::calls(&sample.tools, Style::Json),
        }
    }
}

/// The completions of one request.
struct Filled {
    request: usize,
    completions: Vec<Completion>,
}

/// A completion in a checkpoint, but for its log-probabilities, which follow as a tensor: the very bits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    request: usize,
    tokens: Vec<u32>,
    text: String,
    stopped: bool,
}

impl Order<'_> {
    /// Samples every completion and hands each request's to `sink` when the last of them has ended, in whatever order.
    /// Goes on where a killed attempt of the same key left off.
    ///
    /// # Errors
    /// [`StageError::Failed`] from the model, [`StageError::Io`] from the checkpoint.
    pub(in crate::stage) fn complete(
        &self,
        context: &mut StageCtx,
        mut sink: impl FnMut(&mut StageCtx, usize, &[Completion]),
    ) -> Result<(), StageError> {
        let mut filled = load(context)?;
        let total: usize = self.requests.iter().map(|request| request.count).sum();
        let mut missing: Vec<usize> = (0..self.requests.len()).collect();
        if !filled.is_empty() {
            context.log(format!("{} of {} prompts were completed by an earlier attempt", filled.len(), missing.len()));
            let known: BTreeSet<usize> = filled.iter().map(|known| known.request).collect();
            missing.retain(|request| !known.contains(request));
        }
        let (mut done, mut tokens) = (0, 0);
        for Filled { request, completions } in &filled {
            done += completions.len();
            tokens += completions.iter().map(|completion| completion.tokens.len()).sum::<usize>();
            sink(context, *request, completions);
        }
        let requests: Vec<PromptRequest> = missing.iter().map(|request| self.requests[*request].clone()).collect();
        let failed = || StageError::failed(format!("sample {} (seed {})", self.unit, self.seed.0));
        let generation = Generation::new(self.model, &requests, self.sampling, self.seed, BATCH).map_err(failed())?;
        let grammars: Vec<Option<String>> =
            missing.iter().map(|request| self.grammars.get(*request).cloned().flatten()).collect();
        let mut generation = generation.held_to(&grammars).map_err(failed())?;
        let (mut pace, mut told) = (Pace::new(), 0);
        while let Some(step) = generation.step().map_err(failed())? {
            let brought = !step.ended.is_empty();
            for (request, completions) in step.ended {
                sink(context, missing[request], &completions);
                filled.push(Filled { request: missing[request], completions });
            }
            if step.progress.done > told {
                told = step.progress.done;
                let (done, tokens) = (done + told, tokens + step.progress.tokens);
                context.progress_tokens(done as u64, total as u64, self.unit, tokens as u64);
            }
            if brought {
                pace.keep(|| save(context, &filled))?;
            }
        }
        Ok(())
    }
}

fn save(context: &StageCtx, filled: &[Filled]) -> Result<(), StageError> {
    let completions = || filled.iter().flat_map(|filled| filled.completions.iter().map(|it| (filled.request, it)));
    let kept: Vec<Kept> = completions()
        .map(|(request, completion)| Kept {
            request,
            tokens: completion.tokens.clone(),
            text: completion.text.clone(),
            stopped: completion.finish == Finish::Stop,
        })
        .collect();
    let table = serde_json::to_vec(&kept).map_err(StageError::failed("write a checkpoint"))?;
    let tensors: Vec<&[f32]> = completions().map(|(_, completion)| &*completion.log_probs).collect();
    checkpoint::save(context.scratch(), &State { tables: &[table], tensors: &tensors, ..State::default() })
}

/// Returns what an earlier attempt has completed; nothing if its checkpoint is none of this kind.
fn load(context: &StageCtx) -> Result<Vec<Filled>, StageError> {
    let Some(found) = checkpoint::load(context.scratch())? else { return Ok(Vec::new()) };
    let kept: Vec<Kept> = found.tables.first().and_then(|table| serde_json::from_slice(table).ok()).unwrap_or_default();
    let mut filled: Vec<Filled> = Vec::new();
    for (Kept { request, tokens, text, stopped }, log_probs) in kept.into_iter().zip(found.tensors) {
        let finish = if stopped { Finish::Stop } else { Finish::Length };
        let completion = Completion { tokens, log_probs, text, finish };
        match filled.last_mut().filter(|last| last.request == request) {
            Some(last) => last.completions.push(completion),
            None => filled.push(Filled { request, completions: vec![completion] }),
        }
    }
    Ok(filled)
}
