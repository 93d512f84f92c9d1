//! Keys and values of past positions, kept in the panels that products read.

use crate::lm::native::buffer::Buffer;
use crate::lm::native::matmul::{PANEL, Panels};
use crate::lm::native::shape::Shape;

/// The keys and values of one sequence (or shared prompt) in one layer.
#[derive(Default)]
pub(super) struct Cache {
    /// `[kv head][position / 32][dimension][32]`: a right-hand side `(head, positions)` for each head.
    keys: Buffer,
    /// `[kv head][dimension / 32][position][32]`: a right-hand side `(positions, head)` for each head.
    values: Buffer,
    length: usize,
    /// A multiple of 32.
    capacity: usize,
}

impl Cache {
    /// Positions.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Adds the positions of some rows: `(rows, kv heads · head)` each.
    pub(super) fn append(&mut self, shape: &Shape, keys: &[f32], values: &[f32]) {
        let rows = keys.len() / shape.key();
        self.grow(shape, self.length + rows);
        let head = shape.head;
        let (key_head, value_head) = (self.key_head(shape), self.value_head(shape));
        for (row, (keys, values)) in keys.chunks_exact(shape.key()).zip(values.chunks_exact(shape.key())).enumerate() {
            let position = self.length + row;
            for (kv, (keys, values)) in keys.chunks_exact(head).zip(values.chunks_exact(head)).enumerate() {
                let begin = kv * key_head + position / PANEL * head * PANEL + position % PANEL;
                for (slot, key) in self.keys[begin..].iter_mut().step_by(PANEL).zip(keys) {
                    *slot = *key;
                }
                for (panel, values) in values.chunks(PANEL).enumerate() {
                    let begin = kv * value_head + (panel * self.capacity + position) * PANEL;
                    self.values[begin..begin + values.len()].copy_from_slice(values);
                }
            }
        }
        self.length += rows;
    }

    /// The keys of one head: `(head, positions)`.
    pub(super) fn keys(&self, shape: &Shape, kv: usize) -> Panels<'_> {
        let size = self.key_head(shape);
        Panels::new(&self.keys[kv * size..(kv + 1) * size], shape.head, self.length, shape.head * PANEL)
    }

    /// The values of one head: `(positions, head)`.
    pub(super) fn values(&self, shape: &Shape, kv: usize) -> Panels<'_> {
        let size = self.value_head(shape);
        Panels::new(&self.values[kv * size..(kv + 1) * size], self.length, shape.head, self.capacity * PANEL)
    }

    fn key_head(&self, shape: &Shape) -> usize {
        self.capacity * shape.head
    }

    fn value_head(&self, shape: &Shape) -> usize {
        self.capacity * shape.head.next_multiple_of(PANEL)
    }

    /// Doubles the capacity until it holds `length` positions.
    fn grow(&mut self, shape: &Shape, length: usize) {
        if length <= self.capacity {
            return;
        }
        let old = (self.capacity, self.key_head(shape), self.value_head(shape));
        self.capacity = length.max(2 * self.capacity).next_multiple_of(PANEL);
        let fresh = [self.key_head(shape), self.value_head(shape)].map(|size| Buffer::zeros(shape.kv_heads * size));
        let [keys, values] = fresh;
        let keys = std::mem::replace(&mut self.keys, keys);
        let values = std::mem::replace(&mut self.values, values);
        let (old_capacity, old_keys, old_values) = old;
        for kv in 0..shape.kv_heads {
            let to = kv * self.key_head(shape);
            self.keys[to..to + old_keys].copy_from_slice(&keys[kv * old_keys..(kv + 1) * old_keys]);
            for panel in 0..shape.head.div_ceil(PANEL) {
                let to = kv * self.value_head(shape) + panel * self.capacity * PANEL;
                let from = kv * old_values + panel * old_capacity * PANEL;
                let size = self.length * PANEL;
                self.values[to..to + size].copy_from_slice(&values[from..from + size]);
            }
        }
    }
}
