//! Rows of the `samples` table as typed samples.

use std::str::FromStr;

use serde::de::DeserializeOwned;

use crate::{
    stage::StageError,
    table::SampleRow,
    tools::{Environment, Language, Sample},
};

/// Returns the typed form of the rows of the input `samples`.
///
/// # Errors
/// [`StageError::Data`] for a table without rows, an id that occurs twice, or a cell that is not what its column says.
pub(in crate::stage) fn read(rows: &[SampleRow]) -> Result<Vec<Sample>, StageError> {
    if rows.is_empty() {
        return Err(StageError::data("input `samples`", "has no rows", "connect a table that has some"));
    }
    let mut ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        let what = format!("has two samples with the id `{}`", pair[0]);
        return Err(StageError::data("input `samples`", what, "give every sample its own id"));
    }
    rows.iter().map(sample).collect()
}

fn sample(row: &SampleRow) -> Result<Sample, StageError> {
    let environment: Option<Environment> =
        if row.environment.is_empty() { None } else { Some(json(row, "environment", &row.environment)?) };
    Ok(Sample {
        id: row.id.clone(),
        category: row.category.clone(),
        messages: json(row, "messages", &row.messages)?,
        tools: json(row, "tools", &row.tools)?,
        answer: json(row, "answer", &row.answer)?,
        gold: json(row, "gold", &row.gold)?,
        environment,
        language: Language::from_str(&row.language).map_err(|error| broken(row, "language", &error))?,
        demonstrations: json(row, "demonstrations", &row.demonstrations)?,
        round: row.round,
    })
}

fn json<T: DeserializeOwned>(row: &SampleRow, column: &str, text: &str) -> Result<T, StageError> {
    serde_json::from_str(text).map_err(|error| broken(row, column, &error))
}

fn broken(row: &SampleRow, column: &str, error: &dyn std::fmt::Display) -> StageError {
    StageError::data(
        format!("input `samples`, sample `{}`, column `{column}`", row.id),
        format!("is not what the column holds: {error}"),
        "let `prepare-data` write the table, or see `pipeline schema` for the columns",
    )
}
