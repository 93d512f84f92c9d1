//! Our own format: one JSON object a line (or one JSON array of them).
//!
//! ```json
//! {"id": "q1", "category": "units", "question": "How many miles are 3 km?",
//!  "tools": [{"name": "convert", "description": "…", "parameters": {"type": "object", "properties": {…}, "required": […]}}],
//!  "gold": [{"name": "convert", "arguments": {"value": 3}}]}
//! ```
//! `messages` (`[{role, content}…]`) may stand for `question`. `answer` lists the accepted values of every argument
//! (`""`: may be left out); without it only `gold` is accepted, and without `gold` the first accepted values are.
//! Optional: `category` (default `default`), `environment` (`{suite, state}`), `language` (default `python`).

use serde::Deserialize;
use serde_json::Value;

use super::{
    Gathered,
    concrete::concrete,
    format::File,
    rows::{self, BadRow},
};
use crate::tools::{Call, Environment, ExpectedCall, Language, Message, Sample, ToolSpec};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    #[serde(default = "default_category")]
    category: String,
    question: Option<String>,
    messages: Option<Vec<Message>>,
    tools: Vec<ToolSpec>,
    answer: Option<Vec<ExpectedCall>>,
    gold: Option<Vec<Call>>,
    environment: Option<Environment>,
    #[serde(default)]
    language: Language,
}

fn default_category() -> String {
    "default".to_owned()
}

pub(super) fn read(files: &[File], wanted: &[String]) -> Gathered {
    let mut gathered = Gathered::default();
    for row in files.iter().flat_map(|file| rows::rows(&file.name, &file.text)) {
        match row.value.and_then(|value| sample(&value, &row.place)) {
            Ok(sample) if wanted.is_empty() || wanted.contains(&sample.category) => gathered.samples.push(sample),
            Ok(_) => gathered.other_categories += 1,
            Err(bad) => gathered.bad.push(bad),
        }
    }
    gathered
}

fn sample(row: &Value, place: &str) -> Result<Sample, BadRow> {
    let line: Line = Line::deserialize(row).map_err(|error| BadRow::new(place, error.to_string()))?;
    let messages = match (line.question, line.messages) {
        (Some(question), None) => vec![Message::new("user", question)],
        (None, Some(messages)) if messages.last().is_some_and(|last| last.role == "user") => messages,
        (None, Some(_)) => return Err(BadRow::new(place, "`messages` must end with a message of the user")),
        _ => return Err(BadRow::new(place, "needs either `question` or `messages`")),
    };
    let (answer, gold) = match (line.answer, line.gold) {
        (Some(answer), Some(gold)) => (answer, gold),
        (None, Some(gold)) => (gold.iter().map(ExpectedCall::exactly).collect(), gold),
        (Some(answer), None) => {
            let gold = answer.iter().map(|call| concrete(call, &line.tools)).collect();
            (answer, gold)
        }
        (None, None) => return Err(BadRow::new(place, "needs `answer` or `gold` (an empty list: no call is right)")),
    };
    // Tools that are left to be listed are those of servers.
    let served = line.tools.is_empty() && !gold.is_empty();
    Ok(Sample {
        id: line.id,
        category: line.category,
        messages,
        tools: line.tools,
        answer,
        gold,
        environment: line.environment.or_else(|| served.then(Environment::of_servers)),
        language: line.language,
        demonstrations: Vec::new(),
        round: 0,
    })
}
