//! Tests of `sandbox`: real programs, shut in.

mod place;

mod running;
