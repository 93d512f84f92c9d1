//! Exit codes and the one error type of the command line.

use std::process::ExitCode;

use crate::base::Diagnostic;

/// Documented exit codes.
pub mod exit_code {
    /// Everything asked for was done.
    pub const OK: u8 = 0;
    /// A stage failed.
    pub const STAGE_FAILED: u8 = 1;
    /// The command line was wrong.
    pub const USAGE: u8 = 2;
    /// A pipeline or stage file is wrong.
    pub const CONFIGURATION: u8 = 3;
    /// The store is damaged or cannot be used.
    pub const STORE: u8 = 4;
    /// The user stopped it.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Mistakes in files, all of them.
    Configuration(Vec<Diagnostic>),
    /// Anything else: its message, what may help, and the exit code.
    Message {
        /// What went wrong, causes after colons.
        message: String,
        /// What to do now.
        help: Option<String>,
        /// The exit code.
        code: u8,
    },
    /// The reader of our output went away: silence.
    BrokenPipe,
    /// All was said already; only the exit code is left.
    Said(u8),
}

impl Failure {
    /// A wrong command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Message { message: message.into(), help: None, code: exit_code::USAGE }
    }

    /// A wrong file, where no place in it can be named.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::Message { message: message.into(), help: None, code: exit_code::CONFIGURATION }
    }

    /// A store that is damaged or cannot be used.
    pub fn store(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Message { message: chain(error), help: None, code: exit_code::STORE }
    }

    /// Adds what to do now.
    #[must_use]
    pub fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Message { message, code, .. } => Self::Message { message, help: Some(text.into()), code },
            other => other,
        }
    }

    /// Returns the exit code.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => exit_code::CONFIGURATION,
            Self::Message { code, .. } | Self::Said(code) => *code,
            Self::BrokenPipe => exit_code::OK,
        }
        .into()
    }
}

/// Returns an error's message followed by its causes, each once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = cause.source();
    }
    text
}
