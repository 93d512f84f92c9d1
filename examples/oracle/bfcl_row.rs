//! The entry of a row of recorded verdicts; the bench, the fuzzer and the tests read the same rows.

use anyhow::Context;
use serde_json::Value;
use toolexpander::tools::bfcl::{Category, Entry, Format, Language, ReturnFormat};

/// Returns the entry that a row describes.
pub fn entry(row: &Value) -> anyhow::Result<Entry> {
    let category = row["category"].as_str().context("a category")?;
    let known = match category {
        "synthetic_simple" => Category::SimplePython,
        "synthetic_multiple" => Category::Multiple,
        "synthetic_parallel" => Category::Parallel,
        other => Category::named(other).with_context(|| format!("unknown category `{other}`"))?,
    };
    let format = Format {
        ret_fmt: row["return_format"].as_str().and_then(ReturnFormat::named).context("a format")?,
        tool_call_tag: row["tool_call_tag"] == true,
        ..Format::default()
    };
    let id = ["entry_id", "question_id"].iter().find_map(|key| row[*key].as_str()).context("an id")?;
    Ok(Entry {
        id: id.to_owned(),
        category: known,
        language: row["language"].as_str().and_then(Language::named).context("a language")?,
        functions: row["function"].as_array().context("functions")?.clone(),
        possible_answer: row["possible_answer"].as_array().cloned(),
        format,
    })
}
