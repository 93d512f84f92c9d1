//! ToolRL's reward, number for number.
//!
//! Source: ToolRL (arXiv 2504.13958), `verl/utils/reward_score/rlla.py` at commit 8cee13e of qiancheng0/ToolRL
//! (Apache-2.0), re-written from its behaviour; compared with scores that the original gave (tests). A total lies in
//! −3 … 4: format 0 or 1, correctness −3 … 3, length 0 … 1 when switched on.
//!
//! Its quirks are kept: values are compared with Python's `==`; thoughts that mention a tag change what is read;
//! extra calls cost only through the overlap of names; a call written on two lines cannot be read; JSON is what Python
//! reads as JSON.
//!
//! Where the original raises an exception, which ends its training, there is a diagnosis ([`ToolRlError`]) and a defined
//! score: the calls of the ground truth are looked for after its thinking; if they cannot be read there either, nothing
//! can be compared, and every response has a correctness of 0.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::tools::{
    equality::python_equal_maps,
    python_json::{Json, JsonError, Text, lists_equal},
};

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

impl Switches {
    /// Returns the switches that the original's environment variables of these names set.
    ///
    /// # Errors
    /// The first name that is none of the eight.
    pub fn from_variables(names: &[impl AsRef<str>]) -> Result<Self, String> {
        let mut switches = Self::default();
        for name in names {
            let switch = match name.as_ref() {
                "COARSEREWARD" => &mut switches.coarse,
                "REFINEDREWARD" => &mut switches.refined,
                "INTERMEDIATEREWARD" => &mut switches.intermediate,
                "CORRECTMAX1" => &mut switches.correct_max_1,
                "MAX1STEP30MAX3" => &mut switches.max_1_step_30_max_3,
                "SCHEDULEREWARD" => &mut switches.schedule_reward,
                "WITHLENGTH" => &mut switches.with_length,
                "SCHEDULELENGTH" => &mut switches.schedule_length,
                other => return Err(other.to_owned()),
            };
            *switch = true;
        }
        Ok(switches)
    }
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

/// A ground truth on which the original raises an exception.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolRlError {
    /// The lines between the first `<tool_call>` and the next `</tool_call>` are no JSON. The original's data has thoughts
    /// that mention the tag.
    #[error("line {line} of the ground truth's tool calls is no JSON{}", if *.in_thinking { ": its thinking mentions `<tool_call>`" } else { "" })]
    TruthNotJson {
        /// Which line, from 1.
        line: usize,
        /// Whether the tag is mentioned in the thinking.
        in_thinking: bool,
        /// What is wrong with the line.
        #[source]
        source: JsonError,
    },
}

/// The calls that a ground truth wants.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// None: it has no `<tool_call>`.
    Nothing,
    /// These; each should be an object with `name` and `parameters`, and is compared as it is.
    Calls(Vec<Json>),
    /// Some, but they cannot be read.
    Unreadable,
}

/// What the ground truth of one question says.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The calls.
    pub calls: Wanted,
    /// Whether the ground truth has a `<response>`.
    pub response: bool,
}

impl Truth {
    /// Reads the text of a ground truth as the original does.
    ///
    /// # Errors
    /// When its tool calls are no JSON lines: the original raises an exception. [`Truth::defined`] answers all the same.
    pub fn from_text(text: &str) -> Result<Self, ToolRlError> {
        let calls = match between_tags(text) {
            None => Wanted::Nothing,
            Some(block) => {
                let lines = python_strip(block).split('\n').enumerate();
                let read = |(index, line)| {
                    Json::read(line).map_err(|source| ToolRlError::TruthNotJson {
                        line: index + 1,
                        in_thinking: text.find("</think>").is_some_and(|end| text[..end].contains("<tool_call>")),
                        source,
                    })
                };
                Wanted::Calls(lines.map(read).collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { calls, response: text.contains("<response>") })
    }

    /// Reads any text of a ground truth, and says what the original trips over.
    pub fn defined(text: &str) -> (Self, Option<ToolRlError>) {
        let error = match Self::from_text(text) {
            Ok(truth) => return (truth, None),
            Err(error) => error,
        };
        let answer = text.split_once("</think>").map_or(text, |(_, answer)| answer);
        let unreadable = || Self { calls: Wanted::Unreadable, response: answer.contains("<response>") };
        (Self::from_text(answer).unwrap_or_else(|_| unreadable()), Some(error))
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
    let has_calls = !matches!(truth.calls, Wanted::Nothing);
    let right = match (has_calls, truth.response) {
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
    let Wanted::Calls(expected) = &truth.calls else { return 0.0 };
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
pub fn correctness_of_calls(expected: &[Json], predicted: &[Json], switches: &Switches, step: u32) -> f64 {
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

fn predicted_calls(response: &str) -> Option<Vec<Json>> {
    if !response.contains("</tool_call>") {
        return None;
    }
    python_strip(between_tags(response)?).split('\n').map(|line| Json::read(line).ok()).collect()
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
fn points(expected: &[Json], predicted: &[Json], switches: &Switches) -> Option<Points> {
    if lists_equal(expected.iter(), predicted.iter()) {
        return Some(Points::All);
    }
    if switches.coarse {
        return Some(Points::Part { points: 0.0, possible: 1.0 });
    }
    let names =
        |calls: &'_ [Json]| -> Option<Vec<Json>> { calls.iter().map(|call| call.get("name").cloned()).collect() };
    let (expected_names, predicted_names) = (names(expected)?, names(predicted)?);
    let mut points = overlap(&expected_names, &predicted_names, switches)?;
    let mut possible = 1.0;
    let mut used = vec![false; predicted.len()];
    for (call, name) in expected.iter().zip(&expected_names) {
        let parameters = call.get("parameters")?;
        possible += if switches.intermediate { 1.0 } else { 1.0 + count(length_of(parameters)?) };
        let mut best = None;
        for (index, other) in predicted.iter().enumerate() {
            if used[index] || !predicted_names[index].equals(name) {
                continue;
            }
            if switches.intermediate {
                if call.equals(other) {
                    best = Some((1.0, index));
                    break;
                }
                continue;
            }
            let (Json::Map(wanted), Json::Map(given)) = (parameters, other.get("parameters")?) else { return None };
            let points = overlap_of_keys(wanted, given, switches) + equal_values(wanted, given);
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

/// Python's `len`, where there is one.
fn length_of(value: &Json) -> Option<usize> {
    match value {
        Json::Map(entries) => Some(entries.len()),
        Json::List(items) => Some(items.len()),
        Json::Text(text) => Some(text.characters()),
        _ => None,
    }
}

fn equal_values(expected: &IndexMap<Text, Json>, given: &IndexMap<Text, Json>) -> f64 {
    count(expected.iter().filter(|(key, value)| given.get(*key).is_some_and(|other| other.equals(value))).count())
}

/// Intersection over union of two multisets: 1 when the lists are equal, 0 when one is empty. `None` when a list or map
/// stands for a name: Python cannot count those.
fn overlap(left: &[Json], right: &[Json], switches: &Switches) -> Option<f64> {
    if lists_equal(left.iter(), right.iter()) {
        return Some(1.0);
    }
    if switches.refined || left.is_empty() || right.is_empty() {
        return Some(0.0);
    }
    if !left.iter().chain(right).all(Json::is_hashable) {
        return None;
    }
    let mut free: Vec<&Json> = right.iter().collect();
    let mut common = 0;
    for value in left {
        if let Some(index) = free.iter().position(|other| value.is_or_equals(other)) {
            free.swap_remove(index);
            common += 1;
        }
    }
    Some(count(common) / count(left.len() + right.len() - common))
}

fn overlap_of_keys(expected: &IndexMap<Text, Json>, given: &IndexMap<Text, Json>, switches: &Switches) -> f64 {
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

pub(super) fn python_strip(text: &str) -> &str {
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
