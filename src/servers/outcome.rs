//! What came of calls, and how the outcomes of two episodes compare.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::{EndState, read_json_text};
use crate::tools::equality::python_equal;

/// What came of one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallOutcome {
    /// What a model is shown: the result, or what went wrong.
    pub text: String,
    /// The structured result, where the tool gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// From the check of the arguments to the result.
    pub latency: Duration,
}

/// Who says that a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureKind {
    /// We: there is no such tool, or the arguments are not what its schema asks for. No server saw the call.
    Refused,
    /// The tool: it ran and reports an error.
    Tool,
    /// The server: it refuses the request. It is well.
    Protocol,
    /// The clock: the call took too long. The server was ended.
    Timeout,
    /// The server died, or sends what is no talk. It was ended.
    Server,
}

impl CallOutcome {
    /// Returns whether the call gave a result.
    pub fn succeeded(&self) -> bool {
        self.failure.is_none()
    }

    /// Returns the result as a value: the structured one, or the text as JSON if it is some.
    pub fn value(&self) -> Value {
        match &self.structured {
            Some(value) => value.clone(),
            None => read_json_text(self.text.as_bytes()).unwrap_or_else(|_| Value::from(self.text.trim())),
        }
    }

    /// Returns whether two calls came to the same: equal results by Python's equality, or failures of one kind.
    pub fn same_result(&self, other: &Self) -> bool {
        match (self.failure, other.failure) {
            (None, None) => python_equal(&self.value(), &other.value()),
            (left, right) => left == right,
        }
    }
}

/// What an episode came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// One for each call.
    pub outcomes: Vec<CallOutcome>,
    /// What was left behind.
    pub end: EndState,
}

/// What is to come out: what is `None` is not compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expectation {
    /// The results of the calls, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<CallOutcome>>,
    /// The end state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_state: Option<EndState>,
}

/// How a trace and an expectation compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Every call gave what was expected.
    pub results_equal: bool,
    /// The end state is the one expected.
    pub state_equal: bool,
    /// What is different, in lines.
    pub differences: Vec<String>,
}

impl Expectation {
    /// Returns the expectation that another trace comes to the same.
    pub fn of(trace: &Trace) -> Self {
        Self { results: Some(trace.outcomes.clone()), end_state: Some(trace.end.clone()) }
    }

    /// Compares a trace with what was expected; at most `limit` lines each say what is different.
    pub fn compare(&self, trace: &Trace, limit: usize) -> Comparison {
        let mut differences = Vec::new();
        if let Some(expected) = &self.results {
            if expected.len() != trace.outcomes.len() {
                differences.push(format!("{} calls, not {}", trace.outcomes.len(), expected.len()));
            }
            for (index, (expected, found)) in expected.iter().zip(&trace.outcomes).enumerate() {
                if !expected.same_result(found) {
                    let number = index + 1;
                    differences.push(format!("call {number} gives {}, not {}", shown(found), shown(expected)));
                }
            }
        }
        let results_equal = differences.is_empty();
        differences.truncate(limit);
        let states = self.end_state.as_ref().map_or_else(Vec::new, |expected| expected.differences(&trace.end, limit));
        let state_equal = states.is_empty();
        differences.extend(states);
        Comparison { results_equal, state_equal, differences }
    }
}

fn shown(outcome: &CallOutcome) -> String {
    let text: String = outcome.text.chars().take(120).collect();
    match outcome.failure {
        Some(failure) => format!("a failure ({failure:?}): {text}"),
        None => format!("`{text}`"),
    }
}
