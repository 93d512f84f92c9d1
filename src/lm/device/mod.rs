//! The decoder in candle tensors, forward, backward and decoding, on whatever device candle computes on: CUDA, and the
//! processor as its reference.
//!
//! Nothing here is tracked by candle's automatic gradients. The backward pass is written by hand, layer by layer, as in
//! `lm::native`, so candle's fused kernels (softmax, RMSNorm, rotation), which cut its graph without an error, can be
//! used; frozen weights cost no gradient; and what is kept for the backward pass is known. Batches are laid out as there
//! (`lm::layout`): a prompt's rows once, then those of its completions. Everything is f32.
//!
//! Called by [`crate::lm::train`] and [`crate::lm::sample`]; knows no files, no tokenizer and no losses. It promises no
//! bits: sums run in the order of the device's kernels. The native engine is the oracle that it is tested against.

mod angles;
mod arithmetic;
mod attention;
mod decode;
mod engine;
mod head;
mod layer;
mod moments;
mod stack;

pub(crate) use decode::{Decoder, Prompt, Sequence};
pub(crate) use engine::Engine;
