//! From model text to calls, as the official decoder does it for models that are prompted (not called with tools).
//!
//! Reads text only: nothing is evaluated but constants, within limits. Each format has a file; what they share is here.
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/utils.py` (`default_decode_ast_prompting`, `ast_parse`).

mod code;
mod java;
mod javascript;
mod json;
mod plain;
mod xml;
mod xml_text;

use std::borrow::Cow;

use super::format::{Format, ReturnFormat};
use crate::tools::python::{self, Call, CallsError, PyDict, PyValue, characters::strip};

/// Longer answers are refused. No model writes them, and every step stays short of a second.
pub const MAX_BYTES: usize = 1 << 20;

/// What an answer decodes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// A list of calls.
    Calls(Vec<Call>),
    /// Anything else that the official decoder returns.
    Other(PyValue),
}

impl Decoded {
    /// Returns the official form: a list of dicts of one entry, or what it is.
    pub fn to_python(&self) -> PyValue {
        match self {
            Self::Calls(calls) => calls.iter().map(Call::to_python).collect(),
            Self::Other(value) => value.clone(),
        }
    }

    /// Returns the calls, if the value passes the official test of its form: a list of dicts of one entry that is a dict.
    pub fn into_calls(self) -> Result<Vec<Call>, PyValue> {
        match self {
            Self::Calls(calls) => Ok(calls),
            Self::Other(value) => calls_of(&value).ok_or(value),
        }
    }
}

/// Names that are no texts (only JSON has them) are no function's name, whatever they are.
fn calls_of(value: &PyValue) -> Option<Vec<Call>> {
    let call = |item: &PyValue| {
        let mut entries = item.as_dict()?.iter();
        let (name, arguments) = entries.next()?;
        let arguments: &PyDict = arguments.as_dict()?;
        let name = name.as_str().map_or_else(|| format!("<{}>", python::repr(name)), str::to_owned);
        entries.next().is_none().then(|| Call { name, arguments: arguments.clone() })
    };
    value.as_list()?.iter().map(call).collect()
}

/// Decodes an answer without the official decoder's losses: arguments by place are kept apart, Java objects keep their
/// bodies.
///
/// # Errors
///
/// If the text holds no calls in this format.
pub(super) fn decode_fairly(text: &str, format: Format) -> Result<Vec<(Call, Vec<PyValue>)>, CallsError> {
    let without_places = |decoded: Decoded| {
        let calls =
            decoded.into_calls().map_err(|_| CallsError::new("ValueError", "the answer is no list of calls"))?;
        Ok(calls.into_iter().map(|call| (call, Vec::new())).collect())
    };
    match format.ret_fmt {
        ReturnFormat::Python | ReturnFormat::Java if text.len() <= MAX_BYTES => {
            let bracketed = bracketed(text);
            let source = tagged_part(&bracketed, format)?;
            if format.ret_fmt == ReturnFormat::Python {
                return python::calls_with_places(strip(source).trim_matches('\''));
            }
            java::decode_whole(without_ends(source)).and_then(without_places)
        }
        _ => decode(text, format).and_then(without_places),
    }
}

/// Decodes an answer.
///
/// # Errors
///
/// If the official decoder raises an exception; the error is its class and text.
pub fn decode(text: &str, format: Format) -> Result<Decoded, CallsError> {
    if text.len() > MAX_BYTES {
        return Err(CallsError::new("ValueError", format!("the answer is longer than {MAX_BYTES} bytes")));
    }
    let bracketed = bracketed(text);
    let source = tagged_part(&bracketed, format)?;
    match format.ret_fmt {
        ReturnFormat::Python => python::calls(strip(source).trim_matches('\'')).map(Decoded::Calls),
        ReturnFormat::Java => java::decode(without_ends(source)),
        ReturnFormat::JavaScript => javascript::decode(without_ends(source)),
        ReturnFormat::Json => json::decode(source),
        ReturnFormat::VerboseXml => xml::decode(source, true).map(Decoded::Calls),
        ReturnFormat::ConciseXml => xml::decode(source, false).map(Decoded::Calls),
    }
}

/// The part between the tags, where the format has them.
fn tagged_part(source: &str, format: Format) -> Result<&str, CallsError> {
    if !format.tool_call_tag {
        return Ok(source);
    }
    between(source, "<TOOLCALL>", "</TOOLCALL>")
        .map(strip)
        .ok_or_else(|| CallsError::new("ValueError", format!("No tool call tag found in input string: {source}")))
}

/// Strips fences and blanks, and puts brackets where they are missing.
fn bracketed(text: &str) -> Cow<'_, str> {
    let stripped = text.trim_matches(['`', '\n', ' ']);
    let (opened, closed) = (stripped.starts_with('['), stripped.ends_with(']'));
    if opened && closed {
        return Cow::Borrowed(stripped);
    }
    let mut source = String::with_capacity(stripped.len() + 2);
    if !opened {
        source.push('[');
    }
    source.push_str(stripped);
    if !source.ends_with(']') {
        source.push(']');
    }
    Cow::Owned(source)
}

/// Drops the first and the last character.
fn without_ends(source: &str) -> &str {
    let mut characters = source.chars();
    characters.next();
    characters.next_back();
    characters.as_str()
}

/// Returns what stands between the first opening tag and the next closing one.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let start = text.find(open)? + open.len();
    let end = text[start..].find(close)?;
    Some(&text[start..start + end])
}
