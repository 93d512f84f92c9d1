//! A short cut for plain Java and JavaScript, which most answers are: `name(parameter = literal, …)`.
//!
//! It answers only where the grammars would say the same, and leaves everything else to them (`None`): other letters than
//! ASCII, escapes, comments, operators, lambdas, reserved words.

use super::code::Grammar;
use crate::tools::python::{Call, PyDict, PyValue};

/// A Java call without `;` parses only if it is long enough: the parser's repair, a missing `;`, costs 610, to give up the
/// text 600 and one per byte. Texts near the turning point are left to the grammar.
const LONG_ENOUGH: usize = 13;

/// Deeper arrays and objects are left to the grammar.
const MAX_DEPTH: usize = 16;

const AS_LIST: &str = "Arrays.asList(";

/// What a plain source is.
pub(super) enum Found {
    /// Blanks.
    Nothing,
    Call(Call),
    /// Several calls with commas between.
    Several,
}

/// Reads a plain source.
pub(super) fn read(source: &str, grammar: Grammar) -> Option<Found> {
    if source.bytes().all(|byte| byte == b' ') {
        return Some(Found::Nothing);
    }
    if matches!(grammar, Grammar::Java) && source.len() < LONG_ENOUGH {
        return None;
    }
    let mut reader = Reader { source, bytes: source.as_bytes(), at: 0, grammar };
    let call = reader.call()?;
    reader.blank();
    let mut several = false;
    while reader.eat(b',') {
        several = true;
        reader.blank();
        reader.call()?;
        reader.blank();
    }
    (reader.at == source.len()).then_some(if several { Found::Several } else { Found::Call(call) })
}

struct Reader<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    grammar: Grammar,
}

impl<'a> Reader<'a> {
    fn byte(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.byte() == byte;
        self.at += usize::from(found);
        found
    }

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
        (ends && !is_reserved(name)).then_some(name)
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
        self.blank();
        if self.eat(b')') {
            return Some(Call { name, arguments });
        }
        loop {
            let key = self.name()?;
            self.blank();
            self.eat(b'=').then_some(())?;
            self.blank();
            let value = if self.is_java() { self.java_value()? } else { self.javascript_value()? };
            if arguments.get_str(key).is_some() {
                return None;
            }
            arguments.insert(PyValue::from(key), PyValue::Str(value));
            self.blank();
            if self.eat(b')') {
                return Some(Call { name, arguments });
            }
            self.eat(b',').then_some(())?;
            self.blank();
        }
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
        if self.at - digits > 1 && self.bytes[digits] == b'0' {
            return None;
        }
        let mut whole = true;
        if self.eat(b'.') {
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

    /// Whether the value ends here.
    fn blank_ends(&self) -> bool {
        let rest = &self.bytes[self.at..];
        let next = rest.iter().find(|byte| !matches!(**byte, b' ' | b'\n'));
        matches!(next, Some(b',' | b')' | b']' | b'}'))
    }

    /// `true`, `false`, `null` or a name.
    fn word(&mut self) -> Option<&'a str> {
        let start = self.at;
        let rest = &self.source[start..];
        if let Some(word) = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word)) {
            self.at += word.len();
            if self.blank_ends() {
                return Some(word);
            }
            self.at = start;
        }
        let word = self.dotted()?;
        self.blank_ends().then_some(word)
    }

    fn java_value(&mut self) -> Option<String> {
        match self.byte() {
            quote @ (b'"' | b'\'') => {
                let text = self.java_text(quote)?;
                self.blank_ends().then(|| text.to_owned())
            }
            b'-' | b'0'..=b'9' => self.number().map(str::to_owned),
            b'n' if self.source[self.at..].starts_with("new ") => {
                self.at += "new ".len();
                let value = self.java_array().or_else(|| self.java_object())?;
                self.blank_ends().then_some(value)
            }
            _ => self.word().map(str::to_owned),
        }
    }

    /// A text, or a character: characters are never empty.
    fn java_text(&mut self, quote: u8) -> Option<&'a str> {
        let text = self.text(quote)?;
        (quote == b'"' || !text.is_empty()).then_some(text)
    }

    /// A literal or a name as it stands.
    fn java_scalar(&mut self) -> Option<&'a str> {
        match self.byte() {
            quote @ (b'"' | b'\'') => {
                let start = self.at;
                self.java_text(quote)?;
                self.blank_ends().then(|| &self.source[start..self.at])
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    /// Literals up to a closing bracket.
    fn java_scalars(&mut self, close: u8, mut each: impl FnMut(&'a str)) -> Option<()> {
        self.blank();
        if self.eat(close) {
            return Some(());
        }
        loop {
            each(self.java_scalar()?);
            self.blank();
            if self.eat(close) {
                return Some(());
            }
            self.eat(b',').then_some(())?;
            self.blank();
        }
    }

    fn plain_word(&mut self) -> &'a str {
        let start = self.at;
        while self.byte().is_ascii_alphanumeric() {
            self.at += 1;
        }
        &self.source[start..self.at]
    }

    /// `T[]{…}`, whose text is written again without blanks. Comes back where it is none.
    fn java_array(&mut self) -> Option<String> {
        let start = self.at;
        let kind = self.plain_word();
        let known = matches!(
            kind,
            "int" | "long" | "short" | "byte" | "float" | "double" | "boolean" | "char" | "String" | "Object"
        );
        if !known || !self.source[self.at..].starts_with("[]") {
            self.at = start;
            return None;
        }
        self.at += 2;
        self.blank();
        self.eat(b'{').then_some(())?;
        let mut value = format!("new {kind}[]{{");
        let mut first = true;
        self.java_scalars(b'}', |element| {
            if !first {
                value.push(',');
            }
            first = false;
            value.push_str(element);
        })?;
        value.push('}');
        Some(value)
    }

    /// `HashMap<…>()` or `ArrayList<…>(…)`; a body of plain `put` and `add` is lost, as it is officially.
    fn java_object(&mut self) -> Option<String> {
        let kind = self.plain_word();
        if !matches!(kind, "HashMap" | "ArrayList") || !self.eat(b'<') {
            return None;
        }
        let mut value = format!("new {kind}<");
        if !self.eat(b'>') {
            loop {
                let parameter = self.plain_word();
                if !matches!(
                    parameter,
                    "String"
                        | "Object"
                        | "Integer"
                        | "Long"
                        | "Float"
                        | "Double"
                        | "Boolean"
                        | "Character"
                        | "Short"
                        | "Byte"
                        | "int"
                        | "long"
                        | "float"
                        | "double"
                        | "boolean"
                        | "char"
                        | "short"
                        | "byte"
                ) {
                    return None;
                }
                value.push_str(parameter);
                self.blank();
                if self.eat(b'>') {
                    break;
                }
                self.eat(b',').then_some(())?;
                value.push(',');
                self.blank();
            }
        }
        value.push_str(">(");
        self.eat(b'(').then_some(())?;
        if !self.eat(b')') {
            let start = self.at;
            self.source[start..].starts_with(AS_LIST).then_some(())?;
            self.at += AS_LIST.len();
            self.java_scalars(b')', |_| {})?;
            value.push_str(&self.source[start..self.at]);
            value.push(')');
            self.eat(b')').then_some(())?;
            return Some(value);
        }
        value.push(')');
        let before = self.at;
        self.blank();
        if !self.source[self.at..].starts_with("{{") {
            self.at = before;
            return Some(value);
        }
        self.at += 2;
        self.blank();
        while !self.eat(b'}') {
            if !matches!(self.plain_word(), "put" | "add") || !self.eat(b'(') {
                return None;
            }
            self.java_scalars(b')', |_| {})?;
            self.eat(b';').then_some(())?;
            self.blank();
        }
        self.eat(b'}').then_some(value)
    }

    fn javascript_value(&mut self) -> Option<String> {
        let start = self.at;
        if let quote @ (b'"' | b'\'') = self.byte() {
            let text = self.text(quote)?;
            return self.blank_ends().then(|| text.to_owned());
        }
        self.javascript_part(0)?;
        Some(self.source[start..self.at].to_owned())
    }

    /// Reads over a literal.
    fn javascript_part(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.byte() {
            quote @ (b'"' | b'\'') => {
                self.text(quote)?;
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
            }
            b'[' => {
                self.at += 1;
                self.elements(b']', depth)?;
            }
            b'{' => {
                self.at += 1;
                self.properties(depth)?;
            }
            b'n' if self.source[self.at..].starts_with("new Array(") => {
                self.at += "new Array(".len();
                self.elements(b')', depth)?;
            }
            _ => {
                self.word()?;
            }
        }
        self.blank_ends().then_some(())
    }

    fn elements(&mut self, close: u8, depth: usize) -> Option<()> {
        self.blank();
        if self.eat(close) {
            return Some(());
        }
        loop {
            self.javascript_part(depth + 1)?;
            self.blank();
            if self.eat(close) {
                return Some(());
            }
            self.eat(b',').then_some(())?;
            self.blank();
        }
    }

    fn properties(&mut self, depth: usize) -> Option<()> {
        self.blank();
        if self.eat(b'}') {
            return Some(());
        }
        loop {
            match self.byte() {
                quote @ (b'"' | b'\'') => {
                    self.text(quote)?;
                }
                _ => {
                    self.name()?;
                }
            }
            self.blank();
            self.eat(b':').then_some(())?;
            self.blank();
            self.javascript_part(depth + 1)?;
            self.blank();
            if self.eat(b'}') {
                return Some(());
            }
            self.eat(b',').then_some(())?;
            self.blank();
        }
    }
}

/// Words that either language keeps for itself, anywhere.
fn is_reserved(word: &str) -> bool {
    matches!(
        word,
        "_" | "abstract"
            | "as"
            | "assert"
            | "async"
            | "await"
            | "boolean"
            | "break"
            | "byte"
            | "case"
            | "catch"
            | "char"
            | "class"
            | "const"
            | "continue"
            | "debugger"
            | "default"
            | "delete"
            | "do"
            | "double"
            | "else"
            | "enum"
            | "export"
            | "exports"
            | "extends"
            | "false"
            | "final"
            | "finally"
            | "float"
            | "for"
            | "from"
            | "function"
            | "get"
            | "goto"
            | "if"
            | "implements"
            | "import"
            | "in"
            | "instanceof"
            | "int"
            | "interface"
            | "let"
            | "long"
            | "module"
            | "native"
            | "new"
            | "non"
            | "null"
            | "of"
            | "open"
            | "opens"
            | "package"
            | "permits"
            | "private"
            | "protected"
            | "provides"
            | "public"
            | "record"
            | "requires"
            | "return"
            | "sealed"
            | "set"
            | "short"
            | "static"
            | "strictfp"
            | "super"
            | "switch"
            | "synchronized"
            | "target"
            | "this"
            | "throw"
            | "throws"
            | "to"
            | "transient"
            | "transitive"
            | "true"
            | "try"
            | "typeof"
            | "undefined"
            | "uses"
            | "var"
            | "void"
            | "volatile"
            | "when"
            | "while"
            | "with"
            | "yield"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{java, javascript};

    /// What sources are put together of: plain parts, and what makes them anything else.
    const PARTS: &[&str] = &[
        "f(a=1)",
        "a.b.f(",
        "f(",
        ")",
        "(",
        "=",
        ",",
        ", ",
        " ",
        "\n",
        ".",
        "x",
        "a=",
        "b='c'",
        "c=\"d e\"",
        "\"",
        "'",
        "1",
        "-2",
        "3.5",
        "4L",
        "5.0f",
        "6n",
        "1e3",
        "0x1F",
        "07",
        "true",
        "null",
        "new ArrayList<>(Arrays.asList(",
        "))",
        "new int[]{1, 2}",
        "new HashMap<String, Object>() {{ put(\"k\", 1); }}",
        "{",
        "}",
        "[",
        "]",
        "{a: 1}",
        "[1, 'x']",
        "new Array(",
        "`",
        "```",
        "```java\n",
        "\\",
        "//",
        "/*",
        "#",
        "@",
        ";",
        "+",
        "=>",
        "->",
        "lambda x: x",
        "é",
        "class",
        "undefined",
        "$",
        "_",
    ];

    fn source() -> impl Strategy<Value = String> {
        let part = prop::sample::select(PARTS);
        let free = prop::collection::vec(part.clone(), 0..10).prop_map(|parts| parts.concat());
        // Calls that are whole but for what stands in one place.
        let call = (prop::collection::vec(part, 0..4), 0usize..3).prop_map(|(parts, place)| {
            let middle = parts.concat();
            ["f(a=", "1, b=", "\"t\")"]
                .iter()
                .enumerate()
                .fold(String::new(), |text, (index, piece)| text + piece + if index == place { &middle } else { "" })
        });
        prop_oneof![free, call]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn the_short_cut_says_what_the_grammars_say(source in source()) {
            prop_assert_eq!(java::decode(&source), java::decode_by_grammar(&source), "Java");
            prop_assert_eq!(javascript::decode(&source), javascript::decode_by_grammar(&source), "JavaScript");
        }
    }
}
