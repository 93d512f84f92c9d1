//! The decoder in plain Rust over reused buffers: forward, backward and decoding, the same bits for any batch, thread count
//! and instruction set.
//!
//! `matmul` fixes the order of every sum over the inner dimension; everything else works row by row. Called by
//! [`crate::lm::train`] and [`crate::lm::sample`]; knows no files, no tokenizer and no losses. The candle path in
//! `crate::lm::reference` is the oracle that this one is tested against.

mod attention;
mod block;
mod buffer;
mod cache;
mod choose;
mod decode;
mod engine;
mod gradients;
mod head;
mod lanes;
mod low_rank;
mod math;
mod matmul;
mod memory;
mod moments;
mod pass;
mod shape;
#[cfg(test)]
mod tests;
mod threads;
mod weights;

pub(crate) use choose::{Chooser, Draw};
pub(crate) use decode::{Decoder, Prompt, Sequence};
pub(crate) use engine::Engine;
pub(crate) use head::log_prob;
pub(crate) use low_rank::merge;
pub(crate) use memory::row_bytes;
pub(crate) use pass::sharpness;
pub(crate) use shape::{LayerSlots, Plan};
pub(crate) use threads::Threads;
pub(crate) use weights::Parameters;
