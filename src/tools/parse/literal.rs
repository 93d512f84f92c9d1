//! Python literals: numbers, texts, lists, tuples, maps, constants, bare names.

use serde_json::{Map, Number, Value};

use super::{MAX_DEPTH, ParseError, error::beginning};
use crate::tools::render::{is_name_part, is_name_start};

/// Reads a text from left to right.
pub(super) struct Reader<'a> {
    pub text: &'a str,
    /// Where reading stands, in bytes.
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    pub fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    pub fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|character| !wanted(character)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Skips white space and comments.
    pub fn blank(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.eat("#") {
                return;
            }
            self.take_while(|character| character != '\n');
        }
    }

    pub fn error_at(&self, at: usize, reason: impl Into<String>) -> ParseError {
        ParseError::Python { at: self.text[..at].chars().count() + 1, reason: reason.into() }
    }

    pub fn unexpected(&self, expected: &str) -> ParseError {
        let found = if self.rest().trim().is_empty() { "the end".to_owned() } else { beginning(self.rest()) };
        self.error_at(self.at, format!("expected {expected}, found {found}"))
    }

    pub fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        if depth > MAX_DEPTH {
            return Err(ParseError::TooDeep { limit: MAX_DEPTH });
        }
        match self.peek() {
            Some('[') => self.sequence(depth, "[", "]").map(|(items, _)| Value::Array(items)),
            Some('(') => {
                let (mut items, trailing_comma) = self.sequence(depth, "(", ")")?;
                // `(x)` is x, `(x,)` and `()` are tuples.
                if items.len() == 1 && !trailing_comma {
                    return Ok(items.remove(0));
                }
                Ok(Value::Array(items))
            }
            Some('{') => self.map(depth),
            Some('"' | '\'') => self.string().map(Value::String),
            Some('-' | '+' | '.' | '0'..='9') => self.number(),
            Some(first) if is_name_start(first) => self.word(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn sequence(&mut self, depth: usize, open: &str, close: &str) -> Result<(Vec<Value>, bool), ParseError> {
        self.eat(open);
        let mut items = Vec::new();
        let mut trailing_comma = false;
        loop {
            self.blank();
            if self.eat(close) {
                return Ok((items, trailing_comma));
            }
            items.push(self.value(depth + 1)?);
            self.blank();
            trailing_comma = self.eat(",");
            if !trailing_comma {
                if self.eat(close) {
                    return Ok((items, false));
                }
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.eat("{");
        let mut entries = Map::new();
        loop {
            self.blank();
            if self.eat("}") {
                return Ok(Value::Object(entries));
            }
            let start = self.at;
            let Value::String(key) = self.value(depth + 1)? else {
                return Err(self.error_at(start, "the keys of a map must be texts"));
            };
            self.blank();
            if !self.eat(":") {
                return Err(self.unexpected("`:` after a key"));
            }
            self.blank();
            let value = self.value(depth + 1)?;
            // The last of equal keys wins, as in Python.
            entries.insert(key, value);
            self.blank();
            if !self.eat(",") {
                if self.eat("}") {
                    return Ok(Value::Object(entries));
                }
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    /// A constant, a prefixed text, or a bare name, which is its own text as in BFCL's decoder.
    fn word(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        let word = self.take_while(is_name_part);
        if matches!(self.peek(), Some('"' | '\'')) {
            match word {
                "u" | "U" => return self.string().map(Value::String),
                "r" | "R" => return self.raw_string().map(Value::String),
                _ => {
                    let message = format!("a text with the prefix `{word}` is no plain literal");
                    return Err(self.error_at(start, message));
                }
            }
        }
        if matches!(self.peek(), Some('(' | '.' | '[')) {
            let message = format!("`{word}{}…` is no literal", self.peek().unwrap_or(' '));
            return Err(self.error_at(start, message));
        }
        Ok(match word {
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            "None" => Value::Null,
            other => Value::String(other.to_owned()),
        })
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let start = self.at;
        let mut negative = false;
        while let Some(sign @ ('-' | '+')) = self.peek() {
            negative ^= sign == '-';
            self.at += 1;
            self.blank();
        }
        let digits_start = self.at;
        let radix = match self.rest().get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("0x") => Some(16),
            Some("0o") => Some(8),
            Some("0b") => Some(2),
            _ => None,
        };
        if let Some(radix) = radix {
            self.at += 2;
            let digits = self.take_while(|character| character.is_ascii_alphanumeric() || character == '_');
            let whole = i128::from_str_radix(&digits.replace('_', ""), radix);
            return match whole {
                Ok(whole) => self.whole(start, if negative { -whole } else { whole }),
                Err(_) => Err(self.error_at(start, "this is no whole number")),
            };
        }
        self.take_while(|character| character.is_ascii_digit() || character == '_');
        let mut is_float = self.eat(".");
        if is_float {
            self.take_while(|character| character.is_ascii_digit() || character == '_');
        }
        let before_exponent = self.at;
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            if self.take_while(|character| character.is_ascii_digit()).is_empty() {
                self.at = before_exponent;
            } else {
                is_float = true;
            }
        }
        let digits = self.text[digits_start..self.at].replace('_', "");
        if self.peek().is_some_and(is_name_part) || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            self.at = start;
            return Err(self.unexpected("a number"));
        }
        if is_float {
            let float = digits.parse::<f64>().ok().map(|float| if negative { -float } else { float });
            return match float.and_then(Number::from_f64) {
                Some(number) => Ok(Value::Number(number)),
                None => Err(self.error_at(start, format!("`{digits}` is no finite number"))),
            };
        }
        match digits.parse::<i128>() {
            Ok(whole) => self.whole(start, if negative { -whole } else { whole }),
            Err(_) => Err(self.error_at(start, "this whole number is too large")),
        }
    }

    fn whole(&self, start: usize, whole: i128) -> Result<Value, ParseError> {
        if let Ok(whole) = i64::try_from(whole) {
            return Ok(Value::from(whole));
        }
        u64::try_from(whole).map(Value::from).map_err(|_| self.error_at(start, "this whole number is too large"))
    }

    /// Text literals one after another are one text, as in Python.
    pub fn string(&mut self) -> Result<String, ParseError> {
        let mut text = self.one_string(false)?;
        loop {
            let before = self.at;
            self.blank();
            if !matches!(self.peek(), Some('"' | '\'')) {
                self.at = before;
                return Ok(text);
            }
            text.push_str(&self.one_string(false)?);
        }
    }

    fn raw_string(&mut self) -> Result<String, ParseError> {
        self.one_string(true)
    }

    fn one_string(&mut self, raw: bool) -> Result<String, ParseError> {
        let start = self.at;
        let quote = if self.peek() == Some('"') { "\"" } else { "'" };
        let triple = quote.repeat(3);
        let (quote, long) = if self.rest().starts_with(&triple) { (triple.as_str(), true) } else { (quote, false) };
        self.eat(quote);
        let mut text = String::new();
        loop {
            if self.eat(quote) {
                return Ok(text);
            }
            match self.next() {
                None => return Err(self.error_at(start, "this text is never closed")),
                Some('\n') if !long => return Err(self.error_at(start, "this text is not closed on its line")),
                Some('\\') if raw => {
                    text.push('\\');
                    if let Some(next) = self.next() {
                        text.push(next);
                    }
                }
                Some('\\') => self.escape(&mut text)?,
                Some(other) => text.push(other),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), ParseError> {
        let start = self.at;
        let Some(letter) = self.next() else {
            return Err(self.error_at(start, "this text is never closed"));
        };
        let character = match letter {
            '\n' => return Ok(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'v' => '\x0b',
            '\\' | '\'' | '"' => letter,
            '0'..='7' => {
                self.at = start;
                let rest = self.rest();
                let length = rest.chars().take(3).take_while(|c| ('0'..='7').contains(c)).count();
                self.at += length;
                let code = u32::from_str_radix(&rest[..length], 8).unwrap_or(0);
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            'x' => self.hex(start, 2)?,
            'u' => self.hex(start, 4)?,
            'U' => self.hex(start, 8)?,
            'N' => return Err(self.error_at(start, "named characters are not read")),
            // Python keeps an unknown escape as it stands.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(character);
        Ok(())
    }

    fn hex(&mut self, start: usize, digits: usize) -> Result<char, ParseError> {
        let code = self.rest().get(..digits).filter(|hex| hex.chars().all(|c| c.is_ascii_hexdigit()));
        let Some(code) = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else {
            return Err(self.error_at(start, format!("expected {digits} hexadecimal digits")));
        };
        self.at += digits;
        // JSON writers spell characters beyond the basic plane as two surrogates.
        if (0xD800..0xDC00).contains(&code) && self.rest().starts_with("\\u") {
            let low = self.rest().get(2..6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
            if let Some(low) = low.filter(|low| (0xDC00..0xE000).contains(low)) {
                self.at += 6;
                let code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                return char::from_u32(code).ok_or_else(|| self.error_at(start, "this is no character"));
            }
        }
        char::from_u32(code).ok_or_else(|| self.error_at(start, "half a surrogate pair is no character"))
    }
}
