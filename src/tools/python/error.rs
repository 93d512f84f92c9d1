//! Why a text is no Python expression, in CPython's words.

use std::fmt;

/// What CPython 3.11 raises for a text that is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// CPython's message without the place.
    pub message: String,
    /// The line, from 1; `None` for errors that carry no place.
    pub line: Option<u32>,
}

impl SyntaxError {
    pub(super) fn new(message: impl Into<String>, line: u32) -> Box<Self> {
        Box::new(Self { message: message.into(), line: Some(line) })
    }

    pub(super) fn placeless(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { message: message.into(), line: None })
    }
}

/// The text of `str(error)` for a source without a file name.
impl fmt::Display for SyntaxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{} (<unknown>, line {line})", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for SyntaxError {}
