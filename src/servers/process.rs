//! A server's process: the one place where a program is started.
//!
//! Nothing else in this workshop starts a program. The process gets an empty environment but for what its launch names, a
//! working folder, pipes as stdin, stdout and stderr, and a process group of its own that dies when the value is dropped.

use std::{
    collections::BTreeMap,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What is started, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The working folder: what the server may write.
    pub folder: PathBuf,
    /// The environment, whole.
    pub environment: BTreeMap<String, String>,
}

impl Launch {
    /// Returns the launch of `command` in `folder`, with nothing in its environment but the `PATH` that programs are looked for
    /// in, and `folder` as its home.
    pub fn new(command: Vec<String>, folder: &Path) -> Self {
        let mut environment = BTreeMap::from([("HOME".to_owned(), folder.display().to_string())]);
        if let Ok(path) = std::env::var("PATH") {
            environment.insert("PATH".to_owned(), path);
        }
        Self { command, folder: folder.to_owned(), environment }
    }

    /// Returns the command as messages name it.
    pub fn name(&self) -> String {
        self.command.join(" ")
    }
}

/// The three pipes of a process.
pub(super) struct Pipes {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: Option<OwnedFd>,
}

/// A running process. Dropping it ends its whole group.
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts a process.
    pub(super) fn start(launch: &Launch) -> Result<(Self, Pipes), String> {
        let (program, arguments) = launch.command.split_first().ok_or("its command is empty")?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&launch.folder)
            .env_clear()
            .envs(&launch.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let pipes = match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => {
                Pipes { stdin: stdin.into(), stdout: stdout.into(), stderr: child.stderr.take().map(OwnedFd::from) }
            }
            _ => return Err("its pipes are missing".to_owned()),
        };
        Ok((Self { child }, pipes))
    }

    /// Ends the group and says how the process ended.
    pub(super) fn end(&mut self) -> String {
        let ended = self.child.try_wait().ok().flatten();
        self.kill();
        ended.map_or_else(|| "it closed its output".to_owned(), |status| status.to_string())
    }

    fn kill(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // The group may be gone already.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
