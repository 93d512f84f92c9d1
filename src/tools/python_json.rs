//! JSON as Python's `json.loads` reads it, and values as Python's `==` compares them.
//!
//! Rewards that must give their original's numbers read a model's text with this: Python takes more than the standard
//! (`NaN`, `Infinity`, half surrogates, whole numbers of any length, numbers that overflow to infinity) and keeps whole
//! numbers and fractions apart. Nothing here decides what is right. Everything else in this room reads JSON with
//! `serde_json`.
//!
//! Source: the behaviour of CPython 3.11's `json` module. Its limits are kept: 4,300 digits, and about a thousand levels
//! of nesting (the exact number depends on how deep the caller stands; here it is [`MAX_LEVELS`]).

use indexmap::IndexMap;
use serde_json::Value;

/// The deepest nesting that is read.
pub const MAX_LEVELS: usize = 980;
/// The longest whole number that is read, in digits.
pub const MAX_DIGITS: usize = 4300;

/// A JSON value, as Python holds it.
#[derive(Clone, Debug)]
pub enum Json {
    /// `None`.
    Null,
    /// `True` or `False`.
    Truth(bool),
    /// A whole number of up to 128 bits.
    Whole(i128),
    /// A longer whole number.
    Long(Long),
    /// A number with a fraction or an exponent, `NaN`, or an infinity.
    Float(f64),
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Json>),
    /// A map, in the order written; the last of equal keys counts, in the place of the first.
    Map(IndexMap<Text, Json>),
}

/// A text that may hold half surrogates: UTF-8, and each half surrogate in the three bytes that UTF-8 would give it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Text {
    /// Returns Python's `len`: the number of code points.
    pub fn characters(&self) -> usize {
        self.0.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
    }

    /// Returns the text, unless it holds half surrogates.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

/// A whole number beyond 128 bits: its sign, and its digits without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Long {
    negative: bool,
    digits: String,
}

/// Why a text is no JSON for Python.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct JsonError {
    /// Where, in bytes from 0.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

impl Json {
    /// Reads one value, with blanks around it.
    ///
    /// # Errors
    /// Where Python's `json.loads` raises.
    pub fn read(text: &str) -> Result<Self, JsonError> {
        let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
        reader.blank();
        let value = reader.value(0)?;
        reader.blank();
        if reader.at < text.len() { Err(reader.error("more text after the value")) } else { Ok(value) }
    }

    /// Returns the value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.get(&Text::from(key)),
            _ => None,
        }
    }

    /// Returns whether Python's `==` holds between two values. `1 == 1.0 == True`, maps without order; no NaN equals
    /// anything, but inside lists and maps Python first asks whether both are the same object, and the `json` module
    /// knows one NaN only.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => lists_equal(left.iter(), right.iter()),
            (Self::Map(left), Self::Map(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| value.is_or_equals(other)))
            }
            _ => match (self.number(), other.number()) {
                (Some(left), Some(right)) => left.equals(&right),
                _ => false,
            },
        }
    }

    /// Returns whether two values are one object or equal: what Python asks of the elements of containers.
    pub fn is_or_equals(&self, other: &Self) -> bool {
        let both_nan =
            matches!((self, other), (Self::Float(left), Self::Float(right)) if left.is_nan() && right.is_nan());
        both_nan || self.equals(other)
    }

    /// Returns whether `json.dumps(…, sort_keys=True)` writes both alike: equal, and of equal types.
    pub fn dumps_alike(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Truth(left), Self::Truth(right)) => left == right,
            (Self::Whole(left), Self::Whole(right)) => left == right,
            (Self::Long(left), Self::Long(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => {
                left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
            }
            (Self::Text(left), Self::Text(right)) => left == right,
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.dumps_alike(right))
            }
            (Self::Map(left), Self::Map(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| value.dumps_alike(other)))
            }
            _ => false,
        }
    }

    /// Returns whether Python can hash it, which counting it in a `Counter` needs.
    pub fn is_hashable(&self) -> bool {
        !matches!(self, Self::List(_) | Self::Map(_))
    }

    fn number(&self) -> Option<Number<'_>> {
        match self {
            Self::Truth(truth) => Some(Number::Whole(i128::from(*truth))),
            Self::Whole(whole) => Some(Number::Whole(*whole)),
            Self::Long(long) => Some(Number::Long(long)),
            Self::Float(float) => Some(Number::Float(*float)),
            _ => None,
        }
    }
}

/// Returns whether two lists are equal in Python.
pub fn lists_equal<'a>(
    left: impl ExactSizeIterator<Item = &'a Json>,
    right: impl ExactSizeIterator<Item = &'a Json>,
) -> bool {
    left.len() == right.len() && left.zip(right).all(|(left, right)| left.is_or_equals(right))
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Truth(*truth),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), ..) => Self::Whole(i128::from(whole)),
                (None, Some(whole), _) => Self::Whole(i128::from(whole)),
                (None, None, float) => Self::Float(float.unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Text(Text::from(text.as_str())),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(entries) => {
                Self::Map(entries.iter().map(|(key, value)| (Text::from(key.as_str()), Self::from(value))).collect())
            }
        }
    }
}

enum Number<'a> {
    Whole(i128),
    Long(&'a Long),
    Float(f64),
}

impl Number<'_> {
    /// Exactly, as Python compares: a float equals a whole number only if it is that number.
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => left == right,
            (Self::Long(left), Self::Long(right)) => left == right,
            (Self::Whole(_), Self::Long(_)) | (Self::Long(_), Self::Whole(_)) => false,
            (Self::Float(left), Self::Float(right)) => left == right,
            (Self::Whole(whole), Self::Float(float)) | (Self::Float(float), Self::Whole(whole)) => {
                // Beyond this bound the conversion saturates; no float there equals a 128-bit number but -2^127.
                #[expect(clippy::cast_possible_truncation, reason = "guarded: finite, without fraction, in range")]
                let is = || float.fract() == 0.0 && float.abs() <= 2f64.powi(126) && *float as i128 == *whole;
                if float.is_finite() && float.abs() > 2f64.powi(126) {
                    return digits_of(*float) == whole.to_string();
                }
                float.is_finite() && is()
            }
            (Self::Long(long), Self::Float(float)) | (Self::Float(float), Self::Long(long)) => {
                float.is_finite()
                    && digits_of(*float).trim_start_matches('-') == long.digits
                    && (*float < 0.0) == long.negative
            }
        }
    }
}

/// Returns all digits of a float that is a whole number.
fn digits_of(float: f64) -> String {
    format!("{float:.0}")
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn error(&self, reason: &'static str) -> JsonError {
        JsonError { at: self.at, reason }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(token.as_bytes());
        if found {
            self.at += token.len();
        }
        found
    }

    fn value(&mut self, level: usize) -> Result<Json, JsonError> {
        if level > MAX_LEVELS {
            return Err(self.error("too many levels"));
        }
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.text()?)),
            Some(b'{') => self.map(level),
            Some(b'[') => self.list(level),
            Some(b'-' | b'0'..=b'9') => {
                if self.eat("-Infinity") {
                    return Ok(Json::Float(f64::NEG_INFINITY));
                }
                self.number()
            }
            _ => self.constant(),
        }
    }

    /// On its own, so that deep nesting takes little stack.
    fn constant(&mut self) -> Result<Json, JsonError> {
        for (token, value) in [
            ("null", Json::Null),
            ("true", Json::Truth(true)),
            ("false", Json::Truth(false)),
            ("NaN", Json::Float(f64::NAN)),
            ("Infinity", Json::Float(f64::INFINITY)),
        ] {
            if self.eat(token) {
                return Ok(value);
            }
        }
        Err(self.error("expected a value"))
    }

    fn list(&mut self, level: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.eat("]") {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(level + 1)?);
            self.blank();
            if self.eat("]") {
                return Ok(Json::List(items));
            }
            if !self.eat(",") {
                return Err(self.error("expected `,` or `]`"));
            }
            self.blank();
        }
    }

    fn map(&mut self, level: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut entries = IndexMap::new();
        self.blank();
        if self.eat("}") {
            return Ok(Json::Map(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in double quotes"));
            }
            let key = self.text()?;
            self.blank();
            if !self.eat(":") {
                return Err(self.error("expected `:`"));
            }
            self.blank();
            let value = self.value(level + 1)?;
            entries.insert(key, value);
            self.blank();
            if self.eat("}") {
                return Ok(Json::Map(entries));
            }
            if !self.eat(",") {
                return Err(self.error("expected `,` or `}`"));
            }
            self.blank();
        }
    }

    fn digits(&mut self) -> &str {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default()
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        let negative = self.eat("-");
        let whole = if self.eat("0") { "0" } else { self.digits() }.to_owned();
        if whole.is_empty() {
            self.at = start;
            return Err(self.error("expected a value"));
        }
        let mut is_float = false;
        // A point or an exponent without digits is not part of the number.
        let before = self.at;
        if self.eat(".") {
            if self.digits().is_empty() {
                self.at = before;
            } else {
                is_float = true;
            }
        }
        let before = self.at;
        if self.eat("e") || self.eat("E") {
            let _ = self.eat("+") || self.eat("-");
            if self.digits().is_empty() {
                self.at = before;
            } else {
                is_float = true;
            }
        }
        if is_float {
            let text = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
            return text.parse().map(Json::Float).map_err(|_| self.error("expected a number"));
        }
        if whole.len() > MAX_DIGITS {
            return Err(self.error("a whole number of too many digits"));
        }
        Ok(match whole.parse::<i128>() {
            Ok(value) => Json::Whole(if negative { -value } else { value }),
            Err(_) => Json::Long(Long { negative, digits: whole }),
        })
    }

    fn text(&mut self) -> Result<Text, JsonError> {
        self.at += 1;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.error("a text without an end")),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(&mut text)?;
                }
                Some(0..=0x1f) => return Err(self.error("a control character in a text")),
                Some(byte) => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), JsonError> {
        let Some(letter) = self.peek() else { return Err(self.error("a text without an end")) };
        self.at += 1;
        let plain = match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let first = self.hex()?;
                let mut code = first;
                if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
                    let before = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xdc00..0xe000).contains(&second) {
                        code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    } else {
                        self.at = before;
                    }
                }
                push(text, code);
                return Ok(());
            }
            _ => {
                self.at -= 1;
                return Err(self.error("an unknown escape"));
            }
        };
        text.push(plain);
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return Err(self.error("expected four hexadecimal digits")) };
        let text = std::str::from_utf8(digits).unwrap_or_default();
        self.at += 4;
        u32::from_str_radix(text, 16).map_err(|_| self.error("expected four hexadecimal digits"))
    }
}

/// Appends a code point, which may be half of a surrogate pair.
fn push(text: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(character) => text.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            #[expect(clippy::cast_possible_truncation, reason = "six bits each")]
            let byte = |shift: u32| (0x80 | ((code >> shift) & 0x3f)) as u8;
            #[expect(clippy::cast_possible_truncation, reason = "a surrogate has sixteen bits")]
            text.extend([0xe0 | (code >> 12) as u8, byte(6), byte(0)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Json {
        Json::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn equal(left: &str, right: &str) -> bool {
        read(left).equals(&read(right))
    }

    #[test]
    fn python_takes_more_than_the_standard() {
        assert!(equal("1e999", "Infinity") && equal("-1e999", " -Infinity\r\n"));
        assert!(!equal("NaN", "NaN") && equal("[NaN]", "[NaN]") && equal(r#"{"a": NaN}"#, r#"{"a": NaN}"#));
        assert!(equal(r#""\ud83d\ude00""#, "\"😀\"") && !equal(r#""\ud83d""#, r#""\ude00""#));
        assert!(equal(r#""\ud83dA""#, r#""\uD83D\u0041""#) && equal(r#""\ud83d\ud83d\ude00""#, "\"\\ud83d😀\""));
        assert!(equal(r#"{"a": 1, "b": 2, "a": 3}"#, r#"{"b": 2, "a": 3}"#));
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "- 1",
            "nan",
            "infinity",
            "'a'",
            "[1,]",
            "{\"a\": 1,}",
            "{a: 1}",
            "\"\t\"",
            "\"\\x41\"",
            "\"\\u12g4\"",
            "\"\\ud83d\\u12\"",
            "\"a",
            "[1",
            "{\"a\"",
            "1 2",
            "\u{feff}1",
            "None",
            "True",
            "\u{a0}1",
        ] {
            assert!(Json::read(text).is_err(), "{text}");
        }
        assert!(Json::read(&"9".repeat(MAX_DIGITS)).is_ok() && Json::read(&"9".repeat(MAX_DIGITS + 1)).is_err());
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Json::read(&nested(900)).is_ok() && Json::read(&nested(100_000)).is_err());
    }

    #[test]
    fn numbers_are_compared_exactly() {
        assert!(equal("1", "1.0") && equal("true", "1") && equal("0", "-0.0") && !equal("1", "\"1\""));
        assert!(equal("9007199254740993", "9007199254740993") && !equal("9007199254740993", "9007199254740992.0"));
        let long = "100000000000000000000000000000000000000000000000000";
        assert!(equal(long, long) && !equal(long, &format!("-{long}")) && !equal(long, "1e50"), "1e50 is not 10**50");
        assert!(equal("1e22", "10000000000000000000000"));
        assert!(equal("1.7014118346046923e38", "170141183460469231731687303715884105728"), "2^127");
        assert!(!equal("Infinity", long) && !equal("NaN", "0"));
    }

    #[test]
    fn dumps_tells_types_apart() {
        let alike = |left: &str, right: &str| read(left).dumps_alike(&read(right));
        assert!(alike(r#"{"a": [1, NaN], "b": 2.50}"#, r#"{"b": 2.5, "a": [1, NaN]}"#));
        assert!(!alike("1", "1.0") && !alike("true", "1") && !alike("0.0", "-0.0") && alike("0", "-0"));
    }
}
