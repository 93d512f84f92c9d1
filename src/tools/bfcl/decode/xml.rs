//! Calls as XML, in two forms:
//!
//! - verbose: `<functions><function name="…"><params><param name="…" value="…" type="…"/></params></function></functions>`
//! - concise: `<functions><function name="…"><param name="…" type="…">value</param></function></functions>`
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/parser/xml_parser.py`.

use super::{
    between,
    xml_text::{Element, read},
};
use crate::tools::python::{
    Call, CallsError, LiteralError, PyDict, PyValue, characters::strip, literal, parse_float, parse_int, repr_str,
};

/// Decodes XML of the verbose or the concise form.
pub(super) fn decode(source: &str, verbose: bool) -> Result<Vec<Call>, CallsError> {
    let Some(inner) = between(source, "<functions>", "</functions>") else {
        let message = format!("No XML function call found in input string: {source}. Missing <functions> tag.");
        return Err(CallsError::new("ValueError", message));
    };
    let root = read(&format!("<functions>{inner}</functions>"))?;
    root.all("function").map(|function| if verbose { verbose_call(function) } else { concise_call(function) }).collect()
}

fn required<'a>(element: &'a Element, name: &str) -> Result<&'a str, CallsError> {
    element.attribute(name).ok_or_else(|| CallsError::new("KeyError", repr_str(name)))
}

fn verbose_call(function: &Element) -> Result<Call, CallsError> {
    let name = required(function, "name")?.to_owned();
    let container = function.all("params").next().unwrap_or(function);
    let mut arguments = PyDict::new();
    for parameter in container.all("param") {
        let key = parameter.attribute("name").map_or(PyValue::None, PyValue::from);
        let value = parameter.attribute("value").unwrap_or("");
        let kind = parameter.attribute("type").unwrap_or("string");
        let value = typed(value, kind)?;
        arguments.insert(key, value);
    }
    Ok(Call { name, arguments })
}

fn concise_call(function: &Element) -> Result<Call, CallsError> {
    let name = required(function, "name")?.to_owned();
    let mut arguments = PyDict::new();
    for parameter in function.all("param") {
        let key = PyValue::from(required(parameter, "name")?);
        let kind = parameter.attribute("type").unwrap_or("string");
        let value = typed(strip(&parameter.text), kind)?;
        arguments.insert(key, value);
    }
    Ok(Call { name, arguments })
}

fn typed(text: &str, kind: &str) -> Result<PyValue, CallsError> {
    Ok(match kind {
        "integer" => parse_int(text).ok_or_else(|| {
            CallsError::new("ValueError", format!("invalid literal for int() with base 10: {}", repr_str(text)))
        })?,
        "float" => PyValue::Float(parse_float(text).ok_or_else(|| {
            CallsError::new("ValueError", format!("could not convert string to float: {}", repr_str(text)))
        })?),
        "boolean" => PyValue::Bool(text.to_lowercase() == "true"),
        "null" => PyValue::None,
        "array" | "tuple" | "object" | "dict" => literal(text).map_err(|error| match error {
            LiteralError::Syntax(error) => CallsError::from(error),
            LiteralError::Unhashable(_) => CallsError::new("TypeError", error.to_string()),
            LiteralError::Malformed { .. } => CallsError::new("ValueError", error.to_string()),
        })?,
        _ => PyValue::from(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::python::repr;

    fn decoded(source: &str, verbose: bool) -> String {
        match decode(source, verbose) {
            Ok(calls) => repr(&calls.iter().map(Call::to_python).collect()),
            Err(error) => format!("{}: {error}", error.exception),
        }
    }

    #[test]
    fn both_forms_are_read() {
        let verbose = "[<functions><function name=\"f\"><params><param name=\"a\" value=\"1\" type=\"integer\"/>\
                       <param name=\"b\" value=\"[1, &quot;x&quot;]\" type=\"array\"/></params></function></functions>]";
        assert_eq!(decoded(verbose, true), "[{'f': {'a': 1, 'b': [1, 'x']}}]");
        let concise = "Here: <functions>\n<function name=\"f\"><param name=\"a\" type=\"float\"> 1 </param>\
                       <param name=\"b\">x &lt; y</param></function></functions>";
        assert_eq!(decoded(concise, false), "[{'f': {'a': 1.0, 'b': 'x < y'}}]");
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            decoded("<functions><function></functions>", false),
            "ParseError: mismatched tag: line 1, column 23"
        );
        assert_eq!(decoded("<functions><function/></functions>", false), "KeyError: 'name'");
        let wrong = "<functions><function name='f'><param name='a' type='integer'>x</param></function></functions>";
        assert_eq!(decoded(wrong, false), "ValueError: invalid literal for int() with base 10: 'x'");
    }
}
