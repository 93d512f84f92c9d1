//! What score files say of an episode of several turns.
//!
//! Source: `multi_turn_checker.py` and `eval_runner.py` of bfcl-eval 2026.3.23. The sentences and their places are the official
//! ones; states are told as the server of the classes tells them, which writes objects otherwise than Python prints them.

use serde_json::Value;

use super::file::line;
use crate::tools::{
    bfcl::multi_turn::{
        state::{Difference, to_python},
        verdict::{Failure, Verdict},
    },
    python::{PyDict, PyValue},
};

/// The verdict on an episode of several turns, from whoever executed it.
#[derive(Clone, Debug)]
pub struct EpisodeVerdict {
    /// What is wrong, as the official checker says it (`error_message`, `error_type`, details); `None` of a right episode.
    pub error: Option<PyDict>,
    /// The calls that were decoded, by turn and step; `None` where it did not come to that.
    pub decoded: Option<PyValue>,
}

impl From<&Verdict> for EpisodeVerdict {
    fn from(verdict: &Verdict) -> Self {
        let decoded = verdict.decoded.as_ref().map(|turns| turns.iter().map(|steps| nested(steps)).collect());
        Self { error: verdict.failure.as_ref().map(|failure| error(failure, verdict)), decoded }
    }
}

fn error(failure: &Failure, verdict: &Verdict) -> PyDict {
    let (message, details) = match failure {
        Failure::Inference => {
            (listed("Error during inference phase. Model did not output a list of model responses.".to_owned()), None)
        }
        Failure::ForceTerminated { found, expected } => (
            listed(format!(
                "Model was force-terminated during inference phase. The length of the model result turns ({found}) does not match the \
                 length of the ground truth turns ({expected})."
            )),
            None,
        ),
        Failure::EmptyTurn { turn } => (
            format!("Model response list is empty for turn {turn}").into(),
            Some(line(vec![("execution_result", executions(verdict))])),
        ),
        Failure::State { difference, .. } => (
            format!("Model instance for {} does not match the state with ground truth instance.", difference.class).into(),
            Some(states(difference)),
        ),
        Failure::Response { turn, missing } => (
            format!(
                "Model response execution results so far does not contain all the ground truth response execution results for turn {turn}."
            )
            .into(),
            Some(line(vec![
                ("missing_items", flat(missing)),
                ("model_response (including all previous turns)", flat(verdict.results.iter().flatten().flatten())),
                ("ground_truth_response (only the current turn)", verdict.truth.last().map(flat).unwrap_or_default()),
            ])),
        ),
        Failure::World { reason } => (reason.as_str().into(), None),
    };
    let mut entries = vec![("error_message", message), ("error_type", failure.error_type().into())];
    entries.extend(details.map(|details| ("details", PyValue::dict(details))));
    if matches!(failure, Failure::State { .. }) {
        entries.push(("execution_result", executions(verdict)));
    }
    line(entries)
}

fn listed(message: String) -> PyValue {
    [PyValue::from(message)].into_iter().collect()
}

fn flat<'t>(texts: impl IntoIterator<Item = &'t String>) -> PyValue {
    texts.into_iter().map(|text| PyValue::from(text.as_str())).collect()
}

fn nested(texts: &[Vec<String>]) -> PyValue {
    texts.iter().map(flat).collect()
}

/// What both sides' calls gave, by turn.
fn executions(verdict: &Verdict) -> PyValue {
    let turns = verdict.results.iter().zip(&verdict.truth);
    turns
        .map(|(model, truth)| PyValue::dict(line(vec![("model", nested(model)), ("ground_truth", flat(truth))])))
        .collect()
}

fn states(difference: &Difference) -> PyDict {
    let Difference { attributes, found, expected, .. } = difference;
    let of = |state: &Value, name: &str| state.get(name).map(to_python).unwrap_or_default();
    let differences = attributes.iter().map(|name| {
        let both = line(vec![("model", of(found, name)), ("ground_truth", of(expected, name))]);
        (PyValue::from(name.as_str()), PyValue::dict(both))
    });
    line(vec![
        ("differences", PyValue::dict(differences.collect())),
        ("model_instance_state", to_python(found)),
        ("ground_truth_instance_state", to_python(expected)),
    ])
}
