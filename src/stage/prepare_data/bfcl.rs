//! The Berkeley Function Calling Leaderboard's files: `BFCL_v4_CATEGORY.json`, one question a line, and
//! `possible_answer/` beside them with the accepted answers.
//!
//! Single-turn categories only. Source of the format: PyPI bfcl-eval 2026.3.23, `bfcl_eval/data`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    Gathered,
    format::File,
    rows::{self, BadRow, member, text, typed},
    schema,
};
use crate::{
    base::did_you_mean,
    stage::StageError,
    tools::{Call, ExpectedCall, Language, Message, Sample, ToolSpec},
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
    let questions: Vec<&File> = files.iter().filter(|file| !is_answer(&file.name)).collect();
    for file in &questions {
        // A lone file of another name is taken for the category `simple_python`, whose rows are the plainest. Among
        // several, it is something else: BFCL's folder holds other benchmarks, too.
        let category = match category(&file.name) {
            Some(category) => category,
            None if questions.len() == 1 => "simple_python",
            None => continue,
        };
        let rows = rows::rows(&file.name, &file.text);
        let supported = CATEGORIES.contains(&category);
        if !supported || !(wanted.is_empty() || wanted.iter().any(|name| name == category)) {
            gathered.other_categories += rows.len();
            continue;
        }
        let answers = answers(files, &file.name);
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

type Answers = BTreeMap<String, (String, Value)>;

/// Returns the accepted answers to the questions of `file` by id, each with its place; `None` if there is no such file.
fn answers(files: &[File], file: &str) -> Option<Answers> {
    let (folder, name) = file.rsplit_once('/').map_or((None, file), |(folder, name)| (Some(folder), name));
    let path =
        folder.map_or_else(|| format!("possible_answer/{name}"), |folder| format!("{folder}/possible_answer/{name}"));
    let file = files.iter().find(|file| file.name == path)?;
    let rows = rows::rows(&file.name, &file.text).into_iter();
    let entry = |row: rows::Row| {
        let value = row.value.ok()?;
        let id = value.get("id")?.as_str()?.to_owned();
        Some((id, (row.place, value)))
    };
    Some(rows.filter_map(entry).collect())
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
        let (answer_place, answer) = answers.get(id).ok_or_else(|| {
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

fn tools(functions: &Value, place: &str) -> Result<Vec<ToolSpec>, BadRow> {
    let mut tools: Vec<ToolSpec> = typed(functions, place, "function")?;
    for tool in &mut tools {
        tool.parameters = schema::normalised(&tool.parameters);
    }
    Ok(tools)
}

fn expected(truth: &Value, place: &str) -> Result<Vec<ExpectedCall>, BadRow> {
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

/// Returns one concrete call that is accepted: of each argument the first value; an argument whose first value says
/// that it may be left out is left out, unless it is required.
fn concrete(expected: &ExpectedCall, tools: &[ToolSpec]) -> Call {
    let tool = tools.iter().find(|tool| tool.name == expected.name);
    let mut arguments = Map::new();
    for (name, accepted) in &expected.arguments {
        let required = tool.is_some_and(|tool| tool.required().any(|required| required == name));
        let mut values = accepted.iter();
        let chosen = match accepted.first() {
            Some(first) if *first == "" && required => values.find(|value| **value != "").or(Some(first)),
            Some(first) if *first == "" => None,
            first => first,
        };
        if let Some(value) = chosen {
            arguments.insert(name.clone(), first_of(value));
        }
    }
    Call { name: expected.name.clone(), arguments }
}

/// Inside an accepted value, an object has a list of accepted values for each key; so has an object in a list.
fn first_of(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut chosen = Map::new();
            for (key, value) in entries {
                match value {
                    Value::Array(accepted) => match accepted.first() {
                        Some(first) if *first == "" && accepted.len() > 1 => {}
                        Some(first) => drop(chosen.insert(key.clone(), first_of(first))),
                        None => {}
                    },
                    plain => drop(chosen.insert(key.clone(), plain.clone())),
                }
            }
            Value::Object(chosen)
        }
        Value::Array(items) => Value::Array(items.iter().map(first_of).collect()),
        plain => plain.clone(),
    }
}
