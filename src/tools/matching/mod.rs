//! Calls against what is expected.
//!
//! One call is compared by [`simple`]; several calls by assigning each call to one expectation so that all fit, in
//! any order. The assignment is a perfect matching: BFCL's checker takes the first call that fits and can so refuse an
//! answer that has one. BFCL's exact verdicts, with its error names and its Java and JavaScript literals, are not here.

pub(super) mod assign;
pub mod simple;
mod types;
mod values;

use super::{Call, ExpectedCall, ToolSpec, parse::ParsedOutput};

/// Whether calls are what is expected, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether they are.
    pub matched: bool,
    /// Why they are not, as a sentence without a full stop.
    pub reason: Option<String>,
}

impl Verdict {
    fn right() -> Self {
        Self { matched: true, reason: None }
    }

    fn wrong(reason: impl Into<String>) -> Self {
        Self { matched: false, reason: Some(reason.into()) }
    }
}

/// Compares calls with the expected ones; the order does not matter. No expectation: no call is right.
///
/// Types are checked against the schema of the tool with the expected call's name; a tool that is not among `tools` is
/// compared by its values alone.
pub fn matches(calls: &[Call], answer: &[ExpectedCall], tools: &[ToolSpec]) -> Verdict {
    if calls.len() != answer.len() {
        return Verdict::wrong(format!("expected {}, found {}", number(answer.len()), number(calls.len())));
    }
    let check = |call: &Call, expected: &ExpectedCall| {
        simple::check(call, expected, tools.iter().find(|tool| tool.name == expected.name))
    };
    if let ([call], [expected]) = (calls, answer) {
        return check(call, expected)
            .map_or_else(|mismatch| Verdict::wrong(mismatch.to_string()), |()| Verdict::right());
    }
    let fits: Vec<Vec<bool>> =
        answer.iter().map(|expected| calls.iter().map(|call| check(call, expected).is_ok()).collect()).collect();
    let unmatched = assign::unmatched(&fits);
    let Some(&missing) = unmatched.first() else { return Verdict::right() };
    let expected = &answer[missing];
    let near =
        calls.iter().find(|call| call.name == expected.name && fits.iter().all(|row| !row[position(calls, call)]));
    Verdict::wrong(match near.map(|call| (call, check(call, expected))) {
        Some((call, Err(mismatch))) => {
            format!("no call fits the expected `{}`: in `{call}`, {mismatch}", expected.name)
        }
        _ => format!("no call is left for the expected `{}`", expected.name),
    })
}

/// Compares a model's whole output. Where no call is right, an answer that makes none is right: also one that cannot be
/// read as calls at all, as in BFCL's relevance checks.
pub fn matches_output(output: &ParsedOutput, answer: &[ExpectedCall], tools: &[ToolSpec]) -> Verdict {
    match &output.calls {
        Ok(calls) => matches(calls, answer, tools),
        Err(_) if answer.is_empty() => Verdict::right(),
        Err(error) => Verdict::wrong(error.to_string()),
    }
}

fn position(calls: &[Call], call: &Call) -> usize {
    calls.iter().position(|other| std::ptr::eq(other, call)).unwrap_or(0)
}

fn number(calls: usize) -> String {
    match calls {
        0 => "no call".to_owned(),
        1 => "one call".to_owned(),
        many => format!("{many} calls"),
    }
}
