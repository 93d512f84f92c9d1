//! The helper process `pipeline __sandbox`: shuts itself in, starts the program, keeps its limits, says how it ended.
//!
//! Three processes stand between caller and program, all of one small binary image:
//!
//! 1. the *gate*, which the caller started: reads the assignment, makes the namespaces, waits;
//! 2. the *supervisor*, its child, the first process of the new process namespace: passes output on, counts, watches the
//!    clock, and when it ends the kernel kills all that is left in the namespace;
//! 3. the program, the supervisor's child, which shuts itself in for good just before it becomes the program.
//!
//! All three are forked from a process with one thread, so plain code may run between fork and exec. The helper inherits
//! nothing but three descriptors: the program's standard input and output, and as its own standard error the socket to
//! the caller, whose end ends everything.

mod census;
mod gate;
mod landlock;
mod limits;
mod namespaces;
mod program;
mod root;
mod seccomp;
mod supervisor;
mod system;
mod tail;

pub use gate::main;

use std::{fmt, io};

/// Why the program was not started.
#[derive(Debug)]
enum Setback {
    /// The mechanism does not work here.
    Missing { step: String, reason: String },
    /// The policy cannot be carried out.
    Refused { step: String, reason: String },
}

/// Says of a failed step that the machine lacks something.
fn missing<E: fmt::Display>(step: impl Into<String>) -> impl FnOnce(E) -> Setback {
    let step = step.into();
    move |error| Setback::Missing { step, reason: error.to_string() }
}

/// Says of a failed step that the policy asks for too much.
fn refused<E: fmt::Display>(step: impl Into<String>) -> impl FnOnce(E) -> Setback {
    let step = step.into();
    move |error| Setback::Refused { step, reason: error.to_string() }
}

/// An error of the C library's last call.
fn last_error() -> io::Error {
    io::Error::last_os_error()
}
