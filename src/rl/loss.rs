//! The loss of one batch of completions and its derivative by every token's log-probability.

use crate::rl::{
    Aggregation, KlOptions, Matrix, RatioLevel, RlError, Surrogate, TokenLoss, Totals,
    ratio::{log_ratio, sequence_log_ratio},
};

/// The numbers that a loss is computed from. Log-probabilities are in nats.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// log π_new of each token, `(B, T)`; what stands where the mask is 0 does not matter.
    pub new: &'a Matrix,
    /// log π_old, `(B, T)`. Without it the policy that sampled is the one in training: the ratio is 1, with a derivative.
    pub old: Option<&'a Matrix>,
    /// log π_ref, `(B, T)`, for the KL term.
    pub reference: Option<&'a Matrix>,
    /// 1 for the model's own tokens, 0 for padding and for tokens that a tool wrote, `(B, T)`.
    pub mask: &'a Matrix,
    /// One advantage per sequence, `(B)`.
    pub advantages: &'a [f64],
}

/// Which loss.
#[derive(Clone, Debug, PartialEq)]
pub struct LossOptions {
    /// The per-token objective.
    pub surrogate: Surrogate,
    /// Over what the ratio is taken.
    pub level: RatioLevel,
    /// Bounds of the log-ratio, below and above (verl: ±20, and +10 for sequences). A ratio outside has no derivative.
    pub log_ratio_bounds: Option<(f64, f64)>,
    /// The KL term, if any.
    pub kl: Option<KlOptions>,
    /// The average.
    pub aggregation: Aggregation,
    /// What the average runs over, if the batch is a part of the step; otherwise the batch itself.
    pub totals: Option<Totals>,
    /// A number that the loss is divided by in the end (TRL: the gradient accumulation steps).
    pub divisor: f64,
}

impl LossOptions {
    /// Returns the loss of a surrogate and an average: token ratios, no bounds, no KL.
    pub fn new(surrogate: Surrogate, aggregation: Aggregation) -> Self {
        Self {
            surrogate,
            level: RatioLevel::Token,
            log_ratio_bounds: None,
            kl: None,
            aggregation,
            totals: None,
            divisor: 1.0,
        }
    }
}

/// A loss, its derivative and what to log.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// The loss.
    pub value: f64,
    /// The loss without the KL term.
    pub policy: f64,
    /// d loss / d log π_new, `(B, T)`; 0 where the mask is 0.
    pub gradient: Matrix,
    /// Statistics.
    pub metrics: LossMetrics,
}

/// Statistics of one batch. Means are over the tokens of the mask, or over sequences where the ratio is a sequence's;
/// a mean over nothing is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossMetrics {
    /// The tokens of the mask.
    pub tokens: f64,
    /// Mean KL estimate, in nats; 0 without a KL term.
    pub kl: f64,
    /// Mean of `log π_old − log π_new`, in nats.
    pub old_kl: f64,
    /// Share with a ratio below the lower bound and a negative advantage.
    pub clip_low: f64,
    /// Share with a ratio above the upper bound and a positive advantage.
    pub clip_high: f64,
    /// Share of either.
    pub clip_region: f64,
    /// The smallest share `clip_low` of any one sequence.
    pub clip_low_min: f64,
    /// The largest share `clip_high` of any one sequence.
    pub clip_high_max: f64,
    /// Share of tokens where the clipped branch was the larger loss (verl `pg_clipfrac`).
    pub clipped: f64,
    /// Share of tokens where the dual clip was at work (verl `pg_clipfrac_lower`).
    pub dual_clipped: f64,
    /// Mean weight φ of [`Surrogate::Gamma`], over sequences.
    pub gamma_weight: f64,
}

/// Returns the loss of a batch.
///
/// # Errors
/// [`RlError`] if shapes do not fit, the KL term has no reference, or the loss is not finite.
pub fn loss(batch: &Batch<'_>, options: &LossOptions) -> Result<Loss, RlError> {
    let shape = batch.new.shape();
    batch.mask.expect_shape("mask", shape)?;
    if batch.advantages.len() != shape.0 {
        return Err(RlError::Length {
            name: "advantages",
            expected: shape.0.to_string(),
            found: batch.advantages.len(),
        });
    }
    let reference = match (&options.kl, batch.reference) {
        (None, _) => None,
        (Some(_), None) => return Err(RlError::NoReference),
        (Some(kl), Some(reference)) => {
            reference.expect_shape("reference log-probabilities", shape)?;
            Some((kl, reference))
        }
    };
    let log_ratios = log_ratio(batch.new, batch.old)?;
    let totals = options.totals.unwrap_or_else(|| Totals::of(batch.mask));
    let weights = options.aggregation.weights(batch.mask, &totals);

    let mut gradient = Matrix::zeros(shape.0, shape.1);
    let (mut policy, mut kl_loss) = (0.0, 0.0);
    let mut tally = Tally::new(options.level, shape.1);
    for row in 0..shape.0 {
        let sequence = Sequence {
            log_probs: batch.new.row(row),
            log_ratios: log_ratios.row(row),
            reference: reference.map(|(kl, reference)| (kl, reference.row(row))),
            mask: batch.mask.row(row),
            weights: weights.row(row),
            advantage: batch.advantages[row],
        };
        let (row_policy, row_kl) = sequence.add(options, gradient.row_mut(row), &mut tally);
        policy += row_policy;
        kl_loss += row_kl;
    }
    for index in 0..shape.0 {
        for value in gradient.row_mut(index) {
            *value /= options.divisor;
        }
    }
    policy /= options.divisor;
    let value = policy + kl_loss / options.divisor;
    if !value.is_finite() {
        return Err(RlError::NotFinite { value });
    }
    Ok(Loss { value, policy, gradient, metrics: tally.finish(shape.0) })
}

/// One sequence: every slice is `(T)`.
struct Sequence<'a> {
    log_probs: &'a [f64],
    log_ratios: &'a [f64],
    reference: Option<(&'a KlOptions, &'a [f64])>,
    mask: &'a [f64],
    weights: &'a [f64],
    advantage: f64,
}

impl Sequence<'_> {
    /// Adds the sequence's derivative and statistics; returns its shares of the policy loss and of the KL loss.
    fn add(&self, options: &LossOptions, gradient: &mut [f64], tally: &mut Tally) -> (f64, f64) {
        let length: f64 = self.mask.iter().sum();
        let mean_log_ratio = sequence_log_ratio(self.log_ratios, self.mask);
        let gamma = options.surrogate.gamma_weight(self.sum_log_ratio(), self.advantage);
        let mut counts = Counts { length, ..Counts::default() };
        let (mut policy, mut kl_loss) = (0.0, 0.0);
        // d loss / d (mean log-ratio of the sequence), spread over its tokens at the end.
        let mut by_sequence = 0.0;
        for (index, out) in gradient.iter_mut().enumerate() {
            let (mask, weight) = (self.mask[index], self.weights[index]);
            if mask == 0.0 {
                continue;
            }
            let raw = match options.level {
                RatioLevel::Token => self.log_ratios[index],
                RatioLevel::Sequence | RatioLevel::SequenceDetached => mean_log_ratio,
            };
            let (low, high) = options.log_ratio_bounds.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
            let log_ratio = raw.clamp(low, high);
            let inside = if raw == log_ratio { 1.0 } else { 0.0 };
            let ratio = log_ratio.exp();
            let token = options.surrogate.token(gamma.unwrap_or(ratio), self.advantage, self.log_probs[index]);
            policy += weight * token.value;
            let mut by_log_ratio = weight * token.by_log_ratio * inside;
            let mut by_log_prob = weight * token.by_log_prob;
            if let Some((kl, reference)) = self.reference {
                let (mut value, mut slope) = kl.estimate(self.log_probs[index], reference[index]);
                if kl.ratio_corrected {
                    by_log_ratio += weight * kl.beta * value * ratio * inside;
                    value *= ratio;
                    slope *= ratio;
                }
                kl_loss += weight * kl.beta * value;
                by_log_prob += weight * kl.beta * slope;
                counts.kl += value * mask;
            }
            if options.level == RatioLevel::Sequence {
                by_sequence += by_log_ratio;
            } else {
                by_log_prob += by_log_ratio;
            }
            *out = by_log_prob;
            let bounded = options.log_ratio_bounds.map_or(self.log_ratios[index], |_| match options.level {
                RatioLevel::Token => log_ratio,
                RatioLevel::Sequence | RatioLevel::SequenceDetached => self.log_ratios[index],
            });
            counts.add(&token, mask, bounded);
        }
        if by_sequence != 0.0 {
            for (out, mask) in gradient.iter_mut().zip(self.mask) {
                *out += by_sequence * mask / length.max(1.0);
            }
        }
        // A sequence without tokens still has a ratio of its own, 1, when ratios are of sequences.
        let whole = options.surrogate.token(gamma.unwrap_or(mean_log_ratio.exp()), self.advantage, 0.0);
        tally.add(&counts, &whole, gamma.unwrap_or(0.0));
        (policy, kl_loss)
    }

    fn sum_log_ratio(&self) -> f64 {
        let tokens = self.log_ratios.iter().zip(self.mask).filter(|(_, mask)| **mask != 0.0);
        tokens.map(|(ratio, mask)| ratio.clamp(-20.0, 20.0) * mask).sum()
    }
}

/// Sums over the tokens of one sequence.
#[derive(Default)]
struct Counts {
    length: f64,
    low: f64,
    high: f64,
    clipped: f64,
    dual: f64,
    kl: f64,
    log_ratio: f64,
}

impl Counts {
    fn add(&mut self, token: &TokenLoss, mask: f64, log_ratio: f64) {
        let share = |flag: bool| if flag { mask } else { 0.0 };
        self.low += share(token.clipped_low);
        self.high += share(token.clipped_high);
        self.clipped += share(token.clipped);
        self.dual += share(token.dual_clipped);
        self.log_ratio += log_ratio * mask;
    }
}

/// Sums over the sequences of a batch.
struct Tally {
    /// The clip flags are one per sequence, not one per token.
    per_sequence: bool,
    sums: Counts,
    low_min: f64,
    high_max: f64,
    gamma: f64,
}

impl Tally {
    fn new(level: RatioLevel, columns: usize) -> Self {
        let per_sequence = level == RatioLevel::Sequence || columns == 1;
        Self { per_sequence, sums: Counts::default(), low_min: f64::INFINITY, high_max: f64::NEG_INFINITY, gamma: 0.0 }
    }

    fn add(&mut self, counts: &Counts, whole: &TokenLoss, gamma: f64) {
        let flag = |flag: bool| if flag { 1.0 } else { 0.0 };
        let (low, high, length) = if self.per_sequence {
            (flag(whole.clipped_low), flag(whole.clipped_high), 1.0)
        } else {
            (counts.low, counts.high, counts.length)
        };
        self.sums.low += low;
        self.sums.high += high;
        if length > 0.0 {
            self.low_min = self.low_min.min(low / length);
            self.high_max = self.high_max.max(high / length);
        }
        self.sums.length += counts.length;
        self.sums.clipped += counts.clipped;
        self.sums.dual += counts.dual;
        self.sums.kl += counts.kl;
        self.sums.log_ratio += counts.log_ratio;
        self.gamma += gamma;
    }

    #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 sequences")]
    fn finish(self, sequences: usize) -> LossMetrics {
        let tokens = self.sums.length.max(1.0);
        let flags = if self.per_sequence { (sequences as f64).max(1.0) } else { tokens };
        LossMetrics {
            tokens: self.sums.length,
            kl: self.sums.kl / tokens,
            old_kl: -self.sums.log_ratio / tokens,
            clip_low: self.sums.low / flags,
            clip_high: self.sums.high / flags,
            clip_region: (self.sums.low + self.sums.high) / flags,
            clip_low_min: if self.low_min.is_finite() { self.low_min } else { 0.0 },
            clip_high_max: if self.high_max.is_finite() { self.high_max } else { 0.0 },
            clipped: self.sums.clipped / tokens,
            dual_clipped: self.sums.dual / tokens,
            gamma_weight: self.gamma / (sequences as f64).max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::{KlEstimator, LossType};

    fn matrix(rows: &[&[f64]]) -> Matrix {
        Matrix::from_rows(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()).unwrap()
    }

    const CLIP: Surrogate = Surrogate::Clipped { low: 0.2, high: 0.28, delta: None, dual: None };

    #[test]
    fn two_tokens_by_hand() {
        // One sequence, A = 2. Token 1: r = e^0.1 = 1.10517 (inside); token 2: r = e^0.5 = 1.64872 (clipped to 1.28).
        // loss = −(2 · 1.10517 + 2 · 1.28) / 2 = −2.385171; d/dlogp₁ = −2 · 1.10517 / 2, d/dlogp₂ = 0.
        let (new, old, mask) = (matrix(&[&[-1.0, -1.0]]), matrix(&[&[-1.1, -1.5]]), matrix(&[&[1.0, 1.0]]));
        let batch = Batch { new: &new, old: Some(&old), reference: None, mask: &mask, advantages: &[2.0] };
        let found = loss(&batch, &LossOptions::new(CLIP, Aggregation::TokenMean)).unwrap();
        let ratio = 0.1f64.exp();
        assert!((found.value + (ratio + 1.28)).abs() < 1e-12);
        assert!((found.gradient.values()[0] + ratio).abs() < 1e-12 && found.gradient.values()[1] == 0.0);
        assert_eq!((found.metrics.clip_low, found.metrics.clip_high), (0.0, 0.5));
    }

    #[test]
    fn kl_by_hand() {
        // A = 0, so only the KL remains: k3 of d = ln 2: 2 − ln 2 − 1; derivative 1 − 2 = −1; β = 0.1.
        let (new, reference) = (matrix(&[&[0.25f64.ln()]]), matrix(&[&[0.5f64.ln()]]));
        let mask = matrix(&[&[1.0]]);
        let batch = Batch { new: &new, old: None, reference: Some(&reference), mask: &mask, advantages: &[0.0] };
        let mut options = LossOptions::new(CLIP, Aggregation::TokenMean);
        options.kl = Some(KlOptions::new(0.1, KlEstimator::K3));
        let found = loss(&batch, &options).unwrap();
        assert!((found.value - 0.1 * (1.0 - 2f64.ln())).abs() < 1e-15);
        assert!((found.gradient.values()[0] + 0.1).abs() < 1e-15);
        assert_eq!(found.policy, 0.0);
    }

    #[test]
    fn weights_that_are_held_fixed_have_no_derivative() {
        // Two tokens with log-ratios 0.3 and −0.1, A = 2. CISPO with ceiling 1.2: weights 1.2 and e^−0.1.
        // VESPO: the sequence's log-ratio is 0.2, φ = exp(3 + 2 · 0.2 − 3 e^0.2) for both tokens.
        let (new, old, mask) = (matrix(&[&[-1.0, -0.5]]), matrix(&[&[-1.3, -0.4]]), matrix(&[&[1.0, 1.0]]));
        let batch = Batch { new: &new, old: Some(&old), reference: None, mask: &mask, advantages: &[2.0] };
        let phi = (3.0 + 2.0 * 0.2 - 3.0 * 0.2f64.exp()).exp();
        for (loss_type, weights) in [(LossType::Cispo, [1.2, (-0.1f64).exp()]), (LossType::Vespo, [phi, phi])] {
            let options = LossOptions::new(loss_type.surrogate(0.2, 1.2, None), loss_type.aggregation(8.0, 4.0));
            let found = loss(&batch, &options).unwrap();
            // Mean over the 4 tokens of the step: −w A / 4 each.
            let value = (weights[0] * 2.0 * 1.0 + weights[1] * 2.0 * 0.5) / 4.0;
            assert!((found.value - value).abs() < 1e-12, "{loss_type:?}: {} and {value}", found.value);
            for (gradient, weight) in found.gradient.values().iter().zip(weights) {
                assert!((gradient + weight * 2.0 / 4.0).abs() < 1e-12, "{loss_type:?}");
            }
        }
    }

    #[test]
    fn masked_tokens_do_not_matter() {
        let (new, old) = (matrix(&[&[-1.0, f64::NAN]]), matrix(&[&[-1.0, 0.0]]));
        let mask = matrix(&[&[1.0, 0.0]]);
        let batch = Batch { new: &new, old: Some(&old), reference: None, mask: &mask, advantages: &[1.0] };
        let found = loss(&batch, &LossOptions::new(CLIP, Aggregation::TokenMean)).unwrap();
        assert_eq!((found.value, found.gradient.values()), (-1.0, [-1.0, 0.0].as_slice()));
    }

    #[test]
    fn mistakes_are_named() {
        let (new, mask) = (matrix(&[&[-1.0, -2.0]]), matrix(&[&[1.0, 1.0]]));
        let batch = Batch { new: &new, old: None, reference: None, mask: &mask, advantages: &[1.0] };
        let mut options = LossOptions::new(CLIP, Aggregation::TokenMean);
        options.kl = Some(KlOptions::new(0.1, KlEstimator::K3));
        assert_eq!(loss(&batch, &options), Err(RlError::NoReference));
        options.kl = None;
        let narrow = matrix(&[&[1.0]]);
        assert!(matches!(loss(&Batch { mask: &narrow, ..batch }, &options), Err(RlError::Shape { name: "mask", .. })));
        assert!(matches!(
            loss(&Batch { advantages: &[], ..batch }, &options),
            Err(RlError::Length { name: "advantages", .. })
        ));
        let broken = matrix(&[&[f64::NAN, -2.0]]);
        let old = matrix(&[&[-1.0, -2.0]]);
        let broken = Batch { new: &broken, old: Some(&old), ..batch };
        assert!(matches!(loss(&broken, &options), Err(RlError::NotFinite { .. })));
    }

    /// Every combination's derivative against central differences, away from the kinks.
    #[test]
    fn derivatives_agree_with_finite_differences() {
        let new = matrix(&[&[-1.0, -0.7, -2.0], &[-0.3, -1.2, -0.9]]);
        let old = matrix(&[&[-1.05, -0.2, -2.6], &[-0.35, -0.9, -1.3]]);
        let reference = matrix(&[&[-1.3, -0.5, -2.2], &[-0.2, -1.5, -0.8]]);
        let mask = matrix(&[&[1.0, 1.0, 1.0], &[1.0, 1.0, 0.0]]);
        let advantages = [1.5, -0.7];
        for loss_type in LossType::ALL {
            for level in [RatioLevel::Token, RatioLevel::Sequence] {
                for estimator in [None, Some(KlEstimator::K1), Some(KlEstimator::K2), Some(KlEstimator::K3)] {
                    for ratio_corrected in [false, true] {
                        let mut options = LossOptions::new(
                            loss_type.surrogate(0.2, 0.28, Some(4.0)),
                            loss_type.aggregation(8.0, 5.0),
                        );
                        options.level = level;
                        options.kl =
                            estimator.map(|estimator| KlOptions { ratio_corrected, ..KlOptions::new(0.3, estimator) });
                        // Their weights are held fixed, so the derivative is not the value's: tested by hand above.
                        if matches!(options.surrogate, Surrogate::Detached { .. } | Surrogate::Gamma { .. }) {
                            continue;
                        }
                        let value = |new: &Matrix| {
                            let batch = Batch {
                                new,
                                old: Some(&old),
                                reference: Some(&reference),
                                mask: &mask,
                                advantages: &advantages,
                            };
                            loss(&batch, &options).unwrap()
                        };
                        let found = value(&new);
                        for row in 0..2 {
                            for column in 0..3 {
                                let step = 1e-6;
                                let (mut up, mut down) = (new.clone(), new.clone());
                                up.row_mut(row)[column] += step;
                                down.row_mut(row)[column] -= step;
                                let numeric = (value(&up).value - value(&down).value) / (2.0 * step);
                                assert!(
                                    (found.gradient.row(row)[column] - numeric).abs() < 1e-7,
                                    "{loss_type:?} {level:?} {estimator:?} ({row}, {column}): {} and {numeric}",
                                    found.gradient.row(row)[column]
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}
