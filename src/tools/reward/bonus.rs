//! The self-exemplifying bonus.
//!
//! Source: ToolExpander (arXiv 2510.07737) gives a minimal extra reward of 0.01 when the model writes and analyses
//! examples of its own in its thinking. The paper does not say how an example is recognised; here: the thinking holds
//! a call, as JSON or in Python style, of a tool that the sample lists, with its required arguments and no unknown
//! ones, and that call is not one of the final answer. Examples inside `<tool_call>` tags count as well, but cost
//! ToolRL's format reward, which wants the tag once.

use serde_json::Value;

use super::toolrl::same_call;
use crate::tools::{
    Call, Sample, ToolSpec,
    parse::{self, ParsedOutput, call_from_value},
};

/// What an answer with an example gets.
pub const BONUS: f64 = 0.01;

/// How many places of a thinking are looked at.
const MAX_PLACES: usize = 256;
/// How much of a thinking is looked at, in bytes.
const MAX_THINKING: usize = 1 << 16;

/// Returns [`BONUS`] if the thinking holds an example, else 0.
pub fn bonus(sample: &Sample, output: &ParsedOutput) -> f64 {
    let final_calls = output.calls.as_deref().unwrap_or_default();
    let thinking = output.thinking.as_deref().unwrap_or_default();
    let thinking = &thinking[..thinking.floor_char_boundary(MAX_THINKING)];
    if holds_example(thinking, &sample.tools, final_calls) { BONUS } else { 0.0 }
}

fn holds_example(thinking: &str, tools: &[ToolSpec], final_calls: &[Call]) -> bool {
    let is_example = |call: &Call| {
        tools.iter().any(|tool| fits(call, tool)) && !final_calls.iter().any(|other| same_call(call, other))
    };
    calls_in(thinking, tools).iter().any(is_example)
}

/// Finds calls that stand in prose: JSON objects, and names of listed tools followed by arguments.
fn calls_in(text: &str, tools: &[ToolSpec]) -> Vec<Call> {
    let mut calls = Vec::new();
    for (at, _) in text.match_indices('{').take(MAX_PLACES) {
        let value = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>().next();
        if let Some(Ok(value)) = value
            && let Ok(call) = call_from_value(value)
        {
            calls.push(call);
        }
    }
    for tool in tools {
        let opening = format!("{}(", tool.name);
        for (at, _) in text.match_indices(&opening).take(MAX_PLACES) {
            let is_word_start = !text[..at].ends_with(|before: char| before.is_alphanumeric() || "_.".contains(before));
            if let (true, Ok((call, _))) = (is_word_start, parse::python_prefix(&text[at..])) {
                calls.push(call);
            }
        }
    }
    calls
}

/// Returns whether a call is well formed for a tool: its name, its required arguments, no unknown ones.
fn fits(call: &Call, tool: &ToolSpec) -> bool {
    call.name == tool.name
        && tool.required().all(|name| call.arguments.contains_key(name))
        && call.arguments.keys().all(|name| tool.property(name).is_some())
}
