//! Tests of `lm`.

mod engine_training;
