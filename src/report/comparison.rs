//! How variants did, as text.

use crate::{
    report::{Align, TextTable},
    table::ComparisonRow,
};

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
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    for row in rows {
        table.row([
            if row.variant.is_empty() { row.label.clone() } else { format!("{} @ {}", row.label, row.variant) },
            format!("{}/{}", row.correct, row.samples),
            percent(row.accuracy),
            format!("{:.1} - {:.1} %", 100.0 * row.ci_low, 100.0 * row.ci_high),
            percent(row.parsed),
            percent(row.executed),
            if row.delta.is_nan() { String::new() } else { format!("{:+.1}", 100.0 * row.delta) },
            if row.p_value.is_nan() { String::new() } else { format!("{:.2e}", row.p_value) },
        ]);
    }
    table.to_string()
}
