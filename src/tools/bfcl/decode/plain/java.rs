//! Plain values of Java.

use super::Reader;

const AS_LIST: &str = "Arrays.asList(";

/// Types that objects are made of here.
const TYPES: &[&str] = &[
    "String",
    "Object",
    "Integer",
    "Long",
    "Float",
    "Double",
    "Boolean",
    "Character",
    "Short",
    "Byte",
    "int",
    "long",
    "float",
    "double",
    "boolean",
    "char",
    "short",
    "byte",
];

impl<'a> Reader<'a> {
    pub(super) fn java_value(&mut self) -> Option<String> {
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

    /// Literals up to a closing bracket, in one text.
    fn java_scalars(&mut self, close: u8, separator: &str) -> Option<String> {
        let mut texts = String::new();
        self.list(close, |reader| {
            if !texts.is_empty() {
                texts.push_str(separator);
            }
            texts.push_str(reader.java_scalar()?);
            Some(())
        })?;
        Some(texts)
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
        let elements = self.java_scalars(b'}', ",")?;
        Some(format!("new {kind}[]{{{elements}}}"))
    }

    /// `HashMap<…>()` or `ArrayList<…>(…)`; a body of plain `put` and `add` is lost, as it is officially.
    fn java_object(&mut self) -> Option<String> {
        let kind = self.dotted()?;
        if self.eat(b'(') {
            let arguments = self.java_scalars(b')', ", ")?;
            return Some(format!("new {kind}({arguments})"));
        }
        if !matches!(kind, "HashMap" | "ArrayList") || !self.eat(b'<') {
            return None;
        }
        let mut parameters = Vec::new();
        self.list(b'>', |reader| {
            parameters.push(reader.plain_word());
            parameters.last().is_some_and(|parameter| TYPES.contains(parameter)).then_some(())
        })?;
        let mut value = format!("new {kind}<{}>(", parameters.join(","));
        self.eat(b'(').then_some(())?;
        if !self.eat(b')') {
            let start = self.at;
            self.source[start..].starts_with(AS_LIST).then_some(())?;
            self.at += AS_LIST.len();
            self.java_scalars(b')', ",")?;
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
            self.java_scalars(b')', ",")?;
            self.eat(b';').then_some(())?;
            self.blank();
        }
        self.eat(b'}').then_some(value)
    }
}
