//! What the scores of one evaluation come to, as text.

use crate::{
    report::{Align, TextTable, comparison::interval},
    table::BreakdownRow,
};

/// Returns tables of shares, errors, categories, tools and tokens; those that have no rows are left out.
pub fn breakdown_text(rows: &[BreakdownRow]) -> String {
    let all = |row: &&BreakdownRow| row.scope == "all";
    let tables = [
        shares(&rows.iter().filter(all).collect::<Vec<_>>()),
        errors(&rows.iter().filter(all).collect::<Vec<_>>()),
        groups("category", rows),
        groups("tool", rows),
    ];
    let texts: Vec<String> = tables.iter().filter(|table| !table.is_empty()).map(ToString::to_string).collect();
    texts.join("\n")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn counted(row: &BreakdownRow) -> String {
    format!("{}/{}", row.count, row.total)
}

/// Everything about all samples but the errors.
fn shares(rows: &[&BreakdownRow]) -> TextTable {
    let mut table = TextTable::new(&[
        ("measure", Align::Left),
        ("count", Align::Right),
        ("value", Align::Right),
        ("95 % interval", Align::Right),
    ]);
    for row in rows.iter().filter(|row| !row.measure.starts_with("error:")) {
        if row.measure.ends_with("-tokens") {
            table.row([row.measure.clone(), format!("{}", row.count), format!("{:.1}  ", row.value)]);
            continue;
        }
        let count = if row.measure.starts_with("pass") { String::new() } else { counted(row) };
        table.row([row.measure.clone(), count, percent(row.value), interval(row.ci_low, row.ci_high)]);
    }
    table
}

fn errors(rows: &[&BreakdownRow]) -> TextTable {
    let mut table = TextTable::new(&[
        ("error", Align::Left),
        ("count", Align::Right),
        ("share", Align::Right),
        ("95 % interval", Align::Right),
        ("examples", Align::Left),
    ]);
    for row in rows {
        let Some(name) = row.measure.strip_prefix("error:") else { continue };
        let examples: Vec<String> = serde_json::from_str(&row.examples).unwrap_or_default();
        let (count, interval) = (counted(row), interval(row.ci_low, row.ci_high));
        table.row([name.to_owned(), count, percent(row.value), interval, examples.join(" ")]);
    }
    table
}

/// A line for each category or tool, with the commonest error where it is known.
fn groups(scope: &str, rows: &[BreakdownRow]) -> TextTable {
    let mut table = TextTable::new(&[
        (scope, Align::Left),
        ("correct", Align::Right),
        ("accuracy", Align::Right),
        ("95 % interval", Align::Right),
        (if scope == "tool" { "" } else { "commonest error" }, Align::Left),
    ]);
    for row in rows.iter().filter(|row| row.scope == scope && row.measure == "correct") {
        let error = rows
            .iter()
            .find(|other| other.scope == scope && other.name == row.name && other.measure.starts_with("error:"))
            .map(|other| format!("{} {}", other.measure.trim_start_matches("error:"), counted(other)));
        table.row([
            row.name.clone(),
            counted(row),
            percent(row.value),
            interval(row.ci_low, row.ci_high),
            error.unwrap_or_default(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scope: &str, name: &str, measure: &str, count: f64, total: i64) -> BreakdownRow {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let value = count / total as f64;
        BreakdownRow {
            scope: scope.into(),
            name: name.into(),
            measure: measure.into(),
            count,
            total,
            value,
            ci_low: value / 2.0,
            ci_high: value,
            examples: r#"["s1","s7"]"#.into(),
        }
    }

    #[test]
    fn an_evaluation_is_a_few_tables() {
        let rows = [
            row("all", "", "correct", 3.0, 8),
            row("all", "", "pass@2", 2.5, 4),
            row("all", "", "error:value", 5.0, 8),
            row("all", "", "completion-tokens", 84.0, 8),
            row("category", "simple", "correct", 3.0, 8),
            row("category", "simple", "error:value", 5.0, 8),
            row("tool", "pay", "correct", 3.0, 8),
        ];
        insta::assert_snapshot!(breakdown_text(&rows), @r"
measure            count   value  95 % interval
correct              3/8  37.5 %  18.8 - 37.5 %
pass@2                    62.5 %  31.2 - 62.5 %
completion-tokens     84  10.5

error  count   share  95 % interval  examples
value    5/8  62.5 %  31.2 - 62.5 %  s1 s7

category  correct  accuracy  95 % interval  commonest error
simple        3/8    37.5 %  18.8 - 37.5 %  value 5/8

tool  correct  accuracy  95 % interval
pay       3/8    37.5 %  18.8 - 37.5 %
");
    }
}
