//! What was wrong with a model's text.

/// Why no calls could be read from a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The answer does not try to call anything.
    #[error("the answer makes no call: it begins with {found}")]
    NoCall {
        /// The beginning of the answer.
        found: String,
    },
    /// The thinking never ends.
    #[error("`<think>` is never closed, so there is no answer after it")]
    UnclosedThinking,
    /// A tag is opened and not closed, or closed and not opened.
    #[error("`{missing}` is missing")]
    MissingTag {
        /// The tag that should be there.
        missing: &'static str,
    },
    /// A `<tool_call>` block holds nothing.
    #[error("`<tool_call>` holds no call")]
    EmptyBlock,
    /// The calls look like JSON and are not.
    #[error("the calls are no JSON: {reason}")]
    Json {
        /// The JSON parser's words, with line and column inside the block.
        reason: String,
    },
    /// A JSON value is no call.
    #[error("value {index} is no call: {reason}")]
    NotACall {
        /// Which value of the block, from 1.
        index: usize,
        /// What is missing or of the wrong type.
        reason: String,
    },
    /// The calls look like Python and are not.
    #[error("at character {at} of the calls: {reason}")]
    Python {
        /// Where, in characters from 1.
        at: usize,
        /// What was expected, and what is there.
        reason: String,
    },
    /// An argument is nested too deeply.
    #[error("an argument is nested deeper than {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: usize,
    },
    /// There are too many calls.
    #[error("{calls} calls are more than the limit of {limit}")]
    TooManyCalls {
        /// How many there are.
        calls: usize,
        /// The limit.
        limit: usize,
    },
    /// The text is too long to read.
    #[error("the text has {bytes} bytes, more than the limit of {limit}")]
    TooLong {
        /// The text's length, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl ParseError {
    /// Returns a short, stable name to count by.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::NoCall { .. } => "no-call",
            Self::UnclosedThinking => "unclosed-thinking",
            _ => "unparsable",
        }
    }
}

/// Returns the first characters of a text, quoted, for an error message.
pub(super) fn beginning(text: &str) -> String {
    const SHOWN: usize = 24;
    let text = text.trim();
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
