//! One call against one expected call.
//!
//! Source: the rules of BFCL's AST checker for Python (`bfcl-eval` 2026.3.23), for values that are JSON: a Python tuple
//! arrives here as a list, so a tuple where the schema says `array` is not refused.

use serde_json::Value;

use super::{
    types::Kind,
    values::{self, is_omission},
};
use crate::tools::{Call, ExpectedCall, ToolSpec, equality::python_equal};

/// Why one call is not the expected one. The first mismatch in the checker's order: name, required parameters, then the
/// arguments as written, then parameters left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Another tool is called.
    #[error("the tool is `{found}`, expected `{expected}`")]
    Name {
        /// The tool called.
        found: String,
        /// The tool to call.
        expected: String,
    },
    /// A required argument is left out.
    #[error("the required argument `{0}` is missing")]
    Missing(String),
    /// An argument that the tool does not have, or that must be left out.
    #[error("the argument `{0}` is not expected")]
    Unexpected(String),
    /// An argument of the wrong type.
    #[error("the argument `{argument}` must be {expected}, found `{found}`")]
    Type {
        /// The argument.
        argument: String,
        /// The type in words.
        expected: String,
        /// The value given, as JSON.
        found: String,
    },
    /// An argument that has none of the accepted values.
    #[error("the argument `{argument}` is `{found}`, expected {expected}")]
    Value {
        /// The argument.
        argument: String,
        /// The value given, as JSON.
        found: String,
        /// The accepted values, as JSON.
        expected: String,
    },
    /// An argument is left out that has no default among the accepted values.
    #[error("the argument `{0}` is left out")]
    LeftOut(String),
}

impl Mismatch {
    /// Returns a short, stable name to count by.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Name { .. } => "wrong-name",
            Self::Missing(_) => "missing-required",
            Self::Unexpected(_) => "unexpected-argument",
            Self::Type { .. } => "type",
            Self::Value { .. } => "value",
            Self::LeftOut(_) => "missing-optional",
        }
    }
}

/// Compares one call with one expectation; `tool` is the expected tool's documentation, if it is known.
///
/// # Errors
/// The first mismatch.
pub fn check(call: &Call, expected: &ExpectedCall, tool: Option<&ToolSpec>) -> Result<(), Mismatch> {
    if call.name != expected.name {
        return Err(Mismatch::Name { found: call.name.clone(), expected: expected.name.clone() });
    }
    if let Some(missing) = tool.and_then(|tool| tool.required().find(|name| !call.arguments.contains_key(*name))) {
        return Err(Mismatch::Missing(missing.to_owned()));
    }
    for (argument, value) in &call.arguments {
        check_argument(argument, value, expected, tool)?;
    }
    let left_out = expected
        .arguments
        .iter()
        .find(|(argument, accepted)| !call.arguments.contains_key(*argument) && !accepted.iter().any(is_omission));
    left_out.map_or(Ok(()), |(argument, _)| Err(Mismatch::LeftOut(argument.clone())))
}

/// Returns whether one argument of a call is right: expected, of the right type, with an accepted value.
pub fn argument_fits(argument: &str, value: &Value, expected: &ExpectedCall, tool: Option<&ToolSpec>) -> bool {
    check_argument(argument, value, expected, tool).is_ok()
}

fn check_argument(
    argument: &str,
    value: &Value,
    expected: &ExpectedCall,
    tool: Option<&ToolSpec>,
) -> Result<(), Mismatch> {
    let unexpected = || Mismatch::Unexpected(argument.to_owned());
    let accepted = expected.arguments.get(argument).ok_or_else(unexpected)?;
    let schema = match tool {
        Some(tool) if tool.parameters.get("properties").is_some() => {
            Some(tool.property(argument).ok_or_else(unexpected)?)
        }
        _ => None,
    };
    let mut is_variable = false;
    if let Some(schema) = schema {
        is_variable = check_type(argument, value, accepted, schema)?;
    }
    let right = if is_variable {
        accepted.iter().any(|other| python_equal(value, other))
    } else {
        values::accepted(value, accepted)
    };
    if right {
        return Ok(());
    }
    Err(Mismatch::Value { argument: argument.to_owned(), found: value.to_string(), expected: listed(accepted) })
}

/// Checks the type; returns whether the value counts as a variable.
///
/// Answers may hold texts where the schema says something else (a name that stands for a value): a value of the type
/// that the first accepted value has is then let through, and must be equal to an accepted value.
fn check_type(argument: &str, value: &Value, accepted: &[Value], schema: &Value) -> Result<bool, Mismatch> {
    let kinds = Kind::of_schema(schema);
    let variable = accepted.iter().find(|value| !is_omission(value)).map(Kind::of_value).filter(|answer| {
        // Whole numbers are written for numbers, and anything for `any`.
        !kinds
            .iter()
            .any(|kind| kind == answer || *kind == Kind::Any || (*kind, *answer) == (Kind::Number, Kind::Whole))
    });
    if variable.is_some_and(|kind| kind.admits_exactly(value)) {
        return Ok(true);
    }
    let wrong = |expected: String| Mismatch::Type { argument: argument.to_owned(), expected, found: value.to_string() };
    if !kinds.iter().any(|kind| kind.admits(value)) {
        let words: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        return Err(wrong(words.join(" or ")));
    }
    let (Value::Array(items), Some(element)) = (value, schema.get("items")) else { return Ok(false) };
    let elements = Kind::of_schema(element);
    // Elements may be variables as well; an accepted value that is no list says nothing about elements.
    let typed = items.iter().all(|item| elements.iter().any(|kind| kind.admits(item)));
    let as_accepted = accepted.iter().any(|other| match other.as_array() {
        Some(others) => {
            let kind = others.first().map(Kind::of_value);
            kind.is_some_and(|kind| items.iter().all(|item| kind.admits_exactly(item)))
        }
        None => true,
    });
    if typed || as_accepted {
        return Ok(false);
    }
    let words: Vec<&str> = elements.iter().map(|kind| kind.as_str()).collect();
    Err(wrong(format!("a list with elements that are each {}", words.join(" or "))))
}

fn listed(accepted: &[Value]) -> String {
    let shown: Vec<String> = accepted
        .iter()
        .map(|value| if is_omission(value) { "nothing".to_owned() } else { format!("`{value}`") })
        .collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(" or ") }
}
