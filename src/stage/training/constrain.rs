//! What completions are held to: the `constrain` parameter of a kind.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    lm::{LmError, check_schema},
    stage::{StageCtx, StageError},
    tools::{Sample, Style, grammar},
};

const NAME: &str = "constrain";

/// What completions are held to.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stage) enum Constrain {
    /// Nothing.
    None,
    /// A list of calls of the sample's tools, in this style.
    Calls(Style),
    /// The grammar of JSON that a schema allows, whatever the sample.
    Schema(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Written {
    None,
    Python,
    Json,
    JsonSchema(Value),
}

impl Constrain {
    /// Reads the parameter.
    ///
    /// # Errors
    /// [`StageError::Parameter`] for a schema that is none, or says what completions cannot be held to.
    pub(in crate::stage) fn read(context: &StageCtx) -> Result<Self, StageError> {
        let wrong = |reason: String| StageError::parameter(NAME, format!("`json-schema` {reason}"));
        Ok(match context.param(NAME)? {
            Written::None => Self::None,
            Written::Python => Self::Calls(Style::Python),
            Written::Json => Self::Calls(Style::Json),
            Written::JsonSchema(schema) => {
                let schema = match schema {
                    Value::String(text) => serde_json::from_str(&text)
                        .map_err(|error| wrong(format!("is a text that is no JSON: {error}")))?,
                    schema => schema,
                };
                let grammar = grammar::json_schema(&schema)
                    .ok_or_else(|| wrong(format!("is {schema}: expected a JSON Schema, which is a table")))?;
                check_schema(&schema).map_err(|error| match error {
                    // Reasons may be drawings of several lines.
                    LmError::Grammar { reason } => {
                        let reason: Vec<&str> = reason.split_whitespace().collect();
                        wrong(format!("is nothing that completions can be held to: {}", reason.join(" ")))
                    }
                    other => StageError::failed("check the schema")(other),
                })?;
                Self::Schema(grammar)
            }
        })
    }

    /// Returns the grammar for the answer to a sample.
    pub(in crate::stage) fn grammar(&self, sample: &Sample) -> Option<String> {
        match self {
            Self::None => None,
            Self::Calls(style) => grammar::calls(&sample.tools, *style),
            Self::Schema(grammar) => Some(grammar.clone()),
        }
    }
}
