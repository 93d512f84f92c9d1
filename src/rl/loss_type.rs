//! The losses that papers and trainers have names for: a surrogate and an average each.

use crate::rl::{Aggregation, RlError, Surrogate};

/// A named loss, as TRL names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossType {
    /// Clipped, mean over tokens then sequences (arXiv 2402.03300).
    Grpo,
    /// Clipped, mean over the batch's tokens.
    Bnpo,
    /// Clipped, divided by a fixed length (arXiv 2503.20783).
    DrGrpo,
    /// Clipped, mean over the tokens of the whole step (arXiv 2503.14476).
    #[default]
    Dapo,
    /// Log-probability weighted by the bounded, fixed ratio, mean over the tokens of the whole step (arXiv 2506.13585).
    Cispo,
    /// Soft gate, mean over tokens then sequences (arXiv 2511.20347).
    Sapo,
    /// Clipped, summed over tokens, mean over sequences.
    Luspo,
    /// Log-probability weighted by a gamma-shaped function of the sequence's ratio, mean over the tokens of the step.
    Vespo,
}

impl LossType {
    /// Every loss.
    pub const ALL: [Self; 8] =
        [Self::Grpo, Self::Bnpo, Self::DrGrpo, Self::Dapo, Self::Cispo, Self::Sapo, Self::Luspo, Self::Vespo];
    /// Their names, in the same order.
    pub const NAMES: &'static [&'static str] = &["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"];

    /// Reads a loss.
    ///
    /// # Errors
    /// [`RlError::Name`] for another name.
    pub fn from_name(name: &str) -> Result<Self, RlError> {
        let known = Self::NAMES.iter().position(|known| *known == name);
        known.map(|index| Self::ALL[index]).ok_or_else(|| RlError::Name {
            what: "loss type",
            name: name.to_owned(),
            expected: Self::NAMES,
        })
    }

    /// Returns the per-token objective. `low` and `high` are distances from 1, except for `cispo`, where `high` is the
    /// bound of the ratio itself; `delta` bounds the unclipped branch. The soft and gamma-shaped ones have the constants
    /// of their papers (and of TRL's defaults).
    pub fn surrogate(self, low: f64, high: f64, delta: Option<f64>) -> Surrogate {
        match self {
            Self::Grpo | Self::Bnpo | Self::DrGrpo | Self::Dapo | Self::Luspo => {
                Surrogate::Clipped { low, high, delta, dual: None }
            }
            Self::Cispo => Surrogate::Detached { floor: 0.0, ceiling: high },
            Self::Sapo => Surrogate::Soft { positive: 1.0, negative: 1.05 },
            Self::Vespo => {
                Surrogate::Gamma { k_positive: 2.0, lambda_positive: 3.0, k_negative: 3.0, lambda_negative: 2.0 }
            }
        }
    }

    /// Returns the average. `max_completion_length` is the fixed length of `dr_grpo`, in tokens; `step_tokens` the
    /// completion tokens of the whole step.
    pub fn aggregation(self, max_completion_length: f64, step_tokens: f64) -> Aggregation {
        match self {
            Self::Grpo | Self::Sapo => Aggregation::SequenceMean,
            Self::Bnpo => Aggregation::TokenMean,
            Self::DrGrpo => Aggregation::FixedLength(max_completion_length),
            Self::Dapo | Self::Cispo | Self::Vespo => Aggregation::Normaliser(step_tokens.max(1.0)),
            Self::Luspo => Aggregation::SequenceSum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_losses_are_in_the_same_order() {
        for (loss_type, name) in LossType::ALL.iter().zip(LossType::NAMES) {
            assert_eq!(LossType::from_name(name).unwrap(), *loss_type);
            assert_eq!(format!("{loss_type:?}").to_lowercase(), name.replace('_', ""));
        }
        assert!(LossType::from_name("ppo").unwrap_err().to_string().contains("dr_grpo"));
    }
}
