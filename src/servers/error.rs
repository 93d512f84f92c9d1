//! Why a tool server gave no answer.

use std::time::Duration;

use super::frames::FrameError;

/// Why a server gave no answer. All but [`ServerError::Protocol`] mean that the server is gone or not to be trusted any more:
/// it is ended, and the next call starts another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It cannot be started.
    #[error("failed to start the tool server `{server}`: {reason}")]
    Start {
        /// Its command.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// It ended, or closed its output.
    #[error("the tool server `{server}` died {when}{}{}", verdict_text(verdict), stderr_text(stderr))]
    Died {
        /// Its command.
        server: String,
        /// What it was asked.
        when: String,
        /// How it ended, in words; empty if not known.
        verdict: String,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// It gave no answer in time.
    #[error("the tool server `{server}` gave no answer within {} s {when}{}", .after.as_secs_f64(), stderr_text(stderr))]
    Hung {
        /// Its command.
        server: String,
        /// What it was asked.
        when: String,
        /// How long was waited.
        after: Duration,
        /// The end of what it wrote to stderr.
        stderr: String,
    },
    /// It sends what is no talk.
    #[error("the tool server `{server}` breaks the protocol {when}: {source}")]
    Broken {
        /// Its command.
        server: String,
        /// What it was asked.
        when: String,
        /// What it sent.
        source: FrameError,
    },
    /// It answered in a form that the question does not allow.
    #[error("the tool server `{server}` breaks the protocol {when}: {reason}")]
    Unexpected {
        /// Its command.
        server: String,
        /// What it was asked.
        when: String,
        /// What is wrong.
        reason: String,
    },
    /// It refuses the request with a JSON-RPC error. The server is well.
    #[error("the tool server `{server}` refuses {when}: {message} (code {code})")]
    Protocol {
        /// Its command.
        server: String,
        /// What it was asked.
        when: String,
        /// JSON-RPC's error code.
        code: i32,
        /// What it said.
        message: String,
    },
}

impl ServerError {
    /// Returns whether the server can be asked again.
    pub fn leaves_server_usable(&self) -> bool {
        matches!(self, Self::Protocol { .. })
    }
}

fn verdict_text(verdict: &str) -> String {
    if verdict.is_empty() { String::new() } else { format!(" ({verdict})") }
}

fn stderr_text(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; its stderr ends: {stderr}") }
}
