//! Result files: what a model answered, one JSON object a line.

use serde_json::{Map, Value};

use super::layout;
use crate::tools::python::{PyValue, dumps_unicode};

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// The entry.
    pub id: String,
    /// The text of a single turn, or `[[text of a step…] of a turn…]`.
    pub result: Value,
    /// The other members, in their order: `input_token_count`, `output_token_count`, `latency`, `inference_log`,
    /// `reasoning_content`.
    pub others: Map<String, Value>,
}

/// Why a result file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// A line is no JSON.
    #[error("{place} is not JSON")]
    Json {
        /// `file:line`.
        place: String,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A line is no answer.
    #[error("{place} {reason}")]
    Row {
        /// `file:line`.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two lines answer one entry.
    #[error("{file} answers `{id}` twice")]
    Twice {
        /// The file.
        file: String,
        /// The entry.
        id: String,
    },
}

/// Returns the rows of a result file, in the order of their entries.
///
/// # Errors
/// A line that is no JSON object with `id` and `result`, an entry answered twice.
pub fn read(file: &str, text: &str) -> Result<Vec<ResultRow>, ResultError> {
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{file}:{}", index + 1);
        let wrong = |reason: &str| ResultError::Row { place: place(), reason: reason.to_owned() };
        let mut others: Map<String, Value> =
            serde_json::from_str(line).map_err(|source| ResultError::Json { place: place(), source })?;
        let Some(Value::String(id)) = others.shift_remove("id") else { return Err(wrong("has no text `id`")) };
        let Some(result) = others.shift_remove("result") else { return Err(wrong("has no `result`")) };
        rows.push(ResultRow { id, result, others });
    }
    rows.sort_by(|one, two| layout::order(&one.id, &two.id).then_with(|| one.id.cmp(&two.id)));
    match rows.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => Err(ResultError::Twice { file: file.to_owned(), id: pair[0].id.clone() }),
        None => Ok(rows),
    }
}

/// Returns the text of a result file with `rows`, in the order of their entries.
pub fn write(rows: &[ResultRow]) -> String {
    let mut sorted: Vec<&ResultRow> = rows.iter().collect();
    sorted.sort_by(|one, two| layout::order(&one.id, &two.id).then_with(|| one.id.cmp(&two.id)));
    let mut text = String::new();
    for row in sorted {
        let mut line = Map::new();
        line.insert("id".to_owned(), row.id.as_str().into());
        line.insert("result".to_owned(), row.result.clone());
        line.extend(row.others.clone());
        text.push_str(&dumps_unicode(&PyValue::from(&Value::Object(line))).expect("what was JSON has a JSON form"));
        text.push('\n');
    }
    text
}

/// Takes a model's text apart as the official handlers of thinking models do: the answer is what follows the last
/// `</think>`, without line ends before it; the thought, if it ended, is what stands before the first.
pub fn split_thought(text: &str) -> (&str, Option<&str>) {
    let Some((before, _)) = text.split_once("</think>") else { return (text, None) };
    let thought = before.trim_end_matches('\n');
    let thought = thought.rsplit("<think>").next().unwrap_or(thought).trim_start_matches('\n');
    let answer = text.rsplit("</think>").next().unwrap_or_default().trim_start_matches('\n');
    (answer, Some(thought))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_in_the_order_of_entries_and_written_alike() {
        let text = "{\"id\": \"multiple_10\", \"result\": \"é\", \"latency\": 1e-07}\n\n{\"id\": \"multiple_9\", \"result\": [[\"a\"]], \"input_token_count\": [[3]]}\n";
        let rows = read("f", text).unwrap();
        assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["multiple_9", "multiple_10"]);
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        lines.reverse();
        assert_eq!(write(&rows), lines.join("\n") + "\n");
        let twice = "{\"id\": \"a_1\", \"result\": \"\"}\n{\"id\": \"a_1\", \"result\": \"\"}";
        assert_eq!(read("f", twice).unwrap_err().to_string(), "f answers `a_1` twice");
        assert_eq!(read("f", "{\"id\": 1}").unwrap_err().to_string(), "f:1 has no text `id`");
    }

    #[test]
    fn thoughts_are_split_as_by_the_official_handlers() {
        assert_eq!(split_thought("[f()]"), ("[f()]", None));
        assert_eq!(split_thought("<think>\na\n</think>\n\n[f()]"), ("[f()]", Some("a")));
        assert_eq!(split_thought("a</think>b</think> c"), (" c", Some("a")));
        assert_eq!(split_thought("<think>a"), ("<think>a", None));
    }
}
