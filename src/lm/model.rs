//! A model as a whole: configuration, weights, tokenizer.

use crate::lm::{Config, LmError, Tokenizer, Weights};

/// A language model in memory.
#[derive(Clone, Debug)]
pub struct LanguageModel {
    /// Its shape.
    pub config: Config,
    /// Its parameters.
    pub weights: Weights,
    /// Its tokenizer and chat template.
    pub tokenizer: Tokenizer,
}

impl LanguageModel {
    /// Puts a model together.
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
        Ok(Self { config, weights, tokenizer })
    }
}
