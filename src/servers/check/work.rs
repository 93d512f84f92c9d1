//! How much work a schema makes of a value, counted before the work is done.
//!
//! Without references a schema is a tree, and each of its parts looks at each part of a value at most once. A reference can make
//! it look again and again: a chain of ten definitions that each name the next twice looks a thousand times, and one that names
//! itself never ends. [`Shape::cost`] counts the looks with a memory for what it has counted, so that counting is cheap even
//! where looking is not.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Looks at a part of a value that one check may take.
const MOST_LOOKS: u64 = 1_000_000;
/// Pairs of a schema's part and a value's part that are counted.
const MOST_PAIRS: usize = 100_000;
/// Looks within looks. A check recurses as deep, and a thread's stack must hold it.
const DEEPEST_LOOK: usize = 200;
/// References that a schema may hold.
const MOST_REFERENCES: usize = 300;

/// Keywords whose value is one schema for the same value.
const SAME_ONE: &[&str] = &["not", "if", "then", "else"];
/// Keywords whose value is a list of schemas for the same value.
const SAME_LIST: &[&str] = &["allOf", "anyOf", "oneOf"];
/// Keywords whose value maps names to schemas for the same value.
const SAME_MAP: &[&str] = &["dependentSchemas", "dependencies"];
/// Keywords whose value is one schema for each part of an array.
const ITEM_ONE: &[&str] = &["items", "contains", "additionalItems", "unevaluatedItems"];
/// Keywords whose value is a list of schemas for the parts of an array.
const ITEM_LIST: &[&str] = &["items", "prefixItems"];
/// Keywords whose value is one schema for each part of an object.
const ENTRY_ONE: &[&str] = &["additionalProperties", "unevaluatedProperties", "propertyNames"];

/// What a schema holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Something in it can multiply work.
    pub(super) multiplies: bool,
    /// How many patterns it holds.
    pub(super) patterns: usize,
    references: usize,
}

/// Looks a schema over.
///
/// # Errors
/// In words, if it uses what cannot be bounded.
pub(super) fn survey(schema: &Value) -> Result<Survey, String> {
    let mut survey = Survey::default();
    survey_part(schema, true, schema, &mut survey)?;
    Ok(survey)
}

fn survey_part(part: &Value, is_root: bool, root: &Value, survey: &mut Survey) -> Result<(), String> {
    match part {
        Value::Array(items) => items.iter().try_for_each(|item| survey_part(item, false, root, survey)),
        Value::Object(entries) => {
            for (key, value) in entries {
                match (key.as_str(), value) {
                    ("$ref", Value::String(target)) => {
                        if resolve(root, target).is_none() {
                            return Err(format!("`$ref` names `{}`, which is not in it", super::shortened(target)));
                        }
                        survey.multiplies = true;
                        survey.references += 1;
                        if survey.references > MOST_REFERENCES {
                            return Err(format!("it holds more than {MOST_REFERENCES} references"));
                        }
                    }
                    ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                        return Err(format!("it uses `{key}`"));
                    }
                    ("$id" | "id", Value::String(_)) if !is_root => {
                        // A property may be called `id`; a text as its schema is none.
                        return Err(format!("a part of it has an `{key}` of its own"));
                    }
                    ("unevaluatedItems" | "unevaluatedProperties", _) => survey.multiplies = true,
                    ("pattern", Value::String(_)) => survey.patterns += 1,
                    ("patternProperties", Value::Object(patterns)) => survey.patterns += patterns.len(),
                    // Data, not schemas.
                    ("const" | "enum" | "default" | "examples", _) => continue,
                    _ => {}
                }
                survey_part(value, false, root, survey)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Returns what a reference names: `#` or `#/a/JSON/pointer`.
fn resolve<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    let pointer = target.strip_prefix('#')?;
    root.pointer(pointer).or_else(|| root.pointer(&percent_decoded(pointer)?))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The verdict on a check that was not made yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// It can be made.
    Bounded,
    /// It would never end.
    Endless,
    /// It would take too long.
    TooMuch,
}

/// A schema, ready to be counted.
#[derive(Debug)]
pub(super) struct Shape {
    schema: Value,
}

/// A part of the schema and a part of the value, by their addresses.
type Pair = (*const Value, *const Value);

struct Count<'a> {
    root: &'a Value,
    /// `None`: being counted.
    known: HashMap<Pair, Option<u64>>,
    depth: usize,
}

impl Shape {
    pub(super) fn new(schema: Value) -> Self {
        Self { schema }
    }

    /// Returns whether checking `value` takes a bounded number of looks.
    pub(super) fn cost(&self, value: &Value) -> Cost {
        let mut count = Count { root: &self.schema, known: HashMap::new(), depth: 0 };
        match count.looks(&self.schema, value) {
            Ok(looks) if looks <= MOST_LOOKS => Cost::Bounded,
            Ok(_) => Cost::TooMuch,
            Err(cost) => cost,
        }
    }
}

impl Count<'_> {
    /// Counts the looks of `schema` at `value`.
    fn looks(&mut self, schema: &Value, value: &Value) -> Result<u64, Cost> {
        let Value::Object(entries) = schema else { return Ok(1) };
        let pair: Pair = (schema, value);
        match self.known.get(&pair) {
            Some(Some(looks)) => return Ok(*looks),
            Some(None) => return Err(Cost::Endless),
            None => {}
        }
        if self.known.len() >= MOST_PAIRS || self.depth >= DEEPEST_LOOK {
            return Err(Cost::TooMuch);
        }
        self.known.insert(pair, None);
        self.depth += 1;
        let looks = self.looks_of_parts(entries, value)?;
        self.depth -= 1;
        if looks > MOST_LOOKS {
            return Err(Cost::TooMuch);
        }
        self.known.insert(pair, Some(looks));
        Ok(looks)
    }

    fn looks_of_parts(&mut self, entries: &Map<String, Value>, value: &Value) -> Result<u64, Cost> {
        let mut same = 0_u64;
        let mut below = 1_u64;
        if let Some(target) = entries.get("$ref").and_then(Value::as_str)
            && let Some(target) = resolve(self.root, target)
        {
            same += self.looks(target, value)?;
        }
        for keyword in SAME_ONE {
            if let Some(part) = entries.get(*keyword) {
                same += self.looks(part, value)?;
            }
        }
        for keyword in SAME_LIST {
            for part in entries.get(*keyword).and_then(Value::as_array).into_iter().flatten() {
                same += self.looks(part, value)?;
            }
        }
        for keyword in SAME_MAP {
            for part in entries.get(*keyword).and_then(Value::as_object).into_iter().flat_map(Map::values) {
                same += self.looks(part, value)?;
            }
        }
        match value {
            Value::Array(items) => below += self.looks_at_items(entries, items)?,
            Value::Object(fields) => below += self.looks_at_fields(entries, fields)?,
            _ => {}
        }
        // What asks which parts were evaluated lets everything beside it look once more.
        if entries.contains_key("unevaluatedItems") || entries.contains_key("unevaluatedProperties") {
            same = same.saturating_mul(2);
        }
        Ok(same.saturating_add(below))
    }

    fn looks_at_items(&mut self, entries: &Map<String, Value>, items: &[Value]) -> Result<u64, Cost> {
        let mut looks = items.len() as u64;
        for keyword in ITEM_ONE {
            if let Some(part @ Value::Object(_)) = entries.get(*keyword) {
                for item in items {
                    looks = looks.saturating_add(self.looks(part, item)?);
                }
            }
        }
        for keyword in ITEM_LIST {
            if let Some(Value::Array(parts)) = entries.get(*keyword) {
                for (part, item) in parts.iter().zip(items) {
                    looks = looks.saturating_add(self.looks(part, item)?);
                }
            }
        }
        Ok(looks)
    }

    fn looks_at_fields(&mut self, entries: &Map<String, Value>, fields: &Map<String, Value>) -> Result<u64, Cost> {
        let mut looks = fields.len() as u64;
        if let Some(Value::Object(parts)) = entries.get("properties") {
            for (name, field) in fields {
                if let Some(part) = parts.get(name) {
                    looks = looks.saturating_add(self.looks(part, field)?);
                }
            }
        }
        if let Some(Value::Object(parts)) = entries.get("patternProperties") {
            for part in parts.values() {
                for field in fields.values() {
                    looks = looks.saturating_add(self.looks(part, field)?);
                }
            }
        }
        for keyword in ENTRY_ONE {
            if let Some(part @ Value::Object(_)) = entries.get(*keyword) {
                for field in fields.values() {
                    looks = looks.saturating_add(self.looks(part, field)?);
                }
            }
        }
        Ok(looks)
    }
}
