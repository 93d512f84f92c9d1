//! Fair verdicts beside the official ones, and where they differ.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::summaries;
use crate::{
    table::ReportRow,
    tools::bfcl::{
        Category, Conduct, Difference, Fair, FairVerdict,
        scores::{Board, CategoryScore},
    },
};

/// Fair verdicts of all answers.
#[derive(Default)]
pub(super) struct FairScores {
    /// Right and all answers of each category.
    counts: BTreeMap<Category, (usize, usize)>,
    /// What answers do, by category.
    conduct: BTreeMap<(Category, &'static str), usize>,
    /// Answers with two verdicts, in the order of the entries.
    pub differences: Vec<Value>,
    /// How often each reason made two verdicts.
    reasons: BTreeMap<String, usize>,
}

impl FairScores {
    /// Takes in an episode that was run by either rule; `official` is the official kind of mistake, empty for none.
    pub(super) fn add_run(&mut self, category: Category, id: &str, official: &str, fair: Option<&str>) {
        self.add_episode(category, fair.is_none());
        if official != fair.unwrap_or_default() {
            let valid = if official.is_empty() { "valid" } else { official };
            *self.reasons.entry("run".to_owned()).or_default() += 1;
            self.differences.push(
                json!({ "id": id, "official": valid, "fair": fair.is_none(), "reason": "run", "fair-error": fair }),
            );
        }
    }

    /// Takes in an episode with one verdict.
    pub(super) fn add_episode(&mut self, category: Category, valid: bool) {
        let (right, all) = self.counts.entry(category).or_default();
        *right += usize::from(valid);
        *all += 1;
    }

    /// Judges an answer and takes the verdict in; returns whether it is right, and why that is not the official verdict.
    pub(super) fn add(
        &mut self,
        category: Category,
        id: &str,
        fair: &Fair,
        text: &str,
    ) -> (bool, Option<&'static str>) {
        let FairVerdict { valid, conduct, official, difference } = fair.judge(text);
        self.add_episode(category, valid);
        *self.conduct.entry((category, conduct_name(conduct))).or_default() += 1;
        if let Some(difference) = difference {
            let reason = difference_name(difference);
            *self.reasons.entry(reason.to_owned()).or_default() += 1;
            let official = official.map_or_else(|kind| kind.as_str(), |()| "valid");
            let conduct = conduct_name(conduct);
            self.differences
                .push(json!({ "id": id, "official": official, "fair": valid, "reason": reason, "conduct": conduct }));
        }
        (valid, difference.map(difference_name))
    }

    /// Returns the differences, one a line.
    pub(super) fn lines(&self) -> String {
        self.differences.iter().map(|difference| format!("{difference}\n")).collect()
    }
}

fn conduct_name(conduct: Conduct) -> &'static str {
    match conduct {
        Conduct::Called => "called",
        Conduct::CallApart => "call-apart",
        Conduct::BrokenCall => "broken-call",
        Conduct::Abstained => "abstained",
    }
}

fn difference_name(difference: Difference) -> &'static str {
    match difference {
        Difference::Matching => "matching",
        Difference::Places => "places",
        Difference::Lost => "lost",
        Difference::BrokenCall => "broken-call",
        Difference::CallApart => "call-apart",
    }
}

/// Returns the rows of the report about fair verdicts.
#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
pub(super) fn report(fair: &FairScores) -> Vec<ReportRow> {
    let scored = fair.counts.iter().filter(|(category, _)| **category != Category::FormatSensitivity);
    let scores = scored.map(|(category, (right, all))| (*category, CategoryScore::of(*right, *all)));
    let board = Board::new(scores.collect());
    let mut rows = Vec::new();
    let mut add = |name: String, value: f64| rows.push(ReportRow { name, value });
    for (name, accuracy) in summaries(&board) {
        add(format!("fair.summary.{name}"), accuracy);
    }
    for (category, (right, all)) in &fair.counts {
        add(format!("fair.{category}.correct"), *right as f64);
        add(format!("fair.{category}.accuracy"), *right as f64 / *all as f64);
    }
    let irrelevance = |category: Category| {
        matches!(category, Category::Irrelevance | Category::LiveIrrelevance | Category::LiveRelevance)
    };
    for ((category, conduct), count) in fair.conduct.iter().filter(|((category, _), _)| irrelevance(*category)) {
        add(format!("fair.{category}.{conduct}"), *count as f64);
    }
    for (reason, count) in &fair.reasons {
        add(format!("fair.differences.{reason}"), *count as f64);
    }
    rows
}
