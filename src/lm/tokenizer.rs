//! A tokenizer with its chat template, read from and written to a model folder unchanged.
//!
//! `tokenizer.json` and the files beside it are kept as the texts they are, so a model that passes through the pipeline
//! keeps its tokenizer byte for byte. The work is done by the `tokenizers` crate.

use std::{collections::BTreeMap, fmt};

use camino::Utf8Path;
use serde_json::{Value, json};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizer};

use crate::lm::{
    LmError,
    bpe::{self, AddedToken, ByteLevelBpe},
    chat::{CHATML, ChatMessage, ChatTemplate},
};

/// The file every tokenizer has.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const TEMPLATE: &str = "chat_template.jinja";
/// The generation defaults: no part of the tokenizer, but a text that travels along in the same way.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

/// Files that travel with a model unchanged.
const COMPANIONS: [&str; 5] = [TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS, TEMPLATE, GENERATION_CONFIG];

/// The special tokens that templates and configurations name.
const NAMED_TOKENS: [&str; 4] = ["bos_token", "eos_token", "pad_token", "unk_token"];

/// A tokenizer and its chat template.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    files: BTreeMap<String, String>,
    special_tokens: BTreeMap<String, String>,
    template: Option<ChatTemplate>,
    /// The tokens that end a turn: generation stops after any of them.
    pub eos: Vec<u32>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("special_tokens", &self.special_tokens)
            .field("eos", &self.eos)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder.
    ///
    /// # Errors
    /// [`LmError::MissingFile`] without a `tokenizer.json`; [`LmError::Tokenizer`], [`LmError::Json`] or [`LmError::Io`]
    /// for files that cannot be read.
    pub fn load(folder: &Utf8Path) -> Result<Self, LmError> {
        let mut files = BTreeMap::new();
        for name in COMPANIONS {
            let path = folder.join(name);
            if path.is_file() {
                let text = fs_err::read_to_string(&path).map_err(LmError::io("read", &path))?;
                files.insert(name.to_owned(), text);
            }
        }
        if !files.contains_key(TOKENIZER) {
            return Err(LmError::MissingFile {
                folder: folder.to_owned(),
                file: TOKENIZER.to_owned(),
                help: "only fast tokenizers are read; transformers' `save_pretrained` writes one",
            });
        }
        Self::from_files(files, folder.as_str())
    }

    /// Makes a tokenizer of file names and texts; `origin` names them in errors.
    pub(crate) fn from_files(files: BTreeMap<String, String>, origin: &str) -> Result<Self, LmError> {
        let text = files.get(TOKENIZER).map_or("", String::as_str);
        // `tokenizers` panics on some malformed JSON (`expect("Helper")` in its decoders), so that is found here first.
        serde_json::from_str::<serde::de::IgnoredAny>(text)
            .map_err(|source| LmError::Json { origin: format!("{origin}/{TOKENIZER}"), source })?;
        let action = || format!("read {origin}/{TOKENIZER} as");
        let mut inner: tokenizers::Tokenizer =
            text.parse().map_err(|source| LmError::Tokenizer { action: action(), source })?;
        // As in transformers: what the file says about batches is not for single texts.
        inner.with_truncation(None).map_err(|source| LmError::Tokenizer { action: action(), source })?;
        inner.with_padding(None);

        let read = |name: &str| -> Result<Value, LmError> {
            let Some(text) = files.get(name) else { return Ok(Value::Null) };
            serde_json::from_str(text).map_err(|source| LmError::Json { origin: format!("{origin}/{name}"), source })
        };
        let (config, map) = (read(TOKENIZER_CONFIG)?, read(SPECIAL_TOKENS)?);
        let special_tokens: BTreeMap<String, String> = NAMED_TOKENS
            .iter()
            .filter_map(|name| {
                let token = token_text(&config[*name]).or_else(|| token_text(&map[*name]))?;
                Some(((*name).to_owned(), token))
            })
            .collect();
        let source = files.get(TEMPLATE).cloned().or_else(|| template_source(&config["chat_template"]));
        let template = source.map(|source| ChatTemplate::new(source, special_tokens.clone()));
        let eos = special_tokens.get("eos_token").and_then(|token| inner.token_to_id(token)).into_iter().collect();
        Ok(Self { inner, files, special_tokens, template, eos })
    }

    /// Writes the tokenizer's files into an existing folder, as they were read.
    ///
    /// # Errors
    /// [`LmError::Io`].
    pub fn save(&self, folder: &Utf8Path) -> Result<(), LmError> {
        for (name, text) in &self.files {
            let path = folder.join(name);
            fs_err::write(&path, text).map_err(LmError::io("write", &path))?;
        }
        Ok(())
    }

    /// Returns the tokens of `text`. Special tokens spelled in the text (`<|im_start|>`) are found in any case;
    /// `add_special` adds those that the tokenizer puts around a text by itself (often a beginning-of-text token).
    /// A text made by [`Tokenizer::render_chat`] has them already: encode it without.
    ///
    /// # Errors
    /// [`LmError::Tokenizer`].
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, LmError> {
        let encoding = self.inner.encode_fast(text, add_special).map_err(|source| LmError::Tokenizer {
            action: format!("encode a text of {} bytes with", text.len()),
            source,
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Returns the text of `tokens`, special tokens left out. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`LmError::Tokenizer`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, LmError> {
        self.decode_with(tokens, true)
    }

    /// Returns the text of `tokens`, special tokens spelled out.
    ///
    /// # Errors
    /// [`LmError::Tokenizer`].
    pub fn decode_with_special(&self, tokens: &[u32]) -> Result<String, LmError> {
        self.decode_with(tokens, false)
    }

    fn decode_with(&self, tokens: &[u32], skip_special: bool) -> Result<String, LmError> {
        self.inner
            .decode(tokens, skip_special)
            .map_err(|source| LmError::Tokenizer { action: format!("decode {} tokens with", tokens.len()), source })
    }

    /// Returns the text of a conversation by the model's chat template; with `add_generation_prompt` it ends where the
    /// assistant is to go on.
    ///
    /// # Errors
    /// [`LmError::NoChatTemplate`], [`LmError::ChatTemplate`].
    pub fn render_chat(&self, messages: &[ChatMessage], add_generation_prompt: bool) -> Result<String, LmError> {
        self.template.as_ref().ok_or(LmError::NoChatTemplate)?.render(messages, add_generation_prompt)
    }

    /// Returns whether there is a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// Returns the id of a token by its text: `<|im_end|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Returns the token that begins a text.
    pub fn bos(&self) -> Option<u32> {
        self.token_id(self.special_tokens.get("bos_token")?)
    }

    /// Returns the token that fills batches.
    pub fn pad(&self) -> Option<u32> {
        self.token_id(self.special_tokens.get("pad_token")?)
    }

    /// Returns the number of tokens that a model needs rows for: the highest id and one.
    pub fn vocab_size(&self) -> usize {
        let ids = self.inner.get_vocab(true);
        ids.values().max().map_or(0, |highest| *highest as usize + 1)
    }

    /// Returns the text of a file that travels with the tokenizer.
    pub(crate) fn file(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// Trains a byte-level BPE tokenizer of `vocab_size` tokens (fewer when the texts yield fewer pairs) with a ChatML
    /// template. Its first tokens are `<|endoftext|>`, `<|im_start|>` and `<|im_end|>` (which ends a turn), then
    /// `extra_tokens` (`<think>`, `<tool_call>`: single tokens that stay in decoded text), then the 256 bytes.
    /// The result is a function of the arguments alone.
    ///
    /// # Errors
    /// [`LmError::Request`] when `vocab_size` does not hold the bytes and special tokens, or an extra token is empty,
    /// given twice or a single byte.
    pub fn train_bpe<'a>(
        texts: impl IntoIterator<Item = &'a str>,
        vocab_size: usize,
        extra_tokens: &[&str],
    ) -> Result<Self, LmError> {
        let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
        let bytes = bpe::byte_alphabet();
        let mut tokens: Vec<String> = Vec::new();
        for token in special.iter().chain(extra_tokens) {
            if token.is_empty() || tokens.iter().chain(&bytes).any(|known| known == token) {
                let reason = "it is empty, given twice, or a single byte";
                return Err(LmError::Request(format!("the extra token `{token}` is impossible: {reason}")));
            }
            tokens.push((*token).to_owned());
        }
        let added = tokens.len();
        tokens.extend(bytes);
        if tokens.len() > vocab_size {
            return Err(LmError::Request(format!(
                "a vocabulary of {vocab_size} tokens is too small: the bytes and special tokens are {}",
                tokens.len()
            )));
        }
        let untrained = Self::byte_level(&tokens, &[], added, special.len())?;
        let words = untrained.count_words(texts)?;
        let merges = bpe::train(&words, &mut tokens, vocab_size);
        Self::byte_level(&tokens, &merges, added, special.len())
    }

    /// Makes the tokenizer of [`Tokenizer::train_bpe`]: the first `added` tokens are found before anything else, and the
    /// first `special` of them are left out of decoded text.
    fn byte_level(
        tokens: &[String],
        merges: &[(String, String)],
        added: usize,
        special: usize,
    ) -> Result<Self, LmError> {
        let added = (0..)
            .zip(&tokens[..added])
            .map(|(id, text)| AddedToken { id, text: text.clone(), special: (id as usize) < special })
            .collect();
        let tokenizer = ByteLevelBpe {
            tokens,
            merges,
            added,
            normalizer: Value::Null,
            pre_tokenizer: bpe::digits_pre_tokenizer(),
            post_processor: Value::Null,
            ignore_merges: false,
        };
        let config = tokenizer_config(CHATML, &[("bos_token", 0), ("eos_token", 2), ("pad_token", 0)], tokens);
        Self::from_files(files(tokenizer.to_json(), config), "the trained tokenizer")
    }

    /// Counts the words of `texts` as the tokenizer splits them, spelled in the byte alphabet.
    fn count_words<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<BTreeMap<String, u64>, LmError> {
        let error = |source| LmError::Tokenizer { action: "split texts for".to_owned(), source };
        let mut words = BTreeMap::new();
        for text in texts {
            let vocabulary = self.inner.get_added_vocabulary();
            let mut split = vocabulary.extract_and_normalize(self.inner.get_normalizer(), text);
            if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
                pre_tokenizer.pre_tokenize(&mut split).map_err(error)?;
            }
            for (word, _, added) in split.get_splits(OffsetReferential::Original, OffsetType::None) {
                if added.is_none() {
                    *words.entry(word.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(words)
    }
}

/// Returns the text of a `tokenizer_config.json` that transformers reads. `named` gives `bos_token` and its like by id.
pub(crate) fn tokenizer_config(template: &str, named: &[(&str, u32)], tokens: &[String]) -> String {
    let mut value = json!({ "add_prefix_space": false, "clean_up_tokenization_spaces": false });
    for (name, id) in named {
        if let Some(token) = tokens.get(*id as usize) {
            value[*name] = json!(token);
        }
    }
    if !template.is_empty() {
        value["chat_template"] = json!(template);
    }
    value["tokenizer_class"] = json!("PreTrainedTokenizerFast");
    let mut text = format!("{value:#}");
    text.push('\n');
    text
}

/// Returns the file names and texts of a tokenizer made here.
pub(crate) fn files(tokenizer: String, config: String) -> BTreeMap<String, String> {
    [(TOKENIZER, tokenizer), (TOKENIZER_CONFIG, config)].map(|(name, text)| (name.to_owned(), text)).into()
}

/// `"<s>"` or `{"content": "<s>", …}`.
fn token_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

/// A template, or a list of named ones of which `default` counts.
fn template_source(value: &Value) -> Option<String> {
    if let Some(source) = value.as_str() {
        return Some(source.to_owned());
    }
    let default = value.as_array()?.iter().find(|template| template["name"] == "default")?;
    default["template"].as_str().map(str::to_owned)
}
