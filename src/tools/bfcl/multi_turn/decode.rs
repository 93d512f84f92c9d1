//! From a model's text to the texts of the calls that are run.
//!
//! Officially calls are decoded to values and printed again, and what is lost on the way is lost: arguments by place, `{}`,
//! nested calls. [`Mode::Fair`] runs what was written; arguments by place get the names that the functions' documents
//! have in their places, since documents are what a model sees.

use serde_json::Value;

use super::Mode;
use crate::tools::{
    bfcl::{
        decode::{MAX_BYTES, decode},
        format::Format,
    },
    python::{CallsError, PyDict, PyValue, WrittenCall, characters::strip, repr, write_repr, written_calls},
};

/// Why a text holds no calls that can be run. The model is then taken to have ended its turn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is no list of calls.
    #[error("the text is no list of calls: {0}")]
    NoCalls(#[from] CallsError),
    /// The official printer raises on `{}` as an argument.
    #[error("the empty dict as an argument cannot be printed officially")]
    EmptyDict,
}

/// How one text is read differently by the two modes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What is run officially; nothing if the text is thrown away.
    pub official: Vec<String>,
    /// What is run in fair mode.
    pub fair: Vec<String>,
    /// Why.
    pub reason: Reason,
}

/// Why a text is read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Arguments by place are dropped officially.
    ByPlace,
    /// A value changes officially: a nested call, a dict of dicts, an operator.
    Reprinted,
    /// The official decoder or printer gives up.
    Undecodable,
}

/// Returns the calls of a text, as they are run. `functions`: the documents of all functions.
///
/// # Errors
/// When the text is no list of calls.
pub fn calls(text: &str, mode: Mode, functions: &[Value]) -> Result<Vec<String>, DecodeError> {
    match mode {
        Mode::Official => official(text),
        Mode::Fair => Ok(written(text)?.into_iter().map(|call| named(call, functions).to_string()).collect()),
    }
}

/// Returns how the modes differ on a text, if they do.
pub fn change(text: &str, functions: &[Value]) -> Option<Change> {
    let written = written(text).ok()?;
    let by_place = written.iter().any(|call| !call.places.is_empty());
    let fair: Vec<String> = written.into_iter().map(|call| named(call, functions).to_string()).collect();
    let (official, reason) = match official(text) {
        Ok(official) => (official, if by_place { Reason::ByPlace } else { Reason::Reprinted }),
        Err(_) => (Vec::new(), Reason::Undecodable),
    };
    (official != fair).then_some(Change { official, fair, reason })
}

fn official(text: &str) -> Result<Vec<String>, DecodeError> {
    let decoded = decode(text, Format::default())?.to_python();
    printed(decoded.as_list().unwrap_or_default())
}

/// Takes the text apart as the official decoder does, up to its calls.
fn written(text: &str) -> Result<Vec<WrittenCall>, CallsError> {
    if text.len() > MAX_BYTES {
        return Err(CallsError::new("ValueError", format!("the answer is longer than {MAX_BYTES} bytes")));
    }
    let stripped = text.trim_matches(['`', '\n', ' ']);
    let open = if stripped.starts_with('[') { "" } else { "[" };
    let close = if stripped.ends_with(']') { "" } else { "]" };
    written_calls(strip(&format!("{open}{stripped}{close}")).trim_matches('\''))
}

/// Gives arguments by place their names. Where that cannot be (too many, a name twice, `*`) all stays as it is, and the API
/// says what is wrong.
fn named(mut call: WrittenCall, functions: &[Value]) -> WrittenCall {
    let document = functions.iter().find(|document| document["name"] == call.function.as_str());
    let Some(names) = document.and_then(|document| document["parameters"]["properties"].as_object()) else {
        return call;
    };
    let names: Vec<String> = names.keys().take(call.places.len()).cloned().collect();
    let taken = |name: &String| call.named.iter().any(|(other, _)| other.as_ref() == Some(name));
    let starred = call.places.iter().any(|place| place.starts_with('*'));
    if starred || names.len() < call.places.len() || names.iter().any(taken) {
        return call;
    }
    let places = names.into_iter().map(Some).zip(std::mem::take(&mut call.places));
    call.named = places.chain(std::mem::take(&mut call.named)).collect();
    call
}

/// Prints decoded calls (`[{name: {parameter: value}}, …]`) as the official package does before it runs them.
///
/// Kept quirks: an empty dict cannot be printed; a dict whose values are all dicts is printed as a call of its first key;
/// keys of other dicts stand in single quotes whatever they hold.
fn printed(decoded: &[PyValue]) -> Result<Vec<String>, DecodeError> {
    let mut calls = Vec::with_capacity(decoded.len());
    for (name, arguments) in decoded.iter().filter_map(PyValue::as_dict).flat_map(PyDict::iter) {
        let mut text = String::new();
        write_call(&mut text, name, arguments)?;
        calls.push(text);
    }
    Ok(calls)
}

fn write_call(out: &mut String, name: &PyValue, arguments: &PyValue) -> Result<(), DecodeError> {
    out.push_str(&to_str(name));
    out.push('(');
    for (place, (key, value)) in arguments.as_dict().into_iter().flat_map(PyDict::iter).enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        out.push_str(&to_str(key));
        out.push('=');
        write_value(out, value)?;
    }
    out.push(')');
    Ok(())
}

fn write_value(out: &mut String, value: &PyValue) -> Result<(), DecodeError> {
    let PyValue::Dict(entries) = value else {
        write_repr(out, value);
        return Ok(());
    };
    if entries.iter().all(|(_, value)| value.as_dict().is_some()) {
        let Some((name, arguments)) = entries.iter().next() else { return Err(DecodeError::EmptyDict) };
        return write_call(out, name, arguments);
    }
    out.push('{');
    for (place, (key, value)) in entries.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        out.push('\'');
        out.push_str(&to_str(key));
        out.push_str("': ");
        write_value(out, value)?;
    }
    out.push('}');
    Ok(())
}

fn to_str(value: &PyValue) -> std::borrow::Cow<'_, str> {
    value.as_str().map_or_else(|| repr(value).into(), Into::into)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn both(text: &str) -> [String; 2] {
        let functions = [json!({"name": "f", "parameters": {"properties": {"a": {}, "b": {}}}})];
        [Mode::Official, Mode::Fair].map(|mode| match calls(text, mode, &functions) {
            Ok(calls) => calls.join("; "),
            Err(error) => format!("{error:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect(),
        })
    }

    #[test]
    fn keywords_are_read_alike() {
        for text in ["[f(a=1, b='it''s'), g()]", "f(a=[1, 2.50], b=True)", "```[f(a={'k': 1})]```"] {
            let [official, fair] = both(text);
            assert_eq!(official, fair, "{text}");
        }
        assert_eq!(both("[f(a=1), g(b='x')]")[0], "f(a=1); g(b='x')");
    }

    #[test]
    fn what_is_bent_officially_is_not_in_fair_mode() {
        let cases = [
            ("[f('x')]", "f()", "f(a='x')"),
            ("[f('x', b=2)]", "f(b=2)", "f(a='x', b=2)"),
            ("[f('x', a=2)]", "f(a=2)", "f('x', a=2)"),
            ("[f(1, 2, 3)]", "f()", "f(1, 2, 3)"),
            ("[g(7)]", "g()", "g(7)"),
            ("[f(a={})]", "EmptyDict", "f(a={})"),
            ("[f(a={'k': {'x': 1}})]", "f(a=k(x=1))", "f(a={'k': {'x': 1}})"),
            ("[f(a=g())]", "f(a='g()')", "f(a=g())"),
            ("[f(a=+5)]", "f(a=-5)", "f(a=+5)"),
            ("Nothing to do.", "NoCalls", "NoCalls"),
            ("[]", "", ""),
        ];
        for (text, official, fair) in cases {
            assert_eq!(both(text), [official, fair], "{text}");
        }
    }

    #[test]
    fn changes_say_why() {
        let functions = [json!({"name": "f", "parameters": {"properties": {"a": {}}}})];
        let reason = |text: &str| change(text, &functions).map(|change| change.reason);
        assert_eq!(reason("[f('x')]"), Some(Reason::ByPlace));
        assert_eq!(reason("[f(a=g())]"), Some(Reason::Reprinted));
        assert_eq!(reason("[f(a={})]"), Some(Reason::Undecodable));
        assert_eq!(reason("[f(a=1 + 1)]"), None);
        assert_eq!(reason("Hello."), None);
    }
}
