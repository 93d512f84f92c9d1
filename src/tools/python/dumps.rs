//! `json.dumps` with its default arguments: `", "` and `": "`, ASCII only, `NaN` and `Infinity` as they are.

use std::fmt::Write;

use super::{
    repr::write_float,
    value::{PyValue, as_half_surrogate},
};

/// Why a value has no JSON form; the text is CPython's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpsError {
    /// A value of a type without a JSON form.
    #[error("Object of type {0} is not JSON serializable")]
    Type(&'static str),
    /// A key of a type that is no key in JSON.
    #[error("keys must be str, int, float, bool or None, not {0}")]
    Key(&'static str),
}

/// Returns `json.dumps(value)`.
///
/// # Errors
///
/// If the value holds something that JSON has no form for.
pub fn dumps(value: &PyValue) -> Result<String, DumpsError> {
    let mut out = String::new();
    write_json(&mut out, value, true)?;
    Ok(out)
}

/// Returns `json.dumps(value, ensure_ascii=False)`.
///
/// # Errors
///
/// If the value holds something that JSON has no form for.
pub fn dumps_unicode(value: &PyValue) -> Result<String, DumpsError> {
    let mut out = String::new();
    write_json(&mut out, value, false)?;
    Ok(out)
}

fn write_json(out: &mut String, value: &PyValue, ascii: bool) -> Result<(), DumpsError> {
    match value {
        PyValue::None => out.push_str("null"),
        PyValue::Bool(true) => out.push_str("true"),
        PyValue::Bool(false) => out.push_str("false"),
        PyValue::Int(whole) => push(out, format_args!("{whole}")),
        PyValue::Big(whole) => push(out, format_args!("{whole}")),
        PyValue::Float(number) => write_number(out, *number),
        PyValue::Str(text) => write_text(out, text, ascii),
        PyValue::List(items) | PyValue::Tuple(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write_json(out, item, ascii)?;
            }
            out.push(']');
        }
        PyValue::Dict(entries) => {
            out.push('{');
            for (place, (key, value)) in entries.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                let text = key.json_key().ok_or(DumpsError::Key(key.type_name()))?;
                write_text(out, &text, ascii);
                out.push_str(": ");
                write_json(out, value, ascii)?;
            }
            out.push('}');
        }
        PyValue::Bytes(_) | PyValue::Complex(..) | PyValue::Set(_) | PyValue::Ellipsis => {
            return Err(DumpsError::Type(value.type_name()));
        }
    }
    Ok(())
}

impl PyValue {
    /// Returns the text that `json.dumps` makes of a key.
    pub(super) fn json_key(&self) -> Option<String> {
        let mut text = String::new();
        match self {
            Self::Str(key) => text.clone_from(key),
            Self::None => text.push_str("null"),
            Self::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
            Self::Int(whole) => push(&mut text, format_args!("{whole}")),
            Self::Big(whole) => push(&mut text, format_args!("{whole}")),
            Self::Float(number) => write_number(&mut text, *number),
            _ => return None,
        }
        Some(text)
    }
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a text does not fail");
}

fn write_number(out: &mut String, number: f64) {
    match number {
        _ if number.is_nan() => out.push_str("NaN"),
        f64::INFINITY => out.push_str("Infinity"),
        f64::NEG_INFINITY => out.push_str("-Infinity"),
        _ => write_float(out, number),
    }
}

fn write_text(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            '\0'..='\x1f' => push(out, format_args!("\\u{:04x}", character as u32)),
            other => match as_half_surrogate(other) {
                Some(code) => push(out, format_args!("\\u{code:04x}")),
                None if !ascii => out.push(other),
                None => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        push(out, format_args!("\\u{unit:04x}"));
                    }
                }
            },
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_by_python() {
        let entries = [
            (PyValue::from("é\u{1F600}\n"), PyValue::Tuple(vec![PyValue::Int(1), PyValue::Float(2.0)])),
            (PyValue::None, PyValue::Float(f64::NAN)),
            (PyValue::Float(1e20), PyValue::Bool(true)),
        ];
        let value = PyValue::dict(entries.into_iter().collect());
        let expected = r#"{"\u00e9\ud83d\ude00\n": [1, 2.0], "null": NaN, "1e+20": true}"#;
        assert_eq!(dumps(&value).as_deref(), Ok(expected));
        assert_eq!(dumps(&PyValue::Ellipsis), Err(DumpsError::Type("ellipsis")));
    }
}
