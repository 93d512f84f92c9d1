//! Where the answers of a server arrive: each is kept, told, and handed on with its group.

use super::{Done, Order};
use crate::stage::{
    StageCtx, StageError,
    backend::Answer,
    training::{answers::Answers, latency::Latency, pace::Pace},
};

/// The answers to an order, as they come.
pub(super) struct Arrivals<'o, S> {
    order: &'o Order,
    /// What has come so far.
    pub(super) answers: &'o mut Answers,
    sink: S,
    done: Done,
    /// Tokens of earlier attempts.
    before: usize,
    pace: Pace,
}

impl<'o, S: FnMut(&mut StageCtx, usize, &[Answer])> Arrivals<'o, S> {
    /// Begins with what an earlier attempt left; whole groups go to `sink`.
    pub(super) fn new(order: &'o Order, answers: &'o mut Answers, done: Done, sink: S) -> Self {
        Self { order, answers, sink, done, before: done.tokens, pace: Pace::new() }
    }

    /// Takes an answer, named by request and index.
    ///
    /// # Errors
    /// [`StageError::Io`] from the checkpoint.
    pub(super) fn take(
        &mut self,
        context: &mut StageCtx,
        (request, index): (usize, usize),
        answer: Answer,
    ) -> Result<(), StageError> {
        let Done { answers, tokens } = self.done;
        self.done = Done { answers: answers + 1, tokens: tokens + answer.tokens };
        if let Some(group) = self.answers.fill(request, index, answer) {
            (self.sink)(context, request, &group);
        }
        self.pace.keep(|| self.answers.save(context))?;
        self.order.tell(context, self.done);
        Ok(())
    }

    /// Ends with what the asking came to. After a failure what was paid for is kept for the next attempt.
    ///
    /// # Errors
    /// That failure.
    pub(super) fn end(
        self,
        context: &mut StageCtx,
        asked: Result<(), StageError>,
        latency: &Latency,
    ) -> Result<(), StageError> {
        if asked.is_err() {
            // If that fails too, the first error is the one to know.
            self.answers.save(context).ok();
        }
        asked?;
        latency.tell(context, self.done.tokens - self.before);
        self.answers.about.tell(context);
        Ok(())
    }
}
