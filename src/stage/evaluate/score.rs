//! One completion → one row of scores.

use crate::{
    lm::sample::Finish,
    stage::{backend::Answer, training::rollouts::judged},
    table::ScoreRow,
    tools::{Judgement, Sample, judge},
};

/// Judges a completion as the answer to a sample: read as calls, matched with the accepted answers, and, where the
/// sample has a world, executed and compared with the gold calls by results and end state.
pub fn score_completion(sample: &Sample, completion: &str) -> ScoreRow {
    row(sample, completion, judge(sample, completion))
}

/// Returns the row of a completion that has been judged.
pub(in crate::stage) fn row(sample: &Sample, completion: &str, judgement: Judgement) -> ScoreRow {
    let Judgement { output, parsed, matched, execution, correct, error, error_type } = judgement;
    let calls = output.calls.as_ref().ok();
    ScoreRow {
        completion: completion.to_owned(),
        calls: calls.map(|calls| serde_json::to_string(calls).unwrap_or_default()).unwrap_or_default(),
        parsed,
        matched,
        executed: execution.executed,
        results_equal: execution.results_equal,
        state_equal: execution.state_equal,
        correct,
        ..wrong(sample, error_type.unwrap_or_default(), &error.unwrap_or_default())
    }
}

/// Judges what a model answered when it was asked for the `attempt`th time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "columns are 32 bits wide; contexts and numbers of attempts are far smaller"
)]
pub(super) fn score_answer(sample: &Sample, attempt: usize, prompt_tokens: usize, answer: &Answer) -> ScoreRow {
    let mut row = ScoreRow {
        attempt: attempt as i32,
        finish: answer.finish.as_str().to_owned(),
        prompt_tokens: prompt_tokens as i32,
        completion_tokens: answer.tokens as i32,
        ..row(sample, &answer.text, judged(sample, &answer.text, answer.talk.as_deref()))
    };
    if !row.parsed && answer.finish == Finish::Length {
        "cut-off".clone_into(&mut row.error_type);
    }
    row
}

/// Returns the row of a sample that was not asked.
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "attempts are few")]
pub(super) fn unanswered(sample: &Sample, attempt: usize, error_type: &str, reason: &str) -> ScoreRow {
    ScoreRow { attempt: attempt as i32, ..wrong(sample, error_type, reason) }
}

/// Returns a row in which nothing is right.
fn wrong(sample: &Sample, error_type: &str, error: &str) -> ScoreRow {
    let mut names: Vec<&str> = Vec::new();
    for call in &sample.answer {
        if !names.contains(&call.name.as_str()) {
            names.push(&call.name);
        }
    }
    ScoreRow {
        sample_id: sample.id.clone(),
        attempt: 0,
        category: sample.category.clone(),
        gold_tools: serde_json::to_string(&names).unwrap_or_default(),
        completion: String::new(),
        calls: String::new(),
        parsed: false,
        matched: false,
        executed: false,
        results_equal: false,
        state_equal: false,
        correct: false,
        error_type: error_type.to_owned(),
        error: error.to_owned(),
        finish: String::new(),
        prompt_tokens: 0,
        completion_tokens: 0,
    }
}
