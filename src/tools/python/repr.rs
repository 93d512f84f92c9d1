//! `repr` and `str` of values, as CPython 3.11 writes them.

use std::fmt::Write;

use super::{
    characters::is_printable,
    value::{PyValue, as_half_surrogate},
};

/// Returns `repr(value)`.
pub fn repr(value: &PyValue) -> String {
    let mut text = String::new();
    write_repr(&mut text, value);
    text
}

/// Returns `str(value)`.
pub fn to_str(value: &PyValue) -> String {
    match value {
        PyValue::Str(text) => text.clone(),
        other => repr(other),
    }
}

/// Returns `repr` of a text.
pub fn repr_str(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    write_str(&mut text, value);
    text
}

/// Appends `repr(value)`.
pub fn write_repr(out: &mut String, value: &PyValue) {
    match value {
        PyValue::None => out.push_str("None"),
        PyValue::Bool(true) => out.push_str("True"),
        PyValue::Bool(false) => out.push_str("False"),
        PyValue::Int(whole) => push(out, format_args!("{whole}")),
        PyValue::Big(whole) => push(out, format_args!("{whole}")),
        PyValue::Float(number) => write_float(out, *number),
        PyValue::Complex(real, imaginary) => write_complex(out, *real, *imaginary),
        PyValue::Str(text) => write_str(out, text),
        PyValue::Bytes(bytes) => write_bytes(out, bytes),
        PyValue::List(items) => write_items(out, "[", items, "]"),
        PyValue::Tuple(items) if items.len() == 1 => write_items(out, "(", items, ",)"),
        PyValue::Tuple(items) => write_items(out, "(", items, ")"),
        PyValue::Set(items) if items.is_empty() => out.push_str("set()"),
        PyValue::Set(items) => write_items(out, "{", items, "}"),
        PyValue::Dict(entries) => {
            out.push('{');
            for (place, (key, value)) in entries.iter().enumerate() {
                if place > 0 {
                    out.push_str(", ");
                }
                write_repr(out, key);
                out.push_str(": ");
                write_repr(out, value);
            }
            out.push('}');
        }
        PyValue::Ellipsis => out.push_str("Ellipsis"),
    }
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a text does not fail");
}

fn write_items(out: &mut String, open: &str, items: &[PyValue], close: &str) {
    out.push_str(open);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        write_repr(out, item);
    }
    out.push_str(close);
}

fn write_str(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other == quote => {
                out.push('\\');
                out.push(other);
            }
            ' '..='~' => out.push(character),
            other => match (as_half_surrogate(other), other as u32) {
                (Some(code), _) => push(out, format_args!("\\u{code:04x}")),
                _ if is_printable(other) => out.push(other),
                (_, code @ ..=0xff) => push(out, format_args!("\\x{code:02x}")),
                (_, code @ ..=0xffff) => push(out, format_args!("\\u{code:04x}")),
                (_, code) => push(out, format_args!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
}

fn write_bytes(out: &mut String, bytes: &[u8]) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    out.push('b');
    out.push(char::from(quote));
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ if byte == quote => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => push(out, format_args!("\\x{byte:02x}")),
        }
    }
    out.push(char::from(quote));
}

/// Appends `repr` of a float: the shortest digits that read back, with an exponent outside 1e-4 … 1e16.
pub fn write_float(out: &mut String, number: f64) {
    let start = out.len();
    write_bare_float(out, number);
    let written = &out[start..];
    if number.is_finite() && !written.contains(['.', 'e']) {
        out.push_str(".0");
    }
}

/// As complex numbers write their parts: without `.0`.
fn write_bare_float(out: &mut String, number: f64) {
    if number.is_nan() {
        out.push_str("nan");
        return;
    }
    if number.is_sign_negative() {
        out.push('-');
    }
    let number = number.abs();
    if number.is_infinite() {
        out.push_str("inf");
        return;
    }
    // Rust writes the same shortest digits: d.ddde±x.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        push(out, format_args!("{number}"));
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        push(out, format_args!("{mantissa}e{sign}{:02}", exponent.abs()));
    }
}

fn write_complex(out: &mut String, real: f64, imaginary: f64) {
    if real == 0.0 && !real.is_sign_negative() {
        write_bare_float(out, imaginary);
        out.push('j');
        return;
    }
    out.push('(');
    write_bare_float(out, real);
    if imaginary.is_nan() || !imaginary.is_sign_negative() {
        out.push('+');
    }
    write_bare_float(out, imaginary);
    out.push_str("j)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_in_python() {
        let written = |number| repr(&PyValue::Float(number));
        let cases = [
            (5.0, "5.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e300, "1.5e+300"),
            (-0.0, "-0.0"),
            (f64::INFINITY, "inf"),
            (5e-324, "5e-324"),
        ];
        for (number, expected) in cases {
            assert_eq!(written(number), expected);
        }
        assert_eq!(repr(&PyValue::Complex(0.0, 2.0)), "2j");
        assert_eq!(repr(&PyValue::Complex(1.5, -2.0)), "(1.5-2j)");
    }

    #[test]
    fn texts_are_written_as_in_python() {
        assert_eq!(repr_str("it's"), "\"it's\"");
        assert_eq!(repr_str("'\""), "'\\'\"'");
        assert_eq!(repr_str("é\u{a0}\u{1F600}\u{7f}"), "'é\\xa0\u{1F600}\\x7f'");
        assert_eq!(repr(&PyValue::Bytes(b"a'\xff".to_vec())), "b\"a'\\xff\"");
        assert_eq!(repr(&PyValue::Tuple(vec![PyValue::Int(1)])), "(1,)");
    }
}
