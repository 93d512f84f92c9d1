//! Thinking, tags and code fences: finding where the calls stand.

use super::ParseError;

const THINK: &str = "<think>";
const END_THINK: &str = "</think>";
const TOOL_CALL: &str = "<tool_call>";
const END_TOOL_CALL: &str = "</tool_call>";
const RESPONSE: &str = "<response>";
const END_RESPONSE: &str = "</response>";

/// Where the calls stand.
pub(super) enum Block {
    /// Inside tags: the bodies of all `<tool_call>` blocks.
    Tagged(Vec<String>),
    /// The whole answer, without its code fence.
    Bare(String),
    /// Nowhere: the answer is a response.
    Response,
    /// The tags do not fit together.
    Broken(ParseError),
}

/// A text taken apart.
pub(super) struct Parts {
    pub thinking: Option<String>,
    pub answer: String,
    pub response: Option<String>,
    pub block: Block,
    /// Nothing stands outside of thinking and block.
    pub tidy: bool,
}

impl Parts {
    fn bare(thinking: Option<String>, answer: &str, tidy: bool) -> Self {
        let answer = answer.trim().to_owned();
        Self { thinking, response: None, block: Block::Bare(answer.clone()), answer, tidy }
    }
}

/// Returns whether the text is a list or map of calls as it stands: then tags inside it are somebody's argument.
fn is_bare_calls(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(['[', '{']) && super::bare_body(text).is_ok()
}

pub(super) fn split(text: &str) -> Parts {
    if is_bare_calls(text) {
        return Parts::bare(None, text, true);
    }
    let (thinking, answer, mut tidy) = match split_thinking(text) {
        Ok(parts) => parts,
        Err(thinking) => {
            return Parts {
                thinking: Some(thinking),
                answer: String::new(),
                response: None,
                block: Block::Broken(ParseError::UnclosedThinking),
                tidy: false,
            };
        }
    };
    if is_bare_calls(answer) {
        return Parts::bare(thinking, answer, tidy);
    }
    let (rest, response, response_tidy) = split_response(answer);
    tidy &= response_tidy;
    let block = if rest.contains(TOOL_CALL) || rest.contains(END_TOOL_CALL) {
        match tagged(&rest) {
            Ok((bodies, blocks_tidy)) => {
                tidy &= blocks_tidy;
                Block::Tagged(bodies)
            }
            Err(error) => Block::Broken(error),
        }
    } else if response.is_some() {
        tidy &= rest.trim().is_empty();
        Block::Response
    } else {
        let (body, fence_tidy) = unfence(rest.trim());
        tidy &= fence_tidy;
        Block::Bare(body.to_owned())
    };
    Parts { thinking, answer: answer.trim().to_owned(), response, block, tidy }
}

/// Returns the thinking, the text after it and whether nothing stands before it; or the thinking that never ends.
///
/// A chat template may open the thinking itself: then only its end is in the text.
fn split_thinking(text: &str) -> Result<(Option<String>, &str, bool), String> {
    let Some(open) = text.find(THINK) else {
        return Ok(match text.find(END_THINK) {
            Some(close) => (Some(text[..close].trim().to_owned()), &text[close + END_THINK.len()..], true),
            None => (None, text, true),
        });
    };
    // A `<think>` inside a call is no thinking.
    if text.find(TOOL_CALL).is_some_and(|call| call < open) {
        return Ok((None, text, true));
    }
    let inside = &text[open + THINK.len()..];
    match inside.find(END_THINK) {
        Some(close) => {
            let after = &inside[close + END_THINK.len()..];
            Ok((Some(inside[..close].trim().to_owned()), after, text[..open].trim().is_empty()))
        }
        None => Err(inside.trim().to_owned()),
    }
}

/// Returns the answer without its response, the response, and whether nothing stands after it.
fn split_response(answer: &str) -> (String, Option<String>, bool) {
    // A response stands after the calls, so a tag inside a call is no response.
    let from = answer.rfind(END_TOOL_CALL).map_or(0, |at| at + END_TOOL_CALL.len());
    let Some(open) = answer[from..].find(RESPONSE).map(|at| from + at) else {
        return (answer.to_owned(), None, true);
    };
    let inside = &answer[open + RESPONSE.len()..];
    let (response, after, closed) = match inside.find(END_RESPONSE) {
        Some(close) => (&inside[..close], &inside[close + END_RESPONSE.len()..], true),
        None => (inside, "", false),
    };
    (format!("{}{after}", &answer[..open]), Some(response.trim().to_owned()), closed && after.trim().is_empty())
}

/// Returns the bodies of the blocks and whether nothing stands between them.
fn tagged(rest: &str) -> Result<(Vec<String>, bool), ParseError> {
    let mut bodies = Vec::new();
    let mut tidy = true;
    let mut text = rest;
    loop {
        let Some(open) = text.find(TOOL_CALL) else {
            if text.contains(END_TOOL_CALL) {
                return Err(ParseError::MissingTag { missing: TOOL_CALL });
            }
            return Ok((bodies, tidy && text.trim().is_empty()));
        };
        if text[..open].contains(END_TOOL_CALL) {
            return Err(ParseError::MissingTag { missing: TOOL_CALL });
        }
        tidy &= text[..open].trim().is_empty();
        let inside = &text[open + TOOL_CALL.len()..];
        let Some(close) = block_end(inside) else {
            return Err(ParseError::MissingTag { missing: END_TOOL_CALL });
        };
        bodies.push(inside[..close].to_owned());
        text = &inside[close + END_TOOL_CALL.len()..];
    }
}

/// Returns where the block ends. The tag may occur in an argument's text: then the block ends at the first tag up to
/// which the body is JSON, if there is one.
fn block_end(inside: &str) -> Option<usize> {
    const TRIED: usize = 8;
    let first = inside.find(END_TOOL_CALL)?;
    let mut at = first;
    for _ in 0..TRIED {
        if super::json::calls(inside[..at].trim()).is_ok() {
            return Some(at);
        }
        let next = at + END_TOOL_CALL.len();
        match inside[next..].find(END_TOOL_CALL) {
            Some(found) if !inside[next..next + found].contains(TOOL_CALL) => at = next + found,
            _ => break,
        }
    }
    Some(first)
}

/// Returns the inside of a code fence and whether there was none around it. Backticks at both ends go, as in BFCL.
fn unfence(body: &str) -> (&str, bool) {
    if let Some(rest) = body.strip_prefix("```") {
        let inside = rest.find("```").map_or(rest, |close| &rest[..close]);
        // The language name is a first line of letters only.
        let inside = match inside.split_once('\n') {
            Some((language, code)) if language.trim().chars().all(char::is_alphanumeric) => code,
            _ => inside,
        };
        return (inside.trim(), false);
    }
    let bare = body.trim_matches('`').trim();
    (bare, bare.len() == body.len())
}
