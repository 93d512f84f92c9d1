//! ToolRL's use of API-Bank: 597 questions of levels 1 to 3 that want one call, in ToolRL's prompt; nothing is run.
//!
//! A text is right if any line of its last `<tool_call>` block is JSON of a call with the recorded name and equal
//! arguments, as Python compares. A dictionary without `name` or `parameters` counts as the arguments of the recorded
//! tool. A line that is JSON but no list, text or dictionary ends the search: upstream it raises.
//! Source: qiancheng0/ToolRL, benchmarks/API-Bank (what its evaluation calls the soft match).

use serde_json::Value;

use crate::tools::{Call, equality::python_equal};

/// Returns the calls of a text: the lines between the last `<tool_call>` and the next `</tool_call>` that are JSON. A text
/// without tags is all such lines.
pub fn calls(completion: &str) -> Vec<Value> {
    let text = completion.trim();
    let block = text.rsplit("<tool_call>").next().unwrap_or(text);
    let block = block.split("</tool_call>").next().unwrap_or(block);
    block.trim().split('\n').filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns whether a text makes the call `gold`.
///
/// ```
/// use serde_json::json;
/// use toolexpander::tools::{Call, api_bank::toolrl};
///
/// let gold = Call::new("SymptomSearch", [("symptom", json!("rash"))]);
/// let text = "<think> … </think>\n<tool_call>\n{\"name\": \"SymptomSearch\", \"parameters\": {\"symptom\": \"rash\"}}\n</tool_call>";
/// assert!(toolrl::is_right(text, &gold));
/// assert!(toolrl::is_right("{\"symptom\": \"rash\"}", &gold));
/// assert!(!toolrl::is_right("SymptomSearch(symptom='rash')", &gold));
/// ```
pub fn is_right(completion: &str, gold: &Call) -> bool {
    let wanted = Value::Object(gold.arguments.clone());
    for call in calls(completion) {
        // A call inside a JSON text is read once more.
        let call = match call {
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(call) => call,
                Err(_) => return false,
            },
            call => call,
        };
        let right = match &call {
            Value::Object(entries) => match (entries.get("name"), entries.get("parameters")) {
                (Some(name), Some(parameters)) => *name == *gold.name && python_equal(parameters, &wanted),
                _ => python_equal(&call, &wanted),
            },
            // Upstream looks the keys up in these as in dictionaries, and raises only where it finds both.
            Value::String(text) if text.contains("name") && text.contains("parameters") => return false,
            Value::Array(items) if ["name", "parameters"].iter().all(|key| items.contains(&Value::from(*key))) => {
                return false;
            }
            Value::String(_) | Value::Array(_) => false,
            _ => return false,
        };
        if right {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn right(text: &str) -> bool {
        is_right(text, &Call::new("f", [("a", json!(1)), ("b", json!([true, "x"]))]))
    }

    #[test]
    fn any_equal_call_is_right() {
        let call = r#"{"name": "f", "parameters": {"b": [1, "x"], "a": 1.0}}"#;
        assert!(right(&format!("<tool_call>\n{call}\n</tool_call>")));
        assert!(right(&format!(
            "<tool_call>\nnot JSON\n{{\"name\": \"g\", \"parameters\": {{}}}}\n{call}\n</tool_call>"
        )));
        assert!(right(&format!("<tool_call>{{}}</tool_call>\n<tool_call>{call}")));
        assert!(right(&serde_json::to_string(call).unwrap()));
        assert!(right(r#"{"a": 1, "b": [true, "x"]}"#));
    }

    #[test]
    fn everything_else_is_wrong() {
        let call = r#"{"name": "f", "parameters": {"a": 1, "b": [true, "x"]}}"#;
        assert!(!right(&call.replace("\"f\"", "\"F\"")));
        assert!(!right(&call.replace("1,", "\"1\",")));
        assert!(!right(&call.replace("\"x\"", "\"x\", 2")));
        assert!(!right(&format!("[{call}]")));
        assert!(!right(""));
        assert!(!right(&format!("12\n{call}")), "what upstream raises on ends the search");
        assert!(right(&format!("[12]\n{call}")));
    }
}
