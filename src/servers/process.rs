//! A server's process: the one place where a program is started, always in a sandbox.
//!
//! What the sandbox may not do is [`crate::sandbox`]'s affair; here a command becomes a policy: the program that it names, what that
//! program must read, a private folder, a small environment that is the same on every machine.

use std::{collections::BTreeMap, os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};

use super::program::Places;
use crate::base::chain;
use crate::sandbox::{Ending, Policy, Sandbox, Sandboxed, system};

/// Longer than our own patience: the sandbox's clock is there for when we are gone.
const SLACK: Duration = Duration::from_secs(5);

/// What a command that is no server may take and write: `git` reading a repository.
const COMMAND_TIME: Duration = Duration::from_secs(30);
const COMMAND_OUTPUT: u64 = 64 << 20;

/// How long a server may take to end after it closed its output: a program that exits is seen to within milliseconds.
const CLOSING_TIME: Duration = Duration::from_millis(50);

/// What every program finds in its environment beside `HOME`, `PATH` and `TMPDIR`: nothing of this machine, and names for
/// commits that are the same everywhere. The sandbox may show files under another owner, which git would not trust.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("LANG", "C.UTF-8"),
    ("TZ", "UTC"),
    ("GIT_AUTHOR_NAME", "user"),
    ("GIT_AUTHOR_EMAIL", "user@example.com"),
    ("GIT_COMMITTER_NAME", "user"),
    ("GIT_COMMITTER_EMAIL", "user@example.com"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_CONFIG_COUNT", "1"),
    ("GIT_CONFIG_KEY_0", "safe.directory"),
    ("GIT_CONFIG_VALUE_0", "*"),
];

/// What is started, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments. `npx PACKAGE` and `uvx PACKAGE` mean what is installed.
    pub command: Vec<String>,
    /// The working folder: what the program may change.
    pub folder: Utf8PathBuf,
    /// A folder for what it does not want to keep, its home too. It may change this as well.
    pub temporary: Utf8PathBuf,
    /// What its environment holds beside what every program's does.
    pub environment: BTreeMap<String, String>,
    /// What it may read beside the system and its own installation.
    pub read: Vec<Utf8PathBuf>,
}

impl Launch {
    /// Returns the launch of `command` with nothing special about it.
    pub fn new(command: Vec<String>, folder: impl Into<Utf8PathBuf>, temporary: impl Into<Utf8PathBuf>) -> Self {
        let (folder, temporary) = (folder.into(), temporary.into());
        Self { command, folder, temporary, environment: BTreeMap::new(), read: Vec::new() }
    }

    /// Returns the command as messages name it.
    pub fn name(&self) -> String {
        self.command.join(" ")
    }
}

/// Starts programs in sandboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Launcher {
    sandbox: Arc<Sandbox>,
    /// The limits; program, folder, environment and readable paths are each launch's own.
    limits: Policy,
    project: Utf8PathBuf,
}

impl Launcher {
    /// Returns a launcher. Of `limits` the program, its arguments, its folders, its environment, its time and its
    /// output are not taken: they are each launch's own.
    /// Relative paths begin at `project`.
    pub fn new(sandbox: Arc<Sandbox>, limits: Policy, project: impl Into<Utf8PathBuf>) -> Self {
        let project: Utf8PathBuf = project.into();
        // Without a current folder a relative path stays one, and the sandbox says that it wants absolute ones.
        let absolute = std::path::absolute(&project).ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        Self { sandbox, limits, project: absolute.unwrap_or(project) }
    }

    /// Returns the project's folder.
    pub fn project(&self) -> &Utf8Path {
        &self.project
    }

    fn policy(&self, launch: &Launch, wall: Duration, output_bytes: u64) -> Result<Policy, String> {
        let places = Places::of_environment(&self.project);
        let found = places.find(&launch.command)?;
        let mut readable = system();
        readable.extend(found.readable);
        readable.extend(self.limits.readable.iter().cloned());
        readable.extend(launch.read.iter().map(|path| self.project.join(path)));
        readable.retain(|path| *path != launch.folder && *path != launch.temporary);
        let mut folders = found.folders;
        folders.extend(["/usr/local/bin", "/usr/bin", "/bin"].map(Utf8PathBuf::from));
        let path: Vec<&str> = folders.iter().map(|folder| folder.as_str()).collect();
        let mut environment: BTreeMap<String, String> =
            ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        environment.insert("HOME".to_owned(), launch.temporary.to_string());
        environment.insert("TMPDIR".to_owned(), launch.temporary.to_string());
        environment.insert("PATH".to_owned(), path.join(":"));
        environment.extend(launch.environment.clone());
        Ok(Policy {
            program: found.program,
            arguments: found.arguments,
            workdir: launch.folder.clone(),
            temporary: Some(launch.temporary.clone()),
            readable,
            environment: environment.into_iter().collect(),
            wall: wall + SLACK,
            output_bytes,
            ..self.limits.clone()
        })
    }

    /// Runs a command to its end and returns what it wrote.
    pub(super) fn output(&self, launch: &Launch) -> Result<Vec<u8>, String> {
        let policy = self.policy(launch, COMMAND_TIME, COMMAND_OUTPUT)?;
        let finished = self.sandbox.run(&policy, &[]).map_err(|error| chain(&error))?;
        if finished.verdict.ending.succeeded() {
            Ok(finished.stdout)
        } else {
            Err(format!("{}: {}", finished.verdict.ending, finished.verdict.stderr.trim()))
        }
    }

    /// Runs `git` in `folder`, which need not be the working folder's top.
    pub(super) fn git(&self, folder: &Path, temporary: &Utf8Path, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let folder = Utf8Path::from_path(folder).ok_or("its path is no UTF-8")?;
        // What a repository's own configuration may not bring about: starting programs of its choice.
        let careful = ["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0"];
        let command = std::iter::once("git").chain(careful).chain(arguments.iter().copied());
        self.output(&Launch::new(command.map(str::to_owned).collect(), folder, temporary))
    }
}

/// The two pipes of a server.
pub(super) struct Pipes {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
}

/// A running server. Dropping it ends it with all its descendants.
pub(super) struct Process {
    running: Option<Sandboxed>,
}

/// How a server ended.
pub(super) struct Ended {
    /// In words.
    pub(super) verdict: String,
    /// The end of what it wrote to stderr.
    pub(super) stderr: String,
}

impl Process {
    /// Starts a server; one answer of it may take `wall`, and `output_bytes` with all that is said beside it.
    pub(super) fn start(
        launcher: &Launcher,
        launch: &Launch,
        wall: Duration,
        output_bytes: u64,
    ) -> Result<(Self, Pipes), String> {
        let policy = launcher.policy(launch, wall, output_bytes)?;
        let mut running = launcher.sandbox.start(&policy).map_err(|error| chain(&error))?;
        let pipes = match (running.take_stdin(), running.take_stdout()) {
            (Some(stdin), Some(stdout)) => Pipes { stdin: stdin.into(), stdout: stdout.into() },
            _ => return Err("its pipes are missing".to_owned()),
        };
        Ok((Self { running: Some(running) }, pipes))
    }

    /// Says that the server is asked something: its allowance for one turn begins.
    pub(super) fn begin_turn(&mut self) {
        if let Some(running) = &mut self.running {
            running.begin_turn();
        }
    }

    /// Says that it has answered.
    pub(super) fn rest(&mut self) {
        if let Some(running) = &mut self.running {
            running.rest();
        }
    }

    /// Lets a server that closed its output end by itself, so that its verdict is its own, and then ends it.
    pub(super) fn end_after_closing(&mut self) -> Ended {
        std::thread::sleep(CLOSING_TIME);
        let mut ended = self.end();
        if ended.verdict == Ending::Stopped.to_string() {
            "it closed its output".clone_into(&mut ended.verdict);
        }
        ended
    }

    /// Ends it, if it has not ended, and says how it went.
    pub(super) fn end(&mut self) -> Ended {
        match self.running.take() {
            Some(running) => {
                let verdict = running.kill();
                Ended { verdict: verdict.ending.to_string(), stderr: tail(&verdict.stderr) }
            }
            None => Ended { verdict: String::new(), stderr: String::new() },
        }
    }
}

/// The last characters of stderr, as a message can hold them.
fn tail(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().rev().nth(1_000) {
        Some((begin, _)) => format!("…{}", &text[begin..]),
        None => text.to_owned(),
    }
}
