//! The scores of one input, by sample.

use std::collections::BTreeMap;

use crate::{
    stage::{StageError, statistics},
    table::{CategoryRow, ComparisonRow, FlipRow, ScoreRow},
};

/// What became of one sample.
#[derive(Default)]
pub(super) struct Tally<'a> {
    category: &'a str,
    right: usize,
    of: usize,
    /// The type of the first error.
    error: &'a str,
}

impl Tally<'_> {
    fn share(&self) -> f64 {
        statistics::share(self.right, self.of)
    }

    /// Returns how its share of right answers compares with another's, exactly.
    fn against(&self, other: &Self) -> std::cmp::Ordering {
        (self.right * other.of).cmp(&(other.right * self.of))
    }
}

/// The scores of one input.
pub(super) struct Scored<'a> {
    pub(super) label: &'a str,
    samples: BTreeMap<&'a str, Tally<'a>>,
    parsed: usize,
    executed: usize,
}

/// How the samples of one input differ from the baseline's.
struct Difference {
    delta: f64,
    fixed: usize,
    broken: usize,
    p_value: f64,
}

impl<'a> Scored<'a> {
    /// Gathers the scores of the input `label`.
    ///
    /// # Errors
    /// No score, or two of one attempt at a sample.
    pub(super) fn new(label: &'a str, scores: &'a [ScoreRow]) -> Result<Self, StageError> {
        let place = || format!("scores of `{label}`");
        if scores.is_empty() {
            return Err(StageError::data(place(), "hold no sample", "evaluate on a table that has rows"));
        }
        let mut attempts: Vec<(&str, i32)> = scores.iter().map(|row| (row.sample_id.as_str(), row.attempt)).collect();
        attempts.sort_unstable();
        if attempts.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(StageError::data(place(), "score a sample twice", "give every sample its own id"));
        }
        let mut samples: BTreeMap<&str, Tally> = BTreeMap::new();
        for row in scores {
            let tally = samples.entry(&row.sample_id).or_default();
            tally.category = &row.category;
            tally.of += 1;
            tally.right += usize::from(row.correct);
            if tally.error.is_empty() && !row.correct {
                tally.error = &row.error_type;
            }
        }
        let count = |test: fn(&ScoreRow) -> bool| scores.iter().filter(|row| test(row)).count();
        Ok(Self { label, samples, parsed: count(|row| row.parsed), executed: count(|row| row.executed) })
    }

    /// Returns the label without its variant, and the variant.
    pub(super) fn names(&self) -> (&'a str, &'a str) {
        self.label.split_once(" @ ").unwrap_or((self.label, ""))
    }

    /// Checks that both are about the same samples.
    pub(super) fn check_samples(&self, baseline: &Self) -> Result<(), StageError> {
        let only = |one: &Self, other: &Self| one.samples.keys().find(|id| !other.samples.contains_key(*id)).copied();
        let odd = only(self, baseline).map(|id| (self.label, baseline.label, id));
        let odd = odd.or_else(|| only(baseline, self).map(|id| (baseline.label, self.label, id)));
        let Some((with, without, id)) = odd else { return Ok(()) };
        Err(StageError::data(
            format!("scores of `{with}` and `{without}`"),
            format!("are about different samples: `{id}` is only in `{with}`"),
            "evaluate all of them on the same table",
        ))
    }

    /// Returns the categories, sorted.
    fn categories(&self) -> Vec<&'a str> {
        let mut categories: Vec<&str> = self.samples.values().map(|tally| tally.category).collect();
        categories.sort_unstable();
        categories.dedup();
        categories
    }

    /// Right answers, answers and samples, of a category or of all.
    fn counts(&self, category: Option<&str>) -> (usize, usize, usize) {
        let chosen = self.samples.values().filter(|tally| category.is_none_or(|it| it == tally.category));
        chosen.fold((0, 0, 0), |(right, of, samples), tally| (right + tally.right, of + tally.of, samples + 1))
    }

    /// Compares the samples of a category, or all, with the baseline's.
    fn difference(&self, baseline: Option<&Self>, category: Option<&str>) -> Difference {
        let Some(baseline) = baseline else {
            return Difference { delta: f64::NAN, fixed: 0, broken: 0, p_value: f64::NAN };
        };
        let (mut gain, mut loss, mut all, mut fixed, mut broken) = (0.0, 0.0, 0_usize, 0, 0);
        for (id, tally) in &self.samples {
            if category.is_some_and(|it| it != tally.category) {
                continue;
            }
            let Some(before) = baseline.samples.get(id) else { continue };
            all += 1;
            match tally.against(before) {
                std::cmp::Ordering::Greater => {
                    fixed += 1;
                    gain += tally.share() - before.share();
                }
                std::cmp::Ordering::Less => {
                    broken += 1;
                    loss += before.share() - tally.share();
                }
                std::cmp::Ordering::Equal => {}
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        let all = all as f64;
        Difference { delta: gain / all - loss / all, fixed, broken, p_value: statistics::mcnemar(broken, fixed) }
    }

    /// Returns the row of the comparison.
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "tables have fewer rows than 2^31")]
    pub(super) fn comparison(&self, baseline: Option<&Self>) -> ComparisonRow {
        let (correct, answers, samples) = self.counts(None);
        let accuracy = statistics::share(correct, answers);
        let (ci_low, ci_high) = statistics::wilson(accuracy, samples);
        let Difference { delta, p_value, .. } = self.difference(baseline, None);
        let (label, variant) = self.names();
        ComparisonRow {
            label: label.to_owned(),
            variant: variant.to_owned(),
            samples: answers as i32,
            correct: correct as i32,
            accuracy,
            ci_low,
            ci_high,
            parsed: statistics::share(self.parsed, answers),
            executed: statistics::share(self.executed, answers),
            delta,
            p_value,
        }
    }

    /// Returns a row for each category.
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "tables have fewer rows than 2^31")]
    pub(super) fn by_category(&self, baseline: Option<&Self>) -> Vec<CategoryRow> {
        let (label, variant) = self.names();
        let row = |category: &str| {
            let (correct, answers, samples) = self.counts(Some(category));
            let accuracy = statistics::share(correct, answers);
            let (ci_low, ci_high) = statistics::wilson(accuracy, samples);
            let Difference { delta, fixed, broken, p_value } = self.difference(baseline, Some(category));
            CategoryRow {
                label: label.to_owned(),
                variant: variant.to_owned(),
                category: category.to_owned(),
                samples: answers as i32,
                correct: correct as i32,
                accuracy,
                ci_low,
                ci_high,
                delta,
                fixed: fixed as i32,
                broken: broken as i32,
                p_value,
            }
        };
        self.categories().into_iter().map(row).collect()
    }

    /// Returns the samples on which this and the baseline disagree, the fixed ones first.
    pub(super) fn flips(&self, baseline: &Self) -> Vec<FlipRow> {
        let (label, variant) = self.names();
        let mut rows: Vec<FlipRow> = Vec::new();
        for (change, wanted) in [("fixed", std::cmp::Ordering::Greater), ("broken", std::cmp::Ordering::Less)] {
            for (id, tally) in &self.samples {
                let Some(before) = baseline.samples.get(id).filter(|before| tally.against(before) == wanted) else {
                    continue;
                };
                rows.push(FlipRow {
                    label: label.to_owned(),
                    variant: variant.to_owned(),
                    sample_id: (*id).to_owned(),
                    category: tally.category.to_owned(),
                    change: change.to_owned(),
                    before: before.share(),
                    after: tally.share(),
                    before_error: before.error.to_owned(),
                    after_error: tally.error.to_owned(),
                });
            }
        }
        rows
    }
}
