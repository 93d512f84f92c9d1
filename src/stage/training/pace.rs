//! When to leave a checkpoint.

use std::time::{Duration, Instant};

use crate::stage::StageError;

/// The least time between two checkpoints.
const LEAST: Duration = Duration::from_secs(1);
/// How many times longer than a checkpoint took the work between two goes on at least: 5 % of the time at most.
const WORK: u32 = 20;

/// Says when a checkpoint is due: the first at once, so that even attempts killed early get somewhere together, then as
/// often as it costs little. Nothing that a stage makes may depend on it.
#[derive(Debug)]
pub(in crate::stage) struct Pace {
    due: Instant,
}

impl Pace {
    /// Begins with the work.
    pub(in crate::stage) fn new() -> Self {
        Self { due: Instant::now() }
    }

    /// Leaves a checkpoint with `save` if one is due.
    ///
    /// # Errors
    /// Those of `save`.
    pub(in crate::stage) fn keep(&mut self, save: impl FnOnce() -> Result<(), StageError>) -> Result<(), StageError> {
        let began = Instant::now();
        if began >= self.due {
            save()?;
            self.due = Instant::now() + LEAST.max(WORK * began.elapsed());
        }
        Ok(())
    }
}
