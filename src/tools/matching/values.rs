//! Values against accepted values, with BFCL's leniencies for texts.

use serde_json::{Map, Value};

use crate::tools::equality::python_equal;

/// Returns the text as BFCL compares it: without spaces and `, . / - _ * ^`, in lower case, `'` as `"`.
pub(super) fn normal(text: &str) -> String {
    text.chars()
        .filter(|character| !matches!(character, ' ' | ',' | '.' | '/' | '-' | '_' | '*' | '^'))
        .flat_map(char::to_lowercase)
        .map(|character| if character == '\'' { '"' } else { character })
        .collect()
}

/// Returns whether the value is one of those accepted.
pub(super) fn accepted(value: &Value, accepted: &[Value]) -> bool {
    match value {
        Value::String(text) => {
            let text = normal(text);
            accepted.iter().filter_map(Value::as_str).any(|other| normal(other) == text)
        }
        Value::Array(items) if items.iter().all(Value::is_object) && !items.is_empty() => {
            accepted.iter().any(|other| maps_fit(items, other))
        }
        Value::Array(items) => accepted.iter().any(|other| list_fits(items, other)),
        Value::Object(entries) => accepted.iter().any(|other| map_fits(entries, other)),
        other => accepted.iter().any(|value| python_equal(other, value)),
    }
}

/// Lists are equal in order; only texts at the top level are compared leniently. An accepted `""` is the empty list.
fn list_fits(items: &[Value], accepted: &Value) -> bool {
    match accepted {
        Value::Array(others) => {
            items.len() == others.len()
                && items.iter().zip(others).all(|(item, other)| match (item, other) {
                    (Value::String(item), Value::String(other)) => normal(item) == normal(other),
                    _ => python_equal(item, other),
                })
        }
        Value::String(text) => text.is_empty() && items.is_empty(),
        _ => false,
    }
}

/// A map is accepted if each of its values is among the accepted map's list for that key, and each key that it lacks may
/// be left out.
fn map_fits(entries: &Map<String, Value>, accepted: &Value) -> bool {
    let Value::Object(accepted) = accepted else { return false };
    entries.iter().all(|(key, value)| accepted.get(key).is_some_and(|allowed| value_fits(value, allowed)))
        && accepted.iter().all(|(key, allowed)| entries.contains_key(key) || may_be_left_out(allowed))
}

fn value_fits(value: &Value, allowed: &Value) -> bool {
    let one = std::slice::from_ref(allowed);
    let allowed = allowed.as_array().map_or(one, Vec::as_slice);
    match value {
        Value::String(text) => {
            let text = normal(text);
            allowed.iter().filter_map(Value::as_str).any(|other| normal(other) == text)
        }
        // Nested maps hold lists of accepted values in some answers and plain values in others.
        Value::Object(entries) => allowed.iter().any(|other| python_equal(value, other) || map_fits(entries, other)),
        other => allowed.iter().any(|value| lenient_equal(other, value)),
    }
}

fn lenient_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => normal(left) == normal(right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| lenient_equal(left, right))
        }
        _ => python_equal(left, right),
    }
}

fn may_be_left_out(allowed: &Value) -> bool {
    allowed.as_array().is_some_and(|allowed| allowed.iter().any(is_omission))
}

/// A list of maps: as many, each accepted, in order.
fn maps_fit(items: &[Value], accepted: &Value) -> bool {
    accepted.as_array().is_some_and(|others| {
        items.len() == others.len()
            && items
                .iter()
                .zip(others)
                .all(|(item, other)| item.as_object().is_some_and(|entries| map_fits(entries, other)))
    })
}

/// Returns whether an accepted value means "may be left out".
pub(super) fn is_omission(value: &Value) -> bool {
    value.as_str() == Some("")
}
