//! Types: the classes that documents name, and whether a value is of one.

use super::{
    Checked, Failure, Words,
    prepared::{Accepted, Parameter},
};
use crate::tools::{
    bfcl::{category::Language, verdict::ErrorType},
    python::{PyValue, repr, repr_str},
};

/// A class of Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tools::bfcl) enum Kind {
    None,
    Bool,
    Int,
    Float,
    Str,
    List,
    Dict,
    Set,
    /// `tuple`, `bytes`, `complex` …: no document and no answer names them.
    Other,
}

/// The type of a parameter's elements.
#[derive(Debug)]
pub(in crate::tools::bfcl) enum Nested {
    /// The type has no elements.
    None,
    /// Its name and its class.
    Some(String, Kind),
    /// Looking it up makes the official checker raise.
    Raises(String),
}

impl Kind {
    pub const fn of(value: &PyValue) -> Self {
        match value {
            PyValue::None => Self::None,
            PyValue::Bool(_) => Self::Bool,
            PyValue::Int(_) | PyValue::Big(_) => Self::Int,
            PyValue::Float(_) => Self::Float,
            PyValue::Str(_) => Self::Str,
            PyValue::List(_) => Self::List,
            PyValue::Dict(_) => Self::Dict,
            PyValue::Set(_) => Self::Set,
            PyValue::Tuple(_) | PyValue::Bytes(_) | PyValue::Complex(..) | PyValue::Ellipsis => Self::Other,
        }
    }

    const fn class(self) -> &'static str {
        match self {
            Self::None => "<class 'NoneType'>",
            Self::Bool => "<class 'bool'>",
            Self::Int => "<class 'int'>",
            Self::Float => "<class 'float'>",
            Self::Str => "<class 'str'>",
            Self::List => "<class 'list'>",
            Self::Dict => "<class 'dict'>",
            Self::Set => "<class 'set'>",
            Self::Other => "<class 'object'>",
        }
    }
}

/// Returns the class that a type's name stands for.
pub(super) fn kind_named(name: &str, language: Language) -> Option<Kind> {
    Some(match (language, name) {
        (Language::Python, "string" | "any") => Kind::Str,
        (Language::Python, "integer") => Kind::Int,
        (Language::Python, "float") => Kind::Float,
        (Language::Python, "boolean") => Kind::Bool,
        (Language::Python, "array" | "tuple") => Kind::List,
        (Language::Python, "dict") => Kind::Dict,
        (Language::Java, "byte" | "short" | "integer" | "long") => Kind::Int,
        (Language::Java, "float" | "double") => Kind::Float,
        (Language::Java, "boolean") => Kind::Bool,
        (Language::Java, "char" | "String" | "any") => Kind::Str,
        (Language::Java, "Array" | "ArrayList" | "Queue" | "Stack") => Kind::List,
        (Language::Java, "Set") => Kind::Set,
        (Language::Java, "HashMap" | "Hashtable") => Kind::Dict,
        (Language::JavaScript, "String" | "any") => Kind::Str,
        (Language::JavaScript, "integer" | "Bigint") => Kind::Int,
        (Language::JavaScript, "float") => Kind::Float,
        (Language::JavaScript, "Boolean") => Kind::Bool,
        (Language::JavaScript, "dict") => Kind::Dict,
        (Language::JavaScript, "array") => Kind::List,
        _ => return None,
    })
}

/// Checks a value's type. Returns whether the value is a variable: then it only has to equal an accepted value.
pub(super) fn check(
    name: &str,
    value: &PyValue,
    accepted: &Accepted,
    parameter: &Parameter,
    kind: Kind,
    words: Words,
) -> Result<bool, Failure> {
    let found = Kind::of(value);
    let variable = accepted.first_kind.is_some_and(|first| first != kind);
    let mut nested_failure = None;
    if found == kind {
        let Nested::Some(_, element) = &parameter.nested else {
            return Ok(variable);
        };
        if elements_fit(value, accepted, *element) {
            return Ok(variable);
        }
        nested_failure = Some(words.failure(ErrorType::TypeNested, || {
            format!(
                "Nested type checking failed for parameter {}. Expected outer type {} with inner type {}. Parameter \
                 value: {}.",
                repr_str(name),
                parameter.named,
                element.class(),
                repr(value)
            )
        }));
    }
    if accepted.first_kind == Some(found) && found != Kind::Other {
        return nested_failure.map_or(Ok(true), Err);
    }
    let mut failure = words.failure(ErrorType::TypeSimple, || {
        format!(
            "Incorrect type for parameter {}. Expected type {}, got {}. Parameter value: {}.",
            repr_str(name),
            parameter.named,
            value.type_name(),
            repr(value)
        )
    });
    if let Some(mut nested) = nested_failure {
        nested.error.append(&mut failure.error);
        failure.error = nested.error;
    }
    Err(failure)
}

/// Whether for some accepted value all elements are of the element type, or of the class of that value's first element
/// that is not `""`. An accepted value that is no list says nothing against them.
fn elements_fit(value: &PyValue, accepted: &Accepted, element: Kind) -> bool {
    let items = value.as_list().unwrap_or_default();
    accepted.values.iter().any(|accepted| {
        accepted.as_list().is_none_or(|accepted| {
            let first = accepted.iter().find(|value| value.as_str() != Some("")).map(Kind::of);
            items.iter().map(Kind::of).all(|found| found == element || (first == Some(found) && found != Kind::Other))
        })
    })
}

/// Java's and JavaScript's values arrive as source text.
pub(super) fn check_source(name: &str, value: &PyValue, kind: ErrorType, words: Words) -> Checked {
    if matches!(value, PyValue::Str(_)) {
        return Ok(());
    }
    Err(words.failure(kind, || {
        format!(
            "Incorrect type for parameter {}. Expected type String, got {}. Parameter value: {}.",
            repr_str(name),
            value.type_name(),
            repr(value)
        )
    }))
}
