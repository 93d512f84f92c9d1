//! Calls in a model's text, read with good will: any style that the rest of the program reads, else the first
//! `[name(arguments)]` wherever it stands, with quotes inside quotes.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{
    input::{Kind, Parameter},
    python::{repr, strip},
    reading::{self, MAX_CALL_BYTES},
    running::CallError,
};
use crate::tools::{Call, parse};

/// What follows an argument: another one, or nothing.
static END: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*(?:,\s*\w+\s*=|,?\s*$)").expect("the pattern is well formed"));
static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\s,]*(\w+)\s*=\s*").expect("the pattern is well formed"));

/// Returns the calls in a text, or why there are none.
pub(super) fn calls(text: &str) -> Result<Vec<Call>, String> {
    let error = match parse::calls(text).calls {
        Ok(calls) => return Ok(calls),
        Err(error) => error.to_string(),
    };
    let Some(found) = reading::find(text).filter(|found| found.text.len() <= MAX_CALL_BYTES) else {
        return Err(error);
    };
    let arguments = arguments(found.arguments).ok_or(error)?;
    Ok(vec![Call { name: found.name.to_owned(), arguments }])
}

fn arguments(mut text: &str) -> Option<Map<String, Value>> {
    let mut arguments = Map::new();
    while !text.trim_matches([' ', ',']).is_empty() {
        let captures = NAME.captures(text)?;
        let rest = &text[captures.get(0)?.end()..];
        let (value, left) = value(rest)?;
        arguments.insert(captures.get(1)?.as_str().to_owned(), Value::from(value));
        text = left;
    }
    Some(arguments)
}

/// Takes a value apart from what follows it: a quote or bracket ends where an argument can end, a word before the next
/// argument.
fn value(text: &str) -> Option<(&str, &str)> {
    let (skip, close) = match text.chars().next()? {
        '\'' => (1, Some('\'')),
        '"' => (1, Some('"')),
        '[' => (0, Some(']')),
        '{' => (0, Some('}')),
        _ => (0, None),
    };
    let Some(close) = close else {
        let ends = text.match_indices(',').map(|(index, _)| index).chain([text.len()]);
        let end = ends.into_iter().find(|end| END.is_match(&text[*end..]))?;
        return Some((strip(&text[..end]), &text[end..]));
    };
    let closing = |(index, _): &(usize, &str)| *index >= skip && END.is_match(&text[index + 1..]);
    let (end, _) = text.match_indices(close).find(closing)?;
    Some((&text[skip..end + 1 - skip], &text[end + 1..]))
}

/// Converts a value to the documented type, whichever way it was written.
pub(super) fn converted(parameter: &Parameter, value: &Value) -> Result<Value, CallError> {
    let refused = || CallError::WrongType { value: repr(value) };
    Ok(match (parameter.kind, value) {
        (_, Value::Null) | (Kind::Text, Value::String(_) | Value::Array(_) | Value::Object(_)) => value.clone(),
        (Kind::Text, value) => repr(value).into(),
        (Kind::Whole, Value::String(text)) => text.trim().parse::<i64>().map_err(|_| refused())?.into(),
        (Kind::Whole, Value::Number(number)) => whole(number).ok_or_else(refused)?.into(),
        (Kind::Whole, _) => return Err(refused()),
        (Kind::Truth, Value::Bool(_)) => value.clone(),
        (Kind::Truth, Value::String(text)) => match text.trim().to_lowercase().as_str() {
            "true" | "on" | "yes" => true.into(),
            "false" | "off" | "no" => false.into(),
            _ => return Err(refused()),
        },
        (Kind::Truth, _) => return Err(refused()),
        (Kind::List, Value::String(text)) => list(text).unwrap_or_else(|| value.clone()),
        (Kind::List, value) => value.clone(),
    })
}

fn whole(number: &serde_json::Number) -> Option<i64> {
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    number.as_i64().or_else(|| float.map(|float| float as i64))
}

/// Reads a list written as JSON or as a Python literal.
fn list(text: &str) -> Option<Value> {
    let read = serde_json::from_str(text).ok().or_else(|| {
        let (mut call, _) = parse::python_prefix(&format!("f(x={text})")).ok()?;
        call.arguments.shift_remove("x")
    });
    read.filter(Value::is_array)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quotes_inside_quotes_are_part_of_the_value() {
        let text = "AI: [AddMeeting(meeting_topic='Ann's day, or not', attendees='['John Smith', 'Jane Doe']', n=3 )]";
        let call = &calls(text).unwrap()[0];
        let expected = json!({
            "meeting_topic": "Ann's day, or not",
            "attendees": "['John Smith', 'Jane Doe']",
            "n": "3",
        });
        assert_eq!(Value::Object(call.arguments.clone()), expected);
        assert_eq!(list("['John Smith', 'Jane Doe']"), Some(json!(["John Smith", "Jane Doe"])));
        let data = "[{'name': 'blood_pressure', 'value': '120/80'}]";
        let call = &calls(&format!("ok [R(health_data='{data}', time=2023-10-05 10:00:00)]")).unwrap()[0];
        assert_eq!(call.arguments["health_data"], data);
        assert_eq!(call.arguments["time"], "2023-10-05 10:00:00");
        assert!(calls("ok [f(a='b)]").is_err());
        assert!(calls("nothing").is_err());
    }
}
