//! Verdicts and decoded calls of BFCL's official checker, row by row.
//!
//! A row is `{id, category, language, return_format, tool_call_tag, function, possible_answer, model_output, decoded,
//! decode_error, valid, error_type, …}`; `decoded` is tagged JSON, which tells tuples, big integers and so on apart. Rows
//! on which the official checker raises (`valid` is null) must get an answer of the kind for that.

use anyhow::Context;
use serde_json::{Map, Value, json};
use toolexpander::tools::{
    bfcl::{Entry, Prepared, decode},
    python::{PyDict, PyValue, repr, to_str},
};

#[path = "bfcl_row.rs"]
mod row;

use super::Rows;
use row::entry;

pub fn check(text: &str) -> anyhow::Result<Rows> {
    text.lines().filter(|line| !line.trim().is_empty()).map(check_row).collect()
}

fn check_row(line: &str) -> anyhow::Result<(String, Result<(), String>)> {
    let row: Value = serde_json::from_str(line)?;
    let id = row["id"].as_str().context("a row has an id")?.to_owned();
    let entry = entry(&row).with_context(|| format!("row {id}"))?;
    let text = row["model_output"].as_str().context("a row has a model output")?;
    Ok((id, compare(&row, &entry, text)))
}

fn compare(row: &Value, entry: &Entry, text: &str) -> Result<(), String> {
    let prepared = Prepared::new(entry);
    let verdict = prepared.judge(text);
    let kind = verdict.error_type.map(|kind| kind.as_str());
    if prepared.verdict(text).err() != verdict.error_type {
        return Err("the quick verdict is another".to_owned());
    }
    match row["valid"].as_bool() {
        Some(valid) if valid != verdict.valid => {
            return Err(format!("valid: {} instead of {valid} ({:?})", verdict.valid, verdict.error_type));
        }
        Some(_) if row["error_type"].as_str() != kind => {
            return Err(format!("error_type: {kind:?} instead of {}", row["error_type"]));
        }
        None if kind != Some("checker:raised") => {
            return Err(format!("the official checker raises, ours says {kind:?}"));
        }
        _ => {}
    }
    let decoded = decode(text, entry.format);
    match (&row["decode_error"], decoded) {
        (Value::Null, Ok(decoded)) => {
            // As texts: numbers are compared by kind, 5 is not 5.0, and arguments by their order.
            let (ours, theirs) = (tagged(&decoded.to_python()).to_string(), row["decoded"].to_string());
            if ours == theirs { Ok(()) } else { Err(format!("decoded: {ours} instead of {theirs}")) }
        }
        (Value::Null, Err(error)) => Err(format!("decoding failed: {error}")),
        (_, Ok(_)) => Err(format!("decoding succeeded instead of {}", row["decode_error"])),
        (_, Err(_)) => Ok(()),
    }
}

/// The tagged JSON of a value, as the fixtures write it.
fn tagged(value: &PyValue) -> Value {
    match value {
        PyValue::None => Value::Null,
        PyValue::Bool(truth) => json!(truth),
        PyValue::Int(whole) => json!(whole),
        PyValue::Big(whole) => json!({ "__bigint__": whole.to_string() }),
        PyValue::Float(number) if number.is_finite() => json!(number),
        PyValue::Float(_) => json!({ "__float__": repr(value) }),
        PyValue::Str(text) => json!(text),
        PyValue::List(items) => items.iter().map(tagged).collect(),
        PyValue::Tuple(items) => json!({ "__tuple__": items.iter().map(tagged).collect::<Vec<_>>() }),
        PyValue::Dict(entries) => tagged_dict(entries),
        PyValue::Bytes(_) => json!({ "__bytes__": repr(value) }),
        other => json!({ "__other__": to_str(other) }),
    }
}

fn tagged_dict(entries: &PyDict) -> Value {
    if entries.iter().any(|(key, _)| key.as_str().is_none()) {
        let pairs: Vec<Value> = entries.iter().map(|(key, value)| json!([tagged(key), tagged(value)])).collect();
        return json!({ "__dict__": pairs });
    }
    let entries = entries.iter().map(|(key, value)| (to_str(key), tagged(value)));
    Value::Object(entries.collect::<Map<String, Value>>())
}
