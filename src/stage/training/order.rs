//! In which order samples are taken: shuffled anew in every epoch, by the seed alone.

use rand::Rng;

use crate::base::Seed;

/// One sample's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stage) struct Turn {
    /// The sample's index among those that are trained on.
    pub(in crate::stage) sample: usize,
    /// The epoch, from 0.
    pub(in crate::stage) epoch: usize,
}

/// How long a training runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stage) enum Length {
    /// So many times through all samples.
    Epochs(usize),
    /// So many steps.
    Steps(usize),
}

/// Returns the turns of each step, `per_step` samples each; epochs follow one another without a gap, so only the last
/// step of all can be smaller. With [`Length::Steps`] every step is full, however often that takes the samples through.
pub(in crate::stage) fn steps(seed: Seed, samples: usize, per_step: usize, length: Length) -> Vec<Vec<Turn>> {
    let (samples, per_step) = (samples.max(1), per_step.max(1));
    let turns = match length {
        Length::Epochs(epochs) => epochs * samples,
        Length::Steps(steps) => steps * per_step,
    };
    let all: Vec<Turn> =
        (0..turns.div_ceil(samples)).flat_map(|epoch| shuffled(seed, samples, epoch)).take(turns).collect();
    all.chunks(per_step).map(<[Turn]>::to_vec).collect()
}

/// Fisher and Yates' shuffle of one epoch.
fn shuffled(seed: Seed, samples: usize, epoch: usize) -> Vec<Turn> {
    let mut rng = seed.stream("order", epoch as u64);
    let mut turns: Vec<Turn> = (0..samples).map(|sample| Turn { sample, epoch }).collect();
    for index in (1..samples).rev() {
        turns.swap(index, rng.random_range(0..=index));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_takes_every_sample_once() {
        let steps = steps(Seed(3), 5, 2, Length::Epochs(2));
        assert_eq!(steps.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 2, 2]);
        let turns: Vec<Turn> = steps.concat();
        for (epoch, turns) in turns.chunks(5).enumerate() {
            let mut samples: Vec<usize> = turns.iter().map(|turn| turn.sample).collect();
            samples.sort_unstable();
            assert_eq!(samples, [0, 1, 2, 3, 4]);
            assert!(turns.iter().all(|turn| turn.epoch == epoch));
        }
    }

    #[test]
    fn more_steps_keep_the_first_ones() {
        let (short, long) = (steps(Seed(3), 7, 3, Length::Steps(4)), steps(Seed(3), 7, 3, Length::Steps(9)));
        assert_eq!(short[..], long[..4]);
        assert_ne!(steps(Seed(4), 7, 3, Length::Steps(4)), short);
        assert_eq!(steps(Seed(3), 7, 3, Length::Epochs(1)).concat().len(), 7);
    }
}
