//! How far apart scores of the same samples lie: BFCL's format sensitivity, for any variants.
//!
//! Source: BFCL v4 reports, over the accuracies of one model under many prompt formats, the largest difference and the
//! sample standard deviation, in points.

use crate::{
    stage::statistics,
    table::{ComparisonRow, SpreadRow},
};

/// Returns a row for each label that several scores share, in the order of the comparison, and one with an empty label for
/// all scores if there are several and they do not share one.
pub(super) fn spread(rows: &[ComparisonRow]) -> Vec<SpreadRow> {
    let mut labels: Vec<&str> = Vec::new();
    for row in rows {
        if !labels.contains(&row.label.as_str()) {
            labels.push(&row.label);
        }
    }
    let mut groups: Vec<(&str, Vec<(&ComparisonRow, String)>)> = labels
        .iter()
        .map(|label| {
            let sharing = rows.iter().filter(|row| row.label == *label);
            (*label, sharing.map(|row| (row, row.variant.clone())).collect())
        })
        .collect();
    if labels.len() > 1 {
        let full = |row: &ComparisonRow| match row.variant.as_str() {
            "" => row.label.clone(),
            variant => format!("{} @ {variant}", row.label),
        };
        groups.push(("", rows.iter().map(|row| (row, full(row))).collect()));
    }
    groups.into_iter().filter(|(_, rows)| rows.len() > 1).map(|(label, rows)| of_group(label, &rows)).collect()
}

fn of_group(label: &str, rows: &[(&ComparisonRow, String)]) -> SpreadRow {
    let accuracies: Vec<f64> = rows.iter().map(|(row, _)| row.accuracy).collect();
    let (mean, deviation) = statistics::mean_and_deviation(&accuracies);
    // The first of equals, both ways.
    let (mut worst, mut best) = (0, 0);
    for (index, accuracy) in accuracies.iter().enumerate() {
        if *accuracy < accuracies[worst] {
            worst = index;
        }
        if *accuracy > accuracies[best] {
            best = index;
        }
    }
    let (lowest, highest) = (accuracies[worst], accuracies[best]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "few inputs")]
    SpreadRow {
        label: label.to_owned(),
        scores: rows.len() as i32,
        mean,
        lowest,
        highest,
        max_delta: 100.0 * (highest - lowest),
        deviation: 100.0 * deviation,
        worst: rows[worst].1.clone(),
        best: rows[best].1.clone(),
    }
}
