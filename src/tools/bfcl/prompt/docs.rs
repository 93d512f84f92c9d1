//! Functions documented in the manner of Python and of XML.

use serde_json::Value;

use super::literal;

/// Returns the member `key` of a schema as text, as an f-string of Python prints it.
fn text(schema: &Value, key: &str, default: &str) -> String {
    match schema.get(key) {
        None => default.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => literal::repr(other),
    }
}

/// Returns the description of a parameter with its choices.
fn description(schema: &Value) -> String {
    let mut description = text(schema, "description", "");
    if let Some(choices) = schema.get("enum") {
        description.push_str(&format!(" Enum values: {}.", literal::printed(choices)));
    }
    description
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// Returns functions as comments and docstrings.
pub(super) fn python(functions: &[Value]) -> String {
    let mut parts = Vec::new();
    for function in functions {
        let mut lines = format!(
            "# Function: {}\n    \"\"\"\n    {}\n\n",
            text(function, "name", ""),
            text(function, "description", "")
        );
        let parameters = function.get("parameters").unwrap_or(&Value::Null);
        if properties(parameters).next().is_some() {
            lines.push_str("    Args:\n");
        }
        for (name, schema) in properties(parameters) {
            python_parameter(&mut lines, name, schema, 0);
        }
        lines.push_str("    \"\"\"\n");
        parts.push(lines);
        parts.push("\n".to_owned());
    }
    parts.join("\n\n")
}

fn python_parameter(lines: &mut String, name: &str, schema: &Value, depth: usize) {
    let indent = " ".repeat(8 + 4 * depth);
    let default = schema.get("default").map(|value| format!(", default={}", literal::repr(value)));
    let (kind, default) = (python_type(schema), default.unwrap_or_default());
    lines.push_str(&format!("{indent}{name} ({kind}{default}): {}\n", description(schema)));
    for (name, schema) in properties(schema) {
        python_parameter(lines, name, schema, depth + 1);
    }
}

fn python_type(schema: &Value) -> String {
    let kind = text(schema, "type", "string");
    match (kind.as_str(), schema.get("items"), schema.get("additionalProperties")) {
        ("string", ..) => "str".to_owned(),
        ("number", ..) => "float".to_owned(),
        ("integer", ..) => "int".to_owned(),
        ("boolean", ..) => "bool".to_owned(),
        ("array" | "list" | "tuple", Some(items), _) => format!("list[{}]", python_type(items)),
        ("object" | "dict", _, Some(values)) => format!("dict[str, {}]", python_type(values)),
        ("object" | "dict", ..) => "dict".to_owned(),
        _ => kind,
    }
}

/// Returns functions as XML.
pub(super) fn xml(functions: &[Value]) -> String {
    let one = |function: &Value| {
        let mut lines = format!(
            "<function name=\"{}\">\n  <desc>{}</desc>\n  <params>\n",
            text(function, "name", ""),
            text(function, "description", "")
        );
        let parameters = function.get("parameters").unwrap_or(&Value::Null);
        for (name, schema) in properties(parameters) {
            xml_parameter(&mut lines, name, schema, parameters.get("required"), 2);
        }
        lines.push_str("  </params>\n</function>\n");
        lines
    };
    functions.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn xml_parameter(lines: &mut String, name: &str, schema: &Value, required: Option<&Value>, level: usize) {
    let indent = " ".repeat(level * 2);
    let mut kind = text(schema, "type", "string");
    let inner = schema.get("items").filter(|items| items.get("type").is_some());
    if let Some(inner) = inner.or_else(|| schema.get("additionalProperties")) {
        kind = format!("{kind}[{}]", text(inner, "type", "string"));
    }
    // Without a list all are required.
    let required = match required {
        Some(Value::Array(names)) => names.iter().any(|required| required.as_str() == Some(name)),
        Some(Value::String(text)) => text.contains(name),
        Some(_) => false,
        None => true,
    };
    let mut attributes = format!("name=\"{name}\", type=\"{kind}\", required=\"{required}\"");
    if let Some(default) = schema.get("default") {
        attributes.push_str(&format!(" default=\"{}\"", literal::repr(default)));
    }
    // Commas between attributes are dropped, and with them those inside.
    let attributes = attributes.replace(',', "");
    lines.push_str(&format!("{indent}<param {attributes}>\n{indent}  <desc>{}</desc>\n", description(schema)));
    if let Some(members) = schema.get("properties") {
        lines.push_str(&format!("{indent}  <params>\n"));
        for (name, member) in members.as_object().into_iter().flatten() {
            xml_parameter(lines, name, member, schema.get("required"), level + 2);
        }
        lines.push_str(&format!("{indent}  </params>\n"));
    }
    lines.push_str(&format!("{indent}</param>\n"));
}
