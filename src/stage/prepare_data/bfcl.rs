//! The Berkeley Function Calling Leaderboard's files: `BFCL_v4_CATEGORY.json`, one question a line, and
//! `possible_answer/` beside them with the accepted answers.
//!
//! Single-turn categories only. Source of the format: PyPI bfcl-eval 2026.3.23, `bfcl_eval/data`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    Gathered,
    concrete::concrete,
    format::File,
    rows::{self, BadRow, member, text, typed},
    schema,
};
use crate::{
    base::did_you_mean,
    stage::StageError,
    tools::{ExpectedCall, Language, Message, Sample, ToolSpec},
};

/// The categories that have one turn and an answer that can be checked: by accepted calls, or by making none.
const CATEGORIES: [&str; 13] = [
    "simple_python",
    "simple_java",
    "simple_javascript",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "simple",
];

/// Returns the category that a file name speaks of: `simple_python` for `BFCL_v4_simple_python.json`.
pub(super) fn category(file: &str) -> Option<&str> {
    let name = file.rsplit('/').next()?.strip_prefix("BFCL_v")?;
    let (version, category) = name.split_once('_')?;
    let stem = category.strip_suffix(".json").or_else(|| category.strip_suffix(".jsonl"))?;
    version.chars().all(|digit| digit.is_ascii_digit()).then_some(stem)
}

fn is_answer(file: &str) -> bool {
    file.split('/').any(|part| part == "possible_answer")
}

/// Reads the questions of the wanted categories; none named: all that are supported.
pub(super) fn read(files: &[File], wanted: &[String]) -> Result<Gathered, StageError> {
    check_categories(wanted)?;
    let mut gathered = Gathered::default();
    // Among BFCL's own files those of other names (documentation, scenarios) are no questions; where all have other
    // names, they are taken for the category `simple_python`, whose rows are the plainest.
    let named = files.iter().any(|file| category(&file.name).is_some());
    for file in files.iter().filter(|file| !is_answer(&file.name)) {
        let category = match category(&file.name) {
            Some(category) => category,
            None if named => continue,
            None => "simple_python",
        };
        let rows = rows::rows(&file.name, &file.text);
        let supported = CATEGORIES.contains(&category);
        if !supported || !(wanted.is_empty() || wanted.iter().any(|name| name == category)) {
            gathered.other_categories += rows.len();
            continue;
        }
        let mut answers = answers(files, &file.name);
        gathered.bad.extend(answers.iter_mut().flat_map(|answers| std::mem::take(&mut answers.bad)));
        for row in rows {
            let sample = row.value.and_then(|value| sample(&value, &row.place, category, answers.as_ref()));
            match sample {
                Ok(sample) => gathered.samples.push(sample),
                Err(bad) => gathered.bad.push(bad),
            }
        }
    }
    Ok(gathered)
}

fn check_categories(wanted: &[String]) -> Result<(), StageError> {
    if let Some(name) = wanted.iter().find(|name| !CATEGORIES.contains(&name.as_str())) {
        let why = if name.starts_with("multi_turn") || name.starts_with("memory") || name.starts_with("web_search") {
            "has several turns or needs its own tools, which this stage does not read"
        } else if name == "live_relevance" {
            "accepts any call, so there is nothing to check an answer against"
        } else {
            "is no category of BFCL"
        };
        let mut reason = format!("`{name}` {why}; expected some of: {}", CATEGORIES.join(", "));
        if let Some(near) = did_you_mean(name, CATEGORIES) {
            reason.push_str(&format!("; did you mean `{near}`?"));
        }
        return Err(StageError::parameter("categories", reason));
    }
    Ok(())
}

/// Accepted answers by id, each with its place.
#[derive(Default)]
struct Answers {
    rows: BTreeMap<String, (String, Value)>,
    /// Rows that cannot be read.
    bad: Vec<BadRow>,
}

/// Returns the accepted answers to the questions of `file`; `None` if there is no such file.
fn answers(files: &[File], file: &str) -> Option<Answers> {
    let (folder, name) = file.rsplit_once('/').map_or((None, file), |(folder, name)| (Some(folder), name));
    let path =
        folder.map_or_else(|| format!("possible_answer/{name}"), |folder| format!("{folder}/possible_answer/{name}"));
    let file = files.iter().find(|file| file.name == path)?;
    let mut answers = Answers::default();
    for row in rows::rows(&file.name, &file.text) {
        match row.value.and_then(|value| Ok((text(&value, &row.place, "id")?.to_owned(), value))) {
            Ok((id, value)) => drop(answers.rows.insert(id, (row.place, value))),
            Err(bad) => answers.bad.push(bad),
        }
    }
    Some(answers)
}

fn sample(row: &Value, place: &str, category: &str, answers: Option<&Answers>) -> Result<Sample, BadRow> {
    let id = text(row, place, "id")?;
    let tools = tools(member(row, place, "function")?, place)?;
    let answer = if category.ends_with("irrelevance") {
        Vec::new()
    } else {
        let answers = answers.ok_or_else(|| {
            BadRow::new(place, "has no accepted answer: there is no file of this name in `possible_answer/` beside it")
        })?;
        let (answer_place, answer) = answers.rows.get(id).ok_or_else(|| {
            BadRow::new(place, format!("has no accepted answer: `possible_answer/` has no row `{id}`"))
        })?;
        expected(member(answer, answer_place, "ground_truth")?, answer_place)?
    };
    let gold = answer.iter().map(|call| concrete(call, &tools)).collect();
    Ok(Sample {
        id: id.to_owned(),
        category: category.to_owned(),
        messages: messages(member(row, place, "question")?, place)?,
        tools,
        answer,
        gold,
        environment: None,
        language: match category {
            "simple_java" => Language::Java,
            "simple_javascript" => Language::JavaScript,
            _ => Language::Python,
        },
        demonstrations: Vec::new(),
        round: 0,
    })
}

/// Returns the one turn of a question. A system message of its own goes before the first user message, with a blank
/// line: where the system message is our template's, its text must not be lost.
fn messages(question: &Value, place: &str) -> Result<Vec<Message>, BadRow> {
    let turns: Vec<Vec<Message>> = typed(question, place, "question")?;
    let [turn] = turns.as_slice() else {
        return Err(BadRow::new(place, format!("has {} turns, one is expected", turns.len())));
    };
    let (system, mut messages): (Vec<_>, Vec<_>) = turn.iter().cloned().partition(|message| message.role == "system");
    let Some(first) = messages.iter_mut().find(|message| message.role == "user") else {
        return Err(BadRow::new(place, "has no message of the user"));
    };
    for message in system.iter().rev() {
        first.content = format!("{}\n\n{}", message.content, first.content);
    }
    Ok(messages)
}

pub(super) fn tools(functions: &Value, place: &str) -> Result<Vec<ToolSpec>, BadRow> {
    let mut tools: Vec<ToolSpec> = typed(functions, place, "function")?;
    for tool in &mut tools {
        tool.parameters = schema::normalised(&tool.parameters);
    }
    Ok(tools)
}

pub(super) fn expected(truth: &Value, place: &str) -> Result<Vec<ExpectedCall>, BadRow> {
    let calls: Vec<IndexMap<String, IndexMap<String, Vec<Value>>>> = typed(truth, place, "ground_truth")?;
    let one = |call: IndexMap<String, IndexMap<String, Vec<Value>>>| {
        let mut entries = call.into_iter();
        match (entries.next(), entries.next()) {
            (Some((name, arguments)), None) => Ok(ExpectedCall { name, arguments }),
            _ => Err(BadRow::new(place, "`ground_truth` has an entry that is not exactly one call")),
        }
    };
    calls.into_iter().map(one).collect()
}
