//! Tests of `rl`.
