//! Rows of JSON files, each with its place.

use serde_json::Value;

use crate::stage::StageError;

/// A row that cannot be used.
#[derive(Clone, Debug)]
pub(super) struct BadRow {
    /// `file:line`, or `file, item N` in a JSON array.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

impl BadRow {
    pub(super) fn new(place: &str, what: impl Into<String>) -> Self {
        Self { place: place.to_owned(), what: what.into() }
    }

    /// Returns the error for this row, where `others` are bad too.
    pub(super) fn into_error(self, others: usize) -> StageError {
        let help = "correct the row, or set `on-bad-row = \"skip\"` to leave such rows out and count them";
        let help = if others == 0 { help.to_owned() } else { format!("{help} ({others} more rows are bad)") };
        StageError::data(self.place, self.what, help)
    }
}

/// One row.
pub(super) struct Row {
    /// Where it is.
    pub place: String,
    /// Its line, or its place in the array, from 0.
    pub index: usize,
    /// What it is, or why it is not JSON.
    pub value: Result<Value, BadRow>,
}

/// Returns the rows of a file: of one JSON array, or one JSON value a line. Empty lines are no rows.
pub(super) fn rows(name: &str, text: &str) -> Vec<Row> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('[') {
        return match serde_json::from_str::<Vec<Value>>(text) {
            Ok(items) => {
                let row =
                    |(index, value)| Row { place: format!("{name}, item {}", index + 1), index, value: Ok(value) };
                items.into_iter().enumerate().map(row).collect()
            }
            Err(error) => {
                let place = format!("{name}:{}", error.line());
                let bad = BadRow::new(&place, format!("is not a JSON array: {error}"));
                vec![Row { place, index: 0, value: Err(bad) }]
            }
        };
    }
    let line = |(index, line): (usize, &str)| {
        let place = format!("{name}:{}", index + 1);
        let value = serde_json::from_str(line).map_err(|error: serde_json::Error| {
            // The place says line and column of the file; the parser counts lines of the row.
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            BadRow::new(&format!("{place}:{}", error.column()), format!("is not JSON: {reason}"))
        });
        Row { place, index, value }
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

/// Returns the member `key` of a row.
pub(super) fn member<'a>(row: &'a Value, place: &str, key: &str) -> Result<&'a Value, BadRow> {
    row.get(key).ok_or_else(|| {
        let present = row.as_object().map(|row| row.keys().map(String::as_str).collect::<Vec<_>>().join(", "));
        match present {
            Some(present) => BadRow::new(place, format!("lacks `{key}`; it has: {present}")),
            None => BadRow::new(place, "is not a JSON object"),
        }
    })
}

/// Returns the text `key` of a row.
pub(super) fn text<'a>(row: &'a Value, place: &str, key: &str) -> Result<&'a str, BadRow> {
    let value = member(row, place, key)?;
    value.as_str().ok_or_else(|| BadRow::new(place, format!("`{key}` is not a text")))
}

/// Reads a member as a type of ours.
pub(super) fn typed<T: serde::de::DeserializeOwned>(value: &Value, place: &str, key: &str) -> Result<T, BadRow> {
    serde_json::from_value(value.clone()).map_err(|error| BadRow::new(place, format!("`{key}`: {error}")))
}
