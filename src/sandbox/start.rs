//! Starting: which mechanism is tried, what a failed attempt means, and one-shot commands from start to end.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Mechanism, Policy, SandboxError, Sandboxed, Verdict,
    wire::{self, Assignment, Report},
};

/// How long the helper, which is our own program, may take until the program runs.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Starts programs under policies. Remembers which mechanism works, so a failed attempt is paid for once.
#[derive(Debug)]
pub struct Sandbox {
    helper: Utf8PathBuf,
    namespaces_failed: AtomicBool,
}

/// A one-shot command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What became of it.
    pub verdict: Verdict,
}

impl Sandbox {
    /// Returns a sandbox whose helper is this program, the `pipeline` binary.
    pub fn new(helper: impl Into<Utf8PathBuf>) -> Self {
        Self { helper: helper.into(), namespaces_failed: AtomicBool::new(false) }
    }

    /// Starts the policy's program with the best mechanism that works. It runs when this returns.
    ///
    /// # Errors
    /// [`SandboxError::Unavailable`] where no mechanism works, unless the policy allows to run unsandboxed;
    /// [`SandboxError::Refused`] where the policy cannot be carried out. Nothing was run then.
    pub fn start(&self, policy: &Policy) -> Result<Sandboxed, SandboxError> {
        let mut missing = Vec::new();
        for mechanism in self.candidates(policy) {
            match self.attempt(policy, mechanism)? {
                Ok(sandboxed) => return Ok(sandboxed),
                Err(reason) => {
                    if mechanism == Mechanism::Namespaces {
                        self.namespaces_failed.store(true, Ordering::Relaxed);
                    }
                    missing.push(reason);
                }
            }
        }
        missing.push(
            "  what you can do: use Linux 6.12 or newer with Landlock among `lsm=`, or allow unprivileged user namespaces \
             (in Docker: `--security-opt seccomp=unconfined`), or accept the risk with `--allow-unsandboxed`"
                .to_owned(),
        );
        Err(SandboxError::Unavailable { missing })
    }

    /// Runs the policy's program to its end: gives it `input`, takes its output. Neither can block the other, and the
    /// policy's limits bound time and size.
    ///
    /// # Errors
    /// As [`start`](Self::start); a program that fails is a [`Verdict`], no error.
    pub fn run(&self, policy: &Policy, input: &[u8]) -> Result<Finished, SandboxError> {
        let mut sandboxed = self.start(policy)?;
        let (stdin, stdout) = (sandboxed.take_stdin(), sandboxed.take_stdout());
        let stdout = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not read its input closes the pipe sooner or later; that is its own affair.
                let _ = stdin.map(|mut stdin| stdin.write_all(input));
            });
            let mut bytes = Vec::new();
            // An error can only be the helper's end, which the verdict tells.
            let _ = stdout.map(|mut stdout| stdout.read_to_end(&mut bytes));
            bytes
        });
        Ok(Finished { stdout, verdict: sandboxed.wait() })
    }

    /// Returns the helper's program.
    pub fn helper(&self) -> &Utf8Path {
        &self.helper
    }

    fn candidates(&self, policy: &Policy) -> Vec<Mechanism> {
        if let Some(only) = policy.mechanism {
            // Naming a mechanism is no way around the explicit permission.
            return if only == Mechanism::Unsandboxed && !policy.allow_unsandboxed { Vec::new() } else { vec![only] };
        }
        let mut candidates = Vec::new();
        if !self.namespaces_failed.load(Ordering::Relaxed) || policy.network == super::Network::Loopback {
            candidates.push(Mechanism::Namespaces);
        }
        candidates.push(Mechanism::Landlock);
        if policy.allow_unsandboxed {
            candidates.push(Mechanism::Unsandboxed);
        }
        candidates
    }

    /// Tries one mechanism; the inner error says why it does not work here.
    fn attempt(&self, policy: &Policy, mechanism: Mechanism) -> Result<Result<Sandboxed, String>, SandboxError> {
        let failed = |source: io::Error| SandboxError::Helper { helper: self.helper.clone(), source };
        let (control, helper_end) = UnixStream::pair().map_err(failed)?;
        let mut child = Command::new(&self.helper)
            .arg("__sandbox")
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(OwnedFd::from(helper_end)))
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut sandboxed = Sandboxed::new(child, control, stdin, stdout, mechanism);
        let assignment = wire::line(&Assignment { policy: policy.clone(), mechanism });
        match first_report(sandboxed.control(), &assignment).map_err(failed)? {
            Report::Started => {
                sandboxed.started();
                Ok(Ok(sandboxed))
            }
            Report::Missing { step, reason } => Ok(Err(format!("  {mechanism:?}: could not {step}: {reason}"))),
            Report::Refused { step, reason } => Err(SandboxError::Refused { step, reason }),
            Report::Ended(verdict) => Err(failed(io::Error::other(format!("it ended at once: {verdict}")))),
        }
    }
}

/// Hands over the assignment and reads the answer.
fn first_report(mut control: &UnixStream, assignment: &[u8]) -> io::Result<Report> {
    control.set_read_timeout(Some(START_PATIENCE))?;
    control.set_write_timeout(Some(START_PATIENCE))?;
    control.write_all(assignment)?;
    let mut said = String::new();
    // Byte by byte: what comes after the first report belongs to whoever asks for the verdict.
    let mut reader = BufReader::with_capacity(1, control);
    loop {
        let mut line = String::new();
        let read = (&mut reader).take(1 << 16).read_line(&mut line)?;
        if let Ok(report) = serde_json::from_str(&line) {
            control.set_read_timeout(None)?;
            return Ok(report);
        }
        said.push_str(&line);
        if read == 0 || said.len() > 1 << 16 {
            let said = said.trim();
            return Err(io::Error::other(if said.is_empty() {
                "it ended without a word".into()
            } else {
                said.to_owned()
            }));
        }
    }
}
