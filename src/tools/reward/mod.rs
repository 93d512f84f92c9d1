//! Rewards of one answer, as named parts.

pub mod toolrl;
