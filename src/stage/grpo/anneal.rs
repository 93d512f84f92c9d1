//! Taking demonstrations away in the course of a round.

use rand::Rng;

use crate::base::Seed;

/// The probability that a prompt keeps its demonstrations, from the first step to the last, in a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Anneal {
    /// At the first step.
    pub(super) first: f64,
    /// At the last step.
    pub(super) last: f64,
}

impl Anneal {
    /// Returns the probability at step `step` (from 0) of `steps`.
    #[expect(clippy::cast_precision_loss, reason = "a round has fewer than 2^53 steps")]
    fn at(self, step: usize, steps: usize) -> f64 {
        let share = if steps > 1 { step as f64 / (steps - 1) as f64 } else { 0.0 };
        self.first + (self.last - self.first) * share
    }

    /// Returns whether a sample keeps its demonstrations: a function of the seed, the sample and the step alone.
    pub(super) fn keeps(self, seed: Seed, sample: &str, step: usize, steps: usize) -> bool {
        let draw: f64 = seed.derive("demonstrations").stream(sample, step as u64).random();
        draw < self.at(step, steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_runs_from_first_to_last() {
        let keep = Anneal { first: 1.0, last: 0.0 };
        assert_eq!((0..5).map(|step| keep.at(step, 5)).collect::<Vec<_>>(), [1.0, 0.75, 0.5, 0.25, 0.0]);
        assert_eq!(Anneal { first: 0.6, last: 0.0 }.at(0, 1), 0.6);
    }

    #[test]
    fn certain_cases_are_certain_and_others_are_drawn() {
        let kept =
            |keep: Anneal, step| (0..1000).filter(|sample| keep.keeps(Seed(3), &sample.to_string(), step, 5)).count();
        let keep = Anneal { first: 1.0, last: 0.0 };
        assert_eq!((kept(keep, 0), kept(keep, 4)), (1000, 0));
        assert!((450..550).contains(&kept(keep, 2)));
    }
}
