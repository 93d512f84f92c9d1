//! Gradient accumulation and updates over passes of limited size, on a device.

use std::borrow::Cow;
use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use crate::lm::layout::{Layout, passes};
use crate::lm::native::{Parameters, sharpness};
use crate::lm::targets::{Flat, flatten, scores};
use crate::lm::train::{Accumulated, AdamW, Loss, OptimizerState, PromptGroup, TokenScores};
use crate::lm::{Config, LmError, Numbers, Parameter};

use super::angles::{Angles, Turn};
use super::arithmetic::{norm, norm_backward};
use super::attention::Attention;
use super::head::{Head, LOGITS};
use super::layer::{Layer, Saved};
use super::moments::{Moments, global_norm, numbers};
use super::stack::{Gradients, Stack, index};

/// The state of training on a device.
pub(crate) struct Engine {
    pub(super) stack: Stack,
    limit: usize,
    optimizer: AdamW,
    /// Rows of one pass.
    pub(crate) rows: usize,
    /// Whether weight decay spares embedding, head and norms.
    pub(crate) decay_linear_only: bool,
    /// Whether the backward pass computes each layer again from its input.
    pub(crate) recompute: bool,
    sharpness: f32,
    /// Which trained parameters are linear maps inside the layers.
    linear: Vec<bool>,
    angles: Angles,
    gradients: Gradients,
    moments: Moments,
}

/// A forward pass that can go backward.
struct Pass {
    layout: Layout,
    attention: Attention,
    turn: Turn,
    kept: Vec<Kept>,
    /// The stream after the last layer, at the rows that predict something: `(head rows, hidden)`.
    last: Option<Tensor>,
}

/// What is left of a layer's forward pass.
enum Kept {
    Whole(Saved),
    /// `(rows, hidden)`.
    Input(Tensor),
}

impl Engine {
    pub(crate) fn new(
        config: &Config,
        parameters: Parameters,
        optimizer: AdamW,
        rows: usize,
        device: Device,
    ) -> std::result::Result<Self, LmError> {
        let stack = Stack::new(config, parameters, device)?;
        let outside = |slot: usize| slot == stack.plan.embedding || slot == stack.plan.unembedding;
        let is_linear = |(slot, tensor): (usize, &Tensor)| tensor.rank() == 2 && (stack.is_adapted() || !outside(slot));
        let linear: Vec<bool> = stack.trained().iter().enumerate().map(is_linear).collect();
        let gradients = Gradients(vec![None; linear.len()]);
        Ok(Self {
            stack,
            limit: config.max_position_embeddings,
            optimizer,
            rows,
            decay_linear_only: false,
            recompute: false,
            sharpness: 1.0,
            linear,
            angles: Angles::default(),
            gradients,
            moments: Moments::new(),
        })
    }

    pub(crate) fn set_temperature(&mut self, temperature: f32) {
        self.sharpness = sharpness(temperature);
    }

    fn forward(
        &mut self,
        groups: &[PromptGroup],
        range: &Range<usize>,
        keep: bool,
    ) -> std::result::Result<(Pass, Vec<TokenScores>), LmError> {
        let layout = Layout::new(&groups[range.clone()], range.start, self.stack.plan.shape.vocabulary, self.limit)?;
        let (pass, log_probs, entropies) =
            self.compute(layout, keep).map_err(LmError::tensor("compute log-probabilities on the device"))?;
        let scores = scores(&pass.layout, range, groups, &log_probs, &entropies)?;
        Ok((pass, scores))
    }

    fn compute(&mut self, layout: Layout, keep: bool) -> Result<(Pass, Vec<f32>, Vec<f32>)> {
        let (stack, plan) = (&self.stack, &self.stack.plan);
        let turn = self.angles.of(&plan.frequencies, &layout.positions, &stack.device)?;
        let attention = Attention::new(plan, &layout, &stack.device)?;
        let mut stream = stack.embed(&layout.tokens)?;
        let mut kept = Vec::new();
        for slots in &plan.layers {
            let input = stream.clone();
            let layer = Layer { stack, slots, turn: &turn };
            let (saved, output) = layer.forward(stream, |three| attention.forward(three))?;
            stream = output;
            if keep {
                kept.push(if self.recompute { Kept::Input(input) } else { Kept::Whole(saved) });
            }
        }
        if layout.head_rows.is_empty() {
            return Ok((Pass { layout, attention, turn, kept, last: None }, Vec::new(), Vec::new()));
        }
        let last = stream.index_select(&index(&layout.head_rows, &stack.device)?, 0)?;
        let (log_probs, entropies) = head(stack, &normed(stack, &last, self.sharpness)?, &layout).forward()?;
        Ok((Pass { layout, attention, turn, kept, last: Some(last) }, log_probs, entropies))
    }

    pub(crate) fn score(&mut self, groups: &[PromptGroup]) -> std::result::Result<Vec<TokenScores>, LmError> {
        let mut scores = Vec::with_capacity(groups.len());
        for range in passes(groups, self.rows) {
            scores.append(&mut self.forward(groups, &range, false)?.1);
        }
        Ok(scores)
    }

    pub(crate) fn accumulate<E: From<LmError>>(
        &mut self,
        groups: &[PromptGroup],
        loss: &mut Loss<'_, E>,
    ) -> std::result::Result<Accumulated, E> {
        let mut done = Accumulated::default();
        for range in passes(groups, self.rows) {
            let (mut pass, scores) = self.forward(groups, &range, true)?;
            done.forward_rows += pass.layout.rows();
            let gradients = loss(range.clone(), &scores)?;
            let mut flat = flatten(&range, &scores, &gradients)?;
            let keep = flat.live(&pass.layout);
            let dead = keep.iter().filter(|keep| !**keep).count();
            done.dead_groups += dead;
            if dead == keep.len() {
                continue;
            }
            let failed = LmError::tensor("compute gradients on the device");
            if dead > 0 {
                flat = flat.retain(&pass.layout, &keep);
                pass = self.retain(&pass, &keep).map_err(&failed)?;
            }
            done.backward_rows += pass.layout.rows();
            self.backward(pass, &flat).map_err(failed)?;
        }
        Ok(done)
    }

    /// Keeps the groups of `keep` only.
    fn retain(&self, pass: &Pass, keep: &[bool]) -> Result<Pass> {
        let device = &self.stack.device;
        let (layout, from) = pass.layout.retain(keep);
        let rows = index(&from.into_iter().flatten().collect::<Vec<_>>(), device)?;
        let groups = pass.layout.groups.iter().zip(keep).filter(|(_, keep)| **keep);
        let head_rows: Vec<usize> = groups.flat_map(|(group, _)| group.head_rows.clone()).collect();
        let kept = pass.kept.iter().map(|kept| {
            Ok(match kept {
                Kept::Whole(saved) => Kept::Whole(saved.retain(&rows)?),
                Kept::Input(input) => Kept::Input(input.index_select(&rows, 0)?),
            })
        });
        Ok(Pass {
            kept: kept.collect::<Result<_>>()?,
            attention: Attention::new(&self.stack.plan, &layout, device)?,
            turn: Turn {
                cosines: pass.turn.cosines.index_select(&rows, 0)?,
                sines: pass.turn.sines.index_select(&rows, 0)?,
            },
            last: match &pass.last {
                Some(last) => Some(last.index_select(&index(&head_rows, device)?, 0)?),
                None => None,
            },
            layout,
        })
    }

    fn backward(&mut self, pass: Pass, flat: &Flat) -> Result<()> {
        let Pass { layout, attention, turn, kept, last } = pass;
        // Without rows that predict something there is nothing to learn.
        let Some(last) = last else { return Ok(()) };
        let Self { stack, gradients, sharpness, .. } = self;
        let plan = &stack.plan;
        let normed = normed(stack, &last, *sharpness)?;
        let learns = !stack.is_adapted();
        let found = head(stack, &normed, &layout).backward(&flat.log_probs, flat.entropies.as_deref(), learns)?;
        if let Some(gradient) = found.weights {
            gradients.add(plan.unembedding, gradient)?;
        }
        let of_normed = (found.hidden * f64::from(*sharpness))?;
        let (of_last, of_weight) = norm_backward(&of_normed, &last, &stack.weights[plan.norm], plan.shape.epsilon)?;
        stack.learn_whole(gradients, plan.norm, || Ok(of_weight))?;
        let rows = index(&layout.head_rows, &stack.device)?;
        let zeros = Tensor::zeros((layout.rows(), plan.shape.hidden), of_last.dtype(), &stack.device)?;
        let mut gradient = zeros.index_add(&rows, &of_last, 0)?;
        for (slots, kept) in plan.layers.iter().zip(kept).rev() {
            let layer = Layer { stack, slots, turn: &turn };
            let saved = match kept {
                Kept::Whole(saved) => saved,
                Kept::Input(input) => layer.forward(input, |three| attention.forward(three))?.0,
            };
            gradient = layer.backward(&saved, &attention, &gradient, gradients)?;
        }
        if learns {
            let before = match gradients.0[plan.embedding].take() {
                Some(before) => before,
                None => stack.weights[plan.embedding].zeros_like()?,
            };
            let tokens = Tensor::from_slice(&layout.tokens, layout.rows(), &stack.device)?;
            gradients.add(plan.embedding, before.index_add(&tokens, &gradient, 0)?)?;
        }
        Ok(())
    }

    /// Updates the trained parameters, on the device and in `trained`.
    pub(crate) fn step(
        &mut self,
        trained: &mut [Parameter],
        lr: f64,
        max_norm: Option<f64>,
    ) -> std::result::Result<f64, LmError> {
        let failed = LmError::tensor("update the parameters on the device");
        let norm = global_norm(self.gradients.0.iter().flatten()).map_err(&failed)?;
        if !norm.is_finite() {
            return Err(LmError::NotFinite { what: "the norm of the gradients".to_owned(), value: norm });
        }
        // As PyTorch's `clip_grad_norm_`.
        let clip = max_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0));
        self.update(trained, lr, clip).map_err(failed)?;
        Ok(norm)
    }

    fn update(&mut self, trained: &mut [Parameter], lr: f64, clip: f64) -> Result<()> {
        let rates = self.moments.begin(self.stack.trained(), self.optimizer, lr, clip)?;
        for (slot, parameter) in trained.iter_mut().enumerate() {
            let spared = self.decay_linear_only && !self.linear[slot];
            let decay = if spared { 0.0 } else { self.optimizer.weight_decay };
            let gradient = self.gradients.0[slot].take();
            let value = self.moments.update(slot, &self.stack.trained()[slot], gradient, &rates, decay)?;
            parameter.data = numbers(&value)?;
            self.stack.replace(slot, value);
        }
        Ok(())
    }

    pub(crate) fn discard(&mut self) {
        self.gradients = Gradients(vec![None; self.linear.len()]);
    }

    /// The accumulated gradient of a trained parameter; empty if it has got none.
    pub(crate) fn gradient(&self, slot: usize) -> std::result::Result<Cow<'_, [f32]>, LmError> {
        let Some(gradient) = &self.gradients.0[slot] else { return Ok(Cow::Borrowed(&[])) };
        let copied = numbers(gradient).map_err(LmError::tensor("copy a gradient from the device"))?;
        Ok(Cow::Owned(copied))
    }

    pub(crate) fn state(&self) -> std::result::Result<&OptimizerState, LmError> {
        self.moments.state()
    }

    /// Updates made so far, and all first moments followed by all second ones.
    pub(crate) fn moments(&self) -> std::result::Result<(u64, impl Iterator<Item = Numbers<'_>>), LmError> {
        let state = self.moments.state()?;
        Ok((state.steps, state.first.iter().chain(&state.second).map(|moments| Numbers::F32(moments))))
    }

    pub(crate) fn restore(
        &mut self,
        trained: &[Parameter],
        state: &OptimizerState,
    ) -> std::result::Result<(), LmError> {
        state.check(trained)?;
        let failed = LmError::tensor("copy the optimiser's moments to the device");
        self.moments.restore(self.stack.trained(), state).map_err(failed)
    }
}

/// The input of the head: the normalised stream, at the trainer's temperature.
pub(super) fn normed(stack: &Stack, last: &Tensor, sharpness: f32) -> Result<Tensor> {
    let plan = &stack.plan;
    norm(last, &stack.weights[plan.norm], plan.shape.epsilon)? * f64::from(sharpness)
}

fn head<'a>(stack: &'a Stack, hidden: &'a Tensor, layout: &'a Layout) -> Head<'a> {
    let weights = &stack.weights[stack.plan.unembedding];
    Head { device: &stack.device, weights, hidden, targets: &layout.targets, logits: LOGITS }
}
