//! Score files: a line of totals, then a line for every answer that is wrong.
//!
//! Source: `bfcl_eval/eval_checker/eval_runner.py` of bfcl-eval 2026.3.23. Right answers leave no line.

use serde_json::Value;

use super::{EpisodeVerdict, FormatSensitivity, board::CategoryScore, results::ResultRow};
use crate::tools::{
    bfcl::{Category, ErrorType, Task, Verdict},
    python::{PyDict, PyValue, dumps_unicode, to_str},
};

/// The verdict on one answer, with all that its line in a score file says of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The entry.
    pub id: String,
    /// What is wrong; `None` of a right answer.
    pub failure: Option<Failure>,
}

/// What is wrong with an answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The kind of mistake, by its official name.
    pub error_type: String,
    /// The line of the score file.
    line: PyDict,
}

/// A question with what a score file repeats of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The category.
    pub category: Category,
    /// The question's row as the official loader has it: of single-turn entries the line of the question file.
    pub prompt: &'a Value,
    /// The accepted answers, where there are any.
    pub possible_answer: Option<&'a Value>,
}

pub(super) fn line(entries: Vec<(&str, PyValue)>) -> PyDict {
    entries.into_iter().map(|(key, value)| (PyValue::from(key), value)).collect()
}

/// Returns the line's beginning, which is the same everywhere.
fn head(model: &str, row: &ResultRow, asked: &Asked<'_>) -> Vec<(&'static str, PyValue)> {
    vec![
        ("id", row.id.as_str().into()),
        ("model_name", model.into()),
        ("test_category", asked.category.as_str().into()),
        ("valid", false.into()),
    ]
}

/// Returns the verdict on a single-turn answer as a score file has it. `model` is the name of the model's folder.
///
/// `task` is how the entry was judged: entries that must have calls, or must have none, have lines of their own form.
pub fn single_turn(model: &str, row: &ResultRow, asked: &Asked<'_>, task: Task, verdict: &Verdict) -> Judged {
    let failed = || {
        let error_type = verdict.error_type.map_or("", ErrorType::as_str);
        let mut entries = head(model, row, asked);
        let said = [("error", verdict.error_to_python()), ("error_type", error_type.into())];
        let prompt = ("prompt", PyValue::from(asked.prompt));
        let result = PyValue::from(&row.result);
        if matches!(task, Task::Relevance | Task::Irrelevance) {
            entries.extend([prompt, ("model_result", result)]);
            entries.push(("decoded_result", verdict.decoded.clone().unwrap_or_default()));
            entries.extend(said);
        } else {
            entries.extend(said);
            entries.push(prompt);
            let decoded = verdict.decoded.clone().unwrap_or_default();
            match verdict.error_type {
                Some(ErrorType::DecoderFailed) => entries.push(("model_result_raw", result)),
                Some(ErrorType::DecoderWrongOutputFormat) => {
                    entries.push(("model_result_raw", to_str(&result).into()));
                    entries.push(("model_result_decoded", to_str(&decoded).into()));
                }
                _ => entries.extend([("model_result_raw", result), ("model_result_decoded", decoded)]),
            }
            entries.push(("possible_answer", asked.possible_answer.map(PyValue::from).unwrap_or_default()));
        }
        Failure { error_type: error_type.to_owned(), line: line(entries) }
    };
    Judged { id: row.id.clone(), failure: (!verdict.valid).then(failed) }
}

/// Returns the verdict on an episode of several turns as a score file has it.
pub fn episode(model: &str, row: &ResultRow, asked: &Asked<'_>, verdict: &EpisodeVerdict) -> Judged {
    let failed = |error: &PyDict| {
        let error_type = error.get_str("error_type").and_then(PyValue::as_str).unwrap_or_default().to_owned();
        let mut entries = head(model, row, asked);
        entries.extend([("error", PyValue::dict(error.clone())), ("prompt", PyValue::from(asked.prompt))]);
        let result = PyValue::from(&row.result);
        match &verdict.decoded {
            Some(decoded) => {
                entries.extend([("model_result_raw", result), ("model_result_decoded", decoded.clone())]);
            }
            None => entries.push(("model_result", result)),
        }
        entries.push(("possible_answer", asked.possible_answer.map(PyValue::from).unwrap_or_default()));
        let log = row.others.get("inference_log").map_or_else(|| "".into(), PyValue::from);
        entries.push(("inference_log", log));
        Failure { error_type, line: line(entries) }
    };
    Judged { id: row.id.clone(), failure: verdict.error.as_ref().map(failed) }
}

/// Returns right and all answers.
pub fn count(judged: &[Judged]) -> (usize, usize) {
    (judged.iter().filter(|judged| judged.failure.is_none()).count(), judged.len())
}

/// Returns the text of a score file. The order of `judged` is that of the lines; `formats` makes a line of totals by
/// prompt format.
pub fn write(judged: &[Judged], formats: Option<&FormatSensitivity>) -> String {
    let mut text = String::new();
    write_line(&mut text, &totals(judged, formats));
    for failure in judged.iter().filter_map(|judged| judged.failure.as_ref()) {
        write_line(&mut text, &failure.line);
    }
    text
}

fn write_line(text: &mut String, entries: &PyDict) {
    let line = PyValue::dict(entries.iter().map(|(key, value)| (key.clone(), serializable(value))).collect());
    text.push_str(&dumps_unicode(&line).expect("all that has no JSON form was made a text"));
    text.push('\n');
}

#[expect(clippy::cast_possible_wrap, reason = "counts of entries")]
fn counts(right: usize, all: usize) -> Vec<(&'static str, PyValue)> {
    vec![
        ("accuracy", CategoryScore::of(right, all).accuracy.into()),
        ("correct_count", (right as i64).into()),
        ("total_count", (all as i64).into()),
    ]
}

fn totals(judged: &[Judged], formats: Option<&FormatSensitivity>) -> PyDict {
    let (right, all) = count(judged);
    let mut entries = counts(right, all);
    let Some(formats) = formats else { return line(entries) };
    let spread = formats.spread();
    entries.push(("accuracy_max_delta", spread.max_delta.into()));
    entries.push(("accuracy_variance", spread.variance.into()));
    entries.push(("accuracy_std", spread.deviation.into()));
    for (configuration, (right, all)) in &formats.configurations {
        entries.push((configuration, PyValue::dict(line(counts(*right, *all)))));
    }
    line(entries)
}

/// Returns a value with everything that JSON has no form for printed as Python prints it.
fn serializable(value: &PyValue) -> PyValue {
    match value {
        PyValue::Dict(entries) => {
            PyValue::dict(entries.iter().map(|(key, value)| (serializable_key(key), serializable(value))).collect())
        }
        PyValue::List(items) => items.iter().map(serializable).collect(),
        other if dumps_unicode(other).is_ok() => other.clone(),
        other => to_str(other).into(),
    }
}

/// The official evaluator ends with an error where a key has no JSON form; here such a key is printed too.
fn serializable_key(key: &PyValue) -> PyValue {
    match key {
        PyValue::Str(_) | PyValue::None | PyValue::Bool(_) | PyValue::Int(_) | PyValue::Big(_) | PyValue::Float(_) => {
            key.clone()
        }
        other => to_str(other).into(),
    }
}
