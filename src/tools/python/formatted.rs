//! f-strings: texts with values in curly brackets. They are taken apart, never evaluated.

use super::{
    ast::{Id, Part},
    error::SyntaxError,
    literal::{Text, unescape},
    parse::Parser,
};

type Read<T> = Result<T, Box<SyntaxError>>;

/// Returns the parts of f-strings (and texts beside them) as one.
pub(super) fn parts(parser: &mut Parser<'_>, literals: &[Text<'_>], first: usize) -> Read<Vec<Part>> {
    let line = parser.tokens[first].line;
    let mut found = Vec::new();
    for literal in literals {
        if literal.formatted {
            let mut rest = literal.body;
            let mut reader = Reader { parser: &mut *parser, raw: literal.raw, line };
            reader.read(&mut rest, 0, &mut found)?;
        } else {
            let text = literal.text().map_err(|message| SyntaxError::new(message, line))?;
            push_text(&mut found, &text);
        }
    }
    Ok(found)
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

struct Reader<'r, 'a> {
    parser: &'r mut Parser<'a>,
    raw: bool,
    line: u32,
}

impl Reader<'_, '_> {
    fn error<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(SyntaxError::new(message, self.line))
    }

    fn text(&self, body: &str) -> Read<String> {
        if self.raw {
            return Ok(body.to_owned());
        }
        unescape(body).map_err(|message| SyntaxError::new(message, self.line))
    }

    /// Reads to the end, or inside a format to the `}` that ends the value.
    fn read(&mut self, rest: &mut &str, depth: usize, parts: &mut Vec<Part>) -> Read<()> {
        loop {
            let mut end = rest.find(['{', '}']).unwrap_or(rest.len());
            // `\N{…}` is one escape.
            while !self.raw && rest[..end].ends_with("\\N") && rest[end..].starts_with('{') {
                let close = rest[end..].find('}').map_or(rest.len(), |close| end + close + 1);
                end = rest[close..].find(['{', '}']).map_or(rest.len(), |next| close + next);
            }
            let text = self.text(&rest[..end])?;
            push_text(parts, &text);
            *rest = &rest[end..];
            if rest.is_empty() {
                return Ok(());
            }
            if depth == 0 && (rest.starts_with("{{") || rest.starts_with("}}")) {
                push_text(parts, &rest[..1]);
                *rest = &rest[2..];
                continue;
            }
            if rest.starts_with('}') {
                if depth > 0 {
                    return Ok(());
                }
                return self.error("f-string: single '}' is not allowed");
            }
            let part = self.value(rest, depth, parts)?;
            parts.push(part);
        }
    }

    fn value(&mut self, rest: &mut &str, depth: usize, parts: &mut Vec<Part>) -> Read<Part> {
        if depth >= 2 {
            return self.error("f-string: expressions nested too deeply");
        }
        let body = &rest[1..];
        let length = self.value_length(body)?;
        let source = &body[..length];
        let id = self.nested(source)?;
        let mut behind = &body[length..];
        let mut conversion = None;
        let spelt = behind.starts_with('=') && !behind.starts_with("==");
        if spelt {
            let spaces = behind[1..].len() - behind[1..].trim_start().len();
            push_text(parts, &format!("{source}{}", &behind[..=spaces]));
            behind = &behind[1 + spaces..];
        }
        if let Some(after) = behind.strip_prefix('!') {
            let letter = after.chars().next();
            if !matches!(letter, Some('s' | 'r' | 'a')) {
                return self.error("f-string: invalid conversion character: expected 's', 'r', or 'a'");
            }
            conversion = letter;
            behind = &after[1..];
        }
        let mut format = None;
        if let Some(after) = behind.strip_prefix(':') {
            behind = after;
            let mut inner = Vec::new();
            self.read(&mut behind, depth + 1, &mut inner)?;
            format = Some(inner);
        }
        let Some(after) = behind.strip_prefix('}') else {
            return self.error("f-string: expecting '}'");
        };
        *rest = after;
        if spelt && conversion.is_none() && format.is_none() {
            conversion = Some('r');
        }
        Ok(Part::Value(id, conversion, format))
    }

    /// Returns where the value ends: at `}`, `!`, `:` or `=` outside brackets and texts.
    fn value_length(&self, body: &str) -> Read<usize> {
        let bytes = body.as_bytes();
        let mut brackets = Vec::new();
        let mut quote: Option<(u8, usize)> = None;
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if byte == b'\\' {
                return self.error("f-string expression part cannot include a backslash");
            }
            if let Some((mark, size)) = quote {
                let closes =
                    byte == mark && bytes[at..].iter().take(size).filter(|next| **next == mark).count() == size;
                at += if closes { size } else { 1 };
                if closes {
                    quote = None;
                }
                continue;
            }
            match byte {
                b'\'' | b'"' => {
                    let size = if bytes.get(at + 1) == Some(&byte) && bytes.get(at + 2) == Some(&byte) { 3 } else { 1 };
                    quote = Some((byte, size));
                    at += size;
                    continue;
                }
                b'(' | b'[' | b'{' => {
                    if brackets.len() >= 200 {
                        return self.error("f-string: too many nested parenthesis");
                    }
                    brackets.push(byte);
                }
                b'#' => return self.error("f-string expression part cannot include '#'"),
                b'!' | b':' | b'=' | b'<' | b'>' if brackets.is_empty() => {
                    let doubled = bytes.get(at + 1) == Some(&b'=');
                    if doubled && matches!(byte, b'!' | b'=' | b'<' | b'>') {
                        at += 2;
                        continue;
                    }
                    if !matches!(byte, b'<' | b'>') {
                        break;
                    }
                }
                b'}' if brackets.is_empty() => break,
                b')' | b']' | b'}' => {
                    let close = char::from(byte);
                    match brackets.pop() {
                        None => return self.error(format!("f-string: unmatched '{close}'")),
                        Some(open) if !matches!((open, byte), (b'(', b')') | (b'[', b']') | (b'{', b'}')) => {
                            let open = char::from(open);
                            return self.error(format!(
                                "f-string: closing parenthesis '{close}' does not match opening parenthesis '{open}'"
                            ));
                        }
                        Some(_) => {}
                    }
                }
                _ => {}
            }
            at += 1;
        }
        if quote.is_some() {
            return self.error("f-string: unterminated string");
        }
        if let Some(open) = brackets.last() {
            return self.error(format!("f-string: unmatched '{}'", char::from(*open)));
        }
        if at >= bytes.len() {
            return self.error("f-string: expecting '}'");
        }
        if body[..at].trim().is_empty() {
            return self.error("f-string: empty expression not allowed");
        }
        Ok(at)
    }

    /// Parses a value as a source of its own and takes its nodes over.
    fn nested(&mut self, source: &str) -> Read<Id> {
        if self.parser.nesting > 3 {
            return self.error("f-string: expressions nested too deeply");
        }
        let source = format!("({source})");
        let mut inner = Parser::new(&source);
        inner.nesting = self.parser.nesting + 1;
        let root = inner.run_to_root().map_err(|error| {
            let message = if error.message.starts_with("f-string") {
                error.message
            } else {
                format!("f-string: {}", error.message)
            };
            SyntaxError::new(message, self.line)
        })?;
        Ok(self.parser.adopt(inner.nodes, root))
    }
}
