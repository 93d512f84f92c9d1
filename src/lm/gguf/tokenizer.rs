//! The tokenizer of a GGUF file, rebuilt as a `tokenizer.json`: byte-level BPE with the splitting that the file names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::lm::{
    LmError, Tokenizer,
    bpe::{self, AddedToken, ByteLevelBpe},
    gguf::Metadata,
    tokenizer::{files, tokenizer_config},
};

/// `llama_token_type`: a token that steers the model, never text.
const CONTROL: i64 = 3;
/// `llama_token_type`: the token for what is not in the vocabulary.
const UNKNOWN: i64 = 2;
/// `llama_token_type`: added by the model's makers, but text.
const USER_DEFINED: i64 = 4;

/// Llama 3's splitting, as in its `tokenizer.json`.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen 2's splitting, as in its `tokenizer.json`.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How a text is cut before the merges.
struct Splitting {
    normalizer: Value,
    pre_tokenizer: Value,
    /// Whole words of the vocabulary win over merges.
    ignore_merges: bool,
}

/// Builds the tokenizer.
pub(super) fn build(metadata: &Metadata) -> Result<Tokenizer, LmError> {
    let unsupported = |reason: String| LmError::UnsupportedTokenizer { origin: metadata.path().to_string(), reason };
    let model = metadata.text("tokenizer.ggml.model")?;
    if model != "gpt2" {
        return Err(unsupported(format!(
            "its tokenizer is of the kind `{model}`; of GGUF files only `gpt2` (byte-level BPE) is read: give the model's \
             Hugging Face folder instead"
        )));
    }
    let splitting = match metadata.optional_text("tokenizer.ggml.pre")? {
        None | Some("default" | "gpt-2" | "gpt2" | "phi-2") => plain(bpe::gpt2_pre_tokenizer()),
        Some("smollm" | "starcoder" | "refact" | "command-r") => plain(bpe::digits_pre_tokenizer()),
        Some("llama-bpe" | "llama3" | "llama-v3" | "smaug-bpe") => {
            Splitting { ignore_merges: true, ..plain(bpe::regex_pre_tokenizer(LLAMA3)) }
        }
        Some("qwen2") => Splitting { normalizer: json!({ "type": "NFC" }), ..plain(bpe::regex_pre_tokenizer(QWEN2)) },
        Some(other) => {
            return Err(unsupported(format!(
                "it splits texts by `{other}`; known are gpt-2, smollm, starcoder, llama-bpe and qwen2: give the model's \
                 Hugging Face folder instead"
            )));
        }
    };

    let tokens = metadata.texts("tokenizer.ggml.tokens")?;
    let mut seen = BTreeSet::new();
    if let Some(twice) = tokens.iter().find(|token| !seen.insert(token.as_str())) {
        return Err(unsupported(format!("`tokenizer.ggml.tokens` holds the token `{twice}` twice")));
    }
    let merges: Vec<(String, String)> = metadata
        .texts("tokenizer.ggml.merges")?
        .iter()
        .map(|merge| match merge.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(unsupported(format!("`tokenizer.ggml.merges` holds `{merge}`; expected two tokens"))),
        })
        .collect::<Result<_, _>>()?;
    let kinds = metadata.token_kinds()?;
    let added = (0..)
        .zip(tokens.iter().zip(&kinds))
        .filter(|(_, (_, kind))| matches!(**kind, CONTROL | UNKNOWN | USER_DEFINED))
        .map(|(id, (text, kind))| AddedToken { id, text: text.clone(), special: *kind != USER_DEFINED })
        .collect();

    let tokenizer = ByteLevelBpe {
        tokens: &tokens,
        merges: &merges,
        added,
        normalizer: splitting.normalizer,
        pre_tokenizer: splitting.pre_tokenizer,
        post_processor: post_processor(metadata, &tokens)?,
        ignore_merges: splitting.ignore_merges,
    };
    let mut named = Vec::new();
    for (name, keys) in [
        ("bos_token", ["bos_token_id", "bos_token_id"]),
        ("eos_token", ["eos_token_id", "eos_token_id"]),
        ("pad_token", ["padding_token_id", "pad_token_id"]),
        ("unk_token", ["unknown_token_id", "unk_token_id"]),
    ] {
        for key in keys {
            if let Some(id) = metadata.token(&format!("tokenizer.ggml.{key}"))? {
                named.push((name, id));
                break;
            }
        }
    }
    let template = metadata.optional_text("tokenizer.chat_template")?.unwrap_or_default();
    let config = tokenizer_config(template, &named, &tokens);
    Tokenizer::from_files(files(tokenizer.to_json(), config), metadata.path().as_str())
}

fn plain(pre_tokenizer: Value) -> Splitting {
    Splitting { normalizer: Value::Null, pre_tokenizer, ignore_merges: false }
}

/// The tokens that are put around a text, by `add_bos_token` and `add_eos_token`.
fn post_processor(metadata: &Metadata, tokens: &[String]) -> Result<Value, LmError> {
    let around = |flag: &str, key: &str| -> Result<Option<(String, u32)>, LmError> {
        if !metadata.flag(flag)? {
            return Ok(None);
        }
        let id = metadata.token(key)?;
        let token = id.and_then(|id| Some((tokens.get(id as usize)?.clone(), id)));
        token.map(Some).ok_or_else(|| metadata.error(key, "absent or no token", "its text is to be put around texts"))
    };
    let before = around("tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id")?;
    let after = around("tokenizer.ggml.add_eos_token", "tokenizer.ggml.eos_token_id")?;
    if before.is_none() && after.is_none() {
        return Ok(Value::Null);
    }
    let piece = |token: &Option<(String, u32)>, type_id: usize| {
        token.iter().map(|(text, _)| json!({ "SpecialToken": { "id": text, "type_id": type_id } })).collect::<Vec<_>>()
    };
    let around_text = |name: &str, type_id: usize| {
        let mut pieces = piece(&before, type_id);
        pieces.push(json!({ "Sequence": { "id": name, "type_id": type_id } }));
        pieces.extend(piece(&after, type_id));
        pieces
    };
    let special: serde_json::Map<String, Value> = before
        .iter()
        .chain(&after)
        .map(|(text, id)| (text.clone(), json!({ "id": text, "ids": [id], "tokens": [text] })))
        .collect();
    let pair = [around_text("A", 0), around_text("B", 1)].concat();
    Ok(json!({
        "type": "TemplateProcessing",
        "single": around_text("A", 0),
        "pair": pair,
        "special_tokens": special,
    }))
}
