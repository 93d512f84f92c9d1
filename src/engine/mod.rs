//! Runs planned stages as child processes and says what happens as `record::RunEvent`s. Prints nothing.
//!
//! [`run`] carries a [`crate::plan::Graph`] out against a [`crate::store::Store`]; [`plan`] says what it would do. Each
//! attempt is a child process in a process group of its own: it dies with its run, and what it started dies with it
//! ([`keeper`]). Called by the command line; knows every floor below, and nothing of text for people but error messages.
//!
//! Linux only: pidfds, parent-death signals, `clone`.

mod attempt;
mod desk;
mod error;
pub mod keeper;
mod launcher;
mod log;
mod lookup;
mod options;
mod outputs;
mod process;
mod publish;
mod render;
mod run;
pub mod signals;
mod state;
mod workspace;

pub use error::{Cause, EngineError, StageFailure};
pub use log::log_path;
pub use lookup::{Lookup, ProjectFacts, plan};
pub use options::{DEFAULT_GRACE, RunOptions, machine_capacity};
pub use publish::PublishError;
pub use render::RenderError;
pub use run::run;
pub use signals::StopHandle;
