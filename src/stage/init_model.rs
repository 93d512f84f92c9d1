//! `init-model`: a small random Llama with a tokenizer of its own, so that a pipeline needs no download.

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    lm::{Config, Family, LanguageModel, Tokenizer},
    stage::{
        StageCtx, StageError,
        training::{learner::write_model, prompts::Prompter},
    },
    tools::{Style, answer_text},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Parameters {
    answer_style: Style,
    hidden: usize,
    layers: usize,
    heads: usize,
    kv_heads: usize,
    intermediate: usize,
    vocab: usize,
    extra_tokens: Vec<String>,
    context: usize,
    rope_theta: f64,
    tie_embeddings: bool,
    /// Read by [`write_model`].
    #[serde(rename = "store-dtype")]
    _store_dtype: Option<IgnoredAny>,
}

pub(super) fn run(context: &mut StageCtx) -> Result<(), StageError> {
    let parameters: Parameters = context.params()?;
    if parameters.heads == 0 || !parameters.hidden.is_multiple_of(parameters.heads) {
        let reason = format!("{} is no multiple of `heads`, {}", parameters.hidden, parameters.heads);
        return Err(StageError::parameter("hidden", reason));
    }
    let samples = context.input_samples("samples")?;
    let prompter = Prompter::read(context)?;
    let mut texts = Vec::new();
    for sample in &samples {
        for message in prompter.messages(sample, !sample.demonstrations.is_empty())? {
            texts.push(message.role);
            texts.push(message.content);
        }
        texts.push(answer_text(&sample.gold, parameters.answer_style));
    }
    let extra: Vec<&str> = parameters.extra_tokens.iter().map(String::as_str).collect();
    let tokenizer = Tokenizer::train_bpe(texts.iter().map(String::as_str), parameters.vocab, &extra)
        .map_err(StageError::failed("train the tokenizer"))?;
    let config = Config {
        family: Family::Llama,
        hidden_size: parameters.hidden,
        intermediate_size: parameters.intermediate,
        num_hidden_layers: parameters.layers,
        num_attention_heads: parameters.heads,
        num_key_value_heads: parameters.kv_heads,
        head_dim: parameters.hidden / parameters.heads,
        vocab_size: tokenizer.vocab_size(),
        rms_norm_eps: 1e-5,
        rope_theta: parameters.rope_theta,
        rope_scaling: None,
        max_position_embeddings: parameters.context,
        tie_word_embeddings: parameters.tie_embeddings,
        bos_token_id: tokenizer.bos(),
        eos_token_ids: tokenizer.eos.clone(),
    };
    let model = LanguageModel::random(config, tokenizer, context.seed())
        .map_err(StageError::failed("make the random model"))?;
    context.log(format!("{} parameters, {} tokens", model.weights.count(), model.config.vocab_size));
    write_model(context, &model)
}
