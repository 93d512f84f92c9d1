//! The one integration-test binary.

mod architecture;
mod cli;
mod engine;
mod lm;
mod plan;
mod rl;
mod schedule;
mod spec;
mod stages;
mod store;
mod table;
mod tools;
