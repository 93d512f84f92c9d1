//! A model's parameters on a device, and its linear maps.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::lm::native::{Parameters, Plan};
use crate::lm::{Config, LmError, Parameter};

/// The parameters on a device. Copies share them.
#[derive(Clone)]
pub(super) struct Stack {
    pub(super) device: Device,
    pub(super) plan: Arc<Plan>,
    pub(super) weights: Vec<Tensor>,
    /// The adapter's, if there is one; these are trained then, and the weights are not.
    adapter: Option<Vec<Tensor>>,
    /// By weight: the place of its `A` among the adapter's parameters, and what the product counts.
    places: Vec<Option<(usize, f64)>>,
}

/// Copies whole numbers that rows are picked by.
pub(super) fn index(places: &[usize], device: &Device) -> Result<Tensor> {
    let places: Vec<u32> = places.iter().map(|place| *place as u32).collect();
    Tensor::from_vec(places, ((),), device)
}

/// The gradients that add up between two updates, one for each trained parameter that has got any.
#[derive(Default)]
pub(super) struct Gradients(pub(super) Vec<Option<Tensor>>);

impl Gradients {
    pub(super) fn add(&mut self, slot: usize, more: Tensor) -> Result<()> {
        let sum = match self.0[slot].take() {
            Some(before) => (before + more)?,
            None => more,
        };
        self.0[slot] = Some(sum);
        Ok(())
    }
}

impl Stack {
    /// Copies the parameters of a model to `device`.
    ///
    /// # Errors
    /// [`LmError::Config`] or [`LmError::Layout`] if they do not fit the configuration, [`LmError::Tensor`].
    pub(super) fn new(config: &Config, parameters: Parameters, device: Device) -> std::result::Result<Self, LmError> {
        let plan = Plan::new(config, parameters)?;
        let copy = |parameters: &[Parameter]| -> std::result::Result<Vec<Tensor>, LmError> {
            let one = |parameter: &Parameter| Tensor::from_slice(&parameter.data, &*parameter.shape, &device);
            parameters
                .iter()
                .map(one)
                .collect::<Result<_>>()
                .map_err(LmError::tensor("copy the parameters to the device"))
        };
        let pair = |slot| parameters.adapter?.pair(slot).map(|pair| (pair.place, f64::from(pair.scale)));
        Ok(Self {
            weights: copy(&parameters.weights.parameters)?,
            adapter: parameters.adapter.map(|adapter| copy(&adapter.parameters)).transpose()?,
            places: (0..parameters.weights.parameters.len()).map(pair).collect(),
            plan: Arc::new(plan),
            device,
        })
    }

    /// Whether only an adapter is trained.
    pub(super) fn is_adapted(&self) -> bool {
        self.adapter.is_some()
    }

    /// What training moves.
    pub(super) fn trained(&self) -> &[Tensor] {
        self.adapter.as_deref().unwrap_or(&self.weights)
    }

    /// Replaces a trained parameter.
    pub(super) fn replace(&mut self, slot: usize, value: Tensor) {
        self.adapter.as_mut().unwrap_or(&mut self.weights)[slot] = value;
    }

    /// The embeddings of tokens: `(tokens, hidden)`.
    pub(super) fn embed(&self, tokens: &[u32]) -> Result<Tensor> {
        self.weights[self.plan.embedding].index_select(&Tensor::from_slice(tokens, tokens.len(), &self.device)?, 0)
    }

    fn thin(&self, slot: usize) -> Option<(&Tensor, &Tensor, usize, f64)> {
        let (place, scale) = self.places[slot]?;
        let adapter = self.adapter.as_ref()?;
        Some((&adapter[place], &adapter[place + 1], place, scale))
    }

    /// `y = x Wᵀ`, and `s (x Aᵀ) Bᵀ` where the map is adapted: `(rows, in)` → `(rows, out)`.
    pub(super) fn linear(&self, slot: usize, input: &Tensor) -> Result<Tensor> {
        let output = input.matmul(&self.weights[slot].t()?)?;
        match self.thin(slot) {
            None => Ok(output),
            Some((a, b, _, scale)) => output + (input.matmul(&a.t()?)? * scale)?.matmul(&b.t()?)?,
        }
    }

    /// Turns the gradient of the output of the map at `slot` into that of its input.
    pub(super) fn pull(&self, slot: usize, upstream: &Tensor) -> Result<Tensor> {
        let gradient = upstream.matmul(&self.weights[slot])?;
        match self.thin(slot) {
            None => Ok(gradient),
            Some((a, b, _, scale)) => gradient + (upstream.matmul(b)? * scale)?.matmul(a)?,
        }
    }

    /// Adds to the gradients of the map at `slot`, given that of its output, and its input.
    pub(super) fn learn(
        &self,
        gradients: &mut Gradients,
        slot: usize,
        upstream: &Tensor,
        input: &Tensor,
    ) -> Result<()> {
        if !self.is_adapted() {
            return gradients.add(slot, upstream.t()?.matmul(input)?);
        }
        let Some((a, b, place, scale)) = self.thin(slot) else { return Ok(()) };
        gradients.add(place, (upstream.matmul(b)? * scale)?.t()?.matmul(input)?)?;
        gradients.add(place + 1, upstream.t()?.matmul(&(input.matmul(&a.t()?)? * scale)?)?)
    }

    /// Adds to the gradient of a whole weight, unless it is frozen.
    pub(super) fn learn_whole(
        &self,
        gradients: &mut Gradients,
        slot: usize,
        gradient: impl FnOnce() -> Result<Tensor>,
    ) -> Result<()> {
        if self.is_adapted() { Ok(()) } else { gradients.add(slot, gradient()?) }
    }
}
