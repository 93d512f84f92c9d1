//! BFCL's questions with the prompts that the official evaluation shows: the parameter `prompt-format`.
//!
//! The whole set stays as it is, since the benchmark is all of it. What answers are worth by the official rules, the kind
//! `score-bfcl` says.

use serde_json::Value;

use super::{
    Gathered, bfcl,
    format::File,
    rows::{BadRow, member, typed},
};
use crate::{
    base::did_you_mean,
    stage::StageError,
    tools::{
        self, Message, Sample,
        bfcl::{
            Category, Format, Language,
            prompt::{self, shown_functions},
            questions::{Files, Question},
        },
    },
};

/// What the parameter may be called for the benchmark's own format.
const OFFICIAL: &str = "official";

/// Reads the parameter.
pub(super) fn format(text: &str) -> Result<Format, StageError> {
    if text == OFFICIAL {
        return Ok(Format::default());
    }
    Format::parse(text).ok_or_else(|| {
        let reason =
            format!("`{text}` is no prompt format: expected `{OFFICIAL}` or a text such as `{}`", Format::default());
        StageError::parameter("prompt-format", reason)
    })
}

/// Reads the questions of the wanted categories with their prompts; none named: all single-turn categories but format
/// sensitivity.
pub(super) fn read(files: &[File], wanted: &[String], format: &Format) -> Result<Gathered, StageError> {
    let categories = categories(wanted)?;
    let files = Files::new(files.iter().map(|file| (file.name.as_str(), file.text.as_str())));
    let mut gathered = Gathered::default();
    for category in categories {
        // Of those that nobody named, the source need not have all.
        if wanted.is_empty() && !files.has(category) {
            continue;
        }
        for question in files.questions(category).map_err(StageError::failed("read the benchmark's questions"))? {
            match sample(question, category, format) {
                Ok(sample) => gathered.samples.push(sample),
                Err(bad) => gathered.bad.push(bad),
            }
        }
    }
    Ok(gathered)
}

fn categories(wanted: &[String]) -> Result<Vec<Category>, StageError> {
    let single = Category::ALL.into_iter().filter(|category| category.task().is_some());
    if wanted.is_empty() {
        return Ok(single.collect());
    }
    let known: Vec<Category> = single.chain([Category::FormatSensitivity]).collect();
    let one = |name: &String| {
        known.iter().copied().find(|category| category.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|category| category.as_str()).collect();
            let mut reason =
                format!("`{name}` is no single-turn category of BFCL; expected some of: {}", names.join(", "));
            if let Some(near) = did_you_mean(name, names) {
                reason.push_str(&format!("; did you mean `{near}`?"));
            }
            StageError::parameter("categories", reason)
        })
    };
    wanted.iter().map(one).collect()
}

fn sample(question: Question, category: Category, format: &Format) -> Result<Sample, BadRow> {
    let place = question.id.as_str();
    let turns: Vec<Vec<Message>> = typed(member(&question.row, place, "question")?, place, "question")?;
    let [turn] = turns.as_slice() else {
        return Err(BadRow::new(place, format!("has {} turns, one is expected", turns.len())));
    };
    // Entries of format sensitivity say their format.
    let format = Format::of_id(&question.id).unwrap_or(*format);
    let repeated = category == Category::FormatSensitivity;
    let shown = shown_functions(&question.functions, category.language(), repeated);
    let tools = bfcl::tools(&Value::Array(question.functions.clone()), place)?;
    let answer = match &question.answer {
        Some(answer) => bfcl::expected(answer, place)?,
        None => Vec::new(),
    };
    let gold = answer.iter().map(|call| super::concrete::concrete(call, &tools)).collect();
    Ok(Sample {
        messages: prompt::messages(&format, &shown, turn),
        category: category.as_str().to_owned(),
        tools,
        answer,
        gold,
        environment: None,
        language: match category.language() {
            Language::Python => tools::Language::Python,
            Language::Java => tools::Language::Java,
            Language::JavaScript => tools::Language::JavaScript,
        },
        demonstrations: Vec::new(),
        round: 0,
        id: question.id,
    })
}
