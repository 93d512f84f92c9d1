//! As many threads as the request allows.

use crate::stage::{StageCtx, StageError};

/// Runs `work` where the model's parallel loops use as many threads as the stage may.
///
/// # Errors
/// Whatever `work` fails with; [`StageError::Failed`] if the system gives no threads.
pub(in crate::stage) fn on_threads(
    context: &mut StageCtx,
    work: impl FnOnce(&mut StageCtx) -> Result<(), StageError> + Send,
) -> Result<(), StageError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(context.threads())
        .thread_name(|index| format!("worker-{index}"))
        .build()
        .map_err(StageError::failed("start the worker threads"))?;
    pool.install(|| work(context))
}
