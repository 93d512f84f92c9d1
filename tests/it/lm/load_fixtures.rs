//! The oracle fixtures that `tests/fixtures/lm/make.py` makes with PyTorch and transformers.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::Deserialize;
use toolexpander::lm::{ChatMessage, Config, Family, LanguageModel};

/// `oracle.json`.
#[derive(Deserialize)]
pub struct Oracle {
    pub prompt: Vec<u32>,
    pub completion: Vec<u32>,
    pub weights: Vec<f64>,
    pub tied_greedy: Vec<u32>,
    pub sharded_greedy: Vec<u32>,
    pub gguf_greedy: Vec<u32>,
    pub sharded_frequencies: Vec<f64>,
    pub texts: Vec<TextCase>,
    pub templates: BTreeMap<String, String>,
    pub chats: Vec<ChatCase>,
}

/// A text with its tokens.
#[derive(Deserialize)]
pub struct TextCase {
    pub text: String,
    pub ids: Vec<u32>,
    pub decoded: String,
}

/// A conversation with its rendering.
#[derive(Deserialize)]
pub struct ChatCase {
    pub template: String,
    pub messages: Vec<ChatMessage>,
    pub add_generation_prompt: bool,
    pub text: String,
}

impl Oracle {
    pub fn tokens(&self) -> Vec<u32> {
        [self.prompt.as_slice(), &self.completion].concat()
    }
}

pub fn folder() -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lm")
}

pub fn oracle() -> Oracle {
    serde_json::from_str(&fs_err::read_to_string(folder().join("oracle.json")).unwrap()).unwrap()
}

/// A tensor of `oracle.safetensors`, row-major.
pub fn tensor(name: &str) -> Vec<f32> {
    let bytes = fs_err::read(folder().join("oracle.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}")).data().to_vec();
    data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

pub fn load(name: &str) -> LanguageModel {
    LanguageModel::load(&folder().join(name)).unwrap()
}

/// A configuration of a few thousand parameters.
pub fn tiny_config() -> Config {
    Config {
        family: Family::Llama,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 4,
        vocab_size: 40,
        rms_norm_eps: 1e-5,
        rope_theta: 1000.0,
        rope_scaling: None,
        max_position_embeddings: 32,
        tie_word_embeddings: false,
        bos_token_id: Some(0),
        eos_token_ids: vec![2],
    }
}

/// The largest difference of two rows of numbers, which must be of one length.
pub fn max_difference(found: &[f64], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(found, expected)| (found - f64::from(*expected)).abs()).fold(0.0, f64::max)
}
