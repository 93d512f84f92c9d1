//! The official checker: are these the expected calls?
//!
//! - [`prepared`]: documents and possible answers, made ready once per entry.
//! - [`call`]: one call against one expected call: name, required, types, values, optional.
//! - [`types`], [`values`]: the rules for types and for values.
//! - [`java`], [`javascript`]: what source text of those languages converts to.
//!
//! Where the official checker raises an exception, the answer is wrong, of the kind [`ErrorType::CheckerRaised`], and
//! the text names the exception.
//!
//! Source: `bfcl-eval` 2026.3.23, `eval_checker/ast_eval`.

mod call;
mod java;
mod javascript;
mod prepared;
mod types;
mod values;

pub(super) use prepared::{Expectation, Expected};

use super::verdict::{Complaint, ErrorType};
use crate::tools::python::{Call, PyValue};

/// Why a call or an answer is wrong.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub kind: ErrorType,
    /// Empty where nobody asked for sentences.
    pub error: Vec<String>,
}

pub(super) type Checked = Result<(), Failure>;

/// Whether sentences are wanted; making them costs more than judging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    Wanted,
    Spared,
}

impl Words {
    pub fn failure(self, kind: ErrorType, sentence: impl FnOnce() -> String) -> Failure {
        let error = if self == Self::Wanted { vec![sentence()] } else { Vec::new() };
        Failure { kind, error }
    }

    /// A place where the official checker raises an exception.
    pub fn raised(self, exception: &str) -> Failure {
        self.failure(ErrorType::CheckerRaised, || exception.to_owned())
    }
}

/// The answer's complaints.
#[derive(Debug)]
pub(super) struct Wrong {
    pub kind: ErrorType,
    pub error: Vec<Complaint>,
}

impl From<Failure> for Wrong {
    fn from(failure: Failure) -> Self {
        Self { kind: failure.kind, error: failure.error.into_iter().map(Complaint::Text).collect() }
    }
}

/// Checks the answer to an entry that expects one call.
pub(super) fn single(expectation: &Expectation, calls: &[Call], count: ErrorType, words: Words) -> Result<(), Wrong> {
    let expected = expectation.expected.as_deref().map_err(|exception| words.raised(exception))?;
    if calls.len() != if count == ErrorType::SimpleWrongCount { 1 } else { expected.len() } {
        return Err(words.failure(count, || "Wrong number of functions.".to_owned()).into());
    }
    match (expected.first(), calls.first()) {
        (Some(expected), Some(given)) => Ok(call::check(expected, given, words)?),
        _ => Err(words.raised("IndexError: list index out of range").into()),
    }
}

/// Checks the answer to an entry that expects several calls in any order: each expected call takes the first call that
/// is left and fits, and none is given back.
pub(super) fn parallel(expectation: &Expectation, calls: &[Call], words: Words) -> Result<(), Wrong> {
    let expected = expectation.expected.as_deref().map_err(|exception| words.raised(exception))?;
    if calls.len() != expected.len() {
        let kind = ErrorType::ParallelWrongCount;
        return Err(words.failure(kind, || "Wrong number of functions.".to_owned()).into());
    }
    let mut taken = vec![false; calls.len()];
    for (place, expected) in expected.iter().enumerate() {
        let mut candidates = Vec::new();
        let mut found = false;
        for (index, given) in calls.iter().enumerate() {
            if taken[index] {
                continue;
            }
            match call::check(expected, given, words) {
                Ok(()) => {
                    taken[index] = true;
                    found = true;
                    break;
                }
                Err(failure) if failure.kind == ErrorType::CheckerRaised => return Err(failure.into()),
                Err(failure) if words == Words::Wanted => candidates.push(Complaint::Candidate {
                    index,
                    sub_error: failure.error,
                    sub_error_type: failure.kind,
                    model_output_item: given.to_python(),
                    possible_answer_item: PyValue::from(&expected.answer),
                }),
                Err(_) => {}
            }
        }
        if !found {
            let kind = ErrorType::ParallelCannotFindMatch;
            if words == Words::Spared {
                return Err(Wrong { kind, error: Vec::new() });
            }
            let left: Vec<String> = (0..calls.len()).filter(|index| !taken[*index]).map(|i| i.to_string()).collect();
            let mut error = vec![Complaint::Text(format!(
                "Could not find a matching function among index [{}] of model output for index {place} of possible \
                 answers.",
                left.join(", ")
            ))];
            error.append(&mut candidates);
            return Err(Wrong { kind, error });
        }
    }
    Ok(())
}

/// Checks one call against one expected call.
pub(super) fn one(expected: &Expected, given: &Call) -> Checked {
    call::check(expected, given, Words::Spared)
}
