//! `--set a.b=value`: one change from the command line.

use crate::base::{Diagnostic, SourceText};

/// One change from the command line: a parameter path and the text of its value.
#[derive(Clone, Debug)]
pub struct Override {
    pub(super) source: SourceText,
    /// Bytes of the text before the `=`.
    pub(super) split: usize,
}

impl Override {
    /// Reads `path=value`.
    ///
    /// # Errors
    /// There is no `=`, or nothing before it.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let source = SourceText::new("--set", text);
        match text.find('=') {
            Some(split) if !text[..split].trim().is_empty() => Ok(Self { source, split }),
            _ => Err(Diagnostic {
                code: "bad-set",
                message: format!("`{text}` sets nothing"),
                span: 0..text.len(),
                source,
                label: Some("expected path=value".to_owned()),
                help: Some("write for example `--set round.times=4`".to_owned()),
            }),
        }
    }

    /// Returns the path.
    pub fn path(&self) -> &str {
        self.source.text()[..self.split].trim()
    }

    /// Returns the text of the value: TOML, or a bare word that stands for a string.
    pub fn value(&self) -> &str {
        self.source.text()[self.split + 1..].trim()
    }
}
