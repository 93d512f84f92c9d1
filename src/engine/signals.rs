//! Asking a run to stop: by Ctrl-C, by SIGTERM, or by a caller in this process.
//!
//! The first request stops the start of stages and gives the running ones time; the second kills them. A request is one
//! byte in a pipe that the run's loop polls together with everything else, so a signal handler does nothing but write it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    low_level,
};

/// A handle through which a run is asked to stop. Clones ask the same run.
#[derive(Clone, Debug)]
pub struct StopHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reader: OwnedFd,
    writer: OwnedFd,
    registered: Vec<SigId>,
}

impl StopHandle {
    /// Makes a handle that no signal is connected to.
    ///
    /// # Errors
    /// No pipe can be made.
    pub fn new() -> io::Result<Self> {
        Self::with_signals(&[])
    }

    fn with_signals(signals: &[i32]) -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let mut inner = Inner { reader, writer, registered: Vec::new() };
        for &signal in signals {
            inner.registered.push(low_level::pipe::register(signal, inner.writer.try_clone()?)?);
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Asks the run to stop; asked twice, it kills its stages.
    pub fn request(&self) {
        // A full pipe holds thousands of requests already.
        let _ = rustix::io::write(&self.0.writer, b"x");
    }

    /// Returns what to poll for requests.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }

    /// Takes the requests that have come since the last call.
    pub(super) fn take(&self) -> usize {
        let mut bytes = [0; 64];
        rustix::io::read(&self.0.reader, &mut bytes).unwrap_or(0)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}

/// Connects SIGINT and SIGTERM to a new handle until its last clone is dropped.
///
/// # Errors
/// No pipe can be made, or a handler cannot be installed.
pub fn install() -> io::Result<StopHandle> {
    StopHandle::with_signals(&[SIGINT, SIGTERM])
}
