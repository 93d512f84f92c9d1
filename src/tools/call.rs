//! The plain values that every part of this room works on: calls, tools, expected calls.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One call of one tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The tool's name, dots included.
    pub name: String,
    /// Argument name → value, in the order written.
    #[serde(alias = "parameters")]
    pub arguments: Map<String, Value>,
}

impl Call {
    /// Makes a call from a name and `(argument, value)` pairs.
    pub fn new<'a>(name: &str, arguments: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let arguments = arguments.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self { name: name.to_owned(), arguments }
    }
}

impl fmt::Display for Call {
    /// Writes the call in Python style: `move_event(title="dentist", day="friday")`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&super::render::python_call(self))
    }
}

/// One tool that a sample lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// The name that calls use.
    pub name: String,
    /// What the tool does.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema object: `{"type": "object", "properties": {…}, "required": […]}`. BFCL's own type names (`dict`,
    /// `float`, `tuple`, `any`) are understood beside the standard ones.
    #[serde(default)]
    pub parameters: Value,
}

impl ToolSpec {
    /// Returns the schema of the parameter `name`.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.parameters.get("properties")?.get(name)
    }

    /// Returns the names of the required parameters, in the schema's order.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.parameters.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

/// One call that is expected, with every value that is right for each argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpectedCall {
    /// The tool's name.
    pub name: String,
    /// Argument name → accepted values; an empty text among them means that the argument may be left out.
    #[serde(default)]
    pub arguments: IndexMap<String, Vec<Value>>,
}

impl ExpectedCall {
    /// Returns the expectation that only `call` itself meets.
    pub fn exactly(call: &Call) -> Self {
        let arguments = call.arguments.iter().map(|(key, value)| (key.clone(), vec![value.clone()])).collect();
        Self { name: call.name.clone(), arguments }
    }
}
