//! Conversations with tools while a model samples: what a turn's calls returned, as the tokens that the model reads next.
//!
//! Each completion has an episode of its own, in a world of its own; completions of a batch take turns in whatever order
//! without meeting each other. The traces are kept for the judgement.

use std::collections::BTreeMap;

use crate::{
    lm::{
        LmError, Tokenizer,
        sample::{EndedTurn, Finish},
    },
    stage::{StageCtx, StageError, backend::Talk, training::chat, worlds::Worlds},
    tools::{
        Message, Sample,
        episode::{Episode, Trace},
    },
};

/// How long conversations may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stage) struct Limits {
    /// Turns of the model.
    pub(in crate::stage) turns: usize,
    /// Tokens of all turns and of what is read between them.
    pub(in crate::stage) tokens: usize,
}

impl Limits {
    /// The parameters, as optional as they are: one turn, and twice what the turns may take, so that as much can be read.
    pub(in crate::stage) fn new(turns: Option<usize>, tokens: Option<usize>, tokens_a_turn: usize) -> Self {
        let turns = turns.unwrap_or(1);
        let enough = if turns == 1 { tokens_a_turn } else { tokens_a_turn.saturating_mul(turns).saturating_mul(2) };
        Self { turns, tokens: tokens.unwrap_or(enough) }
    }

    /// Reads the parameters `max-turns` and `max-trajectory-tokens`.
    ///
    /// # Errors
    /// [`StageError::Parameter`].
    pub(in crate::stage) fn read(context: &StageCtx, tokens_a_turn: usize) -> Result<Self, StageError> {
        Ok(Self::new(context.param("max-turns")?, context.param("max-trajectory-tokens")?, tokens_a_turn))
    }
}

/// The conversations of some requests.
pub(in crate::stage) struct Turns<'a> {
    tokenizer: &'a Tokenizer,
    worlds: &'a Worlds,
    /// The sample of each request.
    samples: Vec<&'a Sample>,
    /// Turns of the model that a completion may have.
    steps: usize,
    /// Those under way, by request and index.
    live: BTreeMap<(usize, usize), Episode>,
    /// What those came to that have ended, until somebody takes it.
    ended: BTreeMap<(usize, usize), Trace>,
    /// What the gold calls come to, by request.
    gold: BTreeMap<usize, Trace>,
    /// The first world that could not be had.
    failure: Option<StageError>,
}

impl<'a> Turns<'a> {
    /// Prepares conversations of at most `steps` turns. With one turn there are none, unless calls are served.
    pub(in crate::stage) fn new(
        tokenizer: &'a Tokenizer,
        worlds: &'a Worlds,
        samples: Vec<&'a Sample>,
        steps: usize,
    ) -> Self {
        let (live, ended, gold) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { tokenizer, worlds, samples, steps, live, ended, gold, failure: None }
    }

    /// Whether completions of a request are conversations at all.
    pub(in crate::stage) fn are_wanted(worlds: &Worlds, steps: usize) -> bool {
        steps > 1 || worlds.are_served()
    }

    /// Runs the calls of a turn and returns what the model reads next as tokens; `None` as [`Turns::heard`].
    ///
    /// # Errors
    /// [`LmError`] when the chat template refuses messages of tools.
    pub(in crate::stage) fn follow(&mut self, turn: EndedTurn<'_>) -> Result<Option<Vec<u32>>, LmError> {
        match self.heard((turn.request, turn.index), turn.text, turn.finish) {
            Some(messages) => chat::following(self.tokenizer, &messages, turn.closed).map(Some),
            None => Ok(None),
        }
    }

    /// Runs the calls of a turn of a completion, named by request and index, and returns what the model reads next; `None`
    /// when the conversation is over, has no world, or the turn was cut.
    pub(in crate::stage) fn heard(
        &mut self,
        place: (usize, usize),
        text: &str,
        finish: Finish,
    ) -> Option<Vec<Message>> {
        if finish == Finish::Length {
            return None;
        }
        let messages = self.episode(place)?.answer(text);
        if messages.is_none() {
            self.finish(place);
        }
        messages
    }

    /// Returns the conversation of a completion that has ended; `None` where there are no conversations, or its sample has
    /// no world.
    ///
    /// # Errors
    /// The error of the first world that could not be had.
    pub(in crate::stage) fn end(
        &mut self,
        request: usize,
        index: usize,
        turns: Vec<String>,
    ) -> Result<Option<Box<Talk>>, StageError> {
        let place = (request, index);
        if !self.ended.contains_key(&place) && self.episode(place).is_some() {
            self.finish(place);
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Some(trace) = self.ended.remove(&place) else { return Ok(None) };
        if !self.gold.contains_key(&request) {
            self.gold.insert(request, self.worlds.gold(self.samples[request])?);
        }
        Ok(Some(Box::new(Talk { turns, trace, gold: self.gold[&request].clone() })))
    }

    /// Ends a conversation and its world.
    fn finish(&mut self, place: (usize, usize)) {
        if let Some(episode) = self.live.remove(&place) {
            self.ended.insert(place, episode.end());
        }
    }

    fn episode(&mut self, place: (usize, usize)) -> Option<&mut Episode> {
        let wanted = Self::are_wanted(self.worlds, self.steps);
        if wanted && self.failure.is_none() && !self.live.contains_key(&place) {
            match self.worlds.toolbox(self.samples[place.0]) {
                Ok(Some(toolbox)) => _ = self.live.insert(place, Episode::new(toolbox, self.steps)),
                Ok(None) => {}
                Err(error) => self.failure = Some(error),
            }
        }
        self.live.get_mut(&place)
    }
}
