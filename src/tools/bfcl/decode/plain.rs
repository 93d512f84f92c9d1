//! A short cut for plain Java and JavaScript, which most answers are: `name(parameter = literal, …)`.
//!
//! It answers only where the grammars would say the same, and leaves everything else to them (`None`): other letters than
//! ASCII, escapes, comments, operators, lambdas, reserved words.

mod java;
mod javascript;
mod reserved;
#[cfg(test)]
mod tests;

use super::code::Grammar;
use crate::tools::python::{Call, PyDict, PyValue};

/// A Java call without `;` parses only if it is longer: the parser's repair, a missing `;`, costs 610, to give up the text 600
/// and one per byte.
const TOO_SHORT: usize = 10;

/// And where there are blanks around it or lines in it, as many bytes more at most.
const BLANKS: usize = 3;

/// What a plain source is.
pub(super) enum Found {
    /// Blanks.
    Nothing,
    Call(Call),
    /// Several calls with commas between.
    Several,
    /// No code, whatever follows, and whatever a parser that repairs code may add.
    Broken,
}

/// Reads a plain source.
pub(super) fn read(source: &str, grammar: Grammar) -> Option<Found> {
    if source.bytes().all(|byte| byte == b' ') {
        return Some(Found::Nothing);
    }
    let mut reader = Reader { source, bytes: source.as_bytes(), at: 0, grammar, broken: false };
    let found = reader.source();
    if found.is_none() && reader.broken { Some(Found::Broken) } else { found }
}

struct Reader<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    grammar: Grammar,
    /// What stopped it cannot stand here.
    broken: bool,
}

impl<'a> Reader<'a> {
    fn source(&mut self) -> Option<Found> {
        let call = self.call()?;
        self.blank();
        // Closes nothing.
        self.broken = self.byte() == b']';
        let mut several = false;
        while self.eat(b',') {
            several = true;
            self.blank();
            self.call()?;
            self.blank();
        }
        if self.is_java() && !several {
            if self.eat(b';') {
                self.blank();
            } else if self.source.trim_end().len() <= TOO_SHORT + BLANKS {
                // Blanks and lines have a price of their own: such texts are left to the grammar.
                let counts = self.bytes.last() == Some(&b')') && !self.bytes.contains(&b'\n');
                self.broken = counts && self.bytes.len() <= TOO_SHORT;
                if !counts || self.broken {
                    return None;
                }
            }
        }
        (self.at == self.source.len()).then_some(if several { Found::Several } else { Found::Call(call) })
    }

    #[inline]
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.byte() == byte;
        self.at += usize::from(found);
        found
    }

    /// Reads what stands between commas up to a closing bracket.
    fn list(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.blank();
        if self.eat(close) {
            return Some(());
        }
        loop {
            item(self)?;
            self.blank();
            if self.eat(close) {
                return Some(());
            }
            self.eat(b',').then_some(())?;
            self.blank();
        }
    }

    #[inline]
    fn blank(&mut self) {
        while matches!(self.byte(), b' ' | b'\n') {
            self.at += 1;
        }
    }

    const fn is_java(&self) -> bool {
        matches!(self.grammar, Grammar::Java)
    }

    /// A name that is no reserved word.
    fn name(&mut self) -> Option<&'a str> {
        let start = self.at;
        if !(self.byte().is_ascii_alphabetic() || self.byte() == b'_') {
            return None;
        }
        while self.byte().is_ascii_alphanumeric() || self.byte() == b'_' {
            self.at += 1;
        }
        let name = &self.source[start..self.at];
        let ends = self.byte() < 128 && !matches!(self.byte(), b'$' | b'\\');
        (ends && !reserved::is_reserved(name, self.grammar)).then_some(name)
    }

    fn dotted(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.name()?;
        while self.eat(b'.') {
            self.name()?;
        }
        Some(&self.source[start..self.at])
    }

    fn call(&mut self) -> Option<Call> {
        let name = self.dotted()?.to_owned();
        self.eat(b'(').then_some(())?;
        let mut arguments = PyDict::with_capacity(4);
        self.list(b')', |reader| {
            let (key, value) = reader.argument()?;
            if let Some(value) = value {
                if arguments.get(&key).is_some() {
                    return None;
                }
                arguments.insert(key, PyValue::Str(value));
            }
            Some(())
        })?;
        Some(Call { name, arguments })
    }

    /// An argument and its name, which is `None` for one by place. Of those only names and `true` in JavaScript count; the others
    /// are lost, as they are officially.
    fn argument(&mut self) -> Option<(PyValue, Option<String>)> {
        let start = self.at;
        if let Some(key) = self.name() {
            self.blank();
            if self.eat(b'=') {
                self.blank();
                let value = self.value()?;
                return Some((PyValue::from(key), Some(value)));
            }
        }
        self.at = start;
        let is_word = self.byte().is_ascii_alphabetic() || self.byte() == b'_';
        let value = self.value()?;
        let is_name = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let counts = match (value.as_str(), self.is_java()) {
            ("false" | "null", _) | ("true", true) | ("undefined", false) => false,
            (text, true) if text.ends_with(".class") => is_word,
            _ => is_word && is_name,
        };
        Some((PyValue::None, counts.then_some(value)))
    }

    fn value(&mut self) -> Option<String> {
        if self.is_java() { self.java_value() } else { self.javascript_value() }
    }

    /// Text in quotes without escapes; what stands between them.
    fn text(&mut self, quote: u8) -> Option<&'a str> {
        let start = self.at + 1;
        let length = self.bytes[start..].iter().position(|byte| *byte == quote)?;
        let text = &self.source[start..start + length];
        self.at = start + length + 1;
        // Two quotes may begin a text over several lines.
        if self.byte() == quote {
            return None;
        }
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\\';
        let plain = text.bytes().all(|byte| plain(byte) || (byte >= 128 && !self.is_java()));
        plain.then_some(text)
    }

    /// A number as both languages write it, with Java's or JavaScript's suffixes.
    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.eat(b'-');
        let digits = self.at;
        self.digits()?;
        if self.at - digits == 1 && self.bytes[digits] == b'0' && self.eat(b'x') {
            let first = self.at;
            while self.byte().is_ascii_hexdigit() {
                self.at += 1;
            }
            return (self.at > first && self.blank_ends()).then(|| &self.source[start..self.at]);
        }
        if self.at - digits > 1 && self.bytes[digits] == b'0' {
            return None;
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.eat(b'e') {
            whole = false;
            self.digits()?;
        }
        match (self.byte(), self.is_java()) {
            (b'f' | b'F' | b'd' | b'D', true) => self.at += 1,
            (b'l' | b'L', true) | (b'n', false) if whole => self.at += 1,
            _ => {}
        }
        self.blank_ends().then(|| &self.source[start..self.at])
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// The next byte that is no blank.
    #[inline]
    fn next(&self) -> Option<u8> {
        self.bytes[self.at..].iter().copied().find(|byte| !matches!(byte, b' ' | b'\n'))
    }

    /// Whether the value ends here.
    #[inline]
    fn blank_ends(&self) -> bool {
        matches!(self.next(), Some(b',' | b')' | b']' | b'}'))
    }

    /// Whether a text or a word that is an argument ends here. No word but `in` and `instanceof`, no number and, after a word, no
    /// text may follow.
    fn operand_ends(&mut self, is_word: bool) -> bool {
        self.broken = self.next().is_some_and(|byte| match byte {
            b'i' => false,
            b'"' | b'\'' => is_word,
            _ => byte.is_ascii_alphanumeric(),
        });
        self.blank_ends()
    }

    /// A word that is an argument.
    fn word_argument(&mut self) -> Option<&'a str> {
        let word = self.word_itself()?;
        self.operand_ends(true).then_some(word)
    }

    /// `true`, `false`, `null`, `undefined`, or a name, in Java also the name of a class with `.class`, in both with `++`.
    fn word(&mut self) -> Option<&'a str> {
        let word = self.word_itself()?;
        self.blank_ends().then_some(word)
    }

    fn word_itself(&mut self) -> Option<&'a str> {
        let start = self.at;
        let rest = &self.source[start..];
        if let Some(word) = ["true", "false", "null", "undefined"].into_iter().find(|word| rest.starts_with(word)) {
            self.at += word.len();
            if self.blank_ends() {
                return Some(word);
            }
            self.at = start;
        }
        self.name()?;
        while self.eat(b'.') {
            let part = self.at;
            if self.name().is_none() {
                // A reserved word is read over before it is refused.
                if self.is_java() && &self.source[part..self.at] == "class" {
                    break;
                }
                return None;
            }
        }
        if self.source[self.at..].starts_with("++") {
            self.at += 2;
        }
        Some(&self.source[start..self.at])
    }
}
