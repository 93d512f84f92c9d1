//! Gradient accumulation and updates over passes of limited size.

use std::ops::Range;

use half::bf16;

use crate::lm::layout::{Layout, passes};
use crate::lm::native::buffer::Buffer;
use crate::lm::native::head::Upstream;
use crate::lm::native::lanes::{Lanes, dispatched};
use crate::lm::native::math::{self, Rates, at};
use crate::lm::native::moments::{Noise, adamw_bf16};
use crate::lm::native::pass::Pass;
use crate::lm::native::shape::Plan;
use crate::lm::native::threads::{Shared, Threads};
use crate::lm::native::weights::Parameters;
use crate::lm::targets::{flatten, scores};
use crate::lm::train::{Accumulated, AdamW, Loss, OptimizerState, PromptGroup, TokenScores};
use crate::lm::{Config, Dtype, LmError, Numbers, Parameter};

/// Elements in one task of an update. Part of the order of the gradients' norm.
const CHUNK: usize = 1 << 15;

/// The state of training beside the weights.
pub(crate) struct Engine {
    plan: Plan,
    limit: usize,
    optimizer: AdamW,
    /// Rows of one pass.
    pub(crate) rows: usize,
    /// Whether weight decay spares embedding, head and norms.
    pub(crate) decay_linear_only: bool,
    /// Elements of each trained parameter.
    lengths: Vec<usize>,
    /// Which of those are linear maps inside the layers.
    linear: Vec<bool>,
    pass: Pass,
    gradients: Vec<Buffer>,
    /// Whether `gradients` hold anything.
    dirty: bool,
    /// The type that the moments are kept in.
    moments: Dtype,
    /// Of half as many floats where two moments share one.
    first: Vec<Buffer>,
    second: Vec<Buffer>,
    steps: u64,
}

impl Engine {
    pub(crate) fn new(config: &Config, parameters: Parameters, optimizer: AdamW, rows: usize) -> Result<Self, LmError> {
        let plan = Plan::new(config, parameters)?;
        let adapted = parameters.adapter.is_some();
        let trained = parameters.adapter.map_or(&parameters.weights.parameters, |adapter| &adapter.parameters);
        let lengths = trained.iter().map(|parameter| parameter.data.len()).collect();
        let outside = |slot: usize| !adapted && (slot == plan.embedding || slot == plan.unembedding);
        let linear =
            trained.iter().enumerate().map(|(slot, parameter)| parameter.shape.len() == 2 && !outside(slot)).collect();
        Ok(Self {
            plan,
            limit: config.max_position_embeddings,
            optimizer,
            rows,
            decay_linear_only: false,
            lengths,
            linear,
            pass: Pass::new(1.0),
            gradients: Vec::new(),
            dirty: false,
            moments: Dtype::F32,
            first: Vec::new(),
            second: Vec::new(),
            steps: 0,
        })
    }

    pub(crate) fn set_temperature(&mut self, temperature: f32) {
        self.pass.set_temperature(temperature);
    }

    pub(crate) fn set_recompute(&mut self, recompute: bool) {
        self.pass.set_recompute(recompute);
    }

    /// Gives the memory of passes back.
    pub(crate) fn release(&mut self) {
        self.pass.release();
    }

    /// Chooses the type of the moments, before the first update.
    pub(crate) fn set_moments(&mut self, moments: Dtype) {
        (self.moments, self.first, self.second) = (moments, Vec::new(), Vec::new());
    }

    /// Zero moments.
    fn unmoved(&self) -> Vec<Buffer> {
        let floats = |length: &usize| (length * self.moments.bytes()).div_ceil(4);
        self.lengths.iter().map(|length| Buffer::zeros(floats(length))).collect()
    }

    fn zeros(&self) -> Vec<Buffer> {
        self.lengths.iter().map(|length| Buffer::zeros(*length)).collect()
    }

    fn layout(&self, groups: &[PromptGroup], range: &Range<usize>) -> Result<Layout, LmError> {
        Layout::new(&groups[range.clone()], range.start, self.plan.shape.vocabulary, self.limit)
    }

    fn forward(
        &mut self,
        threads: Threads,
        parameters: Parameters,
        groups: &[PromptGroup],
        range: &Range<usize>,
        keep: bool,
    ) -> Result<(Layout, Vec<TokenScores>), LmError> {
        let layout = self.layout(groups, range)?;
        self.pass.forward(threads, &self.plan, parameters, &layout, keep);
        let scores = scores(&layout, range, groups, self.pass.log_probs(), self.pass.entropies())?;
        Ok((layout, scores))
    }

    pub(crate) fn score(
        &mut self,
        parameters: Parameters,
        groups: &[PromptGroup],
    ) -> Result<Vec<TokenScores>, LmError> {
        let threads = Threads::current();
        let mut scores = Vec::with_capacity(groups.len());
        for range in passes(groups, self.rows) {
            scores.append(&mut self.forward(threads, parameters, groups, &range, false)?.1);
        }
        Ok(scores)
    }

    pub(crate) fn accumulate<E: From<LmError>>(
        &mut self,
        parameters: Parameters,
        groups: &[PromptGroup],
        loss: &mut Loss<'_, E>,
    ) -> Result<Accumulated, E> {
        let threads = Threads::current();
        let mut done = Accumulated::default();
        for range in passes(groups, self.rows) {
            let (layout, scores) = self.forward(threads, parameters, groups, &range, true)?;
            done.forward_rows += layout.rows();
            let gradients = loss(range.clone(), &scores)?;
            let flat = flatten(&range, &scores, &gradients)?;
            let keep = flat.live(&layout);
            let dead = keep.iter().filter(|keep| !**keep).count();
            done.dead_groups += dead;
            if dead == keep.len() {
                continue;
            }
            if self.gradients.is_empty() {
                self.gradients = self.zeros();
            }
            self.dirty = true;
            let (layout, flat) = if dead == 0 {
                (layout, flat)
            } else {
                (self.pass.retain(&self.plan, &layout, &keep), flat.retain(&layout, &keep))
            };
            done.backward_rows += layout.rows();
            let upstream = Upstream { log_probs: &flat.log_probs, entropies: flat.entropies.as_deref() };
            self.pass.backward(threads, &self.plan, parameters, &layout, upstream, &mut self.gradients);
        }
        Ok(done)
    }

    /// Updates the trained parameters.
    pub(crate) fn step(&mut self, trained: &mut [Parameter], lr: f64, max_norm: Option<f64>) -> Result<f64, LmError> {
        let threads = Threads::current();
        if self.gradients.is_empty() {
            self.gradients = self.zeros();
        }
        if self.first.is_empty() {
            [self.first, self.second] = [self.unmoved(), self.unmoved()];
        }
        let norm = self.norm(threads);
        if !norm.is_finite() {
            return Err(LmError::NotFinite { what: "the norm of the gradients".to_owned(), value: norm });
        }
        // As PyTorch's `clip_grad_norm_`.
        let clip = max_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0));
        self.steps += 1;
        let AdamW { beta1, beta2, eps, weight_decay } = self.optimizer;
        let power = self.steps as f64;
        let rates = |decay: f64| Rates {
            gradient: clip as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: eps as f32,
            rate: (lr / (1.0 - beta1.powf(power))) as f32,
            second: (1.0 / (1.0 - beta2.powf(power)).sqrt()) as f32,
            keep: (1.0 - lr * decay) as f32,
        };
        for (slot, parameter) in trained.iter_mut().enumerate() {
            let decay = if self.decay_linear_only && !self.linear[slot] { 0.0 } else { weight_decay };
            let rates = rates(decay);
            let length = parameter.data.len();
            let values = Shared::new(&mut parameter.data);
            if self.moments == Dtype::Bf16 {
                let gradient = Shared::new(&mut self.gradients[slot][..length]);
                let [first, second] = [&mut self.first, &mut self.second]
                    .map(|buffers| Shared::new(&mut buffers[slot].halves_mut()[..length]));
                let noise = Noise::new(self.steps, slot);
                threads.worth(length).blocks(length, CHUNK, |begin, end| {
                    // SAFETY: elements `begin..end` of all four belong to this task.
                    unsafe {
                        let [values, gradient] = [&values, &gradient].map(|part| part.slice(begin, end - begin));
                        let [first, second] = [&first, &second].map(|part| part.slice(begin, end - begin).as_mut_ptr());
                        let (values, slopes, noise) = (values.as_mut_ptr(), gradient.as_ptr(), noise.from(begin));
                        adamw_bf16(threads.set(), values, slopes, first, second, end - begin, &rates, &noise);
                        gradient.fill(0.0);
                    }
                });
                continue;
            }
            let [gradient, first, second] = [&mut self.gradients, &mut self.first, &mut self.second]
                .map(|buffers| Shared::new(&mut buffers[slot][..length]));
            threads.worth(length).blocks(length, CHUNK, |begin, end| {
                // SAFETY: elements `begin..end` of all four belong to this task.
                unsafe {
                    let [values, gradient, first, second] =
                        [&values, &gradient, &first, &second].map(|part| part.slice(begin, end - begin));
                    let (values, first, second) = (values.as_mut_ptr(), first.as_mut_ptr(), second.as_mut_ptr());
                    math::adamw(threads.set(), values, gradient.as_ptr(), first, second, end - begin, &rates);
                    gradient.fill(0.0);
                }
            });
        }
        self.dirty = false;
        Ok(norm)
    }

    /// The global norm of the gradients: squares are summed by fixed chunks, and those in order.
    fn norm(&self, threads: Threads) -> f64 {
        let mut total = 0.0;
        let mut sums = Vec::new();
        for (gradient, length) in self.gradients.iter().zip(&self.lengths) {
            sums.clear();
            sums.resize(length.div_ceil(CHUNK), 0.0f32);
            let shared = Shared::new(&mut sums);
            threads.worth(*length).blocks(*length, CHUNK, |begin, end| {
                let part = &gradient[begin..end];
                // SAFETY: the part holds its length; each sum belongs to one task.
                unsafe { *shared.at(begin / CHUNK) = squares(threads.set(), part.as_ptr(), part.len()) };
            });
            total += sums.iter().map(|sum| f64::from(*sum)).sum::<f64>();
        }
        total.sqrt()
    }

    pub(crate) fn discard(&mut self) {
        if self.dirty {
            for gradient in &mut self.gradients {
                gradient.fill(0.0);
            }
            self.dirty = false;
        }
    }

    /// The accumulated gradient of a trained parameter; empty before the first accumulation.
    pub(crate) fn gradient(&self, slot: usize) -> &[f32] {
        self.gradients.get(slot).map_or(&[], |gradient| &gradient[..self.lengths[slot]])
    }

    pub(crate) fn state(&self) -> OptimizerState {
        let copy = |buffers| -> Vec<Vec<f32>> { self.numbers(buffers).map(|numbers| numbers.to_f32()).collect() };
        OptimizerState { steps: self.steps, first: copy(&self.first), second: copy(&self.second) }
    }

    /// Updates made so far, and all first moments followed by all second ones, as [`Engine::state`] would copy them.
    pub(crate) fn moments(&self) -> (u64, impl Iterator<Item = Numbers<'_>>) {
        (self.steps, self.numbers(&self.first).chain(self.numbers(&self.second)))
    }

    fn numbers<'a>(&'a self, buffers: &'a [Buffer]) -> impl Iterator<Item = Numbers<'a>> {
        buffers.iter().zip(&self.lengths).map(|(buffer, length)| match self.moments {
            Dtype::F32 => Numbers::F32(&buffer[..*length]),
            Dtype::Bf16 => Numbers::Bf16(&buffer.halves()[..*length]),
        })
    }

    pub(crate) fn restore(&mut self, trained: &[Parameter], state: &OptimizerState) -> Result<(), LmError> {
        state.check(trained)?;
        let mut restored = [self.unmoved(), self.unmoved()];
        for (buffers, moments) in restored.iter_mut().zip([&state.first, &state.second]) {
            for (buffer, moments) in buffers.iter_mut().zip(moments) {
                match self.moments {
                    Dtype::F32 => buffer[..moments.len()].copy_from_slice(moments),
                    // Exact for what such an optimiser has left.
                    Dtype::Bf16 => {
                        for (half, moment) in buffer.halves_mut().iter_mut().zip(moments) {
                            *half = bf16::from_f32(*moment).to_bits();
                        }
                    }
                }
            }
        }
        [self.first, self.second] = restored;
        self.steps = state.steps;
        Ok(())
    }
}

dispatched! {
    /// `Σ x²`.
    fn squares(values: *const f32, length: usize) -> f32 = squares_body;
}

#[inline(always)]
unsafe fn squares_body<V: Lanes>(values: *const f32, length: usize) -> f32 {
    let mut sum = V::splat(0.0);
    for index in (0..length).step_by(crate::lm::native::lanes::LANES) {
        // SAFETY: inside, as promised by the caller.
        let value: V = unsafe { at(values, index, length) };
        sum = value.fma(value, sum);
    }
    sum.sum()
}
