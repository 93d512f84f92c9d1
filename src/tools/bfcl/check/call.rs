//! One call against one expected call, in the official order: name, required parameters, each argument, what is missing.

use super::{
    Checked, Words, java, javascript,
    prepared::Expected,
    types::{self, Kind, Nested},
    values,
};
use crate::tools::{
    bfcl::{category::Language, verdict::ErrorType},
    python::{Call, PyValue, repr, repr_str},
};

pub(super) fn check(expected: &Expected, call: &Call, words: Words) -> Checked {
    let document = expected.document.as_ref().map_err(|exception| words.raised(exception))?;
    if call.name != document.name {
        return Err(words.failure(ErrorType::WrongFuncName, || {
            format!("Function name {} not found in model output.", repr_str(&document.name))
        }));
    }
    for name in &document.required {
        if call.arguments.get_str(name).is_none() {
            return Err(words
                .failure(ErrorType::MissingRequired, || format!("Missing required parameter: {}.", repr_str(name))));
        }
    }
    for (key, value) in call.arguments.iter() {
        argument(expected, key, value, words)?;
    }
    for (name, accepted) in &expected.accepted {
        if !accepted.optional && call.arguments.get_str(name).is_none() {
            return Err(words.failure(ErrorType::MissingOptional, || {
                format!("Optional parameter {} not provided and not marked as optional.", repr_str(name))
            }));
        }
    }
    Ok(())
}

fn find<'a, T>(entries: &'a [(String, T)], name: &str) -> Option<&'a T> {
    entries.iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

fn argument(expected: &Expected, key: &PyValue, value: &PyValue, words: Words) -> Checked {
    let document = expected.document.as_ref().map_err(|exception| words.raised(exception))?;
    let known = key.as_str().and_then(|name| {
        let parameter = find(&document.parameters, name)?;
        Some((name, parameter, find(&expected.accepted, name)?))
    });
    let Some((name, parameter, accepted)) = known else {
        return Err(words.failure(ErrorType::UnexpectedParam, || format!("Unexpected parameter: {}.", repr(key))));
    };
    let kind = *parameter.kind.as_ref().map_err(|exception| words.raised(exception))?;
    let converted = match expected.language {
        Language::Python => {
            if let Nested::Raises(exception) = &parameter.nested {
                return Err(words.raised(exception));
            }
            match (parameter.named.as_str(), value) {
                ("tuple", PyValue::Tuple(items)) => Some(PyValue::List(items.clone())),
                ("float", PyValue::Int(_) | PyValue::Big(_)) => match value.to_float() {
                    Some(number) => Some(PyValue::Float(number)),
                    None => return Err(words.raised("OverflowError: int too large to convert to float")),
                },
                _ => None,
            }
        }
        Language::Java | Language::JavaScript => {
            let java = expected.language == Language::Java;
            let failure = if java { ErrorType::TypeJava } else { ErrorType::TypeJavaScript };
            types::check_source(name, value, failure, words)?;
            let nested = match &parameter.nested {
                Nested::None => None,
                Nested::Some(nested, _) => Some(nested.as_str()),
                Nested::Raises(exception) => return Err(words.raised(exception)),
            };
            let source = value.as_str().unwrap_or_default();
            let converted = if java {
                java::convert(source, &parameter.named, nested, expected.fair)
            } else {
                javascript::convert(source, &parameter.named, nested, expected.fair)
            };
            Some(converted.map_err(|exception| words.raised(&exception))?)
        }
    };
    let value = converted.as_ref().unwrap_or(value);
    let variable = types::check(name, value, accepted, parameter, kind, words)?;
    if !variable {
        match (kind, &parameter.nested) {
            (Kind::Dict, _) => return values::check_dict(value, accepted, words),
            (Kind::List, Nested::Some(_, Kind::Dict)) => return values::check_list_of_dicts(value, accepted, words),
            (Kind::Str, _) => return values::check_text(name, value, accepted, words),
            (Kind::List, _) => return values::check_list(name, value, accepted, words),
            _ => {}
        }
    }
    values::check_other(name, value, accepted, words)
}
