//! Shares, their intervals, chances of several attempts, and the test of paired answers. Sums, products and square roots
//! only, so that every platform computes the same bits.
//!
//! Pure: counts in, numbers out. The tests compare with scipy and statsmodels (`tests/fixtures/statistics`).

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Returns `part / whole`; `whole` is not 0.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// Returns the Wilson score interval (95 %) of a share that was found among `whole` independent samples; NaN without any.
///
/// Answers to one sample are not independent: where there are several, `share` is over all answers and `whole` counts
/// samples. That is as if a sample's answers were all alike, so the interval is never too narrow.
///
/// Source: Wilson, Probable inference, the law of succession, and statistical inference (JASA 1927).
pub fn wilson(share: f64, whole: usize) -> (f64, f64) {
    if whole == 0 {
        return (f64::NAN, f64::NAN);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    let n = whole as f64;
    let scale = 1.0 / (1.0 + Z * Z / n);
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    (((centre - spread) * scale).max(0.0), ((centre + spread) * scale).min(1.0))
}

/// Returns the chance that at least one of `k` answers is right, estimated without bias from `right` of `of` answers:
/// `1 − C(of − right, k) / C(of, k)`. `None` for more answers than there are.
///
/// Source: Chen et al., Evaluating large language models trained on code (arXiv 2107.03374), equation 1, in the product
/// form of its figure 3.
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
pub fn pass_at(k: usize, right: usize, of: usize) -> Option<f64> {
    if k == 0 || k > of || right > of {
        return None;
    }
    if of - right < k {
        return Some(1.0);
    }
    let all_wrong: f64 = (of - right + 1..=of).map(|i| 1.0 - k as f64 / i as f64).product();
    Some(1.0 - all_wrong)
}

/// Returns the chance that all of `k` answers are right, estimated without bias from `right` of `of` answers:
/// `C(right, k) / C(of, k)`. `None` for more answers than there are.
///
/// Source: Yao et al., τ-bench (arXiv 2406.12045), section 3.
#[expect(clippy::cast_precision_loss, reason = "counts of answers")]
pub fn pass_all(k: usize, right: usize, of: usize) -> Option<f64> {
    if k == 0 || k > of || right > of {
        return None;
    }
    Some((0..k).map(|i| right.saturating_sub(i) as f64 / (of - i) as f64).product())
}

/// Returns the mean and the sample standard deviation (n − 1); of fewer than two values the deviation is 0, of none the
/// mean is NaN.
#[expect(clippy::cast_precision_loss, reason = "few values")]
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return (mean, 0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (n - 1.0)).sqrt())
}

/// Returns the value that a share `quantile` of the values do not exceed, between two of them in a line (numpy's default);
/// NaN of none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places in a list of values, not negative"
)]
pub fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = quantile.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Returns the two-sided exact McNemar p-value: `2 P(X <= min(lost, won))` for `X` binomial with `lost + won` throws of
/// a fair coin, at most 1. Only samples on which the two disagree count. On samples with more or fewer right answers of
/// several it is the sign test.
///
/// Source: McNemar (Psychometrika 1947), in its exact binomial form.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub fn mcnemar(lost: usize, won: usize) -> f64 {
    let (n, k) = (lost + won, lost.min(won));
    // P(X = k), its halvings interleaved with its factors so that nothing under- or overflows.
    let (mut term, mut halvings) = (1.0_f64, n);
    for i in 1..=k {
        term *= (n - k + i) as f64 / i as f64;
        while term > 1.0 && halvings > 0 {
            term *= 0.5;
            halvings -= 1;
        }
    }
    for _ in 0..halvings {
        term *= 0.5;
    }
    // P(X = j - 1) = P(X = j) j / (n - j + 1).
    let mut sum = 0.0;
    for j in (0..=k).rev() {
        sum += term;
        term *= j as f64 / (n - j + 1) as f64;
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Values of scipy, statsmodels and numpy, with the script that made them beside the file.
    fn golden(name: &str) -> Vec<Value> {
        let text = include_str!("../../tests/fixtures/statistics/golden.json");
        serde_json::from_str::<Value>(text).unwrap()[name].as_array().unwrap().clone()
    }

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    }

    fn whole(value: &Value) -> usize {
        usize::try_from(value.as_u64().unwrap()).unwrap()
    }

    fn near(found: f64, expected: f64, what: &dyn std::fmt::Debug) {
        let scale = expected.abs().max(1e-12);
        assert!((found - expected).abs() <= 1e-9 * scale, "{found} is not {expected}: {what:?}");
    }

    #[test]
    fn wilson_intervals_are_those_of_statsmodels() {
        for case in golden("wilson") {
            let (part, n) = (whole(&case["part"]), whole(&case["whole"]));
            let (low, high) = wilson(share(part, n), n);
            near(low, case["low"].as_f64().unwrap().max(0.0), &case);
            near(high, case["high"].as_f64().unwrap(), &case);
        }
        assert!(wilson(f64::NAN, 0).0.is_nan());
    }

    #[test]
    fn mcnemar_is_that_of_statsmodels() {
        for case in golden("mcnemar") {
            near(mcnemar(whole(&case["lost"]), whole(&case["won"])), case["p"].as_f64().unwrap(), &case);
        }
        // By hand: 2 (1 + 10 + 45) / 2^10; beyond what statsmodels holds.
        near(mcnemar(2, 8), 112.0 / 1024.0, &"2, 8");
        near(mcnemar(0, 0), 1.0, &"0, 0");
        assert!((0.0..1e-300).contains(&mcnemar(0, 2000)));
    }

    #[test]
    fn chances_of_several_attempts_are_shares_of_all_choices() {
        for case in golden("passes") {
            let (k, right, of) = (whole(&case["k"]), whole(&case["right"]), whole(&case["of"]));
            near(pass_at(k, right, of).unwrap(), case["any"].as_f64().unwrap(), &case);
            near(pass_all(k, right, of).unwrap(), case["all"].as_f64().unwrap(), &case);
        }
        assert_eq!((pass_at(3, 1, 2), pass_all(3, 1, 2), pass_at(0, 1, 2)), (None, None, None));
    }

    #[test]
    fn spreads_and_quantiles_are_those_of_numpy() {
        for case in golden("spread") {
            let values = numbers(&case["values"]);
            let (mean, deviation) = mean_and_deviation(&values);
            near(mean, case["mean"].as_f64().unwrap(), &case);
            near(deviation, case["deviation"].as_f64().unwrap(), &case);
            near(quantile(&values, 0.5), case["median"].as_f64().unwrap(), &case);
            near(quantile(&values, 0.95), case["p95"].as_f64().unwrap(), &case);
        }
        assert!(quantile(&[], 0.5).is_nan() && mean_and_deviation(&[]).0.is_nan());
        assert_eq!(mean_and_deviation(&[0.5]), (0.5, 0.0));
    }
}
