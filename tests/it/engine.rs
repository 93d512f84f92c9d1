//! Tests of `engine`: real processes, real stores.

mod attempts;
mod failures;
mod interruption;
mod orphans;
mod project;
mod publishing;
mod sharing;
