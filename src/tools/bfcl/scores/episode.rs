//! What score files say of an episode of several turns.
//!
//! Source: `multi_turn_checker.py` and `eval_runner.py` of bfcl-eval 2026.3.23. Sentences and their places are the official
//! ones; directories and files of the file system are printed as its classes print themselves.

use serde_json::Value;

use super::file::line;
use crate::tools::{
    bfcl::multi_turn::{
        state::{Difference, to_python},
        verdict::{Failure, Verdict},
    },
    python::{PyDict, PyValue, repr_str, to_str},
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
    let of = |state: &Value, name: &str| state.get(name).map(attribute).unwrap_or_default();
    let differences = attributes.iter().map(|name| {
        let both = line(vec![("model", of(found, name)), ("ground_truth", of(expected, name))]);
        (PyValue::from(name.as_str()), PyValue::dict(both))
    });
    line(vec![
        ("differences", PyValue::dict(differences.collect())),
        ("model_instance_state", attribute(found)),
        ("ground_truth_instance_state", attribute(expected)),
    ])
}

/// A value of an instance, what has no JSON form as the text that Python prints.
fn attribute(value: &Value) -> PyValue {
    if let Some(text) = printed(value, None).or_else(|| told(value)) {
        return text.into();
    }
    match (value, to_python(value)) {
        (Value::Array(items), _) => items.iter().map(attribute).collect(),
        // Without a tag.
        (Value::Object(members), PyValue::Dict(entries))
            if entries.iter().zip(members).all(|((key, _), (name, _))| key.as_str() == Some(name)) =>
        {
            PyValue::dict(
                members.iter().map(|(name, value)| (PyValue::from(name.as_str()), attribute(value))).collect(),
            )
        }
        (_, plain) => plain,
    }
}

/// Returns what a tag tells of a set, of bytes, or of an object of another class.
fn told(value: &Value) -> Option<String> {
    let mut members = value.as_object()?.iter();
    let ((tag, content), None) = (members.next()?, members.next()) else { return None };
    match (tag.as_str(), content) {
        ("__set__", Value::Array(items)) if items.is_empty() => Some("set()".to_owned()),
        ("__set__", Value::Array(items)) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(format!("{{{}}}", items.join(", ")))
        }
        ("__bytes__" | "__other__", Value::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Prints a directory or a file; nothing for other values.
fn printed(value: &Value, parent: Option<&str>) -> Option<String> {
    let text = |member: &str| value.get(member).map(|member| to_str(&to_python(member)));
    let name = value.get("name")?.as_str()?;
    match value.get("type")?.as_str()? {
        "file" => Some(format!("<<File: {name}, Content: {}>>", text("content")?)),
        "directory" => {
            let contents = value.get("contents")?.as_object()?.iter();
            let contents =
                contents.map(|(key, inner)| Some(format!("{}: {}", repr_str(key), printed(inner, Some(name))?)));
            let contents = contents.collect::<Option<Vec<_>>>()?.join(", ");
            Some(format!("<Directory: {name}, Parent: {}, Contents: {{{contents}}}>", parent.unwrap_or("None")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::python::repr;

    #[test]
    fn what_has_no_json_form_is_printed_as_python_prints_it() {
        let file = json!({"type": "file", "name": "a.txt", "content": "it's"});
        let inner = json!({"type": "directory", "name": "in", "contents": {"a.txt": file}});
        let root = json!({"type": "directory", "name": "alex", "contents": {"in": inner}});
        let state = json!({
            "root": root,
            "ids": {"__set__": ["3"]},
            "none": [{"__set__": []}, {"key": {"__bytes__": "b'x'"}}],
            "pair": {"__tuple__": [1, {"__float__": "inf"}]},
            "by_number": {"__dict__": [[1, "one"]]},
        });
        let expected = "{'root': \"<Directory: alex, Parent: None, Contents: {'in': <Directory: in, Parent: alex, Contents: \
                        {'a.txt': <<File: a.txt, Content: it's>>}>}>\", 'ids': '{3}', 'none': ['set()', {'key': \"b'x'\"}], \
                        'pair': (1, inf), 'by_number': {1: 'one'}}";
        assert_eq!(repr(&attribute(&state)), expected);
    }
}
