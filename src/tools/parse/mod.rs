//! Model text → thinking, calls, answer.
//!
//! Every way in which models write calls is read here, by hand-written or serde parsers with limits: nothing a model
//! writes is ever evaluated, and no text makes this panic. What is right is not decided here.

mod error;
mod json;
mod literal;
mod python;
mod split;

pub use error::ParseError;
pub use json::call_from_value;

use super::{Call, Style};
use split::Block;

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The largest number of calls in one answer.
pub const MAX_CALLS: usize = 256;
/// The deepest nesting of lists and maps in an argument.
pub const MAX_DEPTH: usize = 64;

/// A model's text, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedOutput {
    /// What stands in `<think>…</think>`, if the text has thinking.
    pub thinking: Option<String>,
    /// The calls in the order written, or why there are none. An explicit empty list is `Ok` and empty.
    pub calls: Result<Vec<Call>, ParseError>,
    /// The text after the thinking.
    pub answer: String,
    /// What stands in `<response>…</response>`, if the answer has a response.
    pub response: Option<String>,
    /// The style of the calls, if there are any that could be read.
    pub style: Option<Style>,
    /// Whether the answer is the calls (or the response) and nothing else, with every tag closed and no code fence.
    pub well_formed: bool,
}

/// Takes a model's text apart.
///
/// In this order: `<think>…</think>` is set aside; `<tool_call>` blocks are read (JSON values or Python-style calls,
/// one block or several) and `<response>`; else the whole answer is read as a JSON object, list or lines, or as
/// Python-style calls with or without brackets, inside a code fence or not. Prose around calls that stand in no tag is
/// an error, as in BFCL's decoder.
pub fn calls(text: &str) -> ParsedOutput {
    if text.len() > MAX_BYTES {
        let error = ParseError::TooLong { bytes: text.len(), limit: MAX_BYTES };
        return ParsedOutput {
            thinking: None,
            calls: Err(error),
            answer: String::new(),
            response: None,
            style: None,
            well_formed: false,
        };
    }
    let parts = split::split(text);
    let mut well_formed = parts.tidy;
    let (calls, style) = match &parts.block {
        Block::Broken(error) => (Err(error.clone()), None),
        Block::Tagged(bodies) => {
            let mut all = Vec::new();
            let mut failure = None;
            for body in bodies {
                match tagged_body(body) {
                    Ok(calls) => all.extend(calls),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            match failure {
                Some(error) => (Err(error), None),
                None => (limited(all), Some(Style::Toolrl)),
            }
        }
        Block::Bare(body) => match bare_body(body) {
            Ok((calls, style, complete)) => {
                well_formed &= complete;
                (limited(calls), Some(style))
            }
            Err(error) => (Err(error), None),
        },
        Block::Response => (Err(ParseError::NoCall { found: "a response".to_owned() }), None),
    };
    let style = style.filter(|_| calls.is_ok());
    well_formed &= calls.is_ok() || matches!(parts.block, Block::Response);
    ParsedOutput { thinking: parts.thinking, calls, answer: parts.answer, response: parts.response, style, well_formed }
}

/// Reads the first Python-style call at the start of `text` and returns it with the number of bytes it takes.
///
/// # Errors
/// When no call begins there.
pub fn python_prefix(text: &str) -> Result<(Call, usize), ParseError> {
    python::prefix(text)
}

fn limited(calls: Vec<Call>) -> Result<Vec<Call>, ParseError> {
    if calls.len() > MAX_CALLS {
        return Err(ParseError::TooManyCalls { calls: calls.len(), limit: MAX_CALLS });
    }
    Ok(calls)
}

fn tagged_body(body: &str) -> Result<Vec<Call>, ParseError> {
    let body = body.trim();
    if body.is_empty() {
        return Err(ParseError::EmptyBlock);
    }
    if looks_like_json(body) { json::calls(body) } else { Ok(python::calls(body)?.0) }
}

/// Returns the calls, their style and whether the text was complete.
fn bare_body(body: &str) -> Result<(Vec<Call>, Style, bool), ParseError> {
    if body.is_empty() {
        return Err(ParseError::NoCall { found: "nothing".to_owned() });
    }
    if body.starts_with('[') && body[1..].trim_start() == "]" {
        // An empty list is both JSON and Python.
        return Ok((Vec::new(), Style::Python, true));
    }
    if looks_like_json(body) {
        return Ok((json::calls(body)?, Style::Json, true));
    }
    let (calls, complete) = python::calls(body)?;
    Ok((calls, Style::Python, complete))
}

/// A Python-style list begins with a name; JSON begins with a map or a list of maps.
fn looks_like_json(body: &str) -> bool {
    body.starts_with('{') || body.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with('{'))
}
