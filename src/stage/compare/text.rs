//! A comparison as plain text.

use std::fmt::Write as _;

use crate::table::{CategoryRow, ComparisonRow, FlipRow, SpreadRow};

/// Flipped samples that are named, of each kind.
const NAMED: usize = 10;

/// Returns the tables as text: the comparison, then the categories if there are several, the flips and the spread if
/// there are any.
pub(super) fn render(
    rows: &[ComparisonRow],
    categories: &[CategoryRow],
    flips: &[FlipRow],
    spread: &[SpreadRow],
) -> String {
    let mut text = comparison(rows);
    if categories.iter().any(|row| row.category != categories[0].category) {
        text.push_str("\nby category\n");
        text.push_str(&by_category(categories));
    }
    if !flips.is_empty() {
        text.push_str("\nsamples that flipped against the baseline\n");
        flipped(&mut text, flips);
    }
    if !spread.is_empty() {
        text.push_str("\nspread\n");
    }
    for row in spread {
        let label = if row.label.is_empty() { "all" } else { &row.label };
        let _ = writeln!(
            text,
            "{label}: {} scores, mean {}, {} ({}) to {} ({}): max delta {:.1} points, standard deviation {:.1} points",
            row.scores,
            percent(row.mean),
            percent(row.lowest),
            row.worst,
            percent(row.highest),
            row.best,
            row.max_delta,
            row.deviation
        );
    }
    text
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn delta(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{:+.1}", 100.0 * value) }
}

fn p_value(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.4}") }
}

fn interval(low: f64, high: f64) -> String {
    format!("{:.1} - {:.1} %", 100.0 * low, 100.0 * high)
}

fn comparison(rows: &[ComparisonRow]) -> String {
    let heads = ["scores", "variant", "correct", "accuracy", "95 % interval", "parsed", "executed", "delta", "p"];
    let lines = rows.iter().map(|row| {
        [
            row.label.clone(),
            row.variant.clone(),
            format!("{} / {}", row.correct, row.samples),
            percent(row.accuracy),
            interval(row.ci_low, row.ci_high),
            percent(row.parsed),
            percent(row.executed),
            delta(row.delta),
            p_value(row.p_value),
        ]
    });
    aligned(heads, 2, lines)
}

fn by_category(rows: &[CategoryRow]) -> String {
    let heads =
        ["category", "scores", "variant", "correct", "accuracy", "95 % interval", "delta", "fixed", "broken", "p"];
    let mut sorted: Vec<&CategoryRow> = rows.iter().collect();
    sorted.sort_by(|left, right| left.category.cmp(&right.category));
    let lines = sorted.into_iter().map(|row| {
        [
            row.category.clone(),
            row.label.clone(),
            row.variant.clone(),
            format!("{} / {}", row.correct, row.samples),
            percent(row.accuracy),
            interval(row.ci_low, row.ci_high),
            delta(row.delta),
            row.fixed.to_string(),
            row.broken.to_string(),
            p_value(row.p_value),
        ]
    });
    aligned(heads, 3, lines)
}

fn flipped(text: &mut String, flips: &[FlipRow]) {
    let mut names: Vec<(&str, &str)> = flips.iter().map(|row| (row.label.as_str(), row.variant.as_str())).collect();
    names.dedup();
    for (label, variant) in names {
        for change in ["fixed", "broken"] {
            let ids: Vec<&str> = flips
                .iter()
                .filter(|row| row.label == label && row.variant == variant && row.change == change)
                .map(|row| row.sample_id.as_str())
                .collect();
            let name = if variant.is_empty() { label.to_owned() } else { format!("{label} @ {variant}") };
            let more = if ids.len() > NAMED { " …" } else { "" };
            let shown = ids.iter().take(NAMED).copied().collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "{}", format!("{name}: {} {change}  {shown}{more}", ids.len()).trim_end());
        }
    }
}

/// Pads columns to their widest cell; the first `left` of them hold words.
fn aligned<const N: usize>(heads: [&str; N], left: usize, rows: impl Iterator<Item = [String; N]>) -> String {
    let lines: Vec<[String; N]> = std::iter::once(heads.map(str::to_owned)).chain(rows).collect();
    let widths: Vec<usize> =
        (0..N).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if index < left { write!(row, "{cell:<width$}  ") } else { write!(row, "{cell:>width$}  ") };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
