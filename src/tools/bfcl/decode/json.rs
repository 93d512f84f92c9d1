//! Calls as JSON: `[{"function": name, "parameters": {…}}, …]`.
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/parser/json_parser.py`.

use super::Decoded;
use crate::tools::python::{Call, CallsError, LoadsError, PyValue, characters::is_space, loads, repr};

/// Decodes JSON. What is no JSON is an empty list, as officially.
pub(super) fn decode(source: &str) -> Result<Decoded, CallsError> {
    let source = match (source.find('['), source.rfind(']')) {
        (Some(open), Some(close)) if open < close => &source[open..=close],
        _ => source,
    };
    let source = objects(source).unwrap_or(source);
    let value = match loads(source) {
        Ok(value) => value,
        Err(LoadsError::Json { .. }) => return Ok(Decoded::Calls(Vec::new())),
        Err(error @ LoadsError::Depth) => return Err(CallsError::new("RecursionError", error.to_string())),
        Err(error) => return Err(CallsError::new("ValueError", error.to_string())),
    };
    let items = match value {
        PyValue::List(items) => items,
        // Iterating a dict gives keys, iterating a text letters: never dicts.
        PyValue::Dict(_) | PyValue::Str(_) => Vec::new(),
        other => {
            let message = format!("'{}' object is not iterable", other.type_name());
            return Err(CallsError::new("TypeError", message));
        }
    };
    let mut calls = Vec::new();
    let mut others = Vec::new();
    for item in &items {
        let Some(entries) = item.as_dict() else { continue };
        let field =
            |name: &str| entries.get_str(name).ok_or_else(|| CallsError::new("KeyError", repr(&PyValue::from(name))));
        let (name, parameters) = (field("function")?, field("parameters")?);
        match (name, parameters) {
            (PyValue::Str(name), PyValue::Dict(arguments)) if others.is_empty() => {
                calls.push(Call { name: name.clone(), arguments: arguments.clone() });
            }
            (name, parameters) => {
                if !name.is_hashable() {
                    return Err(CallsError::new("TypeError", format!("unhashable type: '{}'", name.type_name())));
                }
                others.extend(calls.drain(..).map(|call| call.to_python()));
                others.push(PyValue::dict(std::iter::once((name.clone(), parameters.clone())).collect()));
            }
        }
    }
    if others.is_empty() { Ok(Decoded::Calls(calls)) } else { Ok(Decoded::Other(PyValue::List(others))) }
}

/// The part that the official pattern `\[\s*{.*?}\s*(?:,\s*{.*?}\s*)*\]` finds, `.` being anything.
///
/// The pattern tries shorter objects first and more of them before fewer. Whether the rest of the pattern matches behind
/// a `}`, and where that match ends, depends on the place only, so it is computed once per place, from the right.
fn objects(source: &str) -> Option<&str> {
    let skip =
        |from: usize| from + source[from..].find(|character| !is_space(character)).unwrap_or(source.len() - from);
    let start =
        source.match_indices('[').map(|(place, _)| place).find(|open| source[skip(open + 1)..].starts_with('{'))?;
    // Ends of matches behind each `}`, by falling place; `None` where there is none.
    let mut ends: Vec<(usize, usize)> = Vec::new();
    let next = |ends: &[(usize, usize)], from: usize| {
        let count = ends.partition_point(|(place, _)| *place >= from);
        count.checked_sub(1).map(|index| ends[index].1)
    };
    for (place, _) in source.rmatch_indices('}') {
        let behind = skip(place + 1);
        let more = source[behind..].strip_prefix(',').and_then(|_| {
            let object = skip(behind + 1);
            source[object..].starts_with('{').then(|| next(&ends, object + 1)).flatten()
        });
        let end = more.or_else(|| source[behind..].starts_with(']').then_some(behind + 1));
        if let Some(end) = end {
            ends.push((place, end));
        }
    }
    let first = skip(start + 1) + 1;
    next(&ends, first).map(|end| &source[start..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_official_pattern_is_followed() {
        let cases = [
            ("[json\n[{\"a\": [{}]}]]", Some("[{\"a\": [{}]")),
            ("[1, 2]", None),
            ("[ {x}, {y} ] {z}]", Some("[ {x}, {y} ]")),
            ("[{a}] and [{b}]", Some("[{a}]")),
            ("[{a}, {b} c} ] ]", Some("[{a}, {b} c} ]")),
            ("[{a}", None),
        ];
        for (source, expected) in cases {
            assert_eq!(objects(source), expected, "{source}");
        }
    }
}
