//! How variants did, as text.

use crate::{
    report::{Align, TextTable},
    table::{CategoryRow, ComparisonRow, FlipRow, SpreadRow},
};

/// Flipped samples that are named, of each kind.
const NAMED: usize = 10;

/// Returns a comparison: accuracy with its Wilson 95 % interval, and the difference to the baseline with the p-value of
/// McNemar's exact test.
pub fn comparison_text(rows: &[ComparisonRow]) -> String {
    let mut table = TextTable::new(&[
        ("model", Align::Left),
        ("correct", Align::Right),
        ("accuracy", Align::Right),
        ("95 % interval", Align::Right),
        ("parsed", Align::Right),
        ("executed", Align::Right),
        ("delta", Align::Right),
        ("p", Align::Right),
    ]);
    for row in rows {
        table.row([
            model(&row.label, &row.variant),
            format!("{}/{}", row.correct, row.samples),
            percent(row.accuracy),
            interval(row.ci_low, row.ci_high),
            percent(row.parsed),
            percent(row.executed),
            delta(row.delta),
            p_value(row.p_value),
        ]);
    }
    table.to_string()
}

/// Returns the comparison category by category.
pub fn categories_text(rows: &[CategoryRow]) -> String {
    let mut table = TextTable::new(&[
        ("category", Align::Left),
        ("model", Align::Left),
        ("correct", Align::Right),
        ("accuracy", Align::Right),
        ("95 % interval", Align::Right),
        ("delta", Align::Right),
        ("fixed", Align::Right),
        ("broken", Align::Right),
        ("p", Align::Right),
    ]);
    let mut sorted: Vec<&CategoryRow> = rows.iter().collect();
    sorted.sort_by(|left, right| left.category.cmp(&right.category));
    for row in sorted {
        table.row([
            row.category.clone(),
            model(&row.label, &row.variant),
            format!("{}/{}", row.correct, row.samples),
            percent(row.accuracy),
            interval(row.ci_low, row.ci_high),
            delta(row.delta),
            row.fixed.to_string(),
            row.broken.to_string(),
            p_value(row.p_value),
        ]);
    }
    table.to_string()
}

/// Returns how many samples flipped against the baseline, and the first of them.
pub fn flips_text(rows: &[FlipRow]) -> String {
    let mut table = TextTable::new(&[
        ("model", Align::Left),
        ("change", Align::Left),
        ("samples", Align::Right),
        ("which", Align::Left),
    ]);
    for group in rows.chunk_by(|left, right| {
        (&left.label, &left.variant, &left.change) == (&right.label, &right.variant, &right.change)
    }) {
        let ids: Vec<&str> = group.iter().take(NAMED).map(|row| row.sample_id.as_str()).collect();
        let more = if group.len() > NAMED { " …" } else { "" };
        let FlipRow { label, variant, change, .. } = &group[0];
        table.row([model(label, variant), change.clone(), group.len().to_string(), format!("{}{more}", ids.join(" "))]);
    }
    table.to_string()
}

/// Returns how far apart scores lie.
pub fn spread_text(rows: &[SpreadRow]) -> String {
    let mut table = TextTable::new(&[
        ("spread of", Align::Left),
        ("scores", Align::Right),
        ("mean", Align::Right),
        ("lowest", Align::Right),
        ("highest", Align::Right),
        ("max delta", Align::Right),
        ("deviation", Align::Right),
        ("worst", Align::Left),
        ("best", Align::Left),
    ]);
    for row in rows {
        table.row([
            if row.label.is_empty() { "all".to_owned() } else { row.label.clone() },
            row.scores.to_string(),
            percent(row.mean),
            percent(row.lowest),
            percent(row.highest),
            format!("{:.1}", row.max_delta),
            format!("{:.1}", row.deviation),
            row.worst.clone(),
            row.best.clone(),
        ]);
    }
    table.to_string()
}

fn model(label: &str, variant: &str) -> String {
    if variant.is_empty() { label.to_owned() } else { format!("{label} @ {variant}") }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(super) fn interval(low: f64, high: f64) -> String {
    format!("{:.1} - {:.1} %", 100.0 * low, 100.0 * high)
}

fn delta(value: f64) -> String {
    if value.is_nan() { String::new() } else { format!("{:+.1}", 100.0 * value) }
}

fn p_value(value: f64) -> String {
    if value.is_nan() { String::new() } else { format!("{value:.2e}") }
}
