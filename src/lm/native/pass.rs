//! The whole decoder over a batch: embedding, layers, final norm and head, forward and backward.

use crate::lm::layout::Layout;
use crate::lm::native::block::{Block, Norm, Saved, Scratch};
use crate::lm::native::buffer::Buffer;
use crate::lm::native::gradients::Gradients;
use crate::lm::native::head::{Head, Unembedding, Upstream};
use crate::lm::native::low_rank::LowRank;
use crate::lm::native::matmul::Packed;
use crate::lm::native::shape::{Angles, Plan};
use crate::lm::native::threads::Threads;
use crate::lm::native::weights::{Fresh, Parameters};

/// The reused memory of forward and backward passes.
pub(super) struct Pass {
    /// What the input of the head is multiplied with: one over the temperature.
    sharpness: f32,
    /// Whether only the layers' inputs are kept for the backward pass, which computes the rest again.
    recompute: bool,
    /// One a layer, or one for all.
    saved: Vec<Saved>,
    /// The layers' inputs, where only those are kept: `(rows, hidden)` each.
    inputs: Vec<Buffer>,
    scratch: Scratch,
    head: Head,
    angles: Angles,
    packed: Packed,
    low_rank: LowRank,
    /// The middle of the layer before, where only one is kept.
    previous: Buffer,
    /// Input of the final norm, head rows only: `(head rows, hidden)`.
    last: Buffer,
    last_rstd: Buffer,
    normed: Buffer,
    normed_gradient: Buffer,
    last_gradient: Buffer,
    partial: Buffer,
    /// Gradient of the residual stream: `(rows, hidden)`.
    gradient: Buffer,
}

impl Pass {
    /// Begins with no memory; log-probabilities and entropies will be those at `temperature`.
    pub(super) fn new(temperature: f32) -> Self {
        Self {
            sharpness: sharpness(temperature),
            recompute: false,
            saved: Vec::new(),
            inputs: Vec::new(),
            scratch: Scratch::default(),
            head: Head::default(),
            angles: Angles::default(),
            packed: Packed::default(),
            low_rank: LowRank::default(),
            previous: Buffer::default(),
            last: Buffer::default(),
            last_rstd: Buffer::default(),
            normed: Buffer::default(),
            normed_gradient: Buffer::default(),
            last_gradient: Buffer::default(),
            partial: Buffer::default(),
            gradient: Buffer::default(),
        }
    }

    /// Changes the temperature.
    pub(super) fn set_temperature(&mut self, temperature: f32) {
        self.sharpness = sharpness(temperature);
    }

    /// Chooses whether backward computes each layer again from its input: a third more work, and memory for one layer
    /// instead of all. No bit of the gradients changes.
    pub(super) fn set_recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
        (self.saved, self.inputs) = (Vec::new(), Vec::new());
    }

    /// Gives the memory of passes back; the next one takes it again.
    pub(super) fn release(&mut self) {
        *self = Self { sharpness: self.sharpness, recompute: self.recompute, ..Self::new(1.0) };
    }

    /// Computes the log-probabilities of the layout's targets and the entropies of its head rows. With `keep`, leaves
    /// behind what [`Pass::backward`] needs.
    pub(super) fn forward(
        &mut self,
        threads: Threads,
        plan: &Plan,
        parameters: Parameters,
        layout: &Layout,
        keep: bool,
    ) {
        let weights = parameters.weights;
        let (shape, rows) = (&plan.shape, layout.rows());
        let hidden = shape.hidden;
        let last_position = layout.positions.iter().max().copied().unwrap_or(0);
        self.angles.cover(plan, last_position + 1);
        // Whether each layer has a `Saved` of its own.
        let own = keep && !self.recompute;
        self.saved.resize_with(if own { plan.layers.len() } else { 1 }.max(self.saved.len()), Saved::default);
        if keep && !own {
            self.inputs.resize_with(plan.layers.len(), Buffer::default);
        }
        self.scratch.reserve(shape, rows, keep);
        let mut linears = Fresh { parameters, packed: &mut self.packed, low_rank: &mut self.low_rank };
        for (layer, slots) in plan.layers.iter().enumerate() {
            let (before, current) = self.saved.split_at_mut(if own { layer } else { 0 });
            let saved = &mut current[0];
            saved.reserve(shape, rows);
            let block = Block { threads, shape, slots, angles: &self.angles, positions: &layout.positions };
            // A shared `Saved` would overwrite the stream that it reads.
            if !own {
                std::mem::swap(&mut saved.middle, &mut self.previous);
                saved.middle.reserve(rows * hidden);
            }
            let base = match (layer, before.last()) {
                (0, _) => None,
                (_, Some(before)) => Some(&*before.middle),
                (_, None) => Some(&*self.previous),
            };
            if base.is_none() {
                embed(&weights.parameters[plan.embedding].data, &layout.tokens, hidden, &mut saved.input);
            }
            block.forward(&mut linears, base, saved, &mut self.scratch, |saved| saved.attend(threads, shape, layout));
            if keep && !own {
                std::mem::swap(&mut saved.input, &mut self.inputs[layer]);
            }
        }
        let middle = &self.saved[if own { plan.layers.len() - 1 } else { 0 }].middle;
        let count = layout.head_rows.len();
        for buffer in [&mut self.last, &mut self.normed] {
            buffer.reserve(count * hidden);
        }
        self.last_rstd.reserve(count);
        for (to, row) in self.last.chunks_exact_mut(hidden).zip(&layout.head_rows) {
            let place = row * hidden..(row + 1) * hidden;
            for ((to, middle), delta) in to.iter_mut().zip(&middle[place.clone()]).zip(&self.scratch.delta[place]) {
                *to = middle + delta;
            }
        }
        let norm = Norm { weight: &weights.parameters[plan.norm].data, epsilon: shape.epsilon, rows: count };
        norm.forward(threads, &self.last, None, &mut [], &mut self.normed, &mut self.last_rstd);
        sharpen(&mut self.normed[..count * hidden], self.sharpness);
        self.head.forward(threads, unembedding(plan, parameters), &self.normed, count, &layout.targets, keep);
    }

    /// Log-probabilities of the targets, in nats, after [`Pass::forward`].
    pub(super) fn log_probs(&self) -> &[f32] {
        &self.head.log_probs
    }

    /// Entropies of the head rows, in nats, after [`Pass::forward`].
    pub(super) fn entropies(&self) -> &[f32] {
        &self.head.entropies
    }

    /// Forgets the groups that are not kept; returns the layout of the others, for [`Pass::backward`].
    pub(super) fn retain(&mut self, plan: &Plan, layout: &Layout, keep: &[bool]) -> Layout {
        let (kept, from) = layout.retain(keep);
        let mut to = 0;
        for rows in from {
            if self.recompute {
                let hidden = plan.shape.hidden;
                for input in &mut self.inputs {
                    input.copy_within(rows.start * hidden..rows.end * hidden, to * hidden);
                }
            } else {
                for saved in &mut self.saved {
                    saved.move_rows(&plan.shape, rows.start, to, rows.len());
                }
            }
            to += rows.len();
        }
        let head_rows: Vec<usize> = layout
            .groups
            .iter()
            .zip(keep)
            .filter(|(_, keep)| **keep)
            .flat_map(|(group, _)| group.head_rows.clone())
            .collect();
        let hidden = plan.shape.hidden;
        for (to, from) in head_rows.iter().enumerate() {
            self.last.copy_within(from * hidden..(from + 1) * hidden, to * hidden);
            self.normed.copy_within(from * hidden..(from + 1) * hidden, to * hidden);
            self.last_rstd[to] = self.last_rstd[*from];
        }
        self.head.retain(&head_rows);
        kept
    }

    /// Adds to `gradients` (one buffer per trained parameter), given the gradients of the targets of `layout`, whose forward pass
    /// kept everything. What it kept is used up.
    pub(super) fn backward(
        &mut self,
        threads: Threads,
        plan: &Plan,
        parameters: Parameters,
        layout: &Layout,
        upstream: Upstream,
        gradients: &mut [Buffer],
    ) {
        let weights = parameters.weights;
        let mut gradients = Gradients::new(parameters, gradients);
        let (shape, rows, count) = (&plan.shape, layout.rows(), layout.head_rows.len());
        let hidden = shape.hidden;
        for buffer in [&mut self.normed_gradient, &mut self.last_gradient] {
            buffer.reserve(count * hidden);
        }
        self.gradient.reserve(rows * hidden);
        self.head.backward(
            threads,
            unembedding(plan, parameters),
            &self.normed,
            count,
            &layout.targets,
            upstream,
            gradients.whole(plan.unembedding),
            &mut self.normed_gradient,
        );
        sharpen(&mut self.normed_gradient[..count * hidden], self.sharpness);
        self.last_gradient[..count * hidden].fill(0.0);
        let norm = Norm { weight: &weights.parameters[plan.norm].data, epsilon: shape.epsilon, rows: count };
        norm.backward(
            threads,
            &self.normed_gradient,
            &self.last,
            &self.last_rstd,
            &mut self.partial,
            &mut self.last_gradient,
            gradients.whole(plan.norm),
        );
        self.gradient[..rows * hidden].fill(0.0);
        for (from, row) in self.last_gradient.chunks_exact(hidden).zip(&layout.head_rows) {
            self.gradient[row * hidden..(row + 1) * hidden].copy_from_slice(from);
        }
        for (layer, slots) in plan.layers.iter().enumerate().rev() {
            let block = Block { threads, shape, slots, angles: &self.angles, positions: &layout.positions };
            let saved = &mut self.saved[if self.recompute { 0 } else { layer }];
            if self.recompute {
                std::mem::swap(&mut saved.input, &mut self.inputs[layer]);
                let mut linears = Fresh { parameters, packed: &mut self.packed, low_rank: &mut self.low_rank };
                let attend = |saved: &mut Saved| saved.attend(threads, shape, layout);
                block.fill(&mut linears, None, saved, &mut self.scratch, attend);
            }
            block.backward(parameters, layout, saved, &mut self.scratch, &mut self.gradient, &mut gradients);
        }
        // Rows of equal tokens add up in the order of the rows.
        let Some(embedding) = gradients.whole(plan.embedding) else { return };
        for (from, token) in self.gradient.chunks_exact(hidden).zip(&layout.tokens) {
            let begin = *token as usize * hidden;
            for (to, from) in embedding[begin..begin + hidden].iter_mut().zip(from) {
                *to += from;
            }
        }
    }
}

/// Returns what turns logits into those at `temperature`; greedy decoding, temperature 0, leaves them alone.
pub(crate) fn sharpness(temperature: f32) -> f32 {
    if temperature == 0.0 { 1.0 } else { 1.0 / temperature }
}

/// Multiplies the input of the head, or its gradient, with `sharpness`: the same bits in training and decoding.
pub(super) fn sharpen(rows: &mut [f32], sharpness: f32) {
    if sharpness != 1.0 {
        rows.iter_mut().for_each(|value| *value *= sharpness);
    }
}

/// Copies the embeddings of `tokens` into rows.
pub(super) fn embed(embedding: &[f32], tokens: &[u32], hidden: usize, rows: &mut [f32]) {
    for (to, token) in rows.chunks_exact_mut(hidden).zip(tokens) {
        let begin = *token as usize * hidden;
        to.copy_from_slice(&embedding[begin..begin + hidden]);
    }
}

fn unembedding<'a>(plan: &Plan, parameters: Parameters<'a>) -> Unembedding<'a> {
    let (vocabulary, hidden) = (plan.shape.vocabulary, plan.shape.hidden);
    Unembedding { weights: &parameters.weights.parameters[plan.unembedding].data, vocabulary, hidden }
}
