//! The plan: graph, keys, what is a hit and what must run.
//!
//! [`Graph::build`] merges the variants of an expanded pipeline into one graph and gives every stage its predicted key;
//! [`resolved_key`] gives the key proper once the inputs' contents are known; [`decide`] looks both up; [`explain`] names
//! the leaves in which two keys differ. Pure: digests of files come through [`Facts`], results through [`Results`].
//! Knows `spec` and `record`; called by `engine` and the faces.

mod build;
mod decide;
mod explain;
mod facts;
mod graph;
mod key;
mod subset;

pub use crate::spec::Resources;
pub use decide::{Decision, Results, decide, reason_to_run};
pub use explain::{Change, explain, nearest_change};
pub use facts::{Facts, Numerics};
pub use graph::{FileOrigin, Graph, InputEdge, PlannedFile, PlannedStage};
pub use key::{KEY_FORMAT, resolved_key};
pub use subset::UnknownStage;
