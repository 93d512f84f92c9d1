//! Tests of `lm`.
