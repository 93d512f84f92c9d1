//! Per-token estimates of KL(π_new ‖ π_ref) from one sample, with their derivatives.
//!
//! Source: J. Schulman, "Approximating KL divergence" (2020): with `d = log π_ref − log π_new`,
//! k1 = −d, k2 = d²/2, k3 = eᵈ − d − 1. All three have the KL divergence (k2: nearly) as their mean under π_new.

use crate::rl::RlError;

/// How the divergence from the reference policy is estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KlEstimator {
    /// `log π_new − log π_ref`: unbiased, may be negative.
    K1,
    /// The absolute value of k1 (verl `abs`).
    Absolute,
    /// Half the square of k1: its derivative is an unbiased estimate of the KL's.
    K2,
    /// `eᵈ − d − 1`: unbiased, never negative (TRL).
    #[default]
    K3,
    /// k3 with `d` held to ±20 and the estimate to ±10 (verl `low_var_kl`).
    LowVariance,
}

impl KlEstimator {
    /// The names of [`KlEstimator::from_name`].
    pub const NAMES: &'static [&'static str] = &["k1", "abs", "k2", "k3", "low_var_kl"];

    /// Reads an estimator.
    ///
    /// # Errors
    /// [`RlError::Name`] for another name.
    pub fn from_name(name: &str) -> Result<Self, RlError> {
        match name {
            "k1" | "kl" => Ok(Self::K1),
            "abs" => Ok(Self::Absolute),
            "k2" | "mse" => Ok(Self::K2),
            "k3" => Ok(Self::K3),
            "low_var_kl" => Ok(Self::LowVariance),
            _ => Err(RlError::Name { what: "KL estimator", name: name.to_owned(), expected: Self::NAMES }),
        }
    }
}

/// The KL term of a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlOptions {
    /// Weight of the term.
    pub beta: f64,
    /// The estimator.
    pub estimator: KlEstimator,
    /// Takes the value from the estimator but the derivative from k2 (verl's `k3+`).
    pub straight_through: bool,
    /// Multiplies the estimate by the policy ratio, which makes it unbiased off-policy (TRL `use_bias_correction_kl`).
    pub ratio_corrected: bool,
}

impl KlOptions {
    /// Returns the plain term of weight `beta`.
    pub fn new(beta: f64, estimator: KlEstimator) -> Self {
        Self { beta, estimator, straight_through: false, ratio_corrected: false }
    }

    /// Returns the estimate in nats and its derivative by `new`, for log-probabilities of one token.
    pub fn estimate(&self, new: f64, reference: f64) -> (f64, f64) {
        let (value, derivative) = estimate(self.estimator, new, reference);
        if self.straight_through { (value, new - reference) } else { (value, derivative) }
    }
}

/// Returns the estimate in nats and its derivative by `new`, for log-probabilities of one token.
///
/// At the bounds of [`KlEstimator::LowVariance`] the derivative is that of the inside, as in PyTorch's `clamp`.
pub fn estimate(estimator: KlEstimator, new: f64, reference: f64) -> (f64, f64) {
    let difference = reference - new;
    match estimator {
        KlEstimator::K1 => (-difference, 1.0),
        KlEstimator::Absolute => (difference.abs(), if difference == 0.0 { 0.0 } else { -difference.signum() }),
        KlEstimator::K2 => (0.5 * difference * difference, -difference),
        KlEstimator::K3 => (difference.exp() - difference - 1.0, 1.0 - difference.exp()),
        KlEstimator::LowVariance => {
            let bounded = difference.clamp(-20.0, 20.0);
            let value = bounded.exp() - bounded - 1.0;
            let inside = (-20.0..=20.0).contains(&difference) && (-10.0..=10.0).contains(&value);
            (value.clamp(-10.0, 10.0), if inside { 1.0 - bounded.exp() } else { 0.0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        // new = ln 0.5, reference = ln 0.25: d = ln 0.5 = −0.693147…, eᵈ = 0.5.
        let (new, reference) = (0.5f64.ln(), 0.25f64.ln());
        let ln2 = 2f64.ln();
        for (estimator, value, derivative) in [
            (KlEstimator::K1, ln2, 1.0),
            (KlEstimator::Absolute, ln2, 1.0),
            (KlEstimator::K2, ln2 * ln2 / 2.0, ln2),
            (KlEstimator::K3, 0.5 + ln2 - 1.0, 0.5),
            (KlEstimator::LowVariance, 0.5 + ln2 - 1.0, 0.5),
        ] {
            let found = estimate(estimator, new, reference);
            assert!((found.0 - value).abs() < 1e-15 && (found.1 - derivative).abs() < 1e-15, "{estimator:?} {found:?}");
        }
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for estimator in
            [KlEstimator::K1, KlEstimator::Absolute, KlEstimator::K2, KlEstimator::K3, KlEstimator::LowVariance]
        {
            for new in [-0.1, -1.3, -2.7] {
                let step = 1e-6;
                let numeric =
                    (estimate(estimator, new + step, -1.0).0 - estimate(estimator, new - step, -1.0).0) / (2.0 * step);
                assert!((estimate(estimator, new, -1.0).1 - numeric).abs() < 1e-6, "{estimator:?} at {new}");
            }
        }
    }

    #[test]
    fn low_variance_is_bounded() {
        assert_eq!(estimate(KlEstimator::LowVariance, -30.0, 0.0), (10.0, 0.0));
    }

    #[test]
    fn straight_through_keeps_the_value() {
        let options = KlOptions { straight_through: true, ..KlOptions::new(0.1, KlEstimator::K3) };
        let (value, derivative) = options.estimate(-1.0, -1.5);
        assert_eq!(value, estimate(KlEstimator::K3, -1.0, -1.5).0);
        assert_eq!(derivative, 0.5);
    }
}
