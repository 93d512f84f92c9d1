//! ToolRL's reward, number for number.
//!
//! Source: ToolRL (arXiv 2504.13958), `verl/utils/reward_score/rlla.py` at commit 8cee13e of qiancheng0/ToolRL
//! (Apache-2.0), re-written from its behaviour; compared with scores that the original gave (tests). A total lies in
//! −3 … 4: format 0 or 1, correctness −3 … 3, length 0 … 1 when switched on.
//!
//! Its quirks are kept: values are compared with Python's `==`; thoughts that mention a tag change what is read;
//! extra calls cost only through the overlap of names; a call written on two lines cannot be read. Not kept: JSON that
//! only Python reads (`NaN`, `Infinity`, half surrogates, whole numbers beyond 64 bits) is an error or rounded here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tools::equality::{python_equal, python_equal_maps};

/// The environment switches of the original that change its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Switches {
    /// `COARSEREWARD`: exactly equal or the lowest score.
    pub coarse: bool,
    /// `REFINEDREWARD`: overlaps of names and of parameter names count only when the lists are equal, order included.
    pub refined: bool,
    /// `INTERMEDIATEREWARD`: a call counts only if it is wholly equal.
    pub intermediate: bool,
    /// `CORRECTMAX1`: correctness in −1 … 1.
    pub correct_max_1: bool,
    /// `MAX1STEP30MAX3`: correctness in −1 … 1 before step 30, format in 0 … 0.5 from then on.
    pub max_1_step_30_max_3: bool,
    /// `SCHEDULEREWARD`: the ranges move with the step, over 150 steps.
    pub schedule_reward: bool,
    /// `WITHLENGTH`: adds the length of the thinking.
    pub with_length: bool,
    /// `SCHEDULELENGTH`: the length asked for grows from 384 to 640 words by step 105 (512 without).
    pub schedule_length: bool,
}

/// The three parts of ToolRL's reward.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// 0 or 1 (other ends with a schedule).
    pub format: f64,
    /// −3 … 3 (other ends with a switch).
    pub correctness: f64,
    /// 0 … 1; 0 unless switched on.
    pub length: f64,
}

impl Score {
    /// Returns the sum of the parts.
    pub fn total(&self) -> f64 {
        self.format + self.correctness + self.length
    }
}

/// A ground truth that cannot be scored against.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolRlError {
    /// The lines between the first `<tool_call>` and the next `</tool_call>` are no JSON. The original raises too: its
    /// data has thoughts that mention the tag.
    #[error("line {line} of the ground truth's tool calls is no JSON")]
    TruthNotJson {
        /// Which line, from 1.
        line: usize,
        /// The JSON parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// A call of the ground truth lacks `name` or `parameters`.
    #[error("call {index} of the ground truth has no `name` and `parameters`")]
    TruthNotACall {
        /// Which call, from 1.
        index: usize,
    },
}

/// What the ground truth of one question says.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// The calls, if the ground truth has a `<tool_call>`; each an object with `name` and `parameters`.
    pub calls: Option<Vec<Value>>,
    /// Whether the ground truth has a `<response>`.
    pub response: bool,
}

impl Truth {
    /// Reads the text of a ground truth.
    ///
    /// # Errors
    /// When its tool calls are no JSON lines.
    pub fn from_text(text: &str) -> Result<Self, ToolRlError> {
        let calls = match between_tags(text) {
            None => None,
            Some(block) => {
                let lines = python_strip(block).split('\n').enumerate();
                let calls: Result<Vec<Value>, _> = lines
                    .map(|(index, line)| {
                        serde_json::from_str(line)
                            .map_err(|source| ToolRlError::TruthNotJson { line: index + 1, source })
                    })
                    .collect();
                let calls = calls?;
                if let Some(index) = calls.iter().position(|call| signature(call).is_none()) {
                    return Err(ToolRlError::TruthNotACall { index: index + 1 });
                }
                Some(calls)
            }
        };
        Ok(Self { calls, response: text.contains("<response>") })
    }
}

/// Returns the answer in a ChatML transcript, as the original cuts it: after the last `<|im_start|>assistant`, before the
/// next `<|im_end|>`. A text without these marks is its own answer.
pub fn chatml_answer(transcript: &str) -> &str {
    let answer = transcript.rsplit("<|im_start|>assistant").next().unwrap_or("");
    answer.split("<|im_end|>").next().unwrap_or("")
}

/// Scores a response against a ground truth, at a training step (which only schedules look at).
pub fn score(truth: &Truth, response: &str, switches: &Switches, step: u32) -> Score {
    let response = python_strip(response);
    Score {
        format: format(truth, response, switches, step),
        correctness: correctness(truth, response, switches, step),
        length: if switches.with_length { length(response, switches, step) } else { 0.0 },
    }
}

/// Format: the whole response has the shape that the ground truth has, and each tag used occurs once.
fn format(truth: &Truth, response: &str, switches: &Switches, step: u32) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    let step_share = f64::from(step) / 150.0;
    if switches.max_1_step_30_max_3 && step >= 30 {
        high /= 2.0;
    }
    if switches.schedule_reward {
        high = f64::max(2.0 - (2.0 - high) * step_share, 1.0);
        low = f64::min(-2.0 + (2.0 + low) * step_share, -1.0);
    }
    let once = |tag: &str| response.matches(tag).count() == 1;
    let calls_once = || once("<tool_call>") && once("</tool_call>");
    let response_once = || once("<response>") && once("</response>");
    let right = match (truth.calls.is_some(), truth.response) {
        (false, true) => has_shape(response, &["<think>", "</think>\n<response>", "</response>"]) && response_once(),
        (true, false) => has_shape(response, &["<think>", "</think>\n<tool_call>\n", "\n</tool_call>"]) && calls_once(),
        (true, true) => {
            let shape = ["<think>", "</think>\n<tool_call>\n", "\n</tool_call>\n<response>", "</response>"];
            has_shape(response, &shape) && calls_once() && response_once()
        }
        (false, false) => has_shape(response, &["<think>", "</think>"]),
    };
    if right { high } else { low }
}

/// Returns whether the text is the marks in order with anything between them: the first at its start, the last at its
/// end, none overlapping. Taking each mark as early as possible decides it.
fn has_shape(text: &str, marks: &[&str]) -> bool {
    let (Some((first, rest)), true) = (marks.split_first(), marks.len() >= 2) else { return false };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    for (index, mark) in rest.iter().enumerate() {
        if index + 1 == rest.len() {
            return left.ends_with(mark);
        }
        match left.find(mark) {
            Some(at) => left = &left[at + mark.len()..],
            None => return false,
        }
    }
    false
}

/// Correctness: 0 without calls in the ground truth; the lowest score if the calls cannot be read line by line.
fn correctness(truth: &Truth, response: &str, switches: &Switches, step: u32) -> f64 {
    let Some(expected) = &truth.calls else { return 0.0 };
    match predicted_calls(response) {
        Some(predicted) => correctness_of_calls(expected, &predicted, switches, step),
        None => lowest_correctness(switches, step),
    }
}

fn correctness_range(switches: &Switches, step: u32) -> (f64, f64) {
    let mut high = if switches.correct_max_1 { 1.0 } else { 3.0 };
    let mut low = -high;
    let step_share = f64::from(step) / 150.0;
    if switches.max_1_step_30_max_3 && step < 30 {
        (low, high) = (low / 3.0, high / 3.0);
    }
    if switches.schedule_reward {
        high = f64::min((high - 2.0) * step_share + 2.0, 3.0);
        low = f64::max((low + 2.0) * step_share - 2.0, -3.0);
    }
    (low, high)
}

/// Scores calls that were read already, in −3 … 3 (or as the switches have it): for answers in other styles than
/// ToolRL's. Each call is an object with `name` and `parameters`.
pub fn correctness_of_calls(expected: &[Value], predicted: &[Value], switches: &Switches, step: u32) -> f64 {
    let (low, high) = correctness_range(switches, step);
    match points(expected, predicted, switches) {
        Some(Points::All) => high,
        Some(Points::Part { points, possible }) => (high - low) * points / possible + low,
        None => low,
    }
}

/// Returns the lowest correctness: for answers that cannot be read.
pub fn lowest_correctness(switches: &Switches, step: u32) -> f64 {
    correctness_range(switches, step).0
}

fn predicted_calls(response: &str) -> Option<Vec<Value>> {
    if !response.contains("</tool_call>") {
        return None;
    }
    python_strip(between_tags(response)?).split('\n').map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the text after the first `<tool_call>` up to the next tag of either kind.
fn between_tags(text: &str) -> Option<&str> {
    let inside = text.split("<tool_call>").nth(1)?;
    inside.split("</tool_call>").next()
}

enum Points {
    All,
    Part { points: f64, possible: f64 },
}

/// Returns the points reached and possible; `None` where the original raises an exception.
///
/// points = overlap of names + Σ over expected calls, in their order, of the best unused prediction of the same name
/// (overlap of parameter names + number of equal values); possible = 1 + Σ (1 + number of parameters).
fn points(expected: &[Value], predicted: &[Value], switches: &Switches) -> Option<Points> {
    let equal = expected.len() == predicted.len()
        && expected.iter().zip(predicted).all(|(expected, predicted)| python_equal(expected, predicted));
    if equal {
        return Some(Points::All);
    }
    if switches.coarse {
        return Some(Points::Part { points: 0.0, possible: 1.0 });
    }
    let expected_names: Option<Vec<&Value>> = expected.iter().map(|call| call.get("name")).collect();
    let predicted_names: Option<Vec<&Value>> = predicted.iter().map(|call| call.as_object()?.get("name")).collect();
    let (expected_names, predicted_names) = (expected_names?, predicted_names?);
    let mut points = overlap(&expected_names, &predicted_names, switches)?;
    let mut possible = 1.0;
    let mut used = vec![false; predicted.len()];
    for call in expected {
        let (name, parameters) = signature(call)?;
        possible += if switches.intermediate { 1.0 } else { 1.0 + count(parameters.len()) };
        let mut best = None;
        for (index, other) in predicted.iter().enumerate() {
            if used[index] || !python_equal(predicted_names[index], &Value::from(name)) {
                continue;
            }
            if switches.intermediate {
                if python_equal(call, other) {
                    best = Some((1.0, index));
                    break;
                }
                continue;
            }
            let given = other.get("parameters")?.as_object()?;
            let points = overlap_of_keys(parameters, given, switches) + equal_values(parameters, given);
            // A match worth nothing is not taken, so its call stays free.
            if points > best.map_or(0.0, |(points, _)| points) {
                best = Some((points, index));
            }
        }
        if let Some((gained, index)) = best {
            used[index] = true;
            points += gained;
        }
    }
    Some(Points::Part { points, possible })
}

fn signature(call: &Value) -> Option<(&str, &Map<String, Value>)> {
    Some((call.get("name")?.as_str()?, call.get("parameters")?.as_object()?))
}

fn equal_values(expected: &Map<String, Value>, given: &Map<String, Value>) -> f64 {
    count(
        expected.iter().filter(|(key, value)| given.get(*key).is_some_and(|other| python_equal(other, value))).count(),
    )
}

/// Intersection over union of two multisets: 1 when the lists are equal, 0 when one is empty. `None` when a list or map
/// stands for a name: Python cannot count those.
fn overlap(left: &[&Value], right: &[&Value], switches: &Switches) -> Option<f64> {
    if left.len() == right.len() && left.iter().zip(right).all(|(left, right)| python_equal(left, right)) {
        return Some(1.0);
    }
    if switches.refined || left.is_empty() || right.is_empty() {
        return Some(0.0);
    }
    if left.iter().chain(right).any(|value| value.is_array() || value.is_object()) {
        return None;
    }
    let mut free: Vec<&Value> = right.to_vec();
    let mut common = 0;
    for value in left {
        if let Some(index) = free.iter().position(|other| python_equal(value, other)) {
            free.swap_remove(index);
            common += 1;
        }
    }
    Some(count(common) / count(left.len() + right.len() - common))
}

fn overlap_of_keys(expected: &Map<String, Value>, given: &Map<String, Value>, switches: &Switches) -> f64 {
    if expected.keys().eq(given.keys()) {
        return 1.0;
    }
    if switches.refined || expected.is_empty() || given.is_empty() {
        return 0.0;
    }
    let common = expected.keys().filter(|key| given.contains_key(*key)).count();
    count(common) / count(expected.len() + given.len() - common)
}

/// Length: words of the thinking against the words asked for, rounded to two digits, at most 1.
fn length(response: &str, switches: &Switches, step: u32) -> f64 {
    if !response.contains("<think>") || !response.contains("</think>") {
        return 0.0;
    }
    let asked = if switches.schedule_length { (640.0 - 384.0) * f64::from(step) / 105.0 + 384.0 } else { 512.0 };
    let thinking = response.rsplit("<think>").next().unwrap_or("");
    let thinking = thinking.split("</think>").next().unwrap_or("");
    let words = thinking.split(is_python_space).filter(|word| !word.is_empty()).count();
    f64::min(round_to_cents(count(words) / asked), 1.0)
}

/// Python's `round(x, 2)`: to the nearest decimal, exact ties to the even digit. So is Rust's decimal printing.
fn round_to_cents(value: f64) -> f64 {
    format!("{value:.2}").parse().unwrap_or(value)
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls, parameters and words")]
fn count(items: usize) -> f64 {
    items as f64
}

fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

fn python_strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

/// Returns whether two calls are equal as the reward sees them.
pub(super) fn same_call(left: &crate::tools::Call, right: &crate::tools::Call) -> bool {
    left.name == right.name && python_equal_maps(&left.arguments, &right.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_to_even_as_in_python() {
        assert_eq!(round_to_cents(0.125), 0.12);
        assert_eq!(round_to_cents(0.375), 0.38);
        assert_eq!(round_to_cents(64.0 / 512.0 * 5.0), 0.62);
    }

    #[test]
    fn marks_must_not_overlap() {
        let marks = ["<think>", "</think>\n<tool_call>\n", "\n</tool_call>"];
        assert!(has_shape("<think></think>\n<tool_call>\n\n</tool_call>", &marks));
        assert!(!has_shape("<think></think>\n<tool_call>\n</tool_call>", &marks));
        assert!(!has_shape(" <think></think>\n<tool_call>\n\n</tool_call>", &marks));
    }
}
