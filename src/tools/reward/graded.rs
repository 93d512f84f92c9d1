//! A graded reward: how much of the answer is right, in small steps that a weak model can climb.
//!
//! Source: our own. 0.2 for calls that can be read, 0.2
//! for the right tool, 0.3 × the share of right arguments, 0.3 for a wholly right answer. Of several calls each
//! is taken, in the order written, for the unused expectation of its name that it is nearest to.

use crate::tools::{Call, ExpectedCall, Sample, ToolSpec, matching::simple, parse::ParsedOutput};

/// Returns the graded reward, 0 … 1. Where no call is right: 1 without calls, else 0.
pub fn graded(sample: &Sample, output: &ParsedOutput, correct: bool) -> f64 {
    let exact = if correct { 1.0 } else { 0.0 };
    if sample.answer.is_empty() {
        return exact;
    }
    let Some(calls) = output.calls.as_deref().ok().filter(|calls| !calls.is_empty()) else { return 0.0 };
    let (names, arguments) = shares(sample, calls);
    0.2 + 0.2 * names + 0.3 * arguments + 0.3 * exact
}

/// Returns the share of right names and the share of right arguments, both over the larger number of calls, each call
/// taken for the unused expectation that it is nearest to.
fn shares(sample: &Sample, calls: &[Call]) -> (f64, f64) {
    let mut free: Vec<&ExpectedCall> = sample.answer.iter().collect();
    let (mut names, mut arguments) = (0.0, 0.0);
    for call in calls {
        let share = |expected: &ExpectedCall| share_of_arguments(call, expected, sample.tool(&expected.name));
        let named = free.iter().enumerate().filter(|(_, expected)| expected.name == call.name);
        let best = named
            .map(|(index, expected)| (share(expected), index))
            .reduce(|best, other| if other.0 > best.0 { other } else { best });
        if let Some((share, index)) = best {
            free.remove(index);
            names += 1.0;
            arguments += share;
        }
    }
    let all = count(calls.len().max(sample.answer.len()));
    (names / all, arguments / all)
}

/// Right arguments over all that are expected or given; optional ones that are rightly left out do not count.
fn share_of_arguments(call: &Call, expected: &ExpectedCall, tool: Option<&ToolSpec>) -> f64 {
    let right =
        call.arguments.iter().filter(|(name, value)| simple::argument_fits(name, value, expected, tool)).count();
    let left_out = expected.arguments.iter().filter(|(name, accepted)| {
        !call.arguments.contains_key(*name) && !accepted.iter().any(|value| value.as_str() == Some(""))
    });
    let all = call.arguments.len() + left_out.count();
    if all == 0 { 1.0 } else { count(right) / count(all) }
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls and arguments")]
fn count(items: usize) -> f64 {
    items as f64
}
