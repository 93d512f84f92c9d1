//! Runs planned stages as child processes and says what happens as `record::RunEvent`s. Prints nothing.

pub mod keeper;
mod log;
mod process;
mod publish;
mod render;
pub mod signals;
