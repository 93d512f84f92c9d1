//! Tests of `stages`.
