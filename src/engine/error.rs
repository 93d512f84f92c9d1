//! What can go wrong: with the run itself, and with one stage of it.

use std::{fmt, io};

use camino::Utf8PathBuf;

use crate::{
    base::chain,
    engine::{publish::PublishError, render::RenderError},
    record::OutputRecord,
    store::StoreError,
};

/// A failure of the run itself. A stage that fails is none: it is told in the report, and the run goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The store failed.
    #[error("the artifact store failed")]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("could not {action}")]
    System {
        /// What was tried: `wait for the stages`.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl EngineError {
    pub(super) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

/// Why an attempt gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// It ended with a status other than 0.
    #[error("exit status {0}")]
    Exit(i32),
    /// It was killed.
    #[error("killed by {}{}", signal_name(*.0), if *.0 == libc::SIGKILL { " (out of memory?)" } else { "" })]
    Signal(i32),
    /// It ended well and left an output that cannot be taken.
    #[error("output `{port}`: {reason}")]
    Output {
        /// The port.
        port: String,
        /// What is wrong.
        reason: String,
    },
    /// It, or something that ran beside it, changed an input in place.
    #[error(
        "the input `{port}` was changed in place while the stage ran; inputs are to be read only: copy what is to be \
         changed. The damaged artifact was set aside; the next run makes it again"
    )]
    Harmed {
        /// The port.
        port: String,
    },
    /// A file that is part of the key has other bytes than when the run was planned.
    #[error("`{0}` was changed while the run was going: run again")]
    Changed(Utf8PathBuf),
    /// It said another fact than the execution whose lost result it was to make again.
    #[error(
        "`{name}` is {now}, but was {then} when this stage first ran, and that result is lost: bring back what there was \
         then, or accept what there is now by changing a parameter of the stage (for a source, its `digest`)"
    )]
    Fact {
        /// The fact's name.
        name: String,
        /// Its value at the first execution.
        then: String,
        /// Its value now.
        now: String,
    },
    /// The command cannot be filled in.
    #[error(transparent)]
    Command(#[from] RenderError),
    /// The program is nowhere.
    #[error("there is no program `{program}` on the PATH that the stage sees ({path})")]
    NoProgram {
        /// Its name.
        program: String,
        /// The PATH.
        path: String,
    },
    /// The attempt could not be prepared or started.
    #[error("could not {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: Utf8PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store could not give the inputs or take the outputs.
    #[error("{}", chain(.0))]
    Store(#[from] StoreError),
    /// The result exists, but a copy of an output could not be kept.
    #[error("{}", chain(.0))]
    Publish(#[from] PublishError),
    /// It was stopped with the run.
    #[error("stopped with the run before it was done")]
    Stopped,
}

impl Cause {
    pub(super) fn io(action: &'static str, path: impl Into<Utf8PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }
}

/// A failed attempt, as its report tells it: the cause, the end of the log, and where the rest of the log is.
#[derive(Debug)]
pub struct StageFailure {
    /// Why.
    pub cause: Cause,
    /// The last lines of its log.
    pub tail: Vec<String>,
    /// The log, if the attempt came far enough to have one.
    pub log: Option<Utf8PathBuf>,
}

impl From<Cause> for StageFailure {
    fn from(cause: Cause) -> Self {
        Self { cause, tail: Vec::new(), log: None }
    }
}

impl fmt::Display for StageFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.cause)?;
        for line in &self.tail {
            write!(formatter, "\n  | {line}")?;
        }
        match &self.log {
            Some(log) if self.tail.is_empty() => write!(formatter, "; it wrote nothing to its log {log}"),
            Some(log) => write!(formatter, "\n  log: {log}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StageFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// What a successful attempt left, by port.
pub(super) type Outputs = std::collections::BTreeMap<String, OutputRecord>;

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGALRM => "SIGALRM",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
