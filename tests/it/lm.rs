//! Tests of `lm`.

mod engine_sampling;
mod engine_training;
