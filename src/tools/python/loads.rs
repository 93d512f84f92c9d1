//! `json.loads` as Python reads JSON: big integers, `NaN` and `Infinity`, half surrogates, the last of equal keys.

use num_bigint::BigInt;

use super::{
    dict::PyDict,
    literal::{MAX_DIGITS, too_many_digits},
    value::{PyValue, half_surrogate},
};

/// CPython's recursion limit ends its reader at about as many levels.
const MAX_DEPTH: usize = 980;

/// Why a text is no JSON for Python.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadsError {
    /// `JSONDecodeError`: the text is no JSON.
    #[error("{reason}: line {line} column {column} (char {at})")]
    Json {
        /// CPython's reason.
        reason: &'static str,
        /// The line, from 1.
        line: usize,
        /// The column, from 1, in characters.
        column: usize,
        /// The place, from 0, in characters.
        at: usize,
    },
    /// `ValueError`: a number is too long.
    #[error("{0}")]
    Digits(String),
    /// `RecursionError`: the text is nested too deeply.
    #[error("maximum recursion depth exceeded while decoding a JSON array from a unicode string")]
    Depth,
}

/// Returns `json.loads(text)`.
///
/// # Errors
///
/// If CPython raises an exception.
pub fn loads(text: &str) -> Result<PyValue, LoadsError> {
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0 };
    reader.blank();
    let value = reader.value(0)?;
    reader.blank();
    if reader.at < text.len() {
        return Err(reader.error(reader.at, "Extra data"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn blank(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn error(&self, at: usize, reason: &'static str) -> LoadsError {
        let at = at.min(self.text.len());
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        LoadsError::Json { reason, line, column, at: before.chars().count() }
    }

    fn value(&mut self, depth: usize) -> Result<PyValue, LoadsError> {
        if depth >= MAX_DEPTH {
            return Err(LoadsError::Depth);
        }
        let start = self.at;
        for (word, value) in [
            ("null", PyValue::None),
            ("true", PyValue::Bool(true)),
            ("false", PyValue::Bool(false)),
            ("NaN", PyValue::Float(f64::NAN)),
            ("Infinity", PyValue::Float(f64::INFINITY)),
            ("-Infinity", PyValue::Float(f64::NEG_INFINITY)),
        ] {
            if self.bytes[start.min(self.bytes.len())..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        match self.byte() {
            b'"' => self.string().map(PyValue::Str),
            b'[' => self.array(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.error(start, "Expecting value")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<PyValue, LoadsError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.byte() == b']' {
            self.at += 1;
            return Ok(PyValue::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blank();
            match self.byte() {
                b']' => {
                    self.at += 1;
                    return Ok(PyValue::List(items));
                }
                b',' => self.at += 1,
                _ => return Err(self.error(self.at, "Expecting ',' delimiter")),
            }
            self.blank();
        }
    }

    fn object(&mut self, depth: usize) -> Result<PyValue, LoadsError> {
        const NAME: &str = "Expecting property name enclosed in double quotes";
        self.at += 1;
        let mut entries = PyDict::new();
        self.blank();
        if self.byte() == b'}' {
            self.at += 1;
            return Ok(PyValue::Dict(entries));
        }
        loop {
            if self.byte() != b'"' {
                return Err(self.error(self.at, NAME));
            }
            let key = self.string()?;
            self.blank();
            if self.byte() != b':' {
                return Err(self.error(self.at, "Expecting ':' delimiter"));
            }
            self.at += 1;
            self.blank();
            let value = self.value(depth + 1)?;
            entries.insert(PyValue::Str(key), value);
            self.blank();
            match self.byte() {
                b'}' => {
                    self.at += 1;
                    return Ok(PyValue::Dict(entries));
                }
                b',' => self.at += 1,
                _ => return Err(self.error(self.at, "Expecting ',' delimiter")),
            }
            self.blank();
        }
    }

    fn number(&mut self) -> Result<PyValue, LoadsError> {
        let start = self.at;
        self.at += usize::from(self.byte() == b'-');
        let digits_start = self.at;
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.at == digits_start {
            return Err(self.error(start, "Expecting value"));
        }
        let digits = self.at - digits_start;
        let mut float = false;
        if self.byte() == b'.' && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            float = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.byte(), b'e' | b'E') {
            let before = self.at;
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            if self.byte().is_ascii_digit() {
                float = true;
                self.digits();
            } else {
                self.at = before;
            }
        }
        let text = &self.text[start..self.at];
        if float {
            return Ok(PyValue::Float(text.parse().unwrap_or(f64::NAN)));
        }
        if let Ok(whole) = text.parse() {
            return Ok(PyValue::Int(whole));
        }
        if digits > MAX_DIGITS {
            return Err(LoadsError::Digits(too_many_digits(digits)));
        }
        Ok(PyValue::integer(BigInt::parse_bytes(text.as_bytes(), 10).unwrap_or_default()))
    }

    fn digits(&mut self) {
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<String, LoadsError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let Some(plain) = plain else {
                return Err(self.error(start, "Unterminated string starting at"));
            };
            text.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.byte() {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => self.escape(start, &mut text)?,
                _ => return Err(self.error(self.at, "Invalid control character at")),
            }
        }
    }

    fn escape(&mut self, start: usize, text: &mut String) -> Result<(), LoadsError> {
        let Some(letter) = self.bytes.get(self.at + 1) else {
            return Err(self.error(start, "Unterminated string starting at"));
        };
        self.at += 2;
        text.push(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let Some(unit) = self.unit(self.at) else {
                    return Err(self.error(self.at, "Invalid \\uXXXX escape"));
                };
                self.at += 4;
                if (0xD800..0xDC00).contains(&unit) && self.bytes[self.at..].starts_with(b"\\u") {
                    let low = self.unit(self.at + 2).filter(|low| (0xDC00..0xE000).contains(low));
                    if let Some(low) = low {
                        self.at += 6;
                        let code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                        return Ok(());
                    }
                }
                char::from_u32(unit).unwrap_or_else(|| half_surrogate(unit))
            }
            _ => return Err(self.error(self.at - 2, "Invalid \\escape")),
        });
        Ok(())
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::python::repr;

    #[test]
    fn texts_are_read_as_by_python() {
        let value = loads(" {\"a\": [1, -2.5e3, 1e400, NaN], \"b\": 123456789012345678901, \"a\": null} ");
        assert_eq!(repr(&value.expect("JSON")), "{'a': None, 'b': 123456789012345678901}");
        assert_eq!(repr(&loads(r#""\ud83d\ude00 \ud83d""#).expect("JSON")), "'\u{1F600} \\ud83d'");
        let error = loads("[1, 2").expect_err("no end").to_string();
        assert_eq!(error, "Expecting ',' delimiter: line 1 column 6 (char 5)");
        assert!(matches!(loads(&"[".repeat(5000)), Err(LoadsError::Depth)));
    }
}
