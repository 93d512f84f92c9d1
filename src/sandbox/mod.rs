//! Running programs that a model's calls reach: no network, an empty environment, one private folder, limits on
//! everything, and a verdict in words.
//!
//! A sandbox starts one program under a [`Policy`], one-shot command or long-lived server alike, with its standard input
//! and output as pipes, and ends it with all its descendants. It knows nothing of tools, models or protocols, and it
//! never runs a program unprotected unless the caller's policy says so in so many words.
//!
//! What is done happens in a process of its own, `pipeline __sandbox` ([`helper`]): the caller's process is not forked,
//! and all limits are kept by the helper, whatever the caller does meanwhile. `docs/SANDBOX.md` says what is stopped
//! and what is not.

mod ending;
mod error;
pub mod helper;
mod policy;
mod runtime;
mod sandboxed;
mod start;
mod wire;

pub use ending::{Ending, Usage, Verdict};
pub use error::SandboxError;
pub use policy::{Mechanism, Network, Policy};
pub use runtime::{of_program, system};
pub use sandboxed::Sandboxed;
pub use start::{Finished, Sandbox};
