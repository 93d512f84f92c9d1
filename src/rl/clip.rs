//! The per-token surrogate of the policy's objective as a function of its ratio: clipped, soft or detached.

/// How a token's ratio and advantage become a loss. Derivatives are those PyTorch gives: a clamp passes the derivative
/// at its bounds, and where two branches of a minimum are equal each gives half of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surrogate {
    /// `−min(r A, clip(r, 1 − low, 1 + high) A)` (PPO, arXiv 1707.06347; a higher upper bound: DAPO, arXiv 2503.14476).
    Clipped {
        /// Lower distance from 1.
        low: f64,
        /// Upper distance from 1.
        high: f64,
        /// Bound of the unclipped branch's ratio, which limits the push of negative advantages
        /// (INTELLECT-2, arXiv 2505.07291; TRL `delta`).
        delta: Option<f64>,
        /// For negative advantages the loss is at most `−dual A` (dual clip, arXiv 1912.09729; verl `clip_ratio_c`).
        dual: Option<f64>,
    },
    /// `−clip(r, floor, ceiling) A log π_new`, the ratio being held fixed (CISPO, arXiv 2506.13585). Both bounds are of
    /// the ratio itself, as TRL has it, not distances from 1.
    Detached {
        /// Smallest weight.
        floor: f64,
        /// Largest weight.
        ceiling: f64,
    },
    /// `−(4/τ) σ(τ (r − 1)) A`, with its own temperature by the advantage's sign (SAPO, arXiv 2511.20347).
    Soft {
        /// τ for positive advantages.
        positive: f64,
        /// τ for the others.
        negative: f64,
    },
    /// `−φ A log π_new` with `φ = e^λ w^k e^{−λ w}` of the whole sequence's ratio `w`, held fixed (VESPO; TRL's
    /// `get_gamma_weights`). `loss` computes φ and passes it as the ratio.
    Gamma {
        /// k for advantages ≥ 0.
        k_positive: f64,
        /// λ for advantages ≥ 0.
        lambda_positive: f64,
        /// k for negative advantages.
        k_negative: f64,
        /// λ for negative advantages.
        lambda_negative: f64,
    },
}

/// The loss of one token and what became of its ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenLoss {
    /// The loss.
    pub value: f64,
    /// Its derivative by the logarithm of the ratio.
    pub by_log_ratio: f64,
    /// Its derivative by the log-probability where that stands beside the ratio.
    pub by_log_prob: f64,
    /// The ratio was below the lower bound and the advantage negative.
    pub clipped_low: bool,
    /// The ratio was above the upper bound and the advantage positive.
    pub clipped_high: bool,
    /// The clipped branch was the larger loss.
    pub clipped: bool,
    /// The dual clip was at work.
    pub dual_clipped: bool,
}

impl Surrogate {
    /// Returns the loss of one token of ratio `ratio` (for [`Surrogate::Gamma`]: of weight φ). An advantage of 0 gives
    /// exactly 0, whatever the ratio.
    pub fn token(&self, ratio: f64, advantage: f64, log_prob: f64) -> TokenLoss {
        if advantage == 0.0 {
            return TokenLoss::default();
        }
        match *self {
            Self::Clipped { low, high, delta, dual } => clipped(ratio, advantage, low, high, delta, dual),
            Self::Detached { floor, ceiling } => {
                let weight = ratio.clamp(floor, ceiling);
                TokenLoss {
                    clipped_high: ratio > ceiling && advantage > 0.0,
                    clipped: weight != ratio,
                    ..weighted(weight, advantage, log_prob)
                }
            }
            Self::Soft { positive, negative } => {
                let temperature = if advantage > 0.0 { positive } else { negative };
                let gate = 1.0 / (1.0 + (-temperature * (ratio - 1.0)).exp());
                // d/dr [(4/τ) σ(τ(r−1))] = 4 σ (1−σ); times dr/d log r = r. A ratio of ∞ has a flat gate.
                let slope = 4.0 * gate * (1.0 - gate);
                TokenLoss {
                    value: -gate * 4.0 / temperature * advantage,
                    by_log_ratio: if slope == 0.0 { 0.0 } else { -slope * advantage * ratio },
                    ..TokenLoss::default()
                }
            }
            Self::Gamma { .. } => weighted(ratio, advantage, log_prob),
        }
    }

    /// Returns φ of a sequence, given the logarithm of its ratio (a sum over the tokens, not a mean); for
    /// [`Surrogate::Gamma`] only.
    pub(super) fn gamma_weight(&self, sum_log_ratio: f64, advantage: f64) -> Option<f64> {
        let Self::Gamma { k_positive, lambda_positive, k_negative, lambda_negative } = *self else { return None };
        let (k, lambda) = if advantage >= 0.0 { (k_positive, lambda_positive) } else { (k_negative, lambda_negative) };
        let lambda = lambda.max(1e-4);
        let log_weight = sum_log_ratio.clamp(1e-8f64.ln(), 20.0);
        let weight = (lambda + k * log_weight - lambda * log_weight.exp()).exp();
        Some(if weight.is_finite() { weight } else { 0.0 })
    }
}

fn weighted(weight: f64, advantage: f64, log_prob: f64) -> TokenLoss {
    TokenLoss { value: -weight * advantage * log_prob, by_log_prob: -weight * advantage, ..TokenLoss::default() }
}

fn clipped(ratio: f64, advantage: f64, low: f64, high: f64, delta: Option<f64>, dual: Option<f64>) -> TokenLoss {
    let (floor, ceiling) = (1.0 - low, 1.0 + high);
    let plain = delta.map_or(ratio, |delta| ratio.min(delta));
    let plain_slope = if delta.is_some_and(|delta| ratio > delta) { 0.0 } else { -advantage * ratio };
    let bounded_slope = if (floor..=ceiling).contains(&ratio) { -advantage * ratio } else { 0.0 };
    let plain_loss = -plain * advantage;
    let bounded_loss = -ratio.clamp(floor, ceiling) * advantage;
    let (mut value, mut slope) = larger((plain_loss, plain_slope), (bounded_loss, bounded_slope));
    let mut dual_clipped = false;
    if let Some(dual) = dual.filter(|_| advantage < 0.0) {
        let most = -advantage * dual;
        dual_clipped = value > most;
        if value > most {
            (value, slope) = (most, 0.0);
        } else if value == most {
            slope /= 2.0;
        }
    }
    TokenLoss {
        value,
        by_log_ratio: slope,
        by_log_prob: 0.0,
        clipped_low: plain < floor && advantage < 0.0,
        clipped_high: plain > ceiling && advantage > 0.0,
        clipped: bounded_loss > plain_loss,
        dual_clipped,
    }
}

/// Returns the pair with the larger value; of equal ones, the mean slope.
fn larger(left: (f64, f64), right: (f64, f64)) -> (f64, f64) {
    if left.0 > right.0 {
        left
    } else if right.0 > left.0 {
        right
    } else {
        (left.0, f64::midpoint(left.1, right.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: Surrogate = Surrogate::Clipped { low: 0.2, high: 0.28, delta: None, dual: None };

    #[test]
    fn clipped_by_hand() {
        // Inside: −r A, slope −r A.
        let inside = CLIP.token(1.1, 2.0, 0.0);
        assert!((inside.value + 2.2).abs() < 1e-15 && (inside.by_log_ratio + 2.2).abs() < 1e-15);
        // Above with A > 0: −1.28 · 2, flat. Above with A < 0: the plain branch, 1.5 · 2, not flat.
        let high = CLIP.token(1.5, 2.0, 0.0);
        assert!((high.value + 2.56).abs() < 1e-15 && high.by_log_ratio == 0.0 && high.clipped_high && high.clipped);
        let pushed = CLIP.token(1.5, -2.0, 0.0);
        assert!(pushed.value == 3.0 && pushed.by_log_ratio == 3.0 && !pushed.clipped_high && !pushed.clipped);
        // Below with A < 0: 0.8 · 2, flat.
        let low = CLIP.token(0.5, -2.0, 0.0);
        assert!((low.value - 1.6).abs() < 1e-15 && low.by_log_ratio == 0.0 && low.clipped_low);
    }

    #[test]
    fn ratio_one_keeps_the_slope() {
        assert_eq!(CLIP.token(1.0, 2.0, 0.0).by_log_ratio, -2.0);
    }

    #[test]
    fn delta_and_dual_bound_the_push_of_negative_advantages() {
        let delta = Surrogate::Clipped { low: 0.2, high: 0.28, delta: Some(4.0), dual: None };
        assert_eq!((delta.token(9.0, -1.0, 0.0).value, delta.token(9.0, -1.0, 0.0).by_log_ratio), (4.0, 0.0));
        let dual = Surrogate::Clipped { low: 0.2, high: 0.28, delta: None, dual: Some(3.0) };
        let token = dual.token(9.0, -1.0, 0.0);
        assert_eq!((token.value, token.by_log_ratio, token.dual_clipped), (3.0, 0.0, true));
        assert_eq!(dual.token(9.0, 1.0, 0.0).value, -1.28);
    }

    #[test]
    fn zero_advantage_is_zero_even_at_an_infinite_ratio() {
        assert_eq!(CLIP.token(f64::INFINITY, 0.0, -1.0), TokenLoss::default());
    }

    #[test]
    fn soft_gate_is_the_plain_gradient_at_ratio_one() {
        // σ(0) = ½: value −2A/τ, slope −4 · ¼ · A = −A.
        let soft = Surrogate::Soft { positive: 1.0, negative: 1.05 };
        let token = soft.token(1.0, 3.0, 0.0);
        assert_eq!((token.value, token.by_log_ratio), (-6.0, -3.0));
    }

    #[test]
    fn gamma_weight_is_one_on_policy() {
        let gamma = Surrogate::Gamma { k_positive: 2.0, lambda_positive: 3.0, k_negative: 3.0, lambda_negative: 2.0 };
        assert_eq!(gamma.gamma_weight(0.0, 1.0), Some(1.0));
        // w = e²: k log w = 4 for A ≥ 0; 3 + 4 − 3 e².
        let expected = (7.0 - 3.0 * 2f64.exp()).exp();
        assert!((gamma.gamma_weight(2.0, 1.0).unwrap() - expected).abs() < 1e-15);
        assert_eq!(CLIP.gamma_weight(0.0, 1.0), None);
    }
}
