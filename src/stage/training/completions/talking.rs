//! Completions that are conversations with tools, from a server: it is sent what its calls returned, and goes on.

use super::{Order, arrivals::Arrivals};
use crate::{
    lm::{
        Tokenizer,
        sample::{Finish, PromptRequest},
    },
    stage::{
        StageCtx, StageError,
        backend::Answer,
        training::{
            chat,
            latency::Latency,
            policy::Served,
            prompts::Prompter,
            rounds::{Rounds, Spoken, Talking},
            turns::Turns,
        },
    },
    tools::Message,
};

impl Order {
    /// Holds the conversations that are missing to their ends, so many at once as there may be worlds.
    ///
    /// # Errors
    /// Those of [`Rounds::hold`] and of the worlds.
    pub(super) fn talk(
        &self,
        context: &mut StageCtx,
        served: &Served,
        mut arrivals: Arrivals<'_, impl FnMut(&mut StageCtx, usize, &[Answer])>,
    ) -> Result<(), StageError> {
        let (missing, prompter) = (arrivals.answers.missing(), Prompter::read(context)?);
        let samples = (0..self.requests.len()).map(|request| self.sample_of(request)).collect();
        let mut turns = Turns::new(&served.tokenizer, &self.worlds, samples, self.limits.turns);
        let rounds = Rounds { served, sampling: &self.sampling, seed: self.seed };
        rounds.announce(context, missing.len());
        let mut latency = Latency::new();
        let asked = missing.chunks(self.worlds.batch()).try_for_each(|missing| {
            let talks: Vec<Talking> =
                missing.iter().map(|place| self.talking(&prompter, *place)).collect::<Result<_, _>>()?;
            let mut spoken: Vec<Conversation> =
                talks.iter().map(|talk| Conversation::new(talk.messages.clone())).collect();
            rounds.hold(context, talks, &mut latency, |context, place, said| {
                let ((request, index), conversation) = (missing[place], &mut spoken[place]);
                if let Spoken::Turn { answer, model, fingerprint, .. } = said {
                    arrivals.answers.about.note(model, fingerprint);
                    conversation.takes(&answer);
                    let heard = turns.heard((request, index), &answer.text, answer.finish);
                    if let Some(messages) = heard
                        && conversation.reads(messages, &served.tokenizer)? < self.limits.tokens
                    {
                        return Ok(Some(conversation.messages.clone()));
                    }
                }
                let talk = turns.end(request, index, conversation.turns.clone())?;
                arrivals.take(context, (request, index), Answer { talk, ..conversation.answer() })?;
                Ok(None)
            })
        });
        arrivals.end(context, asked, &latency)
    }

    fn talking(&self, prompter: &Prompter, (request, index): (usize, usize)) -> Result<Talking, StageError> {
        let PromptRequest { id, tokens, .. } = &self.requests[request];
        let messages = prompter.messages(self.sample_of(request), self.demonstrations)?;
        Ok(Talking { id: id.clone(), index, messages, most: tokens.len() + self.limits.tokens })
    }
}

/// A conversation with a server's model, as it grows.
struct Conversation {
    messages: Vec<Message>,
    turns: Vec<String>,
    text: String,
    tokens: usize,
    log_prob: f32,
    finish: Finish,
}

impl Conversation {
    fn new(messages: Vec<Message>) -> Self {
        Self { messages, turns: Vec::new(), text: String::new(), tokens: 0, log_prob: 0.0, finish: Finish::Length }
    }

    /// Takes a turn of the model's.
    fn takes(&mut self, turn: &Answer) {
        self.messages.push(Message::new("assistant", turn.text.as_str()));
        self.turns.push(turn.text.clone());
        self.text.push_str(&turn.text);
        self.tokens += turn.tokens;
        self.log_prob += turn.log_prob;
        self.finish = turn.finish;
    }

    /// Takes what the model reads next; returns the tokens so far. Where the conversation ends here, it ends at its length.
    fn reads(&mut self, messages: Vec<Message>, tokenizer: &Tokenizer) -> Result<usize, StageError> {
        let failed = || StageError::failed("write the results of tools as the chat template does");
        let tokens = chat::following(tokenizer, &messages, true).map_err(failed())?;
        self.text.push_str(&tokenizer.decode(&tokens).map_err(failed())?);
        self.tokens += tokens.len();
        self.messages.extend(messages);
        self.finish = Finish::Length;
        Ok(self.tokens)
    }

    fn answer(&self) -> Answer {
        let Self { text, tokens, log_prob, finish, .. } = self;
        Answer { text: text.clone(), tokens: *tokens, log_prob: *log_prob, finish: *finish, talk: None }
    }
}
