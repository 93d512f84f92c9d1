//! The policy ratio π_new / π_old, per token or per sequence, in logarithms.

use crate::rl::{Matrix, RlError};

/// Over what the ratio is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RatioLevel {
    /// Each token has its own ratio (GRPO, arXiv 2402.03300).
    #[default]
    Token,
    /// One ratio per sequence: the geometric mean of its tokens' ratios, differentiated through every token
    /// (GSPO, arXiv 2507.18071, equation 7; TRL `importance_sampling_level="sequence"`).
    Sequence,
    /// The sequence's ratio as the value, but each token is differentiated by itself only, the rest of the sequence
    /// being held fixed (GSPO-token with equal advantages; verl `gspo`).
    SequenceDetached,
}

impl RatioLevel {
    /// The names of [`RatioLevel::from_name`].
    pub const NAMES: &'static [&'static str] = &["token", "sequence"];

    /// Reads a level.
    ///
    /// # Errors
    /// [`RlError::Name`] for another name.
    pub fn from_name(name: &str) -> Result<Self, RlError> {
        match name {
            "token" => Ok(Self::Token),
            "sequence" => Ok(Self::Sequence),
            _ => Err(RlError::Name { what: "ratio level", name: name.to_owned(), expected: Self::NAMES }),
        }
    }
}

/// Returns `log(π_new / π_old)` per token, `(B, T)`, in nats. Without `old` the policies are the same: all zeros.
///
/// # Errors
/// [`RlError::Shape`] if the shapes differ.
pub fn log_ratio(new: &Matrix, old: Option<&Matrix>) -> Result<Matrix, RlError> {
    let mut ratio = Matrix::zeros(new.rows(), new.columns());
    let Some(old) = old else { return Ok(ratio) };
    old.expect_shape("old log-probabilities", new.shape())?;
    for index in 0..new.rows() {
        for ((out, new), old) in ratio.row_mut(index).iter_mut().zip(new.row(index)).zip(old.row(index)) {
            *out = new - old;
        }
    }
    Ok(ratio)
}

/// Returns the logarithm of a sequence's ratio: the mean of its tokens' log-ratios where the mask is set; 0 for an empty
/// sequence. `log_ratio`, `mask`: `(T)`.
pub fn sequence_log_ratio(log_ratio: &[f64], mask: &[f64]) -> f64 {
    let sum: f64 = log_ratio.iter().zip(mask).filter(|(_, mask)| **mask != 0.0).map(|(ratio, mask)| ratio * mask).sum();
    sum / mask.iter().sum::<f64>().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_ratio_is_the_mean_over_the_mask() {
        // (0.5 − 0.1) / 2; the third token is masked, whatever stands there.
        assert!((sequence_log_ratio(&[0.5, -0.1, f64::NAN], &[1.0, 1.0, 0.0]) - 0.2).abs() < 1e-15);
        assert_eq!(sequence_log_ratio(&[3.0], &[0.0]), 0.0);
    }

    #[test]
    fn without_old_policy_the_ratio_is_one() {
        let new = Matrix::from_rows(&[vec![-1.0, -2.0]]).unwrap();
        assert_eq!(log_ratio(&new, None).unwrap().values(), [0.0, 0.0]);
    }
}
