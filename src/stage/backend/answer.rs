//! What comes back: one completion.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    lm::sample::{Completion, Finish},
    tools::episode::Trace,
};

/// A completion as tables keep it, from whichever backend.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::stage) struct Answer {
    /// The text, without special tokens and without the stop text.
    pub(in crate::stage) text: String,
    /// Its length in tokens, end-of-turn token included if it was drawn.
    pub(in crate::stage) tokens: usize,
    /// Its log-probability in nats, summed over its tokens; NaN if the backend does not say. In-process it is at the
    /// temperature that it was drawn at; servers give what they give, mostly at temperature 1.
    pub(in crate::stage) log_prob: f32,
    /// Why it ended.
    pub(in crate::stage) finish: Finish,
    /// The turns of a conversation with tools, and what they ran; `None` of a single answer.
    pub(in crate::stage) talk: Option<Box<Talk>>,
}

/// A conversation with tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::stage) struct Talk {
    /// The texts of the turns.
    pub(in crate::stage) turns: Vec<String>,
    /// What their calls came to.
    pub(in crate::stage) trace: Trace,
    /// What the gold calls come to.
    pub(in crate::stage) gold: Trace,
}

impl From<&Completion> for Answer {
    #[expect(clippy::cast_possible_truncation, reason = "summed in 64 bits, kept in 32")]
    fn from(completion: &Completion) -> Self {
        let log_prob: f64 = completion.log_probs.iter().map(|value| f64::from(*value)).sum();
        Self {
            text: completion.text.clone(),
            tokens: completion.tokens.len(),
            log_prob: log_prob as f32,
            finish: completion.finish,
            talk: None,
        }
    }
}

/// What the server said: its answer, or part of it, and what it says of itself.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) text: String,
    pub(super) finish: Finish,
    /// From `usage`, if there is one.
    pub(super) tokens: Option<usize>,
    pub(super) log_prob: f32,
    pub(super) model: Option<String>,
    pub(super) fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    choices: Vec<Choice>,
    usage: Option<Usage>,
    model: Option<String>,
    system_fingerprint: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Value,
}

#[derive(Deserialize)]
struct Usage {
    completion_tokens: Option<usize>,
}

impl Read {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(body: &str) -> Result<Self, String> {
        let Body { choices, usage, model, system_fingerprint } =
            serde_json::from_str(body).map_err(|error| error.to_string())?;
        let [Choice { text, finish_reason, logprobs }] = <[Choice; 1]>::try_from(choices)
            .map_err(|choices| format!("one choice was asked for, {} came", choices.len()))?;
        let finish = match finish_reason.as_deref() {
            Some("stop") => Finish::Stop,
            Some("length") => Finish::Length,
            Some(other) => return Err(format!("`finish_reason` is `{other}`, not `stop` or `length`")),
            None => return Err("`finish_reason` is missing".to_owned()),
        };
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            text,
            finish,
            tokens: usage.and_then(|usage| usage.completion_tokens),
            log_prob: log_prob(&logprobs),
            model: said(model),
            fingerprint: said(system_fingerprint),
        })
    }
}

/// Returns the sum of the tokens' log-probabilities; NaN if one is missing. OpenAI, vLLM and SGLang list them as
/// `token_logprobs`, llama.cpp as the `logprob`s of `content`.
#[expect(clippy::cast_possible_truncation, reason = "summed in 64 bits, kept in 32")]
fn log_prob(said: &Value) -> f32 {
    let values: Option<Vec<Option<f64>>> = match (said["token_logprobs"].as_array(), said["content"].as_array()) {
        (Some(list), _) => Some(list.iter().map(Value::as_f64).collect()),
        (None, Some(list)) => Some(list.iter().map(|token| token["logprob"].as_f64()).collect()),
        (None, None) => None,
    };
    let sum = values.and_then(|values| values.into_iter().sum::<Option<f64>>());
    sum.map_or(f32::NAN, |sum| if (sum as f32).is_finite() { sum as f32 } else { f32::NAN })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(choice: Value, usage: Value) -> Result<Read, String> {
        Read::parse(&json!({ "choices": [choice], "usage": usage, "model": "m", "system_fingerprint": "" }).to_string())
    }

    #[test]
    fn both_forms_of_log_probs_are_read() {
        let choice = |logprobs: Value| json!({ "text": "ab", "finish_reason": "stop", "logprobs": logprobs });
        let read = |logprobs| parse(choice(logprobs), json!({ "completion_tokens": 3 })).unwrap();
        let expected = Read {
            text: "ab".into(),
            finish: Finish::Stop,
            tokens: Some(3),
            log_prob: -1.5,
            model: Some("m".into()),
            fingerprint: None,
        };
        assert_eq!(read(json!({ "token_logprobs": [-0.5, -1], "tokens": ["a", "b"] })), expected);
        assert_eq!(read(json!({ "content": [{ "logprob": -1.0 }, { "logprob": -0.5 }] })), expected);
        for none in [json!(null), json!({}), json!({ "token_logprobs": [null, -1.0] }), json!({ "content": [{}] })] {
            assert!(read(none.clone()).log_prob.is_nan(), "{none}");
        }
        let bare = Read::parse(r#"{"choices":[{"text":"","finish_reason":"length"}]}"#).unwrap();
        assert_eq!((bare.tokens, bare.model, bare.finish), (None, None, Finish::Length));
    }

    #[test]
    fn what_is_no_completion_is_said() {
        let wrong = |text: &str| Read::parse(text).unwrap_err();
        insta::assert_snapshot!(wrong("<html>"), @"expected value at line 1 column 1");
        insta::assert_snapshot!(wrong(r#"{"error":{"message":"no"}}"#), @"missing field `choices` at line 1 column 26");
        insta::assert_snapshot!(wrong(r#"{"choices":[]}"#), @"one choice was asked for, 0 came");
        insta::assert_snapshot!(wrong(r#"{"choices":[{"message":{"content":"a chat"},"finish_reason":"stop"}]}"#), @"missing field `text` at line 1 column 67");
        insta::assert_snapshot!(wrong(r#"{"choices":[{"text":"a"}]}"#), @"`finish_reason` is missing");
        insta::assert_snapshot!(wrong(r#"{"choices":[{"text":"a","finish_reason":"abort"}]}"#), @"`finish_reason` is `abort`, not `stop` or `length`");
    }
}
