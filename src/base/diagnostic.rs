//! Mistakes in files people write: what, where, why, what now.

use std::{fmt, ops::Range, sync::Arc};

/// A named text in which offsets can be turned into lines and columns.
#[derive(Clone, Debug)]
pub struct SourceText {
    name: Arc<str>,
    text: Arc<str>,
}

/// A place in a text. Both count from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl SourceText {
    /// Wraps `text`, shown as `name` (a path relative to the project, mostly).
    pub fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the place of a byte offset; past the end, the end.
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |index| index + 1);
        Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// One mistake in one text.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// A stable name of the kind of mistake: `unknown-stage`.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The text with the mistake.
    pub source: SourceText,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// What to read at that place, if more is to be said than the message: `expected int`.
    pub label: Option<String>,
    /// What to do now.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Returns the place where the mistake begins.
    pub fn position(&self) -> Position {
        self.source.position(self.span.start)
    }
}

impl fmt::Display for Diagnostic {
    /// Writes `file:line:column: message`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { line, column } = self.position();
        write!(formatter, "{}:{line}:{column}: {}", self.source.name(), self.message)?;
        if let Some(label) = &self.label {
            write!(formatter, " ({label})")?;
        }
        if let Some(help) = &self.help {
            write!(formatter, "; help: {help}")?;
        }
        Ok(())
    }
}

/// Returns the candidate that `word` was probably meant to be, if one is near enough.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + word.len().max(candidate.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
