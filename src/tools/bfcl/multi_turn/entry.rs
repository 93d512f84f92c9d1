//! The entries of the multi-turn categories, made of the benchmark's questions.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::world::Setting;
use crate::tools::{Message, bfcl::questions::Question};

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

/// Why a question is no entry of several turns.
#[derive(Debug, thiserror::Error)]
#[error("question `{id}` is no conversation: {source}")]
pub struct EntryError {
    /// The question.
    id: String,
    /// What it lacks.
    source: serde_json::Error,
}

#[derive(Deserialize)]
struct Row {
    question: Vec<Vec<Message>>,
    #[serde(default)]
    initial_config: Value,
    involved_classes: Vec<String>,
    /// Documents, as [`Question::row`] has them.
    #[serde(default)]
    missed_function: BTreeMap<usize, Vec<Value>>,
}

impl MultiTurnEntry {
    /// Makes an entry of a question of a multi-turn category.
    ///
    /// # Errors
    /// When it has not the official form.
    pub fn of(question: &Question) -> Result<Self, EntryError> {
        let id = &question.id;
        let failed = |source| EntryError { id: id.clone(), source };
        let row = Row::deserialize(&question.row).map_err(failed)?;
        let answer = question.answer.as_ref().unwrap_or(&Value::Null);
        let ground_truth = Deserialize::deserialize(answer).map_err(failed)?;
        let withheld = row.missed_function;
        let functions_in_all = question.functions.iter().chain(withheld.values().flatten()).cloned().collect();
        Ok(Self {
            setting: Setting {
                classes: row.involved_classes,
                config: row.initial_config,
                long_context: has_long_context(id),
            },
            id: id.clone(),
            question: row.question,
            functions: question.functions.clone(),
            withheld,
            functions_in_all,
            ground_truth,
        })
    }
}

/// Returns whether an entry's world is filled with much that is beside the point: its id says so.
pub fn has_long_context(id: &str) -> bool {
    let category = id.rsplit_once('_').map_or(id, |(category, _)| category);
    category.contains("long_context") || category.contains("composite")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::bfcl::{Category, questions::Files};

    #[test]
    fn withheld_functions_are_taken_away_and_kept() {
        let question = json!({
            "id": "multi_turn_miss_func_3",
            "question": [[{ "role": "user", "content": "do" }], []],
            "initial_config": {},
            "involved_classes": ["TicketAPI"],
            "missed_function": { "1": ["g"] },
        });
        let answer = json!({ "id": "multi_turn_miss_func_3", "ground_truth": [["f()"], ["g()"]] });
        let (question, answer) = (question.to_string(), answer.to_string());
        let files = [
            ("BFCL_v4_multi_turn_miss_func.json", question.as_str()),
            ("possible_answer/BFCL_v4_multi_turn_miss_func.json", answer.as_str()),
            ("multi_turn_func_doc/ticket_api.json", "{\"name\": \"f\"}\n{\"name\": \"g\"}\n"),
        ];
        let questions = Files::new(files).questions(Category::MultiTurnMissFunc).unwrap();
        let entry = MultiTurnEntry::of(&questions[0]).unwrap();
        assert_eq!(entry.functions, [json!({"name": "f"})]);
        assert_eq!(entry.withheld[&1], [json!({"name": "g"})]);
        assert_eq!(entry.functions_in_all.len(), 2);
        assert_eq!(entry.ground_truth, [["f()"], ["g()"]]);
        assert!(!entry.setting.long_context);
        assert!(has_long_context("multi_turn_long_context_1"));
    }

    #[test]
    fn a_question_of_one_turn_is_refused() {
        let question = Question { id: "simple_1".to_owned(), row: json!({}), functions: Vec::new(), answer: None };
        let error = MultiTurnEntry::of(&question).unwrap_err().to_string();
        assert_eq!(error, "question `simple_1` is no conversation: missing field `question`");
    }
}
