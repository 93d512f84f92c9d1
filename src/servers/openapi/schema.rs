//! OpenAPI's schemas as plain JSON Schemas that need no document beside them.
//!
//! References are put in their place. One that leads back to itself becomes `#/$defs/NAME`, so that the result is finite; what the
//! check of arguments does with such a schema is bounded in `check::work`. The dialect of 3.0 (`nullable`, Boolean
//! `exclusiveMinimum`) is translated, and words that only OpenAPI knows are left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Parts that one operation's schemas may come to.
const MOST_PARTS: usize = 20_000;
/// The deepest nesting, references followed.
const DEEPEST: usize = 48;
/// Words that say nothing about which values are right.
const OPENAPI_ONLY: &[&str] =
    &["discriminator", "xml", "externalDocs", "example", "nullable", "readOnly", "writeOnly", "deprecated"];
/// Words whose value is data.
const DATA: &[&str] = &["enum", "const", "default", "examples"];

/// Resolves references of one operation.
pub(super) struct Resolver<'a> {
    root: &'a Value,
    old: bool,
    parts: usize,
    /// References that are being put in their place.
    open: Vec<String>,
    /// References that lead back to themselves → their name in `$defs`.
    recursive: BTreeMap<String, String>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(root: &'a Value, old: bool) -> Self {
        Self { root, old, parts: 0, open: Vec::new(), recursive: BTreeMap::new() }
    }

    /// Returns an object of the document, or what it refers to; a chain of references must end.
    pub(super) fn object<'b>(&self, value: &'b Value) -> Result<&'b Value, String>
    where
        'a: 'b,
    {
        let mut value = value;
        for _ in 0..16 {
            match value.get("$ref").and_then(Value::as_str) {
                Some(reference) => value = self.target(reference)?,
                None => return Ok(value),
            }
        }
        Err("a reference leads to references without an end".to_owned())
    }

    fn target(&self, reference: &str) -> Result<&'a Value, String> {
        let pointer = reference.strip_prefix('#').filter(|pointer| pointer.starts_with('/'));
        let pointer = pointer.ok_or_else(|| format!("the reference `{reference}` leads out of the document"))?;
        self.root.pointer(pointer).ok_or_else(|| format!("the reference `{reference}` leads nowhere"))
    }

    /// Returns a plain JSON Schema.
    pub(super) fn plain(&mut self, schema: &Value) -> Result<Value, String> {
        self.schema(schema, 0)
    }

    /// Returns the definitions that recursive references name.
    pub(super) fn definitions(&mut self) -> Result<Map<String, Value>, String> {
        let mut definitions = Map::new();
        // Putting one in its place may find more.
        while let Some((reference, name)) =
            self.recursive.clone().into_iter().find(|(_, name)| !definitions.contains_key(name))
        {
            let target = self.target(&reference)?;
            self.open.push(reference);
            let schema = self.schema(target, 0)?;
            self.open.pop();
            definitions.insert(name, schema);
        }
        Ok(definitions)
    }

    fn schema(&mut self, schema: &Value, depth: usize) -> Result<Value, String> {
        self.parts += 1;
        if self.parts > MOST_PARTS || depth > DEEPEST {
            return Err("its schemas are too large".to_owned());
        }
        let Value::Object(entries) = schema else { return Ok(schema.clone()) };
        if let Some(reference) = entries.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, entries, depth);
        }
        let mut plain = Map::new();
        for (key, value) in entries {
            let value = match key.as_str() {
                key if OPENAPI_ONLY.contains(&key) || key.starts_with("x-") => continue,
                key if DATA.contains(&key) => value.clone(),
                "properties" | "patternProperties" | "dependentSchemas" => self.named(value, depth)?,
                "items" | "additionalProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames" => {
                    self.schema(value, depth + 1)?
                }
                "allOf" | "anyOf" | "oneOf" | "prefixItems" => match value {
                    Value::Array(items) => {
                        let items = items.iter().map(|item| self.schema(item, depth + 1));
                        Value::Array(items.collect::<Result<_, _>>()?)
                    }
                    other => other.clone(),
                },
                _ => value.clone(),
            };
            plain.insert(key.clone(), value);
        }
        if self.old {
            translate_old(entries, &mut plain);
        }
        leave_out_answers(entries, &mut plain);
        Ok(Value::Object(plain))
    }

    fn named(&mut self, value: &Value, depth: usize) -> Result<Value, String> {
        let Value::Object(entries) = value else { return Ok(value.clone()) };
        let entries = entries.iter().map(|(name, schema)| Ok((name.clone(), self.schema(schema, depth + 1)?)));
        Ok(Value::Object(entries.collect::<Result<_, String>>()?))
    }

    fn reference(&mut self, reference: &str, entries: &Map<String, Value>, depth: usize) -> Result<Value, String> {
        if self.open.iter().any(|open| open == reference) {
            let name = self.definition_name(reference);
            return Ok(json!({ "$ref": format!("#/$defs/{name}") }));
        }
        let target = self.target(reference)?;
        self.open.push(reference.to_owned());
        let schema = self.schema(target, depth + 1);
        self.open.pop();
        let mut schema = schema?;
        // Version 3.1 lets a description stand beside a reference.
        if let (Some(schema), Some(text)) = (schema.as_object_mut(), entries.get("description")) {
            schema.insert("description".to_owned(), text.clone());
        }
        Ok(schema)
    }

    fn definition_name(&mut self, reference: &str) -> String {
        if let Some(name) = self.recursive.get(reference) {
            return name.clone();
        }
        let last = reference.rsplit('/').next().unwrap_or_default();
        let word: String =
            last.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
        let taken = self.recursive.values().any(|name| *name == word);
        let name = if taken { format!("{word}_{}", self.recursive.len()) } else { word };
        self.recursive.insert(reference.to_owned(), name.clone());
        name
    }
}

/// What only answers have cannot be sent.
fn leave_out_answers(entries: &Map<String, Value>, plain: &mut Map<String, Value>) {
    let properties = entries.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, _) in properties.filter(|(_, schema)| schema.get("readOnly") == Some(&Value::Bool(true))) {
        if let Some(properties) = plain.get_mut("properties").and_then(Value::as_object_mut) {
            properties.shift_remove(name);
        }
        if let Some(required) = plain.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|entry| entry.as_str() != Some(name));
        }
    }
}

/// Translates the dialect of version 3.0.
fn translate_old(entries: &Map<String, Value>, plain: &mut Map<String, Value>) {
    if entries.get("nullable") == Some(&Value::Bool(true)) {
        if let Some(kind) = plain.get("type").and_then(Value::as_str).map(str::to_owned) {
            plain.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(values) = plain.get_mut("enum").and_then(Value::as_array_mut)
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
    for (exclusive, inclusive) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match entries.get(exclusive) {
            Some(Value::Bool(true)) => match plain.shift_remove(inclusive) {
                Some(bound) => {
                    plain.insert(exclusive.to_owned(), bound);
                }
                None => {
                    plain.shift_remove(exclusive);
                }
            },
            Some(Value::Bool(false)) => {
                plain.shift_remove(exclusive);
            }
            _ => {}
        }
    }
}
