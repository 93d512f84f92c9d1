//! What completions are held to: the `constrain` parameter of a kind.

use serde::Deserialize;

use crate::tools::{Sample, Style, grammar};

/// What completions are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::stage) enum Constrain {
    /// Nothing.
    None,
    /// A list of calls of the sample's tools, in Python style.
    Python,
    /// A list of calls of the sample's tools, in JSON.
    Json,
}

impl Constrain {
    /// Returns the grammar for the answer to a sample.
    pub(in crate::stage) fn grammar(self, sample: &Sample) -> Option<String> {
        match self {
            Self::None => None,
            Self::Python => grammar::calls(&sample.tools, Style::Python),
            Self::Json => grammar::calls(&sample.tools, Style::Json),
        }
    }
}
