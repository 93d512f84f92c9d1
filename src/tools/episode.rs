//! A conversation with tools: the model answers, its calls run, it reads what they returned and goes on.
//!
//! [`Episode`] is the loop, a step at a time, over any [`Toolbox`]; who samples the model is the caller's business. What ran
//! is left as a [`Trace`], and [`judge`] compares it with the trace of the gold calls, so a judgement never runs anything.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Call, Message, Sample,
    equality::python_equal,
    execution::{Executed, MAX_ARGUMENT_BYTES, argument_bytes},
    judgement::Judgement,
    matching,
    parse::{self, MAX_CALLS, ParsedOutput},
    suite,
};

/// The longest result that a model is shown, in bytes.
const MAX_RESULT_BYTES: usize = 1 << 14;

/// A call that gave no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Who says so.
    pub by: FailedBy,
    /// Why, in words for the model.
    pub text: String,
}

/// Who says that a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailedBy {
    /// We: there is no such tool, or the call is not as its schema asks. Nothing ran.
    Check,
    /// The tool: it ran, and says that it failed.
    Tool,
    /// The clock.
    Timeout,
    /// Who holds the tool: it refused, died or sent what is no answer.
    Server,
}

impl FailedBy {
    /// Returns a short, stable name to count by.
    pub const fn error_type(self) -> &'static str {
        match self {
            Self::Check => "refused",
            Self::Tool => "execution",
            Self::Timeout => "timeout",
            Self::Server => "server",
        }
    }
}

/// Where calls run: tools over a state.
pub trait Toolbox {
    /// Runs one call.
    ///
    /// # Errors
    /// [`Failed`] for a call that gives no result.
    fn call(&mut self, call: &Call) -> Result<Value, Failed>;

    /// Returns the state that the calls so far have left.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn state(&mut self) -> Result<Value, String>;
}

impl Toolbox for suite::World {
    fn call(&mut self, call: &Call) -> Result<Value, Failed> {
        suite::World::call(self, call).map_err(|error| Failed { by: FailedBy::Tool, text: error.to_string() })
    }

    fn state(&mut self) -> Result<Value, String> {
        Ok(suite::World::state(self))
    }
}

/// A call that ran, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// The call.
    pub call: Call,
    /// What it returned, or why it failed.
    pub result: Result<Value, Failed>,
}

/// What ran in an episode, and the state that it left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The calls in the order in which they ran.
    pub ran: Vec<Ran>,
    /// The state at the end, or why it cannot be told.
    pub state: Option<Result<Value, String>>,
}

impl Trace {
    /// Runs calls one after the other; those that fail, too.
    pub fn of(toolbox: &mut dyn Toolbox, calls: &[Call]) -> Self {
        let mut trace = Self::default();
        for call in calls {
            trace.run(toolbox, call);
        }
        trace.state = Some(toolbox.state());
        trace
    }

    /// Runs one call and returns what the model reads of it.
    fn run(&mut self, toolbox: &mut dyn Toolbox, call: &Call) -> Message {
        let size = argument_bytes(call);
        let result = if self.ran.len() >= MAX_CALLS {
            Err(refused(format!("more than {MAX_CALLS} calls")))
        } else if size > MAX_ARGUMENT_BYTES {
            Err(refused(format!("the arguments are {size} bytes, at most {MAX_ARGUMENT_BYTES} are run")))
        } else {
            toolbox.call(call)
        };
        let message = said(&result);
        self.ran.push(Ran { call: call.clone(), result });
        message
    }

    /// Returns the first call that failed.
    fn failed(&self) -> Option<(&Call, &Failed)> {
        self.ran.iter().find_map(|ran| Some((&ran.call, ran.result.as_ref().err()?)))
    }

    /// Returns what the calls that ran without an error returned.
    fn results(&self) -> impl Iterator<Item = &Value> {
        self.ran.iter().filter_map(|ran| ran.result.as_ref().ok())
    }
}

/// A conversation under way.
pub struct Episode {
    toolbox: Box<dyn Toolbox>,
    /// Turns with calls that may be made.
    steps: usize,
    trace: Trace,
}

impl Episode {
    /// Begins a conversation in which at most `steps` turns are answered by tools.
    pub fn new(toolbox: Box<dyn Toolbox>, steps: usize) -> Self {
        Self { toolbox, steps, trace: Trace::default() }
    }

    /// Runs the calls of a turn and returns what the model reads next, a message of the role `tool` for each call; `None`
    /// ends the conversation: the turn has no calls, or was the last that may have them (they are run all the same).
    pub fn answer(&mut self, text: &str) -> Option<Vec<Message>> {
        let calls = parse::calls(text).calls.ok().filter(|calls| !calls.is_empty())?;
        let messages: Vec<Message> = calls.iter().map(|call| self.trace.run(&mut *self.toolbox, call)).collect();
        self.steps = self.steps.saturating_sub(1);
        (self.steps > 0).then_some(messages)
    }

    /// Ends the conversation.
    pub fn end(mut self) -> Trace {
        self.trace.state = Some(self.toolbox.state());
        self.trace
    }
}

fn refused(text: String) -> Failed {
    Failed { by: FailedBy::Check, text }
}

/// What the model reads of a call that ran: its result as JSON, a text as it is.
fn said(result: &Result<Value, Failed>) -> Message {
    let mut text = match result {
        Ok(Value::String(text)) => text.clone(),
        Ok(value) => value.to_string(),
        Err(Failed { text, .. }) => json!({ "error": text }).to_string(),
    };
    if text.len() > MAX_RESULT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_RESULT_BYTES));
        text.push_str(" [cut]");
    }
    Message::new("tool", text)
}

/// Returns the world that a sample's calls run in, if it is one of a suite built in and calls leave a state there.
pub fn toolbox(sample: &Sample) -> Option<suite::World> {
    let environment = sample.environment.as_ref()?;
    match suite::Suite::named(&environment.suite).ok()?.start(&environment.state).ok()? {
        suite::Start::World(world) => Some(world),
        // A recorded call is judged alone.
        suite::Start::Case(_) => None,
    }
}

/// Returns what the gold calls of a sample come to in the world that [`toolbox`] gives.
pub fn gold(sample: &Sample) -> Trace {
    toolbox(sample).map_or_else(Trace::default, |mut world| Trace::of(&mut world, &sample.gold))
}

/// Judges a conversation of several turns: right is one whose calls left the state that the gold calls leave and returned,
/// among whatever else, what these return; where no call is right, one without calls. Calls that failed on the way count
/// for nothing. Where a gold call fails, nothing is right.
///
/// **Source:** the two checks of BFCL's multi-turn categories.
pub fn judge(sample: &Sample, turns: &[String], found: &Trace, gold: &Trace) -> Judgement {
    let output = joined(turns);
    let calls: Vec<Call> = found.ran.iter().map(|ran| ran.call.clone()).collect();
    let verdict = matching::matches(&calls, &sample.answer, &sample.tools);
    let execution = compare(found, gold);
    let no_call_is_right = sample.answer.is_empty();
    let parsed = output.calls.is_ok() || no_call_is_right;
    let right = execution.results_equal && execution.state_equal && !execution.gold_fails;
    let correct = if no_call_is_right { calls.is_empty() } else { right };
    let (error, error_type) = match (correct, calls.is_empty() || no_call_is_right) {
        (true, _) => (None, None),
        (false, _) if execution.gold_fails => (execution.error.clone(), execution.error_type()),
        (false, true) => {
            let verdict = matching::matches_output(&output, &sample.answer, &sample.tools);
            (verdict.reason, verdict.error_type)
        }
        (false, false) => {
            let wrong = if execution.results_equal { "state" } else { "results" };
            (execution.error.clone(), Some(found.failed().map_or(wrong, |(_, failed)| failed.by.error_type())))
        }
    };
    Judgement { output, parsed, matched: verdict.matched, execution, correct, error, error_type }
}

fn compare(found: &Trace, gold: &Trace) -> Executed {
    if let Some((call, failed)) = gold.failed() {
        let error = Some(format!("the gold calls fail: `{}`: {}", call.name, failed.text));
        return Executed { error, gold_fails: true, ..Executed::default() };
    }
    let failed = found.failed().map(|(call, failed)| format!("`{}`: {}", call.name, failed.text));
    let results_equal = contains(found.results().collect(), gold.results());
    let (state_equal, state_error) = match (&found.state, &gold.state) {
        (Some(Ok(found)), Some(Ok(gold))) => (python_equal(found, gold), None),
        (Some(Err(error)), _) | (_, Some(Err(error))) => (false, Some(error.clone())),
        _ => (false, Some("nothing was run".to_owned())),
    };
    let error = match (results_equal, state_equal) {
        (true, true) => None,
        (false, true) => Some("the gold calls' results are not among the results".to_owned()),
        (true, false) => Some("the state afterwards differs from that after the gold calls".to_owned()),
        (false, false) => Some("the gold calls' results are not among the results, and the state differs".to_owned()),
    };
    Executed {
        executed: failed.is_none() && !found.ran.is_empty(),
        results_equal,
        state_equal,
        error: state_error.or(failed.filter(|_| error.is_some())).or(error),
        gold_fails: false,
    }
}

/// Whether each of `wanted` is among `found`, each time it is wanted.
fn contains<'v>(mut found: Vec<&Value>, wanted: impl Iterator<Item = &'v Value>) -> bool {
    let mut take = |wanted: &Value| {
        let place = found.iter().position(|value| python_equal(value, wanted))?;
        Some(found.swap_remove(place))
    };
    wanted.into_iter().all(|value| take(value).is_some())
}

/// What the turns say, as one output: the calls of all of them. The last turn may be an answer in words.
fn joined(turns: &[String]) -> ParsedOutput {
    let mut parts = turns.iter().map(|turn| parse::calls(turn));
    let Some(mut whole) = parts.next() else { return parse::calls("") };
    for part in parts {
        match (&mut whole.calls, part.calls) {
            (Ok(calls), Ok(more)) => {
                calls.extend(more);
                whole.well_formed &= part.well_formed;
            }
            (_, _) => whole.response = part.response.or(whole.response.take()),
        }
        whole.answer.push('\n');
        whole.answer.push_str(&part.answer);
        whole.thinking = whole.thinking.take().or(part.thinking);
    }
    whole
}
