//! The thin products of adapters beside linear maps: forward, backward and merged.
//!
//! With `s = alpha / rank`, input `x` `(rows, in)` and upstream gradient `g` `(rows, out)`:
//! `y += (s x Aᵀ) Bᵀ`, `dx += (s g B) A`, `dA += (s g B)ᵀ x`, `dB += gᵀ (s x Aᵀ)`. The thin rows are scaled before they
//! are widened again, everywhere, so that training and decoding give the same bits.

use crate::lm::Weights;
use crate::lm::lora::{Adapter, Pair};
use crate::lm::native::buffer::Buffer;
use crate::lm::native::matmul::{Into, Matrix, Packed, Panels, multiply};
use crate::lm::native::threads::Threads;
use crate::lm::native::weights::matrix;

impl Pair<'_> {
    /// Input, output and rank.
    fn sizes(&self) -> (usize, usize, usize) {
        (self.a.shape[1], self.b.shape[0], self.a.shape[0])
    }
}

/// Reused memory of the thin products.
#[derive(Default)]
pub(super) struct LowRank {
    /// `(rows, rank)`.
    thin: Buffer,
    a: Packed,
    b: Packed,
}

impl LowRank {
    /// Adds the adapter's part to a map's `output`, given its `input`.
    pub(super) fn forward(&mut self, threads: Threads, pair: Pair, input: &[f32], rows: usize, output: &mut [f32]) {
        self.a.pack(threads, matrix(pair.a).transposed());
        self.b.pack(threads, matrix(pair.b).transposed());
        apply(threads, pair, [self.a.panels(), self.b.panels()], &mut self.thin, input, rows, output);
    }

    /// Adds the adapter's part to `target`, the gradient of a map's input, given that of its output.
    pub(super) fn pull(&mut self, threads: Threads, pair: Pair, upstream: &[f32], rows: usize, target: &mut [f32]) {
        let (width, out, rank) = pair.sizes();
        let upstream = Matrix::new(&upstream[..rows * out], rows, out);
        self.b.pack(threads, matrix(pair.b));
        thin(threads, upstream, self.b.panels(), pair.scale, rows * rank, &mut self.thin);
        self.a.pack(threads, matrix(pair.a));
        let thin = Matrix::new(&self.thin[..rows * rank], rows, rank);
        multiply(threads, Into::Accumulate, thin, self.a.panels(), target, width);
    }

    /// Adds to the gradients of `A` and `B`, given the gradient of a map's output and its input, packed and as it is.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn learn(
        &mut self,
        threads: Threads,
        pair: Pair,
        upstream: &[f32],
        input: &[f32],
        packed: Panels,
        rows: usize,
        [a, b]: [&mut [f32]; 2],
    ) {
        let (width, out, rank) = pair.sizes();
        let upstream = Matrix::new(&upstream[..rows * out], rows, out);
        self.b.pack(threads, matrix(pair.b));
        thin(threads, upstream, self.b.panels(), pair.scale, rows * rank, &mut self.thin);
        let pulled = Matrix::new(&self.thin[..rows * rank], rows, rank);
        multiply(threads, Into::Accumulate, pulled.transposed(), packed, a, width);

        self.a.pack(threads, matrix(pair.a).transposed());
        let input = Matrix::new(&input[..rows * width], rows, width);
        thin(threads, input, self.a.panels(), pair.scale, rows * rank, &mut self.thin);
        self.b.pack(threads, Matrix::new(&self.thin[..rows * rank], rows, rank));
        multiply(threads, Into::Accumulate, upstream.transposed(), self.b.panels(), b, rank);
    }
}

/// `output += (s input Aᵀ) Bᵀ`, given `Aᵀ` and `Bᵀ` in panels.
pub(super) fn apply(
    threads: Threads,
    pair: Pair,
    [a, b]: [Panels; 2],
    buffer: &mut Buffer,
    input: &[f32],
    rows: usize,
    output: &mut [f32],
) {
    let (width, out, rank) = pair.sizes();
    thin(threads, Matrix::new(&input[..rows * width], rows, width), a, pair.scale, rows * rank, buffer);
    multiply(threads, Into::Accumulate, Matrix::new(&buffer[..rows * rank], rows, rank), b, output, out);
}

/// `to = scale · wide · panels`, `length` floats.
fn thin(threads: Threads, wide: Matrix, panels: Panels, scale: f32, length: usize, to: &mut Buffer) {
    to.reserve(length);
    multiply(threads, Into::Replace, wide, panels, to, panels.width());
    to[..length].iter_mut().for_each(|value| *value *= scale);
}

/// Adds `s B A` to every adapted weight.
pub(crate) fn merge(weights: &mut Weights, adapter: &Adapter) {
    let threads = Threads::current();
    let (mut packed, mut scaled) = (Packed::default(), Vec::new());
    for (slot, parameter) in weights.parameters.iter_mut().enumerate() {
        let Some(pair) = adapter.pair(slot) else { continue };
        let (width, out, rank) = pair.sizes();
        packed.pack(threads, matrix(pair.a));
        scaled.clear();
        scaled.extend(pair.b.data.iter().map(|value| value * pair.scale));
        let b = Matrix::new(&scaled, out, rank);
        multiply(threads, Into::Accumulate, b, packed.panels(), &mut parameter.data, width);
    }
}
