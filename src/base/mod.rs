//! Ground floor: identifiers, digests, canonical bytes, seeds, parameter values, diagnostics.
//!
//! Pure values only. Nothing here touches a file, the clock, a thread or the environment, and nothing here knows any
//! other module of this crate; every other module may use it.

mod artifact;
mod canon;
mod chain;
mod diagnostic;
mod digest;
mod ids;
mod json;
mod seed;
mod value;

pub use artifact::{ArtifactType, ArtifactTypeError};
pub use canon::Canon;
pub use chain::chain;
pub use diagnostic::{Diagnostic, Position, SourceText, did_you_mean};
pub use digest::{Digest, DigestError, Hasher};
pub use ids::{RunId, StageId};
pub use json::json_text;
pub use seed::Seed;
pub use value::Value;
