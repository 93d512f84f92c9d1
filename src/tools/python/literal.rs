//! The values of number and text tokens.

use num_bigint::BigInt;

use super::value::{PyValue, half_surrogate};

/// CPython refuses longer decimal numbers.
pub(super) const MAX_DIGITS: usize = 4300;

/// Returns the value of a number token; the message of a refusal.
pub(super) fn number(token: &str) -> Result<PyValue, String> {
    if let Ok(whole) = token.parse::<i64>() {
        return Ok(PyValue::Int(whole));
    }
    let digits: String = token.chars().filter(|digit| *digit != '_').collect();
    if let Some(base) = match digits.get(..2) {
        Some("0x" | "0X") => Some(16),
        Some("0o" | "0O") => Some(8),
        Some("0b" | "0B") => Some(2),
        _ => None,
    } {
        let whole = BigInt::parse_bytes(&digits.as_bytes()[2..], base);
        return whole.map(PyValue::integer).ok_or_else(|| "invalid number".to_owned());
    }
    if let Some(imaginary) = digits.strip_suffix(['j', 'J']) {
        return imaginary.parse().map(|part| PyValue::Complex(0.0, part)).map_err(|_| "invalid number".to_owned());
    }
    if digits.contains(['.', 'e', 'E']) {
        return digits.parse().map(PyValue::Float).map_err(|_| "invalid number".to_owned());
    }
    if digits.len() > MAX_DIGITS {
        return Err(format!(
            "{} - Consider hexadecimal for huge integer literals to avoid decimal conversion limits.",
            too_many_digits(digits.len())
        ));
    }
    BigInt::parse_bytes(digits.as_bytes(), 10).map(PyValue::integer).ok_or_else(|| "invalid number".to_owned())
}

/// CPython's refusal of a number with too many digits.
pub(super) fn too_many_digits(digits: usize) -> String {
    format!(
        "Exceeds the limit ({MAX_DIGITS} digits) for integer string conversion: value has {digits} digits; use \
         sys.set_int_max_str_digits() to increase the limit"
    )
}

/// A text token taken apart.
pub(super) struct Text<'a> {
    pub bytes: bool,
    pub raw: bool,
    pub formatted: bool,
    pub unicode: bool,
    /// Between the quotes.
    pub body: &'a str,
}

impl<'a> Text<'a> {
    pub fn of(token: &'a str) -> Self {
        let prefix = token.find(['"', '\'']).unwrap_or(0);
        let has = |letter: char| token[..prefix].contains([letter, letter.to_ascii_uppercase()]);
        let quoted = &token[prefix..];
        let length = if quoted.starts_with("\"\"\"") || quoted.starts_with("'''") { 3 } else { 1 };
        let body = quoted.get(length..quoted.len() - length).unwrap_or("");
        Self { bytes: has('b'), raw: has('r'), formatted: has('f'), unicode: token.starts_with('u'), body }
    }

    /// Returns the text with its escapes resolved.
    pub fn text(&self) -> Result<String, String> {
        if self.raw { Ok(self.body.to_owned()) } else { unescape(self.body) }
    }

    /// Returns the bytes with their escapes resolved.
    pub fn byte_values(&self) -> Result<Vec<u8>, String> {
        if !self.body.is_ascii() {
            return Err("bytes can only contain ASCII literal characters".to_owned());
        }
        if self.raw { Ok(self.body.as_bytes().to_vec()) } else { unescape_bytes(self.body.as_bytes()) }
    }
}

/// Resolves the escapes of a text.
pub(super) fn unescape(body: &str) -> Result<String, String> {
    let Some(first) = body.find('\\') else {
        return Ok(body.to_owned());
    };
    let mut text = String::with_capacity(body.len());
    text.push_str(&body[..first]);
    let mut rest = &body[first..];
    while let Some(place) = rest.find('\\') {
        text.push_str(&rest[..place]);
        rest = escape(&rest[place..], &mut text, body)?;
    }
    text.push_str(rest);
    Ok(text)
}

/// Resolves the escape at the start of `rest`, returns what follows it.
fn escape<'a>(rest: &'a str, text: &mut String, body: &str) -> Result<&'a str, String> {
    let mut characters = rest[1..].chars();
    let letter = characters.next();
    let behind = characters.as_str();
    let simple = match letter {
        Some('\n') => return Ok(behind),
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('a') => '\x07',
        Some('b') => '\x08',
        Some('f') => '\x0c',
        Some('v') => '\x0b',
        Some(same @ ('\\' | '\'' | '"')) => same,
        Some('0'..='7') => {
            let digits = &rest[1..];
            let length = digits.bytes().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
            let code = u32::from_str_radix(&digits[..length], 8).unwrap_or(0);
            text.push(char::from_u32(code).unwrap_or('\0'));
            return Ok(&digits[length..]);
        }
        Some(kind @ ('x' | 'u' | 'U')) => {
            let (length, shape) = match kind {
                'x' => (2, "\\xXX"),
                'u' => (4, "\\uXXXX"),
                _ => (8, "\\UXXXXXXXX"),
            };
            let good = behind.bytes().take(length).take_while(u8::is_ascii_hexdigit).count();
            if good < length {
                return Err(codec_error(body, rest, 2 + good, &format!("truncated {shape} escape")));
            }
            let code = u32::from_str_radix(&behind[..length], 16).unwrap_or(u32::MAX);
            match char::from_u32(code) {
                Some(character) => text.push(character),
                None if (0xD800..0xE000).contains(&code) => text.push(half_surrogate(code)),
                None => return Err(codec_error(body, rest, 2 + length, "illegal Unicode character")),
            }
            return Ok(&behind[length..]);
        }
        Some('N') => {
            // Names of characters are not known here: CPython reads those of its database.
            let length = behind.find('}').map_or(behind.len(), |end| end + 1);
            let reason = if behind.starts_with('{') && length > 2 && behind[..length].ends_with('}') {
                "unknown Unicode character name"
            } else {
                "malformed \\N character escape"
            };
            let length = if behind.starts_with('{') { length } else { 0 };
            return Err(codec_error(body, rest, 2 + length, reason));
        }
        // Python keeps an unknown escape as it stands.
        Some(other) => {
            text.push('\\');
            other
        }
        None => {
            return Err(
                "(unicode error) 'unicodeescape' codec can't decode byte 0x5c in position 0: \\ at end of string"
                    .to_owned(),
            );
        }
    };
    text.push(simple);
    Ok(behind)
}

/// CPython counts positions in the text with all characters beyond ASCII written as `\UXXXXXXXX`.
fn codec_error(body: &str, rest: &str, length: usize, reason: &str) -> String {
    let before = &body[..body.len() - rest.len()];
    let start: usize = before.chars().map(|character| if character.is_ascii() { 1 } else { 10 }).sum();
    let end = start + length - 1;
    if length == 1 {
        return format!("(unicode error) 'unicodeescape' codec can't decode byte 0x5c in position {start}: {reason}");
    }
    format!("(unicode error) 'unicodeescape' codec can't decode bytes in position {start}-{end}: {reason}")
}

fn unescape_bytes(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        at += 1;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let Some(&letter) = body.get(at) else {
            return Err("(value error) Trailing \\ in string".to_owned());
        };
        at += 1;
        match letter {
            b'\n' => {}
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            b'a' => bytes.push(7),
            b'b' => bytes.push(8),
            b'f' => bytes.push(12),
            b'v' => bytes.push(11),
            b'\\' | b'\'' | b'"' => bytes.push(letter),
            b'0'..=b'7' => {
                let digits = &body[at - 1..];
                let length = digits.iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                let code = digits[..length].iter().fold(0_u32, |code, digit| code * 8 + u32::from(digit - b'0'));
                bytes.push(u8::try_from(code & 0xff).unwrap_or(0));
                at += length - 1;
            }
            b'x' => {
                let code = body.get(at..at + 2).and_then(|hex| std::str::from_utf8(hex).ok());
                let Some(code) = code
                    .filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()))
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                else {
                    return Err(format!("(value error) invalid \\x escape at position {}", at - 2));
                };
                bytes.push(code);
                at += 2;
            }
            other => bytes.extend([b'\\', other]),
        }
    }
    Ok(bytes)
}
