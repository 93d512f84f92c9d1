//! The one integration-test binary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails, helpers of tests too")]

mod architecture;
mod cli;
mod engine;
mod lm;
mod plan;
mod rl;
mod sandbox;
mod schedule;
mod spec;
mod stages;
mod store;
mod table;
mod tools;
