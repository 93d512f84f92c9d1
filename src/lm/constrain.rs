//! Constrained decoding: which tokens a grammar allows next.
//!
//! A grammar is a text in llguidance's Lark-like language, which may hold a JSON Schema (`%json`), and speaks of the
//! completion only. Masks are exact for any
//! tokenizer whose tokens are bytes; nothing here draws or scores, and no tool is known.

use std::sync::Arc;

use llguidance::{
    Matcher, ParserFactory,
    api::TopLevelGrammar,
    token_bytes_from_tokenizer_json,
    toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie},
};

use crate::lm::{LmError, Tokenizer, tokenizer::TOKENIZER};

/// Checks that completions can be held to a JSON Schema, whatever the tokenizer. Keywords that JSON Schema does not know
/// mean nothing, here as there.
///
/// # Errors
/// [`LmError::Grammar`] if it is no schema, allows nothing, or has keywords that a grammar cannot express.
pub fn check_schema(schema: &serde_json::Value) -> Result<(), LmError> {
    let mut factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).map_err(broken)?;
    factory.quiet();
    begin(&factory, TopLevelGrammar::from_json_schema(schema.clone())).map(|_| ())
}

fn begin(factory: &ParserFactory, grammar: TopLevelGrammar) -> Result<Guard, LmError> {
    let matcher = Matcher::new(factory.create_parser(grammar));
    match matcher.get_error() {
        None => Ok(Guard(matcher)),
        Some(reason) => Err(LmError::Grammar { reason }),
    }
}

/// Compiles grammars for one tokenizer.
pub(crate) struct Grammars(ParserFactory);

impl Grammars {
    /// Prepares the vocabulary of `size` tokens.
    ///
    /// # Errors
    /// [`LmError::UnsupportedTokenizer`] for a tokenizer whose tokens are not bytes, or that names no end.
    pub(crate) fn new(tokenizer: &Tokenizer, size: usize) -> Result<Self, LmError> {
        let unsupported =
            |reason: String| LmError::UnsupportedTokenizer { origin: "constrained decoding".into(), reason };
        let end =
            tokenizer.eos.first().ok_or_else(|| unsupported("the tokenizer names no token that ends a turn".into()))?;
        let text = tokenizer.file(TOKENIZER).unwrap_or_default();
        let mut bytes = serde_json::from_str(text)
            .map_err(anyhow::Error::from)
            .and_then(|json| token_bytes_from_tokenizer_json(&json))
            .map_err(|error| unsupported(format!("the bytes of its tokens are not known: {error}")))?;
        // Rows of the embedding without a token are never drawn.
        bytes.resize(size, Vec::new());
        let info = TokRxInfo::new(u32::try_from(size).unwrap_or(u32::MAX), *end);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &bytes)));
        let mut factory = ParserFactory::new_simple(&environment)
            .map_err(|error| unsupported(format!("it cannot be used: {error}")))?;
        factory.quiet();
        Ok(Self(factory))
    }

    /// Begins a completion that `grammar` holds.
    ///
    /// # Errors
    /// [`LmError::Grammar`] if it is no grammar.
    pub(crate) fn begin(&self, grammar: &str) -> Result<Guard, LmError> {
        begin(&self.0, TopLevelGrammar::from_lark(grammar.to_owned()))
    }
}

/// Where one completion is in its grammar.
#[derive(Clone)]
pub(crate) struct Guard(Matcher);

impl Guard {
    /// Returns the tokens that may come next, the end among them where the grammar may end.
    ///
    /// # Errors
    /// [`LmError::Grammar`] if the grammar is too large or ambiguous to go on.
    pub(crate) fn allowed(&mut self) -> Result<SimpleVob, LmError> {
        self.0.compute_mask_or_eos().map_err(broken)
    }

    /// Goes on with a token.
    ///
    /// # Errors
    /// [`LmError::Grammar`] if it was not allowed.
    pub(crate) fn accept(&mut self, token: u32) -> Result<(), LmError> {
        self.0.consume_token(token).map_err(broken)
    }

    /// Returns whether nothing may follow.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_stopped()
    }
}

fn broken(error: anyhow::Error) -> LmError {
    LmError::Grammar { reason: error.to_string() }
}
