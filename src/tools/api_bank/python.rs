//! The few things that the tools' results owe to Python: blanks, padding, `repr`, the words of its exceptions.
//!
//! Plain functions over texts and JSON values. Where a value is no text although the tool treats it as one, what Python
//! would say of it is said here too, so that every call ends in a result.

use serde_json::Value;

use crate::tools::python::{self, PyValue};

/// Removes blanks at both ends, as `str.strip` does: white space and the four separators that Unicode does not count.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&letter))
}

/// Pads a text with zeros at the left to four characters, behind a sign, as `str.zfill(4)` does.
pub(super) fn zero_filled(text: &str) -> String {
    let missing = 4_usize.saturating_sub(text.chars().count());
    let (sign, digits) = match text.chars().next() {
        Some(sign @ ('+' | '-')) => (sign.to_string(), &text[1..]),
        _ => (String::new(), text),
    };
    format!("{sign}{}{digits}", "0".repeat(missing))
}

/// Returns the name of a value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Returns whether a value counts as true.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// Says that a value has no such method.
pub(super) fn no_attribute(value: &Value, method: &str) -> String {
    format!("'{}' object has no attribute '{method}'", type_name(value))
}

/// Returns what `value[key]` raises where the value is no dictionary.
pub(super) fn not_indexed(value: &Value) -> String {
    match value {
        Value::String(_) => "string indices must be integers, not 'str'".to_owned(),
        Value::Array(_) => "list indices must be integers or slices, not str".to_owned(),
        other => format!("'{}' object is not subscriptable", type_name(other)),
    }
}

/// Returns `word in value`.
pub(super) fn contains(value: &Value, word: &str) -> Result<bool, String> {
    match value {
        Value::String(text) => Ok(text.contains(word)),
        Value::Array(items) => Ok(items.iter().any(|item| item == word)),
        Value::Object(entries) => Ok(entries.contains_key(word)),
        other => Err(format!("argument of type '{}' is not iterable", type_name(other))),
    }
}

/// Returns the elements that a loop over a value sees: of a text its characters, of a dictionary its keys.
pub(super) fn elements(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::String(text) => Ok(text.chars().map(|letter| Value::from(letter.to_string())).collect()),
        Value::Array(items) => Ok(items.clone()),
        Value::Object(entries) => Ok(entries.keys().map(|key| Value::from(key.as_str())).collect()),
        other => Err(format!("'{}' object is not iterable", type_name(other))),
    }
}

/// Returns `len(value)`.
pub(super) fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.chars().count()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(entries) => Ok(entries.len()),
        other => Err(format!("object of type '{}' has no len()", type_name(other))),
    }
}

/// Returns `str(value)`.
pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| repr(value), str::to_owned)
}

/// Returns `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    python::repr(&PyValue::from(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value = json!({"a": [1, 2.0, 1e22, 1e-7, null, true], "it's": "say \"hi\"", "b": "it's\n\\"});
        let text = r#"{'a': [1, 2.0, 1e+22, 1e-07, None, True], "it's": 'say "hi"', 'b': "it's\n\\"}"#;
        assert_eq!(repr(&value), text);
        assert_eq!(repr(&json!("both ' and \"")), r#"'both \' and "'"#);
    }

    #[test]
    fn padding_goes_behind_a_sign() {
        assert_eq!(["23", "+5", "", "20233"].map(zero_filled), ["0023", "+005", "0000", "20233"]);
    }
}
