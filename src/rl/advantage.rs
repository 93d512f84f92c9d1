//! Advantages: how much better a rollout was than the others of its group.

use crate::rl::RlError;

/// What the centred reward is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// The standard deviation of its group (GRPO).
    #[default]
    Group,
    /// The standard deviation of all rewards of the batch (arXiv 2508.08221).
    Batch,
    /// Nothing (Dr. GRPO, arXiv 2503.20783).
    None,
}

impl Scale {
    /// The names of [`Scale::from_name`].
    pub const NAMES: &'static [&'static str] = &["group", "batch", "none"];

    /// Reads a scale.
    ///
    /// # Errors
    /// [`RlError::Name`] for another name.
    pub fn from_name(name: &str) -> Result<Self, RlError> {
        match name {
            "group" => Ok(Self::Group),
            "batch" => Ok(Self::Batch),
            "none" => Ok(Self::None),
            _ => Err(RlError::Name { what: "reward scale", name: name.to_owned(), expected: Self::NAMES }),
        }
    }
}

/// How several reward parts become one advantage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combine {
    /// Weighted sum of the parts, then normalised.
    #[default]
    SumThenNormalize,
    /// Each part normalised in its group, weighted sum, normalised over the batch (GDPO).
    NormalizeThenSum,
}

/// What a group of one rollout is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Singleton {
    /// Itself: the advantage is 0 (TRL).
    #[default]
    Itself,
    /// Mean 0 and standard deviation 1: the advantage is the reward (verl).
    Standard,
}

/// How advantages are computed.
#[derive(Clone, Debug, PartialEq)]
pub struct AdvantageOptions {
    /// Rollouts per group.
    pub group_size: usize,
    /// What to divide by.
    pub scale: Scale,
    /// Added to the standard deviation. TRL has 1e-4, verl 1e-6. With a small one a group that differs by a tiny bonus
    /// only gets full-size advantages; 0.1 keeps them tiny.
    pub std_floor: f64,
    /// One weight per reward part.
    pub weights: Vec<f64>,
    /// How parts are combined.
    pub combine: Combine,
    /// What a group of one is compared with.
    pub singleton: Singleton,
}

impl AdvantageOptions {
    /// Returns TRL's settings for one reward part.
    pub fn new(group_size: usize) -> Self {
        Self {
            group_size,
            scale: Scale::Group,
            std_floor: 1e-4,
            weights: vec![1.0],
            combine: Combine::SumThenNormalize,
            singleton: Singleton::Itself,
        }
    }
}

/// Advantages of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Advantages {
    /// One per rollout, in the rewards' order.
    pub values: Vec<f64>,
    /// Whether the standard deviation that the rollout was measured by is zero (to 1e-8): no signal.
    pub zero_std: Vec<bool>,
}

impl Advantages {
    /// Returns the share of rollouts without signal; 0 for none at all.
    #[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 rollouts")]
    pub fn zero_std_share(&self) -> f64 {
        let count = self.zero_std.iter().filter(|zero| **zero).count();
        count as f64 / (self.zero_std.len() as f64).max(1.0)
    }
}

/// Returns the advantages of rollouts in groups of `group_size` neighbours: `(r − mean) / (std + floor)` with the
/// sample standard deviation (ddof 1). `parts[i][k]` is part `k` of rollout `i`'s reward; NaN stands for "not scored": it
/// counts neither in a mean nor in a sum, and a rollout of NaNs only gets the advantage 0.
///
/// # Errors
/// [`RlError::Length`] if the rollouts are no whole groups or a rollout has not one part per weight.
///
/// # Source
/// TRL 1.16.0 `grpo_trainer.py` (`_generate_and_score_completions`); verl 0.9.1 `compute_grpo_outcome_advantage`.
pub fn advantages(parts: &[Vec<f64>], options: &AdvantageOptions) -> Result<Advantages, RlError> {
    let size = options.group_size;
    if size == 0 || !parts.len().is_multiple_of(size) {
        return Err(RlError::Length {
            name: "rewards",
            expected: format!("a multiple of the group size {size}"),
            found: parts.len(),
        });
    }
    if let Some(row) = parts.iter().find(|row| row.len() != options.weights.len()) {
        return Err(RlError::Length {
            name: "the reward parts",
            expected: options.weights.len().to_string(),
            found: row.len(),
        });
    }
    let unscored: Vec<bool> = parts.iter().map(|row| row.iter().all(|value| value.is_nan())).collect();
    let sum = |rows: &[Vec<f64>]| -> Vec<f64> {
        let weigh = |row: &Vec<f64>| {
            let terms = row.iter().zip(&options.weights).filter(|(value, _)| !value.is_nan());
            terms.map(|(value, weight)| value * weight).sum()
        };
        rows.iter().zip(&unscored).map(|(row, unscored)| if *unscored { f64::NAN } else { weigh(row) }).collect()
    };
    let (mut values, deviations) = match options.combine {
        Combine::SumThenNormalize => normalize(&sum(parts), options),
        Combine::NormalizeThenSum => {
            let mut scaled = parts.to_vec();
            for part in 0..options.weights.len() {
                let column: Vec<f64> = parts.iter().map(|row| row[part]).collect();
                let by_group = AdvantageOptions { scale: Scale::Group, ..options.clone() };
                let (values, _) = normalize(&column, &by_group);
                for (row, value) in scaled.iter_mut().zip(values) {
                    row[part] = value;
                }
            }
            let rewards = sum(&scaled);
            let (mean, std) = (mean(&rewards), deviation_of_many(&rewards));
            let values = rewards.iter().map(|reward| (reward - mean) / (std + options.std_floor)).collect();
            (values, vec![std; rewards.len()])
        }
    };
    for value in &mut values {
        if value.is_nan() {
            *value = 0.0;
        }
    }
    Ok(Advantages { values, zero_std: deviations.iter().map(|std| std.abs() <= 1e-8).collect() })
}

/// Returns `(r − mean of the group) / (std + floor)` and the `std` of each, which is 0 for a group of one.
fn normalize(rewards: &[f64], options: &AdvantageOptions) -> (Vec<f64>, Vec<f64>) {
    let batch_std = deviation_of_many(rewards);
    let (mut values, mut deviations) = (Vec::with_capacity(rewards.len()), Vec::with_capacity(rewards.len()));
    for group in rewards.chunks(options.group_size) {
        let standard = group.len() == 1 && options.singleton == Singleton::Standard;
        let (centre, group_std) = if standard { (0.0, 1.0) } else { (mean(group), deviation_of_many(group)) };
        let std = if options.scale == Scale::Batch { batch_std } else { group_std };
        let divisor = if options.scale == Scale::None { 1.0 } else { std + options.std_floor };
        values.extend(group.iter().map(|reward| (reward - centre) / divisor));
        deviations.extend(group.iter().map(|_| std));
    }
    (values, deviations)
}

/// Returns the mean of what is not NaN.
#[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 rollouts")]
fn mean(values: &[f64]) -> f64 {
    let count = values.iter().filter(|value| !value.is_nan()).count();
    values.iter().filter(|value| !value.is_nan()).sum::<f64>() / count as f64
}

/// Returns the sample standard deviation of what is not NaN: 0 for a list of one, NaN if fewer than two are left of a
/// longer list.
#[expect(clippy::cast_precision_loss, reason = "a batch has fewer than 2^53 rollouts")]
fn deviation_of_many(values: &[f64]) -> f64 {
    if values.len() == 1 {
        return 0.0;
    }
    let count = values.iter().filter(|value| !value.is_nan()).count() as f64;
    if count < 2.0 {
        return f64::NAN;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().filter(|value| !value.is_nan()).map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewards(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|value| vec![*value]).collect()
    }

    #[test]
    fn group_by_hand() {
        // Rewards 0, 0, 1, 1: mean 0.5, sample variance (4 · 0.25) / 3 = 1/3.
        let options = AdvantageOptions { std_floor: 0.0, ..AdvantageOptions::new(4) };
        let found = advantages(&rewards(&[0.0, 0.0, 1.0, 1.0]), &options).unwrap();
        let expected = 0.5 * 3f64.sqrt();
        assert!(
            found.values.iter().zip([-expected, -expected, expected, expected]).all(|(l, r)| (l - r).abs() < 1e-15)
        );
    }

    #[test]
    fn equal_rewards_have_no_advantage() {
        let found = advantages(&rewards(&[0.3, 0.3, 0.3, 0.0, 1.0, 2.0]), &AdvantageOptions::new(3)).unwrap();
        assert_eq!(found.values[..3], [0.0; 3]);
        assert_eq!(found.zero_std, [true, true, true, false, false, false]);
        assert_eq!(found.zero_std_share(), 0.5);
    }

    #[test]
    fn a_floor_keeps_a_tiny_bonus_tiny() {
        let values = rewards(&[0.0, 0.0, 0.0, 0.01]);
        let largest = |floor| {
            let options = AdvantageOptions { std_floor: floor, ..AdvantageOptions::new(4) };
            advantages(&values, &options).unwrap().values[3]
        };
        assert!(largest(1e-4) > 1.4 && largest(0.1) < 0.08);
    }

    #[test]
    fn batch_scale_shares_one_deviation() {
        // All six: mean 1, squares 1+0+1+1+0+1 = 4, /5.
        let options = AdvantageOptions { scale: Scale::Batch, std_floor: 0.0, ..AdvantageOptions::new(3) };
        let found = advantages(&rewards(&[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]), &options).unwrap();
        assert!((found.values[2] - 1.0 / (0.8f64).sqrt()).abs() < 1e-15);
    }

    /// Expected values from the formula in TRL's `grpo_trainer.py`, evaluated in plain Python.
    #[test]
    fn parts_can_be_normalised_before_they_are_summed() {
        let parts = [[1.0, 0.0], [0.0, 0.5], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.25]].map(Vec::from);
        let options = AdvantageOptions {
            combine: Combine::NormalizeThenSum,
            weights: vec![1.0, 0.5],
            ..AdvantageOptions::new(3)
        };
        let expected = [
            0.07062286077105785,
            -1.0540898810782704,
            0.9834670203072124,
            -1.3174755158580134,
            0.2636593057593922,
            1.0538162100986215,
        ];
        let found = advantages(&parts, &options).unwrap();
        assert!(found.values.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12));
    }

    #[test]
    fn a_group_of_one() {
        let trl = AdvantageOptions::new(1);
        assert_eq!(advantages(&rewards(&[2.0]), &trl).unwrap().values, [0.0]);
        let verl = AdvantageOptions { singleton: Singleton::Standard, std_floor: 0.0, ..trl };
        assert_eq!(advantages(&rewards(&[2.0]), &verl).unwrap().values, [2.0]);
    }

    #[test]
    fn uneven_groups_are_refused() {
        let message = advantages(&rewards(&[1.0, 2.0, 3.0]), &AdvantageOptions::new(2)).unwrap_err().to_string();
        assert_eq!(message, "rewards has 3 values, expected a multiple of the group size 2");
    }
}
