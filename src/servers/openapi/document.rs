//! A document's operations, and the tools that they are.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema::Resolver;
use crate::tools::ToolSpec;

/// The largest document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;
/// Operations that are read at most.
const MOST_OPERATIONS: usize = 2_000;
const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch"];
/// The argument that holds a request's body.
const BODY: &str = "body";

/// Why a document gives no tools.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// No JSON.
    #[error("the OpenAPI document is no JSON ({reason}); YAML must be converted first")]
    NoJson {
        /// Why.
        reason: String,
    },
    /// Of a version that we do not know.
    #[error("the document says `openapi: {version}`: expected 3.0 or 3.1")]
    Version {
        /// What it says.
        version: String,
    },
    /// An operation that no request can be made of.
    #[error("the operation `{operation}` of the OpenAPI document cannot be used: {reason}")]
    Operation {
        /// Method and path.
        operation: String,
        /// Why.
        reason: String,
    },
    /// Two operations of one name.
    #[error("the OpenAPI document has two operations named `{name}`")]
    Twice {
        /// The name.
        name: String,
    },
    /// Too many.
    #[error("the OpenAPI document has more than {MOST_OPERATIONS} operations")]
    TooMany,
}

/// A document, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its operations, in the document's order.
    pub operations: Vec<Operation>,
    /// The address that it names first.
    pub server: Option<String>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The tool that it is.
    pub tool: ToolSpec,
    /// In capitals.
    pub(super) method: String,
    /// With its `{names}`.
    pub(super) path: String,
    pub(super) parameters: Vec<Parameter>,
    /// It takes a JSON body, of this content type.
    pub(super) body: Option<String>,
}

/// Where a parameter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parameter {
    /// In requests.
    pub(super) name: String,
    /// In calls: the same unless two places share a name.
    pub(super) argument: String,
    pub(super) place: Place,
    /// A list is written as repeated parameters, not with commas.
    pub(super) explode: bool,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// [`DocumentError`] for the first thing that cannot be used.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let no_json = |reason: String| DocumentError::NoJson { reason };
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(no_json(format!("it is larger than {MAX_DOCUMENT_BYTES} bytes")));
        }
        let root: Value = serde_json::from_slice(bytes).map_err(|error| no_json(error.to_string()))?;
        let version = root.get("openapi").and_then(Value::as_str).unwrap_or("nothing");
        if !(version.starts_with("3.0") || version.starts_with("3.1")) {
            return Err(DocumentError::Version { version: version.to_owned() });
        }
        let server = root.pointer("/servers/0/url").and_then(Value::as_str).map(str::to_owned);
        let mut operations = Vec::new();
        let mut names = BTreeSet::new();
        for (path, item) in root.get("paths").and_then(Value::as_object).into_iter().flatten() {
            for method in METHODS {
                let Some(entry) = item.get(*method) else { continue };
                if operations.len() >= MOST_OPERATIONS {
                    return Err(DocumentError::TooMany);
                }
                let reader = OperationReader { root: &root, old: version.starts_with("3.0"), method, path };
                let operation = reader.read(item, entry).map_err(|reason| DocumentError::Operation {
                    operation: format!("{} {path}", method.to_ascii_uppercase()),
                    reason,
                })?;
                if !names.insert(operation.tool.name.clone()) {
                    return Err(DocumentError::Twice { name: operation.tool.name });
                }
                operations.push(operation);
            }
        }
        Ok(Self { operations, server })
    }
}

struct OperationReader<'a> {
    root: &'a Value,
    /// It is of version 3.0, whose schemas are a dialect.
    old: bool,
    method: &'a str,
    path: &'a str,
}

impl OperationReader<'_> {
    fn read(&self, item: &Value, entry: &Value) -> Result<Operation, String> {
        let mut resolver = Resolver::new(self.root, self.old);
        let mut properties = Map::new();
        let mut required = Vec::new();
        let mut parameters: Vec<Parameter> = Vec::new();
        for parameter in self.parameters(&resolver, item, entry)? {
            let name = parameter.get("name").and_then(Value::as_str).ok_or("a parameter has no `name`")?;
            let must = parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
            let place = match parameter.get("in").and_then(Value::as_str) {
                Some("path") => Place::Path,
                Some("query") => Place::Query,
                // The specification says that these three are not parameters.
                Some("header") if is_reserved_header(name) => continue,
                Some("header") => Place::Header,
                Some("cookie") if !must => continue,
                other => return Err(format!("the parameter `{name}` goes into {}", other.unwrap_or("nothing"))),
            };
            let style = parameter.get("style").and_then(Value::as_str);
            if style.is_some_and(|style| !matches!(style, "simple" | "form")) {
                return Err(format!("the parameter `{name}` has the style `{}`", style.unwrap_or_default()));
            }
            let explode = parameter.get("explode").and_then(Value::as_bool).unwrap_or(place == Place::Query);
            let given = parameter.get("schema").cloned();
            let given = given.or_else(|| parameter.pointer("/content/application~1json/schema").cloned());
            let mut schema = resolver.plain(&given.unwrap_or_else(|| json!({})))?;
            if let (Some(text), Some(schema)) = (parameter.get("description"), schema.as_object_mut()) {
                schema.entry("description").or_insert_with(|| text.clone());
            }
            let argument = free_name(name, place, &properties);
            if must || place == Place::Path {
                required.push(json!(argument));
            }
            properties.insert(argument.clone(), schema);
            parameters.push(Parameter { name: name.to_owned(), argument, place, explode });
        }
        let body = self.body(&mut resolver, entry, &mut properties, &mut required)?;
        for name in template_names(self.path) {
            if !parameters.iter().any(|parameter| parameter.place == Place::Path && parameter.name == name) {
                return Err(format!("the path names `{{{name}}}`, which is no parameter"));
            }
        }
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            schema["required"] = Value::Array(required);
        }
        let definitions = resolver.definitions()?;
        if !definitions.is_empty() {
            schema["$defs"] = Value::Object(definitions);
        }
        Ok(Operation {
            tool: ToolSpec { name: self.name(entry), description: description(entry), parameters: schema },
            method: self.method.to_ascii_uppercase(),
            path: self.path.to_owned(),
            parameters,
            body,
        })
    }

    /// An operation's parameters, those of its path that it does not replace first.
    fn parameters(&self, resolver: &Resolver<'_>, item: &Value, entry: &Value) -> Result<Vec<Value>, String> {
        let mut found: Vec<Value> = Vec::new();
        for owner in [item, entry] {
            for parameter in owner.get("parameters").and_then(Value::as_array).into_iter().flatten() {
                let parameter = resolver.object(parameter)?.clone();
                found.retain(|known| {
                    known.get("name") != parameter.get("name") || known.get("in") != parameter.get("in")
                });
                found.push(parameter);
            }
        }
        Ok(found)
    }

    fn body(
        &self,
        resolver: &mut Resolver<'_>,
        entry: &Value,
        properties: &mut Map<String, Value>,
        required: &mut Vec<Value>,
    ) -> Result<Option<String>, String> {
        let Some(body) = entry.get("requestBody") else { return Ok(None) };
        let body = resolver.object(body)?;
        let must = body.get("required").and_then(Value::as_bool).unwrap_or(false);
        let contents = body.get("content").and_then(Value::as_object);
        let content = contents.into_iter().flatten().find(|(kind, _)| is_json(kind));
        let Some((kind, content)) = content else {
            return if must { Err("its body is not JSON".to_owned()) } else { Ok(None) };
        };
        if properties.contains_key(BODY) {
            return Err("it has both a body and a parameter named `body`".to_owned());
        }
        let schema = resolver.plain(content.get("schema").unwrap_or(&json!({})))?;
        properties.insert(BODY.to_owned(), schema);
        if must {
            required.push(json!(BODY));
        }
        Ok(Some(kind.clone()))
    }

    /// `operationId`, or method and path made one word. Letters that no tool name has become `_`.
    fn name(&self, entry: &Value) -> String {
        let given = entry.get("operationId").and_then(Value::as_str).map(str::to_owned);
        let text = given.unwrap_or_else(|| format!("{}{}", self.method, self.path));
        let word: String = text
            .chars()
            .map(
                |letter| if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.') { letter } else { '_' },
            )
            .collect();
        word.trim_end_matches('_').to_owned()
    }
}

fn is_reserved_header(name: &str) -> bool {
    ["accept", "content-type", "authorization"].iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json") || kind == "*/*"
}

/// The same name in two places: the second says which it is.
fn free_name(name: &str, place: Place, taken: &Map<String, Value>) -> String {
    if !taken.contains_key(name) {
        return name.to_owned();
    }
    match place {
        Place::Path => format!("path_{name}"),
        Place::Query => format!("query_{name}"),
        Place::Header => format!("header_{name}"),
    }
}

fn description(entry: &Value) -> String {
    let text = |key| entry.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    match (text("summary"), text("description")) {
        (Some(summary), Some(description)) if summary != description => format!("{summary}\n{description}"),
        (summary, description) => summary.or(description).unwrap_or_default().to_owned(),
    }
}

/// Returns the names in a path's braces.
pub(super) fn template_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}
