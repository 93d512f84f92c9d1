//! The answers to an order, as they fill up, and their checkpoint.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    lm::sample::{Finish, PromptRequest},
    stage::{
        StageCtx, StageError,
        backend::{Answer, Talk},
        training::checkpoint::{self, State},
    },
};

/// The facts that are said of a server.
const MODEL_FACT: &str = "backend-model";
const FINGERPRINT_FACT: &str = "backend-fingerprint";

/// What has been answered, and what those who answered say of themselves.
#[derive(Default)]
pub(in crate::stage) struct Answers {
    /// `[request][index]`.
    filled: Vec<Vec<Option<Answer>>>,
    pub(in crate::stage) about: About,
}

/// What servers say of themselves.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::stage) struct About {
    /// The model's names.
    models: BTreeSet<String>,
    /// Builds and settings.
    fingerprints: BTreeSet<String>,
}

/// An answer in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    request: usize,
    index: usize,
    text: String,
    tokens: usize,
    /// The bits: JSON has no NaN.
    log_prob: u32,
    stopped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    talk: Option<Box<Talk>>,
}

impl About {
    /// Takes in what came with an answer.
    pub(in crate::stage) fn note(&mut self, model: Option<String>, fingerprint: Option<String>) {
        self.models.extend(model);
        self.fingerprints.extend(fingerprint);
    }

    /// Tells it as facts: a result that has to be made again is made by the same.
    pub(in crate::stage) fn tell(&self, context: &mut StageCtx) {
        for (fact, names) in [(MODEL_FACT, &self.models), (FINGERPRINT_FACT, &self.fingerprints)] {
            if !names.is_empty() {
                context.fact(fact, names.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
            }
        }
    }
}

impl Answers {
    /// Begins with what an earlier attempt left; with nothing if its checkpoint is none of this kind.
    ///
    /// # Errors
    /// [`StageError::Io`] if there is a checkpoint that cannot be read.
    pub(in crate::stage) fn load(context: &StageCtx, requests: &[PromptRequest]) -> Result<Self, StageError> {
        let mut answers = Self {
            filled: requests.iter().map(|request| vec![None; request.count]).collect(),
            about: About::default(),
        };
        let Some(found) = checkpoint::load(context.scratch())? else { return Ok(answers) };
        let [kept, about] = found.tables.as_slice() else { return Ok(answers) };
        let (Ok(kept), Ok(about)) = (serde_json::from_slice::<Vec<Kept>>(kept), serde_json::from_slice(about)) else {
            return Ok(answers);
        };
        answers.about = about;
        for Kept { request, index, text, tokens, log_prob, stopped, talk } in kept {
            let finish = if stopped { Finish::Stop } else { Finish::Length };
            let place = answers.filled.get_mut(request).and_then(|group| group.get_mut(index));
            if let Some(place) = place {
                *place = Some(Answer { text, tokens, log_prob: f32::from_bits(log_prob), finish, talk });
            }
        }
        Ok(answers)
    }

    /// Leaves a checkpoint.
    ///
    /// # Errors
    /// [`StageError::Io`].
    pub(in crate::stage) fn save(&self, context: &StageCtx) -> Result<(), StageError> {
        let kept: Vec<Kept> = self
            .iter()
            .map(|(request, index, answer)| Kept {
                request,
                index,
                text: answer.text.clone(),
                tokens: answer.tokens,
                log_prob: answer.log_prob.to_bits(),
                stopped: answer.finish == Finish::Stop,
                talk: answer.talk.clone(),
            })
            .collect();
        let failed = || StageError::failed("write a checkpoint");
        let tables = [serde_json::to_vec(&kept).map_err(failed())?, serde_json::to_vec(&self.about).map_err(failed())?];
        checkpoint::save(context.scratch(), &State { tables: &tables, ..State::default() })
    }

    /// Notes an answer; returns the request's answers in order if it was the last of them.
    pub(in crate::stage) fn fill(&mut self, request: usize, index: usize, answer: Answer) -> Option<Vec<Answer>> {
        self.filled[request][index] = Some(answer);
        self.whole(request)
    }

    /// Returns a request's answers if they are all there.
    pub(in crate::stage) fn whole(&self, request: usize) -> Option<Vec<Answer>> {
        self.filled[request].iter().cloned().collect()
    }

    /// Returns request and index of what is missing, in order.
    pub(in crate::stage) fn missing(&self) -> Vec<(usize, usize)> {
        let places = self.filled.iter().enumerate().flat_map(|(request, group)| {
            group.iter().enumerate().map(move |(index, answer)| (request, index, answer.is_none()))
        });
        places.filter(|(_, _, missing)| *missing).map(|(request, index, _)| (request, index)).collect()
    }

    /// Returns the answers with their request and index, in order.
    pub(in crate::stage) fn iter(&self) -> impl Iterator<Item = (usize, usize, &Answer)> {
        self.filled.iter().enumerate().flat_map(|(request, group)| {
            group.iter().enumerate().filter_map(move |(index, answer)| Some((request, index, answer.as_ref()?)))
        })
    }
}
