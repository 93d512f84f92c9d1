//! One running attempt: what it says and how it ends.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::Signal;

use crate::{
    engine::{
        keeper::Keeper,
        log::{EventFile, EventLines},
        process::{Child, Ending},
        workspace::Workspace,
    },
    record::StageEvent,
    store::KeyLock,
};

/// How long to wait for what an ended stage left running to die of SIGKILL.
const LAST_BREATH: Duration = Duration::from_millis(500);

/// A running attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The stage's index in the graph.
    pub index: usize,
    /// Its folder.
    pub workspace: Workspace,
    /// Its log.
    pub log: Utf8PathBuf,
    /// The lock of its key.
    pub lock: KeyLock,
    /// The process.
    pub child: Child,
    /// When it began.
    pub began: Instant,
    /// Whence its events come.
    pub speech: Speech,
    /// The facts that it has said so far.
    pub facts: BTreeMap<String, String>,
}

/// Whence the events of an attempt come.
#[derive(Debug)]
pub(super) enum Speech {
    /// From a built-in kind's standard output.
    Pipe {
        /// The reading end, non-blocking; `None` once it has ended.
        reader: Option<OwnedFd>,
        /// What was read.
        lines: EventLines,
    },
    /// From the file that a command may write.
    File(EventFile),
}

impl Attempt {
    /// Returns the pipe to poll for events, if there is one.
    pub(super) fn pipe(&self) -> Option<&OwnedFd> {
        match &self.speech {
            Speech::Pipe { reader, .. } => reader.as_ref(),
            Speech::File(_) => None,
        }
    }

    /// Hands what the stage has said since the last call to `sink`. A command that makes its events unreadable is not
    /// listened to any more.
    pub(super) fn listen(&mut self, sink: &mut dyn FnMut(StageEvent)) -> io::Result<()> {
        let sink = &mut noting(&mut self.facts, &self.log, sink);
        match &mut self.speech {
            Speech::File(follower) => {
                if let Err(error) = follower.read(&self.workspace.desk.events(), sink) {
                    self.speech = deaf(&error, sink);
                }
                Ok(())
            }
            Speech::Pipe { reader, lines } => {
                let mut buffer = [0; 8192];
                while let Some(pipe) = reader {
                    match rustix::io::read(&*pipe, &mut buffer) {
                        Ok(0) => *reader = None,
                        Ok(length) => lines.feed(&buffer[..length], sink),
                        Err(rustix::io::Errno::AGAIN) => break,
                        Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
        }
    }

    /// Hands the rest of what the ended stage said to `sink`.
    pub(super) fn listen_to_the_end(&mut self, sink: &mut dyn FnMut(StageEvent)) -> io::Result<()> {
        if self.pipe().is_some() {
            self.listen(sink)?;
        }
        let sink = &mut noting(&mut self.facts, &self.log, sink);
        match &mut self.speech {
            Speech::File(follower) => {
                if let Err(error) = follower.finish(&self.workspace.desk.events(), sink) {
                    self.speech = deaf(&error, sink);
                }
                Ok(())
            }
            Speech::Pipe { lines, .. } => {
                lines.finish(sink);
                Ok(())
            }
        }
    }
}

fn append(log: &Utf8Path, message: &str) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log)?;
    writeln!(file, "{message}")
}

/// Says that nothing more is heard.
fn deaf(error: &io::Error, sink: &mut dyn FnMut(StageEvent)) -> Speech {
    sink(StageEvent::Log { message: format!("its events cannot be read: {error}") });
    Speech::Pipe { reader: None, lines: EventLines::default() }
}

/// Returns a sink that notes facts, writes the stage's words to its log, and hands everything on.
fn noting<'a>(
    facts: &'a mut BTreeMap<String, String>,
    log: &'a Utf8Path,
    sink: &'a mut dyn FnMut(StageEvent),
) -> impl FnMut(StageEvent) + 'a {
    move |event| {
        match &event {
            StageEvent::Fact { name, value } => drop(facts.insert(name.clone(), value.clone())),
            // The journal has it in any case.
            StageEvent::Log { message } => drop(append(log, message)),
            StageEvent::Progress { .. } | StageEvent::Metric { .. } => {}
        }
        sink(event);
    }
}

/// Takes the ending of a process and sees to it that nothing of its group is left: waits for it if it has not ended.
pub(super) fn bury(child: &Child, keeper: Option<&Keeper>) -> io::Result<Ending> {
    // Before the leader is reaped its id cannot belong to another group, so this kills nobody else.
    child.signal_group(Signal::KILL);
    if let Some(keeper) = keeper {
        keeper.forget(child.pid);
    }
    let ending = child.reap()?;
    // A killed process may still be inside a write to an output; nobody tells when the last one of a group is gone.
    let deadline = Instant::now() + LAST_BREATH;
    while child.group_is_alive() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(ending)
}
