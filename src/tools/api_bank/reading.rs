//! Calls in a model's text, as the official evaluator reads them.
//!
//! Two patterns: `[name(arguments)]` on one line, and in the arguments `name='value'` up to the next quote of either kind,
//! `name=[…]` up to the last bracket, or `name=word`. Everything is text; what no pattern finds is not there. Python's
//! `\w` and `\s` are spelled out where Rust's differ.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::tools::Call;

/// The longest call that is read, in bytes: far more than a call of these tools needs.
pub const MAX_CALL_BYTES: usize = 1 << 14;

static CALL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\[([\p{L}\p{N}_]+)\((.*)\)\]").expect("the pattern is well formed"));

static ARGUMENT: LazyLock<Regex> = LazyLock::new(|| {
    let (word, blank) = (r"[\p{L}\p{N}_]+", r"[\s\x1c-\x1f]*");
    let pattern = format!(
        r#"({word}){blank}={blank}['"](.+?)['"]|({word}){blank}={blank}(\[.*\])|({word}){blank}={blank}({word})"#
    );
    Regex::new(&pattern).expect("the pattern is well formed")
});

/// A call as it stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The whole of it, brackets included.
    pub text: &'a str,
    pub name: &'a str,
    pub arguments: &'a str,
}

/// Returns the first call in a text.
pub(super) fn find(text: &str) -> Option<Found<'_>> {
    let captures = CALL.captures(text)?;
    let group = |index| captures.get(index).map_or("", |group| group.as_str());
    Some(Found { text: group(0), name: group(1), arguments: group(2) })
}

/// Returns the first call in a text, every value a text.
///
/// ```
/// use toolexpander::tools::api_bank;
///
/// let call = api_bank::read_call("AI: [AddAlarm(token='a1', time='2023-09-12 14:00:00')]").unwrap();
/// assert_eq!(call.arguments["time"], "2023-09-12 14:00:00");
/// ```
pub fn read_call(text: &str) -> Option<Call> {
    let found = find(text)?;
    if found.text.len() > MAX_CALL_BYTES {
        return None;
    }
    let mut arguments = Map::new();
    for captures in ARGUMENT.captures_iter(found.arguments) {
        let pair = [(1, 2), (3, 4), (5, 6)]
            .into_iter()
            .find_map(|(name, value)| Some((captures.get(name)?.as_str(), captures.get(value)?.as_str())));
        if let Some((name, value)) = pair {
            arguments.insert(name.to_owned(), Value::from(value));
        }
    }
    Some(Call { name: found.name.to_owned(), arguments })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(text: &str) -> Option<Value> {
        read_call(text).map(|call| Value::Object(call.arguments))
    }

    #[test]
    fn values_end_where_the_patterns_say() {
        assert_eq!(
            arguments(r#"[f(a='it"s', b="x", c=[1, [2]], d=word more)]"#),
            Some(json!({"a": "it", "b": "x", "c": "[1, [2]]", "d": "word"}))
        );
        assert_eq!(arguments("[f(a='', b='x')]"), Some(json!({"a": "', b="})));
        assert_eq!(arguments("[f(a = 'one', a='two')]"), Some(json!({"a": "two"})));
        assert_eq!(arguments("[f(a=2023-10-05)]"), Some(json!({"a": "2023"})));
        assert_eq!(arguments("[f()]"), Some(json!({})));
        assert_eq!(arguments("f(a='b')"), None);
        assert_eq!(arguments("[f(a='b',\nc='d')]"), None);
        assert_eq!(arguments("[x] [f(a='b')] and [g(c='d')]"), Some(json!({"a": "b", "c": "d"})));
    }

    #[test]
    fn quotes_inside_quotes_end_the_value() {
        let text = "[AddMeeting(attendees='['John Smith', 'Jane Doe']')]";
        assert_eq!(arguments(text), Some(json!({"attendees": "["})));
    }
}
