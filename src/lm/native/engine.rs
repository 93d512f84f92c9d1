//! Gradient accumulation and updates over passes of limited size.

use std::ops::Range;

use half::bf16;

use crate::lm::native::buffer::Buffer;
use crate::lm::native::head::Upstream;
use crate::lm::native::lanes::{Lanes, dispatched};
use crate::lm::native::layout::{GroupRows, Layout, rows_of};
use crate::lm::native::math::{self, Rates, at};
use crate::lm::native::moments::{Noise, adamw_bf16};
use crate::lm::native::pass::Pass;
use crate::lm::native::shape::Plan;
use crate::lm::native::threads::{Shared, Threads};
use crate::lm::native::weights::Parameters;
use crate::lm::train::{Accumulated, AdamW, Loss, OptimizerState, PromptGroup, TokenGradients, TokenScores};
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

    /// Consecutive groups that fit one pass.
    fn passes(&self, groups: &[PromptGroup]) -> Vec<Range<usize>> {
        let mut passes = Vec::new();
        let mut begin = 0;
        let mut rows = 0;
        for (index, group) in groups.iter().enumerate() {
            let more = rows_of(group);
            if index > begin && rows + more > self.rows {
                passes.push(begin..index);
                (begin, rows) = (index, 0);
            }
            rows += more;
        }
        if begin < groups.len() {
            passes.push(begin..groups.len());
        }
        passes
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
        let scores = layout
            .groups
            .iter()
            .zip(&groups[range.clone()])
            .enumerate()
            .map(|(index, (rows, group))| self.scores(range.start + index, &layout, rows, group))
            .collect::<Result<_, _>>()?;
        Ok((layout, scores))
    }

    fn scores(
        &self,
        number: usize,
        layout: &Layout,
        rows: &GroupRows,
        group: &PromptGroup,
    ) -> Result<TokenScores, LmError> {
        let mut scores = TokenScores::default();
        let mut target = rows.targets.start;
        for (index, tokens) in group.completions.iter().enumerate() {
            let range = target..target + tokens.len();
            target = range.end;
            let log_probs = self.pass.log_probs()[range.clone()].to_vec();
            if let Some(token) = log_probs.iter().position(|value| !value.is_finite()) {
                return Err(LmError::NotFinite {
                    what: format!("the log-probability of token {token} of completion {index} of group {number}"),
                    value: f64::from(log_probs[token]),
                });
            }
            scores.log_probs.push(log_probs);
            let entropies = self.pass.entropies();
            scores.entropies.push(layout.targets[range].iter().map(|target| entropies[target.row]).collect());
        }
        Ok(scores)
    }

    pub(crate) fn score(
        &mut self,
        parameters: Parameters,
        groups: &[PromptGroup],
    ) -> Result<Vec<TokenScores>, LmError> {
        let threads = Threads::current();
        let mut scores = Vec::with_capacity(groups.len());
        for range in self.passes(groups) {
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
        for range in self.passes(groups) {
            let (layout, scores) = self.forward(threads, parameters, groups, &range, true)?;
            done.forward_rows += layout.rows();
            let gradients = loss(range.clone(), &scores)?;
            let flat = flatten(&range, &scores, &gradients)?;
            let keep: Vec<bool> = layout
                .groups
                .iter()
                .map(|group| {
                    let live = |values: &[f32]| values[group.targets.clone()].iter().any(|value| *value != 0.0);
                    live(&flat.log_probs) || flat.entropies.as_deref().is_some_and(live)
                })
                .collect();
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
        let mut restored = [self.unmoved(), self.unmoved()];
        for (buffers, moments) in restored.iter_mut().zip([&state.first, &state.second]) {
            if moments.is_empty() && state.steps == 0 {
                continue;
            }
            for (slot, parameter) in trained.iter().enumerate() {
                let found = moments.get(slot).map_or(0, Vec::len);
                if found != self.lengths[slot] || moments.len() != self.lengths.len() {
                    return Err(LmError::Layout {
                        parameter: parameter.name.clone(),
                        expected: format!("moments of {} elements", self.lengths[slot]),
                        found: format!("{found} in a state of {} parameters", moments.len()),
                    });
                }
                match self.moments {
                    Dtype::F32 => buffers[slot][..found].copy_from_slice(&moments[slot]),
                    // Exact for what such an optimiser has left.
                    Dtype::Bf16 => {
                        for (half, moment) in buffers[slot].halves_mut().iter_mut().zip(&moments[slot]) {
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

/// Derivatives by target, in the order of [`Layout::targets`].
struct Flat {
    log_probs: Vec<f32>,
    entropies: Option<Vec<f32>>,
}

impl Flat {
    fn retain(self, layout: &Layout, keep: &[bool]) -> Self {
        let pick = |values: Vec<f32>| -> Vec<f32> {
            let groups = layout.groups.iter().zip(keep).filter(|(_, keep)| **keep);
            groups.flat_map(|(group, _)| values[group.targets.clone()].iter().copied()).collect()
        };
        Self { log_probs: pick(self.log_probs), entropies: self.entropies.map(pick) }
    }
}

/// Checks the shapes and values of derivatives and lays them out by target.
fn flatten(range: &Range<usize>, scores: &[TokenScores], gradients: &[TokenGradients]) -> Result<Flat, LmError> {
    let mismatch = |what: String| LmError::Request(format!("the loss gave derivatives of another shape: {what}"));
    if gradients.len() != scores.len() {
        return Err(mismatch(format!("{} groups instead of {}", gradients.len(), scores.len())));
    }
    let mut flat = Flat { log_probs: Vec::new(), entropies: None };
    let mut entropies = Vec::new();
    let mut any = false;
    for (index, (scores, gradients)) in scores.iter().zip(gradients).enumerate() {
        let group = range.start + index;
        if gradients.log_probs.len() != scores.log_probs.len() {
            let (found, expected) = (gradients.log_probs.len(), scores.log_probs.len());
            return Err(mismatch(format!("{found} completions instead of {expected} in group {group}")));
        }
        if !gradients.entropies.is_empty() && gradients.entropies.len() != scores.log_probs.len() {
            let (found, expected) = (gradients.entropies.len(), scores.log_probs.len());
            return Err(mismatch(format!("{found} completions of entropies instead of {expected} in group {group}")));
        }
        for (completion, expected) in scores.log_probs.iter().enumerate() {
            let log_probs = &gradients.log_probs[completion];
            let spread = gradients.entropies.get(completion);
            for found in std::iter::once(log_probs).chain(spread) {
                if found.len() != expected.len() {
                    let (found, expected) = (found.len(), expected.len());
                    let place = format!("completion {completion} of group {group}");
                    return Err(mismatch(format!("{found} tokens instead of {expected} in {place}")));
                }
                if let Some(token) = found.iter().position(|value| !value.is_finite()) {
                    return Err(LmError::NotFinite {
                        what: format!(
                            "the loss's derivative at token {token} of completion {completion} of group {group}"
                        ),
                        value: f64::from(found[token]),
                    });
                }
            }
            flat.log_probs.extend_from_slice(log_probs);
            match spread {
                Some(spread) => {
                    any = true;
                    entropies.extend_from_slice(spread);
                }
                None => entropies.resize(flat.log_probs.len(), 0.0),
            }
        }
    }
    flat.entropies = any.then_some(entropies);
    Ok(flat)
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
