//! JSON values as the official code prints them into prompts.

use serde_json::Value;

use crate::tools::python::{self, PyValue};

/// Returns `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    python::repr(&PyValue::from(value))
}

/// Returns `str(value)`.
pub(super) fn printed(value: &Value) -> String {
    python::to_str(&PyValue::from(value))
}

/// Returns `json.dumps(value)`.
pub(super) fn one_line(value: &Value) -> String {
    python::dumps(&PyValue::from(value)).expect("what was JSON has a JSON form")
}

/// Returns `json.dumps(values, indent=4)`.
pub(super) fn indented(values: &[Value]) -> String {
    let mut text = String::new();
    write(&mut text, &mut values.iter().map(|value| (None, value)), ('[', ']'), 0);
    text
}

/// Appends the items of a list or an object, one a line.
fn write<'a>(
    text: &mut String,
    items: &mut dyn ExactSizeIterator<Item = (Option<&'a String>, &'a Value)>,
    (open, close): (char, char),
    depth: usize,
) {
    let last = items.len();
    text.push(open);
    for (index, (key, value)) in items.enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(&"    ".repeat(depth + 1));
        if let Some(key) = key {
            text.push_str(&one_line(&Value::from(key.as_str())));
            text.push_str(": ");
        }
        match value {
            Value::Array(items) => write(text, &mut items.iter().map(|item| (None, item)), ('[', ']'), depth + 1),
            Value::Object(members) => {
                write(text, &mut members.iter().map(|(key, value)| (Some(key), value)), ('{', '}'), depth + 1);
            }
            plain => text.push_str(&one_line(plain)),
        }
    }
    if last > 0 {
        text.push('\n');
        text.push_str(&"    ".repeat(depth));
    }
    text.push(close);
}
