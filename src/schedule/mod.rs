//! Which stage may begin next: a pure state machine.
//!
//! Knows dependencies, slots and resources, nothing of keys, processes or time. Whoever carries stages out tells it what
//! began and how it ended, and asks what may begin. Called by `engine`.

mod capacity;
mod scheduler;

pub use crate::spec::Resources;
pub use capacity::Capacity;
pub use scheduler::{NodeNeeds, NodeState, Outcome, Scheduler};
