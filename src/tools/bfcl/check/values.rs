//! Values: texts compared loosely, lists in order, dicts key by key.

use super::{
    Checked, Failure, Words,
    prepared::{Accepted, standardised_list},
};
use crate::tools::{
    bfcl::verdict::ErrorType,
    python::{PyValue, repr, repr_str},
};

/// Returns a text without blanks and the signs `, . / - _ * ^`, in lower case, with double quotes for single ones.
pub(super) fn standardised(text: &str) -> String {
    let dropped = |letter: char| matches!(letter, ' ' | ',' | '.' | '/' | '-' | '_' | '*' | '^');
    if text.is_ascii() {
        let kept = text.chars().filter(|letter| !dropped(*letter));
        return kept.map(|letter| if letter == '\'' { '"' } else { letter.to_ascii_lowercase() }).collect();
    }
    let kept: String = text.chars().filter(|letter| !dropped(*letter)).collect();
    kept.to_lowercase().replace('\'', "\"")
}

/// Whether a text is, standardised, the same as a standardised one.
fn is_standardised(text: &str, other: &str) -> bool {
    if !text.is_ascii() {
        return standardised(text) == other;
    }
    let mut expected = other.bytes();
    for byte in text.bytes() {
        let byte = match byte {
            b' ' | b',' | b'.' | b'/' | b'-' | b'_' | b'*' | b'^' => continue,
            b'\'' => b'"',
            byte => byte.to_ascii_lowercase(),
        };
        if expected.next() != Some(byte) {
            return false;
        }
    }
    expected.next().is_none()
}

fn accepted_list(accepted: &Accepted) -> String {
    let mut text = String::from("[");
    for (place, value) in accepted.values.iter().enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        crate::tools::python::write_repr(&mut text, value);
    }
    text.push(']');
    text
}

fn invalid(name: &str, value: &PyValue, accepted: &Accepted, more: &str) -> String {
    let (name, value, accepted) = (repr_str(name), repr(value), accepted_list(accepted));
    format!("Invalid value for parameter {name}: {value}. Expected one of {accepted}.{more}")
}

pub(super) fn check_text(name: &str, value: &PyValue, accepted: &Accepted, words: Words) -> Checked {
    let text = value.as_str().unwrap_or_default();
    if accepted.texts.iter().any(|other| is_standardised(text, other)) {
        return Ok(());
    }
    Err(words.failure(ErrorType::ValueString, || invalid(name, value, accepted, " Case insensitive.")))
}

/// Whether an element equals a standardised one: texts loosely, all else plainly.
fn element_fits(item: &PyValue, other: &PyValue) -> bool {
    match (item, other) {
        (PyValue::Str(item), PyValue::Str(other)) => is_standardised(item, other),
        (item, other) => item == other,
    }
}

pub(super) fn check_list(name: &str, value: &PyValue, accepted: &Accepted, words: Words) -> Checked {
    let items = value.as_list().unwrap_or_default();
    let mut found = false;
    for list in &accepted.lists {
        let list = list.as_ref().map_err(|exception| words.raised(exception))?;
        found |= items.len() == list.len() && items.iter().zip(list).all(|(item, other)| element_fits(item, other));
    }
    if found {
        return Ok(());
    }
    Err(words.failure(ErrorType::ValueList, || invalid(name, value, accepted, "")))
}

pub(super) fn check_other(name: &str, value: &PyValue, accepted: &Accepted, words: Words) -> Checked {
    if accepted.values.contains(value) {
        return Ok(());
    }
    Err(words.failure(ErrorType::ValueOthers, || invalid(name, value, accepted, "")))
}

/// An entry of an accepted dict: key, accepted values, whether the key may be left out; or what the official rule raises.
pub(in crate::tools::bfcl) type AllowedEntry = (String, Result<Vec<PyValue>, String>, Result<bool, String>);

/// An accepted value as the rules for dicts see it.
#[derive(Debug)]
pub(in crate::tools::bfcl) enum Allowed {
    /// `""`: nothing is compared.
    Omission,
    /// A dict: key, accepted values (standardised), whether the key may be left out.
    Dict(Vec<AllowedEntry>),
    /// A list of such.
    List(Vec<Allowed>),
    /// Something that the official rule raises at; how long it is taken for, if it has a length.
    Wrong(Option<usize>, String),
}

impl Allowed {
    pub fn new(value: &PyValue) -> Self {
        match value {
            PyValue::Str(text) if text.is_empty() => Self::Omission,
            PyValue::Dict(entries) => Self::Dict(
                entries
                    .iter()
                    .map(|(key, values)| {
                        let key = key.as_str().unwrap_or_default().to_owned();
                        (key, standardised_list(values), has_omission(values))
                    })
                    .collect(),
            ),
            PyValue::List(items) => Self::List(items.iter().map(Self::new).collect()),
            other => {
                let length = other.as_str().map(|text| text.chars().count());
                let message = format!("AttributeError: '{}' object has no attribute 'items'", other.type_name());
                Self::Wrong(length, message)
            }
        }
    }
}

fn has_omission(values: &PyValue) -> Result<bool, String> {
    match values {
        PyValue::List(items) => Ok(items.iter().any(|item| item.as_str() == Some(""))),
        // The empty text is in every text.
        PyValue::Str(_) => Ok(true),
        PyValue::Dict(entries) => Ok(entries.get_str("").is_some()),
        other => Err(format!("TypeError: argument of type '{}' is not iterable", other.type_name())),
    }
}

pub(super) fn check_dict(value: &PyValue, accepted: &Accepted, words: Words) -> Checked {
    dict_among(value, &accepted.dicts, words)
}

/// Tries each; the last one's failure is told.
fn dict_among(value: &PyValue, allowed: &[Allowed], words: Words) -> Checked {
    let mut last = Failure { kind: ErrorType::DictUnclear, error: Vec::new() };
    for allowed in allowed {
        if matches!(allowed, Allowed::Omission) {
            continue;
        }
        match dict_fits(value, allowed, words) {
            Ok(()) => return Ok(()),
            Err(failure) if failure.kind == ErrorType::CheckerRaised => return Err(failure),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn dict_fits(value: &PyValue, allowed: &Allowed, words: Words) -> Checked {
    let Some(entries) = value.as_dict() else {
        let exception = format!("AttributeError: '{}' object has no attribute 'items'", value.type_name());
        return Err(words.raised(&exception));
    };
    let allowed = match allowed {
        Allowed::Dict(allowed) => allowed,
        Allowed::Wrong(_, exception) => return Err(words.raised(exception)),
        Allowed::List(_) => return Err(words.raised("AttributeError: 'list' object has no attribute 'items'")),
        Allowed::Omission => return Err(words.raised("AttributeError: 'str' object has no attribute 'items'")),
    };
    let mut failure: Option<Failure> = None;
    for (key, value) in entries.iter() {
        let name = key.as_str();
        let Some((_, values, _)) = allowed.iter().find(|(other, ..)| name == Some(other.as_str())) else {
            failure = Some(words.failure(ErrorType::ValueDictKey, || {
                format!("Unexpected dict key parameter: '{}'.", crate::tools::python::to_str(key))
            }));
            break;
        };
        let values = values.as_ref().map_err(|exception| words.raised(exception))?;
        if !values.iter().any(|other| element_fits(value, other)) {
            failure = Some(words.failure(ErrorType::ValueDictValue, || {
                let expected: PyValue = values.iter().cloned().collect();
                let (key, value, expected) = (repr(key), repr(value), repr(&expected));
                format!("Invalid value for parameter {key}: {value}. Expected one of {expected}.")
            }));
            break;
        }
    }
    for (key, _, optional) in allowed {
        if entries.get_str(key).is_some() {
            continue;
        }
        if !*optional.as_ref().map_err(|exception| words.raised(exception))? {
            let mut missing =
                words.failure(ErrorType::ValueDictKey, || format!("Missing dict key parameter: '{key}'."));
            if let Some(mut before) = failure {
                before.error.append(&mut missing.error);
                missing.error = before.error;
            }
            return Err(missing);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// A list of dicts: as many, each accepted, in order. The last accepted value's failure is told.
pub(super) fn check_list_of_dicts(value: &PyValue, accepted: &Accepted, words: Words) -> Checked {
    let items = value.as_list().unwrap_or_default();
    let mut last = Failure { kind: ErrorType::ListDictUnclear, error: Vec::new() };
    for (allowed, original) in accepted.dicts.iter().zip(&accepted.values) {
        let length = match allowed {
            Allowed::Omission => 0,
            Allowed::List(allowed) => allowed.len(),
            Allowed::Dict(entries) => entries.len(),
            Allowed::Wrong(Some(length), _) => *length,
            Allowed::Wrong(None, _) => {
                let kind = original.type_name();
                return Err(words.raised(&format!("TypeError: object of type '{kind}' has no len()")));
            }
        };
        if items.len() != length {
            let kind = ErrorType::ValueListDictCount;
            last = words.failure(kind, || "Wrong number of dictionaries in the list.".to_owned());
            continue;
        }
        let elements = match allowed {
            Allowed::List(allowed) => &allowed[..],
            Allowed::Dict(_) if length > 0 => return Err(words.raised("KeyError: 0")),
            Allowed::Wrong(_, exception) if length > 0 => return Err(words.raised(exception)),
            _ => &[],
        };
        let mut fits = true;
        for (item, element) in items.iter().zip(elements) {
            match dict_among(item, std::slice::from_ref(element), words) {
                Ok(()) => {}
                Err(failure) if failure.kind == ErrorType::CheckerRaised => return Err(failure),
                Err(failure) => {
                    last = failure;
                    fits = false;
                    break;
                }
            }
        }
        if fits {
            return Ok(());
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_standardised_as_officially() {
        for text in ["April 1, 2024", "it's_a-test.", "İSTANBUL / ß", "100%^*"] {
            assert!(is_standardised(text, &standardised(text)), "{text}");
        }
        assert_eq!(standardised("It's 1,5 km/h"), "it\"s15kmh");
        assert!(!is_standardised("ab", "abc") && !is_standardised("abc", "ab"));
    }
}
