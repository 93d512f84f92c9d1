//! Parameter values: is what was written what the parameter takes?

use camino::Utf8PathBuf;
use toml::de::{DeTable, DeValue};

use crate::{
    base::Value,
    spec::{
        Parameter, ParameterType,
        model::{Given, SettingValue},
        reader::{Item, Report, integer, is_broken, number, plain, suggestion, type_name, wrong_type},
    },
};

/// The key of a value that differs between iterations.
const PER_ROUND: &str = "per-round";

/// The prefixes of a `source` parameter.
pub(super) const SOURCE_PREFIXES: [&str; 5] = ["path:", "pip:", "hf:", "url:", "suite:"];

/// What is known about a parameter whose value is read.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What it takes; `None`: anything (parameters of `command` stages).
    pub(super) parameter: Option<&'a Parameter>,
    /// Whether the stage stands in a loop.
    pub(super) in_loop: bool,
}

/// Reads the value of a parameter, `{ per-round = […] }` included.
pub(super) fn setting(report: &mut Report, wanted: Wanted<'_>, item: &Item<'_>) -> Option<SettingValue> {
    let per_round = match item.get_ref() {
        DeValue::Table(table) if table.len() == 1 => table.iter().find(|(key, _)| key.get_ref() == PER_ROUND),
        _ => None,
    };
    let Some((key, list)) = per_round else {
        return given(report, wanted, item).map(SettingValue::Fixed);
    };
    if !wanted.in_loop {
        let message = format!("`{}` is given per round, but its stage stands in no loop", wanted.name);
        report.add("per-round-outside-loop", key.span(), message).help =
            Some("write one value, or move the stage into a loop".to_owned());
        return None;
    }
    let DeValue::Array(items) = list.get_ref() else {
        let message = format!("`per-round` of `{}` is of the wrong type", wanted.name);
        wrong_type(report, message, list, "a list with one value per round");
        return None;
    };
    if items.is_empty() {
        let message = format!("`per-round` of `{}` is empty", wanted.name);
        report.add("out-of-range", list.span(), message).label = Some("expected at least one value".to_owned());
        return None;
    }
    let values: Vec<Option<Given>> = items.iter().map(|item| given(report, wanted, item)).collect();
    values.into_iter().collect::<Option<_>>().map(SettingValue::PerRound)
}

/// Reads one value of a parameter.
fn given(report: &mut Report, wanted: Wanted<'_>, item: &Item<'_>) -> Option<Given> {
    let Some(parameter) = wanted.parameter else {
        return plain(report, item).map(Given::Plain);
    };
    let value = typed(report, wanted.name, parameter, item)?;
    Some(match (&parameter.parameter_type, value) {
        (ParameterType::File, Value::Text(path)) => Given::File(Utf8PathBuf::from(path)),
        (ParameterType::Source, Value::Text(text)) => given_source(text),
        (_, value) => Given::Plain(value),
    })
}

/// Returns what a checked `source` text stands for.
pub(super) fn given_source(text: String) -> Given {
    match text.strip_prefix("path:") {
        Some(path) => Given::SourcePath(Utf8PathBuf::from(path)),
        None => Given::Plain(Value::Text(text)),
    }
}

/// Reads a value of the parameter's type; `file` and `source` parameters give their text.
pub(super) fn typed(report: &mut Report, name: &str, parameter: &Parameter, item: &Item<'_>) -> Option<Value> {
    if is_broken(item) {
        return None;
    }
    match (&parameter.parameter_type, item.get_ref()) {
        (ParameterType::Bool, DeValue::Boolean(value)) => Some(Value::Bool(*value)),
        (ParameterType::Int, DeValue::Integer(_)) => {
            let Some(value) = integer(item.get_ref()) else { return plain(report, item) };
            #[expect(clippy::cast_precision_loss, reason = "bounds are small numbers")]
            in_range(report, name, parameter, item, value as f64).then_some(Value::Int(value))
        }
        (ParameterType::Float, DeValue::Integer(_) | DeValue::Float(_)) => {
            let Some(value) = number(item.get_ref()) else { return plain(report, item) };
            if value.is_nan() {
                let message = format!("`{name}` is no number");
                report.add("out-of-range", item.span(), message).label = Some(expected_range(parameter));
                return None;
            }
            in_range(report, name, parameter, item, value).then_some(Value::Float(value))
        }
        (ParameterType::Text, DeValue::String(text)) => Some(Value::Text(text.clone().into_owned())),
        (ParameterType::Choice(values), DeValue::String(text)) => {
            if values.iter().any(|value| value == text.as_ref()) {
                return Some(Value::Text(text.clone().into_owned()));
            }
            let message = format!("`{text}` is none of the values of `{name}`");
            report.unknown("bad-choice", item.span(), message, text, values.iter().map(String::as_str));
            None
        }
        (ParameterType::Choice(_), DeValue::Table(table)) if !parameter.tables.is_empty() => {
            let known = || parameter.tables.iter().map(String::as_str);
            for key in table.keys().filter(|key| !known().any(|it| it == key.get_ref().as_ref())) {
                let word = key.get_ref().as_ref();
                let message = format!("`{name}` takes no table with `{word}`");
                report.unknown("unknown-key", key.span(), message, word, known());
            }
            if table.len() != 1 {
                let message = format!("`{name}` is a table of {} keys", table.len());
                let label = format!("expected exactly one of `{}`", parameter.tables.join("`, `"));
                report.add("bad-choice", item.span(), message).label = Some(label);
            }
            let is_known = table.len() == 1 && table.keys().all(|key| known().any(|it| it == key.get_ref().as_ref()));
            plain(report, item).filter(|_| is_known)
        }
        (ParameterType::Map, DeValue::Table(table)) if !parameter.keys.is_empty() => {
            let is_known = known_keys(report, name, &parameter.keys, table);
            plain(report, item).filter(|_| is_known)
        }
        (ParameterType::List, DeValue::Array(_)) | (ParameterType::Map, DeValue::Table(_)) => plain(report, item),
        (ParameterType::File, DeValue::String(path)) => {
            if path.is_empty() {
                let message = format!("`{name}` is empty");
                report.add("bad-path", item.span(), message).label = Some("expected the path of a file".to_owned());
                return None;
            }
            Some(Value::Text(path.clone().into_owned()))
        }
        (ParameterType::Source, DeValue::String(text)) => {
            if SOURCE_PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())) {
                return Some(Value::Text(text.clone().into_owned()));
            }
            let message = format!("`{text}` is no source");
            let word = text.split_inclusive(':').next().unwrap_or_default();
            let help = suggestion(word, SOURCE_PREFIXES);
            let diagnostic = report.add("bad-source", item.span(), message);
            diagnostic.label = Some("expected a prefix that says where it comes from".to_owned());
            diagnostic.help = help;
            None
        }
        (wanted, value) => {
            let message = format!("`{name}` is of the wrong type");
            let label = format!("expected {}, found {}", wanted.word(), type_name(value));
            report.add("wrong-type", item.span(), message).label = Some(label);
            None
        }
    }
}

/// Reports keys of a map that are none of `keys`, in which a key of a map inside it is written `outer.inner`.
fn known_keys(report: &mut Report, name: &str, keys: &[String], table: &DeTable<'_>) -> bool {
    let mut all_known = true;
    let heads = || keys.iter().map(|key| key.split_once('.').map_or(key.as_str(), |(head, _)| head));
    for (key, item) in table {
        let word = key.get_ref().as_ref();
        let inner: Vec<String> =
            keys.iter().filter_map(|known| known.strip_prefix(word)?.strip_prefix('.')).map(str::to_owned).collect();
        if !heads().any(|head| head == word) {
            report.unknown("unknown-key", key.span(), format!("`{name}` has no `{word}`"), word, heads());
            all_known = false;
        } else if let (DeValue::Table(table), false) = (item.get_ref(), inner.is_empty()) {
            all_known &= known_keys(report, &format!("{name}.{word}"), &inner, table);
        }
    }
    all_known
}

fn in_range(report: &mut Report, name: &str, parameter: &Parameter, item: &Item<'_>, value: f64) -> bool {
    let fits = parameter.min.is_none_or(|min| value >= min) && parameter.max.is_none_or(|max| value <= max);
    if !fits {
        let message = format!("`{name}` is out of range: {value}");
        report.add("out-of-range", item.span(), message).label = Some(expected_range(parameter));
    }
    fits
}

fn expected_range(parameter: &Parameter) -> String {
    let unit = parameter.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    match (parameter.min, parameter.max) {
        (Some(min), Some(max)) => format!("expected {min} to {max}{unit}"),
        (Some(min), None) => format!("expected at least {min}{unit}"),
        (None, Some(max)) => format!("expected at most {max}{unit}"),
        (None, None) => format!("expected {}", parameter.parameter_type.word()),
    }
}
