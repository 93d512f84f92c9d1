//! One decoder layer, forward and backward, over the rows of a batch.
//!
//! Forward keeps what backward needs in [`Saved`]; normalised rows and the activated product are cheap and computed again.
//! Attention itself is passed in by the caller, since training and decoding see different keys.

use crate::lm::Weights;
use crate::lm::layout::Layout;
use crate::lm::native::attention;
use crate::lm::native::buffer::Buffer;
use crate::lm::native::gradients::{Gradients, MapScratch, Maps};
use crate::lm::native::math;
use crate::lm::native::matmul::Into;
use crate::lm::native::shape::{Angles, LayerSlots, Shape};
use crate::lm::native::threads::{Shared, Threads};
use crate::lm::native::weights::{Linears, Parameters};

/// Rows in one task of row-wise work. Part of the order of the norms' weight gradients.
const ROWS: usize = 64;

/// What a layer's forward pass leaves behind; all row-major over the rows of the batch.
#[derive(Default)]
pub(super) struct Saved {
    /// Input of the layer: `(rows, hidden)`.
    pub(super) input: Buffer,
    /// `(rows,)`.
    pub(super) input_rstd: Buffer,
    pub(super) queries: Buffer,
    pub(super) keys: Buffer,
    pub(super) values: Buffer,
    /// Output of attention before its projection.
    pub(super) attended: Buffer,
    pub(super) largest: Buffer,
    pub(super) inverse: Buffer,
    /// Input of the MLP half: `(rows, hidden)`.
    pub(super) middle: Buffer,
    pub(super) middle_rstd: Buffer,
    pub(super) gate: Buffer,
    pub(super) up: Buffer,
    /// Where heads are normalised: queries and keys before that, and one number for each head.
    raw_queries: Buffer,
    raw_keys: Buffer,
    query_rstd: Buffer,
    key_rstd: Buffer,
}

impl Saved {
    /// Makes room for `rows` rows.
    pub(super) fn reserve(&mut self, shape: &Shape, rows: usize) {
        for (buffer, width) in self.parts(shape) {
            buffer.reserve(rows * width);
        }
    }

    /// Moves `length` rows from `from` down to `to`.
    pub(super) fn move_rows(&mut self, shape: &Shape, from: usize, to: usize, length: usize) {
        for (buffer, width) in self.parts(shape) {
            buffer.copy_within(from * width..(from + length) * width, to * width);
        }
    }

    /// Floats for each row.
    pub(super) fn width(shape: &Shape) -> usize {
        Self::default().parts(shape).iter().map(|(_, width)| width).sum()
    }

    /// Lets every row look at those before it in its sequence.
    pub(super) fn attend(&mut self, threads: Threads, shape: &Shape, layout: &Layout) {
        let pass = attention::Forward {
            queries: &self.queries,
            keys: &self.keys,
            values: &self.values,
            output: &mut self.attended,
            largest: &mut self.largest,
            inverse: &mut self.inverse,
        };
        attention::forward(threads, shape, layout, pass);
    }

    fn parts(&mut self, shape: &Shape) -> [(&mut Buffer, usize); 16] {
        let norms = usize::from(shape.has_head_norms);
        [
            (&mut self.input, shape.hidden),
            (&mut self.input_rstd, 1),
            (&mut self.queries, shape.query()),
            (&mut self.keys, shape.key()),
            (&mut self.values, shape.key()),
            (&mut self.attended, shape.query()),
            (&mut self.largest, shape.heads),
            (&mut self.inverse, shape.heads),
            (&mut self.middle, shape.hidden),
            (&mut self.middle_rstd, 1),
            (&mut self.gate, shape.inner),
            (&mut self.up, shape.inner),
            (&mut self.raw_queries, norms * shape.query()),
            (&mut self.raw_keys, norms * shape.key()),
            (&mut self.query_rstd, norms * shape.heads),
            (&mut self.key_rstd, norms * shape.kv_heads),
        ]
    }
}

/// Buffers that live only during a layer.
#[derive(Default)]
pub(super) struct Scratch {
    /// `(rows, hidden)`: a normalised input, or its gradient.
    normed: Buffer,
    /// `(rows, hidden)`: what a half adds to the residual stream.
    pub(super) delta: Buffer,
    /// `(rows, inner)`.
    activated: Buffer,
    queries: Buffer,
    keys: Buffer,
    values: Buffer,
    attended: Buffer,
    /// `(rows, query)`, where heads are normalised: the gradient of queries or keys before that.
    raw: Buffer,
    partial: Buffer,
    maps: MapScratch,
}

impl Scratch {
    /// Makes room for `rows` rows; the backward pass needs more.
    pub(super) fn reserve(&mut self, shape: &Shape, rows: usize, backward: bool) {
        for (buffer, width) in self.parts(shape).into_iter().take(if backward { 8 } else { 3 }) {
            buffer.reserve(rows * width);
        }
    }

    /// Floats for each row.
    pub(super) fn width(shape: &Shape) -> usize {
        Self::default().parts(shape).iter().map(|(_, width)| width).sum()
    }

    /// The forward pass needs the first three.
    fn parts(&mut self, shape: &Shape) -> [(&mut Buffer, usize); 8] {
        [
            (&mut self.normed, shape.hidden),
            (&mut self.delta, shape.hidden),
            (&mut self.activated, shape.inner),
            (&mut self.queries, shape.query()),
            (&mut self.attended, shape.query()),
            (&mut self.keys, shape.key()),
            (&mut self.values, shape.key()),
            (&mut self.raw, usize::from(shape.has_head_norms) * shape.query()),
        ]
    }
}

/// A stretch of rows of the residual stream.
pub(super) struct Norm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) epsilon: f32,
    pub(super) rows: usize,
}

impl Norm<'_> {
    /// `sum = base + delta`, `normed = norm(sum)`; without a delta the base is normalised and `sum` left alone.
    pub(super) fn forward(
        &self,
        threads: Threads,
        base: &[f32],
        delta: Option<&[f32]>,
        sum: &mut [f32],
        normed: &mut [f32],
        rstd: &mut [f32],
    ) {
        let width = self.weight.len();
        let length = self.rows * width;
        assert!(base.len() >= length && delta.is_none_or(|delta| delta.len() >= length && sum.len() >= length));
        assert!(normed.len() >= length && rstd.len() >= self.rows);
        let (sum, normed, rstd) = (Shared::new(sum), Shared::new(normed), Shared::new(rstd));
        threads.worth(self.rows * width).blocks(self.rows, ROWS, |begin, end| {
            for row in begin..end {
                let place = row * width;
                let delta = delta.map(|delta| delta[place..].as_ptr());
                // SAFETY: rows are inside, as asserted, and belong to this task.
                unsafe {
                    let sum = if delta.is_some() { sum.at(place) } else { std::ptr::null_mut() };
                    *rstd.at(row) = math::rms_norm(
                        threads.set(),
                        base[place..].as_ptr(),
                        delta,
                        sum,
                        self.weight.as_ptr(),
                        normed.at(place),
                        width,
                        self.epsilon,
                    );
                }
            }
        });
    }

    /// The normalised rows again.
    fn again(&self, threads: Threads, input: &[f32], rstd: &[f32], normed: &mut [f32]) {
        let width = self.weight.len();
        let normed = Shared::new(normed);
        threads.worth(self.rows * width).blocks(self.rows, ROWS, |begin, end| {
            for (row, rstd) in (begin..end).zip(&rstd[begin..end]) {
                let place = row * width;
                let from = input[place..place + width].as_ptr();
                // SAFETY: rows are inside and belong to this task.
                unsafe {
                    let to = normed.slice(place, width).as_mut_ptr();
                    math::rms_renorm(threads.set(), from, self.weight.as_ptr(), to, width, *rstd);
                }
            }
        });
    }

    /// Adds to `gradient` (of the norm's input) and, unless the norm is frozen, to `weight_gradient`, given the gradient of
    /// the normalised rows.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn backward(
        &self,
        threads: Threads,
        upstream: &[f32],
        input: &[f32],
        rstd: &[f32],
        partial: &mut Buffer,
        gradient: &mut [f32],
        weight_gradient: Option<&mut [f32]>,
    ) {
        let width = self.weight.len();
        let blocks = self.rows.div_ceil(ROWS);
        partial.reserve(blocks * width);
        let partial = &mut partial[..blocks * width];
        partial.fill(0.0);
        let (parts, gradient) = (Shared::new(partial), Shared::new(gradient));
        threads.worth(self.rows * width).blocks(self.rows, ROWS, |begin, end| {
            for (row, rstd) in (begin..end).zip(&rstd[begin..end]) {
                let place = row * width;
                let (upstream, input) = (&upstream[place..place + width], &input[place..place + width]);
                // SAFETY: rows are inside and belong to this task, and so does the block's partial sum.
                unsafe {
                    let gradient = gradient.slice(place, width).as_mut_ptr();
                    let part = parts.slice(begin / ROWS * width, width).as_mut_ptr();
                    let weight = self.weight.as_ptr();
                    let set = threads.set();
                    math::rms_norm_backward(
                        set,
                        gradient,
                        upstream.as_ptr(),
                        input.as_ptr(),
                        weight,
                        part,
                        width,
                        *rstd,
                    );
                }
            }
        });
        let Some(weight_gradient) = weight_gradient else { return };
        for part in partial.chunks_exact(width) {
            for (sum, part) in weight_gradient.iter_mut().zip(part) {
                *sum += part;
            }
        }
    }
}

/// One layer and the rows it works on.
pub(super) struct Block<'a> {
    pub(super) threads: Threads,
    pub(super) shape: &'a Shape,
    pub(super) slots: &'a LayerSlots,
    pub(super) angles: &'a Angles,
    /// The position of each row.
    pub(super) positions: &'a [usize],
}

impl Block<'_> {
    fn rows(&self) -> usize {
        self.positions.len()
    }

    fn norm<'b>(&self, weights: &'b Weights, slot: usize) -> Norm<'b> {
        Norm { weight: &weights.parameters[slot].data, epsilon: self.shape.epsilon, rows: self.rows() }
    }

    /// Runs the layer. The residual stream comes in as `base` (or, without one, in `saved.input`) plus
    /// `scratch.delta`, and leaves as `saved.middle` plus `scratch.delta`.
    pub(super) fn forward(
        &self,
        linears: &mut impl Linears,
        base: Option<&[f32]>,
        saved: &mut Saved,
        scratch: &mut Scratch,
        attend: impl FnOnce(&mut Saved),
    ) {
        self.fill(linears, base, saved, scratch, attend);
        self.activate(&saved.gate, &saved.up, &mut scratch.activated);
        linears.apply(self.threads, self.slots.down, &scratch.activated, self.rows(), &mut scratch.delta);
    }

    /// Computes all that forward keeps: all but the last product. With the input in `saved.input` and no base, everything
    /// comes out as it did the first time, bit for bit.
    pub(super) fn fill(
        &self,
        linears: &mut impl Linears,
        base: Option<&[f32]>,
        saved: &mut Saved,
        scratch: &mut Scratch,
        attend: impl FnOnce(&mut Saved),
    ) {
        let (rows, threads, slots) = (self.rows(), self.threads, self.slots);
        let norm = self.norm(linears.weights(), slots.attention_norm);
        match base {
            Some(base) => {
                let delta = Some(&*scratch.delta);
                norm.forward(threads, base, delta, &mut saved.input, &mut scratch.normed, &mut saved.input_rstd);
            }
            None => norm.forward(threads, &saved.input, None, &mut [], &mut scratch.normed, &mut saved.input_rstd),
        }
        linears.apply(threads, slots.query, &scratch.normed, rows, &mut saved.queries);
        linears.apply(threads, slots.key, &scratch.normed, rows, &mut saved.keys);
        linears.apply(threads, slots.value, &scratch.normed, rows, &mut saved.values);
        if let Some(slots) = slots.biases {
            let parts = [&mut saved.queries, &mut saved.keys, &mut saved.values];
            for (slot, part) in slots.into_iter().zip(parts) {
                self.add_bias(&linears.weights().parameters[slot].data, part);
            }
        }
        if let Some([query, key]) = slots.head_norms {
            std::mem::swap(&mut saved.queries, &mut saved.raw_queries);
            std::mem::swap(&mut saved.keys, &mut saved.raw_keys);
            let norm = self.head_norm(linears.weights(), query, self.shape.heads);
            let (raw, rstd) = (&saved.raw_queries, &mut saved.query_rstd);
            norm.forward(threads, raw, None, &mut [], &mut saved.queries, rstd);
            let norm = self.head_norm(linears.weights(), key, self.shape.kv_heads);
            norm.forward(threads, &saved.raw_keys, None, &mut [], &mut saved.keys, &mut saved.key_rstd);
        }
        self.rotate(&mut saved.queries, self.shape.heads, 1.0);
        self.rotate(&mut saved.keys, self.shape.kv_heads, 1.0);
        attend(saved);
        linears.apply(threads, slots.output, &saved.attended, rows, &mut scratch.delta);
        let norm = self.norm(linears.weights(), slots.mlp_norm);
        let (delta, normed) = (Some(&*scratch.delta), &mut scratch.normed);
        norm.forward(threads, &saved.input, delta, &mut saved.middle, normed, &mut saved.middle_rstd);
        linears.apply(threads, slots.gate, &scratch.normed, rows, &mut saved.gate);
        linears.apply(threads, slots.up, &scratch.normed, rows, &mut saved.up);
    }

    /// Turns `gradient`, of the layer's output, into that of its input, and adds to the trained parameters' gradients.
    /// What forward saved is used up.
    pub(super) fn backward(
        &self,
        parameters: Parameters,
        layout: &Layout,
        saved: &mut Saved,
        scratch: &mut Scratch,
        gradient: &mut [f32],
        gradients: &mut Gradients,
    ) {
        let (rows, threads, shape, slots) = (self.rows(), self.threads, self.shape, self.slots);
        let weights = parameters.weights;
        let Scratch { normed, delta, activated, queries, keys, values, attended, raw, partial, maps } = scratch;
        let mut maps = Maps { threads, rows, parameters, scratch: maps };

        // MLP half.
        maps.pull(slots.down, gradient, Into::Replace, activated);
        self.activate_backward(activated, &mut saved.gate, &mut saved.up);
        maps.pull(slots.gate, &saved.gate, Into::Replace, delta);
        maps.pull(slots.up, &saved.up, Into::Accumulate, delta);
        maps.learn(gradients, activated, &[(slots.down, &*gradient)]);
        let norm = self.norm(weights, slots.mlp_norm);
        if gradients.learn(&[slots.gate, slots.up]) {
            norm.again(threads, &saved.middle, &saved.middle_rstd, normed);
            maps.learn(gradients, normed, &[(slots.gate, &*saved.gate), (slots.up, &*saved.up)]);
        }
        let slot = gradients.whole(slots.mlp_norm);
        norm.backward(threads, delta, &saved.middle, &saved.middle_rstd, partial, gradient, slot);

        // Attention half.
        maps.pull(slots.output, gradient, Into::Replace, attended);
        attention::backward(
            threads,
            shape,
            layout,
            attention::Backward {
                queries: &saved.queries,
                keys: &saved.keys,
                values: &saved.values,
                output: &saved.attended,
                largest: &saved.largest,
                inverse: &saved.inverse,
                upstream: attended,
                query_gradient: queries,
                key_gradient: keys,
                value_gradient: values,
            },
        );
        self.rotate(queries, shape.heads, -1.0);
        self.rotate(keys, shape.kv_heads, -1.0);
        if let Some(slots) = slots.head_norms {
            let (rstds, inputs) = ([&saved.query_rstd, &saved.key_rstd], [&saved.raw_queries, &saved.raw_keys]);
            for (part, upstream) in [&mut *queries, &mut *keys].into_iter().enumerate() {
                let heads = [shape.heads, shape.kv_heads][part];
                let length = rows * heads * shape.head;
                let norm = self.head_norm(weights, slots[part], heads);
                raw[..length].fill(0.0);
                let slot = gradients.whole(slots[part]);
                norm.backward(threads, upstream, inputs[part], rstds[part], partial, raw, slot);
                upstream[..length].copy_from_slice(&raw[..length]);
            }
        }
        if let Some(slots) = slots.biases {
            for (slot, upstream) in slots.into_iter().zip([&*queries, &*keys, &*values]) {
                if let Some(gradient) = gradients.whole(slot) {
                    let width = weights.parameters[slot].data.len();
                    self.sum_rows(upstream, width, partial, gradient);
                }
            }
        }
        maps.pull(slots.query, queries, Into::Replace, delta);
        maps.pull(slots.key, keys, Into::Accumulate, delta);
        maps.pull(slots.value, values, Into::Accumulate, delta);
        maps.learn(gradients, &saved.attended, &[(slots.output, &*gradient)]);
        let norm = self.norm(weights, slots.attention_norm);
        if gradients.learn(&[slots.query, slots.key, slots.value]) {
            norm.again(threads, &saved.input, &saved.input_rstd, normed);
            let shared: [(usize, &[f32]); 3] =
                [(slots.query, &**queries), (slots.key, &**keys), (slots.value, &**values)];
            maps.learn(gradients, normed, &shared);
        }
        let slot = gradients.whole(slots.attention_norm);
        norm.backward(threads, delta, &saved.input, &saved.input_rstd, partial, gradient, slot);
    }

    fn head_norm<'b>(&self, weights: &'b Weights, slot: usize, heads: usize) -> Norm<'b> {
        let weight = &weights.parameters[slot].data;
        Norm { weight, epsilon: self.shape.epsilon, rows: self.rows() * heads }
    }

    /// Adds the bias to each row.
    fn add_bias(&self, bias: &[f32], vectors: &mut [f32]) {
        let width = bias.len();
        let vectors = Shared::new(vectors);
        self.threads.worth(self.rows() * width).blocks(self.rows(), ROWS, |begin, end| {
            for row in begin..end {
                // SAFETY: rows are inside and belong to this task.
                let row = unsafe { vectors.slice(row * width, width) };
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        });
    }

    /// Adds up the rows of `vectors`: by blocks, and those in order.
    fn sum_rows(&self, vectors: &[f32], width: usize, partial: &mut Buffer, sum: &mut [f32]) {
        let blocks = self.rows().div_ceil(ROWS);
        partial.reserve(blocks * width);
        let partial = &mut partial[..blocks * width];
        partial.fill(0.0);
        let parts = Shared::new(partial);
        self.threads.worth(self.rows() * width).blocks(self.rows(), ROWS, |begin, end| {
            // SAFETY: the block's partial sum belongs to this task.
            let part = unsafe { parts.slice(begin / ROWS * width, width) };
            for row in vectors[begin * width..end * width].chunks_exact(width) {
                part.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        });
        for part in partial.chunks_exact(width) {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
    }

    /// Rotates each row's heads by its position, forward or back.
    fn rotate(&self, vectors: &mut [f32], heads: usize, direction: f32) {
        let head = self.shape.head;
        let width = heads * head;
        let vectors = Shared::new(vectors);
        self.threads.worth(self.rows() * width).blocks(self.rows(), ROWS, |begin, end| {
            for row in begin..end {
                let angles = self.angles.of(self.positions[row], head).as_ptr();
                // SAFETY: rows are inside and belong to this task.
                unsafe {
                    let vectors = vectors.slice(row * width, width).as_mut_ptr();
                    math::rotate(self.threads.set(), vectors, heads, head / 2, angles, direction);
                }
            }
        });
    }

    fn activate(&self, gate: &[f32], up: &[f32], activated: &mut [f32]) {
        let width = self.shape.inner;
        let activated = Shared::new(activated);
        self.threads.worth(self.rows() * width).blocks(self.rows(), ROWS, |begin, end| {
            let (begin, length) = (begin * width, (end - begin) * width);
            let (gate, up) = (&gate[begin..begin + length], &up[begin..begin + length]);
            // SAFETY: rows are inside and belong to this task.
            unsafe {
                let to = activated.slice(begin, length).as_mut_ptr();
                math::swiglu(self.threads.set(), gate.as_ptr(), up.as_ptr(), to, length);
            }
        });
    }

    fn activate_backward(&self, upstream: &mut [f32], gate: &mut [f32], up: &mut [f32]) {
        let width = self.shape.inner;
        let (upstream, gate, up) = (Shared::new(upstream), Shared::new(gate), Shared::new(up));
        self.threads.worth(self.rows() * width).blocks(self.rows(), ROWS, |begin, end| {
            let (begin, length) = (begin * width, (end - begin) * width);
            // SAFETY: rows are inside and belong to this task.
            unsafe {
                let [upstream, gate, up] =
                    [&upstream, &gate, &up].map(|buffer| buffer.slice(begin, length).as_mut_ptr());
                math::swiglu_backward(self.threads.set(), upstream, gate, up, length);
            }
        });
    }
}
