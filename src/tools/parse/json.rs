//! Calls written as JSON: objects one after another, on lines or not, or lists of them.

use serde_json::{Map, Value};

use super::{MAX_CALLS, MAX_DEPTH, ParseError};
use crate::tools::Call;

/// Reads one or more JSON values, each a call or a list of calls.
pub(super) fn calls(body: &str) -> Result<Vec<Call>, ParseError> {
    let mut calls = Vec::new();
    let mut index = 0;
    for value in serde_json::Deserializer::from_str(body).into_iter::<Value>() {
        let value = value.map_err(|error| ParseError::Json { reason: error.to_string() })?;
        let items = match value {
            Value::Array(items) => items,
            other => vec![other],
        };
        for item in items {
            index += 1;
            if index > MAX_CALLS {
                return Err(ParseError::TooManyCalls { calls: index, limit: MAX_CALLS });
            }
            if depth_exceeds(&item, MAX_DEPTH + 2) {
                return Err(ParseError::TooDeep { limit: MAX_DEPTH });
            }
            calls.push(call_from_value(item).map_err(|reason| ParseError::NotACall { index, reason })?);
        }
    }
    Ok(calls)
}

/// Turns `{"name": …, "arguments": {…}}` into a call. `function` is read for `name` (BFCL's JSON format), and
/// `parameters` for `arguments` (ToolRL); other keys are ignored.
///
/// # Errors
/// A phrase that says what is missing or of the wrong type.
pub fn call_from_value(value: Value) -> Result<Call, String> {
    let Value::Object(mut object) = value else {
        return Err(format!("expected an object with `name` and `arguments`, found {}", kind(&value)));
    };
    let name = match object.remove("name").or_else(|| object.remove("function")) {
        Some(Value::String(name)) if !name.is_empty() => name,
        Some(Value::String(_)) => return Err("`name` is empty".to_owned()),
        Some(other) => return Err(format!("`name` must be a text, found {}", kind(&other))),
        None => return Err(format!("`name` is missing, found {}", keys(&object))),
    };
    let arguments = match (object.remove("arguments"), object.remove("parameters")) {
        (Some(_), Some(_)) => return Err("`arguments` and `parameters` are both given".to_owned()),
        (Some(Value::Object(arguments)), None) | (None, Some(Value::Object(arguments))) => arguments,
        (Some(other), None) | (None, Some(other)) => {
            return Err(format!("the arguments of `{name}` must be an object, found {}", kind(&other)));
        }
        (None, None) => return Err(format!("`{name}` has no `arguments`, found {}", keys(&object))),
    };
    Ok(Call { name, arguments })
}

fn keys(object: &Map<String, Value>) -> String {
    if object.is_empty() {
        return "nothing else".to_owned();
    }
    let shown: Vec<String> = object.keys().take(5).map(|key| format!("`{key}`")).collect();
    shown.join(", ")
}

pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn depth_exceeds(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(items) => limit == 0 || items.iter().any(|item| depth_exceeds(item, limit - 1)),
        Value::Object(entries) => limit == 0 || entries.values().any(|item| depth_exceeds(item, limit - 1)),
        _ => false,
    }
}
