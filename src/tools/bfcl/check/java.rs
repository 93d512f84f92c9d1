//! What Java source text converts to: numbers, truth values, `new T[]{…}`, lists and maps. Text that does not fit its
//! type stays text.
//!
//! Source: `bfcl-eval` 2026.3.23, `type_convertor/java_type_converter.py`.

use std::sync::LazyLock;

use regex::Regex;

use crate::tools::python::{
    PyDict, PyValue,
    characters::{decimal, strip},
    parse_float, parse_int,
};

/// Converts a source text; the error is the exception that the official converter raises.
///
/// `fair` splits elements outside quotes only and takes their quotes away, whatever their type.
pub(super) fn convert(source: &str, kind: &str, nested: Option<&str>, fair: bool) -> Result<PyValue, String> {
    let text = || PyValue::from(source);
    Ok(match kind {
        "byte" | "short" | "integer" if is_whole(source) => whole(source)?,
        "float" => match source.strip_suffix(['f', 'F']).filter(|number| is_real(number, true)) {
            Some(number) => real(number),
            None => text(),
        },
        "double" if is_real(source, true) => real(source),
        "long" => match source.strip_suffix(['l', 'L']).filter(|number| is_whole(number)) {
            Some(number) => whole(number)?,
            None => text(),
        },
        "boolean" if matches!(source, "true" | "false") => PyValue::Bool(source == "true"),
        "byte" | "short" | "integer" | "double" | "boolean" | "char" | "String" | "any" => text(),
        "Array" => array(source, nested, fair)?,
        "ArrayList" => array_list(source, nested, fair)?,
        "HashMap" => hash_map(source)?,
        "Set" | "Hashtable" => return Err("NotImplementedError: Set conversion is not implemented".to_owned()),
        "Queue" | "Stack" => return Err(format!("NotImplementedError: {kind} conversion is not implemented")),
        other => return Err(format!("ValueError: Unsupported type: {other}")),
    })
}

/// `-?\d+`
pub(super) fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.chars().all(|digit| decimal(digit).is_some())
}

/// `-?\d+(\.\d+)?`, and an exponent where one may be.
pub(super) fn is_real(text: &str, exponent: bool) -> bool {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|digit| decimal(digit).is_some());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, power) = match text.find(['e', 'E']).filter(|_| exponent) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    };
    let (before, behind) = match mantissa.split_once('.') {
        Some((before, behind)) => (before, Some(behind)),
        None => (mantissa, None),
    };
    digits(before)
        && behind.is_none_or(digits)
        && power.is_none_or(|power| digits(power.strip_prefix(['+', '-']).unwrap_or(power)))
}

fn whole(text: &str) -> Result<PyValue, String> {
    parse_int(text).ok_or_else(|| "ValueError: Exceeds the limit for integer string conversion".to_owned())
}

fn real(text: &str) -> PyValue {
    parse_float(text).map_or_else(|| PyValue::from(text), PyValue::Float)
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are right")
}

/// Without the first and the last character, whatever they are.
fn inner(text: &str) -> PyValue {
    let mut characters = text.chars();
    characters.next();
    characters.next_back();
    PyValue::from(characters.as_str())
}

fn element(text: &str, nested: Option<&str>, fair: bool) -> Result<PyValue, String> {
    match nested {
        Some("char" | "String") if !fair => Ok(inner(text)),
        other => array_element(text, other, fair),
    }
}

fn array_element(text: &str, nested: Option<&str>, fair: bool) -> Result<PyValue, String> {
    let quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    match nested.filter(|nested| !nested.is_empty()) {
        Some("char" | "String" | "any") if fair && (quoted('"') || quoted('\'')) => Ok(inner(text)),
        Some(nested) => convert(text, nested, None, fair),
        None => Ok(value(text)),
    }
}

/// The elements of a list: split at commas, officially whatever quotes say.
pub(super) fn split(text: &str, fair: bool) -> Vec<&str> {
    if !fair {
        return text.split(',').collect();
    }
    let mut parts = Vec::new();
    let (mut start, mut quote, mut escaped) = (0, None, false);
    for (place, letter) in text.char_indices() {
        match (quote, letter) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), letter) if open == letter => quote = None,
            (None, '"' | '\'') => quote = Some(letter),
            (None, ',') => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn array_list(source: &str, nested: Option<&str>, fair: bool) -> Result<PyValue, String> {
    static AS_LIST: LazyLock<Regex> = LazyLock::new(|| pattern(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)"));
    static ADDED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)new\s+ArrayList<\w*>\(\)\s*\{\{\s*(.+?)\s*\}\}"));
    static ADD: LazyLock<Regex> = LazyLock::new(|| pattern(r"add\((.+?)\)"));
    static EMPTY: LazyLock<Regex> = LazyLock::new(|| pattern(r"new\s+ArrayList<\w*>\(\)"));
    if let Some(found) = AS_LIST.captures(source) {
        let elements = split(found.get(1).map_or("", |group| group.as_str()), fair);
        return elements.into_iter().map(|text| element(strip(text), nested, fair)).collect();
    }
    if let Some(found) = ADDED.captures(source) {
        return ADD.captures_iter(&found[1]).map(|added| element(strip(&added[1]), nested, fair)).collect();
    }
    Ok(if EMPTY.is_match(source) { PyValue::List(Vec::new()) } else { PyValue::from(source) })
}

fn array(source: &str, nested: Option<&str>, fair: bool) -> Result<PyValue, String> {
    static ARRAY: LazyLock<Regex> = LazyLock::new(|| pattern(r"new\s+\w+\[\]\s*\{(.*?)\}"));
    let Some(found) = ARRAY.captures(source) else { return Ok(PyValue::from(source)) };
    let elements = split(found.get(1).map_or("", |group| group.as_str()), fair);
    let elements = elements.into_iter().map(strip).filter(|text| !text.is_empty());
    elements.map(|text| array_element(text, nested, fair)).collect()
}

fn hash_map(source: &str) -> Result<PyValue, String> {
    static FILLED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?s)new\s+HashMap<.*?>\s*\(\)\s*\{\s*\{?\s*(.*?)\s*\}?\s*\}"));
    static PUT: LazyLock<Regex> = LazyLock::new(|| pattern(r#"put\("(.*?)",\s*(.*?)\)"#));
    static EMPTY: LazyLock<Regex> = LazyLock::new(|| pattern(r"new\s+HashMap<.*?>\s*\(\)"));
    if let Some(found) = FILLED.captures(source) {
        let entries = PUT.captures_iter(&found[1]);
        let entries = entries.map(|put| (PyValue::from(&put[1]), value(strip(&put[2])))).collect::<PyDict>();
        return Ok(PyValue::Dict(entries));
    }
    Ok(if EMPTY.is_match(source) { PyValue::Dict(PyDict::new()) } else { PyValue::from(source) })
}

/// A value whose type nobody says.
fn value(text: &str) -> PyValue {
    let number = |suffix: &[char], fits: fn(&str) -> bool| text.strip_suffix(suffix).filter(|number| fits(number));
    match text {
        "true" => PyValue::Bool(true),
        "false" => PyValue::Bool(false),
        _ if text.starts_with('"') && text.ends_with('"') => inner(text),
        _ => {
            if let Some(long) = number(&['l', 'L'], is_whole).and_then(parse_int) {
                return long;
            }
            if let Some(float) = number(&['f', 'F'], |text| is_real(text, true)) {
                return real(float);
            }
            parse_int(text).or_else(|| parse_float(text).map(PyValue::Float)).unwrap_or_else(|| PyValue::from(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::python::repr;

    #[test]
    fn sources_convert_as_officially() {
        let converted = |source, kind, nested| convert(source, kind, nested, false).map(|value| repr(&value));
        let cases = [
            ("-12", "integer", None, "-12"),
            ("12L", "integer", None, "'12L'"),
            ("12L", "long", None, "12"),
            ("3e-3F", "float", None, "0.003"),
            ("3.14", "float", None, "'3.14'"),
            ("true", "boolean", None, "True"),
            ("new int[]{1, 2, 3}", "Array", Some("integer"), "[1, 2, 3]"),
            ("new String[]{\"a\"}", "Array", Some("String"), "['\"a\"']"),
            ("new ArrayList<>(Arrays.asList(\"a\", \"b\"))", "ArrayList", Some("String"), "['a', 'b']"),
            ("new ArrayList<Float>() {{ add(1.0f); add(2.5f); }}", "ArrayList", Some("float"), "[1.0, 2.5]"),
            ("new ArrayList<>()", "ArrayList", Some("any"), "[]"),
            (
                "new HashMap<String, Object>() {{ put(\"k\", 1); put(\"l\", true); }}",
                "HashMap",
                None,
                "{'k': 1, 'l': True}",
            ),
            ("new HashMap<>()", "HashMap", None, "{}"),
            ("list", "ArrayList", Some("String"), "'list'"),
        ];
        for (source, kind, nested, expected) in cases {
            assert_eq!(converted(source, kind, nested).as_deref(), Ok(expected), "{source} as {kind}");
        }
        assert!(converted("x", "Queue", None).is_err());
    }
}
