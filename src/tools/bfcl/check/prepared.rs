//! Documents and possible answers, made ready once per entry: types looked up, texts standardised.

use serde_json::Value;

use super::{
    types::{Kind, Nested, kind_named},
    values::{Allowed, standardised},
};
use crate::tools::{
    bfcl::{
        category::{Language, Task},
        entry::Entry,
    },
    python::PyValue,
};

/// What an entry expects.
#[derive(Debug)]
pub(in crate::tools::bfcl) struct Expectation {
    /// The expected calls; where the entry itself makes the official checker raise, its exception.
    pub expected: Result<Vec<Expected>, String>,
}

/// One expected call: a possible answer and the document of its function.
#[derive(Debug)]
pub(in crate::tools::bfcl) struct Expected {
    pub language: Language,
    /// Whether source text converts without the official losses.
    pub fair: bool,
    /// The document; where reading it makes the official checker raise, its exception.
    pub document: Result<Document, String>,
    /// The parameters that the answer knows, in its order.
    pub accepted: Vec<(String, Accepted)>,
    /// The possible answer as it was.
    pub answer: Value,
}

/// A function's document.
#[derive(Debug)]
pub(in crate::tools::bfcl) struct Document {
    pub name: String,
    pub required: Vec<String>,
    pub parameters: Vec<(String, Parameter)>,
}

/// A parameter's document.
#[derive(Debug)]
pub(in crate::tools::bfcl) struct Parameter {
    /// The type's name.
    pub named: String,
    /// Its class in Python; where there is none, the exception.
    pub kind: Result<Kind, String>,
    /// The type of elements.
    pub nested: Nested,
}

/// The accepted values of a parameter.
#[derive(Debug)]
pub(in crate::tools::bfcl) struct Accepted {
    /// As they are.
    pub values: Vec<PyValue>,
    /// The class of the first that is not `""`.
    pub first_kind: Option<Kind>,
    /// Whether the parameter may be left out.
    pub optional: bool,
    /// The texts among them, standardised.
    pub texts: Vec<String>,
    /// Made ready for lists.
    pub lists: Vec<Result<Vec<PyValue>, String>>,
    /// Made ready for dicts; in lists too.
    pub dicts: Vec<Allowed>,
}

impl Expectation {
    pub fn new(entry: &Entry) -> Self {
        Self { expected: expected(entry, false) }
    }

    /// Source text converts without the official losses.
    pub fn fair(entry: &Entry) -> Self {
        Self { expected: expected(entry, true) }
    }
}

fn expected(entry: &Entry, fair: bool) -> Result<Vec<Expected>, String> {
    let Some(answers) = &entry.possible_answer else {
        return Err("TypeError: object of type 'NoneType' has no len()".to_owned());
    };
    answers
        .iter()
        .map(|answer| {
            let Some((name, parameters)) = answer.as_object().and_then(|calls| calls.iter().next()) else {
                return Err("IndexError: list index out of range".to_owned());
            };
            let document = if entry.task() == Task::Simple {
                entry.functions.first()
            } else {
                entry.functions.iter().find(|function| function["name"] == *name)
            };
            let accepted = parameters.as_object().into_iter().flatten();
            Ok(Expected {
                language: entry.language,
                fair,
                document: document
                    .ok_or_else(|| "TypeError: 'NoneType' object is not subscriptable".to_owned())
                    .and_then(|document| Document::new(document, entry.language)),
                accepted: accepted.map(|(name, values)| (name.clone(), Accepted::new(values))).collect(),
                answer: answer.clone(),
            })
        })
        .collect()
}

impl Document {
    fn new(document: &Value, language: Language) -> Result<Self, String> {
        let missing = |key: &str| format!("KeyError: '{key}'");
        let name = document["name"].as_str().ok_or_else(|| missing("name"))?.to_owned();
        let parameters = document.get("parameters").ok_or_else(|| missing("parameters"))?;
        let properties = parameters.get("properties").ok_or_else(|| missing("properties"))?;
        let required = parameters.get("required").ok_or_else(|| missing("required"))?;
        let required = required.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let properties = properties.as_object().into_iter().flatten();
        let parameters = properties.map(|(name, details)| (name.clone(), Parameter::new(details, language))).collect();
        Ok(Self { name, required, parameters })
    }
}

impl Parameter {
    fn new(details: &Value, language: Language) -> Self {
        let Some(named) = details["type"].as_str() else {
            return Self { named: String::new(), kind: Err("KeyError: 'type'".to_owned()), nested: Nested::None };
        };
        let look_up = |name: &str| kind_named(name, language).ok_or_else(|| format!("KeyError: '{name}'"));
        let has_elements = match language {
            Language::Python => matches!(named, "array" | "tuple"),
            Language::Java => matches!(named, "Array" | "ArrayList"),
            Language::JavaScript => named == "array",
        };
        let nested = if has_elements {
            let items = details.get("items").ok_or_else(|| "KeyError: 'items'".to_owned());
            let element = items.and_then(|items| items["type"].as_str().ok_or_else(|| "KeyError: 'type'".to_owned()));
            match element.and_then(|element| Ok((element.to_owned(), look_up(element)?))) {
                Ok((name, kind)) => Nested::Some(name, kind),
                Err(exception) => Nested::Raises(exception),
            }
        } else {
            Nested::None
        };
        Self { named: named.to_owned(), kind: look_up(named), nested }
    }
}

impl Accepted {
    fn new(values: &Value) -> Self {
        let values: Vec<PyValue> = values.as_array().into_iter().flatten().map(PyValue::from).collect();
        let first_kind = values.iter().find(|value| value.as_str() != Some("")).map(Kind::of);
        Self {
            first_kind,
            optional: values.iter().any(|value| value.as_str() == Some("")),
            texts: values.iter().filter_map(PyValue::as_str).map(standardised).collect(),
            lists: values.iter().map(standardised_list).collect(),
            dicts: values.iter().map(Allowed::new).collect(),
            values,
        }
    }
}

/// What the list rule makes of an accepted value: texts are taken as lists of letters.
pub(super) fn standardised_list(value: &PyValue) -> Result<Vec<PyValue>, String> {
    match value {
        PyValue::List(items) => Ok(items.iter().map(standardised_value).collect()),
        PyValue::Str(text) => {
            Ok(text.chars().map(|letter| PyValue::Str(standardised(letter.encode_utf8(&mut [0; 4])))).collect())
        }
        PyValue::Dict(entries) if entries.is_empty() => Ok(Vec::new()),
        // Asked by place: keys of JSON are texts, so there is no key 0.
        PyValue::Dict(_) => Err("KeyError: 0".to_owned()),
        other => Err(format!("TypeError: object of type '{}' has no len()", other.type_name())),
    }
}

/// A text standardised, anything else as it is.
fn standardised_value(value: &PyValue) -> PyValue {
    match value {
        PyValue::Str(text) => PyValue::Str(standardised(text)),
        other => other.clone(),
    }
}
