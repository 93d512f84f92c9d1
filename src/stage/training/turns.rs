//! Conversations with tools while a model samples: what a turn's calls returned, as the tokens that the model reads next.
//!
//! Each completion has an episode of its own, in a world of its own; completions of a batch take turns in whatever order
//! without meeting each other. The traces are kept for the judgement.

use std::collections::BTreeMap;

use crate::{
    lm::{ChatMessage, LmError, Tokenizer, sample::EndedTurn},
    stage::{StageCtx, StageError, backend::Talk},
    tools::{
        Message, Sample,
        episode::{self, Episode},
    },
};

/// Stands for the turns so far while the chat template writes what follows them; no template looks into a message.
const TURN: &str = "\u{2}the turn\u{3}";

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
    /// The sample of each request.
    samples: Vec<&'a Sample>,
    /// Turns with calls that a completion may have.
    steps: usize,
    /// Those under way, by request and index.
    live: BTreeMap<(usize, usize), Episode<'a>>,
}

impl<'a> Turns<'a> {
    /// Prepares conversations of at most `steps` turns with calls.
    pub(in crate::stage) fn new(tokenizer: &'a Tokenizer, samples: Vec<&'a Sample>, steps: usize) -> Self {
        Self { tokenizer, samples, steps, live: BTreeMap::new() }
    }

    /// Runs the calls of a turn and returns what the model reads next; `None` when the conversation is over, or has no
    /// world.
    ///
    /// # Errors
    /// [`LmError`] when the chat template refuses messages of tools.
    pub(in crate::stage) fn follow(&mut self, turn: EndedTurn<'_>) -> Result<Option<Vec<u32>>, LmError> {
        let place = (turn.request, turn.index);
        let Some(episode) = self.episode(place) else { return Ok(None) };
        let Some(messages) = episode.answer(turn.text) else { return Ok(None) };
        self.tokens(&messages, turn.closed).map(Some)
    }

    /// Returns the conversation of a completion that has ended; `None` where there are no conversations, or its sample has
    /// no world.
    pub(in crate::stage) fn end(&mut self, request: usize, index: usize, turns: Vec<String>) -> Option<Talk> {
        self.episode((request, index))?;
        let episode = self.live.remove(&(request, index))?;
        Some(Talk { turns, trace: episode.end() })
    }

    fn episode(&mut self, place: (usize, usize)) -> Option<&mut Episode<'a>> {
        if self.steps > 1 && !self.live.contains_key(&place) {
            let world = episode::toolbox(self.samples[place.0])?;
            self.live.insert(place, Episode::new(Box::new(world), self.steps));
        }
        self.live.get_mut(&place)
    }

    /// Returns what the chat template writes after a turn: its end, unless the model has drawn that, the messages, and the
    /// begin of the next turn.
    fn tokens(&self, messages: &[Message], closed: bool) -> Result<Vec<u32>, LmError> {
        let mut chat = vec![ChatMessage::new("user", "question"), ChatMessage::new("assistant", TURN)];
        chat.extend(messages.iter().map(|message| ChatMessage::new(&*message.role, &*message.content)));
        let text = self.tokenizer.render_chat(&chat, true)?;
        let rest = text.split_once(TURN).map_or("", |(_, rest)| rest);
        let tokens = self.tokenizer.encode(rest, false)?;
        let end = tokens.iter().position(|token| self.tokenizer.eos.contains(token));
        Ok(match end {
            Some(end) if closed => tokens[end + 1..].to_vec(),
            _ => tokens,
        })
    }
}
