//! One layer, forward and backward.

use candle_core::{Result, Tensor};

use crate::lm::native::LayerSlots;

use super::angles::Turn;
use super::arithmetic::{gated, gated_backward, norm, norm_backward, rotate, rotate_backward};
use super::attention::{Attention, Three};
use super::stack::{Gradients, Stack};

/// What the backward pass needs of a layer's forward pass; rows first, everywhere.
pub(super) struct Saved {
    /// `(rows, hidden)`.
    input: Tensor,
    /// Queries and keys before their norm, where heads are normalised.
    plain: Option<[Tensor; 2]>,
    /// Rotated queries and keys, and values.
    pub(super) three: Three,
    /// What attention gave: `(rows, heads · head)`.
    attended: Tensor,
    /// The stream after attention: `(rows, hidden)`.
    middle: Tensor,
    /// `(rows, inner)`.
    gate: Tensor,
    /// `(rows, inner)`.
    up: Tensor,
}

impl Saved {
    /// Keeps some rows.
    pub(super) fn retain(&self, rows: &Tensor) -> Result<Self> {
        let pick = |tensor: &Tensor| tensor.index_select(rows, 0);
        let [queries, keys, values] = &self.three;
        Ok(Self {
            input: pick(&self.input)?,
            plain: match &self.plain {
                Some([queries, keys]) => Some([pick(queries)?, pick(keys)?]),
                None => None,
            },
            three: [pick(queries)?, pick(keys)?, pick(values)?],
            attended: pick(&self.attended)?,
            middle: pick(&self.middle)?,
            gate: pick(&self.gate)?,
            up: pick(&self.up)?,
        })
    }
}

/// A layer of a model on a device.
pub(super) struct Layer<'a> {
    pub(super) stack: &'a Stack,
    pub(super) slots: &'a LayerSlots,
    pub(super) turn: &'a Turn,
}

impl Layer<'_> {
    fn weight(&self, slot: usize) -> &Tensor {
        &self.stack.weights[slot]
    }

    /// Turns the stream `(rows, hidden)` into that after the layer. `attend` mixes rotated queries, keys and values into
    /// `(rows, heads · head)`.
    pub(super) fn forward(
        &self,
        input: Tensor,
        attend: impl FnOnce(&Three) -> Result<Tensor>,
    ) -> Result<(Saved, Tensor)> {
        let (stack, slots, shape) = (self.stack, self.slots, &self.stack.plan.shape);
        let normed = norm(&input, self.weight(slots.attention_norm), shape.epsilon)?;
        let project = |which: usize, slot: usize, heads: usize| -> Result<Tensor> {
            let mut rows = stack.linear(slot, &normed)?;
            if let Some(biases) = slots.biases {
                rows = rows.broadcast_add(self.weight(biases[which]))?;
            }
            rows.reshape(((), heads, shape.head))
        };
        let mut queries = project(0, slots.query, shape.heads)?;
        let mut keys = project(1, slots.key, shape.kv_heads)?;
        let values = project(2, slots.value, shape.kv_heads)?;
        let mut plain = None;
        if let Some([query, key]) = slots.head_norms {
            let normed =
                [norm(&queries, self.weight(query), shape.epsilon)?, norm(&keys, self.weight(key), shape.epsilon)?];
            plain = Some([queries, keys]);
            [queries, keys] = normed;
        }
        let three = [rotate(&queries, self.turn)?, rotate(&keys, self.turn)?, values];
        let attended = attend(&three)?;
        let middle = (&input + stack.linear(slots.output, &attended)?)?;
        let normed = norm(&middle, self.weight(slots.mlp_norm), shape.epsilon)?;
        let (gate, up) = (stack.linear(slots.gate, &normed)?, stack.linear(slots.up, &normed)?);
        let output = (&middle + stack.linear(slots.down, &gated(&gate, &up)?)?)?;
        Ok((Saved { input, plain, three, attended, middle, gate, up }, output))
    }

    /// Turns the gradient of the layer's output into that of its input, and adds to those of its parameters.
    pub(super) fn backward(
        &self,
        saved: &Saved,
        attention: &Attention,
        upstream: &Tensor,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let (stack, slots, shape) = (self.stack, self.slots, &self.stack.plan.shape);
        // The MLP.
        stack.learn(gradients, slots.down, upstream, &gated(&saved.gate, &saved.up)?)?;
        let (of_gate, of_up) = gated_backward(&stack.pull(slots.down, upstream)?, &saved.gate, &saved.up)?;
        let normed = norm(&saved.middle, self.weight(slots.mlp_norm), shape.epsilon)?;
        stack.learn(gradients, slots.gate, &of_gate, &normed)?;
        stack.learn(gradients, slots.up, &of_up, &normed)?;
        let of_normed = (stack.pull(slots.gate, &of_gate)? + stack.pull(slots.up, &of_up)?)?;
        let of_middle = (upstream + self.through_norm(slots.mlp_norm, &of_normed, &saved.middle, gradients)?)?;
        // Attention.
        stack.learn(gradients, slots.output, &of_middle, &saved.attended)?;
        let [mut queries, mut keys, values] =
            attention.backward(&saved.three, &stack.pull(slots.output, &of_middle)?)?;
        queries = rotate_backward(&queries, self.turn)?;
        keys = rotate_backward(&keys, self.turn)?;
        if let (Some([query, key]), Some(plain)) = (slots.head_norms, &saved.plain) {
            queries = self.through_norm(query, &queries, &plain[0], gradients)?;
            keys = self.through_norm(key, &keys, &plain[1], gradients)?;
        }
        let normed = norm(&saved.input, self.weight(slots.attention_norm), shape.epsilon)?;
        let mut through = |which: usize, slot: usize, gradient: Tensor| -> Result<Tensor> {
            let gradient = gradient.flatten_from(1)?;
            if let Some(biases) = slots.biases {
                stack.learn_whole(gradients, biases[which], || gradient.sum(0))?;
            }
            stack.learn(gradients, slot, &gradient, &normed)?;
            stack.pull(slot, &gradient)
        };
        let of_queries = through(0, slots.query, queries)?;
        let of_keys = through(1, slots.key, keys)?;
        let of_normed = ((of_queries + of_keys)? + through(2, slots.value, values)?)?;
        of_middle + self.through_norm(slots.attention_norm, &of_normed, &saved.input, gradients)?
    }

    /// Turns the gradient of a norm's output into that of its input, and adds to that of its weight.
    fn through_norm(
        &self,
        slot: usize,
        upstream: &Tensor,
        input: &Tensor,
        gradients: &mut Gradients,
    ) -> Result<Tensor> {
        let (gradient, of_weight) = norm_backward(upstream, input, self.weight(slot), self.stack.plan.shape.epsilon)?;
        self.stack.learn_whole(gradients, slot, || Ok(of_weight))?;
        Ok(gradient)
    }
}
