//! Stage kinds: what the built-in stages do.
//!
//! A kind is one file with one function `run(&mut StageCtx)`, a manifest `stages/KIND/stage.toml`, and an arm of
//! [`BuiltinKind`]. A kind reads parameters, inputs and files, writes outputs and says how far it is through
//! [`StageCtx`] only: it knows neither the store nor the engine, and the same request gives the same outputs whatever
//! the thread count, the folder and the host. [`run_request`] is all that the hidden `pipeline __stage` command does.

mod backend;
mod bfcl_classes;
mod bfcl_data;
pub mod breakdown;
mod check_contamination;
mod compare;
mod context;
mod converse_bfcl;
mod error;
mod evaluate;
mod fetch;
mod gold_ceiling;
mod grpo;
mod import_model;
mod init_model;
mod inject_few_shot;
mod kind;
mod mine_hard;
mod prepare_data;
mod rollout;
pub mod samples;
mod score_bfcl;
mod sft;
pub mod shipped;
pub mod statistics;
mod training;
mod worlds;

use camino::Utf8Path;

pub use context::{Source, StageCtx};
pub use error::StageError;
pub use evaluate::score_completion;
pub use fetch::Fetched;
pub use grpo::serve_scores;
pub use kind::BuiltinKind;

use crate::record::StageEvent;

/// Runs the stage that the request file at `path` describes. What it says goes to `emit`.
///
/// # Errors
/// An unreadable request, an unknown kind, whatever the kind fails with, and an output that it left unwritten.
pub fn run_request<'a>(path: &Utf8Path, emit: impl FnMut(StageEvent) + Send + 'a) -> Result<(), StageError> {
    let mut context = StageCtx::read(path, Box::new(emit))?;
    let kind = BuiltinKind::from_name(&context.request().kind)?;
    kind.run(&mut context)?;
    context.check_outputs()
}
