//! Sessions with the real binary: what is typed, what comes back.

mod project;

mod completions;
mod configuration;
mod outputs;
mod reports;
mod served;
mod session;
