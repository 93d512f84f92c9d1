//! Whether a demonstration would show a sample its own answer.
//!
//! Near-duplicates are common in the data: the same question about a tool of another name, the same values under other
//! parameter names, one argument more. A demonstration that holds the values asked for teaches copying, so it counts as
//! the answer whatever it calls them.

use serde_json::Value;

use crate::tools::{Call, ExpectedCall, Sample, matching};

/// Characters from which a text on its own is telling.
const TELLING: usize = 4;

/// Returns whether the gold calls of `shown` answer `sample`: one of them is accepted, or holds the values of an accepted
/// call; or no call is right for either. Samples that want calls are shown calls.
pub(super) fn answers(shown: &[Call], sample: &Sample) -> bool {
    if shown.is_empty() {
        return true;
    }
    let accepted = |call: &Call, expected: &ExpectedCall| {
        let one = std::slice::from_ref(expected);
        matching::matches(std::slice::from_ref(call), one, &sample.tools).matched || holds_values(call, expected)
    };
    shown.iter().any(|call| sample.gold.contains(call) || sample.answer.iter().any(|expected| accepted(call, expected)))
}

/// Returns whether a call holds an accepted value for every argument that must be given, whatever the names: several
/// values, or one that is telling.
fn holds_values(call: &Call, expected: &ExpectedCall) -> bool {
    let given: Vec<String> = call.arguments.values().map(plain).collect();
    let mut needed = 0;
    let mut telling = false;
    for accepted in expected.arguments.values().filter(|accepted| !accepted.contains(&Value::from(""))) {
        needed += 1;
        let Some(found) = accepted.iter().find(|value| given.contains(&plain(value))) else { return false };
        telling |= found.as_str().is_some_and(|text| text.chars().count() >= TELLING);
    }
    needed > 1 || telling
}

/// A value as text, without case.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_lowercase(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(answer: Value) -> Sample {
        let answer: Vec<ExpectedCall> = serde_json::from_value(answer).unwrap();
        Sample {
            answer,
            ..crate::tools::suite::generate(crate::base::Seed(1), 1, &Default::default()).unwrap().remove(0)
        }
    }

    fn shows(call: Value, answer: Value) -> bool {
        answers(&[serde_json::from_value(call).unwrap()], &sample(answer))
    }

    /// The pairs are BFCL's: live_multiple_942 and _940, _92 and _108, simple_python_112 and _116, live_multiple_880 and _876.
    #[test]
    fn near_duplicates_are_answers() {
        assert!(shows(
            json!({ "name": "play_spotify_song", "arguments": { "query": "baby shark" } }),
            json!([{ "name": "play_song", "arguments": { "query": ["baby Shark"] } }]),
        ));
        assert!(shows(
            json!({ "name": "list_servers", "arguments": { "type": "postgres" } }),
            json!([{ "name": "list_servers", "arguments": { "server_type": ["postgres"], "limit": ["", 10] } }]),
        ));
        assert!(shows(
            json!({ "name": "calc_card_probability", "arguments": { "total_outcomes": 52, "favourable": 4 } }),
            json!([{ "name": "probability_of_event", "arguments": { "size": [52, 52.0], "wins": [4] } }]),
        ));
        assert!(shows(
            json!({ "name": "open", "arguments": { "value": "the door", "loud": true } }),
            json!([{ "name": "open", "arguments": { "value": ["the door"] } }]),
        ));
    }

    #[test]
    fn other_questions_about_the_same_tool_are_not() {
        let answer = json!([{ "name": "convert", "arguments": { "amount": [5], "unit": ["mile"] } }]);
        assert!(!shows(json!({ "name": "convert", "arguments": { "amount": 7, "unit": "mile" } }), answer));
        // One number in common says little.
        let answer = json!([{ "name": "pay", "arguments": { "amount": [5] } }]);
        assert!(!shows(json!({ "name": "read", "arguments": { "page": 5 } }), answer));
    }

    #[test]
    fn no_call_is_shown_to_nobody() {
        assert!(answers(&[], &sample(json!([]))) && answers(&[], &sample(json!([{ "name": "f", "arguments": {} }]))));
    }
}
