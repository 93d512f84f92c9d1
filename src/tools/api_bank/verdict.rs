//! The official verdict on one call.
//!
//! A fresh world for every call; list values stay text; the tool's own rule compares with the recorded result. What the
//! official evaluator does not survive gets a verdict here: wrong, with the exception's text as the reason.
//! Source: AlibabaResearch/DAMO-ConvAI, api-bank (`evaluator`, `evaluator_by_json`).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    python::{repr, truthy},
    reading::{self, MAX_CALL_BYTES},
    rules::{Answer, Raised},
    running::{self, CallError},
    world::World,
};
use crate::{
    base::Seed,
    tools::{Call, equality::python_equal},
};

/// A call that a dialogue records, with its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The tool.
    #[serde(rename = "api_name")]
    pub name: String,
    /// Its arguments, all as texts.
    #[serde(rename = "param_dict", default)]
    pub arguments: Map<String, Value>,
    /// `{"api_name"?, "input", "output", "exception"}`.
    #[serde(default)]
    pub result: Map<String, Value>,
}

/// The classes that the official evaluator counts its errors by, and one for what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorClass {
    /// No `[name(…)]` in the text.
    NoApiCall,
    /// Another tool is called.
    ApiNameMismatch,
    /// The tool ended with an exception.
    HasException,
    /// The arguments are others.
    InputMismatch,
    /// The output is another.
    OutputMismatch,
    /// The tool has no such parameter.
    InvalidInputParameter,
    /// The rule looked for an argument that is not there.
    KeyError,
    /// The call could not be read.
    FailedParseApiCall,
    /// A required argument is missing.
    MissInputArgument,
    /// An exception that the official statistics do not survive.
    Uncaught,
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoApiCall => "NO_API_CALL",
            Self::ApiNameMismatch => "API_NAME_MISMATCH",
            Self::HasException => "HAS_EXCEPTION",
            Self::InputMismatch => "INPUT_MISMATCH",
            Self::OutputMismatch => "OUTPUT_MISMATCH",
            Self::InvalidInputParameter => "INVALID_INPUT_PARAMETER",
            Self::KeyError => "KEY_ERROR",
            Self::FailedParseApiCall => "FAILED_PARSE_API_CALL",
            Self::MissInputArgument => "MISS_INPUT_ARGUMENT",
            Self::Uncaught => "UNCAUGHT",
        })
    }
}

/// What is said about one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The call is right.
    pub correct: bool,
    /// Why there is no result to compare, in the official evaluator's words; `None` where the rule decided.
    pub reason: Option<String>,
    /// The error's class; `None` for right calls, and for wrong ones that the official statistics put in no class.
    pub class: Option<ErrorClass>,
    /// The call as it was read.
    pub call: Option<Call>,
    /// The call's result, if the tool was run. Some rules drop the argument that they compared on its own.
    pub result: Option<Map<String, Value>>,
}

impl Verdict {
    fn wrong(class: ErrorClass, reason: impl Into<String>, call: Option<Call>) -> Self {
        Self { correct: false, reason: Some(reason.into()), class: Some(class), call, result: None }
    }

    /// Returns what is wrong, in one line; `None` where nothing is.
    pub fn error(&self) -> Option<String> {
        if self.correct {
            return None;
        }
        let class = self.class.map_or_else(|| "MISMATCH".to_owned(), |class| class.to_string());
        let exception = self.result.as_ref().and_then(|result| result.get("exception")?.as_str());
        Some(match self.reason.as_deref().or(exception) {
            Some(reason) if reason != class => format!("{class}: {reason}"),
            _ => class,
        })
    }
}

/// Returns the official verdict on a model's text.
///
/// Where the recorded tool cannot run here, a call of it has no official verdict: it is wrong, of the class
/// [`ErrorClass::Uncaught`].
pub fn official(completion: &str, gold: &Recorded) -> Verdict {
    let Some(found) = reading::find(completion) else {
        return Verdict::wrong(ErrorClass::NoApiCall, "NO_API_CALL", None);
    };
    let Some(call) = reading::read_call(completion) else {
        let reason = format!("a call of {} bytes is longer than {MAX_CALL_BYTES}", found.text.len());
        return Verdict::wrong(ErrorClass::FailedParseApiCall, reason, None);
    };
    if call.name != gold.name {
        let reason = format!("API Name Mismatch: {} vs {}", call.name, gold.name);
        return Verdict::wrong(ErrorClass::ApiNameMismatch, reason, Some(call));
    }
    match World::new(Seed(0)).call(&call) {
        Ok(result) => compared(call, result, gold.result.clone()),
        Err(error) => {
            let class = match error {
                CallError::UnknownParameter { .. } => ErrorClass::InvalidInputParameter,
                CallError::Missing { .. } => ErrorClass::MissInputArgument,
                _ => ErrorClass::Uncaught,
            };
            Verdict::wrong(class, error.to_string(), Some(call))
        }
    }
}

fn compared(call: Call, mut result: Answer, mut gold: Answer) -> Verdict {
    let verdict = running::tool(&call.name)
        .map_err(|error| Raised::Other(error.to_string()))
        .and_then(|tool| (tool.rule)(&mut result, &mut gold));
    match verdict {
        Ok(correct) => {
            let class = if correct { None } else { class_of(&result, &gold) };
            Verdict { correct, reason: None, class, call: Some(call), result: Some(result) }
        }
        Err(Raised::Key) => {
            let reason = format!("KeyError{}", repr(&Value::Object(result)));
            Verdict::wrong(ErrorClass::KeyError, reason, Some(call))
        }
        Err(Raised::Other(reason)) => Verdict::wrong(ErrorClass::Uncaught, reason, Some(call)),
    }
}

/// Returns the class of a result that the rule refused.
fn class_of(result: &Answer, gold: &Answer) -> Option<ErrorClass> {
    let differs = |name: &str| match (result.get(name), gold.get(name)) {
        (Some(own), Some(recorded)) => !python_equal(own, recorded),
        (own, recorded) => own.is_some() || recorded.is_some(),
    };
    if result.get("exception").is_some_and(truthy) {
        Some(ErrorClass::HasException)
    } else if differs("output") {
        Some(ErrorClass::OutputMismatch)
    } else if differs("input") {
        Some(ErrorClass::InputMismatch)
    } else {
        None
    }
}
