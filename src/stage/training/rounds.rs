//! Conversations with a model that a server holds: in rounds, in each of which every conversation that goes on gets one more
//! turn of the model's. The whole conversation is sent each time, as the chat template writes it, so a server that keeps
//! prefixes (vLLM, SGLang, llama.cpp) reads only what is new.

use crate::{
    base::Seed,
    lm::sample::Sampling,
    stage::{
        StageCtx, StageError,
        backend::{Answer, Heard, Wanted, ask},
        training::{chat, latency::Latency, policy::Served},
    },
    tools::Message,
};

/// A conversation up to where the model is to go on.
pub(in crate::stage) struct Talking {
    /// The sample's id: with the index it names the random stream.
    pub(in crate::stage) id: String,
    /// Which of the sample's completions.
    pub(in crate::stage) index: usize,
    /// What was said.
    pub(in crate::stage) messages: Vec<Message>,
    /// Tokens that the conversation may have, as far as the model holds them.
    pub(in crate::stage) most: usize,
}

/// What came of a conversation's turn.
pub(in crate::stage) enum Spoken {
    /// The model's turn.
    Turn {
        /// What it said.
        answer: Answer,
        /// Tokens of the conversation before it.
        read: usize,
        /// What the server calls the model, if it says.
        model: Option<String>,
        /// What the server says of its build and settings, if it does.
        fingerprint: Option<String>,
    },
    /// There is no room for the conversation and a token.
    Full,
}

/// Who asks, and how.
pub(in crate::stage) struct Rounds<'a> {
    pub(in crate::stage) served: &'a Served,
    pub(in crate::stage) sampling: &'a Sampling,
    pub(in crate::stage) seed: Seed,
}

impl Rounds<'_> {
    /// Says what is about to be asked.
    pub(in crate::stage) fn announce(&self, context: &mut StageCtx, conversations: usize) {
        let backend = &self.served.backend;
        let at_once = backend.concurrency().min(conversations);
        context.log(format!("asking {} in {conversations} conversations, {at_once} at once", backend.endpoint()));
    }

    /// Holds conversations to their ends. `next` hears of each turn and says the whole conversation as it goes on; `None`
    /// where it is over, as it is after [`Spoken::Full`].
    ///
    /// # Errors
    /// Those of [`ask`] and `next`; [`StageError::Failed`] when the chat template refuses a conversation.
    pub(in crate::stage) fn hold(
        &self,
        context: &mut StageCtx,
        mut talks: Vec<Talking>,
        latency: &mut Latency,
        mut next: impl FnMut(&mut StageCtx, usize, Spoken) -> Result<Option<Vec<Message>>, StageError>,
    ) -> Result<(), StageError> {
        let Self { served, sampling, .. } = self;
        let mut live: Vec<usize> = (0..talks.len()).collect();
        let mut round = 0_usize;
        while !live.is_empty() {
            let mut prompts = Vec::with_capacity(live.len());
            for place in live.drain(..) {
                let Talking { id, messages, most, .. } = &talks[place];
                let failed = || StageError::failed(format!("render the conversation of `{id}`"));
                let text = chat::prompt(&served.tokenizer, messages).map_err(failed())?;
                let tokens = served.tokenizer.encode(&text, false).map_err(failed())?;
                match served.context_tokens().min(*most).checked_sub(tokens.len()) {
                    None | Some(0) => drop(next(context, place, Spoken::Full)?),
                    Some(room) => prompts.push((place, text, tokens, room)),
                }
            }
            let names: Vec<(String, usize)> =
                prompts.iter().map(|(place, ..)| (talks[*place].id.clone(), talks[*place].index)).collect();
            let wanted: Vec<Wanted> = names
                .iter()
                .zip(&prompts)
                .map(|((id, index), (_, text, tokens, room))| Wanted { id, index: *index, text, tokens, room: *room })
                .collect();
            // Turns draw from streams of their own.
            let seed = if round == 0 { self.seed } else { self.seed.derive(&format!("turn {round}")) };
            ask(&served.backend, sampling, seed, &served.tokenizer, &wanted, |heard| {
                match heard {
                    Heard::Note(note) => context.log(note),
                    Heard::Answer { wanted, answer, seconds, model, fingerprint } => {
                        latency.note(seconds);
                        let (place, _, read, _) = &prompts[wanted];
                        let spoken = Spoken::Turn { answer, read: read.len(), model, fingerprint };
                        if let Some(messages) = next(context, *place, spoken)? {
                            talks[*place].messages = messages;
                            live.push(*place);
                        }
                    }
                }
                Ok(())
            })?;
            live.sort_unstable();
            round += 1;
        }
        Ok(())
    }
}
