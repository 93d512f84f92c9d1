//! The conversations, each with a world of its own.

use super::transcript;
use crate::{
    lm::Tokenizer,
    servers::worlds::{PythonWorlds, WorldsError},
    stage::{
        StageCtx, StageError,
        bfcl_data::Reasoning,
        training::{
            answers::About,
            chat,
            checkpoint::{self, State},
        },
    },
    tools::{
        Message,
        bfcl::{
            Format, Language,
            multi_turn::{
                Mode,
                conversation::{Conversation, End, Next, ResultStyle},
                entry::MultiTurnEntry,
                world::{Observe, Opening, Run, Worlds as _, label},
            },
            prompt::{system_prompt, with_hints},
            scores::{ResultRow, results},
        },
    },
};

/// What the parameters say of conversations.
pub(super) struct Manner {
    pub(super) mode: Mode,
    pub(super) results: ResultStyle,
    pub(super) max_steps: usize,
    pub(super) reasoning: Reasoning,
    /// The model's name, which the worlds' instances bear.
    pub(super) model: String,
}

/// A conversation that is held.
struct Held<'e> {
    entry: &'e MultiTurnEntry,
    conversation: Conversation<'e>,
    /// The name of its world.
    world: String,
    is_open: bool,
    /// Tokens read and said, by turn and step.
    tokens: [Vec<Vec<usize>>; 2],
    /// By turn and step.
    thoughts: Vec<Vec<String>>,
    row: Option<ResultRow>,
}

/// How conversations ended.
#[derive(Default)]
struct Ends {
    complete: usize,
    too_many_steps: usize,
    full: usize,
    lost: usize,
}

/// All conversations.
pub(super) struct Talks<'e> {
    /// What servers say of themselves.
    pub(super) about: About,
    held: Vec<Held<'e>>,
    worlds: PythonWorlds,
    reasoning: Reasoning,
    ends: Ends,
}

impl<'e> Talks<'e> {
    /// Begins them all.
    pub(super) fn new(entries: &'e [MultiTurnEntry], manner: &Manner, worlds: PythonWorlds) -> Self {
        let begin = |entry: &'e MultiTurnEntry| {
            let system = system_prompt(&Format::default(), &with_hints(&entry.functions, Language::Python));
            Held {
                entry,
                conversation: Conversation::new(entry, &system, manner.mode, manner.results)
                    .with_max_steps(manner.max_steps),
                world: label(&manner.model, &entry.id, false, false),
                is_open: false,
                tokens: [Vec::new(), Vec::new()],
                thoughts: Vec::new(),
                row: None,
            }
        };
        let held = entries.iter().map(begin).collect();
        Self { about: About::default(), held, worlds, reasoning: manner.reasoning, ends: Ends::default() }
    }

    /// Takes over the answers that a killed attempt left; returns how many.
    ///
    /// # Errors
    /// [`StageError::Io`] if there is a checkpoint that cannot be read.
    pub(super) fn resume(&mut self, context: &StageCtx) -> Result<usize, StageError> {
        let Some(found) = checkpoint::load(context.scratch())? else { return Ok(0) };
        let [rows, about] = found.tables.as_slice() else { return Ok(0) };
        let (Ok(text), Ok(about)) = (std::str::from_utf8(rows), serde_json::from_slice(about)) else { return Ok(0) };
        let rows = results::read("the checkpoint", text).map_err(StageError::failed("read the checkpoint"))?;
        let count = rows.len();
        self.about = about;
        for row in rows {
            if let Some(held) = self.held.iter_mut().find(|held| held.entry.id == row.id) {
                held.row = Some(row);
            }
        }
        Ok(count)
    }

    /// Leaves a checkpoint of the conversations that have ended.
    ///
    /// # Errors
    /// [`StageError::Io`].
    pub(super) fn save(&self, context: &StageCtx) -> Result<(), StageError> {
        let about = serde_json::to_vec(&self.about).map_err(StageError::failed("write a checkpoint"))?;
        let tables = [results::write(&self.rows()).into_bytes(), about];
        checkpoint::save(context.scratch(), &State { tables: &tables, ..State::default() })
    }

    /// Returns how many there are, and how many have ended.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.held.len(), self.held.iter().filter(|held| held.row.is_some()).count())
    }

    /// Returns the places of those that have not ended.
    pub(super) fn live(&self) -> Vec<usize> {
        (0..self.held.len()).filter(|place| self.is_live(*place)).collect()
    }

    /// Whether a conversation goes on.
    pub(super) fn is_live(&self, place: usize) -> bool {
        self.held[place].row.is_none()
    }

    /// Returns the question's id.
    pub(super) fn id(&self, place: usize) -> &str {
        &self.held[place].entry.id
    }

    /// Returns what was said so far.
    pub(super) fn messages(&self, place: usize) -> &[Message] {
        self.held[place].conversation.messages()
    }

    /// Returns the same as tokens, up to where the model is to go on.
    ///
    /// # Errors
    /// [`StageError::Failed`] when the chat template refuses it.
    pub(super) fn prompt(&self, place: usize, tokenizer: &Tokenizer) -> Result<Vec<u32>, StageError> {
        let failed = || StageError::failed(format!("render the conversation of `{}`", self.id(place)));
        let text = chat::prompt(tokenizer, self.messages(place)).map_err(failed())?;
        tokenizer.encode(&text, false).map_err(failed())
    }

    /// Takes the model's turn, of `said` tokens after `read` others, and runs its calls. Returns how many messages were said
    /// up to this turn, the turn included; what comes after them the model reads. `None`: the conversation is over.
    ///
    /// # Errors
    /// [`StageError::Failed`] when the worlds cannot be asked.
    pub(super) fn heard(
        &mut self,
        place: usize,
        text: &str,
        read: usize,
        said: usize,
    ) -> Result<Option<usize>, StageError> {
        let held = &mut self.held[place];
        let (answer, thought) = self.reasoning.split(text);
        let turn = held.conversation.turn();
        for (counts, count) in held.tokens.iter_mut().zip([read, said]) {
            of_turn(counts, turn).push(count);
        }
        of_turn(&mut held.thoughts, turn).push(thought.unwrap_or_default().to_owned());
        let messages = held.conversation.messages().len() + 1;
        let mut next = held.conversation.answered(answer);
        if let Next::Run(calls) = next {
            match self.run(place, &calls)? {
                Ok(results) => next = self.held[place].conversation.ran(results),
                Err(lost) => {
                    self.ends.lost += 1;
                    self.end(place, Some(lost))?;
                    return Ok(None);
                }
            }
        }
        match next {
            Next::Done(end) => {
                match end {
                    End::Complete => self.ends.complete += 1,
                    End::TooManySteps => self.ends.too_many_steps += 1,
                }
                self.end(place, None)?;
                Ok(None)
            }
            Next::Ask | Next::Run(_) => Ok(Some(messages)),
        }
    }

    /// Ends a conversation for which a model of `limit` tokens has no room.
    ///
    /// # Errors
    /// As [`Talks::heard`].
    pub(super) fn full(&mut self, place: usize, limit: usize) -> Result<(), StageError> {
        self.ends.full += 1;
        self.end(place, Some(format!("the conversation has outgrown the model's context of {limit} tokens")))
    }

    /// Runs calls in a conversation's world; the inner error says how the worlds were lost.
    fn run(&mut self, place: usize, calls: &[String]) -> Result<Result<Vec<String>, String>, StageError> {
        let Held { entry, conversation, world, is_open, .. } = &mut self.held[place];
        let mut open = None;
        let mut steps = vec![calls.to_vec()];
        if !*is_open {
            // A world that was lost with others is made again: the same calls do the same in it.
            open = Some(Opening { setting: &entry.setting, label: world });
            steps = conversation.calls().iter().flatten().cloned().collect();
        }
        let run = Run { world, open, steps: &steps, observe: Observe::Nothing, close: false };
        match self.worlds.run(&[run]) {
            Ok(mut outcomes) => {
                *is_open = true;
                Ok(Ok(outcomes.pop().and_then(|outcome| outcome.results.last().cloned()).unwrap_or_default()))
            }
            Err(error) => self.lost(place, error).map(Err),
        }
    }

    /// Notes a conversation's answer and closes its world. As officially, an answer with an error is that error.
    fn end(&mut self, place: usize, error: Option<String>) -> Result<(), StageError> {
        let held = &mut self.held[place];
        let result = match error {
            Some(error) => format!("Error during inference: {error}").into(),
            None => held.conversation.texts().iter().cloned().collect(),
        };
        let others = transcript::members(held.entry, &held.conversation, &held.tokens, &held.thoughts);
        held.row = Some(ResultRow { id: held.entry.id.clone(), result, others });
        if !std::mem::take(&mut held.is_open) {
            return Ok(());
        }
        let close = Run { world: &held.world, open: None, steps: &[], observe: Observe::Nothing, close: true };
        match self.worlds.run(&[close]) {
            Ok(_) => Ok(()),
            Err(error) => self.lost(place, error).map(drop),
        }
    }

    /// Notes that a call lost all worlds, and says how.
    fn lost(&mut self, place: usize, error: WorldsError) -> Result<String, StageError> {
        let failed = StageError::failed(format!("run calls of `{}`", self.id(place)));
        let loss = error.into_loss().map_err(failed)?;
        self.held.iter_mut().for_each(|held| held.is_open = false);
        Ok(loss.to_owned())
    }

    /// Returns the answers so far.
    pub(super) fn rows(&self) -> Vec<ResultRow> {
        self.held.iter().filter_map(|held| held.row.clone()).collect()
    }

    /// Says how the conversations of this attempt ended.
    pub(super) fn summary(&self) -> String {
        let Ends { complete, too_many_steps, full, lost } = self.ends;
        format!(
            "{complete} conversations were held to their end, {too_many_steps} had too many steps in a turn, {full} outgrew the model's \
             context, {lost} lost their world"
        )
    }
}

fn of_turn<T>(turns: &mut Vec<Vec<T>>, turn: usize) -> &mut Vec<T> {
    while turns.len() <= turn {
        turns.push(Vec::new());
    }
    &mut turns[turn]
}
