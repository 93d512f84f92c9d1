//! How per-token losses become one number: always a weighted sum, so the weights are the whole formula.

use crate::rl::Matrix;

/// What a mean is taken over when a step's sequences are worked through in parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Totals {
    /// Sequences.
    pub sequences: f64,
    /// Sequences with at least one token.
    pub filled: f64,
    /// Tokens.
    pub tokens: f64,
}

impl Totals {
    /// Returns the totals of one mask.
    #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 sequences")]
    pub fn of(mask: &Matrix) -> Self {
        let filled = mask.iter_rows().filter(|row| row.iter().sum::<f64>() > 0.0).count();
        Self { sequences: mask.rows() as f64, filled: filled as f64, tokens: mask.sum() }
    }
}

/// An average over the tokens of a batch. `mᵦₜ` is the mask, `nᵦ` the tokens of sequence `b`, `B` the sequences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// Mean over tokens, then over sequences: `mᵦₜ / (nᵦ B)` (GRPO; TRL `grpo`, `sapo`). Short answers weigh more per token.
    SequenceMean,
    /// Mean over all tokens: `mᵦₜ / Σ n` (TRL `bnpo`).
    TokenMean,
    /// `mᵦₜ / (B L)` with a fixed length `L` (Dr. GRPO, arXiv 2503.20783; TRL `dr_grpo`).
    FixedLength(f64),
    /// `mᵦₜ / N` with a normaliser computed elsewhere (TRL `dapo`, `cispo`: tokens of the accumulation window).
    Normaliser(f64),
    /// Sum over tokens, mean over sequences: `mᵦₜ / B` (LUSPO; TRL `luspo`).
    SequenceSum,
    /// verl `token-mean`.
    VerlTokenMean,
    /// verl `token-sum`.
    VerlTokenSum,
    /// verl `seq-mean-token-sum`: as [`Aggregation::SequenceSum`], empty sequences not counted.
    VerlSequenceSum,
    /// verl `seq-mean-token-sum-norm`: that divided by the width `T` of the batch.
    VerlSequenceSumNorm,
    /// verl `seq-mean-token-mean`: as [`Aggregation::SequenceMean`], empty sequences not counted, 1e-8 beside `nᵦ`.
    VerlSequenceMean,
}

impl Aggregation {
    /// Returns each token's weight, `(B, T)`: the aggregate of losses `l` is `Σ w l`. `totals` are those of the whole
    /// step when the mask is a part of it.
    #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 columns")]
    pub fn weights(&self, mask: &Matrix, totals: &Totals) -> Matrix {
        let mut weights = mask.clone();
        for index in 0..mask.rows() {
            let length: f64 = mask.row(index).iter().sum();
            let divisor = match *self {
                Self::SequenceMean => length.max(1.0) * totals.sequences,
                Self::TokenMean => totals.tokens.max(1.0),
                Self::FixedLength(length) => totals.sequences * length,
                Self::Normaliser(normaliser) => normaliser,
                Self::SequenceSum => totals.sequences,
                Self::VerlTokenMean => totals.tokens,
                Self::VerlTokenSum => 1.0,
                Self::VerlSequenceSum => totals.filled,
                Self::VerlSequenceSumNorm => totals.filled * mask.columns() as f64,
                Self::VerlSequenceMean => (length + 1e-8) * totals.filled,
            };
            for weight in weights.row_mut(index) {
                if *weight != 0.0 {
                    *weight /= divisor;
                }
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sequences, of one and of three tokens.
    fn weights(aggregation: Aggregation) -> Vec<f64> {
        let mask = Matrix::from_rows(&[vec![1.0, 0.0, 0.0], vec![1.0, 1.0, 1.0]]).unwrap();
        aggregation.weights(&mask, &Totals::of(&mask)).values().to_vec()
    }

    #[test]
    fn weights_by_hand() {
        let sixth = 1.0 / 6.0;
        assert_eq!(weights(Aggregation::SequenceMean), [0.5, 0.0, 0.0, sixth, sixth, sixth]);
        assert_eq!(weights(Aggregation::TokenMean), [0.25, 0.0, 0.0, 0.25, 0.25, 0.25]);
        assert_eq!(weights(Aggregation::FixedLength(5.0)), [0.1, 0.0, 0.0, 0.1, 0.1, 0.1]);
        assert_eq!(weights(Aggregation::SequenceSum), [0.5, 0.0, 0.0, 0.5, 0.5, 0.5]);
        assert_eq!(weights(Aggregation::VerlSequenceSumNorm), [sixth, 0.0, 0.0, sixth, sixth, sixth]);
    }

    #[test]
    fn parts_of_a_step_add_up_to_the_whole() {
        let whole = Matrix::from_rows(&[vec![1.0, 0.0], vec![1.0, 1.0], vec![1.0, 1.0]]).unwrap();
        let (first, rest) = (
            Matrix::from_rows(&[vec![1.0, 0.0]]).unwrap(),
            Matrix::from_rows(&[vec![1.0, 1.0], vec![1.0, 1.0]]).unwrap(),
        );
        for aggregation in [Aggregation::SequenceMean, Aggregation::TokenMean, Aggregation::FixedLength(2.0)] {
            let totals = Totals::of(&whole);
            let mut parts = aggregation.weights(&first, &totals).values().to_vec();
            parts.extend_from_slice(aggregation.weights(&rest, &totals).values());
            assert_eq!(aggregation.weights(&whole, &totals).values(), parts);
        }
    }

    #[test]
    fn empty_sequences_count_in_trl_and_not_in_verl() {
        let mask = Matrix::from_rows(&[vec![1.0], vec![0.0]]).unwrap();
        let totals = Totals::of(&mask);
        assert_eq!(Aggregation::SequenceSum.weights(&mask, &totals).values(), [0.5, 0.0]);
        assert_eq!(Aggregation::VerlSequenceSum.weights(&mask, &totals).values(), [1.0, 0.0]);
    }
}
