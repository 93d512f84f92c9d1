//! `toolexpander`: a declarative experiment orchestrator with a tool-calling RL stack inside.
//!
//! The floors and who may import whom are drawn in `docs/ARCHITECTURE.md`; a test holds the code to the picture.

pub mod base;
pub mod cli;
pub mod engine;
pub mod lm;
pub mod plan;
pub mod prompt;
pub mod record;
pub mod report;
pub mod rl;
pub mod sandbox;
pub mod schedule;
pub mod servers;
pub mod spec;
pub mod stage;
pub mod store;
pub mod table;
pub mod tools;
