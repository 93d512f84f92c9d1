//! Tool-N1's binary reward: everything is right, or nothing counts.
//!
//! Source: Tool-N1 (arXiv 2505.00024), `compute_score_v0` of `verl/verl/utils/reward_score/toolcall.py` at commit f9b4849
//! of NVlabs/Tool-N1 (Apache-2.0), re-written from its behaviour; compared with scores that the original gave (tests).
//!
//! 1 if the text has `<think>` and `</think>`, its last `<tool_call>…</tool_call>` holds one JSON value, that value is a
//! call or a list of calls (`name`, `arguments`; other keys do not count), and the calls are the expected ones in any
//! order, each as often; else 0. Its quirks are kept: where the tags stand does not matter, nor text around them; earlier
//! blocks are not read; a JSON text that holds JSON is read again; arguments are compared as they print, so `1`, `1.0`
//! and `true` differ (ToolRL takes them for equal). Where no call is right, an empty list in the tags is, and an answer
//! without tags is not. Where the original raises an exception (a number or truth value in the tags, a whole number of
//! more than 4,300 digits) the reward is 0.

use crate::tools::{Call, python_json::Json};

/// Returns 1 if the text is wholly right, else 0.
pub fn binary(gold: &[Call], text: &str) -> f64 {
    if is_right(gold, text) { 1.0 } else { 0.0 }
}

fn is_right(gold: &[Call], text: &str) -> bool {
    let text = text.rfind("<|im_start|>assistant").map_or(text, |at| &text[at..]);
    let Some(block) = last_block(text) else { return false };
    let read = match Json::read(super::toolrl::python_strip(block)) {
        Ok(Json::Text(inner)) => inner.as_str().and_then(|inner| Json::read(inner).ok()),
        Ok(value) => Some(value),
        Err(_) => None,
    };
    let calls = match read {
        Some(Json::List(calls)) => calls,
        Some(call @ Json::Map(_)) => vec![call],
        // A text inside a text has no calls in it; an empty one is an empty list to Python.
        Some(Json::Text(text)) if text.characters() == 0 => Vec::new(),
        _ => return false,
    };
    if !text.contains("<think>") || !text.contains("</think>") {
        return false;
    }
    let signed: Option<Vec<(&Json, &Json)>> =
        calls.iter().map(|call| Some((call.get("name")?, call.get("arguments")?))).collect();
    let Some(signed) = signed else { return false };
    if signed.len() != gold.len() || !signed.iter().all(|(name, _)| name.is_hashable()) {
        return false;
    }
    let mut free: Vec<(Json, Json)> = gold
        .iter()
        .map(|call| {
            let arguments = call.arguments.iter().map(|(key, value)| (key.as_str().into(), value.into())).collect();
            (Json::Text(call.name.as_str().into()), Json::Map(arguments))
        })
        .collect();
    signed.iter().all(|(name, arguments)| {
        let found = free.iter().position(|(other, expected)| name.equals(other) && arguments.dumps_alike(expected));
        found.map(|index| free.swap_remove(index)).is_some()
    })
}

/// Returns what stands in the last pair of tags. Pairs are found from left to right, each opening tag with the nearest
/// closing tag after it.
fn last_block(text: &str) -> Option<&str> {
    const OPEN: &str = "<tool_call>";
    const CLOSE: &str = "</tool_call>";
    let (mut rest, mut last) = (text, None);
    while let Some(open) = rest.find(OPEN) {
        let inside = &rest[open + OPEN.len()..];
        let Some(close) = inside.find(CLOSE) else { break };
        last = Some(&inside[..close]);
        rest = &inside[close + CLOSE.len()..];
    }
    last
}
