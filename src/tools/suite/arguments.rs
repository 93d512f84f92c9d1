//! The arguments of a call, checked against its API.

use serde_json::{Map, Value};

use super::{ApiError, api::Api};
use crate::tools::Call;

/// The arguments of a call, each known and of its parameter's type, the required ones all there.
pub(super) struct Arguments<'a> {
    pub tool: &'static str,
    given: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    pub fn check(api: &'static Api, call: &'a Call) -> Result<Self, ApiError> {
        let tool = api.name;
        for (argument, value) in &call.arguments {
            let Some(parameter) = api.parameters.iter().find(|parameter| parameter.name == argument) else {
                let known: Vec<String> = api.parameters.iter().map(|known| format!("`{}`", known.name)).collect();
                let known = known.join(", ");
                return Err(ApiError::UnknownArgument { tool, argument: argument.clone(), known });
            };
            let stands_for_nothing = value.is_null() && parameter.default == Some("null");
            if !parameter.admits(value) && !stands_for_nothing {
                return Err(ApiError::WrongType {
                    tool,
                    argument: parameter.name,
                    expected: parameter.words(),
                    found: value.to_string(),
                });
            }
        }
        let missing = api
            .parameters
            .iter()
            .find(|parameter| parameter.default.is_none() && !call.arguments.contains_key(parameter.name));
        if let Some(parameter) = missing {
            return Err(ApiError::MissingArgument { tool, argument: parameter.name });
        }
        Ok(Self { tool, given: &call.arguments })
    }

    /// Returns a text as things are named in the world: in lower case, without blanks at the ends.
    pub fn name(&self, argument: &'static str) -> Result<String, ApiError> {
        let name = self.given.get(argument).and_then(Value::as_str).unwrap_or("").trim().to_lowercase();
        if name.is_empty() {
            return Err(self.invalid(argument, "a name"));
        }
        Ok(name)
    }

    /// Returns a text as it stands, if it is given.
    pub fn text(&self, argument: &str) -> Option<&'a str> {
        self.given.get(argument).and_then(Value::as_str)
    }

    /// Returns a whole number, if it is given.
    pub fn whole(&self, argument: &str) -> Option<i64> {
        self.given.get(argument).and_then(Value::as_i64)
    }

    /// Returns a number.
    pub fn number(&self, argument: &str) -> f64 {
        self.given.get(argument).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Returns a list of numbers.
    pub fn numbers(&self, argument: &str) -> Vec<f64> {
        let items = self.given.get(argument).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_f64).collect()
    }

    /// Returns the error that an argument cannot have its value.
    pub fn invalid(&self, argument: &'static str, expected: &str) -> ApiError {
        let found = match self.given.get(argument) {
            Some(Value::String(text)) => text.clone(),
            value => value.map_or(String::new(), Value::to_string),
        };
        let expected = expected.to_owned();
        ApiError::InvalidValue { tool: self.tool, argument, found, expected }
    }
}

/// Returns names as a message lists them.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
