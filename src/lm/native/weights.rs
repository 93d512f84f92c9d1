//! Weights as right-hand sides of products: packed when used, or once for many uses.

use crate::lm::lora::Adapter;
use crate::lm::native::buffer::Buffer;
use crate::lm::native::low_rank::{self, LowRank};
use crate::lm::native::matmul::{Into, Matrix, Packed, Panels, multiply};
use crate::lm::native::shape::Plan;
use crate::lm::native::threads::Threads;
use crate::lm::{LanguageModel, Parameter, Weights};

/// A parameter's elements as a matrix `(out, in)`.
pub(super) fn matrix(parameter: &Parameter) -> Matrix<'_> {
    Matrix::new(&parameter.data, parameter.shape[0], parameter.shape[1])
}

/// All that a pass computes with: the weights, and what adapts them.
#[derive(Clone, Copy)]
pub(crate) struct Parameters<'a> {
    pub(crate) weights: &'a Weights,
    pub(crate) adapter: Option<&'a Adapter>,
}

impl<'a> From<&'a LanguageModel> for Parameters<'a> {
    fn from(model: &'a LanguageModel) -> Self {
        Self { weights: &model.weights, adapter: model.adapter.as_ref() }
    }
}

/// Where the layers' linear maps come from.
pub(super) trait Linears {
    /// `output = input · Wᵀ`, and the adapter's part, for the parameter at `slot`; `input` is `(rows, in)`, `output`
    /// `(rows, out)`.
    fn apply(&mut self, threads: Threads, slot: usize, input: &[f32], rows: usize, output: &mut [f32]);
    /// All weights.
    fn weights(&self) -> &Weights;
}

/// Weights that change: packed for every use.
pub(super) struct Fresh<'a> {
    pub(super) parameters: Parameters<'a>,
    pub(super) packed: &'a mut Packed,
    pub(super) low_rank: &'a mut LowRank,
}

impl Linears for Fresh<'_> {
    fn apply(&mut self, threads: Threads, slot: usize, input: &[f32], rows: usize, output: &mut [f32]) {
        let parameter = &self.parameters.weights.parameters[slot];
        self.packed.pack(threads, matrix(parameter).transposed());
        linear(threads, self.packed.panels(), parameter, input, rows, output);
        if let Some(pair) = self.parameters.adapter.and_then(|adapter| adapter.pair(slot)) {
            self.low_rank.forward(threads, pair, input, rows, output);
        }
    }

    fn weights(&self) -> &Weights {
        self.parameters.weights
    }
}

/// Weights that stay: packed once.
pub(super) struct Prepared<'a> {
    parameters: Parameters<'a>,
    packed: Vec<Packed>,
    /// The adapter's parameters.
    adapter: Vec<Packed>,
    thin: Buffer,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(threads: Threads, plan: &Plan, parameters: Parameters<'a>) -> Self {
        let pack = |parameter: &Parameter| {
            let mut packed = Packed::default();
            packed.pack(threads, matrix(parameter).transposed());
            packed
        };
        let weights = parameters.weights.parameters.iter().enumerate();
        let packed = weights
            .map(|(slot, parameter)| {
                // The embedding is only looked up, unless it is the output head too.
                let used = parameter.shape.len() == 2 && (slot != plan.embedding || slot == plan.unembedding);
                if used { pack(parameter) } else { Packed::default() }
            })
            .collect();
        let adapter = parameters.adapter.map_or(&[][..], |adapter| &adapter.parameters).iter().map(pack).collect();
        Self { parameters, packed, adapter, thin: Buffer::default() }
    }
}

impl Linears for Prepared<'_> {
    fn apply(&mut self, threads: Threads, slot: usize, input: &[f32], rows: usize, output: &mut [f32]) {
        let Parameters { weights, adapter } = self.parameters;
        linear(threads, self.packed[slot].panels(), &weights.parameters[slot], input, rows, output);
        if let Some(pair) = adapter.and_then(|adapter| adapter.pair(slot)) {
            let panels = [pair.place, pair.place + 1].map(|place| self.adapter[place].panels());
            low_rank::apply(threads, pair, panels, &mut self.thin, input, rows, output);
        }
    }

    fn weights(&self) -> &Weights {
        self.parameters.weights
    }
}

fn linear(threads: Threads, panels: Panels, parameter: &Parameter, input: &[f32], rows: usize, output: &mut [f32]) {
    let (out, width) = (parameter.shape[0], parameter.shape[1]);
    multiply(threads, Into::Replace, Matrix::new(&input[..rows * width], rows, width), panels, output, out);
}
