//! Parameter types of other people's tool descriptions → JSON Schema.

use serde_json::{Map, Value};

/// Returns a parameter schema with JSON Schema's type names: `dict` → `object`, `float` → `number`, `ArrayList` →
/// `array`, … A name that says more than JSON Schema's (`tuple`, `long`, `any`, …) is kept as `x-type`.
pub(super) fn normalised(schema: &Value) -> Value {
    let Value::Object(entries) = schema else { return schema.clone() };
    let mut result = Map::new();
    for (key, value) in entries {
        match (key.as_str(), value) {
            ("type", Value::String(name)) => put_type(&mut result, name),
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter().map(|(name, schema)| (name.clone(), normalised(schema)));
                result.insert(key.clone(), Value::Object(properties.collect()));
            }
            ("items" | "additionalProperties", value) => {
                result.insert(key.clone(), normalised(value));
            }
            (_, value) => {
                result.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(result)
}

fn put_type(result: &mut Map<String, Value>, name: &str) {
    let (standard, says_more) = standard_type(name);
    if let Some(standard) = standard {
        result.insert("type".into(), standard.into());
    }
    if says_more {
        result.insert("x-type".into(), name.into());
    }
}

/// Returns JSON Schema's name for a type, `None` for any, and whether the name says more than JSON Schema's.
fn standard_type(name: &str) -> (Option<&'static str>, bool) {
    match name {
        "object" | "dict" | "Dict" => (Some("object"), false),
        "HashMap" => (Some("object"), true),
        "array" | "list" | "List" => (Some("array"), false),
        "tuple" | "Array" | "ArrayList" => (Some("array"), true),
        "string" | "str" | "String" => (Some("string"), false),
        "char" => (Some("string"), true),
        "integer" | "int" => (Some("integer"), false),
        "long" | "short" | "byte" | "Bigint" => (Some("integer"), true),
        "number" | "float" => (Some("number"), false),
        "double" => (Some("number"), true),
        "boolean" | "bool" | "Boolean" => (Some("boolean"), false),
        "null" => (Some("null"), false),
        _ => (None, true),
    }
}

/// Returns the schema of a parameter that is described as ToolRL's data does: `{type, description, default}` with
/// types such as `str`, `int, optional`, `List[float]`, `list(str)` or `['string', 'null']`; and whether it is required.
pub(super) fn from_loose(description: &Value) -> (Value, bool) {
    let mut result = Map::new();
    let text = description.get("type").and_then(Value::as_str).unwrap_or("any").trim();
    let (name, optional) = match text.rsplit_once(',') {
        Some((name, word)) if word.trim() == "optional" => (name.trim(), true),
        _ => (text, false),
    };
    put_loose(&mut result, name);
    for key in ["description", "enum", "items", "properties", "required"] {
        if let Some(value) = description.get(key) {
            result.entry(key).or_insert(normalised(value));
        }
    }
    let default = description.get("default").filter(|default| !matches!(default, Value::Null) && **default != "");
    if let Some(default) = default {
        result.insert("default".into(), default.clone());
    }
    (Value::Object(result), !optional && default.is_none())
}

fn put_loose(result: &mut Map<String, Value>, name: &str) {
    let inner = |open: char, close: char| {
        let (outer, inner) = name.split_once(open)?;
        Some((outer.trim().to_lowercase(), inner.strip_suffix(close)?.trim()))
    };
    match inner('[', ']').or_else(|| inner('(', ')')) {
        Some((outer, element)) if outer == "list" => {
            result.insert("type".into(), "array".into());
            let mut items = Map::new();
            put_loose(&mut items, element);
            result.insert("items".into(), Value::Object(items));
        }
        Some((outer, _)) if outer == "tuple" => {
            result.insert("type".into(), "array".into());
            result.insert("x-type".into(), name.into());
        }
        // A list of alternatives: `['string', 'null']`.
        Some((outer, alternatives)) if outer.is_empty() => {
            let names = alternatives.split(',').map(|name| name.trim().trim_matches(['\'', '"']));
            let names: Option<Vec<Value>> = names.map(|name| standard_type(name).0.map(Value::from)).collect();
            match names {
                Some(names) => drop(result.insert("type".into(), Value::Array(names))),
                None => drop(result.insert("x-type".into(), name.into())),
            }
        }
        _ => put_type(result, name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bfcl_types_become_json_schema_at_every_depth() {
        let schema = json!({
            "type": "dict",
            "properties": {
                "type": { "type": "String", "description": "A property that is called type." },
                "points": { "type": "array", "items": { "type": "tuple", "items": { "type": "float" } } },
                "map": { "type": "HashMap" },
                "what": { "type": "any" },
                "inner": { "type": "dict", "properties": { "n": { "type": "long" } }, "required": ["n"] },
            },
            "required": ["type"],
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "type": { "type": "string", "description": "A property that is called type." },
                "points": { "type": "array", "items": { "type": "array", "x-type": "tuple", "items": { "type": "number" } } },
                "map": { "type": "object", "x-type": "HashMap" },
                "what": { "x-type": "any" },
                "inner": { "type": "object", "properties": { "n": { "type": "integer", "x-type": "long" } }, "required": ["n"] },
            },
            "required": ["type"],
        });
        assert_eq!(normalised(&schema).to_string(), expected.to_string());
    }

    #[test]
    fn loose_types_become_json_schema() {
        let of = |text: &str| {
            let (schema, required) = from_loose(&json!({ "type": text, "description": "d", "default": "" }));
            (schema.to_string(), required)
        };
        assert_eq!(of("str"), (r#"{"type":"string","description":"d"}"#.into(), true));
        assert_eq!(of("int, optional"), (r#"{"type":"integer","description":"d"}"#.into(), false));
        assert_eq!(
            of("List[List[float]]").0,
            r#"{"type":"array","items":{"type":"array","items":{"type":"number"}},"description":"d"}"#
        );
        assert_eq!(of("list(str)").0, r#"{"type":"array","items":{"type":"string"},"description":"d"}"#);
        assert_eq!(of("['string', 'null']").0, r#"{"type":["string","null"],"description":"d"}"#);
        assert_eq!(of("Tuple[float, float]").0, r#"{"type":"array","x-type":"Tuple[float, float]","description":"d"}"#);
        assert_eq!(of("Callable[[float], float]").0, r#"{"x-type":"Callable[[float], float]","description":"d"}"#);
        let (schema, required) = from_loose(&json!({ "type": "string", "default": "en" }));
        assert_eq!((schema.to_string().as_str(), required), (r#"{"type":"string","default":"en"}"#, false));
    }
}
