//! Look-ups: documents, recordings, symptoms, history, the date; sums and mails.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::super::{
    calculator,
    dates::day_of_year,
    input::{Input, Tool, text},
    python::strip,
    rules::{Answer, Fold, Raised, demand, exact, input_text, part, same_outcome, same_text},
    world::{LIBRARY, TODAY, World},
};

pub(super) const TOOLS: &[Tool] = &[
    Tool { name: "Calculator", parameters: &[text("formula")], named: true, run: Some(calculate), rule: calculated },
    Tool {
        name: "DocumentQA",
        parameters: &[text("url"), text("question")],
        named: true,
        run: Some(document_qa),
        rule: document_asked,
    },
    Tool {
        name: "EmergencyKnowledge",
        parameters: &[text("symptom")],
        named: true,
        run: Some(emergency_knowledge),
        rule: aid_searched,
    },
    Tool { name: "GetToday", parameters: &[], named: true, run: Some(get_today), rule: today_known },
    Tool {
        name: "QueryHistoryToday",
        parameters: &[text("date")],
        named: true,
        run: Some(query_history_today),
        rule: history_queried,
    },
    Tool {
        name: "SendEmail",
        parameters: &[text("receiver"), text("subject"), text("content")],
        named: true,
        run: Some(send_email),
        rule: email_sent,
    },
    Tool {
        name: "SpeechRecognition",
        parameters: &[text("url")],
        named: true,
        run: Some(speech_recognition),
        rule: exact,
    },
    Tool {
        name: "SymptomSearch",
        parameters: &[text("symptom")],
        named: true,
        run: Some(symptom_search),
        rule: symptom_searched,
    },
];

fn calculate(_: &mut World, input: &mut Input) -> Result<Value, String> {
    calculator::calculate(input.text("formula")?)
}

fn calculated(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    let formula = |answer| Ok::<_, Raised>(input_text(answer, "formula", "replace")?.replace(' ', ""));
    Ok(formula(ours)? == formula(gold)? && same_outcome(ours, gold)?)
}

fn document_qa(_: &mut World, input: &mut Input) -> Result<Value, String> {
    let (url, question) = (strip(input.text("url")?), strip(input.text("question")?));
    if question.is_empty() {
        return Err("The question is empty.".to_owned());
    }
    let answers = LIBRARY.documents.get(url).ok_or("The document of this url failed to be processed.")?;
    Ok(answers.get(question).cloned().unwrap_or_else(|| "The question is too difficult to answer.".into()))
}

fn document_asked(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    Ok(same_text("url", Fold::Blanks, ours, gold)?
        && same_text("question", Fold::Blanks, ours, gold)?
        && same_outcome(ours, gold)?)
}

/// Upstream makes an exception of an empty symptom and then treats it as a text.
const NO_SYMPTOM: &str = "'Exception' object has no attribute 'lower'";

fn of_symptom(symptom: &str, field: &str, empty: &str) -> Result<Value, String> {
    let symptom = strip(symptom).to_lowercase();
    if symptom.is_empty() {
        return Err(empty.to_owned());
    }
    let found = LIBRARY.symptoms.get(&symptom).and_then(Value::as_array).ok_or("The symptom does not exist.")?;
    Ok(found.iter().map(|disease| json!({ "name": disease["name"], field: disease[field] })).collect())
}

fn same_symptom(ours: &Answer, gold: &Answer, empty: &str) -> Result<bool, Raised> {
    for answer in [ours, gold] {
        if strip(input_text(answer, "symptom", "strip")?).is_empty() {
            return Err(Raised::Other(empty.to_owned()));
        }
    }
    Ok(same_text("symptom", Fold::Lower, ours, gold)? && same_outcome(ours, gold)?)
}

fn emergency_knowledge(_: &mut World, input: &mut Input) -> Result<Value, String> {
    of_symptom(input.text("symptom")?, "aid", NO_SYMPTOM)
}

fn aid_searched(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    same_symptom(ours, gold, NO_SYMPTOM)
}

fn symptom_search(_: &mut World, input: &mut Input) -> Result<Value, String> {
    of_symptom(input.text("symptom")?, "description", "The symptom cannot be empty.")
}

fn symptom_searched(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    same_symptom(ours, gold, "The symptom cannot be empty.")
}

fn get_today(_: &mut World, _: &mut Input) -> Result<Value, String> {
    Ok(TODAY.into())
}

/// Any day will do.
fn today_known(ours: &mut Answer, _: &mut Answer) -> Result<bool, Raised> {
    Ok(!part(ours, "output")?.is_null() && part(ours, "exception")?.is_null() && part(ours, "input")?.is_null())
}

fn query_history_today(_: &mut World, input: &mut Input) -> Result<Value, String> {
    let day = day_of_year(input.text("date")?)?;
    let events = LIBRARY.history.get(&day).and_then(Value::as_array).ok_or("The date is not in the database.")?;
    let line = |event: &Value| {
        let of = |name: &str| strip(event.get(name).and_then(Value::as_str).unwrap_or_default()).to_owned();
        format!("Title: {}, Date: {}, Description: {}", of("Title"), of("Date"), of("Description"))
    };
    Ok(events.iter().map(line).collect::<Vec<_>>().into())
}

fn history_queried(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    let (own, recorded) = (input_text(ours, "date", "strip")?, input_text(gold, "date", "strip")?);
    let same_day = day_of_year(own).is_ok_and(|own| day_of_year(recorded) == Ok(own));
    Ok(same_day && same_outcome(ours, gold)?)
}

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[a-z0-9]+[._]?[a-z0-9]+@[\p{L}\p{N}_]+\.[\p{L}\p{N}_]{2,3}$").expect("the pattern is well formed")
});

fn send_email(_: &mut World, input: &mut Input) -> Result<Value, String> {
    let receiver = strip(input.text("receiver")?);
    let (subject, content) = (strip(input.text("subject")?), strip(input.text("content")?));
    if !ADDRESS.is_match(receiver) {
        return Err("Email address of the receiver is invalid.".to_owned());
    }
    if subject.is_empty() {
        return Err("Subject cannot be empty.".to_owned());
    }
    if content.is_empty() {
        return Err("Content cannot be empty.".to_owned());
    }
    Ok("success".into())
}

fn email_sent(ours: &mut Answer, gold: &mut Answer) -> Result<bool, Raised> {
    demand(&[], &["receiver", "subject", "content"], ours, gold)?;
    Ok(same_text("receiver", Fold::Lower, ours, gold)?
        && same_text("subject", Fold::Blanks, ours, gold)?
        && same_text("content", Fold::Blanks, ours, gold)?
        && same_outcome(ours, gold)?)
}

fn speech_recognition(_: &mut World, input: &mut Input) -> Result<Value, String> {
    let url = strip(input.text("url")?);
    if !url.ends_with(".wav") {
        return Err("The url should end with .wav.".to_owned());
    }
    let transcript = LIBRARY.recordings.get(url).cloned();
    Ok(transcript.ok_or("The audio of this url failed to be processed.")?)
}
