//! The filters that templates have beside Jinja's own.

use minijinja::{
    Error, ErrorKind,
    value::{Kwargs, Serde},
};
use serde_json::Value;

use crate::base::json_text;

/// `value | tojson` and `value | tojson(indent=4)`: JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it.
/// Jinja's own filter escapes for HTML, which prompts are not.
pub(super) fn tojson(Serde(value): Serde<Value>, arguments: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    arguments.assert_all_used()?;
    json_text(&value, indent)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "the value has no JSON form").with_source(error))
}

/// `tool | signature`: `name(argument: type, optional?: type)`, with the words for types that the schema has.
pub(super) fn signature(Serde(tool): Serde<Value>) -> Result<String, Error> {
    let wrong = |reason: &str| Error::new(ErrorKind::InvalidOperation, format!("`signature` needs a tool: {reason}"));
    let name = tool.get("name").and_then(Value::as_str).ok_or_else(|| wrong("no `name` is there"))?;
    let parameters = tool.get("parameters").unwrap_or(&Value::Null);
    Ok(format!("{name}({})", fields(parameters, 0)))
}

/// How deep maps inside of maps are written out.
const MAX_DEPTH: usize = 4;
/// How many choices are written out.
const MAX_CHOICES: usize = 8;

fn fields(schema: &Value, depth: usize) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|other| other.as_str() == Some(name)));
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten().map(|(name, property)| {
        let mark = if is_required(name) { "" } else { "?" };
        format!("{name}{mark}: {}", type_words(property, depth))
    });
    fields.collect::<Vec<_>>().join(", ")
}

fn type_words(schema: &Value, depth: usize) -> String {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array).filter(|choices| choices.len() <= MAX_CHOICES) {
        return choices.iter().map(Value::to_string).collect::<Vec<_>>().join("|");
    }
    let words = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
        _ => "any".to_owned(),
    };
    if depth >= MAX_DEPTH {
        return words;
    }
    match (schema.get("items"), schema.get("properties").and_then(Value::as_object)) {
        (Some(items), _) => format!("{words}[{}]", type_words(items, depth + 1)),
        (None, Some(properties)) if !properties.is_empty() => format!("{{{}}}", fields(schema, depth + 1)),
        _ => words,
    }
}
