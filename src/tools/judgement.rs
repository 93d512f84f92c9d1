//! Everything that can be said about one completion: parsed, matched, executed, correct.

use super::{
    Sample, api_bank,
    bfcl::Category,
    execution::{self, Executed},
    matching,
    parse::{self, ParsedOutput},
};

/// The verdict on one completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The completion, taken apart.
    pub output: ParsedOutput,
    /// Calls could be read, or none were to be made and none were.
    pub parsed: bool,
    /// The calls are what the sample accepts.
    pub matched: bool,
    /// What came of running them; all false where the sample has no environment or no calls could be read.
    pub execution: Executed,
    /// Matched, and where the sample has an environment also executed with the gold's results and state. In a suite with
    /// rules of its own, what these say.
    pub correct: bool,
    /// The first thing that is wrong.
    pub error: Option<String>,
    /// The first thing that is wrong, as a short, stable name to count by.
    pub error_type: Option<&'static str>,
}

/// Judges a model's text as an answer to a sample.
pub fn judge(sample: &Sample, completion: &str) -> Judgement {
    let output = parse::calls(completion);
    if let Some(api_bank::Ruled { parsed, executed }) = execution::judge_by_rule(completion, sample) {
        let matched = matching::matches_output(&output, &sample.answer, &sample.tools).matched;
        let (correct, error, error_type) = (executed.right(), executed.error.clone(), executed.error_type());
        return Judgement { output, parsed, matched, execution: executed, correct, error, error_type };
    }
    if sample.category == Category::LiveRelevance.as_str() && sample.answer.is_empty() {
        return judge_relevance(output);
    }
    let verdict = matching::matches_output(&output, &sample.answer, &sample.tools);
    let no_call_is_right = sample.answer.is_empty();
    let parsed = output.calls.is_ok() || no_call_is_right;
    let execution = match &output.calls {
        _ if sample.environment.is_none() => Executed::default(),
        Ok(calls) => execution::judge(calls, sample),
        Err(_) if no_call_is_right => execution::judge(&[], sample),
        Err(_) => Executed::default(),
    };
    let correct = verdict.matched && (sample.environment.is_none() || execution.right());
    let (error, error_type) = match (correct, verdict.matched) {
        (true, _) => (None, None),
        (false, true) => (execution.error.clone(), execution.error_type()),
        (false, false) => (verdict.reason, verdict.error_type),
    };
    Judgement { output, parsed, matched: verdict.matched, execution, correct, error, error_type }
}

/// BFCL's category `live_relevance` has no accepted calls: any call is right.
fn judge_relevance(output: ParsedOutput) -> Judgement {
    let parsed = output.calls.is_ok();
    let matched = output.calls.as_ref().is_ok_and(|calls| !calls.is_empty());
    let error = (!matched).then(|| match &output.calls {
        Ok(_) => "a call is expected, none was made".to_owned(),
        Err(error) => error.to_string(),
    });
    let error_type = (!matched).then_some(if parsed { "wrong-count" } else { "unparsable" });
    Judgement { output, parsed, matched, execution: Executed::default(), correct: matched, error, error_type }
}
