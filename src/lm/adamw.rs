//! AdamW over flat buffers, in place.
//!
//! Decoupled weight decay, bias-corrected moments, the update of PyTorch's `torch.optim.AdamW`:
//! `θ ← θ (1 - lr·λ) - lr · m̂ / (√v̂ + ε)`. **Source:** Loshchilov and Hutter, arXiv 1711.05101, algorithm 2.

use crate::lm::{LmError, Parameter};

/// The constants of AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, per unit of learning rate.
    pub weight_decay: f64,
}

impl Default for AdamW {
    /// PyTorch's constants, without decay.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

/// The moments of an optimiser, to go on later: one vector per trained parameter, in their order. Moments kept in bf16 are
/// widened, which is exact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    /// Updates made so far.
    pub steps: u64,
    /// First moments; empty before the first update.
    pub first: Vec<Vec<f32>>,
    /// Second moments; empty before the first update.
    pub second: Vec<Vec<f32>>,
}

impl OptimizerState {
    /// Checks that the moments, unless there are none yet, are those of the trained parameters.
    ///
    /// # Errors
    /// [`LmError::Layout`] if there are others, or of other sizes.
    pub(crate) fn check(&self, trained: &[Parameter]) -> Result<(), LmError> {
        for moments in [&self.first, &self.second] {
            if moments.is_empty() && self.steps == 0 {
                continue;
            }
            for (slot, parameter) in trained.iter().enumerate() {
                let (found, expected) = (moments.get(slot).map_or(0, Vec::len), parameter.data.len());
                if found != expected || moments.len() != trained.len() {
                    return Err(LmError::Layout {
                        parameter: parameter.name.clone(),
                        expected: format!("moments of {expected} elements"),
                        found: format!("{found} in a state of {} parameters", moments.len()),
                    });
                }
            }
        }
        Ok(())
    }
}
