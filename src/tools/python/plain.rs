//! A short cut for plain sources, which most model answers are: a list of calls with literal keyword arguments.
//!
//! It answers only where the whole parser would say the same, and leaves everything else to it (`None`).

use super::{dict::PyDict, literal::unescape, resolve::Call, value::PyValue};

/// Deeper values are left to the parser.
const MAX_DEPTH: usize = 32;

/// What a plain source holds.
#[derive(Debug)]
pub(super) enum Found {
    /// A list of calls.
    Calls(Vec<Call>),
    /// A list with an element that is no call.
    SomethingElse,
}

/// Reads a plain source.
pub(super) fn calls(source: &str) -> Option<Found> {
    let mut reader = Reader { source, bytes: source.as_bytes(), at: 0 };
    reader.expect(b'[')?;
    let mut calls = Vec::new();
    let mut only_calls = true;
    loop {
        reader.blank();
        if reader.byte() == b']' {
            break;
        }
        match reader.call()? {
            Some(call) => calls.push(call),
            None => {
                reader.value(0)?;
                only_calls = false;
            }
        }
        reader.blank();
        match reader.byte() {
            b',' => reader.at += 1,
            b']' => break,
            _ => return None,
        }
    }
    (reader.at + 1 == source.len()).then_some(if only_calls { Found::Calls(calls) } else { Found::SomethingElse })
}

struct Reader<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let found = self.byte() == byte;
        self.at += usize::from(found);
        found.then_some(())
    }

    fn blank(&mut self) {
        while matches!(self.byte(), b' ' | b'\n' | b'\t') {
            self.at += 1;
        }
    }

    /// A call; `Some(None)` at something that begins otherwise.
    fn call(&mut self) -> Option<Option<Call>> {
        if !is_name_start(self.byte()) {
            return Some(None);
        }
        let start = self.at;
        loop {
            if is_keyword(self.name()?) {
                self.at = start;
                return Some(None);
            }
            if self.byte() != b'.' {
                break;
            }
            self.at += 1;
        }
        let name = &self.source[start..self.at];
        if self.byte() != b'(' {
            self.at = start;
            return Some(None);
        }
        self.at += 1;
        let mut arguments = PyDict::with_capacity(4);
        loop {
            self.blank();
            if self.byte() == b')' {
                break;
            }
            let key = self.name()?;
            if is_keyword(key) {
                return None;
            }
            let key = PyValue::from(key);
            self.blank();
            self.expect(b'=')?;
            self.blank();
            let value = self.value(0)?;
            arguments.insert(key, value);
            self.blank();
            match self.byte() {
                b',' => self.at += 1,
                b')' => break,
                _ => return None,
            }
        }
        self.at += 1;
        let name = name.to_owned();
        Some(Some(Call { name, arguments }))
    }

    fn name(&mut self) -> Option<&str> {
        let start = self.at;
        if !is_name_start(self.byte()) {
            return None;
        }
        while is_name_part(self.byte()) {
            self.at += 1;
        }
        // Other letters may go on or need normalising.
        (self.byte() < 128).then(|| &self.source[start..self.at])
    }

    fn value(&mut self, depth: usize) -> Option<PyValue> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.byte() {
            b'\'' | b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'[' => {
                self.at += 1;
                self.items(b']', depth).map(|(items, _)| PyValue::List(items))
            }
            b'(' => {
                self.at += 1;
                let (mut items, comma) = self.items(b')', depth)?;
                // `(x)` is x, `(x,)` and `()` are tuples.
                if items.len() == 1 && !comma { items.pop() } else { Some(PyValue::Tuple(items)) }
            }
            b'{' => self.dict(depth),
            _ => self.word(),
        }
    }

    fn items(&mut self, close: u8, depth: usize) -> Option<(Vec<PyValue>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            self.blank();
            if self.byte() == close {
                break;
            }
            items.push(self.value(depth + 1)?);
            self.blank();
            comma = self.byte() == b',';
            if comma {
                self.at += 1;
            } else if self.byte() == close {
                break;
            } else {
                return None;
            }
        }
        self.at += 1;
        Some((items, comma))
    }

    fn dict(&mut self, depth: usize) -> Option<PyValue> {
        self.at += 1;
        let mut dict = PyDict::new();
        loop {
            self.blank();
            if self.byte() == b'}' {
                break;
            }
            let key = self.value(depth + 1)?;
            if !matches!(key, PyValue::Str(_) | PyValue::Int(_)) {
                return None;
            }
            self.blank();
            self.expect(b':')?;
            self.blank();
            let value = self.value(depth + 1)?;
            dict.insert(key, value);
            self.blank();
            match self.byte() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(PyValue::Dict(dict))
    }

    /// A value ends at a sign that ends it, and nowhere else.
    fn ends(&mut self) -> Option<()> {
        self.blank();
        matches!(self.byte(), b',' | b')' | b']' | b'}' | b':').then_some(())
    }

    fn word(&mut self) -> Option<PyValue> {
        let word = self.name()?;
        let value = match word {
            "True" => PyValue::Bool(true),
            "False" => PyValue::Bool(false),
            "None" => PyValue::None,
            _ if is_keyword(word) => return None,
            _ => PyValue::from(word),
        };
        self.ends()?;
        Some(value)
    }

    fn string(&mut self) -> Option<PyValue> {
        let quote = self.byte();
        let start = self.at + 1;
        let mut end = start;
        let mut escaped = false;
        loop {
            let byte = *self.bytes.get(end)?;
            match byte {
                _ if byte == quote => break,
                b'\\' => {
                    escaped = true;
                    // Line breaks and the end are left to the parser.
                    if !matches!(self.bytes.get(end + 1)?, b' '..=b'~') {
                        return None;
                    }
                    end += 2;
                }
                b'\n' | b'\r' | 0 => return None,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        if self.byte() == quote {
            return None;
        }
        let body = &self.source[start..end];
        let text = if escaped { unescape(body).ok()? } else { body.to_owned() };
        self.ends()?;
        Some(PyValue::Str(text))
    }

    fn number(&mut self) -> Option<PyValue> {
        let start = self.at;
        self.at += usize::from(self.byte() == b'-');
        let digits = self.at;
        self.digits();
        let whole = self.at - digits;
        if whole == 0 || whole > 18 || (whole > 1 && self.bytes[digits] == b'0') {
            return None;
        }
        let mut float = false;
        if self.byte() == b'.' {
            float = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.byte(), b'e' | b'E') {
            float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            if !self.byte().is_ascii_digit() {
                return None;
            }
            self.digits();
        }
        let text = &self.source[start..self.at];
        let value = if float { PyValue::Float(text.parse().ok()?) } else { PyValue::Int(text.parse().ok()?) };
        self.ends()?;
        Some(value)
    }

    fn digits(&mut self) {
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
    }
}

const fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn is_name_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_keyword(word: &str) -> bool {
    matches!(word.len(), 2..=8)
        && matches!(
            word,
            "False"
                | "None"
                | "True"
                | "and"
                | "as"
                | "assert"
                | "async"
                | "await"
                | "break"
                | "class"
                | "continue"
                | "def"
                | "del"
                | "elif"
                | "else"
                | "except"
                | "finally"
                | "for"
                | "from"
                | "global"
                | "if"
                | "import"
                | "in"
                | "is"
                | "lambda"
                | "nonlocal"
                | "not"
                | "or"
                | "pass"
                | "raise"
                | "return"
                | "try"
                | "while"
                | "with"
                | "yield"
        )
}
