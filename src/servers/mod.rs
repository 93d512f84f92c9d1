//! Tool servers: programs and HTTP services whose tools a model calls for real.
//!
//! [`SuiteSpec`] is what a pipeline file says, [`Servers`] is the face: tools for the prompt, episodes with fresh state, outcomes, end
//! states. Below it `mcp` talks to one server, `openapi` to one service, `check` refuses what must not reach either, `pool` and `room`
//! keep servers warm and states fresh, `state` reads what is left behind, and `process` starts every program in a sandbox.
//!
//! This workshop knows calls and tools, and no sample, model, table or stage. Nothing here runs a program outside the sandbox, and
//! nothing asks a host that is not this machine unless the pipeline file says so.

mod alias;
pub mod check;
mod error;
pub mod frames;
mod inside;
pub mod mcp;
pub mod openapi;
mod opened;
mod outcome;
mod pool;
mod process;
mod program;
mod room;
mod setup;
mod spec;
pub mod state;
mod transport;
pub mod worlds;

pub use alias::SHOWN_FOLDER;
pub use error::ServerError;
pub use opened::{Episode, RunError, Servers, ServersError};
pub use outcome::{CallOutcome, Comparison, Expectation, FailureKind, Trace};
pub use process::{Launch, Launcher};
pub use setup::{PathError, Setup, SetupError};
pub use spec::{Keeps, Source, SpecError, SuiteSpec, WORKDIR};
