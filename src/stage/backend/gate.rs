//! A gate that waits end at early.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Open until it is closed, once and for all.
#[derive(Default)]
pub(super) struct Gate {
    closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, bool> {
        // A flag cannot be left half written.
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all waits.
    pub(super) fn close(&self) {
        *self.state() = true;
        self.changed.notify_all();
    }

    pub(super) fn is_open(&self) -> bool {
        !*self.state()
    }

    /// Waits so long, or until the gate closes; returns whether it is still open.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut closed = self.state();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if *closed || left.is_zero() {
                return !*closed;
            }
            closed = self.changed.wait_timeout(closed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Closes a gate when it goes, by whatever way.
pub(super) struct Closing<'a>(pub(super) &'a Gate);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_ends_a_wait() {
        let gate = Gate::default();
        assert!(gate.wait(Duration::ZERO) && gate.is_open());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| gate.wait(Duration::from_secs(3600)));
            drop(Closing(&gate));
            assert!(!waits.join().unwrap());
        });
        assert!(!gate.is_open() && !gate.wait(Duration::from_secs(3600)));
    }
}
