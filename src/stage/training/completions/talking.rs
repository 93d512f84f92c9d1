//! Completions that are conversations with tools, from a server: it is sent what its calls returned, and goes on.

use super::{Done, Order};
use crate::{
    lm::{
        Tokenizer,
        sample::{Finish, PromptRequest},
    },
    stage::{
        StageCtx, StageError,
        backend::Answer,
        training::{
            answers::Answers,
            chat,
            latency::Latency,
            pace::Pace,
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
        answers: &mut Answers,
        mut done: Done,
        mut sink: impl FnMut(&mut StageCtx, usize, &[Answer]),
    ) -> Result<(), StageError> {
        let (missing, prompter, before) = (answers.missing(), Prompter::read(context)?, done.tokens);
        let samples = (0..self.requests.len()).map(|request| self.sample_of(request)).collect();
        let mut turns = Turns::new(&served.tokenizer, &self.worlds, samples, self.limits.turns);
        let rounds = Rounds { served, sampling: &self.sampling, seed: self.seed };
        rounds.announce(context, missing.len());
        let (mut pace, mut latency) = (Pace::new(), Latency::new());
        for missing in missing.chunks(self.worlds.batch()) {
            let talks: Vec<Talking> =
                missing.iter().map(|place| self.talking(&prompter, *place)).collect::<Result<_, _>>()?;
            let mut spoken: Vec<Conversation> =
                talks.iter().map(|talk| Conversation::new(talk.messages.clone())).collect();
            let held = rounds.hold(context, talks, &mut latency, |context, place, said| {
                let ((request, index), conversation) = (missing[place], &mut spoken[place]);
                if let Spoken::Turn { answer, model, fingerprint, .. } = said {
                    answers.about.note(model, fingerprint);
                    conversation.takes(&answer);
                    let heard = turns.heard((request, index), &answer.text, answer.finish);
                    if let Some(messages) = heard
                        && conversation.reads(messages, &served.tokenizer)? < self.limits.tokens
                    {
                        return Ok(Some(conversation.messages.clone()));
                    }
                }
                let talk = turns.end(request, index, conversation.turns.clone())?;
                let answer = Answer { talk, ..conversation.answer() };
                done = Done { answers: done.answers + 1, tokens: done.tokens + answer.tokens };
                if let Some(group) = answers.fill(request, index, answer) {
                    sink(context, request, &group);
                }
                pace.keep(|| answers.save(context))?;
                self.tell(context, done);
                Ok(None)
            });
            if held.is_err() {
                // What was paid for is kept for the next attempt. If that fails too, the first error is the one to know.
                answers.save(context).ok();
            }
            held?;
        }
        latency.tell(context, done.tokens - before);
        answers.about.tell(context);
        Ok(())
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
