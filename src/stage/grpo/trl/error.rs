//! Why TRL did not train.

use std::io;

/// Why TRL did not train.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum TrlError {
    /// The child said why.
    #[error("{message}{}", said(.tail))]
    Said {
        /// What it said.
        message: String,
        /// The last lines that it wrote.
        tail: Vec<String>,
    },
    /// The child ended without a word.
    #[error("`{program}` {how}{}", said(.tail))]
    Died {
        /// The first word of `launch`.
        program: String,
        /// How it ended, and what may help.
        how: String,
        /// The last lines that it wrote.
        tail: Vec<String>,
    },
    /// A line of the child that is none of those it should write.
    #[error("line {line} of {path} is no event: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// What the child tells does not fit what it was asked.
    #[error("the script tells of {what}")]
    Unexpected {
        /// What it tells.
        what: String,
    },
    /// A line that asks for scores is none.
    #[error("line {line} does not ask for scores: {reason}")]
    Question {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A pipe broke.
    #[error("failed to {doing}")]
    Pipe {
        /// `read questions`, `write scores`.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The last lines of the child, if there are any.
fn said(tail: &[String]) -> String {
    if tail.is_empty() { String::new() } else { format!("; its last lines:\n{}", tail.join("\n")) }
}
