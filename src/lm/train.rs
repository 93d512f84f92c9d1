//! Training: log-probabilities of completions, gradients through them, AdamW.
//!
//! A model with an adapter ([`LanguageModel::adapt`]) trains that alone: its weights stay as they are, bit for bit, and no
//! gradient or moment of theirs is computed or kept.
//!
//! What the loss is, is the caller's business: it gets the log-probabilities and entropies of a few groups and gives back
//! the derivatives of its loss. A group's prompt is computed once, however many completions follow it. With the native engine
//! nothing depends on the number of threads: same groups, same bits. On a device ([`Trainer::on`]) results are the same up
//! to rounding.

use std::borrow::Cow;
use std::ops::Range;

use crate::base::Seed;
pub use crate::lm::adamw::{AdamW, OptimizerState};
use crate::lm::native::row_bytes;
use crate::lm::sample::{Generation, PromptRequest, Sampling};
use crate::lm::{Dtype, LanguageModel, LmError, Numbers, Place, device, native};

/// A prompt and the completions that were drawn for it, as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptGroup {
    /// The prompt; at least one token.
    pub prompt: Vec<u32>,
    /// The completions; a completion's tokens include the end-of-turn token if it has one.
    pub completions: Vec<Vec<u32>>,
}

/// What the model thinks of a group's completions: `[completion][token]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenScores {
    /// Log-probability of each token, in nats, at the trainer's temperature.
    pub log_probs: Vec<Vec<f32>>,
    /// Entropy of the distribution that each token was drawn from, in nats.
    pub entropies: Vec<Vec<f32>>,
}

/// The derivatives of a loss by a group's scores: `[completion][token]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenGradients {
    /// d loss / d log-probability.
    pub log_probs: Vec<Vec<f32>>,
    /// d loss / d entropy; empty if the loss has no entropy term.
    pub entropies: Vec<Vec<f32>>,
}

impl From<Vec<Vec<f32>>> for TokenGradients {
    /// Gradients of a loss without an entropy term.
    fn from(log_probs: Vec<Vec<f32>>) -> Self {
        Self { log_probs, entropies: Vec::new() }
    }
}

/// A loss: given the numbers of some groups and their scores, the derivatives by them.
pub type Loss<'a, E> = dyn FnMut(Range<usize>, &[TokenScores]) -> Result<Vec<TokenGradients>, E> + 'a;

/// What one accumulation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accumulated {
    /// Rows (tokens after sharing prompts) that went forward.
    pub forward_rows: usize,
    /// Rows that went backward.
    pub backward_rows: usize,
    /// Groups whose gradients were all zero: their backward pass was left out.
    pub dead_groups: usize,
}

/// What one update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
}

/// What training keeps in memory, in bytes: weights, gradients and moments whatever happens, and activations for each row of
/// a pass. Small buffers, a few tens of megabytes, are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// All weights, and an adapter's.
    pub weights: u64,
    /// What is trained: all of that, or the adapter.
    pub trained: u64,
    /// AdamW's moments.
    pub moments: u64,
    /// Activations, for each row of a pass.
    pub row: u64,
}

impl Footprint {
    /// Returns the footprint of training `model`, whose activations are kept or computed again.
    ///
    /// With hidden size `h`, widths `q` of all query heads and `k` of all key heads, inner size `m` and `L` layers, a row
    /// takes `4 L (2 h + 2 q + 2 k + 2 m)` bytes and some for the layer and the head at work (`recompute`: `4 L h` and
    /// one layer's).
    pub fn new(model: &LanguageModel, recompute: bool) -> Self {
        let trained: usize = model.trained().iter().map(|parameter| parameter.data.len()).sum();
        let frozen = if model.adapter.is_some() { model.weights.count() } else { 0 };
        let bytes = |floats: usize| 4 * floats as u64;
        let row = row_bytes(&model.config, recompute);
        Self { weights: bytes(frozen + trained), trained: bytes(trained), moments: 2 * bytes(trained), row }
    }

    /// Returns the same with moments of the given type: see [`Trainer::moment_type`].
    #[must_use]
    pub fn moment_type(self, dtype: Dtype) -> Self {
        Self { moments: self.trained / 4 * 2 * dtype.bytes() as u64, ..self }
    }

    /// Returns what a trainer takes: weights, gradients, two moments, and
    /// passes of `rows` rows.
    pub fn bytes(&self, rows: usize) -> u64 {
        self.weights + self.trained + self.moments + self.row * rows as u64
    }
}

/// A model in training.
pub struct Trainer {
    model: LanguageModel,
    engine: Engine,
}

/// Who computes.
enum Engine {
    Native(Box<native::Engine>),
    Device(Box<device::Engine>),
}

impl Trainer {
    /// Rows of one pass unless set by [`Trainer::rows_per_pass`]: about 1.5 GB of activations for a model of 135 M parameters.
    pub const DEFAULT_ROWS: usize = 2048;

    /// Begins training of `model`.
    ///
    /// # Errors
    /// [`LmError::Config`] or [`LmError::Layout`] if the model's parts do not fit.
    pub fn new(model: LanguageModel, optimizer: AdamW) -> Result<Self, LmError> {
        let engine = native::Engine::new(&model.config, (&model).into(), optimizer, Self::DEFAULT_ROWS)?;
        Ok(Self { model, engine: Engine::Native(Box::new(engine)) })
    }

    /// Begins training of `model` on another place, which it is copied to.
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`LmError::Device`], [`LmError::Tensor`].
    pub fn on(place: Place, model: LanguageModel, optimizer: AdamW) -> Result<Self, LmError> {
        let Some(device) = place.open()? else { return Self::new(model, optimizer) };
        let engine = device::Engine::new(&model.config, (&model).into(), optimizer, Self::DEFAULT_ROWS, device)?;
        Ok(Self { model, engine: Engine::Device(Box::new(engine)) })
    }

    /// Sets how many rows (tokens, a shared prompt counted once) one forward and backward pass may hold. A larger group
    /// goes alone. Fewer rows need less memory; gradients are the same up to rounding.
    #[must_use]
    pub fn rows_per_pass(mut self, rows: usize) -> Self {
        match &mut self.engine {
            Engine::Native(engine) => engine.rows = rows.max(1),
            Engine::Device(engine) => engine.rows = rows.max(1),
        }
        self
    }

    /// Chooses whether the backward pass computes each layer again from its input instead of keeping what the forward pass
    /// computed: about a third more work, and activations of one layer instead of all. Not a bit of the result changes.
    ///
    /// **Source:** Chen et al. 2016 (arXiv 1604.06174), with one segment a layer.
    #[must_use]
    pub fn recompute(mut self, recompute: bool) -> Self {
        match &mut self.engine {
            Engine::Native(engine) => engine.set_recompute(recompute),
            Engine::Device(engine) => engine.recompute = recompute,
        }
        self
    }

    /// Chooses the type that AdamW's two moments are kept in, before the first update: f32 unless set. In bf16 they take 4
    /// bytes less a trained parameter; they are rounded at random with the right mean, so that training goes on as with f32
    /// but for noise of less than a hundredth. The update itself is computed in f32. Bits are a function of the training
    /// alone here, too. A device keeps f32, whatever is chosen.
    ///
    /// **Source:** stochastic rounding, Gupta et al. 2015 (arXiv 1502.02551); that rounding to the nearest would stop the
    /// second moment is said in `native::moments`.
    #[must_use]
    pub fn moment_type(mut self, dtype: Dtype) -> Self {
        match &mut self.engine {
            Engine::Native(engine) => engine.set_moments(dtype),
            Engine::Device(_) => {}
        }
        self
    }

    /// Chooses whether weight decay spares the embedding, the output head and the norms. By default it does not, as in
    /// `torch.optim.AdamW` with one parameter group.
    #[must_use]
    pub fn decay_linear_only(mut self, linear_only: bool) -> Self {
        match &mut self.engine {
            Engine::Native(engine) => engine.decay_linear_only = linear_only,
            Engine::Device(engine) => engine.decay_linear_only = linear_only,
        }
        self
    }

    /// Sets the temperature that logits are divided by, 1 unless set: that of the sampler, so that it is the policy that drew
    /// the completions whose log-probabilities are taken. At 0 it is 1.
    ///
    /// **Source:** TRL's `GRPOTrainer._get_per_token_logps_and_entropies`.
    #[must_use]
    pub fn at_temperature(mut self, temperature: f32) -> Self {
        match &mut self.engine {
            Engine::Native(engine) => engine.set_temperature(temperature),
            Engine::Device(engine) => engine.set_temperature(temperature),
        }
        self
    }

    /// The model as it is now.
    pub fn model(&self) -> &LanguageModel {
        &self.model
    }

    /// Prepares to complete every request `count` times with the model as it is now, where it is trained.
    ///
    /// # Errors
    /// As [`Generation::new`].
    pub fn generation<'a>(
        &'a self,
        requests: &'a [PromptRequest],
        sampling: &'a Sampling,
        seed: Seed,
        batch_size: usize,
    ) -> Result<Generation<'a>, LmError> {
        match &self.engine {
            Engine::Native(_) => Generation::new(&self.model, requests, sampling, seed, batch_size),
            Engine::Device(engine) => Generation::sharing(engine, &self.model, requests, sampling, seed, batch_size),
        }
    }

    /// Gives the memory of activations back until the next pass: for others that work in between, as a sampler does. A
    /// device has none between passes.
    pub fn release_activations(&mut self) {
        match &mut self.engine {
            Engine::Native(engine) => engine.release(),
            Engine::Device(_) => {}
        }
    }

    /// Ends training.
    pub fn into_model(self) -> LanguageModel {
        self.model
    }

    /// Returns the scores of each group's completions.
    ///
    /// # Errors
    /// [`LmError::Request`] for an empty prompt, [`LmError::TokenOutOfRange`], [`LmError::TooLong`],
    /// [`LmError::NotFinite`].
    pub fn score(&mut self, groups: &[PromptGroup]) -> Result<Vec<TokenScores>, LmError> {
        match &mut self.engine {
            Engine::Native(engine) => engine.score((&self.model).into(), groups),
            Engine::Device(engine) => engine.score(groups),
        }
    }

    /// Adds the gradients of a loss to those accumulated since the last [`Trainer::step`].
    ///
    /// The groups are taken in passes of consecutive groups. For each pass `loss` gets the numbers of its groups and their
    /// scores, and returns the derivatives of the loss by them, in the same shapes. Groups whose derivatives are all zero
    /// are left out of the backward pass; a caller that knows them beforehand saves their forward pass by not giving them.
    ///
    /// # Errors
    /// As [`Trainer::score`], as `loss`, [`LmError::Request`] for derivatives of another shape, [`LmError::NotFinite`] for
    /// a derivative.
    pub fn accumulate<E: From<LmError>>(
        &mut self,
        groups: &[PromptGroup],
        loss: &mut Loss<'_, E>,
    ) -> Result<Accumulated, E> {
        match &mut self.engine {
            Engine::Native(engine) => engine.accumulate((&self.model).into(), groups, loss),
            Engine::Device(engine) => engine.accumulate(groups, loss),
        }
    }

    /// Clips the accumulated gradients to the global norm `max_norm` (if there is one), updates the trained parameters with
    /// learning rate `lr`, and forgets the gradients. On a device, the parameters come back to the host, too.
    ///
    /// # Errors
    /// [`LmError::NotFinite`] if the norm is; the parameters are then unchanged. [`LmError::Tensor`].
    pub fn step(&mut self, lr: f64, max_norm: Option<f64>) -> Result<StepReport, LmError> {
        let grad_norm = match &mut self.engine {
            Engine::Native(engine) => engine.step(self.model.trained_mut(), lr, max_norm),
            Engine::Device(engine) => engine.step(self.model.trained_mut(), lr, max_norm),
        }?;
        Ok(StepReport { grad_norm })
    }

    /// Forgets the accumulated gradients.
    pub fn discard(&mut self) {
        match &mut self.engine {
            Engine::Native(engine) => engine.discard(),
            Engine::Device(engine) => engine.discard(),
        }
    }

    /// Returns the accumulated gradient of the trained parameter called `name`, row-major like the parameter; `None` for one
    /// that is not trained.
    ///
    /// # Errors
    /// [`LmError::Tensor`] if a device does not give it.
    pub fn gradient(&self, name: &str) -> Result<Option<Cow<'_, [f32]>>, LmError> {
        let Some(slot) = self.model.trained().iter().position(|parameter| parameter.name == name) else {
            return Ok(None);
        };
        match &self.engine {
            Engine::Native(engine) => Ok(Some(Cow::Borrowed(engine.gradient(slot)))),
            Engine::Device(engine) => engine.gradient(slot).map(Some),
        }
    }

    /// Returns the optimiser's state, to go on later.
    ///
    /// # Errors
    /// [`LmError::Tensor`] if a device does not give it.
    pub fn state(&self) -> Result<OptimizerState, LmError> {
        match &self.engine {
            Engine::Native(engine) => Ok(engine.state()),
            Engine::Device(engine) => engine.state().cloned(),
        }
    }

    /// Returns the updates made so far, and the moments of [`Trainer::state`] where they lie: all first ones, then all second
    /// ones, none before the first update.
    ///
    /// # Errors
    /// [`LmError::Tensor`] if a device does not give them.
    pub fn moments(&self) -> Result<(u64, Vec<Numbers<'_>>), LmError> {
        match &self.engine {
            Engine::Native(engine) => {
                let (steps, moments) = engine.moments();
                Ok((steps, moments.collect()))
            }
            Engine::Device(engine) => {
                let (steps, moments) = engine.moments()?;
                Ok((steps, moments.collect()))
            }
        }
    }

    /// Goes on with the state of an earlier trainer of a model of the same shape.
    ///
    /// # Errors
    /// [`LmError::Layout`] if the state's sizes are not the model's, [`LmError::Tensor`].
    pub fn restore(&mut self, state: &OptimizerState) -> Result<(), LmError> {
        match &mut self.engine {
            Engine::Native(engine) => engine.restore(self.model.trained(), state),
            Engine::Device(engine) => engine.restore(self.model.trained(), state),
        }
    }
}
