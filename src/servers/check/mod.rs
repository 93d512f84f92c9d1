//! What stands between a model's call and a server: an allow-list of tools, and each tool's JSON Schema.
//!
//! A call that is refused here never reaches a server. Schemas come from servers and arguments from models, so both are
//! hostile: the size and the depth of either are bounded, patterns may not backtrack for long, references outside the schema
//! are not followed, and [`work`] bounds what references inside it multiply to.

mod work;

use std::sync::Arc;

use indexmap::IndexMap;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

use self::work::{Cost, Shape};
use crate::{
    base::did_you_mean,
    tools::{Call, ToolSpec},
};

/// The largest arguments of one call, in bytes of JSON.
pub const MAX_ARGUMENT_BYTES: usize = 1 << 16;
/// The deepest nesting of arguments.
pub const MAX_ARGUMENT_DEPTH: usize = 32;
/// The largest schema, in bytes of JSON.
pub const MAX_SCHEMA_BYTES: usize = 1 << 18;
/// The deepest nesting of a schema.
pub const MAX_SCHEMA_DEPTH: usize = 64;
/// Steps that a pattern may go back.
const BACKTRACKS: usize = 20_000;
/// The largest compiled pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 19;
/// The stack that compiling a schema with references may take, in bytes; untouched, it costs nothing.
const COMPILING_STACK: usize = 128 << 20;
/// The longest name that similar ones are looked for.
const LONGEST_NAME: usize = 128;
/// Patterns that one schema may hold.
const MOST_PATTERNS: usize = 64;

/// Why a tool cannot be offered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON Schema of the tool `{tool}` cannot be checked: {reason}; leave the tool out with `allow`")]
pub struct SchemaError {
    /// The tool.
    pub tool: String,
    /// What is wrong.
    pub reason: String,
}

/// Why a call is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No tool has that name, or it is not allowed.
    #[error("there is no tool `{tool}`{}", suggestion(.similar.as_deref()))]
    Unknown {
        /// The name in the call.
        tool: String,
        /// A name that was perhaps meant.
        similar: Option<String>,
    },
    /// The arguments are too large to be looked at.
    #[error("the arguments of `{tool}` are too large: {reason}")]
    TooLarge {
        /// The tool.
        tool: String,
        /// What is too large.
        reason: String,
    },
    /// The arguments are not what the schema asks for.
    #[error("the arguments of `{tool}` do not match its schema: {reason}")]
    Mismatch {
        /// The tool.
        tool: String,
        /// The first mismatch, with its place.
        reason: String,
    },
}

fn suggestion(similar: Option<&str>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The check of one tool's arguments.
#[derive(Debug)]
pub struct ArgumentCheck {
    validator: Validator,
    /// Only of schemas in which references or the like can multiply work.
    shape: Option<Shape>,
}

impl ArgumentCheck {
    /// Prepares the check of arguments against `schema`. A schema that is null or absent takes any object.
    ///
    /// # Errors
    /// In words, if the schema is too large, is no schema, or refers to what is not in it.
    pub fn new(schema: &Value) -> Result<Self, String> {
        let any = serde_json::json!({ "type": "object" });
        let schema = if schema.is_null() { &any } else { schema };
        if depth(schema) > MAX_SCHEMA_DEPTH {
            return Err(format!("it is nested deeper than {MAX_SCHEMA_DEPTH} levels"));
        }
        if schema.to_string().len() > MAX_SCHEMA_BYTES {
            return Err(format!("it is larger than {MAX_SCHEMA_BYTES} bytes"));
        }
        let survey = work::survey(schema)?;
        if survey.patterns > MOST_PATTERNS {
            return Err(format!("it holds more than {MOST_PATTERNS} patterns"));
        }
        let validator = if survey.multiplies {
            // Following references while compiling recurses as deep as they lead.
            let builder = std::thread::Builder::new().stack_size(COMPILING_STACK);
            std::thread::scope(|scope| {
                let compiling = builder.spawn_scoped(scope, || compiled(schema)).map_err(|error| error.to_string())?;
                compiling.join().unwrap_or_else(|_| Err("compiling it panics".to_owned()))
            })?
        } else {
            compiled(schema)?
        };
        let shape = survey.multiplies.then(|| Shape::new(schema.clone()));
        Ok(Self { validator, shape })
    }

    /// Checks arguments.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] or [`Refusal::Mismatch`].
    pub fn check(&self, tool: &str, arguments: &Map<String, Value>) -> Result<(), Refusal> {
        let too_large = |reason: String| Refusal::TooLarge { tool: tool.to_owned(), reason };
        let arguments = Value::Object(arguments.clone());
        if depth(&arguments) > MAX_ARGUMENT_DEPTH {
            return Err(too_large(format!("they are nested deeper than {MAX_ARGUMENT_DEPTH} levels")));
        }
        if arguments.to_string().len() > MAX_ARGUMENT_BYTES {
            return Err(too_large(format!("more than {MAX_ARGUMENT_BYTES} bytes of JSON")));
        }
        match self.shape.as_ref().map(|shape| shape.cost(&arguments)) {
            None | Some(Cost::Bounded) => {}
            Some(Cost::Endless) => return Err(too_large("the schema refers to itself without an end".to_owned())),
            Some(Cost::TooMuch) => return Err(too_large("checking them takes too much work".to_owned())),
        }
        if self.validator.is_valid(&arguments) {
            return Ok(());
        }
        let reason = match self.validator.validate(&arguments) {
            Ok(()) => "no reason given".to_owned(),
            Err(error) => {
                let place = error.instance_path().as_str();
                let place = if place.is_empty() { String::new() } else { format!("at `{place}`: ") };
                format!("{place}{}", shortened(&error.to_string()))
            }
        };
        Err(Refusal::Mismatch { tool: tool.to_owned(), reason })
    }
}

fn compiled(schema: &Value) -> Result<Validator, String> {
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(BACKTRACKS)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES);
    jsonschema::options()
        .offline()
        .should_validate_formats(false)
        .with_pattern_options(patterns)
        .build(schema)
        .map_err(|error| shortened(&error.to_string()))
}

/// The checks of all tools that may be called. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    tools: Arc<IndexMap<String, ArgumentCheck>>,
}

impl Checks {
    /// Prepares the checks of `tools`: these, and no other, may be called.
    ///
    /// # Errors
    /// [`SchemaError`] for the first tool whose schema cannot be checked.
    pub fn new<'a>(tools: impl IntoIterator<Item = &'a ToolSpec>) -> Result<Self, SchemaError> {
        let tools = tools.into_iter().map(|tool| {
            let check = ArgumentCheck::new(&tool.parameters)
                .map_err(|reason| SchemaError { tool: tool.name.clone(), reason })?;
            Ok((tool.name.clone(), check))
        });
        Ok(Self { tools: Arc::new(tools.collect::<Result<_, SchemaError>>()?) })
    }

    /// Checks a call.
    ///
    /// # Errors
    /// [`Refusal`], whose message a model can read.
    pub fn check(&self, call: &Call) -> Result<(), Refusal> {
        match self.tools.get(&call.name) {
            Some(check) => check.check(&call.name, &call.arguments),
            None => {
                let names = self.tools.keys().map(String::as_str).filter(|_| call.name.len() <= LONGEST_NAME);
                let similar = did_you_mean(&call.name, names).map(str::to_owned);
                Err(Refusal::Unknown { tool: shortened(&call.name), similar })
            }
        }
    }
}

/// Returns how deep a value is nested; 1 for a value without parts. The reader of JSON bounds it already, so this may recurse.
fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(entries) => entries.values().map(depth).max(),
        _ => None,
    };
    1 + deepest.unwrap_or(0)
}

/// Messages repeat values: long ones are cut.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
