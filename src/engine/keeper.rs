//! The keeper: a small process beside a run that kills the stages' process groups if the run dies without tidying up.
//!
//! The parent-death signal reaches a stage process but not what it started itself. The keeper closes that gap: every child
//! writes its own id into the keeper's pipe before it runs its program, the run writes the id negated when the group is
//! gone, and when the pipe ends (the run is dead, however it died) the keeper kills every group that is left. It decides
//! nothing else, opens no file and knows no stage. It sits in a process group of its own, so that a Ctrl-C at the terminal
//! passes it by.
//!
//! Not covered: a grandchild that leaves its group by `setsid`.

use std::{
    collections::BTreeSet,
    ffi::CString,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, atomic::AtomicBool},
};

use camino::Utf8Path;
use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal},
};

use crate::engine::process::{Child, Launch, Spawner};

/// The record that ends the keeper while the pipe is still open.
const GOODBYE: i32 = 0;

/// The run's side of the keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    child: Child,
    pipe: OwnedFd,
}

impl Keeper {
    /// Starts `program __keeper`.
    pub(super) fn start(program: &Utf8Path, spawner: &mut Spawner) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let null = fs_err::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let program = CString::new(program.as_str())?;
        let child = spawner.spawn(&Launch {
            program: &program,
            arguments: &[program.clone(), c"__keeper".to_owned()],
            environment: &[],
            directory: c"/",
            stdin: reader.as_fd(),
            stdout: null.file().as_fd(),
            stderr: null.file().as_fd(),
            keeper: None,
        })?;
        Ok(Self { child, pipe: writer })
    }

    /// Returns the pipe into which children write their ids.
    pub(super) fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Says that the group is gone. To be called before its leader is reaped: until then the id cannot be given to
    /// another process.
    pub(super) fn forget(&self, group: Pid) {
        let record = (-group.as_raw_nonzero().get()).to_ne_bytes();
        // If the keeper is gone the next spawn says so.
        let _ = rustix::io::write(&self.pipe, &record);
    }
}

impl Drop for Keeper {
    /// Ends the keeper; it kills what was not forgotten, which is nothing unless the run's loop unwound.
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.pipe, &GOODBYE.to_ne_bytes());
        let _ = self.child.reap();
    }
}

/// The keeper process: the hidden subcommand `__keeper`. Reads process-group ids from standard input until it ends.
///
/// # Errors
/// Standard input cannot be read. What was registered until then is killed all the same.
pub fn main() -> io::Result<()> {
    let ignored = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
        signal_hook::flag::register(signal, Arc::clone(&ignored))?;
    }
    let (groups, ended) = keep(io::stdin().lock());
    for group in groups {
        if let Some(group) = Pid::from_raw(group) {
            // ESRCH: the group died by itself.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
    ended
}

/// Reads records until the end and returns the groups that were registered and not forgotten.
fn keep(mut records: impl Read) -> (BTreeSet<i32>, io::Result<()>) {
    let mut groups = BTreeSet::new();
    let mut record = [0; size_of::<i32>()];
    loop {
        match records.read_exact(&mut record) {
            Ok(()) => {
                let group = i32::from_ne_bytes(record);
                if group == GOODBYE {
                    return (groups, Ok(()));
                } else if group > 1 {
                    groups.insert(group);
                } else {
                    groups.remove(&group.saturating_neg());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return (groups, Ok(())),
            Err(error) => return (groups, Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_registered_and_not_forgotten_is_left() {
        let records: Vec<u8> =
            [10_i32, 11, -10, 12, -1, 11, GOODBYE, 13].iter().flat_map(|id| id.to_ne_bytes()).collect();
        let (groups, ended) = keep(records.as_slice());
        ended.unwrap();
        assert_eq!(groups, BTreeSet::from([11, 12]));
    }
}
