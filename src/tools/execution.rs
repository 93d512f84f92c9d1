//! Running predicted and gold calls, each in a world of their own, and comparing what came of them.

use serde_json::Value;

use super::{
    Call, Sample, Style, answer_text, api_bank,
    equality::{python_equal, same_multiset},
    parse::MAX_CALLS,
    suite::{Start, Suite, World},
};

/// The largest arguments of one call that are run, in bytes of JSON.
pub const MAX_ARGUMENT_BYTES: usize = 1 << 16;

/// What came of running calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// Every call ran without an error.
    pub executed: bool,
    /// The results are those of the gold calls, in any order.
    pub results_equal: bool,
    /// The state afterwards is that after the gold calls.
    pub state_equal: bool,
    /// The first thing that went wrong.
    pub error: Option<String>,
    /// The gold calls themselves do not run: no answer can be right.
    pub gold_fails: bool,
}

impl Executed {
    /// Returns whether all of it is right.
    pub fn right(&self) -> bool {
        self.executed && self.results_equal && self.state_equal
    }

    /// Returns a short, stable name of what is wrong to count by; `None` if all is right.
    pub fn error_type(&self) -> Option<&'static str> {
        match self {
            _ if self.right() => None,
            Self { gold_fails: true, .. } => Some("gold-fails"),
            Self { executed: false, .. } => Some("execution"),
            Self { results_equal: false, .. } => Some("results"),
            _ => Some("state"),
        }
    }

    fn impossible(error: impl Into<String>) -> Self {
        Self { error: Some(error.into()), ..Self::default() }
    }
}

/// Runs `calls` and the sample's gold calls from the sample's initial state, in separate worlds.
///
/// Calls after one that fails are not run; what the world is like then is still compared. A sample without an
/// environment, or with a state that is no world, gives an error and nothing is executed.
pub fn judge(calls: &[Call], sample: &Sample) -> Executed {
    let Some(environment) = &sample.environment else {
        return Executed::impossible("the sample has no environment to run calls in");
    };
    if calls.len() > MAX_CALLS {
        return Executed::impossible(format!("{} calls are more than the limit of {MAX_CALLS}", calls.len()));
    }
    let start = Suite::named(&environment.suite).and_then(|suite| suite.start(&environment.state));
    let mut world = match start {
        Ok(Start::World(world)) => world,
        Ok(Start::Case(case)) => return case.judge(&answer_text(calls, Style::Python)).executed,
        Err(error) => {
            let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
            return Executed::impossible(format!("{error}{source}"));
        }
    };
    let mut gold_world = world.clone();
    let gold = match run(&mut gold_world, &sample.gold) {
        (results, None) => results,
        (_, Some(error)) => {
            let failed = Executed::impossible(format!("the gold calls fail: {error}"));
            return Executed { gold_fails: true, ..failed };
        }
    };
    let (results, failure) = run(&mut world, calls);
    let executed = failure.is_none();
    let results_equal = executed && same_multiset(&results, &gold);
    let state_equal = world == gold_world || python_equal(&world.state(), &gold_world.state());
    let error = failure.or_else(|| match (results_equal, state_equal) {
        (true, true) => None,
        (false, true) => Some("the results differ from those of the gold calls".to_owned()),
        (true, false) => Some("the state afterwards differs from that after the gold calls".to_owned()),
        (false, false) => Some("results and state differ from those of the gold calls".to_owned()),
    });
    Executed { executed, results_equal, state_equal, error, gold_fails: false }
}

/// Judges a text as the answer to a sample of a suite that reads calls and judges them by rules of its own; `None` where
/// the sample has no such suite, or a state that is none of it.
pub fn judge_by_rule(completion: &str, sample: &Sample) -> Option<api_bank::Ruled> {
    let environment = sample.environment.as_ref()?;
    match Suite::named(&environment.suite).ok()? {
        Suite::Household => None,
        suite @ Suite::ApiBank => match suite.start(&environment.state).ok()? {
            Start::Case(case) => Some(case.judge(completion)),
            Start::World(_) => None,
        },
    }
}

/// Runs calls until one fails; returns the results so far and the failure.
fn run(world: &mut World, calls: &[Call]) -> (Vec<Value>, Option<String>) {
    let mut results = Vec::with_capacity(calls.len());
    for call in calls {
        if argument_bytes(call) > MAX_ARGUMENT_BYTES {
            let message = format!("the arguments of `{}` are larger than {MAX_ARGUMENT_BYTES} bytes", call.name);
            return (results, Some(message));
        }
        match world.call(call) {
            Ok(result) => results.push(result),
            Err(error) => return (results, Some(error.to_string())),
        }
    }
    (results, None)
}

/// Returns about how many bytes of JSON a call's arguments are.
pub(super) fn argument_bytes(call: &Call) -> usize {
    call.arguments.iter().map(|(name, value)| name.len() + text_size(value)).sum()
}

fn text_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(text_size).sum::<usize>() + 2,
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| key.len() + 4 + text_size(value)).sum::<usize>() + 2
        }
        _ => 8,
    }
}
