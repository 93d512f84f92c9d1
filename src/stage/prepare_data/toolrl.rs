//! Rows in the manner of ToolRL's `rlla` data: a system text that lists the tools, a user text that holds the dialogue
//! so far, and an answer `<think>…</think><tool_call>…</tool_call><response>…</response>`.
//!
//! Three shapes of row: `{prompt: [system, user], reward_model: {ground_truth}}` (training), `{instruction, input,
//! output}` (supervised) and `{system, user, answer: [calls]}` (API-Bank in ToolRL's prompt form).
//! Source of the format: github.com/qiancheng0/ToolRL.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::{
    Gathered,
    format::File,
    rows::{self, BadRow, member, text},
    schema,
};
use crate::tools::{Call, ExpectedCall, Language, Message, Sample, ToolSpec, parse, reward};

pub(super) fn read(files: &[File], wanted: &[String]) -> Gathered {
    let mut gathered = Gathered::default();
    for file in files {
        let name = file.name.rsplit('/').next().unwrap_or(&file.name);
        let stem = name.strip_suffix(".jsonl").or_else(|| name.strip_suffix(".json")).unwrap_or(name);
        for row in rows::rows(&file.name, &file.text) {
            let sample = row.value.and_then(|value| {
                let number = value.get("row").and_then(Value::as_u64).unwrap_or(row.index as u64);
                sample(&value, &row.place, format!("{stem}-{number}"))
            });
            match sample {
                Ok(sample) if wanted.is_empty() || wanted.contains(&sample.category) => gathered.samples.push(sample),
                Ok(_) => gathered.other_categories += 1,
                Err(bad) => gathered.bad.push(bad),
            }
        }
    }
    gathered
}

/// The parts of a row, whatever its shape.
struct Parts<'a> {
    system: &'a str,
    user: &'a str,
    gold: Vec<Call>,
    responds: bool,
}

fn parts<'a>(row: &'a Value, place: &str) -> Result<Parts<'a>, BadRow> {
    if let Some(prompt) = row.get("prompt") {
        let content = |role: &str| {
            let messages = prompt.as_array().into_iter().flatten();
            let mut texts = messages.filter(|message| message.get("role").is_some_and(|found| found == role));
            texts
                .next()
                .and_then(|message| message.get("content")?.as_str())
                .ok_or_else(|| BadRow::new(place, format!("`prompt` has no message of the role `{role}`")))
        };
        let truth = text(member(row, place, "reward_model")?, place, "ground_truth")?;
        let (gold, responds) = answer(truth, place)?;
        return Ok(Parts { system: content("system")?, user: content("user")?, gold, responds });
    }
    if row.get("instruction").is_some() {
        let (gold, responds) = answer(text(row, place, "output")?, place)?;
        let (system, user) = (text(row, place, "instruction")?, text(row, place, "input")?);
        return Ok(Parts { system, user, gold, responds });
    }
    let calls = match member(row, place, "answer")? {
        Value::Array(calls) => calls.clone(),
        one => vec![one.clone()],
    };
    let gold = calls.into_iter().map(|value| call(value, place)).collect::<Result<_, _>>()?;
    Ok(Parts { system: text(row, place, "system")?, user: text(row, place, "user")?, gold, responds: false })
}

fn sample(row: &Value, place: &str, id: String) -> Result<Sample, BadRow> {
    let Parts { system, user, gold, responds } = parts(row, place)?;
    let category = match (gold.is_empty(), responds) {
        (false, false) => "tool_call",
        (false, true) => reward::BOTH,
        (true, _) => "response",
    };
    Ok(Sample {
        id,
        category: category.to_owned(),
        messages: messages(user),
        tools: tools(system, place)?,
        answer: gold.iter().map(ExpectedCall::exactly).collect(),
        gold,
        environment: None,
        language: Language::Python,
        demonstrations: Vec::new(),
        round: 0,
    })
}

/// Returns the calls of an answer, and whether it responds to the user. As in ToolRL's reward, what counts is between
/// the last thought's end and the text's end, so that a thought may speak of tags.
fn answer(text: &str, place: &str) -> Result<(Vec<Call>, bool), BadRow> {
    let said = text.rsplit_once("</think>").map_or(text, |(_, said)| said);
    let responds = said.contains("<response>");
    let Some((_, rest)) = said.split_once("<tool_call>") else {
        let bad = || BadRow::new(place, "its answer has neither <tool_call> nor <response>");
        return if responds { Ok((Vec::new(), true)) } else { Err(bad()) };
    };
    let Some((lines, _)) = rest.split_once("</tool_call>") else {
        return Err(BadRow::new(place, "its answer has a <tool_call> that is not closed"));
    };
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let calls = lines.map(|line| {
        let value = serde_json::from_str(line);
        call(
            value.map_err(|error| BadRow::new(place, format!("its answer has a call that is not JSON: {error}")))?,
            place,
        )
    });
    Ok((calls.collect::<Result<_, _>>()?, responds))
}

fn call(value: Value, place: &str) -> Result<Call, BadRow> {
    parse::call_from_value(value)
        .map_err(|reason| BadRow::new(place, format!("its answer has no proper call: {reason}")))
}

static TOOL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?ms)^\d+\. (?:Name: (?P<name>[^\n]*)\nDescription: |(?P<short>[^:\n]+): )",
        r"(?P<description>.*?)\nParameters: (?P<parameters>[^\n]*)$"
    ))
    .expect("the pattern is well formed")
});

/// Returns the tools that a system text lists, as `N. Name: … / Description: … / Parameters: …` or, in API-Bank's third
/// level, as `N. NAME: DESCRIPTION / Parameters: …`.
fn tools(system: &str, place: &str) -> Result<Vec<ToolSpec>, BadRow> {
    let section = system.split_once("**Available Tools**").map_or(system, |(_, rest)| rest);
    let section = section.split_once("**Steps for Each Turn**").map_or(section, |(section, _)| section);
    // Where no parameter is marked as optional, nothing is known about which are required: gold calls leave out many.
    let marked = section.contains(", optional");
    let mut tools = Vec::new();
    for captures in TOOL.captures_iter(section) {
        let name = captures.name("name").or(captures.name("short")).map_or("", |name| name.as_str().trim());
        if name == "Name" {
            return Err(BadRow::new(place, "its system text lists a tool that has no `Description: ` line"));
        }
        let parameters = literal(captures["parameters"].trim()).ok_or_else(|| {
            BadRow::new(place, format!("the parameters of the tool `{name}` are neither JSON nor a Python literal"))
        })?;
        tools.push(ToolSpec {
            name: name.to_owned(),
            description: captures["description"].trim().to_owned(),
            parameters: parameters_schema(&parameters, marked, name, place)?,
        });
    }
    let listed = section.lines().filter(|line| line.starts_with("Parameters: ")).count();
    if tools.is_empty() || tools.len() != listed {
        let what = format!("its system text lists {listed} tools, of which {} can be read", tools.len());
        return Err(BadRow::new(place, what));
    }
    Ok(tools)
}

/// Reads JSON, or a Python literal.
fn literal(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let (call, _) = parse::python_prefix(&format!("f(x={text})")).ok()?;
        call.arguments.get("x").cloned()
    })
}

fn parameters_schema(parameters: &Value, marked: bool, tool: &str, place: &str) -> Result<Value, BadRow> {
    let Value::Object(entries) = parameters else {
        return Err(BadRow::new(place, format!("the parameters of the tool `{tool}` are not an object")));
    };
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, description) in entries {
        let (schema, needed) = schema::from_loose(description);
        properties.insert(name.clone(), schema);
        if needed && marked {
            required.push(Value::from(name.as_str()));
        }
    }
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), Value::Array(required));
    Ok(Value::Object(schema))
}

static BLOCK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)<user>(?P<user>.*?)</user>|<obs>(?P<obs>.*?)</obs>|(?P<own><think>.*?</think>|<tool_call>.*?</tool_call>|<response>.*?</response>)")
        .expect("the pattern is well formed")
});

/// Returns the dialogue in a user text as messages: `<user>` is the user's, `<obs>` a tool's, the other blocks are the
/// assistant's, those in a row as one message. A text that is not made of such blocks, or does not end with the user's, is one message
/// of the user.
fn messages(text: &str) -> Vec<Message> {
    let body = text.trim();
    let body = body.split_once("Dialogue Records History**").map_or(body, |(_, body)| body);
    let (mut messages, mut end) = (Vec::<Message>::new(), 0);
    for captures in BLOCK.captures_iter(body) {
        let Some(whole) = captures.get(0) else { continue };
        if !body[end..whole.start()].trim().is_empty() {
            return vec![Message::new("user", text.trim())];
        }
        end = whole.end();
        let (role, content) = if let Some(user) = captures.name("user") {
            ("user", user.as_str().trim())
        } else if let Some(observed) = captures.name("obs") {
            ("tool", observed.as_str().trim())
        } else {
            ("assistant", whole.as_str())
        };
        match messages.last_mut() {
            Some(last) if last.role == role => {
                last.content.push('\n');
                last.content.push_str(content);
            }
            _ => messages.push(Message::new(role, content)),
        }
    }
    let asks = messages.last().is_some_and(|last| last.role == "user");
    if body[end..].trim().is_empty() && asks { messages } else { vec![Message::new("user", text.trim())] }
}
