//! Tests of `sandbox`: real programs, shut in.

mod escapes;
mod hostile;
mod place;

mod running;
