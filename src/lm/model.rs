//! A model as a whole: configuration, weights, tokenizer.

use crate::lm::{Config, LmError, Tokenizer, Weights, lora::Adapter};

/// A language model in memory.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    /// Its shape.
    pub config: Config,
    /// Its parameters.
    pub weights: Weights,
    /// Its tokenizer and chat template.
    pub tokenizer: Tokenizer,
    /// An adapter that its linear maps go through, if it is being trained that way: see [`LanguageModel::adapt`].
    pub adapter: Option<Adapter>,
}

impl LanguageModel {
    /// Puts a model together, without an adapter.
    ///
    /// # Errors
    /// [`LmError::Config`], [`LmError::Layout`], or [`LmError::UnsupportedTokenizer`] when the tokenizer knows more tokens
    /// than the embedding has rows.
    pub fn new(config: Config, weights: Weights, tokenizer: Tokenizer) -> Result<Self, LmError> {
        config.check("the model's configuration")?;
        weights.check(&config)?;
        let tokens = tokenizer.vocab_size();
        if tokens > config.vocab_size {
            return Err(LmError::UnsupportedTokenizer {
                origin: "the model's tokenizer".to_owned(),
                reason: format!("it has {tokens} tokens, but the embedding has {} rows", config.vocab_size),
            });
        }
        Ok(Self { config, weights, tokenizer, adapter: None })
    }
}
