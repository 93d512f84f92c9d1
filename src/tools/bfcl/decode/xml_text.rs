//! A reader of XML as strict as expat, which the official decoder uses: elements, attributes, first texts.
//!
//! No document types, no namespaces beyond "the prefix is not declared", no files: entities are the five of XML and
//! characters by number.

use crate::tools::python::CallsError;

/// Deeper elements are refused.
const MAX_DEPTH: usize = 1000;

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    /// The text before the first child.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Element, CallsError> {
    let normal;
    let text = if text.contains('\r') {
        normal = text.replace("\r\n", "\n").replace('\r', "\n");
        &normal
    } else {
        text
    };
    let mut reader = Reader { text, at: 0 };
    let root = reader.document()?;
    Ok(root)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Read<T> = Result<T, CallsError>;

fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || matches!(character, '_' | ':')
}

fn is_name_part(character: char) -> bool {
    is_name_start(character) || character.is_numeric() || matches!(character, '-' | '.' | '\u{b7}')
}

/// Characters that XML 1.0 allows.
const fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..) && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn blank(&mut self) -> bool {
        let start = self.at;
        self.at += self.rest().len() - self.rest().trim_start_matches(is_blank).len();
        self.at > start
    }

    fn error<T>(&self, at: usize, reason: &str) -> Read<T> {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        // Columns are characters, from 0.
        let column = before.rsplit('\n').next().unwrap_or("").chars().count();
        Err(CallsError::new("ParseError", format!("{reason}: line {line}, column {column}")))
    }

    fn invalid<T>(&self) -> Read<T> {
        if self.rest().is_empty() {
            return self.error(self.at, "unclosed token");
        }
        self.error(self.at, "not well-formed (invalid token)")
    }

    fn document(&mut self) -> Read<Element> {
        // The source begins with the root's start tag.
        if !self.eat("<") {
            return self.error(self.at, "syntax error");
        }
        let mut open: Vec<Element> = Vec::new();
        let (root, empty) = self.start_tag()?;
        if empty {
            return Ok(root);
        }
        open.push(root);
        loop {
            let start = self.at;
            let text = self.character_data()?;
            if let Some(element) = open.last_mut()
                && element.children.is_empty()
            {
                element.text.push_str(&text);
            }
            if self.rest().is_empty() {
                return self.error(self.at, "no element found");
            }
            let tag = self.at;
            if self.eat("<!--") {
                let Some(end) = self.rest().find("--") else { return self.error(tag, "unclosed token") };
                self.at += end + 2;
                if !self.eat(">") {
                    return self.invalid();
                }
            } else if self.eat("<![CDATA[") {
                let Some(end) = self.rest().find("]]>") else {
                    return self.error(self.at, "unclosed CDATA section");
                };
                let data = self.rest()[..end].to_owned();
                if let Some(element) = open.last_mut()
                    && element.children.is_empty()
                {
                    element.text.push_str(&data);
                }
                self.at += end + 3;
            } else if self.eat("<?") {
                let Some(end) = self.rest().find("?>") else { return self.error(tag, "unclosed token") };
                self.at += end + 2;
            } else if self.eat("</") {
                let name = self.name()?;
                self.blank();
                if !self.eat(">") {
                    return self.invalid();
                }
                let Some(element) = open.pop() else { return self.error(start, "mismatched tag") };
                if element.name != name {
                    return self.error(tag + 2, "mismatched tag");
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return self.end(element),
                }
            } else if self.eat("<") {
                let (element, empty) = self.start_tag()?;
                if element.name.contains(':') || element.attributes.iter().any(|(name, _)| is_prefixed(name)) {
                    return self.error(tag, "unbound prefix");
                }
                if !empty {
                    if open.len() >= MAX_DEPTH {
                        return self.error(tag, "nested too deeply");
                    }
                    open.push(element);
                } else if let Some(parent) = open.last_mut() {
                    parent.children.push(element);
                }
            } else {
                return self.invalid();
            }
        }
    }

    /// Behind the root only blanks and comments may stand.
    fn end(&mut self, root: Element) -> Read<Element> {
        self.blank();
        if self.rest().is_empty() {
            return Ok(root);
        }
        self.error(self.at, "junk after document element")
    }

    fn name(&mut self) -> Read<String> {
        let rest = self.rest();
        if !rest.starts_with(is_name_start) {
            return self.invalid();
        }
        let length = rest.find(|character| !is_name_part(character)).unwrap_or(rest.len());
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn start_tag(&mut self) -> Read<(Element, bool)> {
        let mut element = Element { name: self.name()?, ..Element::default() };
        loop {
            let separated = self.blank();
            if self.eat("/>") {
                return Ok((element, true));
            }
            if self.eat(">") {
                return Ok((element, false));
            }
            if !separated {
                return self.invalid();
            }
            let start = self.at;
            let name = self.name()?;
            if element.attribute(&name).is_some() {
                return self.error(start, "duplicate attribute");
            }
            self.blank();
            if !self.eat("=") {
                return self.invalid();
            }
            self.blank();
            let value = self.attribute_value()?;
            element.attributes.push((name, value));
        }
    }

    fn attribute_value(&mut self) -> Read<String> {
        let quote = match self.peek() {
            Some(quote @ ('"' | '\'')) => quote,
            _ => return self.invalid(),
        };
        self.at += 1;
        let mut value = String::new();
        loop {
            match self.peek() {
                Some(end) if end == quote => {
                    self.at += 1;
                    return Ok(value);
                }
                Some('&') => value.push(self.reference()?),
                Some('\t' | '\n' | '\r') => {
                    value.push(' ');
                    self.at += 1;
                }
                Some(character) if character != '<' && is_allowed(character) => {
                    value.push(character);
                    self.at += character.len_utf8();
                }
                _ => return self.invalid(),
            }
        }
    }

    fn reference(&mut self) -> Read<char> {
        let start = self.at;
        let Some(end) = self.rest().find(';') else { return self.invalid() };
        let name = &self.rest()[1..end];
        let character = match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let code = match name.strip_prefix('#') {
                    Some(number) => match number.strip_prefix('x') {
                        Some(hex) => u32::from_str_radix(hex, 16).ok(),
                        None => number.parse().ok(),
                    },
                    None if name.starts_with(is_name_start) && name.chars().all(is_name_part) => {
                        return self.error(start, "undefined entity");
                    }
                    None => {
                        self.at += 1;
                        return self.invalid();
                    }
                };
                match code.and_then(char::from_u32).filter(|character| is_allowed(*character)) {
                    Some(character) => character,
                    None => return self.error(start, "reference to invalid character number"),
                }
            }
        };
        self.at = start + end + 1;
        Ok(character)
    }

    fn character_data(&mut self) -> Read<String> {
        let mut text = String::new();
        while let Some(character) = self.peek() {
            match character {
                '<' => break,
                '&' => text.push(self.reference()?),
                ']' if self.rest().starts_with("]]>") => return self.invalid(),
                other if is_allowed(other) => {
                    text.push(other);
                    self.at += other.len_utf8();
                }
                _ => return self.invalid(),
            }
        }
        Ok(text)
    }
}

fn is_prefixed(name: &str) -> bool {
    name.contains(':') && !name.starts_with("xml:") && !name.starts_with("xmlns")
}
