//! `compare`: score tables side by side.

mod statistics;

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    stage::{StageCtx, StageError},
    table::{ComparisonRow, ScoreRow},
};

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let baseline = context.input_tables::<ScoreRow>("baseline")?.into_iter().next();
    let origin = context.artifacts("baseline").first().map(|input| (input.label.clone(), input.digest));
    let scored = context.input_tables::<ScoreRow>("scores")?;
    if scored.is_empty() {
        return Err(StageError::Port { port: "scores".into(), reason: "nothing is connected to compare".into() });
    }
    // The baseline gets a row of its own; where it is also among the scores, it is not listed twice.
    let again: Vec<bool> = context
        .artifacts("scores")
        .iter()
        .map(|input| origin.as_ref().is_some_and(|(label, digest)| *label == input.label && *digest == input.digest))
        .collect();
    let mut rows = Vec::new();
    if let Some((label, scores)) = &baseline {
        rows.push(compare(label, scores, Some((label, scores)))?);
    }
    for ((label, scores), _) in scored.iter().zip(again).filter(|(_, again)| !again) {
        rows.push(compare(
            label,
            scores,
            baseline.as_ref().map(|(label, scores)| (label.as_str(), scores.as_slice())),
        )?);
    }
    let text = render(&rows);
    context.log(text.clone());
    context.write_table("comparison", &rows)?;
    context.write_file("text", text.as_bytes())
}

/// Returns the rows by sample.
fn by_sample<'a>(label: &str, scores: &'a [ScoreRow]) -> Result<BTreeMap<&'a str, &'a ScoreRow>, StageError> {
    let map: BTreeMap<_, _> = scores.iter().map(|row| (row.sample_id.as_str(), row)).collect();
    let place = || format!("scores of `{label}`");
    if map.is_empty() {
        return Err(StageError::data(place(), "hold no sample", "evaluate on a table that has rows"));
    }
    if map.len() < scores.len() {
        return Err(StageError::data(place(), "score a sample twice", "give every sample its own id"));
    }
    Ok(map)
}

fn compare(
    label: &str,
    scores: &[ScoreRow],
    baseline: Option<(&str, &[ScoreRow])>,
) -> Result<ComparisonRow, StageError> {
    let samples = by_sample(label, scores)?;
    let count = |test: fn(&ScoreRow) -> bool| samples.values().filter(|row| test(row)).count();
    let (total, correct) = (samples.len(), count(|row| row.correct));
    let (ci_low, ci_high) = statistics::wilson(correct, total);
    let (delta, p_value) = match baseline {
        None => (f64::NAN, f64::NAN),
        Some((name, baseline)) => against(label, &samples, name, &by_sample(name, baseline)?)?,
    };
    let (name, variant) = label.split_once(" @ ").unwrap_or((label, ""));
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "tables have fewer rows than 2^31")]
    Ok(ComparisonRow {
        label: name.to_owned(),
        variant: variant.to_owned(),
        samples: total as i32,
        correct: correct as i32,
        accuracy: statistics::share(correct, total),
        ci_low,
        ci_high,
        parsed: statistics::share(count(|row| row.parsed), total),
        executed: statistics::share(count(|row| row.executed), total),
        delta,
        p_value,
    })
}

/// Returns the difference in accuracy to the baseline and its p-value.
fn against(
    label: &str,
    samples: &BTreeMap<&str, &ScoreRow>,
    name: &str,
    baseline: &BTreeMap<&str, &ScoreRow>,
) -> Result<(f64, f64), StageError> {
    let odd = samples.keys().find(|id| !baseline.contains_key(*id)).map(|id| (label, name, id));
    let odd = odd.or_else(|| baseline.keys().find(|id| !samples.contains_key(*id)).map(|id| (name, label, id)));
    if let Some((with, without, id)) = odd {
        return Err(StageError::data(
            format!("scores of `{with}` and `{without}`"),
            format!("are about different samples: `{id}` is only in `{with}`"),
            "evaluate all of them on the same table",
        ));
    }
    let lost = baseline.iter().filter(|(id, row)| row.correct && !samples[*id].correct).count();
    let won = baseline.iter().filter(|(id, row)| !row.correct && samples[*id].correct).count();
    let difference = statistics::share(won, samples.len()) - statistics::share(lost, samples.len());
    Ok((difference, statistics::mcnemar(lost, won)))
}

/// Returns the rows as a plain text table.
fn render(rows: &[ComparisonRow]) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut lines = vec![
        ["scores", "variant", "correct", "accuracy", "95 % interval", "parsed", "executed", "delta", "p"]
            .map(str::to_owned),
    ];
    for row in rows {
        lines.push([
            row.label.clone(),
            row.variant.clone(),
            format!("{} / {}", row.correct, row.samples),
            percent(row.accuracy),
            format!("{:.1} - {:.1} %", 100.0 * row.ci_low, 100.0 * row.ci_high),
            percent(row.parsed),
            percent(row.executed),
            if row.delta.is_nan() { "-".to_owned() } else { format!("{:+.1}", 100.0 * row.delta) },
            if row.p_value.is_nan() { "-".to_owned() } else { format!("{:.4}", row.p_value) },
        ]);
    }
    let widths: Vec<usize> =
        (0..9).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = String::new();
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if index < 2 { write!(row, "{cell:<width$}  ") } else { write!(row, "{cell:>width$}  ") };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
