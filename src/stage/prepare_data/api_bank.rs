//! API-Bank: dialogues of levels 1 and 2, one sample a recorded call; and ToolRL's single-call questions of levels 1 to 3.
//!
//! A dialogue is a file with one turn a line, `{"role": "User" | "AI", "text"}` or `{"role": "API", "api_name", "param_dict",
//! "result"}`. A sample has the turns before the call as messages and, as tools, on level 1 those that the dialogue uses, on
//! level 2 `ToolSearcher` and what it found so far. Its environment runs the call: see [`crate::tools::api_bank`].
//! Source: AlibabaResearch/DAMO-ConvAI, api-bank; qiancheng0/ToolRL, benchmarks/API-Bank.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Gathered,
    format::File,
    rows::{self, BadRow, text, typed},
    toolrl,
};
use crate::{
    base::json_text,
    tools::{
        Environment, ExpectedCall, Language, Message, Sample, Style, answer_text,
        api_bank::{self, Case, Mode, Recorded, TOOL_SEARCHER},
        suite::Suite,
    },
};

/// What the last message asks for. The dialogues speak of days without a year; upstream's prompt names it too.
const REQUEST: &str = "It is the year 2023. Make the one call that comes next.";

enum Turn {
    Said { role: &'static str, text: String },
    Called(Recorded),
}

pub(super) fn read(files: &[File], mode: Mode, wanted: &[String]) -> Gathered {
    let mut gathered = Gathered::default();
    for file in files {
        match turns(file) {
            Ok(turns) => {
                for sample in samples(stem(&file.name), &turns, mode) {
                    keep(sample, wanted, &mut gathered);
                }
            }
            // One bad turn spoils what follows it.
            Err(bad) => gathered.bad.push(bad),
        }
    }
    gathered
}

/// Reads ToolRL's rows, to be judged as ToolRL judges them. Their categories are the levels, which file names tell.
pub(super) fn read_toolrl(files: &[File], wanted: &[String]) -> Gathered {
    let Gathered { samples, bad, .. } = toolrl::read(files, &[]);
    let mut gathered = Gathered { bad, ..Gathered::default() };
    for mut sample in samples {
        if let Some(level) = ["1", "2", "3"].into_iter().find(|level| names_level(&sample.id, level)) {
            sample.category = format!("level-{level}");
        }
        if let Some(gold) = sample.gold.first() {
            let gold = Recorded { name: gold.name.clone(), arguments: gold.arguments.clone(), result: json_map() };
            sample.environment = Some(environment(Case { mode: Mode::Toolrl, earlier: Vec::new(), gold }));
        }
        keep(sample, wanted, &mut gathered);
    }
    gathered
}

fn names_level(id: &str, level: &str) -> bool {
    id.contains(&format!("_L{level}")) || id.contains(&format!("level-{level}-"))
}

fn json_map() -> serde_json::Map<String, Value> {
    serde_json::Map::new()
}

fn keep(sample: Sample, wanted: &[String], gathered: &mut Gathered) {
    if wanted.is_empty() || wanted.contains(&sample.category) {
        gathered.samples.push(sample);
    } else {
        gathered.other_categories += 1;
    }
}

fn stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_suffix(".jsonl").or_else(|| name.strip_suffix(".json")).unwrap_or(name)
}

fn environment(case: Case) -> Environment {
    let state = serde_json::to_value(case).expect("a case is texts and JSON values");
    Environment { suite: Suite::ApiBank.name().to_owned(), state }
}

fn turns(file: &File) -> Result<Vec<(usize, Turn)>, BadRow> {
    let rows = rows::rows(&file.name, &file.text).into_iter();
    rows.map(|row| {
        let value = row.value?;
        let turn = match text(&value, &row.place, "role")? {
            "User" => Turn::Said { role: "user", text: text(&value, &row.place, "text")?.to_owned() },
            "AI" => Turn::Said { role: "assistant", text: text(&value, &row.place, "text")?.to_owned() },
            "API" => Turn::Called(typed(&value, &row.place, "api_name")?),
            other => {
                return Err(BadRow::new(&row.place, format!("`role` is `{other}`: expected `User`, `AI` or `API`")));
            }
        };
        Ok((row.index, turn))
    })
    .collect()
}

fn samples(stem: &str, turns: &[(usize, Turn)], mode: Mode) -> Vec<Sample> {
    let called = |turn: &(usize, Turn)| match &turn.1 {
        Turn::Called(recorded) => Some(recorded.name.clone()),
        Turn::Said { .. } => None,
    };
    let used: BTreeSet<String> = turns.iter().filter_map(called).collect();
    let searches = used.contains(TOOL_SEARCHER);
    let mut listed = if searches { BTreeSet::from([TOOL_SEARCHER.to_owned()]) } else { used };
    let (mut messages, mut earlier, mut samples) = (Vec::new(), Vec::new(), Vec::new());
    for (line, turn) in turns {
        match turn {
            Turn::Said { role, text } => say(&mut messages, role, text),
            Turn::Called(recorded) => {
                let gold = api_bank::as_written(recorded);
                let mut asked = messages.clone();
                say(&mut asked, "user", REQUEST);
                let case = Case { mode, earlier: earlier.clone(), gold: recorded.clone() };
                samples.push(Sample {
                    id: format!("{stem}-{line}"),
                    category: if searches { "level-2" } else { "level-1" }.to_owned(),
                    messages: asked,
                    tools: listed.iter().filter_map(|name| api_bank::tool(name)).collect(),
                    answer: vec![ExpectedCall::exactly(&gold)],
                    gold: vec![gold.clone()],
                    environment: Some(environment(case)),
                    language: Language::Python,
                    demonstrations: Vec::new(),
                    round: 0,
                });
                say(&mut messages, "assistant", &answer_text(&[gold], Style::Python));
                say(&mut messages, "tool", &shown(recorded));
                listed.extend(found(recorded));
                earlier.push(recorded.clone());
            }
        }
    }
    samples
}

/// Adds to the last message of the same role, or a message.
fn say(messages: &mut Vec<Message>, role: &str, text: &str) {
    match messages.last_mut() {
        Some(last) if last.role == role => {
            last.content.push('\n');
            last.content.push_str(text);
        }
        _ => messages.push(Message::new(role, text)),
    }
}

/// Returns what a model sees of a result.
fn shown(recorded: &Recorded) -> String {
    let part = |name: &str| recorded.result.get(name).cloned().unwrap_or_default();
    let shown = match part("exception") {
        Value::Null => part("output"),
        exception => json!({ "exception": exception }),
    };
    shown.as_str().map_or_else(|| json_text(&shown, None).unwrap_or_default(), str::to_owned)
}

/// Returns the names of the tools that a search found.
fn found(recorded: &Recorded) -> Vec<String> {
    let output = recorded.result.get("output").filter(|_| recorded.name == TOOL_SEARCHER);
    let tools = match output {
        Some(Value::Array(tools)) => tools.iter().collect(),
        one => Vec::from_iter(one),
    };
    tools.into_iter().filter_map(|tool| tool.get("name")?.as_str()).map(str::to_owned).collect()
}
