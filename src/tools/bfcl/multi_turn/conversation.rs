//! The loop of a conversation: turns of the user, in each of them steps of the model, after each step results.
//!
//! A state machine that does nothing itself: it says what comes next ([`Next`]), and is told what came of it. So one loop
//! serves evaluation, rollouts and tests, whoever samples and whoever runs the calls.
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/base_handler.py` (`inference_multi_turn_prompting`).

use super::{
    Mode,
    check::is_empty,
    decode,
    entry::MultiTurnEntry,
    judge::Calls,
    world::{Observe, Opening, Run, Worlds, label},
};
use crate::tools::{
    Message,
    python::{PyDict, PyValue, repr},
};

/// Steps that a turn may have; one more that calls something ends the conversation.
pub const MAX_STEPS: usize = 20;

/// What the user says when functions that were withheld are shown.
const MORE_FUNCTIONS: &str = "I have updated some more functions you can choose from. What about now?";

/// How results are given back to the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ResultStyle {
    /// A message of the role `tool` for each, as the official handlers of local models do. The chat template shows it.
    #[default]
    Tool,
    /// One message of the user: Python's `repr` of a list of such messages, as the handlers of most APIs do.
    Repr,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The model is asked with [`Conversation::messages`]; tell [`Conversation::answered`].
    Ask,
    /// Calls are run in the conversation's world; tell [`Conversation::ran`].
    Run(Vec<String>),
    /// The conversation is over.
    Done(End),
}

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// After the last turn.
    Complete,
    /// The model went on calling in one turn. The answer then lacks the later turns, and counts as wrong if there are any.
    TooManySteps,
}

/// A conversation that is being held.
#[derive(Clone, Debug)]
pub struct Conversation<'a> {
    entry: &'a MultiTurnEntry,
    mode: Mode,
    style: ResultStyle,
    max_steps: usize,
    messages: Vec<Message>,
    /// The turn, from 0.
    turn: usize,
    /// Steps of this turn whose calls were run.
    steps: usize,
    /// Texts by turn and step, those without calls too.
    texts: Vec<Vec<String>>,
    /// Calls by turn and step, without empty steps.
    calls: Calls,
    results: Vec<Vec<Vec<String>>>,
}

impl<'a> Conversation<'a> {
    /// Begins a conversation. `system`: the system prompt, which shows [`MultiTurnEntry::functions`]; the entry's own system
    /// message, if it has one, follows it. The first thing to do is [`Next::Ask`], if the entry has turns at all.
    pub fn new(entry: &'a MultiTurnEntry, system: &str, mode: Mode, style: ResultStyle) -> Self {
        let mut conversation = Self {
            entry,
            mode,
            style,
            max_steps: MAX_STEPS,
            messages: vec![Message::new("system", system)],
            turn: 0,
            steps: 0,
            texts: Vec::new(),
            calls: Vec::new(),
            results: Vec::new(),
        };
        conversation.begin_turn();
        conversation
    }

    /// Sets how many steps a turn may have.
    #[must_use]
    pub fn with_max_steps(mut self, max_steps: usize) -> Self {
        self.max_steps = max_steps;
        self
    }

    /// Returns everything said so far, the answers of the model and the results included.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Returns the turn, from 0.
    pub const fn turn(&self) -> usize {
        self.turn
    }

    /// Returns the model's texts by turn and step: what result files hold.
    pub fn texts(&self) -> &[Vec<String>] {
        &self.texts
    }

    /// Returns the decoded calls by turn and step.
    pub const fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Returns the results by turn, step and call.
    pub fn results(&self) -> &[Vec<Vec<String>>] {
        &self.results
    }

    /// Takes the model's answer, without its thoughts.
    pub fn answered(&mut self, text: &str) -> Next {
        self.messages.push(Message::new("assistant", text));
        last(&mut self.texts).push(text.to_owned());
        match decode::calls(text, self.mode, &self.entry.functions_in_all) {
            Ok(calls) if !calls.is_empty() => {
                last(&mut self.calls).push(calls.clone());
                Next::Run(calls)
            }
            _ => self.end_turn(),
        }
    }

    /// Takes the results of the calls last given out, one for each.
    pub fn ran(&mut self, results: Vec<String>) -> Next {
        let calls = self.calls.last().and_then(|steps| steps.last()).map(Vec::as_slice).unwrap_or_default();
        match self.style {
            ResultStyle::Tool => {
                self.messages.extend(results.iter().map(|result| Message::new("tool", result.as_str())));
            }
            ResultStyle::Repr => {
                let told = calls.iter().zip(&results).map(|(call, result)| {
                    let parts = [("role", "tool"), ("name", call.as_str()), ("content", result.as_str())];
                    PyValue::Dict(parts.into_iter().map(|(key, text)| (key.into(), text.into())).collect::<PyDict>())
                });
                let told: PyValue = told.collect();
                self.messages.push(Message::new("user", repr(&told)));
            }
        }
        last(&mut self.results).push(results);
        self.steps += 1;
        if self.steps > self.max_steps { Next::Done(End::TooManySteps) } else { Next::Ask }
    }

    /// Holds the conversation from beginning to end: asks for the model's texts and runs its calls in a world of its own.
    /// `model`: the name that the world's instances bear. Who samples many conversations at once drives [`Next`] instead.
    ///
    /// # Errors
    /// When the worlds fail.
    pub fn hold<W: Worlds>(
        &mut self,
        worlds: &mut W,
        model: &str,
        mut ask: impl FnMut(&[Message]) -> String,
    ) -> Result<End, W::Error> {
        let label = label(model, &self.entry.id, false, false);
        let mut open = Some(Opening { setting: &self.entry.setting, label: &label });
        let mut next = Next::Ask;
        loop {
            next = match next {
                Next::Ask => {
                    let text = ask(&self.messages);
                    self.answered(&text)
                }
                Next::Run(calls) => {
                    let run = Run {
                        world: &label,
                        open: open.take(),
                        steps: &[calls],
                        observe: Observe::Nothing,
                        close: false,
                    };
                    let outcomes = worlds.run(&[run])?;
                    self.ran(outcomes.into_iter().flat_map(|outcome| outcome.results).flatten().collect())
                }
                Next::Done(end) => {
                    if open.is_none() {
                        let close =
                            Run { world: &label, open: None, steps: &[], observe: Observe::Nothing, close: true };
                        worlds.run(&[close])?;
                    }
                    return Ok(end);
                }
            }
        }
    }

    fn end_turn(&mut self) -> Next {
        self.turn += 1;
        self.steps = 0;
        if self.turn < self.entry.question.len() {
            self.begin_turn();
            Next::Ask
        } else {
            Next::Done(End::Complete)
        }
    }

    fn begin_turn(&mut self) {
        self.texts.push(Vec::new());
        self.calls.push(Vec::new());
        self.results.push(Vec::new());
        if let Some(documents) = self.entry.withheld.get(&self.turn) {
            let documents: PyValue = documents.iter().map(PyValue::from).collect();
            self.messages.push(Message::new("user", format!("{}\n{MORE_FUNCTIONS}", repr(&documents))));
            return;
        }
        let mut said = self.entry.question.get(self.turn).map(Vec::as_slice).unwrap_or_default();
        if let (0, [own, rest @ ..]) = (self.turn, said)
            && own.role == "system"
        {
            let system = &mut self.messages[0].content;
            system.push_str("\n\n");
            system.push_str(&own.content);
            said = rest;
        }
        self.messages.extend(said.iter().cloned());
    }

    /// Returns whether the model called nothing so far in this turn.
    pub fn is_turn_empty(&self) -> bool {
        self.calls.last().is_none_or(|steps| is_empty(steps))
    }
}

fn last<T>(turns: &mut [T]) -> &mut T {
    turns.last_mut().expect("a turn was begun when the conversation was")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::tools::bfcl::multi_turn::world::{Outcome, Setting};

    fn entry() -> MultiTurnEntry {
        MultiTurnEntry {
            id: "multi_turn_miss_func_0".to_owned(),
            question: vec![vec![Message::new("user", "first")], vec![], vec![Message::new("user", "third")]],
            setting: Setting { classes: vec!["A".to_owned()], config: json!({}), long_context: false },
            functions: vec![json!({"name": "f"})],
            withheld: BTreeMap::from([(1, vec![json!({"name": "g", "is": true})])]),
            functions_in_all: Vec::new(),
            ground_truth: vec![vec![], vec![], vec![]],
        }
    }

    fn calls(calls: &[&str]) -> Next {
        Next::Run(calls.iter().map(|call| (*call).to_owned()).collect())
    }

    #[test]
    fn a_turn_ends_with_the_first_step_that_calls_nothing() {
        let entry = entry();
        let mut conversation = Conversation::new(&entry, "you can", Mode::Official, ResultStyle::Tool);
        assert_eq!(conversation.answered("[f(x=1), f(x=2)]"), calls(&["f(x=1)", "f(x=2)"]));
        assert!(!conversation.is_turn_empty());
        assert_eq!(conversation.ran(vec!["one".to_owned(), "two".to_owned()]), Next::Ask);
        assert_eq!(conversation.answered("Done."), Next::Ask);
        assert_eq!((conversation.turn(), conversation.is_turn_empty()), (1, true));
        assert_eq!(conversation.answered("[]"), Next::Ask);
        assert_eq!(conversation.answered("[g("), Next::Done(End::Complete));
        let said: Vec<_> =
            conversation.messages().iter().map(|said| (said.role.as_str(), said.content.as_str())).collect();
        assert_eq!(
            said,
            [
                ("system", "you can"),
                ("user", "first"),
                ("assistant", "[f(x=1), f(x=2)]"),
                ("tool", "one"),
                ("tool", "two"),
                ("assistant", "Done."),
                (
                    "user",
                    "[{'name': 'g', 'is': True}]\nI have updated some more functions you can choose from. What about now?"
                ),
                ("assistant", "[]"),
                ("user", "third"),
                ("assistant", "[g("),
            ]
        );
        assert_eq!(conversation.texts()[0], ["[f(x=1), f(x=2)]", "Done."]);
        assert_eq!(conversation.calls().iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 0]);
    }

    #[test]
    fn one_step_too_many_ends_everything() {
        let entry = entry();
        let mut conversation =
            Conversation::new(&entry, "you can", Mode::Official, ResultStyle::Repr).with_max_steps(1);
        conversation.answered("f()");
        assert_eq!(conversation.ran(vec!["it's".to_owned()]), Next::Ask);
        let result = &conversation.messages().last().unwrap().content;
        assert_eq!(result, "[{'role': 'tool', 'name': 'f()', 'content': \"it's\"}]");
        conversation.answered("f()");
        assert_eq!(conversation.ran(vec![String::new()]), Next::Done(End::TooManySteps));
        assert_eq!(conversation.texts().len(), 1);
    }

    /// Answers each call with its own text, and takes note of what was asked.
    #[derive(Default)]
    struct Echo(Vec<String>);

    impl Worlds for Echo {
        type Error = std::convert::Infallible;

        fn run(&mut self, runs: &[Run<'_>]) -> Result<Vec<Outcome>, Self::Error> {
            let outcome = |run: &Run<'_>| {
                self.0.push(format!("{} open={} close={}", run.world, run.open.is_some(), run.close));
                Outcome { results: run.steps.to_vec(), ..Outcome::default() }
            };
            Ok(runs.iter().map(outcome).collect())
        }
    }

    #[test]
    fn a_conversation_is_held_in_one_world() {
        let entry = entry();
        let mut conversation = Conversation::new(&entry, "you can", Mode::Official, ResultStyle::Tool);
        let mut texts = ["[f(x=1)]", "Done.", "", "[f(x=2)]", "[f(x=3)]", "Done."].into_iter();
        let mut echo = Echo::default();
        let end = conversation.hold(&mut echo, "me", |_| texts.next().unwrap().to_owned()).unwrap();
        assert_eq!((end, conversation.texts().len()), (End::Complete, 3));
        let runs =
            ["open=true close=false", "open=false close=false", "open=false close=false", "open=false close=true"];
        assert_eq!(echo.0, runs.map(|run| format!("me_multi_turn_miss_func_0 {run}")));
        assert_eq!(conversation.results()[2], [["f(x=2)"], ["f(x=3)"]]);
    }

    #[test]
    fn the_entrys_own_system_message_follows_ours() {
        let mut entry = entry();
        entry.question[0].insert(0, Message::new("system", "be brief"));
        let conversation = Conversation::new(&entry, "you can", Mode::Official, ResultStyle::Tool);
        assert_eq!(conversation.messages()[0].content, "you can\n\nbe brief");
        assert_eq!(conversation.messages().len(), 2);
    }
}
