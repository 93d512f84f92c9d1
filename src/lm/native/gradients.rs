//! Linear maps backwards, and where gradients of trained parameters add up.
//!
//! Without an adapter every parameter is trained; with one, its matrices only: then no product for the gradient of a
//! frozen weight is computed, and there is no memory for one.

use crate::lm::native::buffer::Buffer;
use crate::lm::native::low_rank::LowRank;
use crate::lm::native::matmul::{Into, Matrix, Packed, multiply};
use crate::lm::native::threads::Threads;
use crate::lm::native::weights::{Parameters, matrix};

/// One buffer for each trained parameter.
pub(super) struct Gradients<'a> {
    parameters: Parameters<'a>,
    buffers: &'a mut [Buffer],
}

impl<'a> Gradients<'a> {
    /// `buffers` are those of the adapter's parameters if there is one, of the weights otherwise.
    pub(super) fn new(parameters: Parameters<'a>, buffers: &'a mut [Buffer]) -> Self {
        Self { parameters, buffers }
    }

    /// The gradient of the whole weight at `slot`, unless it is frozen.
    pub(super) fn whole(&mut self, slot: usize) -> Option<&mut [f32]> {
        self.parameters.adapter.is_none().then(|| &mut *self.buffers[slot])
    }

    /// Whether any of these linear maps learns.
    pub(super) fn learn(&self, slots: &[usize]) -> bool {
        self.parameters.adapter.is_none_or(|adapter| slots.iter().any(|slot| adapter.pair(*slot).is_some()))
    }
}

/// Reused memory of [`Maps`].
#[derive(Default)]
pub(super) struct MapScratch {
    packed: Packed,
    low_rank: LowRank,
}

/// The linear maps of a layer, backwards.
pub(super) struct Maps<'a> {
    pub(super) threads: Threads,
    pub(super) rows: usize,
    pub(super) parameters: Parameters<'a>,
    pub(super) scratch: &'a mut MapScratch,
}

impl Maps<'_> {
    /// Turns `upstream`, the gradient of the output of the map at `slot`, into that of its input: `target`.
    pub(super) fn pull(&mut self, slot: usize, upstream: &[f32], into: Into, target: &mut [f32]) {
        let (threads, rows) = (self.threads, self.rows);
        let MapScratch { packed, low_rank } = &mut *self.scratch;
        let weight = &self.parameters.weights.parameters[slot];
        let (out, width) = (weight.shape[0], weight.shape[1]);
        packed.pack(threads, matrix(weight));
        multiply(threads, into, Matrix::new(&upstream[..rows * out], rows, out), packed.panels(), target, width);
        if let Some(pair) = self.parameters.adapter.and_then(|adapter| adapter.pair(slot)) {
            low_rank.pull(threads, pair, upstream, rows, target);
        }
    }

    /// Adds to the gradients of maps that share an `input`, given the gradient of each one's output. The input is packed
    /// once for all of them, and not at all if none of them learns.
    pub(super) fn learn(&mut self, gradients: &mut Gradients, input: &[f32], maps: &[(usize, &[f32])]) {
        if maps.iter().all(|(slot, _)| !gradients.learn(&[*slot])) {
            return;
        }
        let (threads, rows) = (self.threads, self.rows);
        let MapScratch { packed, low_rank } = &mut *self.scratch;
        let width = self.parameters.weights.parameters[maps[0].0].shape[1];
        packed.pack(threads, Matrix::new(&input[..rows * width], rows, width));
        for (slot, upstream) in maps {
            if let Some(gradient) = gradients.whole(*slot) {
                let out = self.parameters.weights.parameters[*slot].shape[0];
                let upstream = Matrix::new(&upstream[..rows * out], rows, out).transposed();
                multiply(threads, Into::Accumulate, upstream, packed.panels(), gradient, width);
            } else if let Some(pair) = self.parameters.adapter.and_then(|adapter| adapter.pair(*slot)) {
                let (a, b) = gradients.buffers.split_at_mut(pair.place + 1);
                let targets = [&mut *a[pair.place], &mut *b[0]];
                low_rank.learn(threads, pair, upstream, input, packed.panels(), rows, targets);
            }
        }
    }
}
