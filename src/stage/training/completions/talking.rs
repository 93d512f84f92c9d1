//! Completions that are conversations with tools, from a server: it is sent what its calls returned, and goes on.

use super::{Done, Order};
use crate::{
    lm::sample::{Finish, PromptRequest},
    stage::{
        StageCtx, StageError,
        backend::Answer,
        training::{
            answers::Answers,
            chat,
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
    /// Holds the conversations that are missing to their ends.
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
        let (missing, prompter) = (answers.missing(), Prompter::read(context)?);
        let talking = |&(request, index): &(usize, usize)| -> Result<Talking, StageError> {
            let PromptRequest { id, tokens, .. } = &self.requests[request];
            let messages = prompter.messages(self.sample_of(request), self.demonstrations)?;
            Ok(Talking { id: id.clone(), index, messages, most: tokens.len() + self.limits.tokens })
        };
        let talks: Vec<Talking> = missing.iter().map(talking).collect::<Result<_, _>>()?;
        let mut spoken: Vec<Conversation> = talks.iter().map(|talk| Conversation::new(talk.messages.clone())).collect();
        let samples = (0..self.requests.len()).map(|request| self.sample_of(request)).collect();
        let mut turns = Turns::new(&served.tokenizer, &self.worlds, samples, self.limits.turns);
        let mut pace = Pace::new();
        let rounds = Rounds { served, sampling: &self.sampling, seed: self.seed };
        let held = rounds.hold(context, talks, |context, place, said| {
            let ((request, index), conversation) = (missing[place], &mut spoken[place]);
            let follows = match said {
                Spoken::Full => None,
                Spoken::Turn { answer, model, fingerprint, .. } => {
                    answers.about.note(model, fingerprint);
                    let messages = turns.heard((request, index), &answer.text, answer.finish);
                    let following =
                        messages.as_deref().map(|messages| chat::following(&served.tokenizer, messages, true));
                    let following = following.transpose().map_err(StageError::failed("render results of tools"))?;
                    conversation.takes(&answer);
                    messages.zip(following)
                }
            };
            if let Some((messages, tokens)) = follows {
                let text = served.tokenizer.decode(&tokens).map_err(StageError::failed("decode results of tools"))?;
                if conversation.reads(messages, &text, tokens.len()) < self.limits.tokens {
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
            answers.save(context).ok();
        }
        held?;
        answers.about.tell(context);
        Ok(())
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
    fn reads(&mut self, messages: Vec<Message>, text: &str, tokens: usize) -> usize {
        self.messages.extend(messages);
        self.text.push_str(text);
        self.tokens += tokens;
        self.finish = Finish::Length;
        self.tokens
    }

    fn answer(&self) -> Answer {
        let Self { text, tokens, log_prob, finish, .. } = self;
        Answer { text: text.clone(), tokens: *tokens, log_prob: *log_prob, finish: *finish, talk: None }
    }
}
