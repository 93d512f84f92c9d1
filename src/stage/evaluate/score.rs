//! One completion → one row of scores.

use crate::{
    table::ScoreRow,
    tools::{Sample, judge},
};

/// Judges a completion as the answer to a sample: read as calls, matched with the accepted answers, and, where the
/// sample has a world, executed and compared with the gold calls by results and end state.
pub fn score_completion(sample: &Sample, completion: &str) -> ScoreRow {
    let judged = judge(sample, completion);
    let calls = judged.output.calls.as_ref().ok();
    ScoreRow {
        sample_id: sample.id.clone(),
        category: sample.category.clone(),
        completion: completion.to_owned(),
        calls: calls.map(|calls| serde_json::to_string(calls).unwrap_or_default()).unwrap_or_default(),
        parsed: judged.parsed,
        matched: judged.matched,
        executed: judged.execution.executed,
        results_equal: judged.execution.results_equal,
        state_equal: judged.execution.state_equal,
        correct: judged.correct,
        error: judged.error.unwrap_or_default(),
    }
}

/// Returns the row of a sample that was not asked.
pub(super) fn unanswered(sample: &Sample, reason: &str) -> ScoreRow {
    ScoreRow {
        sample_id: sample.id.clone(),
        category: sample.category.clone(),
        completion: String::new(),
        calls: String::new(),
        parsed: false,
        matched: false,
        executed: false,
        results_equal: false,
        state_equal: false,
        correct: false,
        error: reason.to_owned(),
    }
}
