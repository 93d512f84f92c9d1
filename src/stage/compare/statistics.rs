//! Shares, their intervals, and the test of paired answers. Sums, products and square roots only, so that every
//! platform computes the same bits.

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Returns `part / whole`; `whole` is not 0.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub(super) fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// Returns the Wilson score interval (95 %) of a share of `part` in `whole`.
///
/// Source: Wilson, Probable inference, the law of succession, and statistical inference (JASA 1927).
pub(super) fn wilson(part: usize, whole: usize) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    let n = whole as f64;
    let p = share(part, whole);
    let scale = 1.0 / (1.0 + Z * Z / n);
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    (((centre - spread) * scale).max(0.0), ((centre + spread) * scale).min(1.0))
}

/// Returns the two-sided exact McNemar p-value: `2 P(X <= min(lost, won))` for `X` binomial with `lost + won` throws of
/// a fair coin, at most 1. Only samples on which the two disagree count.
///
/// Source: McNemar (Psychometrika 1947), in its exact binomial form.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub(super) fn mcnemar(lost: usize, won: usize) -> f64 {
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
    use super::{mcnemar, wilson};

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn wilson_intervals_match_published_values() {
        // 21 of 40: 0.375-0.671; statsmodels proportion_confint(method="wilson").
        let (low, high) = wilson(21, 40);
        near((low * 1e3).round(), 375.0);
        near((high * 1e3).round(), 671.0);
        near(wilson(0, 40).0, 0.0);
        near(wilson(40, 40).1, 1.0);
        near(wilson(0, 40).1, Z2 / (40.0 + Z2));
    }

    /// The square of the normal quantile: the upper end at 0 of n is z² / (n + z²).
    const Z2: f64 = 3.841_458_820_694_124;

    #[test]
    fn mcnemar_is_exact() {
        near(mcnemar(0, 0), 1.0);
        near(mcnemar(3, 3), 1.0);
        // 2 / 2^5.
        near(mcnemar(0, 5), 0.0625);
        // 2 (1 + 10 + 45) / 2^10.
        near(mcnemar(2, 8), 112.0 / 1024.0);
        near(mcnemar(8, 2), mcnemar(2, 8));
        let tiny = mcnemar(0, 2000);
        assert!((0.0..1e-300).contains(&tiny));
        // A large balanced table: z = 0.63, p about 0.54; no overflow.
        assert!((0.5..0.6).contains(&mcnemar(490, 510)));
    }
}
