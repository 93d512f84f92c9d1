//! What became of a sandboxed program, in values and in words.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::Mechanism;

/// Why a program is no longer running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ending {
    /// It ended by itself with this status.
    Exited(i32),
    /// A signal that it raised, or a fault of its own, ended it.
    Signalled(i32),
    /// It made a system call that is not allowed.
    BlockedCall,
    /// Its turn lasted longer than the policy allows.
    TimedOut,
    /// It used more processor time than the policy allows.
    CpuLimit,
    /// Its processes held more memory than the policy allows.
    OutOfMemory,
    /// It had more processes and threads than the policy allows.
    TooManyProcesses,
    /// It wrote more to standard output and standard error than the policy allows.
    TooMuchOutput,
    /// It wrote a larger file than the policy allows.
    FileTooLarge,
    /// The caller ended it.
    Stopped,
    /// The helper process vanished and took the program along: killed from outside, or by a machine out of memory.
    Lost,
}

/// What a program used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Real time from start to end.
    pub wall: Duration,
    /// Processor time of all its processes, as far as the last look saw them.
    pub cpu: Duration,
    /// The most memory that was seen in use at once, in bytes.
    pub peak_memory_bytes: u64,
    /// Bytes on standard output and standard error.
    pub output_bytes: u64,
}

/// The end of a sandboxed program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why it ended.
    pub ending: Ending,
    /// How it was shut in.
    pub mechanism: Mechanism,
    /// What it used.
    pub usage: Usage,
    /// The beginning and end of what it said on standard error, up to the policy's limit.
    pub stderr: String,
}

impl Ending {
    /// Returns whether the program ended by itself with status 0.
    pub fn succeeded(&self) -> bool {
        *self == Self::Exited(0)
    }

    /// Returns whether the sandbox, not the program or the caller, put an end to it.
    pub fn was_enforced(&self) -> bool {
        !matches!(self, Self::Exited(_) | Self::Signalled(_) | Self::Stopped | Self::Lost)
    }

    /// Reads a wait status of `waitpid`.
    pub(super) fn of_wait_status(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            match libc::WTERMSIG(status) {
                libc::SIGSYS => Self::BlockedCall,
                libc::SIGXCPU => Self::CpuLimit,
                libc::SIGXFSZ => Self::FileTooLarge,
                signal => Self::Signalled(signal),
            }
        } else {
            Self::Exited(libc::WEXITSTATUS(status))
        }
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGSYS => "a system call that the sandbox does not allow",
        libc::SIGXCPU => "its processor time ran out",
        libc::SIGXFSZ => "a file larger than the sandbox allows",
        libc::SIGABRT => "it aborted",
        libc::SIGSEGV | libc::SIGBUS => "a fault in memory",
        libc::SIGILL => "an illegal instruction",
        libc::SIGFPE => "an arithmetic fault",
        libc::SIGPIPE => "nobody read its output",
        libc::SIGKILL => "killed",
        libc::SIGTERM => "terminated",
        _ => "see signal(7)",
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(0) => write!(formatter, "ended by itself"),
            // What shells say of a child that a signal ended.
            Self::Exited(status @ 129..=159) => {
                let signal = status - 128;
                write!(formatter, "exited with status {status} (signal {signal}: {})", signal_name(signal))
            }
            Self::Exited(status) => write!(formatter, "exited with status {status}"),
            Self::Signalled(signal) => write!(formatter, "ended by signal {signal}: {}", signal_name(*signal)),
            Self::BlockedCall => write!(formatter, "killed: it made a system call that the sandbox does not allow"),
            Self::TimedOut => write!(formatter, "killed: it took longer than allowed"),
            Self::CpuLimit => write!(formatter, "killed: it used more processor time than allowed"),
            Self::OutOfMemory => write!(formatter, "killed: it used more memory than allowed"),
            Self::TooManyProcesses => write!(formatter, "killed: it had more processes and threads than allowed"),
            Self::TooMuchOutput => write!(formatter, "killed: it wrote more output than allowed"),
            Self::FileTooLarge => write!(formatter, "killed: it wrote a larger file than allowed"),
            Self::Stopped => write!(formatter, "stopped by the caller"),
            Self::Lost => write!(formatter, "lost: the sandbox's helper process was killed from outside"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Usage { wall, cpu, peak_memory_bytes, output_bytes } = self.usage;
        write!(
            formatter,
            "{} (after {:.2} s, {:.2} s of processor, {} MiB of memory, {output_bytes} bytes of output)",
            self.ending,
            wall.as_secs_f64(),
            cpu.as_secs_f64(),
            peak_memory_bytes >> 20,
        )
    }
}
