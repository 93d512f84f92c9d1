//! The output head: log-probabilities and entropies of rows, and their gradients, without the logits of all tokens.
//!
//! The vocabulary is taken in tiles of 768 tokens; for each, the logits of all rows are computed (vocabulary-major, so
//! that the embedding is read in place), folded into running sums, and dropped. The backward pass computes them again, but
//! for the first few, which are kept.
//! The running sums have one order, by tile and by lane of 16 tokens, which [`row_sum`] follows for the rows of the
//! sampler: both give the same bits.

use crate::lm::layout::Target;
use crate::lm::native::buffer::Buffer;
use crate::lm::native::lanes::{LANES, Lanes, dispatched};
use crate::lm::native::math::{at, exp, put};
use crate::lm::native::matmul::{Into, Matrix, Packed, multiply};
use crate::lm::native::shape::Shape;
use crate::lm::native::threads::{Shared, Threads};

/// Tokens in a tile of the vocabulary. Part of the order of the sums.
const TILE: usize = 768;

/// Logits, in floats, that are kept from forward to backward instead of being computed again: tiles as long as they fit,
/// all of a small vocabulary.
const KEPT_LOGITS: usize = 16 << 20;

/// Floats that the head keeps for each row: a tile of logits, running sums, and its input and gradients, some packed.
pub(super) fn row_floats(shape: &Shape) -> usize {
    TILE.min(shape.vocabulary) + 2 * LANES + 8 + 6 * shape.hidden
}

/// The sizes of the head and its weights, row-major `(vocabulary, hidden)`.
#[derive(Clone, Copy)]
pub(super) struct Unembedding<'a> {
    pub(super) weights: &'a [f32],
    pub(super) vocabulary: usize,
    pub(super) hidden: usize,
}

/// Buffers of the head, and the sums of the last forward pass.
#[derive(Default)]
pub(super) struct Head {
    logits: Logits,
    packed: Packed,
    upright: Packed,
    tile_weights: Packed,
    /// Per row: the largest logit.
    largest: Buffer,
    /// `[lane][row]`: sums of `e^(logit - largest)`.
    sums: Buffer,
    /// `[lane][row]`: sums of `e^(logit - largest) (logit - largest)`.
    moments: Buffer,
    /// Per row: one over the sum.
    inverse: Buffer,
    /// Per row: logarithm of the sum of exponentials.
    log_sum: Buffer,
    /// Per row: entropy, in nats.
    pub(super) entropies: Buffer,
    /// Per target: its logit, then its log-probability.
    pub(super) log_probs: Buffer,
    /// Target indices by token.
    order: Vec<usize>,
    /// Per row: minus the sum of its targets' gradients.
    pull: Buffer,
    /// Per row: gradient of its entropy.
    spread: Buffer,
}

/// Logits, `[token][row]`: those of the first tiles, from forward to backward, and those of one other tile.
#[derive(Default)]
struct Logits {
    kept: Buffer,
    /// Tokens of the tiles that are kept.
    kept_tokens: usize,
    other: Buffer,
}

impl Logits {
    /// Makes room for the logits of `rows` rows, of which some may be kept.
    fn reserve(&mut self, vocabulary: usize, rows: usize, keep: bool) {
        let tiles = if keep { KEPT_LOGITS / (rows.max(1) * TILE) } else { 0 };
        self.kept_tokens = (tiles * TILE).min(vocabulary);
        self.kept.reserve(self.kept_tokens * rows);
        self.other.reserve(TILE.min(vocabulary) * rows);
    }

    /// The tile of `tokens` tokens from `first`.
    fn tile(&mut self, first: usize, tokens: usize, rows: usize) -> &mut [f32] {
        if first < self.kept_tokens {
            &mut self.kept[first * rows..(first + tokens) * rows]
        } else {
            &mut self.other[..tokens * rows]
        }
    }
}

/// Gradients that come to the head.
#[derive(Clone, Copy)]
pub(super) struct Upstream<'a> {
    /// Per target: d loss / d log-probability.
    pub(super) log_probs: &'a [f32],
    /// Per target: d loss / d entropy of the distribution it was drawn from.
    pub(super) entropies: Option<&'a [f32]>,
}

impl Head {
    /// Computes [`Head::log_probs`] of `targets` and [`Head::entropies`] of the `rows` rows of `hidden`.
    pub(super) fn forward(
        &mut self,
        threads: Threads,
        weights: Unembedding,
        hidden: &[f32],
        rows: usize,
        targets: &[Target],
        keep: bool,
    ) {
        self.logits.reserve(weights.vocabulary, rows, keep);
        self.packed.pack(threads, Matrix::new(&hidden[..rows * weights.hidden], rows, weights.hidden).transposed());
        for buffer in [&mut self.largest, &mut self.inverse, &mut self.log_sum, &mut self.entropies] {
            buffer.reserve(rows);
        }
        self.sums.reserve(rows * LANES);
        self.moments.reserve(rows * LANES);
        self.log_probs.reserve(targets.len());
        self.sort(targets);
        let mut next = 0;
        for first in (0..weights.vocabulary).step_by(TILE) {
            let tokens = self.tile_logits(threads, weights, first, rows);
            let logits = self.logits.tile(first, tokens, rows);
            let [largest, sums, moments] =
                [&mut self.largest, &mut self.sums, &mut self.moments].map(|buffer| Shared::new(buffer));
            threads.worth(tokens * rows).blocks(rows, LANES, |begin, end| {
                let stretch = Stretch {
                    logits: logits.as_ptr().wrapping_add(begin),
                    stride: rows,
                    tokens,
                    rows: end - begin,
                    largest: largest.at(begin),
                    sums: sums.at(begin),
                    moments: moments.at(begin),
                    begin: first == 0,
                };
                // SAFETY: rows `begin..end` of all buffers belong to this task.
                unsafe { fold(threads.set(), &stretch) };
            });
            while let Some(index) = self.order.get(next)
                && (targets[*index].token as usize) < first + tokens
            {
                let target = targets[*index];
                self.log_probs[*index] = logits[(target.token as usize - first) * rows + target.row];
                next += 1;
            }
        }
        for row in 0..rows {
            let lanes = |buffer: &Buffer| std::array::from_fn(|lane| buffer[lane * rows + row]);
            let sum = f64::from(sum_lanes(lanes(&self.sums)));
            let moment = f64::from(sum_lanes(lanes(&self.moments)));
            self.inverse[row] = (1.0 / sum) as f32;
            self.log_sum[row] = (f64::from(self.largest[row]) + sum.ln()) as f32;
            self.entropies[row] = (sum.ln() - moment / sum) as f32;
        }
        for (index, target) in targets.iter().enumerate() {
            let sum = sum_lanes(std::array::from_fn(|lane| self.sums[lane * rows + target.row]));
            self.log_probs[index] = log_prob(self.log_probs[index], self.largest[target.row], sum);
        }
    }

    /// After [`Head::forward`] of the same rows: adds to `weight_gradient`, unless the weights are frozen, and replaces
    /// `hidden_gradient`.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn backward(
        &mut self,
        threads: Threads,
        weights: Unembedding,
        hidden: &[f32],
        rows: usize,
        targets: &[Target],
        upstream: Upstream,
        mut weight_gradient: Option<&mut [f32]>,
        hidden_gradient: &mut [f32],
    ) {
        let width = weights.hidden;
        let hidden = Matrix::new(&hidden[..rows * width], rows, width);
        if self.logits.kept_tokens < weights.vocabulary {
            self.packed.pack(threads, hidden.transposed());
        }
        if weight_gradient.is_some() {
            self.upright.pack(threads, hidden);
        }
        self.sort(targets);
        self.pull.reserve(rows);
        self.spread.reserve(rows);
        self.pull[..rows].fill(0.0);
        self.spread[..rows].fill(0.0);
        for (index, target) in targets.iter().enumerate() {
            self.pull[target.row] -= upstream.log_probs[index];
            self.spread[target.row] += upstream.entropies.map_or(0.0, |gradients| gradients[index]);
        }
        let mut next = 0;
        for first in (0..weights.vocabulary).step_by(TILE) {
            let tokens = TILE.min(weights.vocabulary - first);
            if first >= self.logits.kept_tokens {
                self.tile_logits(threads, weights, first, rows);
            }
            let tile_logits = self.logits.tile(first, tokens, rows);
            let logits = Shared::new(tile_logits);
            let sources = [&self.pull, &self.spread, &self.log_sum, &self.entropies];
            threads.worth(tokens * rows).blocks(rows, LANES, |begin, end| {
                let pick = |index: usize| sources[index].as_ptr().wrapping_add(begin);
                let slope = Slope {
                    logits: logits.at(begin),
                    stride: rows,
                    tokens,
                    rows: end - begin,
                    pull: pick(0),
                    spread: pick(1),
                    log_sum: pick(2),
                    entropies: pick(3),
                };
                // SAFETY: rows `begin..end` of the logits belong to this task.
                unsafe { slopes(threads.set(), &slope) };
            });
            while let Some(index) = self.order.get(next)
                && (targets[*index].token as usize) < first + tokens
            {
                let target = targets[*index];
                tile_logits[(target.token as usize - first) * rows + target.row] += upstream.log_probs[*index];
                next += 1;
            }
            let slopes = Matrix::new(tile_logits, tokens, rows);
            if let Some(gradient) = &mut weight_gradient {
                let gradient = &mut gradient[first * width..(first + tokens) * width];
                multiply(threads, Into::Accumulate, slopes, self.upright.panels(), gradient, width);
            }
            let tile = &weights.weights[first * width..(first + tokens) * width];
            self.tile_weights.pack(threads, Matrix::new(tile, tokens, width));
            let into = if first == 0 { Into::Replace } else { Into::Accumulate };
            multiply(threads, into, slopes.transposed(), self.tile_weights.panels(), hidden_gradient, width);
        }
    }

    /// Keeps the sums of the rows `keep` only, in that order.
    pub(super) fn retain(&mut self, keep: &[usize]) {
        self.logits.kept_tokens = 0;
        for buffer in [&mut self.log_sum, &mut self.entropies] {
            for (to, from) in keep.iter().enumerate() {
                buffer[to] = buffer[*from];
            }
        }
    }

    /// Computes the logits of the tile from the token `first`, `(tokens, rows)`, to where they belong; returns its tokens.
    fn tile_logits(&mut self, threads: Threads, weights: Unembedding, first: usize, rows: usize) -> usize {
        let tokens = TILE.min(weights.vocabulary - first);
        let from = &weights.weights[first * weights.hidden..(first + tokens) * weights.hidden];
        let to = self.logits.tile(first, tokens, rows);
        let from = Matrix::new(from, tokens, weights.hidden);
        multiply(threads, Into::Replace, from, self.packed.panels(), to, rows);
        tokens
    }

    fn sort(&mut self, targets: &[Target]) {
        self.order.clear();
        self.order.extend(0..targets.len());
        self.order.sort_by_key(|index| targets[*index].token);
    }
}

/// The log-probability of a logit, given its row's largest logit and sum.
pub(crate) fn log_prob(logit: f32, largest: f32, sum: f32) -> f32 {
    (f64::from(logit) - (f64::from(largest) + f64::from(sum).ln())) as f32
}

/// The largest of a row of logits, and `Σ e^(logit - largest)` in the order of [`Head::forward`].
pub(super) fn row_sum(threads: Threads, logits: &[f32]) -> (f32, f32) {
    // SAFETY: the slice holds its length.
    unsafe { fold_row(threads.set(), logits.as_ptr(), logits.len()) }
}

/// The tree of [`Lanes::sum`].
fn sum_lanes(lanes: [f32; LANES]) -> f32 {
    crate::lm::native::lanes::Portable::from(lanes).sum()
}

/// Up to 16 rows of a tile of logits, and their running sums.
struct Stretch {
    /// `[token][row]`, tokens every `stride` floats.
    logits: *const f32,
    stride: usize,
    tokens: usize,
    rows: usize,
    largest: *mut f32,
    /// `[lane][row]`, lanes every `stride` floats.
    sums: *mut f32,
    moments: *mut f32,
    begin: bool,
}

/// Up to 16 rows of a tile of logits, to be turned into their gradients.
struct Slope {
    logits: *mut f32,
    stride: usize,
    tokens: usize,
    rows: usize,
    pull: *const f32,
    spread: *const f32,
    log_sum: *const f32,
    entropies: *const f32,
}

dispatched! {
    fn fold(stretch: &Stretch) = fold_body;
    fn fold_row(logits: *const f32, length: usize) -> (f32, f32) = fold_row_body;
    fn slopes(slope: &Slope) = slopes_body;
}

#[inline(always)]
unsafe fn fold_body<V: Lanes>(stretch: &Stretch) {
    const HALF: usize = LANES / 2;
    let Stretch { logits, stride, tokens, rows, .. } = *stretch;
    // SAFETY: the caller promises `rows` floats at every token and lane.
    unsafe {
        let logit = |token: usize| at::<V>(logits.add(token * stride), 0, rows);
        let mut top = logit(0);
        for token in 1..tokens {
            top = top.max(logit(token));
        }
        // Both are zero-padded alike, so that the padding lanes stay finite.
        let (factor, shift) = if stretch.begin {
            (V::splat(1.0), V::splat(0.0))
        } else {
            let before: V = at(stretch.largest, 0, rows);
            top = before.max(top);
            let shift = before.sub(top);
            (exp(shift), shift)
        };
        put(stretch.largest, 0, rows, top);
        for half in [0, HALF] {
            let mut sums = [V::splat(0.0); HALF];
            let mut moments = [V::splat(0.0); HALF];
            if !stretch.begin {
                for lane in 0..HALF {
                    let sum: V = at(stretch.sums.add((half + lane) * stride), 0, rows);
                    let moment: V = at(stretch.moments.add((half + lane) * stride), 0, rows);
                    moments[lane] = shift.fma(sum, moment).mul(factor);
                    sums[lane] = sum.mul(factor);
                }
            }
            for first in (half..tokens).step_by(LANES) {
                for lane in 0..HALF {
                    if first + lane < tokens {
                        let x = logit(first + lane).sub(top);
                        let e = exp(x);
                        sums[lane] = sums[lane].add(e);
                        moments[lane] = e.fma(x, moments[lane]);
                    }
                }
            }
            for lane in 0..HALF {
                put(stretch.sums.add((half + lane) * stride), 0, rows, sums[lane]);
                put(stretch.moments.add((half + lane) * stride), 0, rows, moments[lane]);
            }
        }
    }
}

#[inline(always)]
unsafe fn fold_row_body<V: Lanes>(logits: *const f32, length: usize) -> (f32, f32) {
    let mut largest = f32::NEG_INFINITY;
    let mut sums = V::splat(0.0);
    for first in (0..length).step_by(TILE) {
        let tokens = TILE.min(length - first);
        let whole = tokens / LANES * LANES;
        // SAFETY: inside, as promised by the caller.
        unsafe {
            let logits = logits.add(first);
            let mut top = V::splat(f32::NEG_INFINITY);
            for index in (0..whole).step_by(LANES) {
                top = top.max(V::load(logits.add(index)));
            }
            let mut top = top.largest();
            for index in whole..tokens {
                top = if *logits.add(index) > top { *logits.add(index) } else { top };
            }
            if first == 0 {
                largest = top;
            } else {
                top = if largest > top { largest } else { top };
                sums = sums.mul(exp(V::splat(largest - top)));
                largest = top;
            }
            for index in (0..whole).step_by(LANES) {
                sums = sums.add(exp(V::load(logits.add(index)).sub(V::splat(top))));
            }
            if whole < tokens {
                let count = tokens - whole;
                let rest = exp(V::load_first(logits.add(whole), count).sub(V::splat(top))).array();
                sums = sums.add(V::load_first(rest.as_ptr(), count));
            }
        }
    }
    (largest, sums.sum())
}

#[inline(always)]
unsafe fn slopes_body<V: Lanes>(slope: &Slope) {
    let rows = slope.rows;
    // SAFETY: the caller promises `rows` floats at every token.
    unsafe {
        let pull: V = at(slope.pull, 0, rows);
        let spread: V = at(slope.spread, 0, rows);
        let log_sum: V = at(slope.log_sum, 0, rows);
        let entropies: V = at(slope.entropies, 0, rows);
        // d loss / d logit = p (pull - spread (log p + H)), and + 1 · gradient at each target.
        for token in 0..slope.tokens {
            let place = slope.logits.add(token * slope.stride);
            let log_p = at::<V>(place, 0, rows).sub(log_sum);
            let inner = V::splat(0.0).sub(spread).fma(log_p.add(entropies), pull);
            put(place, 0, rows, exp(log_p).mul(inner));
        }
    }
}
