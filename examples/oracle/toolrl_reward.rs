//! Pairs of a ground truth and a response that ToolRL's own code scored: `oracle toolrl-reward FILE`.
//!
//! A row on which the original raised an exception matches if we say what it tripped over and give a defined score.

use serde::Deserialize;
use toolexpander::tools::reward::toolrl::{Switches, Truth, chatml_answer, score};

use crate::grpo::Checked;

/// How far a score may be from the original's.
const TOLERANCE: f64 = 1e-12;

/// One row. Other fields of the file say how the row was made.
#[derive(Deserialize)]
struct Row {
    id: String,
    ground_truth: String,
    response: String,
    flags: Vec<String>,
    step: u32,
    score: Option<f64>,
    format: Option<f64>,
    correctness: Option<f64>,
    length: Option<f64>,
    official_exception: Option<String>,
}

/// Checks every row of a file of JSON lines.
pub fn check(text: &str) -> Result<Vec<Checked>, String> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .enumerate()
        .map(|(index, line)| {
            let row: Row = serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))?;
            let result = check_row(&row);
            Ok((row.id, result))
        })
        .collect()
}

fn check_row(row: &Row) -> Result<(), String> {
    let switches = Switches::from_variables(&row.flags).map_err(|name| format!("unknown flag `{name}`"))?;
    let (truth, diagnosis) = Truth::defined(&row.ground_truth);
    let ours = score(&truth, chatml_answer(&row.response), &switches, row.step);
    match (&row.official_exception, diagnosis) {
        (None, None) => {}
        (Some(_), Some(_)) if ours.total().is_finite() => return Ok(()),
        (Some(_), Some(_)) => return Err(format!("{ours:?} is no defined score")),
        (Some(exception), None) => return Err(format!("the original raises {exception}, we found nothing wrong")),
        (None, Some(error)) => return Err(format!("the original has a score, we found: {error}")),
    }
    for (part, ours, theirs) in [
        ("format", ours.format, row.format),
        ("correctness", ours.correctness, row.correctness),
        ("length", ours.length, row.length),
        ("score", ours.total(), row.score),
    ] {
        let theirs = theirs.ok_or_else(|| format!("the row has no `{part}`"))?;
        if (ours - theirs).abs() > TOLERANCE || ours.is_nan() {
            return Err(format!("{part} is {ours}, the original gave {theirs}"));
        }
    }
    Ok(())
}
