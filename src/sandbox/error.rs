//! Why a program could not be started. Nothing was run when one of these is returned.

use std::io;

use camino::Utf8PathBuf;

/// A failure to start a sandboxed program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// No way of shutting a program in works on this machine, and the policy does not allow to run it in the open.
    #[error("no sandbox works on this machine, so the program was not run:\n{}", .missing.join("\n"))]
    Unavailable {
        /// One line for each mechanism: what is missing and what can be done about it.
        missing: Vec<String>,
    },
    /// The policy asks for what cannot be given: a path that is not there, a program that cannot be executed.
    #[error("the sandbox could not {step}: {reason}")]
    Refused {
        /// What was tried: "run `/usr/bin/x`".
        step: String,
        /// Why it failed.
        reason: String,
    },
    /// The helper program could not be started, or broke off.
    #[error("the sandbox's helper `{helper} __sandbox` did not start the program")]
    Helper {
        /// The helper's program.
        helper: Utf8PathBuf,
        /// What happened.
        source: io::Error,
    },
}
