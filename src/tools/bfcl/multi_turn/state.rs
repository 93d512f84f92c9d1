//! States of worlds, and Python's equality on them.
//!
//! A state is JSON: class → public attribute → value, with tags for what JSON cannot hold: `{"__tuple__": […]}`,
//! `{"__dict__": [[key, value], …]}` where a key is no text, `{"__set__": [repr, …]}`, `{"__bigint__": digits}`,
//! `{"__float__": "inf"}`, `{"__bytes__": repr}`, `{"__other__": repr}`. Attributes that begin with `_` are told for people
//! (the working folder) and never compared.

use serde_json::Value;

use crate::tools::python::{PyDict, PyValue};

/// Attributes of one instance that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The class.
    pub class: String,
    /// The attributes, in the order that the true instance has them in.
    pub attributes: Vec<String>,
    /// All public attributes of the model's instance.
    pub found: Value,
    /// All public attributes of the true instance.
    pub expected: Value,
}

/// Returns how a state differs from the true one: the first class in which it does. `None`: equal, as Python sees it.
///
/// As in the official checker the classes are those of the true state in the order `classes`, and attributes that only the
/// model's instance has do not count.
pub fn difference(model: &Value, truth: &Value, classes: &[String]) -> Option<Difference> {
    classes.iter().find_map(|class| {
        let expected = truth.get(class).and_then(Value::as_object)?;
        let attributes: Vec<String> = expected
            .iter()
            .filter(|(name, _)| !name.starts_with('_'))
            .filter(|(name, expected)| {
                let found = model.get(class).and_then(|attributes| attributes.get(name.as_str()));
                found.is_none_or(|found| found != *expected && to_python(found) != to_python(expected))
            })
            .map(|(name, _)| name.clone())
            .collect();
        (!attributes.is_empty()).then(|| Difference {
            class: class.clone(),
            attributes,
            found: public(model.get(class)),
            expected: public(truth.get(class)),
        })
    })
}

/// The attributes that are compared.
fn public(instance: Option<&Value>) -> Value {
    let attributes = instance.and_then(Value::as_object).into_iter().flatten();
    attributes.filter(|(name, _)| !name.starts_with('_')).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Reads tagged JSON. What has no Python value of ours (sets, objects by their `repr`) becomes a dict of its own, so that
/// it equals only what is told in the same words.
pub fn to_python(value: &Value) -> PyValue {
    match value {
        Value::Array(items) => items.iter().map(to_python).collect(),
        Value::Object(members) => tagged(members).unwrap_or_else(|| {
            PyValue::Dict(members.iter().map(|(key, value)| (PyValue::from(key.as_str()), to_python(value))).collect())
        }),
        plain => PyValue::from(plain),
    }
}

fn tagged(members: &serde_json::Map<String, Value>) -> Option<PyValue> {
    let mut members = members.iter();
    let ((tag, content), None) = (members.next()?, members.next()) else { return None };
    match (tag.as_str(), content) {
        ("__tuple__", Value::Array(items)) => Some(PyValue::Tuple(items.iter().map(to_python).collect())),
        ("__dict__", Value::Array(pairs)) => {
            let pairs = pairs.iter().map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([key, value]) => Some((to_python(key), to_python(value))),
                _ => None,
            });
            Some(PyValue::Dict(pairs.collect::<Option<PyDict>>()?))
        }
        ("__float__", Value::String(text)) => {
            // Python compares what a container holds by identity first, so that one NaN equals itself. Here any does.
            text.parse().ok().filter(|number: &f64| !number.is_nan()).map(PyValue::Float)
        }
        ("__bigint__", Value::String(digits)) => Some(PyValue::integer(digits.parse().ok()?)),
        _ => None,
    }
}
