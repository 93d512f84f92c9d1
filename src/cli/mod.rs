//! The command line: the only place that prints text, colours and exit codes.
//!
//! One file a command. A command asks [`project`] for the pipeline, the floors below for the answer, and writes the answer
//! to stdout (`--json` on each) and the talk to stderr. Nothing here decides what is run or kept.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "faces print")]

mod args;
mod exit;
mod output;

pub use args::{Arguments, Command};
pub use exit::{Failure, exit_code};
