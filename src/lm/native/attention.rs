//! Causal attention over segments that share a prompt, forward and backward.
//!
//! A unit of work is one group and one key head: its prompt's keys and values are packed once and serve all completions
//! and all query heads that share the key head (folded into rows). Scores exist for one tile of query rows at a time; the
//! backward pass computes them again from each row's largest score and sum. A row of scores is `[prompt keys, own keys]`,
//! as if the sequence were whole, so sharing the prompt changes no bit of the forward pass.

use std::cell::RefCell;

use crate::lm::layout::{GroupRows, Layout, Segment};
use crate::lm::native::buffer::Buffer;
use crate::lm::native::math;
use crate::lm::native::matmul::{Into, Matrix, Packed, multiply};
use crate::lm::native::shape::Shape;
use crate::lm::native::threads::{Shared, Threads};

/// Rows of folded queries in a tile, about.
const TILE: usize = 96;

/// What one layer's attention reads and writes; all matrices row-major over the rows of the layout.
pub(super) struct Forward<'a> {
    /// `(rows, heads · head)`, rotated.
    pub(super) queries: &'a [f32],
    /// `(rows, kv heads · head)`, rotated.
    pub(super) keys: &'a [f32],
    /// `(rows, kv heads · head)`.
    pub(super) values: &'a [f32],
    /// `(rows, heads · head)`.
    pub(super) output: &'a mut [f32],
    /// Each row's and head's largest scaled score: `(rows, heads)`.
    pub(super) largest: &'a mut [f32],
    /// One over the sum of its exponentials: `(rows, heads)`.
    pub(super) inverse: &'a mut [f32],
}

/// What one layer's attention reads and writes backward.
pub(super) struct Backward<'a> {
    pub(super) queries: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) output: &'a [f32],
    pub(super) largest: &'a [f32],
    pub(super) inverse: &'a [f32],
    /// The gradient of the output.
    pub(super) upstream: &'a [f32],
    pub(super) query_gradient: &'a mut [f32],
    pub(super) key_gradient: &'a mut [f32],
    pub(super) value_gradient: &'a mut [f32],
}

/// One side of the keys: the prompt's, or the segment's own.
#[derive(Default)]
struct Side {
    /// Keys, `(head, keys)`.
    keys: Packed,
    /// Values, `(keys, head)`; backward transposed, `(head, keys)`.
    values: Packed,
    /// Keys, `(keys, head)`; backward only.
    upright: Packed,
    key_gradient: Buffer,
    value_gradient: Buffer,
}

#[derive(Default)]
struct Scratch {
    prompt: Side,
    own: Side,
    queries: Buffer,
    scores: Buffer,
    output: Buffer,
    upstream: Buffer,
    gradients: Buffer,
    packed_queries: Packed,
    packed_upstream: Packed,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// One group and key head.
struct Unit<'a> {
    threads: Threads,
    shape: &'a Shape,
    kv: usize,
}

/// A tile of queries of one segment.
#[derive(Clone, Copy)]
struct Tile {
    /// First row of the batch.
    first: usize,
    /// Offset of the tile in its segment.
    offset: usize,
    /// Query rows per head.
    rows: usize,
    /// Keys of the prompt before the segment; 0 if the segment is the prompt.
    before: usize,
}

impl Tile {
    /// Keys of the segment that any row of the tile may see.
    fn own(self) -> usize {
        self.offset + self.rows
    }

    /// Length of a row of scores.
    fn width(self) -> usize {
        self.before + self.own()
    }

    /// Keys that the tile's `row`-th row may see.
    fn seen(self, row: usize) -> usize {
        self.before + self.offset + row + 1
    }
}

impl Unit<'_> {
    fn tiles(&self, segment: Segment) -> impl Iterator<Item = Tile> + use<> {
        let size = (TILE / self.shape.sharing()).max(12);
        (0..segment.length).step_by(size).map(move |offset| Tile {
            first: segment.first + offset,
            offset,
            rows: size.min(segment.length - offset),
            before: segment.position,
        })
    }

    fn head(&self, shared: usize) -> usize {
        self.kv * self.shape.sharing() + shared
    }

    /// The keys or values of a segment for this key head: `(length, head)`.
    fn slice<'b>(&self, data: &'b [f32], segment: Segment) -> Matrix<'b> {
        let width = self.shape.key();
        let begin = (segment.first * width + self.kv * self.shape.head).min(data.len());
        Matrix::strided(&data[begin..], segment.length, self.shape.head, width)
    }

    /// Copies the tile's rows of all query heads of this key head: `(sharing · rows, head)`.
    fn gather(&self, target: &mut Buffer, source: &[f32], tile: Tile) {
        let (head, width) = (self.shape.head, self.shape.query());
        target.reserve(self.shape.sharing() * tile.rows * head);
        for (index, to) in target.chunks_exact_mut(head).take(self.shape.sharing() * tile.rows).enumerate() {
            let (shared, row) = (index / tile.rows, index % tile.rows);
            let begin = (tile.first + row) * width + self.head(shared) * head;
            to.copy_from_slice(&source[begin..begin + head]);
        }
    }

    /// Scores before scaling: `(sharing · rows, width)`.
    fn scores(&self, scores: &mut Buffer, left: &[f32], tile: Tile, before: Option<&Packed>, own: &Packed) {
        let rows = self.shape.sharing() * tile.rows;
        scores.reserve(rows * tile.width());
        let left = Matrix::new(&left[..rows * self.shape.head], rows, self.shape.head);
        let scores = &mut scores[..rows * tile.width()];
        if let Some(before) = before {
            multiply(self.threads, Into::Replace, left, before.panels(), scores, tile.width());
        }
        let own = own.panels().columns(tile.own());
        multiply(self.threads, Into::Replace, left, own, &mut scores[tile.before..], tile.width());
    }

    /// `target = left · right` over both sides of the keys: `(sharing · rows, head)`.
    fn combine(&self, target: &mut Buffer, left: &[f32], tile: Tile, before: Option<&Packed>, own: &Packed) {
        let rows = self.shape.sharing() * tile.rows;
        target.reserve(rows * self.shape.head);
        let mut into = Into::Replace;
        if let Some(before) = before {
            let left = Matrix::strided(left, rows, tile.before, tile.width());
            multiply(self.threads, into, left, before.panels(), target, self.shape.head);
            into = Into::Accumulate;
        }
        let left = Matrix::strided(&left[tile.before..], rows, tile.own(), tile.width());
        multiply(self.threads, into, left, own.panels().depth(tile.own()), target, self.shape.head);
    }

    /// Adds `leftᵀ · right` to both sides' gradients: `(keys, head)`.
    fn spread(&self, before: Option<&mut Buffer>, own: &mut Buffer, left: &[f32], tile: Tile, right: &Packed) {
        let rows = self.shape.sharing() * tile.rows;
        if let Some(before) = before {
            let left = Matrix::strided(left, rows, tile.before, tile.width()).transposed();
            multiply(self.threads, Into::Accumulate, left, right.panels(), before, self.shape.head);
        }
        let left = Matrix::strided(&left[tile.before..], rows, tile.own(), tile.width()).transposed();
        multiply(self.threads, Into::Accumulate, left, right.panels(), own, self.shape.head);
    }

    /// Writes a segment's gradients of keys and values to their rows.
    fn write(&self, segment: Segment, side: &Side, key_gradient: &Shared, value_gradient: &Shared) {
        let head = self.shape.head;
        for row in 0..segment.length {
            let begin = (segment.first + row) * self.shape.key() + self.kv * head;
            for (target, source) in [(key_gradient, &side.key_gradient), (value_gradient, &side.value_gradient)] {
                // SAFETY: each row and key head belongs to one unit.
                unsafe { target.slice(begin, head) }.copy_from_slice(&source[row * head..(row + 1) * head]);
            }
        }
    }
}

/// Runs `work` for every group and key head.
fn each_unit(
    threads: Threads,
    shape: &Shape,
    layout: &Layout,
    work: impl Fn(&Unit, &GroupRows, &mut Scratch) + Sync + Send,
) {
    let threads_for_units = threads.worth(layout.rows() * shape.query());
    threads_for_units.each(layout.groups.len() * shape.kv_heads, |index| {
        let group = &layout.groups[index / shape.kv_heads];
        let unit = Unit { threads: threads.alone(), shape, kv: index % shape.kv_heads };
        SCRATCH.with_borrow_mut(|scratch| work(&unit, group, scratch));
    });
}

/// Attention of all rows of `layout`.
pub(super) fn forward(threads: Threads, shape: &Shape, layout: &Layout, pass: Forward) {
    let output = Shared::new(pass.output);
    let largest = Shared::new(pass.largest);
    let inverse = Shared::new(pass.inverse);
    let (queries, keys, values) = (pass.queries, pass.keys, pass.values);
    each_unit(threads, shape, layout, |unit, group, scratch| {
        let Scratch { prompt, own, queries: folded, scores, output: tile_output, .. } = scratch;
        for (index, segment) in std::iter::once(&group.prompt).chain(&group.completions).enumerate() {
            let (before, own) = if index == 0 { (None, &mut *prompt) } else { (Some(&*prompt), &mut *own) };
            own.keys.pack(unit.threads, unit.slice(keys, *segment).transposed());
            own.values.pack(unit.threads, unit.slice(values, *segment));
            for tile in unit.tiles(*segment) {
                unit.gather(folded, queries, tile);
                unit.scores(scores, folded, tile, before.map(|side| &side.keys), &own.keys);
                for (index, row) in scores.chunks_exact_mut(tile.width()).enumerate().take(shape.sharing() * tile.rows)
                {
                    let (shared, offset) = (index / tile.rows, index % tile.rows);
                    let seen = tile.seen(offset);
                    let place = (tile.first + offset) * shape.heads + unit.head(shared);
                    // SAFETY: the row holds `seen` floats; each place belongs to one unit.
                    unsafe {
                        let (top, sum) = math::soft_max(unit.threads.set(), row.as_mut_ptr(), seen, shape.scale());
                        *largest.at(place) = top;
                        *inverse.at(place) = 1.0 / sum;
                    }
                    row[seen..].fill(0.0);
                }
                unit.combine(tile_output, scores, tile, before.map(|side| &side.values), &own.values);
                for index in 0..shape.sharing() * tile.rows {
                    let (shared, offset) = (index / tile.rows, index % tile.rows);
                    let (row, head) = (tile.first + offset, unit.head(shared));
                    // SAFETY: each row and head belongs to one unit.
                    unsafe {
                        let to = output.slice(row * shape.query() + head * shape.head, shape.head);
                        let from = tile_output[index * shape.head..].as_ptr();
                        let factor = *inverse.at(row * shape.heads + head);
                        math::scaled(unit.threads.set(), to.as_mut_ptr(), from, shape.head, factor);
                    }
                }
            }
        }
    });
}

/// The gradients of queries, keys and values, given that of the output.
pub(super) fn backward(threads: Threads, shape: &Shape, layout: &Layout, pass: Backward) {
    let query_gradient = Shared::new(pass.query_gradient);
    let key_gradient = Shared::new(pass.key_gradient);
    let value_gradient = Shared::new(pass.value_gradient);
    let Backward { queries, keys, values, output, largest, inverse, upstream, .. } = pass;
    each_unit(threads, shape, layout, |unit, group, scratch| {
        let Scratch {
            prompt,
            own,
            queries: folded,
            scores,
            output: tile_output,
            upstream: folded_upstream,
            gradients,
            packed_queries,
            packed_upstream,
        } = scratch;
        let (head, set, alone) = (shape.head, unit.threads.set(), unit.threads);
        for (index, segment) in std::iter::once(&group.prompt).chain(&group.completions).enumerate() {
            let (mut before, own) = if index == 0 { (None, &mut *prompt) } else { (Some(&mut *prompt), &mut *own) };
            own.keys.pack(alone, unit.slice(keys, *segment).transposed());
            own.values.pack(alone, unit.slice(values, *segment).transposed());
            own.upright.pack(alone, unit.slice(keys, *segment));
            for gradient in [&mut own.key_gradient, &mut own.value_gradient] {
                gradient.reserve(segment.length * head);
                gradient[..segment.length * head].fill(0.0);
            }
            for tile in unit.tiles(*segment) {
                let (rows, width) = (shape.sharing() * tile.rows, tile.width());
                let place = |index: usize| {
                    let (shared, offset) = (index / tile.rows, index % tile.rows);
                    (tile.first + offset, unit.head(shared), tile.seen(offset))
                };
                unit.gather(folded, queries, tile);
                unit.gather(folded_upstream, upstream, tile);
                unit.scores(scores, folded, tile, before.as_deref().map(|side| &side.keys), &own.keys);
                unit.scores(gradients, folded_upstream, tile, before.as_deref().map(|side| &side.values), &own.values);
                for (index, row) in scores.chunks_exact_mut(width).enumerate().take(rows) {
                    let (at, head, seen) = place(index);
                    let place = at * shape.heads + head;
                    // SAFETY: the row holds `seen` floats.
                    unsafe {
                        let scores = row.as_mut_ptr();
                        math::probabilities(set, scores, seen, shape.scale(), largest[place], inverse[place]);
                    }
                    row[seen..].fill(0.0);
                }
                packed_upstream.pack(alone, Matrix::new(&folded_upstream[..rows * head], rows, head));
                unit.spread(
                    before.as_deref_mut().map(|side| &mut side.value_gradient),
                    &mut own.value_gradient,
                    scores,
                    tile,
                    packed_upstream,
                );
                for (index, row) in gradients.chunks_exact_mut(width).enumerate().take(rows) {
                    let (at, query_head, seen) = place(index);
                    let begin = at * shape.query() + query_head * head;
                    // SAFETY: the rows hold `head` and `seen` floats.
                    unsafe {
                        let delta = math::dot(
                            set,
                            upstream[begin..begin + head].as_ptr(),
                            output[begin..begin + head].as_ptr(),
                            head,
                        );
                        let probabilities = scores[index * width..].as_ptr();
                        math::soft_max_backward(set, row.as_mut_ptr(), probabilities, seen, delta, shape.scale());
                    }
                    row[seen..].fill(0.0);
                }
                packed_queries.pack(alone, Matrix::new(&folded[..rows * head], rows, head));
                unit.spread(
                    before.as_deref_mut().map(|side| &mut side.key_gradient),
                    &mut own.key_gradient,
                    gradients,
                    tile,
                    packed_queries,
                );
                unit.combine(tile_output, gradients, tile, before.as_deref().map(|side| &side.upright), &own.upright);
                for (index, from) in tile_output.chunks_exact(head).enumerate().take(rows) {
                    let (at, query_head, _) = place(index);
                    // SAFETY: each row and head belongs to one unit.
                    unsafe { query_gradient.slice(at * shape.query() + query_head * head, head) }.copy_from_slice(from);
                }
            }
            if index > 0 {
                unit.write(*segment, own, &key_gradient, &value_gradient);
            }
        }
        unit.write(group.prompt, prompt, &key_gradient, &value_gradient);
    });
}
