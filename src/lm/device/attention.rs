//! Causal attention of groups of sequences that share prompts: of a prompt's rows to themselves, then of its completions,
//! padded to the longest, to the prompt and to themselves.
//!
//! The query heads of a key head are rows of one product. Scores are computed again in the backward pass, group by group.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;

use crate::lm::layout::{GroupRows, Layout};
use crate::lm::native::Plan;

use super::stack::index;

/// How the groups of a layout attend.
pub(super) struct Attention {
    groups: Vec<Cut>,
    kv_heads: usize,
    heads: usize,
    head: usize,
    scale: f64,
}

/// The rows of a group.
struct Cut {
    /// First row of the prompt, and its rows.
    first: usize,
    prompt: usize,
    /// `(prompt, prompt)`: 0 where a row may look, −∞ where it may not.
    mask: Tensor,
    completions: Option<Padded>,
}

/// Completions that have rows, padded to the longest of them.
struct Padded {
    count: usize,
    longest: usize,
    /// The row in the layout of each place, `(count · longest,)`: padding takes the group's first.
    rows: Tensor,
    /// The places that are no padding, in the order of the rows.
    places: Tensor,
    /// 1 for those places, 0 for padding: `(count · longest, 1, 1)`.
    real: Tensor,
    /// `(longest, prompt + longest)`.
    mask: Tensor,
}

/// Queries, keys and values, or their gradients: `(rows, heads, head)` each.
pub(super) type Three = [Tensor; 3];

impl Attention {
    pub(super) fn new(plan: &Plan, layout: &Layout, device: &Device) -> Result<Self> {
        let shape = &plan.shape;
        Ok(Self {
            groups: layout.groups.iter().map(|group| Cut::new(group, device)).collect::<Result<_>>()?,
            kv_heads: shape.kv_heads,
            heads: shape.heads,
            head: shape.head,
            scale: f64::from(shape.scale()),
        })
    }

    /// Mixes values: `(rows, heads · head)`.
    pub(super) fn forward(&self, three: &Three) -> Result<Tensor> {
        let mut parts = Vec::new();
        for cut in &self.groups {
            let [queries, keys, values] = self.of_prompt(cut, three)?;
            let weights = self.weights(&queries, &keys, &cut.mask)?;
            parts.push(self.prompt_rows(cut, &weights.matmul(&values)?, self.heads)?);
            if let Some(padded) = &cut.completions {
                let [queries, keys, values] = self.of_completions(cut, padded, three)?;
                let weights = self.weights(&queries, &keys, &padded.mask)?;
                parts.push(self.completion_rows(padded, &weights.matmul(&values)?, self.heads)?);
            }
        }
        Tensor::cat(&parts, 0)?.flatten_from(1)
    }

    /// Returns the gradients of queries, keys and values, given that of [`Attention::forward`]'s output.
    pub(super) fn backward(&self, three: &Three, upstream: &Tensor) -> Result<Three> {
        let upstream = upstream.reshape(((), self.heads, self.head))?;
        let mut parts: [Vec<Tensor>; 3] = Default::default();
        for cut in &self.groups {
            let [queries, keys, values] = self.of_prompt(cut, three)?;
            let slope = self.prompt_batch(cut, &upstream, self.heads)?;
            let mut of_prompt = self.slopes([&queries, &keys, &values], &cut.mask, &slope)?;
            let mut of_completions = None;
            if let Some(padded) = &cut.completions {
                let [queries, keys, values] = self.of_completions(cut, padded, three)?;
                let slope = self.completion_batch(padded, &upstream, self.heads, true)?;
                let [queries, keys, values] = self.slopes([&queries, &keys, &values], &padded.mask, &slope)?;
                let mut own = vec![self.completion_rows(padded, &queries, self.heads)?];
                for (gradient, total) in [keys, values].into_iter().zip(&mut of_prompt[1..]) {
                    let gradient =
                        gradient.reshape((padded.count, self.kv_heads, cut.prompt + padded.longest, self.head))?;
                    *total = (&*total + gradient.narrow(2, 0, cut.prompt)?.sum(0)?)?;
                    let rest = gradient.narrow(2, cut.prompt, padded.longest)?.contiguous()?;
                    own.push(self.completion_rows(padded, &rest, self.kv_heads)?);
                }
                of_completions = Some(own);
            }
            let [queries, keys, values] = of_prompt;
            parts[0].push(self.prompt_rows(cut, &queries, self.heads)?);
            parts[1].push(self.prompt_rows(cut, &keys, self.kv_heads)?);
            parts[2].push(self.prompt_rows(cut, &values, self.kv_heads)?);
            for (parts, own) in parts.iter_mut().zip(of_completions.into_iter().flatten()) {
                parts.push(own);
            }
        }
        let [queries, keys, values] = parts;
        Ok([Tensor::cat(&queries, 0)?, Tensor::cat(&keys, 0)?, Tensor::cat(&values, 0)?])
    }

    /// Queries `(kv, sharing · prompt, head)`, keys and values `(kv, prompt, head)`.
    fn of_prompt(&self, cut: &Cut, [queries, keys, values]: &Three) -> Result<Three> {
        let [keys, values] = [keys, values].map(|tensor| self.prompt_batch(cut, tensor, self.kv_heads));
        Ok([self.prompt_batch(cut, queries, self.heads)?, keys?, values?])
    }

    /// Queries `(count · kv, sharing · longest, head)`, keys and values `(count · kv, prompt + longest, head)`.
    fn of_completions(&self, cut: &Cut, padded: &Padded, [queries, keys, values]: &Three) -> Result<Three> {
        let joined = |tensor: &Tensor| -> Result<Tensor> {
            let prompt = self.prompt_batch(cut, tensor, self.kv_heads)?.unsqueeze(0)?;
            let prompt = prompt.broadcast_as((padded.count, self.kv_heads, cut.prompt, self.head))?;
            let own = self.completion_batch(padded, tensor, self.kv_heads, false)?;
            let own = own.reshape((padded.count, self.kv_heads, padded.longest, self.head))?;
            Tensor::cat(&[&prompt.contiguous()?, &own], 2)?.flatten_to(1)
        };
        Ok([self.completion_batch(padded, queries, self.heads, false)?, joined(keys)?, joined(values)?])
    }

    /// The rows of a prompt, `(rows, heads, head)`, as `(kv, heads / kv · prompt, head)`.
    fn prompt_batch(&self, cut: &Cut, tensor: &Tensor, heads: usize) -> Result<Tensor> {
        let rows = tensor.narrow(0, cut.first, cut.prompt)?.transpose(0, 1)?.contiguous()?;
        rows.reshape((self.kv_heads, heads / self.kv_heads * cut.prompt, self.head))
    }

    /// The way back: `(prompt, heads, head)`.
    fn prompt_rows(&self, cut: &Cut, tensor: &Tensor, heads: usize) -> Result<Tensor> {
        tensor.reshape((heads, cut.prompt, self.head))?.transpose(0, 1)?.contiguous()
    }

    /// The rows of completions as `(count · kv, heads / kv · longest, head)`; padding is 0 if it has to be.
    fn completion_batch(&self, padded: &Padded, tensor: &Tensor, heads: usize, blank: bool) -> Result<Tensor> {
        let Padded { count, longest, .. } = *padded;
        let mut rows = tensor.index_select(&padded.rows, 0)?;
        if blank {
            rows = rows.broadcast_mul(&padded.real)?;
        }
        let rows = rows.reshape((count, longest, heads, self.head))?.transpose(1, 2)?.contiguous()?;
        rows.reshape((count * self.kv_heads, heads / self.kv_heads * longest, self.head))
    }

    /// The way back, without the padding: `(rows, heads, head)`.
    fn completion_rows(&self, padded: &Padded, tensor: &Tensor, heads: usize) -> Result<Tensor> {
        let Padded { count, longest, .. } = *padded;
        let rows = tensor.reshape((count, heads, longest, self.head))?.transpose(1, 2)?.contiguous()?;
        rows.reshape((count * longest, heads, self.head))?.index_select(&padded.places, 0)
    }

    /// What each row of queries takes of each key: `(batch, rows, keys)`, given a mask `(length, keys)` with rows a
    /// multiple of its length.
    fn weights(&self, queries: &Tensor, keys: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let scores = (queries.matmul(&keys.t()?)? * self.scale)?;
        let (length, width) = mask.dims2()?;
        let masked = scores.reshape(((), length, width))?.broadcast_add(mask)?;
        softmax_last_dim(&masked)?.reshape(scores.shape())
    }

    /// The gradients of queries, keys and values of one batch.
    fn slopes(&self, [queries, keys, values]: [&Tensor; 3], mask: &Tensor, upstream: &Tensor) -> Result<Three> {
        let weights = self.weights(queries, keys, mask)?;
        let of_values = weights.t()?.matmul(upstream)?;
        let of_weights = upstream.matmul(&values.t()?)?;
        let mean = (&of_weights * &weights)?.sum_keepdim(D::Minus1)?;
        let of_scores = ((of_weights.broadcast_sub(&mean)? * weights)? * self.scale)?;
        Ok([of_scores.matmul(keys)?, of_scores.t()?.matmul(queries)?, of_values])
    }
}

impl Cut {
    fn new(group: &GroupRows, device: &Device) -> Result<Self> {
        let (first, prompt) = (group.prompt.first, group.prompt.length);
        let with_rows: Vec<_> = group.completions.iter().filter(|segment| segment.length > 0).collect();
        let longest = with_rows.iter().map(|segment| segment.length).max().unwrap_or(0);
        let completions = if with_rows.is_empty() {
            None
        } else {
            let (mut rows, mut places, mut real) = (Vec::new(), Vec::new(), Vec::new());
            for segment in &with_rows {
                for token in 0..longest {
                    let is_real = token < segment.length;
                    if is_real {
                        places.push(rows.len());
                    }
                    rows.push(if is_real { segment.first + token } else { first });
                    real.push(if is_real { 1.0f32 } else { 0.0 });
                }
            }
            Some(Padded {
                count: with_rows.len(),
                longest,
                real: Tensor::from_vec(real, (rows.len(), 1, 1), device)?,
                rows: index(&rows, device)?,
                places: index(&places, device)?,
                mask: mask(prompt, longest, device)?,
            })
        };
        Ok(Self { first, prompt, mask: mask(0, prompt, device)?, completions })
    }
}

/// Rows that may look at `before` positions and, causally, at themselves: `(length, before + length)`.
fn mask(before: usize, length: usize, device: &Device) -> Result<Tensor> {
    let width = before + length;
    let row = |row: usize| (0..width).map(move |key| if key > before + row { f32::NEG_INFINITY } else { 0.0 });
    Tensor::from_vec((0..length).flat_map(row).collect(), (length, width), device)
}
