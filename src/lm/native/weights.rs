//! Weights as right-hand sides of products: packed when used, or once for many uses.

use crate::lm::native::matmul::{Into, Matrix, Packed, Panels, multiply};
use crate::lm::native::shape::Plan;
use crate::lm::native::threads::Threads;
use crate::lm::{Parameter, Weights};

/// A parameter's elements as a matrix `(out, in)`.
pub(super) fn matrix(parameter: &Parameter) -> Matrix<'_> {
    Matrix::new(&parameter.data, parameter.shape[0], parameter.shape[1])
}

/// Where the layers' linear maps come from.
pub(super) trait Linears {
    /// `output = input · Wᵀ` for the parameter at `slot`; `input` is `(rows, in)`, `output` `(rows, out)`.
    fn apply(&mut self, threads: Threads, slot: usize, input: &[f32], rows: usize, output: &mut [f32]);
    /// All weights.
    fn weights(&self) -> &Weights;
}

/// Weights that change: packed for every use.
pub(super) struct Fresh<'a> {
    pub(super) weights: &'a Weights,
    pub(super) packed: &'a mut Packed,
}

impl Linears for Fresh<'_> {
    fn apply(&mut self, threads: Threads, slot: usize, input: &[f32], rows: usize, output: &mut [f32]) {
        let parameter = &self.weights.parameters[slot];
        self.packed.pack(threads, matrix(parameter).transposed());
        linear(threads, self.packed.panels(), parameter, input, rows, output);
    }

    fn weights(&self) -> &Weights {
        self.weights
    }
}

/// Weights that stay: packed once.
pub(super) struct Prepared<'a> {
    weights: &'a Weights,
    packed: Vec<Packed>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(threads: Threads, plan: &Plan, weights: &'a Weights) -> Self {
        let packed = weights
            .parameters
            .iter()
            .enumerate()
            .map(|(slot, parameter)| {
                let mut packed = Packed::default();
                // The embedding is only looked up, unless it is the output head too.
                if parameter.shape.len() == 2 && (slot != plan.embedding || slot == plan.unembedding) {
                    packed.pack(threads, matrix(parameter).transposed());
                }
                packed
            })
            .collect();
        Self { weights, packed }
    }
}

impl Linears for Prepared<'_> {
    fn apply(&mut self, threads: Threads, slot: usize, input: &[f32], rows: usize, output: &mut [f32]) {
        linear(threads, self.packed[slot].panels(), &self.weights.parameters[slot], input, rows, output);
    }

    fn weights(&self) -> &Weights {
        self.weights
    }
}

fn linear(threads: Threads, panels: Panels, parameter: &Parameter, input: &[f32], rows: usize, output: &mut [f32]) {
    let (out, width) = (parameter.shape[0], parameter.shape[1]);
    multiply(threads, Into::Replace, Matrix::new(&input[..rows * width], rows, width), panels, output, out);
}
