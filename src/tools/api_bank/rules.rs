//! How a result is compared with the recorded one: the parts that the tools' own rules share.
//!
//! A result is `{"api_name", "input", "output", "exception"}`. A rule that looks for something that is not there ends as
//! the official one does: with a `KeyError`, which the evaluator counts as wrong, or another exception, which it does not
//! catch.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    dates::{Format, lenient},
    python::{no_attribute, not_indexed, strip},
};
use crate::tools::equality::python_equal;

/// Why a rule has no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// A `KeyError`.
    Key,
    /// Another exception, with its text.
    Other(String),
}

/// A result of a call.
pub(super) type Answer = Map<String, Value>;

/// Returns `answer[name]`.
pub(super) fn part<'a>(answer: &'a Answer, name: &str) -> Result<&'a Value, Raised> {
    answer.get(name).ok_or(Raised::Key)
}

/// Returns `answer['input'][name]`.
pub(super) fn input<'a>(answer: &'a Answer, name: &str) -> Result<&'a Value, Raised> {
    match part(answer, "input")? {
        Value::Object(entries) => entries.get(name).ok_or(Raised::Key),
        other => Err(Raised::Other(not_indexed(other))),
    }
}

/// Returns `answer['input'][name]` where it is a text, whose `method` is asked for.
pub(super) fn input_text<'a>(answer: &'a Answer, name: &str, method: &str) -> Result<&'a str, Raised> {
    let value = input(answer, name)?;
    value.as_str().ok_or_else(|| Raised::Other(no_attribute(value, method)))
}

/// Makes sure that arguments are there, and are texts, in both results: most rules look everything up before they
/// compare. Those in `upper` are the ones that a rule makes upper case.
pub(super) fn demand(upper: &[&str], others: &[&str], ours: &Answer, gold: &Answer) -> Result<(), Raised> {
    for name in upper.iter().chain(others) {
        input(ours, name)?;
        input(gold, name)?;
    }
    for (names, method) in [(upper, "upper"), (others, "strip")] {
        for name in names {
            input_text(ours, name, method)?;
            input_text(gold, name, method)?;
        }
    }
    Ok(())
}

/// Compares a part of two results.
pub(super) fn same(name: &str, ours: &Answer, gold: &Answer) -> Result<bool, Raised> {
    Ok(python_equal(part(ours, name)?, part(gold, name)?))
}

/// Compares an argument of two results.
pub(super) fn same_input(name: &str, ours: &Answer, gold: &Answer) -> Result<bool, Raised> {
    Ok(python_equal(input(ours, name)?, input(gold, name)?))
}

/// Compares outputs and exceptions.
pub(super) fn same_outcome(ours: &Answer, gold: &Answer) -> Result<bool, Raised> {
    Ok(same("output", ours, gold)? && same("exception", ours, gold)?)
}

/// Everything is equal.
pub(super) fn exact(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same("input", ours, gold)? && same_outcome(ours, gold)?)
}

/// Outputs and exceptions are equal, whatever the input.
pub(super) fn outcome(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    same_outcome(ours, gold)
}

/// More than half of the words of two texts are common to both.
pub(super) fn similar(ours: &str, gold: &str) -> bool {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let (ours, gold) = (words(ours), words(gold));
    2 * ours.intersection(&gold).count() > ours.union(&gold).count()
}

/// Compares the words of an argument.
pub(super) fn similar_input(name: &str, fold: bool, ours: &Answer, gold: &Answer) -> Result<bool, Raised> {
    let method = if fold { "lower" } else { "split" };
    let (ours, gold) = (input_text(ours, name, method)?, input_text(gold, name, method)?);
    Ok(if fold { similar(&ours.to_lowercase(), &gold.to_lowercase()) } else { similar(ours, gold) })
}

/// Deleting: where both succeeded only the time counts. The rule is the same for meetings, whose arguments have no
/// `time`.
pub(super) fn deletion(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    if part(gold, "output")? == "success" && part(ours, "output")? == "success" {
        return same_input("time", ours, gold);
    }
    same_outcome(ours, gold)
}

/// Results must say the same tool.
pub(super) fn assert_same_name(ours: &Answer, gold: &Answer) -> Result<(), Raised> {
    if same("api_name", ours, gold)? {
        return Ok(());
    }
    Err(Raised::Other("The API name is not correct.".to_owned()))
}

/// How texts are made alike before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Blanks,
    Lower,
    Upper,
}

/// Compares an argument without its blanks at the ends.
pub(super) fn same_text(name: &str, fold: Fold, ours: &Answer, gold: &Answer) -> Result<bool, Raised> {
    let method = if fold == Fold::Upper { "upper" } else { "strip" };
    let (ours, gold) = (input_text(ours, name, method)?, input_text(gold, name, method)?);
    Ok(match fold {
        Fold::Blanks => strip(ours) == strip(gold),
        Fold::Lower => strip(ours).to_lowercase() == strip(gold).to_lowercase(),
        Fold::Upper => strip(&ours.to_uppercase()) == strip(&gold.to_uppercase()),
    })
}

/// Compares an argument as a date or time. What is none never equals anything, itself included: upstream two exceptions
/// are compared, as objects.
pub(super) fn same_moment(name: &str, format: Format, ours: &Answer, gold: &Answer) -> Result<bool, Raised> {
    let (ours, gold) = (input_text(ours, name, "strip")?, input_text(gold, name, "strip")?);
    Ok(lenient(ours, format).is_ok_and(|ours| lenient(gold, format) == Ok(ours)))
}

/// Removes an argument; one that is not there raises.
pub(super) fn drop_input(answer: &mut Answer, name: &str) -> Result<(), Raised> {
    match answer.get_mut("input") {
        Some(Value::Object(entries)) => entries.shift_remove(name).map(drop).ok_or(Raised::Key),
        Some(other) => Err(Raised::Other(no_attribute(other, "pop"))),
        None => Err(Raised::Key),
    }
}
