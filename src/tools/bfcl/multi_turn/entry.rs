//! The entries of the multi-turn categories, read from the official files' text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::world::Setting;
use crate::tools::Message;

/// The API classes of the multi-turn categories, and the files (in `multi_turn_func_doc`) that describe their methods.
pub const CLASSES: [(&str, &str); 8] = [
    ("GorillaFileSystem", "gorilla_file_system.json"),
    ("MathAPI", "math_api.json"),
    ("MessageAPI", "message_api.json"),
    ("TwitterAPI", "posting_api.json"),
    ("TicketAPI", "ticket_api.json"),
    ("TradingBot", "trading_bot.json"),
    ("TravelAPI", "travel_booking.json"),
    ("VehicleControlAPI", "vehicle_control.json"),
];

/// The documents of the classes' methods.
#[derive(Clone, Debug, Default)]
pub struct FunctionDocs {
    by_class: BTreeMap<String, Vec<Value>>,
}

/// One conversation to hold and to judge.
#[derive(Clone, Debug)]
pub struct MultiTurnEntry {
    /// The official id.
    pub id: String,
    /// What the user says, by turn. A turn in which withheld functions are shown has no message of its own.
    pub question: Vec<Vec<Message>>,
    /// The world.
    pub setting: Setting,
    /// The documents of the functions that are shown from the start.
    pub functions: Vec<Value>,
    /// The documents of functions that are shown later, by turn.
    pub withheld: BTreeMap<usize, Vec<Value>>,
    /// The documents of all functions of the classes.
    pub functions_in_all: Vec<Value>,
    /// The calls that are expected, by turn.
    pub ground_truth: Vec<Vec<String>>,
}

/// Why a line of an official file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// It has not the form.
    #[error("failed to read {what}: {source}")]
    Form {
        /// Of what.
        what: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Questions and answers are aligned by line, and here they are not.
    #[error("the answer of `{answer}` stands where that of `{question}` is expected")]
    Unaligned {
        /// The question's id.
        question: String,
        /// The answer's id.
        answer: String,
    },
    /// No documents were given for a class.
    #[error("entry `{id}` uses the class `{class}`, which has no documents")]
    UnknownClass {
        /// The entry.
        id: String,
        /// The class.
        class: String,
    },
}

#[derive(Deserialize)]
struct QuestionLine {
    id: String,
    question: Vec<Vec<Message>>,
    #[serde(default)]
    initial_config: Value,
    involved_classes: Vec<String>,
    #[serde(default)]
    missed_function: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct AnswerLine {
    id: String,
    ground_truth: Vec<Vec<String>>,
}

impl FunctionDocs {
    /// Reads the documents of a class: one JSON object per line.
    ///
    /// # Errors
    /// When a line is no JSON.
    pub fn add(&mut self, class: &str, text: &str) -> Result<(), EntryError> {
        let docs = text.lines().filter(|line| !line.trim().is_empty()).map(|line| parse(line, "a function document"));
        self.by_class.insert(class.to_owned(), docs.collect::<Result<_, _>>()?);
        Ok(())
    }
}

impl MultiTurnEntry {
    /// Reads a line of a question file and the line of the answer file that belongs to it.
    ///
    /// # Errors
    /// When a line has not the official form, the two do not belong together, or documents are missing.
    pub fn read(question: &str, answer: &str, docs: &FunctionDocs) -> Result<Self, EntryError> {
        let question: QuestionLine = parse(question, "a question")?;
        let answer: AnswerLine = parse(answer, "an answer")?;
        if question.id != answer.id {
            return Err(EntryError::Unaligned { question: question.id, answer: answer.id });
        }
        let mut functions = Vec::new();
        for class in &question.involved_classes {
            let Some(docs) = docs.by_class.get(class) else {
                return Err(EntryError::UnknownClass { id: question.id, class: class.clone() });
            };
            functions.extend(docs.iter().cloned());
        }
        let functions_in_all = functions.clone();
        let mut withheld = BTreeMap::new();
        for (turn, names) in &question.missed_function {
            let mut taken = Vec::new();
            for name in names {
                if let Some(place) = functions.iter().position(|document| document["name"] == name.as_str()) {
                    taken.push(functions.remove(place));
                }
            }
            if let Ok(turn) = turn.parse() {
                withheld.insert(turn, taken);
            }
        }
        let long_context = has_long_context(&question.id);
        Ok(Self {
            setting: Setting { classes: question.involved_classes, config: question.initial_config, long_context },
            id: question.id,
            question: question.question,
            functions,
            withheld,
            functions_in_all,
            ground_truth: answer.ground_truth,
        })
    }
}

/// Returns whether an entry's world is filled with much that is beside the point: its id says so.
pub fn has_long_context(id: &str) -> bool {
    let category = id.rsplit_once('_').map_or(id, |(category, _)| category);
    category.contains("long_context") || category.contains("composite")
}

fn parse<T: serde::de::DeserializeOwned>(line: &str, what: &str) -> Result<T, EntryError> {
    serde_json::from_str(line).map_err(|source| EntryError::Form { what: what.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docs() -> FunctionDocs {
        let mut docs = FunctionDocs::default();
        docs.add("A", "{\"name\": \"f\"}\n{\"name\": \"g\"}\n").unwrap();
        docs
    }

    #[test]
    fn withheld_functions_are_taken_away() {
        let question = r#"{"id": "multi_turn_miss_func_3", "question": [[{"role": "user", "content": "do"}], []],
            "initial_config": {}, "involved_classes": ["A"], "missed_function": {"1": ["g"]}}"#;
        let answer = r#"{"id": "multi_turn_miss_func_3", "ground_truth": [["f()"], ["g()"]]}"#;
        let entry = MultiTurnEntry::read(question, answer, &docs()).unwrap();
        assert_eq!(entry.functions, [serde_json::json!({"name": "f"})]);
        assert_eq!(entry.withheld[&1], [serde_json::json!({"name": "g"})]);
        assert_eq!(entry.functions_in_all.len(), 2);
        assert!(!entry.setting.long_context);
        assert!(has_long_context("multi_turn_long_context_1"));
    }

    #[test]
    fn lines_that_do_not_belong_together_are_refused() {
        let question = r#"{"id": "a_1", "question": [], "involved_classes": ["B"]}"#;
        let error = |id: &str| {
            let answer = format!(r#"{{"id": "{id}", "ground_truth": []}}"#);
            MultiTurnEntry::read(question, &answer, &docs()).unwrap_err().to_string()
        };
        assert_eq!(error("a_2"), "the answer of `a_2` stands where that of `a_1` is expected");
        assert_eq!(error("a_1"), "entry `a_1` uses the class `B`, which has no documents");
    }
}
