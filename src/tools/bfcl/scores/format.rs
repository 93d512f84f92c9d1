//! Format sensitivity: the accuracies of 26 prompt formats and how far they lie apart.

use indexmap::IndexMap;

use super::{board::CategoryScore, statistics};

/// How much a model's accuracy depends on the format of the prompt. It counts in no summary.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FormatSensitivity {
    /// Right and all answers by configuration, in the order of the entries.
    pub configurations: IndexMap<String, (usize, usize)>,
}

/// How far accuracies lie apart, in points.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Highest minus lowest.
    pub max_delta: f64,
    /// Sample variance.
    pub variance: f64,
    /// Sample standard deviation.
    pub deviation: f64,
}

impl FormatSensitivity {
    /// Counts an answer.
    pub fn add(&mut self, configuration: &str, correct: bool) {
        if !self.configurations.contains_key(configuration) {
            self.configurations.insert(configuration.to_owned(), (0, 0));
        }
        if let Some((right, all)) = self.configurations.get_mut(configuration) {
            *right += usize::from(correct);
            *all += 1;
        }
    }

    /// Returns the accuracy of a configuration, if it was asked.
    pub fn accuracy(&self, configuration: &str) -> Option<f64> {
        self.configurations.get(configuration).map(|(right, all)| CategoryScore::of(*right, *all).accuracy)
    }

    /// Returns how far the accuracies lie apart; all 0 of a single configuration.
    pub fn spread(&self) -> Spread {
        let accuracies: Vec<f64> = self.configurations.keys().filter_map(|name| self.accuracy(name)).collect();
        let Some((variance, deviation)) = statistics::variance(&accuracies) else { return Spread::default() };
        let highest = accuracies.iter().copied().fold(f64::MIN, f64::max);
        let lowest = accuracies.iter().copied().fold(f64::MAX, f64::min);
        Spread {
            max_delta: statistics::round_2((highest - lowest) * 100.0),
            variance: statistics::round_2(variance * 10_000.0),
            deviation: statistics::round_2(deviation * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_in_points() {
        let mut formats = FormatSensitivity::default();
        for (configuration, right) in [("a", 3), ("b", 1), ("c", 2)] {
            (0..4).for_each(|index| formats.add(configuration, index < right));
        }
        assert_eq!(formats.spread(), Spread { max_delta: 50.0, variance: 625.0, deviation: 25.0 });
        assert_eq!(formats.accuracy("b"), Some(0.25));
        let mut single = FormatSensitivity::default();
        single.add("a", true);
        assert_eq!(single.spread(), Spread::default());
    }
}
