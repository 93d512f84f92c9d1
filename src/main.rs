//! The `pipeline` binary: see [`toolexpander::cli`].

fn main() {}
