//! Where the model's turns come from: sampled in this process, or from a server.

use super::held::Talks;
use crate::{
    base::Seed,
    lm::{
        LanguageModel, Place,
        sample::{Generation, PromptRequest, Sampling},
    },
    stage::{
        StageCtx, StageError,
        training::{
            chat,
            latency::Latency,
            memory::Sequences,
            pace::Pace,
            rollouts::BATCH,
            rounds::{Rounds, Spoken, Talking},
        },
    },
};

/// How many times as many conversations go on as requests: a round waits for its slowest request, which so weighs less.
const ROUNDS: usize = 4;

/// A model in this process.
pub(super) struct Sampler<'a> {
    pub(super) model: &'a LanguageModel,
    pub(super) place: Place,
    pub(super) sampling: &'a Sampling,
    pub(super) seed: Seed,
}

impl Sampler<'_> {
    /// Holds the conversations to their ends.
    ///
    /// # Errors
    /// [`StageError::Failed`] from the model or the worlds, [`StageError::Io`] from the checkpoint.
    pub(super) fn hold(&self, context: &mut StageCtx, talks: &mut Talks<'_>) -> Result<(), StageError> {
        let Self { model, place, sampling, seed } = *self;
        let limit = model.config.max_position_embeddings;
        let places = talks.live();
        let request = |place: &usize| -> Result<PromptRequest, StageError> {
            let tokens = talks.prompt(*place, &model.tokenizer)?;
            Ok(PromptRequest { id: talks.id(*place).to_owned(), tokens, count: 1 })
        };
        let requests: Vec<PromptRequest> = places.iter().map(request).collect::<Result<_, _>>()?;
        let longest = requests.iter().map(|request| request.tokens.len()).max().unwrap_or(0);
        let sequences = Sequences { prompt: longest, growth: limit, most: BATCH.min(requests.len().max(1)) };
        let batch = sequences.at_once(context, model, place);
        let failed = || StageError::failed(format!("hold conversations (seed {})", seed.0));
        let mut generation = Generation::on(place, model, &requests, sampling, seed, batch).map_err(failed())?;
        let (mut pace, latency, mut tokens, mut trouble) = (Pace::new(), Latency::new(), 0, None);
        loop {
            let step = generation.step_with(&mut |turn| {
                let (place, read) = (places[turn.request], requests[turn.request].tokens.len() + turn.before);
                match talks.heard(place, turn.text, read, turn.tokens) {
                    Ok(Some(begin)) => {
                        let messages = &talks.messages(place)[begin..];
                        chat::following(&model.tokenizer, messages, turn.closed).map(Some)
                    }
                    Ok(None) => Ok(None),
                    Err(error) => {
                        trouble.get_or_insert(error);
                        Ok(None)
                    }
                }
            });
            if let Some(error) = trouble.take() {
                return Err(error);
            }
            let Some(step) = step.map_err(failed())? else { break };
            tokens = step.progress.tokens;
            let brought = !step.ended.is_empty();
            for (request, _) in step.ended {
                // A conversation that its own rules did not end has filled the model.
                if talks.is_live(places[request]) {
                    talks.full(places[request], limit)?;
                }
            }
            if brought {
                tell(context, talks, tokens);
                pace.keep(|| talks.save(context))?;
            }
        }
        latency.tell(context, tokens);
        Ok(())
    }
}

/// Holds the conversations with a server's model to their ends, some at a time: what has ended is kept for an attempt that has
/// to go on.
///
/// # Errors
/// As [`Rounds::hold`]; [`StageError::Failed`] from the worlds, [`StageError::Io`] from the checkpoint.
pub(super) fn ask(rounds: &Rounds<'_>, context: &mut StageCtx, talks: &mut Talks<'_>) -> Result<(), StageError> {
    let (places, limit) = (talks.live(), rounds.served.context_tokens());
    let (mut pace, mut tokens, mut latency) = (Pace::new(), 0, Latency::new());
    rounds.announce(context, places.len());
    for places in places.chunks(BATCH.max(ROUNDS * rounds.served.backend.concurrency())) {
        let talking = |place: &usize| {
            let (id, messages) = (talks.id(*place).to_owned(), talks.messages(*place).to_vec());
            Talking { id, index: 0, messages, most: usize::MAX }
        };
        let begun: Vec<Talking> = places.iter().map(talking).collect();
        let asked = rounds.hold(context, begun, &mut latency, |context, place, spoken| {
            let place = places[place];
            match spoken {
                Spoken::Full => talks.full(place, limit)?,
                Spoken::Turn { answer, read, model, fingerprint } => {
                    talks.about.note(model, fingerprint);
                    tokens += answer.tokens;
                    if talks.heard(place, &answer.text, read, answer.tokens)?.is_some() {
                        return Ok(Some(talks.messages(place).to_vec()));
                    }
                }
            }
            tell(context, talks, tokens);
            pace.keep(|| talks.save(context))?;
            Ok(None)
        });
        if asked.is_err() {
            // If that fails too, the first error is the one to know.
            talks.save(context).ok();
        }
        asked?;
    }
    talks.about.tell(context);
    latency.tell(context, tokens);
    Ok(())
}

fn tell(context: &mut StageCtx, talks: &Talks<'_>, tokens: usize) {
    let (total, done) = talks.count();
    context.progress_tokens(done as u64, total as u64, "conversations", tokens as u64);
}
