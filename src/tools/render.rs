//! Calls → the text that a model should have written.
//!
//! The reverse of [`super::parse`]: parsing what is rendered here gives the same calls.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Call;
use crate::base::json_text;

/// The manner in which answers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// `<think>…</think>`, then `<tool_call>` with one JSON object per line, then `</tool_call>` (ToolRL).
    Toolrl,
    /// A JSON list of `{"name": …, "arguments": …}`.
    Json,
    /// `[name(argument=value, …), …]` with Python literals (BFCL's prompt mode).
    #[default]
    Python,
}

impl Style {
    /// Every style, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Toolrl, Self::Json, Self::Python];

    /// Returns the name that files use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Toolrl => "toolrl",
            Self::Json => "json",
            Self::Python => "python",
        }
    }
}

/// The thought that rendered ToolRL answers carry when the caller has none.
pub const STOCK_THOUGHT: &str = "I will answer with the listed tools.";
/// The response that a ToolRL answer without calls carries.
pub const STOCK_RESPONSE: &str = "None of the listed tools can do this.";

/// Returns the text of an answer that makes `calls`, in `style`. No calls: an empty list, or a stock response.
pub fn answer_text(calls: &[Call], style: Style) -> String {
    answer_text_with(calls, style, STOCK_THOUGHT)
}

/// Like [`answer_text`], with the thought that a ToolRL answer begins with.
pub fn answer_text_with(calls: &[Call], style: Style, thought: &str) -> String {
    match style {
        Style::Toolrl if calls.is_empty() => {
            format!("<think> {thought} </think>\n<response> {STOCK_RESPONSE} </response>")
        }
        Style::Toolrl => {
            let lines: Vec<String> = calls.iter().map(|call| json_line(&parameters_object(call))).collect();
            format!("<think> {thought} </think>\n<tool_call>\n{}\n</tool_call>", lines.join("\n"))
        }
        Style::Json => json_line(&json!(calls)),
        Style::Python => {
            let calls: Vec<String> = calls.iter().map(python_call).collect();
            format!("[{}]", calls.join(", "))
        }
    }
}

/// Returns `{"name": …, "parameters": …}`: the keys that ToolRL's reward reads.
pub(super) fn parameters_object(call: &Call) -> Value {
    json!({ "name": call.name, "parameters": call.arguments })
}

fn json_line(value: &Value) -> String {
    json_text(value, None).expect("a JSON value has a JSON text")
}

/// Returns one call in Python style. A name or argument name that is no Python name is written as `"odd name"(…)` or
/// `**{"odd name": …}`.
pub fn python_call(call: &Call) -> String {
    let mut text = if is_dotted_name(&call.name) { call.name.clone() } else { quoted(&call.name) };
    text.push('(');
    for (index, (name, value)) in call.arguments.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        if is_name(name) {
            text.push_str(name);
            text.push('=');
            python_value(value, &mut text);
        } else {
            text.push_str("**{");
            text.push_str(&quoted(name));
            text.push_str(": ");
            python_value(value, &mut text);
            text.push('}');
        }
    }
    text.push(')');
    text
}

/// Returns a value as a Python literal.
pub(super) fn python_literal(value: &Value) -> String {
    let mut text = String::new();
    python_value(value, &mut text);
    text
}

fn python_value(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => text.push_str(&quoted(string)),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                python_value(item, text);
            }
            text.push(']');
        }
        Value::Object(entries) => {
            text.push('{');
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    text.push_str(", ");
                }
                text.push_str(&quoted(key));
                text.push_str(": ");
                python_value(item, text);
            }
            text.push('}');
        }
    }
}

/// JSON's escapes are all valid in a Python text, and serde_json writes no `\/` and no surrogates.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns whether `text` can stand as an argument name before `=`.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(is_name_start) && characters.all(is_name_part)
}

/// Returns whether `text` is names joined by dots.
pub(super) fn is_dotted_name(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(is_name)
}

pub(super) fn is_name_start(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

pub(super) fn is_name_part(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
