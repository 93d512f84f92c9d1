//! AdamW on the device: the update of `lm::adamw`, and its moments.

use std::sync::OnceLock;

use candle_core::{D, Result, Tensor};

use crate::lm::LmError;
use crate::lm::train::{AdamW, OptimizerState};

/// The state of the optimiser.
pub(super) struct Moments {
    pub(super) steps: u64,
    /// One for each trained parameter; none before the first update.
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    /// The moments as they were last read, until they change.
    read: OnceLock<OptimizerState>,
}

/// One update of all parameters.
pub(super) struct Rates {
    optimizer: AdamW,
    lr: f64,
    /// What gradients are multiplied with.
    clip: f64,
    /// One over what bias correction divides the first moment by, and the root of that of the second.
    first: f64,
    second: f64,
}

impl Moments {
    pub(super) fn new() -> Self {
        Self { steps: 0, first: Vec::new(), second: Vec::new(), read: OnceLock::new() }
    }

    /// Begins an update: counts it, and makes moments if there are none.
    pub(super) fn begin(&mut self, trained: &[Tensor], optimizer: AdamW, lr: f64, clip: f64) -> Result<Rates> {
        if self.first.is_empty() {
            let zeros = || trained.iter().map(Tensor::zeros_like).collect::<Result<Vec<_>>>();
            [self.first, self.second] = [zeros()?, zeros()?];
        }
        self.read = OnceLock::new();
        self.steps += 1;
        let power = self.steps as f64;
        let first = 1.0 / (1.0 - optimizer.beta1.powf(power));
        let second = (1.0 / (1.0 - optimizer.beta2.powf(power))).sqrt();
        Ok(Rates { optimizer, lr, clip, first, second })
    }

    /// Returns the parameter at `slot` after the update.
    pub(super) fn update(
        &mut self,
        slot: usize,
        value: &Tensor,
        gradient: Option<Tensor>,
        rates: &Rates,
        decay: f64,
    ) -> Result<Tensor> {
        let AdamW { beta1, beta2, eps, .. } = rates.optimizer;
        let gradient = match gradient {
            Some(gradient) => (gradient * rates.clip)?,
            None => value.zeros_like()?,
        };
        let first = ((&self.first[slot] * beta1)? + (&gradient * (1.0 - beta1))?)?;
        let second = ((&self.second[slot] * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
        let step = ((&first * (rates.lr * rates.first))? / ((second.sqrt()? * rates.second)? + eps)?)?;
        (self.first[slot], self.second[slot]) = (first, second);
        (value * (1.0 - rates.lr * decay))? - step
    }

    /// Returns the state as plain numbers.
    ///
    /// # Errors
    /// [`LmError::Tensor`] if the device does not give them.
    pub(super) fn state(&self) -> std::result::Result<&OptimizerState, LmError> {
        if self.read.get().is_none() {
            let numbers = |tensors: &[Tensor]| tensors.iter().map(numbers).collect::<Result<_>>();
            let read = || {
                Ok(OptimizerState { steps: self.steps, first: numbers(&self.first)?, second: numbers(&self.second)? })
            };
            let state = read().map_err(LmError::tensor("copy the optimiser's moments from the device"))?;
            return Ok(self.read.get_or_init(|| state));
        }
        Ok(self.read.get_or_init(OptimizerState::default))
    }

    /// Goes on with moments that fit the trained parameters.
    pub(super) fn restore(&mut self, trained: &[Tensor], state: &OptimizerState) -> Result<()> {
        let tensors = |moments: &[Vec<f32>]| {
            let pairs = moments.iter().zip(trained);
            pairs
                .map(|(values, like)| Tensor::from_slice(values, like.shape(), like.device()))
                .collect::<Result<Vec<_>>>()
        };
        *self = Self {
            steps: state.steps,
            first: tensors(&state.first)?,
            second: tensors(&state.second)?,
            read: OnceLock::new(),
        };
        Ok(())
    }
}

/// Copies the elements of a tensor from the device, row-major.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// Returns the root of the sum of all squares: by rows on the device, then over the rows in f64.
pub(super) fn global_norm<'a>(gradients: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let rows =
        gradients.map(|gradient| gradient.sqr()?.sum_keepdim(D::Minus1)?.flatten_all()).collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        return Ok(0.0);
    }
    let sums = Tensor::cat(&rows, 0)?.to_vec1::<f32>()?;
    Ok(sums.into_iter().map(f64::from).sum::<f64>().sqrt())
}
