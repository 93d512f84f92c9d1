//! What JavaScript source text converts to: numbers, truth values, arrays and objects. Text that does not fit its type
//! stays text. Elements are split at commas, whatever quotes say, as officially.
//!
//! Source: `bfcl-eval` 2026.3.23, `type_convertor/js_type_converter.py`.

use std::sync::LazyLock;

use regex::Regex;

use super::java::{is_real, is_whole, split};
use crate::tools::python::{
    PyDict, PyValue,
    characters::{is_space, strip},
    parse_float, parse_int,
};

/// Objects in objects are followed as far.
const MAX_DEPTH: usize = 64;

/// Converts a source text; the error is the exception that the official converter raises.
///
/// `fair` splits elements outside quotes only.
pub(super) fn convert(source: &str, kind: &str, nested: Option<&str>, fair: bool) -> Result<PyValue, String> {
    let text = || PyValue::from(source);
    Ok(match kind {
        "String" => PyValue::from(unquoted(source).unwrap_or(source)),
        "integer" if is_whole(source) => whole(source)?,
        "float" if is_real(source, false) => parse_float(source).map_or_else(text, PyValue::Float),
        "Bigint" => match source.strip_suffix('n').filter(|number| is_whole(number)) {
            Some(number) => whole(number)?,
            None => text(),
        },
        "Boolean" if matches!(source, "true" | "false") => PyValue::Bool(source == "true"),
        "integer" | "float" | "Boolean" | "any" => text(),
        "dict" => object(source, 0),
        "array" => array(source, nested, fair, 0),
        other => return Err(format!("ValueError: Unsupported type: {other}")),
    })
}

fn whole(text: &str) -> Result<PyValue, String> {
    parse_int(text).ok_or_else(|| "ValueError: Exceeds the limit for integer string conversion".to_owned())
}

/// What stands between equal quotes; one quote alone is both.
fn unquoted(text: &str) -> Option<&str> {
    let quoted = |quote: char| text.starts_with(quote) && text.ends_with(quote);
    (quoted('"') || quoted('\'')).then(|| if text.len() > 1 { &text[1..text.len() - 1] } else { "" })
}

fn array(source: &str, nested: Option<&str>, fair: bool, depth: usize) -> PyValue {
    static ROWS: LazyLock<Regex> = LazyLock::new(|| {
        let rows = r"\s*\[.*?\]\s*(?:,\s*\[.*?\]\s*)*";
        Regex::new(&format!(r"^(?:\[{rows}\]|\bnew\s+Array\({rows}\))")).expect("the pattern is right")
    });
    static NEW_ARRAY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^new\s+Array\(").expect("the pattern is right"));
    let code = strip(source);
    if let Some(rows) = ROWS.find(code) {
        return rows_of(rows.as_str());
    }
    let (open, close) = match NEW_ARRAY.find(code) {
        Some(found) => (found.end(), ')'),
        None if code.starts_with('[') => (1, ']'),
        None => return PyValue::from(code),
    };
    let Some(inner) = up_to(&code[open..], close) else { return PyValue::from(code) };
    let inner = strip(inner);
    if inner.is_empty() {
        return PyValue::List(Vec::new());
    }
    let elements: Result<Vec<PyValue>, String> = split(inner, fair)
        .into_iter()
        .map(|element| {
            let element = strip(element);
            match nested.filter(|nested| !nested.is_empty()) {
                None => Ok(value(element)),
                Some("dict") if depth < MAX_DEPTH => Ok(object(element, depth + 1)),
                Some("array") if depth < MAX_DEPTH => {
                    let texts = element.starts_with(['\'', '"']).then_some("String");
                    Ok(array(element, texts, fair, depth + 1))
                }
                Some(nested) => convert(element, nested, None, fair),
            }
        })
        .collect();
    elements.map_or_else(|_| PyValue::from(code), PyValue::List)
}

/// The text before the first closing sign, if that comes on the same line.
fn up_to(text: &str, close: char) -> Option<&str> {
    let end = text.find([close, '\n'])?;
    text[end..].starts_with(close).then(|| &text[..end])
}

/// An array of arrays: what stands between each `[` and the next `]`.
fn rows_of(text: &str) -> PyValue {
    let mut rows = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('[') {
        rest = &rest[open + 1..];
        let Some(row) = up_to(rest, ']') else { continue };
        rest = &rest[row.len() + 1..];
        let mut row = strip(row);
        if rows.is_empty() {
            row = row.strip_prefix('[').unwrap_or(row);
        }
        rows.push(row.split(',').map(|element| value(strip(element))).collect());
    }
    PyValue::List(rows)
}

fn object(source: &str, depth: usize) -> PyValue {
    let code = strip(source);
    if code == "{}" {
        return PyValue::Dict(PyDict::new());
    }
    let Some(content) = code.strip_prefix('{').and_then(|inner| up_to(inner, '}')) else {
        return PyValue::from(code);
    };
    let quotes = ['\'', '"'];
    let mut entries = PyDict::new();
    for (key, text) in pairs(content) {
        let key = PyValue::from(strip(key).trim_matches(quotes));
        let text = strip(text);
        let value = if depth >= MAX_DEPTH {
            PyValue::from(text)
        } else if text.starts_with('[') && text.ends_with(']') {
            array(text, None, false, depth + 1)
        } else if text.starts_with('{') && text.ends_with('}') {
            object(text, depth + 1)
        } else {
            value(text.trim_matches(quotes))
        };
        entries.insert(key, value);
    }
    PyValue::Dict(entries)
}

/// Keys and values: what the official pattern `([^:]+):\s*(.*?)(?:,\s*(?=[^,]+:)|$)` finds one after another.
fn pairs(content: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(colon) = content[start..].find(':').map(|place| start + place) {
        if colon == start {
            start += 1;
            continue;
        }
        let behind = &content[colon + 1..];
        let value_start = content.len() - behind.trim_start_matches(is_space).len();
        match value_end(content, value_start) {
            Some((end, next)) => {
                found.push((&content[start..colon], &content[value_start..end]));
                start = next;
            }
            None => start = colon + 1,
        }
    }
    found
}

/// Where a value ends and where the next key may begin: at a comma that a colon follows before the next comma, or at
/// the end.
fn value_end(content: &str, start: usize) -> Option<(usize, usize)> {
    for (offset, letter) in content[start..].char_indices() {
        let at = start + offset;
        if letter == ',' {
            let rest = &content[at + 1..];
            let segment = &rest[..rest.find(',').unwrap_or(rest.len())];
            let blank = segment.len() - segment.trim_start_matches(is_space).len();
            let colon = |from: &str| from.char_indices().skip(1).any(|(_, letter)| letter == ':');
            // Fewer blanks are skipped if only so a colon is left that something precedes.
            if colon(&segment[blank..]) {
                return Some((at, at + 1 + blank));
            }
            if blank > 0 && segment[blank..].starts_with(':') {
                let last = segment[..blank].char_indices().next_back().map_or(0, |(place, _)| place);
                return Some((at, at + 1 + last));
            }
        }
        if letter == '\n' {
            return (at + 1 == content.len()).then_some((at, at));
        }
    }
    Some((content.len(), content.len()))
}

/// A value whose type nobody says.
fn value(text: &str) -> PyValue {
    let text = strip(text);
    match text {
        "true" => PyValue::Bool(true),
        "false" => PyValue::Bool(false),
        _ => match unquoted(text) {
            Some(inner) => PyValue::from(inner),
            None => {
                parse_int(text).or_else(|| parse_float(text).map(PyValue::Float)).unwrap_or_else(|| PyValue::from(text))
            }
        },
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
            ("3.14", "float", None, "3.14"),
            ("3e2", "float", None, "'3e2'"),
            ("123n", "Bigint", None, "123"),
            ("true", "Boolean", None, "True"),
            ("\"x\"", "String", None, "'x'"),
            ("[1, 'two', true]", "array", None, "[1, 'two', True]"),
            ("new Array(3.14, \"pi\", false)", "array", None, "[3.14, 'pi', False]"),
            ("[\"a, b\"]", "array", Some("String"), "['\"a', 'b\"']"),
            (" [ [ 1, 2 ], [ 3,   4], [5, 6]]", "array", Some("array"), "[[1, 2], [3, 4], [5, 6]]"),
            ("[{\"k\": 1}, {\"l\": 2}]", "array", Some("dict"), "[{'k': 1}, {'l': 2}]"),
            ("{'a': 1, \"b\": [\"x\", \"y\"], c: true}", "dict", None, "{'a': 1, 'b': ['x', 'y'], 'c': True}"),
            ("{}", "dict", None, "{}"),
            ("f(x)", "dict", None, "'f(x)'"),
        ];
        for (source, kind, nested, expected) in cases {
            assert_eq!(converted(source, kind, nested).as_deref(), Ok(expected), "{source} as {kind}");
        }
    }
}
