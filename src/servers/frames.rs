//! Frames of the Model Context Protocol's stdio transport: one JSON-RPC object per line, bounded.
//!
//! Bytes in, frames out: nothing here reads or waits. Whatever a server writes, the work and the memory are bounded by
//! [`FrameLimits`], and the first thing that is no frame ends the talk: a line that is half lost cannot be told from one that
//! was never meant, so there is no resynchronising.
//!
//! Source: Model Context Protocol 2025-11-25, "Transports / stdio" (messages are delimited by newlines and hold none) and
//! JSON-RPC 2.0, sections 4 and 5. Batches were taken out of the protocol in 2025-06-18 and count as broken.

use rmcp::model::ServerJsonRpcMessage;
use serde_json::Value;

/// Characters of a broken line that a message repeats.
const SHOWN: usize = 120;

/// What one server may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The longest line, in bytes.
    pub frame: usize,
    /// The most bytes between a question and its answer: notifications, requests and the answer together.
    pub exchange: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { frame: 8 << 20, exchange: 16 << 20 }
    }
}

/// Why what a server sends is no talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A line goes on and on.
    #[error("a message is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// It sends more than one answer can need.
    #[error("it sends more than {limit} bytes instead of an answer")]
    Flood {
        /// The most that is read for one answer.
        limit: usize,
    },
    /// A line that is no JSON object of JSON-RPC.
    #[error("it sends what is no message: {reason}: {shown}")]
    Broken {
        /// What is wrong.
        reason: String,
        /// The line's beginning.
        shown: String,
    },
    /// An answer to what was not asked.
    #[error("it answers {id}, which was not asked")]
    Unasked {
        /// The id it names.
        id: String,
    },
}

/// Collects bytes into lines.
#[derive(Debug)]
pub struct Frames {
    limits: FrameLimits,
    buffer: Vec<u8>,
    /// Where the next line begins in `buffer`.
    start: usize,
    /// Bytes of `buffer` that are known to hold no newline, from `start` on.
    searched: usize,
    /// Bytes since the last question.
    received: usize,
}

impl Frames {
    /// Returns an empty collector.
    pub fn new(limits: FrameLimits) -> Self {
        Self { limits, buffer: Vec::new(), start: 0, searched: 0, received: 0 }
    }

    /// Says that a question was asked: a new exchange begins.
    pub fn begin_exchange(&mut self) {
        self.received = 0;
    }

    /// Adds bytes as they came.
    ///
    /// # Errors
    /// [`FrameError::Flood`] once an exchange holds more bytes than it may.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        self.received += bytes.len();
        if self.received > self.limits.exchange {
            return Err(FrameError::Flood { limit: self.limits.exchange });
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns the next whole line, without its end. Blank lines are left out.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] if a line, ended or not, is longer than it may be.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, FrameError> {
        loop {
            let rest = &self.buffer[self.start..];
            let Some(length) = rest[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = rest.len();
                return if rest.len() > self.limits.frame { Err(self.too_long()) } else { Ok(None) };
            };
            let length = self.searched + length;
            let begin = self.start;
            self.start += length + 1;
            self.searched = 0;
            if length > self.limits.frame {
                return Err(self.too_long());
            }
            if !self.buffer[begin..begin + length].trim_ascii().is_empty() {
                return Ok(Some(self.buffer[begin..begin + length].trim_ascii()));
            }
        }
    }

    fn too_long(&self) -> FrameError {
        FrameError::TooLong { limit: self.limits.frame }
    }
}

/// A frame by its kind. `message` is what the protocol's types make of it.
#[derive(Clone, Debug)]
pub enum Frame {
    /// The server asks something.
    Request(Box<ServerJsonRpcMessage>),
    /// The server says something that wants no answer.
    Notification,
    /// The server answers, well or with an error.
    Answer {
        /// The question's id, as JSON; `null` where the server could not read it.
        id: Value,
        /// The answer.
        message: Box<ServerJsonRpcMessage>,
    },
}

/// Reads one line as a frame.
///
/// # Errors
/// [`FrameError::Broken`] for a line that is no JSON-RPC 2.0 object.
pub fn read_frame(line: &[u8]) -> Result<Frame, FrameError> {
    let broken = |reason: String| FrameError::Broken { reason, shown: beginning(line) };
    let value: Value = serde_json::from_slice(line).map_err(|error| broken(format!("no JSON ({error})")))?;
    let Some(object) = value.as_object() else { return Err(broken("no JSON object".to_owned())) };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(broken("`jsonrpc` is not \"2.0\"".to_owned()));
    }
    let id = match object.get("id") {
        None => None,
        Some(id @ (Value::Null | Value::String(_) | Value::Number(_))) => Some(id.clone()),
        Some(_) => return Err(broken("`id` is neither a number nor a text".to_owned())),
    };
    let (asks, answers) =
        (object.get("method").is_some(), object.contains_key("result") || object.contains_key("error"));
    let message = |value| {
        serde_json::from_value(value).map(Box::new).map_err(|error| broken(format!("not of the protocol ({error})")))
    };
    match (asks, answers, id) {
        (true, true, _) => Err(broken("question and answer at once".to_owned())),
        (true, false, None) => Ok(Frame::Notification),
        (true, false, Some(Value::Null)) => Err(broken("a request whose `id` is null".to_owned())),
        (true, false, Some(_)) => message(value).map(Frame::Request),
        (false, true, id) => {
            let id = id.unwrap_or(Value::Null);
            // Only an error may come without an id: that of a question that could not be read.
            if id.is_null() && !object.contains_key("error") {
                return Err(broken("a result without an `id`".to_owned()));
            }
            if object.contains_key("error") && object.contains_key("result") {
                return Err(broken("both `result` and `error`".to_owned()));
            }
            message(value).map(|message| Frame::Answer { id, message })
        }
        (false, false, _) => Err(broken("neither `method`, `result` nor `error`".to_owned())),
    }
}

/// Returns the beginning of a line, fit for a message.
pub(super) fn beginning(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN)]);
    let mut shown: String =
        text.chars().take(SHOWN).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if text.chars().count() > SHOWN || line.len() > 4 * SHOWN {
        shown.push('…');
    }
    shown
}
