//! `int(text)` and `float(text)`: blanks around, underscores between digits, digits of any script.

use num_bigint::BigInt;

use super::{
    characters::{decimal, strip},
    literal::MAX_DIGITS,
    value::PyValue,
};

/// Digits of other scripts as ASCII, blanks stripped.
fn plain(text: &str) -> String {
    strip(text).chars().map(|letter| decimal(letter).map_or(letter, |digit| char::from(b'0' + digit))).collect()
}

/// Underscores stand between digits only.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let between_digits = |place: usize| {
        place > 0 && bytes[place - 1].is_ascii_digit() && bytes.get(place + 1).is_some_and(u8::is_ascii_digit)
    };
    (0..bytes.len()).all(|place| bytes[place] != b'_' || between_digits(place)).then(|| text.replace('_', ""))
}

/// Returns `int(text)`; `None` where CPython raises.
pub fn parse_int(text: &str) -> Option<PyValue> {
    let text = without_underscores(&plain(text))?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    BigInt::parse_bytes(text.as_bytes(), 10).map(PyValue::integer)
}

/// Returns `float(text)`; `None` where CPython raises.
pub fn parse_float(text: &str) -> Option<f64> {
    let text = without_underscores(&plain(text))?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let known = matches!(unsigned.to_ascii_lowercase().as_str(), "inf" | "infinity" | "nan");
    if !known && !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_by_python() {
        assert_eq!(parse_int(" -1_000 "), Some(PyValue::Int(-1000)));
        assert_eq!(parse_int("٣"), Some(PyValue::Int(3)));
        assert!(["", "1.0", "1__0", "_1", "0x1", "--1"].iter().all(|text| parse_int(text).is_none()));
        assert_eq!((parse_float(" 1e3\n"), parse_float("-Infinity")), (Some(1000.0), Some(f64::NEG_INFINITY)));
        assert!(["", ".", "1e", "infi", "0x1p3", "1,0"].iter().all(|text| parse_float(text).is_none()));
    }
}
