//! A short cut for plain Java and JavaScript, which most answers are: `name(parameter = literal, …)`.
//!
//! It answers only where the grammars would say the same, and leaves everything else to them (`None`): other letters than
//! ASCII, escapes, comments, operators, lambdas, reserved words.

use super::code::Grammar;
use crate::tools::python::{Call, PyDict, PyValue};

/// A Java call without `;` parses only if it is longer: the parser's repair, a missing `;`, costs 610, to give up the text 600
/// and one per byte.
const TOO_SHORT: usize = 10;

/// And where there are blanks around it or lines in it, as many bytes more at most.
const BLANKS: usize = 3;

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
        let apart = if self.is_java() { RESERVED_IN_JAVA } else { RESERVED_IN_JAVASCRIPT };
        (ends && !RESERVED.contains(&name) && !apart.contains(&name)).then_some(name)
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
            let (key, value) = self.argument()?;
            if let Some(value) = value {
                if arguments.get(&key).is_some() {
                    return None;
                }
                arguments.insert(key, PyValue::Str(value));
            }
            self.blank();
            if self.eat(b')') {
                return Some(Call { name, arguments });
            }
            self.eat(b',').then_some(())?;
            self.blank();
        }
    }

    /// An argument and its name, which is `None` for one by place. Of those only names and `true` in JavaScript count; the others
    /// are lost, as they are officially.
    fn argument(&mut self) -> Option<(PyValue, Option<String>)> {
        let start = self.at;
        if let Some(key) = self.name() {
            self.blank();
            if self.eat(b'=') {
                self.blank();
                let value = if self.is_java() { self.java_value()? } else { self.javascript_value()? };
                return Some((PyValue::from(key), Some(value)));
            }
        }
        self.at = start;
        let is_word = self.byte().is_ascii_alphabetic() || self.byte() == b'_';
        let value = if self.is_java() { self.java_value()? } else { self.javascript_value()? };
        let is_name = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let counts = match (value.as_str(), self.is_java()) {
            ("false" | "null", _) | ("true", true) | ("undefined", false) => false,
            (text, true) if text.ends_with(".class") => is_word,
            _ => is_word && is_name,
        };
        Some((PyValue::None, counts.then_some(value)))
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

    /// Whether the value ends here.
    fn blank_ends(&self) -> bool {
        let rest = &self.bytes[self.at..];
        let next = rest.iter().find(|byte| !matches!(**byte, b' ' | b'\n'));
        matches!(next, Some(b',' | b')' | b']' | b'}'))
    }

    /// Whether a text or a word that is an argument ends here. No word but `in` and `instanceof`, no number and, after a word, no
    /// text may follow.
    fn operand_ends(&mut self, is_word: bool) -> bool {
        let rest = &self.bytes[self.at..];
        let next = rest.iter().find(|byte| !matches!(**byte, b' ' | b'\n'));
        self.broken = next.is_some_and(|byte| match byte {
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

    fn java_value(&mut self) -> Option<String> {
        match self.byte() {
            quote @ (b'"' | b'\'') => {
                let text = self.java_text(quote)?;
                self.operand_ends(false).then(|| text.to_owned())
            }
            b'-' | b'0'..=b'9' => self.number().map(str::to_owned),
            b'[' | b'{' => {
                self.broken = true;
                None
            }
            b'n' if self.source[self.at..].starts_with("new ") => {
                self.at += "new ".len();
                let value = self.java_array().or_else(|| self.java_object())?;
                self.blank_ends().then_some(value)
            }
            _ => self.word_argument().map(str::to_owned),
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
        let kind = self.dotted()?;
        if self.eat(b'(') {
            let mut value = format!("new {kind}(");
            self.java_scalars(b')', |element| {
                if !value.ends_with('(') {
                    value.push_str(", ");
                }
                value.push_str(element);
            })?;
            value.push(')');
            return Some(value);
        }
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
            return self.operand_ends(false).then(|| text.to_owned());
        }
        if !matches!(self.byte(), b'-' | b'0'..=b'9' | b'[' | b'{') && !self.source[start..].starts_with("new ") {
            return self.word_argument().map(str::to_owned);
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

/// Words that are no names here in either language.
const RESERVED: &[&str] = &[
    "_",
    "as",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "else",
    "enum",
    "exports",
    "extends",
    "false",
    "finally",
    "for",
    "goto",
    "if",
    "implements",
    "import",
    "instanceof",
    "new",
    "non",
    "null",
    "package",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Words that are no names here in Java alone.
const RESERVED_IN_JAVA: &[&str] = &[
    "abstract",
    "assert",
    "boolean",
    "byte",
    "char",
    "double",
    "final",
    "float",
    "int",
    "interface",
    "long",
    "module",
    "native",
    "open",
    "opens",
    "permits",
    "private",
    "protected",
    "provides",
    "public",
    "record",
    "requires",
    "sealed",
    "short",
    "strictfp",
    "synchronized",
    "throws",
    "to",
    "transient",
    "transitive",
    "uses",
    "volatile",
    "when",
];

/// Words that are no names here in JavaScript alone.
const RESERVED_IN_JAVASCRIPT: &[&str] = &[
    "async",
    "await",
    "debugger",
    "delete",
    "export",
    "from",
    "function",
    "get",
    "in",
    "let",
    "of",
    "set",
    "target",
    "typeof",
    "undefined",
];

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
        "new Date()",
        "new a.B(1, 'x')",
        "new B(C.class, \"t\")",
        "C.class",
        "C++",
        "name",
        "r'x'",
        "it's",
        "2e5",
        "0x80000000",
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

    #[test]
    fn the_short_cut_knows_which_words_are_names() {
        for word in [super::RESERVED, super::RESERVED_IN_JAVA, super::RESERVED_IN_JAVASCRIPT].concat() {
            for source in
                ["call(W=1)", "call(a=W, b=2)", "call(a=1, W)", "W.call(a=1)", "call(a=W.b, b=W)", "a.W(b='text')"]
            {
                let source = source.replace('W', word);
                assert_eq!(java::decode(&source), java::decode_by_grammar(&source), "{source}");
                assert_eq!(javascript::decode(&source), javascript::decode_by_grammar(&source), "{source}");
            }
        }
    }

    #[test]
    fn the_short_cut_knows_how_long_java_must_be() {
        let names = ["f", "fn", "fn0", "a.b", "ns.f"];
        let arguments = [
            "",
            "1",
            "x",
            "a=1",
            "a=12",
            "a = 1",
            "a=C++",
            "a=null",
            "p0='c'",
            "p0=100L",
            "a=1,b=2",
            "a=1, b=2",
            "a=1,\nb=2",
            "\n",
        ];
        for source in names.iter().flat_map(|name| arguments.map(|arguments| format!("{name}({arguments})"))) {
            for source in [format!("{source};"), format!(" {source}"), format!("{source} "), source] {
                assert_eq!(java::decode(&source), java::decode_by_grammar(&source), "{source}");
            }
        }
    }
}
