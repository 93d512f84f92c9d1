//! What is sent: the body of one completion request.

use serde::Serialize;

use super::{
    error::BackendError,
    parameters::{Backend, PromptForm},
};
use crate::lm::sample::Sampling;

/// The body of a POST to `/v1/completions`. Numbers are written as the parameters have them: 0.7, not 0.699999988.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    prompt: Prompt<'a>,
    max_tokens: usize,
    temperature: f32,
    top_p: f32,
    n: u32,
    seed: u32,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    /// The chosen token's log-probability and that of the likeliest: 0 alternatives turns all off in llama.cpp.
    logprobs: u32,
    stream: bool,
    #[serde(flatten)]
    extensions: Option<Extensions>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prompt<'a> {
    Text(&'a str),
    Tokens(&'a [u32]),
}

/// What vLLM, SGLang and llama.cpp take beyond OpenAI's API. Everything is said, as each has defaults of its own:
/// llama.cpp filters by top-k 40 and min-p 0.05, vLLM reads the model's `generation_config.json`.
#[derive(Serialize)]
struct Extensions {
    /// -1: all; SGLang refuses 0.
    top_k: i64,
    min_p: f32,
    repetition_penalty: f32,
    /// vLLM: the chat template has written them already.
    add_special_tokens: bool,
}

impl<'a> Body<'a> {
    /// Makes the body of a request for one completion of at most `most` tokens.
    ///
    /// # Errors
    /// [`BackendError::Setting`] for a top-k that the server cannot be told.
    pub(super) fn new(
        backend: &'a Backend,
        sampling: &'a Sampling,
        text: &'a str,
        tokens: &'a [u32],
        most: usize,
        seed: u32,
    ) -> Result<Self, BackendError> {
        if (sampling.top_k > 0 || sampling.min_p > 0.0) && !backend.extensions {
            return Err(BackendError::Setting(
                "`top-k` is no part of OpenAI's API: set it to 0, or `extensions` of `backend` to true",
            ));
        }
        let prompt = match backend.prompt {
            PromptForm::Text => Prompt::Text(text),
            PromptForm::Tokens => Prompt::Tokens(tokens),
        };
        let top_k = match sampling.top_k {
            0 => -1,
            some => i64::try_from(some).unwrap_or(-1),
        };
        let extensions =
            Extensions { top_k, min_p: sampling.min_p, repetition_penalty: 1.0, add_special_tokens: false };
        Ok(Self {
            model: backend.model.as_deref(),
            prompt,
            max_tokens: sampling.max_tokens.min(most),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            n: 1,
            seed,
            stop: &sampling.stop,
            logprobs: 1,
            stream: false,
            extensions: backend.extensions.then_some(extensions),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(backend: &serde_json::Value, sampling: &Sampling) -> Result<String, BackendError> {
        let backend = Backend::read(backend).unwrap().unwrap();
        Body::new(&backend, sampling, "Say", &[1, 2], usize::MAX, 7).map(|body| serde_json::to_string(&body).unwrap())
    }

    #[test]
    fn everything_that_moves_a_completion_is_said() {
        let sampling = Sampling { temperature: 0.7, stop: vec!["\n".into()], ..Sampling::default() };
        insta::assert_snapshot!(body(&json!({ "openai": "http://h" }), &sampling).unwrap(), @r#"{"prompt":"Say","max_tokens":256,"temperature":0.7,"top_p":1.0,"n":1,"seed":7,"stop":["\n"],"logprobs":1,"stream":false,"top_k":-1,"min_p":0.0,"repetition_penalty":1.0,"add_special_tokens":false}"#);
        let tokens = json!({ "openai": "http://h", "model": "m", "prompt": "tokens", "extensions": false });
        insta::assert_snapshot!(body(&tokens, &Sampling::default()).unwrap(), @r#"{"model":"m","prompt":[1,2],"max_tokens":256,"temperature":1.0,"top_p":1.0,"n":1,"seed":7,"logprobs":1,"stream":false}"#);
        let sampling = Sampling { top_k: 5, ..Sampling::default() };
        assert!(body(&json!({ "openai": "http://h" }), &sampling).unwrap().contains("\"top_k\":5,"));
        assert!(body(&tokens, &sampling).unwrap_err().to_string().starts_with("`top-k` is no part"));
    }
}
