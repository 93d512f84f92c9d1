//! The learning rate of a step: base × decay over the rounds × shape over the steps × warm-up.
//!
//! The exponential decay over rounds is ToolExpander's (arXiv 2510.07737): it keeps a policy that is re-trained on its own
//! hard samples from oscillating.

use crate::rl::RlError;

/// How the rate moves over the steps of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Shape {
    /// It does not.
    #[default]
    Constant,
    /// `decay^step`.
    Exponential {
        /// Factor per step.
        decay: f64,
    },
    /// Half a cosine from 1 down to `floor` over the steps that follow the warm-up.
    Cosine {
        /// The last value, as a share of the first.
        floor: f64,
    },
    /// A straight line from 1 down to `floor` over the steps that follow the warm-up.
    Linear {
        /// The last value, as a share of the first.
        floor: f64,
    },
}

/// A learning-rate schedule. Steps count from 0, rounds from 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    /// The rate at the first round's first step after the warm-up.
    pub base: f64,
    /// Factor per round.
    pub round_decay: f64,
    /// The round, from 1.
    pub round: u32,
    /// What happens within the round.
    pub shape: Shape,
    /// Steps of linear warm-up: the first step has `1 / warmup` of the rate, the last of them the whole rate (no step is
    /// spent at a rate of 0, unlike in the HF schedulers, which start one lower).
    pub warmup: u32,
    /// Steps of the round, for the shapes that end somewhere.
    pub steps: u32,
}

impl LearningRate {
    /// Returns a constant rate.
    pub fn constant(base: f64) -> Self {
        Self { base, round_decay: 1.0, round: 1, shape: Shape::Constant, warmup: 0, steps: 0 }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`RlError::Setting`] for a rate or decay that is negative or not a number, and for round 0.
    pub fn checked(self) -> Result<Self, RlError> {
        let decay = match self.shape {
            Shape::Constant => 1.0,
            Shape::Exponential { decay: value } | Shape::Cosine { floor: value } | Shape::Linear { floor: value } => {
                value
            }
        };
        for (name, value) in [("lr", self.base), ("lr-decay", self.round_decay), ("the step decay or floor", decay)] {
            if !value.is_finite() || value < 0.0 {
                return Err(RlError::Setting { name, value, expected: "a number of at least 0" });
            }
        }
        if self.round == 0 {
            return Err(RlError::Setting { name: "round", value: 0.0, expected: "at least 1" });
        }
        Ok(self)
    }

    /// Returns the rate of one step (from 0).
    pub fn at(&self, step: u32) -> f64 {
        let rounds = self.round_decay.powi(i32::try_from(self.round.saturating_sub(1)).unwrap_or(i32::MAX));
        let warmup = if step < self.warmup { f64::from(step + 1) / f64::from(self.warmup) } else { 1.0 };
        let after = step.saturating_sub(self.warmup);
        let span = self.steps.saturating_sub(self.warmup);
        let progress = if span > 1 { (f64::from(after) / f64::from(span - 1)).min(1.0) } else { 0.0 };
        let shape = match self.shape {
            Shape::Constant => 1.0,
            Shape::Exponential { decay } => decay.powi(i32::try_from(after).unwrap_or(i32::MAX)),
            Shape::Cosine { floor } => floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Shape::Linear { floor } => floor + (1.0 - floor) * (1.0 - progress),
        };
        self.base * rounds * shape * warmup
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-15
    }

    #[test]
    fn rounds_and_steps_decay_exponentially() {
        let rate = LearningRate {
            base: 2e-5,
            round_decay: 0.7,
            round: 3,
            shape: Shape::Exponential { decay: 0.98 },
            warmup: 0,
            steps: 12,
        };
        // 2e-5 · 0.7² · 0.98²
        assert!(close(rate.at(2), 2e-5 * 0.49 * 0.9604));
        assert!(close(LearningRate { round: 1, ..rate }.at(0), 2e-5));
    }

    #[test]
    fn steps_decay_from_the_end_of_the_warm_up() {
        let shape = Shape::Exponential { decay: 0.5 };
        let rate = LearningRate { shape, warmup: 2, ..LearningRate::constant(1.0) };
        assert_eq!((0..5).map(|step| rate.at(step)).collect::<Vec<_>>(), [0.5, 1.0, 1.0, 0.5, 0.25]);
    }

    #[test]
    fn warm_up_is_linear_and_never_zero() {
        let rate = LearningRate { warmup: 4, ..LearningRate::constant(1.0) };
        assert_eq!((0..6).map(|step| rate.at(step)).collect::<Vec<_>>(), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn cosine_and_linear_end_at_their_floor() {
        let cosine = LearningRate { shape: Shape::Cosine { floor: 0.1 }, steps: 11, ..LearningRate::constant(1.0) };
        assert!(close(cosine.at(0), 1.0) && close(cosine.at(5), 0.55) && close(cosine.at(10), 0.1));
        let linear =
            LearningRate { shape: Shape::Linear { floor: 0.0 }, steps: 5, warmup: 1, ..LearningRate::constant(1.0) };
        assert_eq!(
            (0..5).map(|step| linear.at(step)).collect::<Vec<_>>(),
            [1.0, 1.0, 1.0 - 1.0 / 3.0, 1.0 - 2.0 / 3.0, 0.0]
        );
    }

    #[test]
    fn bad_numbers_are_refused() {
        assert!(LearningRate::constant(-1.0).checked().is_err());
        assert!(LearningRate { round: 0, ..LearningRate::constant(1.0) }.checked().is_err());
        assert!(LearningRate { round_decay: f64::NAN, ..LearningRate::constant(1.0) }.checked().is_err());
        assert!(LearningRate::constant(1e-5).checked().is_ok());
    }
}
