//! What can go wrong with a language model: one enum, each variant saying what, where and what was expected.

use std::io;

use camino::Utf8PathBuf;

/// A failure of the `lm` module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LmError {
    /// A file could not be read or written.
    #[error("failed to {action} {path}")]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that a model folder must have is not there.
    #[error("{folder} lacks {file}: {help}")]
    MissingFile {
        /// The model folder.
        folder: Utf8PathBuf,
        /// The file's name in it.
        file: String,
        /// What a model folder needs.
        help: &'static str,
    },
    /// A file is JSON of the wrong form, or no JSON.
    #[error("{origin} is not what a model folder needs")]
    Json {
        /// The file, or what the text is.
        origin: String,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// The model belongs to a family that is not supported.
    #[error("{origin} describes a `{found}` model; the families {} are supported", crate::lm::Family::known())]
    UnsupportedFamily {
        /// The file.
        origin: String,
        /// The family that was found.
        found: String,
    },
    /// A configuration holds a value that no model can have, or that this implementation does not support.
    #[error("{origin}: `{field}` is {found}; {expected}")]
    Config {
        /// The file, or what the values are.
        origin: String,
        /// The field as its file spells it.
        field: String,
        /// The value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A file is damaged, cut short, or not of the format that its name promises.
    #[error("{path} is damaged or not a {format} file: {reason}")]
    Format {
        /// The file.
        path: Utf8PathBuf,
        /// `safetensors`, `GGUF`.
        format: &'static str,
        /// What is wrong, with expected and found figures.
        reason: String,
    },
    /// A tensor of the model is in no file.
    #[error("{path} lacks the tensor `{tensor}` that its configuration asks for (shape {expected:?})")]
    MissingTensor {
        /// The file, or the folder of several files.
        path: Utf8PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape that it should have.
        expected: Vec<usize>,
    },
    /// A file holds a tensor that the configuration does not know, so the model would compute something else without it.
    #[error("{path} holds the tensor `{tensor}`, which a model of its configuration does not have")]
    UnexpectedTensor {
        /// The file.
        path: Utf8PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("{path}: the tensor `{tensor}` has the shape {found:?}; its configuration asks for {expected:?}")]
    TensorShape {
        /// The file.
        path: Utf8PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape by the configuration.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is stored in an element type that is not read.
    #[error("{path}: the tensor `{tensor}` is stored as {found}; expected {expected}")]
    TensorType {
        /// The file.
        path: Utf8PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The element type in the file.
        found: String,
        /// The element types that are read.
        expected: &'static str,
    },
    /// The weights in memory are not those that the configuration asks for.
    #[error("the weights do not fit their configuration at `{parameter}`: expected {expected}, found {found}")]
    Layout {
        /// The parameter.
        parameter: String,
        /// Name or shape by the configuration.
        expected: String,
        /// Name, shape or length as it is.
        found: String,
    },
    /// The tokenizer could not be read, built, trained or used.
    #[error("failed to {action} the tokenizer")]
    Tokenizer {
        /// What was tried: `read /…/tokenizer.json`, `encode a text of 12 bytes with`.
        action: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tokenizer has a form that is not supported, or does not fit its model.
    #[error("{origin}: {reason}")]
    UnsupportedTokenizer {
        /// The file.
        origin: String,
        /// What and what instead.
        reason: String,
    },
    /// The model has no chat template, and one was needed.
    #[error(
        "the model has no chat template: add `chat_template` to its tokenizer_config.json or a chat_template.jinja"
    )]
    NoChatTemplate,
    /// The chat template is malformed or refused the conversation.
    #[error("the chat template failed")]
    ChatTemplate {
        /// Line and reason.
        source: minijinja::Error,
    },
    /// A token id is outside the vocabulary.
    #[error("token {token} at position {position} is outside the vocabulary of {vocab_size} tokens")]
    TokenOutOfRange {
        /// The token.
        token: u32,
        /// Where.
        position: usize,
        /// The vocabulary.
        vocab_size: usize,
    },
    /// A sequence is longer than the model's positions.
    #[error("{what} has {tokens} tokens; the model holds {limit}")]
    TooLong {
        /// Which sequence.
        what: String,
        /// Its tokens.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// A request makes no sense.
    #[error("{0}")]
    Request(String),
    /// A completion cannot be held to its grammar.
    #[error("the grammar of a constrained completion fails: {reason}")]
    Grammar {
        /// Why, in the words of the grammar's compiler.
        reason: String,
    },
    /// A number that must be finite is not.
    #[error("{what} is {value}: not a finite number")]
    NotFinite {
        /// Which number: loss, gradient norm, logit …, and where.
        what: String,
        /// The value.
        value: f64,
    },
    /// A parameter has no gradient: some operation on the way to the loss has no backward.
    #[error(
        "the parameter `{parameter}` has no gradient: the loss does not depend on it, or an operation cuts the graph"
    )]
    NoGradient {
        /// The parameter.
        parameter: String,
    },
    /// A device cannot be had.
    #[error("there is no device `cuda` here: {reason}; {help}")]
    Device {
        /// Why not.
        reason: String,
        /// What to do.
        help: &'static str,
    },
    /// A tensor operation failed.
    #[error("failed to {action}")]
    Tensor {
        /// What was being computed.
        action: &'static str,
        /// Why.
        source: candle_core::Error,
    },
}

impl LmError {
    /// Returns the function that wraps an i/o failure of `action` on `path`.
    pub(crate) fn io(action: &'static str, path: &camino::Utf8Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Returns the function that wraps a tensor failure of `action`.
    pub(crate) fn tensor(action: &'static str) -> impl Fn(candle_core::Error) -> Self {
        move |source| Self::Tensor { action, source }
    }
}
