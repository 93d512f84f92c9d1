//! A running sandboxed program, as its caller holds it. Dropping it ends the program and all its descendants.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::{Child, ChildStdin, ChildStdout},
    time::Duration,
};

use super::{
    Ending, Mechanism, Usage, Verdict,
    wire::{self, Order, Report},
};

/// How long a helper that was told to stop may take before it is killed itself.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// The most that a helper's last words are read of: a verdict with its standard error, escaped.
const LAST_WORDS_BYTES: u64 = 64 << 20;

/// A program that runs, or has ended and was not asked about yet.
///
/// Reading its output ends at the latest when the policy's time for the turn is over: then all that could write is gone.
#[derive(Debug)]
pub struct Sandboxed {
    helper: Child,
    control: UnixStream,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    mechanism: Mechanism,
    started: bool,
    verdict: Option<Verdict>,
}

impl Sandboxed {
    pub(super) fn new(
        helper: Child,
        control: UnixStream,
        stdin: Option<ChildStdin>,
        stdout: Option<ChildStdout>,
        mechanism: Mechanism,
    ) -> Self {
        Self { helper, control, stdin, stdout, mechanism, started: false, verdict: None }
    }

    pub(super) fn control(&self) -> &UnixStream {
        &self.control
    }

    pub(super) fn started(&mut self) {
        self.started = true;
    }

    /// Returns how the program is shut in.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Takes the pipe to its standard input. Dropping it closes the input.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Takes the pipe from its standard output.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Begins a turn: time, processor time and output are counted from here, each up to the policy's limit.
    pub fn begin_turn(&mut self) {
        self.order(&Order::Turn);
    }

    /// Ends the turn: a server may wait for the next as long as it likes. Memory, processes, processor time and output
    /// stay limited.
    pub fn rest(&mut self) {
        self.order(&Order::Rest);
    }

    /// Ends the program and all its descendants, and says what became of it. They are gone when this returns.
    pub fn kill(mut self) -> Verdict {
        self.order(&Order::Stop);
        self.conclude(Some(STOP_PATIENCE))
    }

    /// Waits for the program's end; what was not taken of its input and output is closed first.
    ///
    /// A program at rest is waited for as long as it lives.
    pub fn wait(mut self) -> Verdict {
        self.stdin = None;
        self.stdout = None;
        self.conclude(None)
    }

    /// A helper that is gone cannot be told anything: the verdict will say so.
    fn order(&mut self, order: &Order) {
        let _ = self.control.write_all(&wire::line(order));
    }

    /// Reads the helper's last words until its end, which is the end of all descendants.
    fn conclude(&mut self, patience: Option<Duration>) -> Verdict {
        if let Some(verdict) = &self.verdict {
            return verdict.clone();
        }
        let mut said = Vec::new();
        let _ = self.control.set_read_timeout(patience);
        if (&self.control).take(LAST_WORDS_BYTES).read_to_end(&mut said).is_err() {
            let _ = self.helper.kill();
        }
        let _ = self.helper.wait();
        let verdict = said.split(|&byte| byte == b'\n').find_map(|line| match serde_json::from_slice(line) {
            Ok(Report::Ended(verdict)) => Some(verdict),
            _ => None,
        });
        let verdict = verdict.unwrap_or_else(|| Verdict {
            ending: Ending::Lost,
            mechanism: self.mechanism,
            usage: Usage::default(),
            stderr: String::from_utf8_lossy(&said).into_owned(),
        });
        self.verdict = Some(verdict.clone());
        verdict
    }
}

impl Drop for Sandboxed {
    fn drop(&mut self) {
        if self.verdict.is_none() {
            if self.started {
                self.order(&Order::Stop);
            }
            // Without a turn a half-started helper only has to notice that its assignment ends.
            let _ = self.control.shutdown(std::net::Shutdown::Write);
            self.conclude(Some(STOP_PATIENCE));
        }
    }
}
