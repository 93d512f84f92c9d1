//! API-Bank calls that the official evaluator judged: `correct` and `reason` have to be the same.
//!
//! A row is `{"id", "api_name", "model_output", "gold_params", "gold_result", "correct", "reason"}`; what else it has is
//! not looked at.

use serde::Deserialize;
use serde_json::{Map, Value};
use toolexpander::tools::api_bank::{Recorded, official};

#[derive(Deserialize)]
struct Row {
    id: String,
    api_name: String,
    model_output: String,
    gold_params: Option<Map<String, Value>>,
    gold_result: Map<String, Value>,
    correct: Option<bool>,
    reason: Option<String>,
}

/// The id of a row, and why it does not match if it does not.
type Checked = (String, Result<(), String>);

/// Returns, for each row of a file of lines, its id and what is different.
///
/// # Errors
/// What is wrong with the file itself.
pub fn check(text: &str) -> anyhow::Result<Vec<Checked>> {
    let rows = text.lines().filter(|line| !line.trim().is_empty());
    rows.map(|line| {
        let row: Row = serde_json::from_str(line)?;
        Ok((row.id.clone(), compare(row)))
    })
    .collect()
}

fn compare(row: Row) -> Result<(), String> {
    let gold = Recorded { name: row.api_name, arguments: row.gold_params.unwrap_or_default(), result: row.gold_result };
    let verdict = official(&row.model_output, &gold);
    if row.correct != Some(verdict.correct) {
        return Err(format!("correct: expected {:?}, found {} ({:?})", row.correct, verdict.correct, verdict.reason));
    }
    if row.reason != verdict.reason {
        return Err(format!("reason: expected {:?}, found {:?}", row.reason, verdict.reason));
    }
    Ok(())
}
