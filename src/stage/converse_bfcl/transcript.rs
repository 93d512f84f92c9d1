//! What result files say of a conversation beside the answer: tokens, thoughts, and a log for people.
//!
//! Source: `inference_multi_turn_prompting` of bfcl-eval 2026.3.23. States of worlds and times are left out: the former are
//! long, the latter differ from one execution to the next.

use serde_json::{Map, Value, json};

use crate::tools::bfcl::multi_turn::{conversation::Conversation, entry::MultiTurnEntry};

/// Returns the members.
pub(super) fn members(
    entry: &MultiTurnEntry,
    conversation: &Conversation<'_>,
    [read, said]: &[Vec<Vec<usize>>; 2],
    thoughts: &[Vec<String>],
) -> Map<String, Value> {
    let log: Vec<Value> = (0..conversation.texts().len())
        .map(|turn| Value::Object(turn_log(entry, conversation, turn, thoughts)))
        .collect();
    let mut members = Map::new();
    members.insert("input_token_count".to_owned(), json!(read));
    members.insert("output_token_count".to_owned(), json!(said));
    members.insert("inference_log".to_owned(), Value::Array(log));
    if thoughts.iter().flatten().any(|thought| !thought.is_empty()) {
        members.insert("reasoning_content".to_owned(), json!(thoughts));
    }
    members
}

fn turn_log(
    entry: &MultiTurnEntry,
    conversation: &Conversation<'_>,
    turn: usize,
    thoughts: &[Vec<String>],
) -> Map<String, Value> {
    let mut log = Map::new();
    let query = match entry.withheld.get(&turn) {
        Some(documents) => json!([{ "role": "user", "content": documents }]),
        None => json!(entry.question.get(turn)),
    };
    log.insert("begin_of_turn_query".to_owned(), query);
    for (step, text) in conversation.texts()[turn].iter().enumerate() {
        let mut said = json!({ "role": "assistant", "content": text });
        let thought = thoughts.get(turn).and_then(|thoughts| thoughts.get(step)).filter(|thought| !thought.is_empty());
        if let Some(thought) = thought {
            said["reasoning_content"] = thought.as_str().into();
        }
        let mut lines = vec![said];
        // Every step but the last of a turn has calls.
        match conversation.calls()[turn].get(step) {
            Some(calls) => lines.push(json!({
                "role": "handler_log",
                "content": "Successfully decoded model response.",
                "model_response_decoded": calls,
            })),
            None => lines.push(json!({
                "role": "handler_log",
                "content": "Nothing to run in the model response. Proceed to next turn.",
            })),
        }
        let results = conversation.results()[turn].get(step).into_iter().flatten();
        lines.extend(results.map(|result| json!({ "role": "tool", "content": result })));
        log.insert(format!("step_{step}"), Value::Array(lines));
    }
    log
}
