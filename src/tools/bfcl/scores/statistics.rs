//! Means, deviations and percentiles that end in the same decimals as Python's `statistics` and numpy's `percentile`.
//!
//! `statistics` computes with exact fractions and rounds once. Here sums are pairs of `f64` (about 106 bits), taken in
//! ascending order, so that the order of the input does not matter; a result could differ from the exact one only where
//! that lies within a 10⁻²⁵th of the middle between two decimals.

/// The unevaluated sum of two numbers, the second too small to change the first.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    high: f64,
    low: f64,
}

impl Pair {
    /// Returns the exact sum of two numbers.
    fn sum(one: f64, two: f64) -> Self {
        let high = one + two;
        let part = high - one;
        Self { high, low: (one - (high - part)) + (two - part) }
    }

    /// Returns the exact product of two numbers.
    fn product(one: f64, two: f64) -> Self {
        let high = one * two;
        Self { high, low: one.mul_add(two, -high) }
    }

    fn plus(self, other: Self) -> Self {
        let (high, low) = (Self::sum(self.high, other.high), Self::sum(self.low, other.low));
        let first = Self::sum(high.high, high.low + low.high);
        Self::sum(first.high, first.low + low.low)
    }

    fn times(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        Self::sum(product.high, product.low + self.high.mul_add(other.low, self.low * other.high))
    }

    fn over(self, divisor: f64) -> Self {
        let first = self.high / divisor;
        let rest = self.plus(Self::product(-first, divisor));
        let second = rest.high / divisor;
        let rest = rest.plus(Self::product(-second, divisor));
        Self::sum(first, second).plus(Self { high: rest.high / divisor, low: 0.0 })
    }

    fn square_root(self) -> f64 {
        let root = self.high.max(0.0).sqrt();
        if root == 0.0 {
            return 0.0;
        }
        let rest = self.plus(Self::product(-root, root));
        root + rest.high / (2.0 * root)
    }
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn total(values: &[f64]) -> Pair {
    ascending(values).into_iter().fold(Pair::default(), |sum, value| sum.plus(Pair { high: value, low: 0.0 }))
}

/// Returns the sum.
pub(super) fn sum(values: &[f64]) -> f64 {
    total(values).high
}

/// Returns the mean; `None` of nothing.
pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| total(values).over(count(values)).high)
}

/// Returns the sample variance and its root; `None` of less than two values.
pub(super) fn variance(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let negative_mean = {
        let mean = total(values).over(count(values));
        Pair { high: -mean.high, low: -mean.low }
    };
    let squares = ascending(values).into_iter().map(|value| {
        let difference = negative_mean.plus(Pair { high: value, low: 0.0 });
        difference.times(difference)
    });
    let variance = squares.fold(Pair::default(), Pair::plus).over(count(values) - 1.0);
    Some((variance.high, variance.square_root()))
}

/// Returns the percentile with linear interpolation between ranks, by numpy's operations in numpy's order; `None` of
/// nothing.
pub(super) fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let sorted = ascending(values);
    let place = (count(values) - 1.0) * (percent / 100.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    let below = place.floor() as usize;
    let (low, high) = (*sorted.get(below)?, *sorted.get(below + 1).or(sorted.last())?);
    let (part, difference) = (place - place.floor(), high - low);
    Some(if part >= 0.5 { high - difference * (1.0 - part) } else { low + difference * part })
}

/// Returns the value nearest to a number that has two decimals, as Python's `round(value, 2)`.
pub(super) fn round_2(value: f64) -> f64 {
    // Both the formatting and the reading are exact, halves go to the even digit.
    format!("{value:.2}").parse().unwrap_or(value)
}

/// Returns the same as numpy computes it: scaled, rounded, scaled back.
pub(super) fn round_2_scaled(value: f64) -> f64 {
    (value * 100.0).round_ties_even() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "a count of entries")]
fn count(values: &[f64]) -> f64 {
    values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Python 3.11: `statistics.{mean,variance,stdev}` and `numpy.percentile` of the same lists.
    #[test]
    fn the_last_digit_is_pythons() {
        let values = [0.42, 0.265, 1.279, 2.5, 0.1, 0.1];
        assert_eq!(mean(&values), Some(0.7773333333333333));
        assert_eq!(variance(&values), Some((0.9053966666666666, 0.9515233400535515)));
        assert_eq!(percentile(&values, 95.0), Some(2.19475));
        assert_eq!(mean(&[0.1; 10]), Some(0.1));
        assert_eq!(variance(&[0.1; 10]), Some((0.0, 0.0)));
        assert_eq!(sum(&[1e16, 1.0, -1e16]), 1.0);
        assert_eq!((mean(&[]), variance(&[1.0]), percentile(&[], 95.0)), (None, None, None));
        assert_eq!(percentile(&[3.0], 95.0), Some(3.0));
        // 0.125 is a tie and goes to the even digit; 2.675 lies below the tie.
        assert_eq!([round_2(0.125), round_2(2.675), round_2_scaled(2.675)], [0.12, 2.67, 2.68]);
    }
}
