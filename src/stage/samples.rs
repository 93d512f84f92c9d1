//! Sample rows and typed samples: the one conversion between the `samples` table and `tools`.

use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    stage::{StageCtx, StageError},
    table::SampleRow,
    tools::Sample,
};

/// Returns the typed form of a row.
///
/// # Errors
/// [`StageError::Data`] if a JSON column does not hold what it should.
pub fn from_row(row: &SampleRow) -> Result<Sample, StageError> {
    Ok(Sample {
        id: row.id.clone(),
        category: row.category.clone(),
        messages: parse(row, "messages", &row.messages)?,
        tools: parse(row, "tools", &row.tools)?,
        answer: parse(row, "answer", &row.answer)?,
        gold: parse(row, "gold", &row.gold)?,
        environment: if row.environment.is_empty() { None } else { Some(parse(row, "environment", &row.environment)?) },
        language: row.language.parse().map_err(|error| bad(row, "language", &error))?,
        demonstrations: parse(row, "demonstrations", &row.demonstrations)?,
        round: row.round,
    })
}

fn bad(row: &SampleRow, column: &str, error: &dyn std::fmt::Display) -> StageError {
    StageError::data(
        format!("sample `{}`, column `{column}`", row.id),
        error.to_string(),
        "`pipeline schema` describes the columns of `table:samples`",
    )
}

fn parse<T: DeserializeOwned>(row: &SampleRow, column: &str, text: &str) -> Result<T, StageError> {
    serde_json::from_str(text).map_err(|error| bad(row, column, &error))
}

/// Returns the row of a sample.
pub fn to_row(sample: &Sample) -> SampleRow {
    SampleRow {
        id: sample.id.clone(),
        category: sample.category.clone(),
        messages: json(&sample.messages),
        tools: json(&sample.tools),
        answer: json(&sample.answer),
        gold: json(&sample.gold),
        environment: sample.environment.as_ref().map(json).unwrap_or_default(),
        language: sample.language.as_str().to_owned(),
        demonstrations: json(&sample.demonstrations),
        round: sample.round,
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values with text keys have a JSON text")
}

impl StageCtx<'_> {
    /// Returns the samples of the one input table of a port. Ids are unique among them.
    ///
    /// # Errors
    /// Those of [`StageCtx::input_table`], and [`StageError::Data`] for a row that is no sample or an id seen before.
    pub fn input_samples(&self, port: &str) -> Result<Vec<Sample>, StageError> {
        let samples: Vec<Sample> =
            self.input_table::<SampleRow>(port)?.iter().map(from_row).collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = samples.iter().find(|sample| !seen.insert(&sample.id)) {
            let place = format!("input `{port}`, sample `{}`", twice.id);
            return Err(StageError::data(place, "occurs twice", "give every sample its own id"));
        }
        Ok(samples)
    }

    /// Writes samples to an output table.
    ///
    /// # Errors
    /// Those of [`StageCtx::write_table`].
    pub fn write_samples(&mut self, port: &str, samples: &[Sample]) -> Result<(), StageError> {
        self.write_table(port, &samples.iter().map(to_row).collect::<Vec<_>>())
    }
}
