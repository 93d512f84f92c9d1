//! From what is accepted to one call that is.

use serde_json::{Map, Value};

use crate::tools::{Call, ExpectedCall, ToolSpec};

/// Returns one concrete call that is accepted: of each argument the first value; an argument whose first value says
/// that it may be left out is left out, unless it is required.
pub(super) fn concrete(expected: &ExpectedCall, tools: &[ToolSpec]) -> Call {
    let tool = tools.iter().find(|tool| tool.name == expected.name);
    let mut arguments = Map::new();
    for (name, accepted) in &expected.arguments {
        let required = tool.is_some_and(|tool| tool.required().any(|required| required == name));
        let mut values = accepted.iter();
        let chosen = match accepted.first() {
            Some(first) if *first == "" && required => values.find(|value| **value != "").or(Some(first)),
            Some(first) if *first == "" => None,
            first => first,
        };
        if let Some(value) = chosen {
            arguments.insert(name.clone(), first_of(value));
        }
    }
    Call { name: expected.name.clone(), arguments }
}

/// Inside an accepted value, an object has a list of accepted values for each key; so has an object in a list.
fn first_of(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut chosen = Map::new();
            for (key, value) in entries {
                match value {
                    Value::Array(accepted) => match accepted.first() {
                        Some(first) if *first == "" && accepted.len() > 1 => {}
                        Some(first) => drop(chosen.insert(key.clone(), first_of(first))),
                        None => {}
                    },
                    plain => drop(chosen.insert(key.clone(), plain.clone())),
                }
            }
            Value::Object(chosen)
        }
        Value::Array(items) => Value::Array(items.iter().map(first_of).collect()),
        plain => plain.clone(),
    }
}
