//! Group commit.

use crate::store::StoreError;

/// The promise of a commit.
#[must_use = "a failed commit is told to whoever waits for the ticket, else to `flush`"]
#[derive(Debug)]
pub struct Ticket {}

impl Ticket {
    /// Waits until the result is durable, or has failed to become so.
    ///
    /// # Errors
    /// [`StoreError::Commit`] with the cause; then the result does not exist.
    pub fn wait(self) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Returns whether [`Ticket::wait`] would return at once.
    pub fn is_done(&self) -> bool {
        unimplemented!()
    }
}
