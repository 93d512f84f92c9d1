//! Scores → what they come to: by category and by tool, with intervals, errors and examples.
//!
//! Pure: rows in, rows out, in an order that depends on the rows alone. Which judge made the scores is not known here.

use std::collections::{BTreeMap, BTreeSet};

use super::statistics::{pass_all, pass_at, wilson};
use crate::table::{BreakdownRow, ScoreRow};

/// Samples that an error is shown with.
const EXAMPLES: usize = 3;
/// What the group of samples is called that want no call.
const NO_TOOL: &str = "(none)";

/// What is asked of a row.
type Test = fn(&ScoreRow) -> bool;

const TESTS: [(&str, Test); 6] = [
    ("correct", |row| row.correct),
    ("parsed", |row| row.parsed),
    ("matched", |row| row.matched),
    ("executed", |row| row.executed),
    ("results-equal", |row| row.results_equal),
    ("state-equal", |row| row.state_equal),
];

/// Returns what scores come to: over all, by category, and by tool of the accepted answer (there only what is right).
///
/// Intervals count a sample once, however many attempts at it there are. With several attempts the chances of `pass@K` and
/// `pass^K` follow, for K = 1, 2, 4, … and all.
pub fn breakdown(scores: &[ScoreRow]) -> Vec<BreakdownRow> {
    let mut categories: BTreeMap<&str, Vec<&ScoreRow>> = BTreeMap::new();
    let mut tools: BTreeMap<String, Vec<&ScoreRow>> = BTreeMap::new();
    for row in scores {
        categories.entry(&row.category).or_default().push(row);
        let names: BTreeSet<String> = serde_json::from_str(&row.gold_tools).unwrap_or_default();
        let names = if names.is_empty() { BTreeSet::from([NO_TOOL.to_owned()]) } else { names };
        for name in names {
            tools.entry(name).or_default().push(row);
        }
    }
    let mut rows = Group::new("all", "", scores.iter().collect()).rows();
    for (name, group) in categories {
        rows.extend(Group::new("category", name, group).rows());
    }
    for (name, group) in &tools {
        rows.push(Group::new("tool", name, group.clone()).test(TESTS[0]));
    }
    rows
}

/// The answers that count together.
struct Group<'a> {
    scope: &'static str,
    name: &'a str,
    rows: Vec<&'a ScoreRow>,
    /// Right answers and answers of each sample.
    samples: BTreeMap<&'a str, (usize, usize)>,
}

impl<'a> Group<'a> {
    fn new(scope: &'static str, name: &'a str, rows: Vec<&'a ScoreRow>) -> Self {
        let mut samples: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for row in &rows {
            let (right, of) = samples.entry(&row.sample_id).or_default();
            *right += usize::from(row.correct);
            *of += 1;
        }
        Self { scope, name, rows, samples }
    }

    fn rows(&self) -> Vec<BreakdownRow> {
        let mut rows: Vec<BreakdownRow> = TESTS.into_iter().map(|test| self.test(test)).collect();
        rows.extend(self.chances());
        rows.extend(self.errors());
        rows.push(self.tokens("prompt-tokens", |row| row.prompt_tokens));
        rows.push(self.tokens("completion-tokens", |row| row.completion_tokens));
        rows
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_wrap, reason = "counts of rows")]
    fn cell(&self, measure: impl Into<String>, count: f64, total: usize) -> BreakdownRow {
        let value = count / total as f64;
        let (ci_low, ci_high) = wilson(value, self.samples.len());
        BreakdownRow {
            scope: self.scope.to_owned(),
            name: self.name.to_owned(),
            measure: measure.into(),
            count,
            total: total as i64,
            value,
            ci_low,
            ci_high,
            examples: "[]".to_owned(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    fn test(&self, (name, test): (&str, Test)) -> BreakdownRow {
        self.cell(name, self.rows.iter().filter(|row| test(row)).count() as f64, self.rows.len())
    }

    /// The chances of several attempts, if every sample has several.
    fn chances(&self) -> Vec<BreakdownRow> {
        let attempts = self.samples.values().map(|(_, of)| *of).min().unwrap_or(0);
        if attempts < 2 {
            return Vec::new();
        }
        let mut counts: Vec<usize> =
            std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|k| *k < attempts).collect();
        counts.push(attempts);
        let chance = |name: &str, k: usize, estimate: fn(usize, usize, usize) -> Option<f64>| {
            let sum = self.samples.values().filter_map(|(right, of)| estimate(k, *right, *of)).sum();
            self.cell(format!("{name}{k}"), sum, self.samples.len())
        };
        let at = counts.iter().map(|k| chance("pass@", *k, pass_at));
        let all = counts.iter().map(|k| chance("pass^", *k, pass_all));
        at.chain(all).collect()
    }

    /// The types of errors, the commonest first, with the first samples that have them.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    fn errors(&self) -> Vec<BreakdownRow> {
        let mut types: BTreeMap<&str, (usize, Vec<&str>)> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.error_type.is_empty()) {
            let (count, examples) = types.entry(&row.error_type).or_default();
            *count += 1;
            if examples.len() < EXAMPLES && !examples.contains(&row.sample_id.as_str()) {
                examples.push(&row.sample_id);
            }
        }
        let mut types: Vec<_> = types.into_iter().collect();
        types.sort_by_key(|(name, (count, _))| (std::cmp::Reverse(*count), *name));
        let row = |(name, (count, examples)): (&str, (usize, Vec<&str>))| BreakdownRow {
            examples: serde_json::to_string(&examples).unwrap_or_default(),
            ..self.cell(format!("error:{name}"), count as f64, self.rows.len())
        };
        types.into_iter().map(row).collect()
    }

    fn tokens(&self, name: &str, of: fn(&ScoreRow) -> i32) -> BreakdownRow {
        let sum = self.rows.iter().map(|row| f64::from(of(row))).sum();
        BreakdownRow { ci_low: f64::NAN, ci_high: f64::NAN, ..self.cell(name, sum, self.rows.len()) }
    }
}
