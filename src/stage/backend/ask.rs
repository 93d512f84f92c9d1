//! Many prompts, so many at once.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rand::{Rng, RngCore};

use super::{
    answer::{Answer, Read},
    client::Client,
    error::{BackendError, beginning},
    gate::{Closing, Gate},
    parameters::Backend,
    request::Body,
};
use crate::{
    base::Seed,
    lm::{Tokenizer, sample::Sampling},
    stage::StageError,
};

/// One completion that is wanted.
#[derive(Clone, Copy, Debug)]
pub(in crate::stage) struct Wanted<'a> {
    /// The sample's id: with the index it names the random stream.
    pub(in crate::stage) id: &'a str,
    /// Which of the sample's completions.
    pub(in crate::stage) index: usize,
    /// The prompt as text.
    pub(in crate::stage) text: &'a str,
    /// The prompt as tokens.
    pub(in crate::stage) tokens: &'a [u32],
    /// Tokens that the model has room for.
    pub(in crate::stage) room: usize,
}

/// What came.
#[derive(Debug)]
pub(in crate::stage) enum Heard {
    /// An answer.
    Answer {
        /// To which of the wanted completions.
        wanted: usize,
        /// The answer.
        answer: Answer,
        /// How long it took, retries and waiting included.
        seconds: f64,
        /// What the server calls the model, if it says.
        model: Option<String>,
        /// What the server says of its build and settings, if it does.
        fingerprint: Option<String>,
    },
    /// Something to tell the user.
    Note(String),
}

/// What a thread sends.
enum Message {
    Ended(usize, Result<Heard, BackendError>),
    Note(String),
}

/// How completions are drawn, and from whom.
#[derive(Clone, Copy)]
struct Manner<'a> {
    backend: &'a Backend,
    sampling: &'a Sampling,
    seed: Seed,
    tokenizer: &'a Tokenizer,
}

/// Asks the server for every wanted completion, as many at once as the backend allows, and hands `sink` what comes as it
/// comes. `tokenizer` counts tokens where the server does not. After a failure nothing new is asked; what is on its way
/// still goes to `sink`.
///
/// # Errors
/// The first [`BackendError`] that came, as [`StageError::Failed`]; [`StageError::Parameter`] without the API key; what
/// `sink` fails with.
pub(in crate::stage) fn ask(
    backend: &Backend,
    sampling: &Sampling,
    seed: Seed,
    tokenizer: &Tokenizer,
    wanted: &[Wanted<'_>],
    mut sink: impl FnMut(Heard) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let (client, gate, next) = (Client::new(backend)?, Gate::default(), AtomicUsize::new(0));
    let manner = Manner { backend, sampling, seed, tokenizer };
    let work = |sender: mpsc::Sender<Message>| {
        while gate.is_open() {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = wanted.get(place) else { break };
            let again = |what: &str, wait: Duration| {
                let Wanted { id, index, .. } = one;
                let seconds = wait.as_secs_f64();
                let note = format!("completion {index} of `{id}` is asked for again in {seconds:.1} s: {what}");
                sender.send(Message::Note(note)).is_ok() && gate.wait(wait)
            };
            let result = manner.complete(&client, place, one, again);
            if result.is_err() {
                // Here, not where it is heard: this thread must not ask for another one meanwhile.
                gate.close();
            }
            if sender.send(Message::Ended(place, result)).is_err() {
                break;
            }
        }
    };
    thread::scope(|scope| {
        // Whatever ends this closure, a panic of the sink too, lets the threads go.
        let _closing = Closing(&gate);
        let (sender, receiver) = mpsc::channel();
        for index in 0..backend.concurrency.min(wanted.len()) {
            let (sender, work) = (sender.clone(), &work);
            thread::Builder::new()
                .name(format!("request-{index}"))
                .spawn_scoped(scope, move || work(sender))
                .map_err(StageError::failed("start a thread for requests"))?;
        }
        drop(sender);
        let mut failed = None;
        for message in receiver {
            match message {
                Message::Note(note) => sink(Heard::Note(note))?,
                Message::Ended(_, Ok(heard)) => sink(heard)?,
                Message::Ended(place, Err(error)) => {
                    failed.get_or_insert((place, error));
                }
            }
        }
        match failed {
            None => Ok(()),
            Some((place, error)) => {
                let Wanted { id, index, .. } = wanted[place];
                Err(StageError::failed(format!("get completion {index} of `{id}`"))(error))
            }
        }
    })
}

impl Manner<'_> {
    fn complete(
        &self,
        client: &Client<'_>,
        wanted: usize,
        one: &Wanted<'_>,
        again: impl FnMut(&str, Duration) -> bool,
    ) -> Result<Heard, BackendError> {
        let mut random = self.seed.stream(one.id, one.index as u64);
        // 31 bits: a seed that every server reads as a whole number above 0.
        let seed = random.next_u32() >> 1;
        let malformed = |reason: String, body: &str| BackendError::Malformed {
            endpoint: self.backend.endpoint.clone(),
            reason,
            body: beginning(&client.masked(body)),
        };
        let body = Body::new(self.backend, self.sampling, one.text, one.tokens, one.room, seed)?;
        let body = serde_json::to_vec(&body).map_err(|error| malformed(error.to_string(), ""))?;
        let began = Instant::now();
        let said = client.post(&body, || random.random(), again)?;
        let seconds = began.elapsed().as_secs_f64();
        let Read { mut text, finish, tokens, log_prob, model, fingerprint } =
            Read::parse(&said).map_err(|reason| malformed(client.masked(&reason), &said))?;
        let counted = tokens.map_or_else(|| self.tokenizer.encode(&text, false).map(|tokens| tokens.len()), Ok);
        let tokens = counted.map_err(|error| malformed(error.to_string(), &said))?;
        if let Some(end) = self.sampling.stop.iter().filter_map(|stop| text.find(stop)).min() {
            text.truncate(end);
        }
        let masked = |text: Option<String>| text.map(|text| client.masked(&text));
        Ok(Heard::Answer {
            wanted,
            answer: Answer { text, tokens, log_prob, finish, talk: None },
            seconds,
            model: masked(model),
            fingerprint: masked(fingerprint),
        })
    }
}
