//! One call in a world: arguments checked and converted, the tool run, its result written down.

use serde_json::{Map, Number, Value, json};

use super::{
    families,
    input::{Input, Kind, Need, Parameter, Tool},
    rules::Answer,
    world::World,
};
use crate::tools::Call;

/// Why a tool was not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such tool.
    #[error("invalid tool name.")]
    UnknownTool,
    /// The tool needs a network, a model or texts that are not here.
    #[error("{tool} cannot run here")]
    NotOffline {
        /// The tool.
        tool: &'static str,
    },
    /// An argument has the name of one that the evaluator itself uses.
    #[error("ToolManager.api_call() got multiple values for argument '{argument}'")]
    Reserved {
        /// The argument.
        argument: String,
    },
    /// The tool has no such parameter.
    #[error("invalid parameter name. parameter: {argument}")]
    UnknownParameter {
        /// The argument.
        argument: String,
    },
    /// A value cannot be made into the documented type.
    #[error("invalid parameter type. parameter: {value}")]
    WrongType {
        /// The value.
        value: String,
    },
    /// Required arguments are missing.
    #[error("{tool}.call() missing {} required positional argument{}: {}", .missing.len(), plural(.missing), listed(.missing))]
    Missing {
        /// The tool.
        tool: &'static str,
        /// The missing ones, in the order of the signature.
        missing: Vec<&'static str>,
    },
}

fn plural(names: &[&str]) -> &'static str {
    if names.len() == 1 { "" } else { "s" }
}

/// Lists names as Python does: `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}

impl World {
    /// Runs one call whose values are texts, as the official evaluator does, and returns its result: `{"api_name"?,
    /// "input", "output", "exception"}`. A tool that ends with an exception has a result.
    ///
    /// # Errors
    /// When the tool is not run.
    pub fn call(&mut self, call: &Call) -> Result<Map<String, Value>, CallError> {
        if let Some(reserved) = call.arguments.keys().find(|name| ["self", "tool_name"].contains(&name.as_str())) {
            return Err(CallError::Reserved { argument: reserved.clone() });
        }
        let tool = tool(&call.name)?;
        let mut arguments = Map::new();
        for (name, value) in &call.arguments {
            let parameter =
                tool.parameter(name).ok_or_else(|| CallError::UnknownParameter { argument: name.clone() })?;
            arguments.insert(name.clone(), converted(parameter, value)?);
        }
        self.run(tool, arguments)
    }

    /// Runs a tool with arguments of the right names and types.
    pub(super) fn run(&mut self, tool: &'static Tool, mut arguments: Map<String, Value>) -> Result<Answer, CallError> {
        let run = tool.run.ok_or(CallError::NotOffline { tool: tool.name })?;
        let missing: Vec<&'static str> = tool.required().filter(|name| !arguments.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(CallError::Missing { tool: tool.name, missing });
        }
        // In the order of the signature; what is passed on by name follows in the order given.
        let mut ordered = Map::new();
        for parameter in tool.parameters.iter().filter(|parameter| parameter.need != Need::Extra) {
            ordered.insert(parameter.name.to_owned(), arguments.shift_remove(parameter.name).unwrap_or(Value::Null));
        }
        ordered.extend(arguments);
        let mut input = Input(ordered);
        let (output, exception) = match run(self, &mut input) {
            Ok(output) => (output, Value::Null),
            Err(exception) => (Value::Null, exception.into()),
        };
        let mut answer = Map::new();
        if tool.named {
            answer.insert("api_name".to_owned(), tool.name.into());
        }
        // The one tool without parameters has no input either.
        let input = if tool.parameters.is_empty() { Value::Null } else { input.0.into() };
        answer.insert("input".to_owned(), input);
        answer.insert("output".to_owned(), output);
        answer.insert("exception".to_owned(), exception);
        Ok(answer)
    }
}

/// Returns the tool called `name`.
pub(super) fn tool(name: &str) -> Result<&'static Tool, CallError> {
    families::named(name).ok_or(CallError::UnknownTool)
}

/// Converts a value as the official evaluator does: texts stay texts but for whole numbers and truth values.
fn converted(parameter: &Parameter, value: &Value) -> Result<Value, CallError> {
    match (parameter.kind, value) {
        (Kind::Text | Kind::List, value) => Ok(value.clone()),
        (Kind::Truth, value) => Ok(json!(value == "True")),
        (Kind::Whole, Value::String(text)) => {
            whole(text).map(Value::Number).ok_or_else(|| CallError::WrongType { value: text.clone() })
        }
        (Kind::Whole, value) => Ok(value.clone()),
    }
}

/// Reads digits. (Python also takes digits of other scripts.) What does not fit 64 bits is kept as a float: no tool
/// tells such numbers apart.
fn whole(text: &str) -> Option<Number> {
    if text.is_empty() || !text.bytes().all(|letter| letter.is_ascii_digit()) {
        return None;
    }
    let number = text.parse::<u64>().map(Number::from).ok();
    number.or_else(|| Number::from_f64(text.parse::<f64>().ok()?.min(f64::MAX)))
}
