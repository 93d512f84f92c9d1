//! Tokens of Python source, read one at a time as CPython's tokenizer does, with its errors.
//!
//! Source: the reference manual's "Lexical analysis", and what CPython 3.11.7 says of wrong texts.

use super::{characters::is_printable, error::SyntaxError};

/// More brackets in brackets are refused, as by CPython.
const MAX_BRACKETS: usize = 200;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name that is no keyword.
    Name,
    Keyword(Keyword),
    Number,
    Text,
    Operator(Operator),
    Newline,
    Indent,
    Dedent,
    End,
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($variant),* }

        impl $name {
            fn of(text: &str) -> Option<Self> {
                Some(match text { $($text => Self::$variant,)* _ => return None })
            }
        }
    };
}

words!(
    /// Words that are no names.
    Keyword {
        False = "False", None = "None", True = "True", And = "and", As = "as", Assert = "assert", Async = "async",
        Await = "await", Break = "break", Class = "class", Continue = "continue", Def = "def", Del = "del",
        Elif = "elif", Else = "else", Except = "except", Finally = "finally", For = "for", From = "from",
        Global = "global", If = "if", Import = "import", In = "in", Is = "is", Lambda = "lambda",
        Nonlocal = "nonlocal", Not = "not", Or = "or", Pass = "pass", Raise = "raise", Return = "return", Try = "try",
        While = "while", With = "with", Yield = "yield",
    }
);

words!(
    /// Signs, longest first where one begins another.
    Operator {
        DoubleStarAssign = "**=", DoubleSlashAssign = "//=", RightShiftAssign = ">>=", LeftShiftAssign = "<<=",
        Dots = "...", DoubleStar = "**", DoubleSlash = "//", RightShift = ">>", LeftShift = "<<", LessEqual = "<=",
        GreaterEqual = ">=", Equal = "==", NotEqual = "!=", OldNotEqual = "<>", Arrow = "->", Walrus = ":=",
        PlusAssign = "+=", MinusAssign = "-=", StarAssign = "*=", SlashAssign = "/=", PercentAssign = "%=",
        AndAssign = "&=", OrAssign = "|=", XorAssign = "^=", AtAssign = "@=", OpenRound = "(", CloseRound = ")",
        OpenSquare = "[", CloseSquare = "]", OpenCurly = "{", CloseCurly = "}", Comma = ",", Colon = ":", Dot = ".",
        Semicolon = ";", At = "@", Assign = "=", Plus = "+", Minus = "-", Star = "*", Slash = "/", Or = "|",
        And = "&", Less = "<", Greater = ">", Percent = "%", Tilde = "~", Xor = "^",
        // Signs that no rule knows.
        Bang = "!", Dollar = "$", Question = "?", Backtick = "`",
    }
);

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: Kind,
    /// In bytes.
    pub start: usize,
    /// In bytes, exclusive.
    pub end: usize,
    /// From 1.
    pub line: u32,
    /// How many brackets are open behind it.
    pub level: usize,
}

/// Reads tokens; after an error it must not be asked again.
pub(super) struct Tokenizer<'a> {
    source: &'a str,
    at: usize,
    line: u32,
    at_line_start: bool,
    blank_line: bool,
    /// Open brackets and their lines.
    brackets: Vec<(u8, u32)>,
    indents: Vec<usize>,
    /// Indents (positive) or dedents (negative) still to be told.
    pending: isize,
    newline_told: bool,
}

type Read<T> = Result<T, Box<SyntaxError>>;

impl<'a> Tokenizer<'a> {
    /// Reads a source whose lines end in `\n` only.
    pub fn new(source: &'a str) -> Self {
        Self {
            source,
            at: 0,
            line: 1,
            at_line_start: true,
            blank_line: false,
            brackets: Vec::new(),
            indents: vec![0],
            pending: 0,
            newline_told: true,
        }
    }

    /// Returns how many brackets are open.
    pub fn level(&self) -> usize {
        self.brackets.len()
    }

    /// Returns the innermost open bracket and its line.
    pub fn open_bracket(&self) -> Option<(char, u32)> {
        self.brackets.last().map(|&(bracket, line)| (char::from(bracket), line))
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.source.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.source.len()
    }

    fn error<T>(&self, message: impl Into<String>) -> Read<T> {
        Err(SyntaxError::new(message, self.line))
    }

    fn token(&mut self, kind: Kind, start: usize) -> Token {
        self.blank_line = false;
        self.newline_told = matches!(kind, Kind::Newline);
        Token { kind, start, end: self.at, line: self.line, level: self.brackets.len() }
    }

    /// Returns the next token; `None` at the end inside a bracket.
    pub fn next(&mut self) -> Read<Option<Token>> {
        loop {
            if self.at_line_start {
                self.at_line_start = false;
                self.indentation()?;
            }
            if self.pending != 0 {
                let kind = if self.pending > 0 { Kind::Indent } else { Kind::Dedent };
                self.pending -= self.pending.signum();
                return Ok(Some(Token { kind, start: self.at, end: self.at, line: self.line, level: 0 }));
            }
            while matches!(self.byte(0), b' ' | b'\t' | b'\x0c') {
                self.at += 1;
            }
            if self.byte(0) == b'#' {
                while !self.is_at_end() && self.byte(0) != b'\n' {
                    self.at += 1;
                }
            }
            if self.is_at_end() {
                return self.end();
            }
            let start = self.at;
            match self.byte(0) {
                b'\n' => {
                    let skipped = self.blank_line || !self.brackets.is_empty();
                    self.at += 1;
                    self.at_line_start = true;
                    if skipped {
                        self.line += 1;
                        continue;
                    }
                    let token = self.token(Kind::Newline, start);
                    self.line += 1;
                    return Ok(Some(token));
                }
                b'\\' => {
                    self.at += 1;
                    if self.is_at_end() {
                        return self.error("unexpected EOF while parsing");
                    }
                    if self.byte(0) != b'\n' {
                        return self.error("unexpected character after line continuation character");
                    }
                    self.at += 1;
                    self.line += 1;
                    if self.is_at_end() {
                        return self.error("unexpected EOF while parsing");
                    }
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' | 128.. => return self.word(start).map(Some),
                b'0'..=b'9' => return self.number(start).map(Some),
                b'.' if self.byte(1).is_ascii_digit() => return self.number(start).map(Some),
                b'"' | b'\'' => return self.text(start).map(Some),
                _ => return self.operator(start).map(Some),
            }
        }
    }

    fn end(&mut self) -> Read<Option<Token>> {
        if !self.brackets.is_empty() {
            return Ok(None);
        }
        if !self.newline_told {
            let token = self.token(Kind::Newline, self.at);
            self.line += 1;
            return Ok(Some(token));
        }
        if self.indents.len() > 1 {
            self.pending = 1 - self.indents.len().cast_signed();
            self.indents.truncate(1);
            self.pending += 1;
            return Ok(Some(Token { kind: Kind::Dedent, start: self.at, end: self.at, line: self.line, level: 0 }));
        }
        Ok(Some(Token { kind: Kind::End, start: self.at, end: self.at, line: self.line, level: 0 }))
    }

    fn indentation(&mut self) -> Read<()> {
        let mut column = 0;
        loop {
            match self.byte(0) {
                b' ' => column += 1,
                b'\t' => column = (column / 8 + 1) * 8,
                b'\x0c' => column = 0,
                _ => break,
            }
            self.at += 1;
        }
        self.blank_line = matches!(self.byte(0), b'#' | b'\n') || self.is_at_end();
        if self.blank_line || !self.brackets.is_empty() {
            return Ok(());
        }
        let current = *self.indents.last().unwrap_or(&0);
        if column > current {
            if self.indents.len() >= 100 {
                return self.error("too many levels of indentation");
            }
            self.indents.push(column);
            self.pending = 1;
        } else if column < current {
            while column < *self.indents.last().unwrap_or(&0) {
                self.indents.pop();
                self.pending -= 1;
            }
            if column != *self.indents.last().unwrap_or(&0) {
                return self.error("unindent does not match any outer indentation level");
            }
        }
        Ok(())
    }

    fn word(&mut self, start: usize) -> Read<Token> {
        let (mut bytes, mut unicode, mut raw, mut formatted) = (false, false, false, false);
        loop {
            match self.byte(0) {
                b'b' | b'B' if !(bytes || unicode || formatted) => bytes = true,
                b'u' | b'U' if !(bytes || unicode || raw || formatted) => unicode = true,
                b'r' | b'R' if !(raw || unicode) => raw = true,
                b'f' | b'F' if !(formatted || bytes || unicode) => formatted = true,
                _ => break,
            }
            self.at += 1;
            if matches!(self.byte(0), b'"' | b'\'') {
                return self.text(start);
            }
        }
        let mut ascii = true;
        while is_word_byte(self.byte(0)) {
            ascii &= self.byte(0) < 128;
            self.at += 1;
        }
        let word = &self.source[start..self.at];
        if !ascii {
            for (place, character) in word.chars().enumerate() {
                let fits = character == '_'
                    || if place == 0 {
                        unicode_ident::is_xid_start(character)
                    } else {
                        unicode_ident::is_xid_continue(character)
                    };
                if !fits {
                    let code = character as u32;
                    return self.error(if is_printable(character) {
                        format!("invalid character '{character}' (U+{code:04X})")
                    } else {
                        format!("invalid non-printable character U+{code:04X}")
                    });
                }
            }
        }
        let kind = Keyword::of(word).map_or(Kind::Name, Kind::Keyword);
        Ok(self.token(kind, start))
    }

    fn digits(&mut self) -> Read<()> {
        loop {
            while self.byte(0).is_ascii_digit() {
                self.at += 1;
            }
            if self.byte(0) != b'_' {
                return Ok(());
            }
            self.at += 1;
            if !self.byte(0).is_ascii_digit() {
                return self.error("invalid decimal literal");
            }
        }
    }

    fn radix(&mut self, name: &str, base: u8) -> Read<()> {
        self.at += 2;
        loop {
            if self.byte(0) == b'_' {
                self.at += 1;
            }
            if !char::from(self.byte(0)).is_digit(u32::from(base)) {
                return self.wrong_digit(name, base);
            }
            while char::from(self.byte(0)).is_digit(u32::from(base)) {
                self.at += 1;
            }
            if self.byte(0) != b'_' {
                break;
            }
        }
        if base < 10 && self.byte(0).is_ascii_digit() {
            return self.wrong_digit(name, base);
        }
        self.number_ends(name)
    }

    fn wrong_digit(&self, name: &str, base: u8) -> Read<()> {
        let found = char::from(self.byte(0));
        if base < 10 && found.is_ascii_digit() {
            return self.error(format!("invalid digit '{found}' in {name} literal"));
        }
        self.error(format!("invalid {name} literal"))
    }

    /// A number may touch some keywords, but no other word.
    fn number_ends(&self, name: &str) -> Read<()> {
        let rest = &self.source.as_bytes()[self.at.min(self.source.len())..];
        let keyword = [&b"and"[..], b"else", b"for", b"if", b"in", b"is", b"or", b"not"]
            .iter()
            .any(|keyword| rest.starts_with(keyword));
        if !keyword && self.byte(0) < 128 && is_word_byte(self.byte(0)) {
            return self.error(format!("invalid {name} literal"));
        }
        Ok(())
    }

    fn number(&mut self, start: usize) -> Read<Token> {
        self.number_literal()?;
        Ok(self.token(Kind::Number, start))
    }

    fn number_literal(&mut self) -> Read<()> {
        let mut whole = true;
        let mut leading_zeros = false;
        if self.byte(0) == b'0' {
            match self.byte(1) {
                b'x' | b'X' => return self.radix("hexadecimal", 16),
                b'o' | b'O' => return self.radix("octal", 8),
                b'b' | b'B' => return self.radix("binary", 2),
                _ => {}
            }
            self.at += 1;
            loop {
                if self.byte(0) == b'_' {
                    self.at += 1;
                    if !self.byte(0).is_ascii_digit() {
                        return self.error("invalid decimal literal");
                    }
                }
                if self.byte(0) != b'0' {
                    break;
                }
                self.at += 1;
            }
            leading_zeros = self.byte(0).is_ascii_digit();
        }
        if self.byte(0) != b'.' {
            self.digits()?;
        }
        if self.byte(0) == b'.' {
            whole = false;
            self.at += 1;
            if self.byte(0).is_ascii_digit() {
                self.digits()?;
            }
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let signed = matches!(self.byte(1), b'+' | b'-');
            let digit = if signed { self.byte(2) } else { self.byte(1) };
            if digit.is_ascii_digit() {
                whole = false;
                self.at += if signed { 2 } else { 1 };
                self.digits()?;
            } else if signed {
                self.at += 2;
                return self.error("invalid decimal literal");
            } else {
                return self.number_ends("decimal");
            }
        }
        if matches!(self.byte(0), b'j' | b'J') {
            self.at += 1;
            return self.number_ends("imaginary");
        }
        if whole && leading_zeros {
            return self.error(
                "leading zeros in decimal integer literals are not permitted; use an 0o prefix for octal integers",
            );
        }
        self.number_ends("decimal")
    }

    fn text(&mut self, start: usize) -> Read<Token> {
        let first_line = self.line;
        let quote = self.byte(0);
        let long = self.byte(1) == quote && self.byte(2) == quote;
        self.at += if long { 3 } else { 1 };
        let mut line = self.line;
        loop {
            if self.is_at_end() || (!long && self.byte(0) == b'\n') {
                let kind = if long { "triple-quoted string" } else { "string" };
                let message = format!("unterminated {kind} literal (detected at line {line})");
                return Err(SyntaxError::new(message, first_line));
            }
            let byte = self.byte(0);
            self.at += 1;
            if byte == b'\\' {
                line += u32::from(self.byte(0) == b'\n');
                self.at += 1;
            } else if byte == b'\n' {
                line += 1;
            } else if byte == quote && (!long || (self.byte(0) == quote && self.byte(1) == quote)) {
                self.at += if long { 2 } else { 0 };
                break;
            }
        }
        // Escaping may have stepped over the end.
        self.at = self.at.min(self.source.len());
        let mut token = self.token(Kind::Text, start);
        token.line = first_line;
        self.line = line;
        Ok(token)
    }

    fn operator(&mut self, start: usize) -> Read<Token> {
        let rest = &self.source[start..];
        let operator = [3, 2, 1].into_iter().find_map(|length| {
            let sign = rest.get(..length).and_then(Operator::of)?;
            Some((sign, length))
        });
        let Some((operator, length)) = operator else {
            return self.error(format!("invalid non-printable character U+{:04X}", self.byte(0)));
        };
        self.at += length;
        match operator {
            Operator::OpenRound | Operator::OpenSquare | Operator::OpenCurly => {
                if self.brackets.len() >= MAX_BRACKETS {
                    return self.error("too many nested parentheses");
                }
                self.brackets.push((rest.as_bytes()[0], self.line));
            }
            Operator::CloseRound | Operator::CloseSquare | Operator::CloseCurly => {
                let close = char::from(rest.as_bytes()[0]);
                let Some((open, line)) = self.brackets.pop() else {
                    return self.error(format!("unmatched '{close}'"));
                };
                if !matches!((open, close), (b'(', ')') | (b'[', ']') | (b'{', '}')) {
                    let open = char::from(open);
                    let place = if line == self.line { String::new() } else { format!(" on line {line}") };
                    return self.error(format!(
                        "closing parenthesis '{close}' does not match opening parenthesis '{open}'{place}"
                    ));
                }
            }
            _ => {}
        }
        Ok(self.token(Kind::Operator(operator), start))
    }
}

const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}
