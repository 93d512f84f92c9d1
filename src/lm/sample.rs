//! Sampling: completions of prompts, the same bits for any batch size and number of threads.
//!
//! A prompt is read once, however many completions it gets. Up to `batch_size` completions grow together; a finished one
//! makes room for the next. Every completion has a random stream of its own, made of the seed, its prompt's id and its
//! index, and every row is computed in an order of its own, so nothing depends on which others share the batch. That holds
//! for the native engine; on a device ([`Generation::on`]) logits may differ in their last bits, and draws are the same for
//! the same logits.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use crate::base::Seed;
use crate::lm::constrain::{Grammars, Guard};
use crate::lm::decode::{Decoder, Prompt, Sequence};
use crate::lm::native::{Chooser, Draw, Threads};
use crate::lm::{LanguageModel, LmError, Place, Tokenizer, device, native};

/// How tokens are drawn, and when to stop.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f32,
    /// Draw among this many likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Draw among the likeliest tokens that together have this probability (after `top_k`); 1 for all.
    pub top_p: f32,
    /// Draw among the tokens that are at least this share as likely as the likeliest; 0 for all. After `top_k` and `top_p`.
    pub min_p: f32,
    /// Tokens of a completion at most, the end-of-turn token included.
    pub max_tokens: usize,
    /// Texts that end a completion; they are not part of its text, but their tokens are among its tokens.
    pub stop: Vec<String>,
}

impl Default for Sampling {
    /// The model's own distribution, up to 256 tokens.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, max_tokens: 256, stop: Vec::new() }
    }
}

/// A prompt to complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptRequest {
    /// Names the random streams: the sample's id.
    pub id: String,
    /// The prompt; at least one token.
    pub tokens: Vec<u32>,
    /// Completions wanted.
    pub count: usize,
}

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// At an end-of-turn token or a stop text.
    Stop,
    /// At the most tokens that were allowed, or that the model holds.
    Length,
}

impl Finish {
    /// `stop` or `length`, as in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// What the model said.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The tokens, with the end-of-turn token if it was drawn.
    pub tokens: Vec<u32>,
    /// Each token's log-probability in nats, at the temperature it was drawn at (greedy: at 1), without filters: what a
    /// trainer's score of the same tokens at that temperature gives, with the native engine bit for bit.
    pub log_probs: Vec<f32>,
    /// The text, without special tokens and without the stop text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What was read between its turns instead of drawn, in order: ranges of `tokens`, whose log-probabilities are 0. None
    /// but with [`Generation::step_with`].
    pub given: Vec<Range<usize>>,
    /// The texts of its turns, each as `text` is: one, unless something was read in between.
    pub turns: Vec<String>,
}

impl Completion {
    /// Returns for each token whether the model drew it.
    pub fn drawn(&self) -> Vec<bool> {
        let mut drawn = vec![true; self.tokens.len()];
        for range in &self.given {
            drawn[range.clone()].fill(false);
        }
        drawn
    }

    /// Returns how many of the tokens the model drew.
    pub fn count_drawn(&self) -> usize {
        self.tokens.len() - self.given.iter().map(ExactSizeIterator::len).sum::<usize>()
    }
}

/// A turn of a completion that has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedTurn<'a> {
    /// The request that it belongs to.
    pub request: usize,
    /// Which of its completions.
    pub index: usize,
    /// Which turn of the completion, from 0.
    pub turn: usize,
    /// What the model said in it, without special tokens and without the stop text.
    pub text: &'a str,
    /// Whether its last token is the one that ends turns, which the model drew.
    pub closed: bool,
    /// Why it ended: by itself, or at `max_tokens`.
    pub finish: Finish,
    /// Tokens of the completion before it, what was read included.
    pub before: usize,
    /// Its tokens.
    pub tokens: usize,
}

/// Says what the model reads after a turn before it goes on, as tokens; `None` ends the completion.
pub type Follow<'f> = dyn FnMut(EndedTurn<'_>) -> Result<Option<Vec<u32>>, LmError> + 'f;

/// How far sampling is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Completions that ended.
    pub done: usize,
    /// Completions asked for.
    pub total: usize,
    /// Tokens drawn.
    pub tokens: usize,
}

/// What one step of a [`Generation`] brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How far it is.
    pub progress: Progress,
    /// Requests whose last completion has ended, each with all its completions in order.
    pub ended: Vec<(usize, Vec<Completion>)>,
}

/// Rows of prompts that are read together, at least.
pub(crate) const PROMPT_ROWS: usize = 2048;

/// Completes every request `count` times: `[request][index]`.
///
/// # Errors
/// Those of [`Generation::new`] and [`Generation::step`].
pub fn sample(
    model: &LanguageModel,
    requests: &[PromptRequest],
    sampling: &Sampling,
    seed: Seed,
    batch_size: usize,
) -> Result<Vec<Vec<Completion>>, LmError> {
    let mut generation = Generation::new(model, requests, sampling, seed, batch_size)?;
    let mut completions = vec![Vec::new(); requests.len()];
    while let Some(step) = generation.step()? {
        for (request, ended) in step.ended {
            completions[request] = ended;
        }
    }
    Ok(completions)
}

fn check(
    model: &LanguageModel,
    requests: &[PromptRequest],
    sampling: &Sampling,
    batch_size: usize,
) -> Result<(), LmError> {
    let error = |text: String| Err(LmError::Request(text));
    if !(sampling.temperature.is_finite() && sampling.temperature >= 0.0) {
        return error(format!("the temperature is {}; give 0 (greedy) or more", sampling.temperature));
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return error(format!("top-p is {}; give a number above 0 and up to 1", sampling.top_p));
    }
    if !(0.0..=1.0).contains(&sampling.min_p) {
        return error(format!("min-p is {}; give a number from 0 to 1", sampling.min_p));
    }
    if sampling.max_tokens == 0 || batch_size == 0 {
        return error("a completion needs at least one token, and a batch one sequence".to_owned());
    }
    if sampling.stop.iter().any(String::is_empty) {
        return error("a stop text is empty: it would stop everything".to_owned());
    }
    let limit = model.config.max_position_embeddings;
    for request in requests {
        if request.tokens.is_empty() {
            return error(format!("the prompt of `{}` is empty: give at least one token", request.id));
        }
        if request.tokens.len() >= limit {
            let what = format!("the prompt of `{}`, with a token to add,", request.id);
            return Err(LmError::TooLong { what, tokens: request.tokens.len() + 1, limit });
        }
        let vocab_size = model.config.vocab_size;
        if let Some(position) = request.tokens.iter().position(|token| *token as usize >= vocab_size) {
            return Err(LmError::TokenOutOfRange { token: request.tokens[position], position, vocab_size });
        }
    }
    Ok(())
}

/// A completion that grows.
struct Live {
    request: usize,
    index: usize,
    /// Tokens of a turn at most.
    limit: usize,
    /// Tokens of all turns at most: what the model holds.
    room: usize,
    random: ChaCha8Rng,
    chooser: Chooser,
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
    /// Where the turn begins.
    begin: usize,
    /// What is to be read before the turn.
    unread: VecDeque<u32>,
    given: Vec<Range<usize>>,
    turns: Vec<String>,
    ended: Option<Finish>,
    /// Where it is in its grammar, if it is held to one.
    guard: Option<Guard>,
    /// Why its grammar cannot be followed.
    broken: Option<LmError>,
    /// Nothing before the first token: that one comes from the prompt's logits.
    sequence: Sequence,
    prompt: Option<Prompt>,
}

/// Completions on their way, one token of each a step, so that its holder can tell, save or stop between two steps.
pub struct Generation<'a> {
    model: &'a LanguageModel,
    requests: &'a [PromptRequest],
    sampling: &'a Sampling,
    seed: Seed,
    batch_size: usize,
    decoder: Decoder<'a>,
    done: Vec<Vec<Option<Completion>>>,
    /// Request and index of the completions to come, in order.
    waiting: VecDeque<(usize, usize)>,
    /// Prompts that have been read and still have completions to come.
    read: VecDeque<(usize, Prompt)>,
    live: Vec<Live>,
    /// Where the completions of each request begin in their grammar.
    guards: Vec<Option<Guard>>,
    /// Tokens of a completion at most, all turns and what is read between them together.
    most: usize,
    progress: Progress,
}

impl<'a> Generation<'a> {
    /// Prepares to complete every request `count` times, `batch_size` completions at once.
    ///
    /// # Errors
    /// [`LmError::Request`] for an empty prompt or settings that make no sense, [`LmError::TokenOutOfRange`],
    /// [`LmError::TooLong`] for a prompt that leaves no room.
    pub fn new(
        model: &'a LanguageModel,
        requests: &'a [PromptRequest],
        sampling: &'a Sampling,
        seed: Seed,
        batch_size: usize,
    ) -> Result<Self, LmError> {
        check(model, requests, sampling, batch_size)?;
        let decoder = native::Decoder::new(&model.config, model.into(), sampling.temperature)?;
        Ok(Self::with(model, requests, sampling, seed, batch_size, Decoder::Native(Box::new(decoder))))
    }

    /// Prepares the same on another place, which the model is copied to.
    ///
    /// # Errors
    /// As [`Generation::new`]; [`LmError::Device`], [`LmError::Tensor`].
    pub fn on(
        place: Place,
        model: &'a LanguageModel,
        requests: &'a [PromptRequest],
        sampling: &'a Sampling,
        seed: Seed,
        batch_size: usize,
    ) -> Result<Self, LmError> {
        let Some(device) = place.open()? else { return Self::new(model, requests, sampling, seed, batch_size) };
        check(model, requests, sampling, batch_size)?;
        let decoder = device::Decoder::new(&model.config, model.into(), sampling.temperature, device)?;
        Ok(Self::with(model, requests, sampling, seed, batch_size, Decoder::Device(Box::new(decoder))))
    }

    /// Prepares the same with what an engine has on its device, which is `model`.
    pub(super) fn sharing(
        engine: &device::Engine,
        model: &'a LanguageModel,
        requests: &'a [PromptRequest],
        sampling: &'a Sampling,
        seed: Seed,
        batch_size: usize,
    ) -> Result<Self, LmError> {
        check(model, requests, sampling, batch_size)?;
        let decoder = device::Decoder::sharing(engine, &model.config, sampling.temperature);
        Ok(Self::with(model, requests, sampling, seed, batch_size, Decoder::Device(Box::new(decoder))))
    }

    fn with(
        model: &'a LanguageModel,
        requests: &'a [PromptRequest],
        sampling: &'a Sampling,
        seed: Seed,
        batch_size: usize,
        decoder: Decoder<'a>,
    ) -> Self {
        Self {
            model,
            requests,
            sampling,
            seed,
            batch_size,
            decoder,
            done: requests.iter().map(|request| vec![None; request.count]).collect(),
            waiting: (0..requests.len())
                .flat_map(|request| (0..requests[request].count).map(move |index| (request, index)))
                .collect(),
            read: VecDeque::new(),
            live: Vec::new(),
            guards: Vec::new(),
            most: usize::MAX,
            progress: Progress { done: 0, total: requests.iter().map(|request| request.count).sum(), tokens: 0 },
        }
    }

    /// Holds the completions of each request to a grammar, or to none: texts as [`crate::tools::grammar`] writes them.
    ///
    /// # Errors
    /// [`LmError::Grammar`], [`LmError::UnsupportedTokenizer`].
    pub fn held_to(mut self, grammars: &[Option<String>]) -> Result<Self, LmError> {
        if grammars.iter().all(Option::is_none) {
            return Ok(self);
        }
        let compiler = Grammars::new(&self.model.tokenizer, self.model.config.vocab_size)?;
        // Often all requests have the same grammar.
        let mut compiled: BTreeMap<&str, Guard> = BTreeMap::new();
        for grammar in grammars.iter().flatten() {
            if !compiled.contains_key(grammar.as_str()) {
                compiled.insert(grammar, compiler.begin(grammar)?);
            }
        }
        self.guards = grammars.iter().map(|grammar| Some(compiled.get(grammar.as_deref()?)?.clone())).collect();
        Ok(self)
    }

    /// Bounds the tokens of completions of several turns, all turns and what is read between them together.
    #[must_use]
    pub fn at_most(mut self, tokens: usize) -> Self {
        self.most = tokens.max(1);
        self
    }

    /// Draws one token for every completion in the batch; `None` when all have ended. A request that wants no completions
    /// is never among the ended.
    ///
    /// # Errors
    /// [`LmError::NotFinite`] when the model gives no numbers, [`LmError::Tokenizer`] from decoding.
    pub fn step(&mut self) -> Result<Option<Step>, LmError> {
        self.step_with(&mut |_| Ok(None))
    }

    /// The same for completions of several turns: when a turn has ended, `follow` says what the model reads before it goes
    /// on. `max_tokens` is then of a turn, and a grammar holds each turn. A completion ends at its length if what follows
    /// leaves no room for a token.
    ///
    /// What is read costs a step a token, like what is drawn, and the keys and values of a completion are computed once.
    ///
    /// # Errors
    /// As [`Generation::step`], as `follow`, [`LmError::TokenOutOfRange`] for what it gives.
    pub fn step_with(&mut self, follow: &mut Follow<'_>) -> Result<Option<Step>, LmError> {
        if self.waiting.is_empty() && self.live.is_empty() {
            return Ok(None);
        }
        self.admit()?;
        let ended = self.advance(follow)?;
        Ok(Some(Step { progress: self.progress, ended }))
    }

    /// Fills the batch.
    fn admit(&mut self) -> Result<(), LmError> {
        let count = self.batch_size.saturating_sub(self.live.len()).min(self.waiting.len());
        let admitted: Vec<(usize, usize)> = self.waiting.drain(..count).collect();
        let mut unread: Vec<usize> = admitted.iter().map(|(request, _)| *request).collect();
        unread.dedup();
        unread.retain(|request| self.read.iter().all(|(known, _)| known != request));
        let mut begin = 0;
        while begin < unread.len() {
            let mut rows = 0;
            let mut end = begin;
            while end < unread.len() && (end == begin || rows + self.requests[unread[end]].tokens.len() <= PROMPT_ROWS)
            {
                rows += self.requests[unread[end]].tokens.len();
                end += 1;
            }
            let tokens: Vec<&[u32]> =
                unread[begin..end].iter().map(|request| &*self.requests[*request].tokens).collect();
            let prompts = self.decoder.read(&tokens)?;
            self.read.extend(unread[begin..end].iter().copied().zip(prompts));
            begin = end;
        }
        let limit = self.model.config.max_position_embeddings;
        for (request, index) in admitted {
            let Some((_, prompt)) = self.read.iter().find(|(known, _)| *known == request) else { continue };
            self.live.push(Live {
                request,
                index,
                limit: self.sampling.max_tokens,
                room: self.most.min(limit - self.requests[request].tokens.len()),
                random: self.seed.stream(&self.requests[request].id, index as u64),
                chooser: Chooser::default(),
                tokens: Vec::new(),
                log_probs: Vec::new(),
                begin: 0,
                unread: VecDeque::new(),
                given: Vec::new(),
                turns: Vec::new(),
                ended: None,
                guard: self.guards.get(request).cloned().flatten(),
                broken: None,
                sequence: Sequence::new(prompt),
                prompt: Some(prompt.clone()),
            });
        }
        // Kept only while completions wait for it; the live ones hold it themselves.
        let next = self.waiting.front().map(|(request, _)| *request);
        self.read.retain(|(request, _)| Some(*request) == next);
        Ok(())
    }

    /// One token for every live completion; returns the requests that it ended.
    fn advance(&mut self, follow: &mut Follow<'_>) -> Result<Vec<(usize, Vec<Completion>)>, LmError> {
        let (threads, vocabulary) = (self.decoder.threads(), self.model.config.vocab_size);
        let Sampling { temperature, top_k, top_p, min_p, .. } = *self.sampling;
        let draw = Draw { greedy: temperature == 0.0, top_k, top_p, min_p };
        let (mut fresh, mut old): (Vec<_>, Vec<_>) = self.live.iter_mut().partition(|live| live.prompt.is_some());
        threads.each_mut(&mut fresh, |_, live| {
            if let Some(prompt) = live.prompt.take() {
                live.draw(threads, prompt.logits(), draw);
            }
        });
        if !old.is_empty() {
            let tokens: Vec<u32> = old.iter().filter_map(|live| live.tokens.last().copied()).collect();
            let mut sequences: Vec<&mut Sequence> = old.iter_mut().map(|live| &mut live.sequence).collect();
            let logits = self.decoder.advance(&mut sequences, &tokens)?;
            threads.each_mut(&mut old, |row, live| {
                let logits = &logits[row * vocabulary..(row + 1) * vocabulary];
                live.draw(threads, logits, draw);
            });
        }
        for live in &mut self.live {
            if let Some(error) = live.broken.take() {
                return Err(error);
            }
            if let Some(value) = live.log_probs.last().filter(|value| !value.is_finite()) {
                let (id, index) = (&self.requests[live.request].id, live.index);
                let what =
                    format!("the log-probability of token {} of completion {index} of `{id}`", live.tokens.len() - 1);
                return Err(LmError::NotFinite { what, value: f64::from(*value) });
            }
            self.progress.tokens += 1;
            let Some(finish) = live.end_of_turn(self.model, self.sampling)? else { continue };
            let text = live.turns.last().map_or("", String::as_str);
            let closed = live.tokens.last().is_some_and(|token| ends_turns(self.model, *token));
            let (before, tokens) = (live.begin, live.tokens.len() - live.begin);
            let turn = EndedTurn {
                request: live.request,
                index: live.index,
                turn: live.turns.len() - 1,
                text,
                closed,
                finish,
                before,
                tokens,
            };
            let Some(given) = follow(turn)? else { continue };
            if let Some(position) = given.iter().position(|token| *token as usize >= vocabulary) {
                return Err(LmError::TokenOutOfRange { token: given[position], position, vocab_size: vocabulary });
            }
            live.go_on(given, self.guards.get(live.request).cloned().flatten());
        }
        let (ended, live) = std::mem::take(&mut self.live).into_iter().partition(|live| live.ended.is_some());
        self.live = live;
        let (ended, mut whole): (Vec<Live>, _) = (ended, Vec::new());
        for live in ended {
            self.progress.done += 1;
            let (request, index) = (live.request, live.index);
            let completions = &mut self.done[request];
            completions[index] = Some(live.finish(&self.model.tokenizer)?);
            if completions.iter().all(Option::is_some) {
                whole.push((request, std::mem::take(completions).into_iter().flatten().collect()));
            }
        }
        Ok(whole)
    }
}

impl Live {
    /// Draws the next token, or takes the next one that is to be read.
    fn draw(&mut self, threads: Threads, logits: &[f32], draw: Draw) {
        if let Some(token) = self.unread.pop_front() {
            self.tokens.push(token);
            self.log_probs.push(0.0);
            return;
        }
        let allowed = match self.guard.as_mut().map(Guard::allowed).transpose() {
            Ok(allowed) => allowed,
            Err(error) => return self.broken = Some(error),
        };
        let (token, log_prob) = self.chooser.choose(threads, logits, draw, allowed.as_ref(), &mut self.random);
        self.tokens.push(token);
        self.log_probs.push(log_prob);
        self.broken = self.guard.as_mut().and_then(|guard| guard.accept(token).err());
    }

    /// Notes whether the last token ends the turn, and with it, unless something follows, the completion. Returns why.
    fn end_of_turn(&mut self, model: &LanguageModel, sampling: &Sampling) -> Result<Option<Finish>, LmError> {
        let Some(last) = self.tokens.last().filter(|_| self.tokens.len() > self.begin) else { return Ok(None) };
        let stopped = ends_turns(model, *last)
            || self.guard.as_ref().is_some_and(Guard::is_over)
            || (!sampling.stop.is_empty() && self.says_stop(&model.tokenizer, sampling)?);
        if stopped {
            self.ended = Some(Finish::Stop);
        } else if self.tokens.len() >= self.room.min(self.begin + self.limit) {
            self.ended = Some(Finish::Length);
        } else {
            return Ok(None);
        }
        let mut text = model.tokenizer.decode(&self.tokens[self.begin..])?;
        if let Some(end) = sampling.stop.iter().filter_map(|stop| text.find(stop)).min() {
            text.truncate(end);
        }
        self.turns.push(text);
        Ok(self.ended)
    }

    /// Goes on with another turn after reading `given`, if the model has room for it and a token.
    fn go_on(&mut self, given: Vec<u32>, guard: Option<Guard>) {
        let begin = self.tokens.len() + given.len();
        if begin >= self.room {
            self.ended = Some(Finish::Length);
            return;
        }
        self.ended = None;
        self.given.push(self.tokens.len()..begin);
        self.begin = begin;
        self.unread = given.into();
        self.guard = guard;
    }

    /// Whether the last tokens of the turn spell a stop text. Looks back as far as one can reach, a few empty tokens included.
    fn says_stop(&self, tokenizer: &Tokenizer, sampling: &Sampling) -> Result<bool, LmError> {
        let longest = sampling.stop.iter().map(String::len).max().unwrap_or(0);
        let begin = self.tokens.len().saturating_sub(longest + 16).max(self.begin);
        let text = tokenizer.decode(&self.tokens[begin..])?;
        Ok(sampling.stop.iter().any(|stop| text.contains(stop)))
    }

    fn finish(self, tokenizer: &Tokenizer) -> Result<Completion, LmError> {
        let text = match self.turns.as_slice() {
            [only] => only.clone(),
            _ => tokenizer.decode(&self.tokens)?,
        };
        let finish = self.ended.unwrap_or(Finish::Length);
        let Self { tokens, log_probs, given, turns, .. } = self;
        Ok(Completion { tokens, log_probs, text, finish, given, turns })
    }
}

/// Whether a token ends a turn of the model's.
fn ends_turns(model: &LanguageModel, token: u32) -> bool {
    model.config.eos_token_ids.as_slice().contains(&token) || model.tokenizer.eos.contains(&token)
}
