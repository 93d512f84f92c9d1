//! Why a stage failed.

use std::{error::Error, io};

use camino::Utf8PathBuf;

use crate::table::TableError;

/// Why a stage failed. Messages say what, where and, if there is something to do, what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// The request file is not one.
    #[error("failed to read the request {path}: {reason}")]
    Request {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No built-in kind has this name.
    #[error("no built-in stage kind is called `{name}`; known kinds: {known}{}", .suggestion.as_ref().map(|word| format!("; did you mean `{word}`?")).unwrap_or_default())]
    UnknownKind {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
        /// The nearest name, if one is near.
        suggestion: Option<String>,
    },
    /// A parameter has a value that the kind cannot work with.
    #[error("parameter `{name}`: {reason}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// The request lacks a port, or has it with another type.
    #[error("port `{port}`: {reason}")]
    Port {
        /// The port.
        port: String,
        /// What is wrong.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("failed to {doing} {path}")]
    Io {
        /// `read`, `write`, …
        doing: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An input or output is no table of its schema.
    #[error("port `{port}`, {place}")]
    Table {
        /// The port.
        port: String,
        /// Which input, or which file.
        place: String,
        /// What is wrong with it.
        #[source]
        source: TableError,
    },
    /// Input data is not what the stage needs.
    #[error("{place}: {what}; {help}")]
    Data {
        /// Where: `file:line`, a sample, a port.
        place: String,
        /// What is wrong.
        what: String,
        /// What to do now.
        help: String,
    },
    /// Getting something from elsewhere failed.
    #[error("failed to fetch `{origin}`: {reason}")]
    Fetch {
        /// From where.
        origin: String,
        /// What went wrong, and what to do.
        reason: String,
    },
    /// The kind ended without leaving an output.
    #[error("the stage ended without writing its output `{port}` to {path}")]
    OutputMissing {
        /// The port.
        port: String,
        /// Where it should be.
        path: Utf8PathBuf,
    },
    /// Something below failed: a model, a template, a tool.
    #[error("failed to {doing}")]
    Failed {
        /// What the stage was doing.
        doing: String,
        /// What failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StageError {
    /// Returns an error about input data.
    pub fn data(place: impl Into<String>, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Data { place: place.into(), what: what.into(), help: help.into() }
    }

    /// Returns an error about a parameter.
    pub fn parameter(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Parameter { name: name.into(), reason: reason.into() }
    }

    /// Returns a function that wraps an error of something below, for `map_err`.
    pub fn failed<E: Into<Box<dyn Error + Send + Sync>>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::Failed { doing, source: source.into() }
    }

    /// Returns a function that wraps an error of the file system, for `map_err`.
    pub fn io(doing: &'static str, path: impl Into<Utf8PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// Returns the message with all its causes, joined by `: `.
    pub fn full_message(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let part = cause.to_string();
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            source = cause.source();
        }
        text
    }
}
