//! The shape of a model: read from and written to Hugging Face's `config.json`.
//!
//! Only what the arithmetic needs is kept; fields that would change the arithmetic in a way not supported here are refused,
//! all others are ignored. [`Config::check`] holds for every configuration that was read from a file.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::lm::{Dtype, LmError};

/// A family of decoders: Llama's arithmetic, and what the family adds to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Llama 2, Llama 3.x, SmolLM2.
    #[default]
    Llama,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3 (dense): RMSNorm over each query and key head before the rotation.
    Qwen3,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Qwen2, Self::Qwen3];

    /// Returns the name in `config.json`'s `model_type` and in GGUF's `general.architecture`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Returns the name of the class in transformers.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// Returns whether queries, keys and values have biases.
    pub fn has_biases(self) -> bool {
        self == Self::Qwen2
    }

    /// Returns whether each query and key head is normalised.
    pub fn has_head_norms(self) -> bool {
        self == Self::Qwen3
    }

    /// Returns the families' `model_type`s, for messages.
    pub(crate) fn known() -> String {
        Self::ALL.map(Self::model_type).join(", ")
    }
}

/// The hyper-parameters of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What it adds to Llama's arithmetic.
    pub family: Family,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated MLP.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key / value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// The ε of RMSNorm.
    pub rms_norm_eps: f64,
    /// The base of the rotary frequencies.
    pub rope_theta: f64,
    /// Llama 3's stretching of the rotary frequencies.
    pub rope_scaling: Option<Llama3RopeScaling>,
    /// The longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// The token that begins a text.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a turn or a text.
    pub eos_token_ids: Vec<u32>,
}

/// Llama 3's rotary scaling (`rope_type = "llama3"`): low frequencies are divided by `factor`, high ones kept, those between
/// interpolated. Source: `transformers/modeling_rope_utils.py`, `_compute_llama3_parameters`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Llama3RopeScaling {
    /// Divisor of the low frequencies.
    pub factor: f64,
    /// Wavelengths above `original / low_freq_factor` are scaled.
    pub low_freq_factor: f64,
    /// Wavelengths below `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// The context of pre-training, in tokens.
    pub original_max_position_embeddings: usize,
}

/// `config.json` as it is written, before checks.
#[derive(Deserialize)]
struct HfConfig {
    model_type: Option<String>,
    architectures: Option<Vec<String>>,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    #[serde(default = "default_rms_norm_eps")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<serde_json::Map<String, Value>>,
    rope_parameters: Option<serde_json::Map<String, Value>>,
    #[serde(default = "default_max_position_embeddings")]
    max_position_embeddings: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
    bos_token_id: Option<u32>,
    eos_token_id: Option<OneOrMany>,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    layer_types: Option<Vec<String>>,
    partial_rotary_factor: Option<f64>,
    quantization_config: Option<Value>,
}

/// `2` or `[2, 3]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// One id.
    One(u32),
    /// Several.
    Many(Vec<u32>),
}

impl From<OneOrMany> for Vec<u32> {
    fn from(ids: OneOrMany) -> Self {
        match ids {
            OneOrMany::One(id) => vec![id],
            OneOrMany::Many(ids) => ids,
        }
    }
}

// The defaults are those of transformers' `LlamaConfig`.
fn default_rms_norm_eps() -> f64 {
    1e-6
}

fn default_max_position_embeddings() -> usize {
    2048
}

const DEFAULT_ROPE_THETA: f64 = 10_000.0;
/// The default of `Qwen3Config`.
const QWEN3_HEAD_DIM: usize = 128;

impl Config {
    /// Reads the text of a `config.json`; `origin` names it in errors.
    ///
    /// # Errors
    /// [`LmError::Json`] for malformed text, [`LmError::UnsupportedFamily`] for models of other families,
    /// [`LmError::Config`] for values that are impossible or change the arithmetic in an unsupported way.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, LmError> {
        let json_error = |source| LmError::Json { origin: origin.to_owned(), source };
        let value: Value = serde_json::from_str(text).map_err(json_error)?;
        // The family first: another family's file may lack fields, and its name says more than the lack.
        let family = family(&value).map_err(|found| LmError::UnsupportedFamily { origin: origin.to_owned(), found })?;
        let read: HfConfig = serde_json::from_str(text).map_err(json_error)?;
        let error = |field: &str, found: String, expected: &str| LmError::Config {
            origin: origin.to_owned(),
            field: field.to_owned(),
            found,
            expected: expected.to_owned(),
        };
        if read.model_type.is_none() && read.architectures.is_none() {
            return Err(error("model_type", "absent".to_owned(), &format!("expected one of {}", Family::known())));
        }
        let slides = |kind: &String| kind != "full_attention";
        if read.use_sliding_window || read.layer_types.iter().flatten().any(slides) {
            return Err(error("use_sliding_window", "true".to_owned(), "only full attention is supported"));
        }
        if let Some(activation) = &read.hidden_act
            && !matches!(activation.as_str(), "silu" | "swish")
        {
            return Err(error("hidden_act", format!("{activation:?}"), "only \"silu\" is supported"));
        }
        for (field, set) in [("attention_bias", read.attention_bias), ("mlp_bias", read.mlp_bias)] {
            if set {
                return Err(error(field, "true".to_owned(), "models with biases are not supported"));
            }
        }
        if let Some(factor) = read.partial_rotary_factor
            && factor != 1.0
        {
            return Err(error("partial_rotary_factor", factor.to_string(), "only 1 is supported"));
        }
        if read.quantization_config.is_some() {
            return Err(error("quantization_config", "set".to_owned(), "give a folder with f32, f16 or bf16 weights"));
        }
        if read.num_attention_heads == 0 {
            return Err(error("num_attention_heads", "0".to_owned(), "expected at least 1"));
        }
        let (rope_theta, rope_scaling) = rope(&read, origin)?;
        let config = Self {
            family,
            hidden_size: read.hidden_size,
            intermediate_size: read.intermediate_size,
            num_hidden_layers: read.num_hidden_layers,
            num_attention_heads: read.num_attention_heads,
            num_key_value_heads: read.num_key_value_heads.unwrap_or(read.num_attention_heads),
            head_dim: read.head_dim.unwrap_or(match family {
                Family::Qwen3 => QWEN3_HEAD_DIM,
                Family::Llama | Family::Qwen2 => read.hidden_size / read.num_attention_heads,
            }),
            vocab_size: read.vocab_size,
            rms_norm_eps: read.rms_norm_eps,
            rope_theta,
            rope_scaling,
            max_position_embeddings: read.max_position_embeddings,
            tie_word_embeddings: read.tie_word_embeddings,
            bos_token_id: read.bos_token_id,
            eos_token_ids: read.eos_token_id.map(Vec::from).unwrap_or_default(),
        };
        config.check(origin)?;
        Ok(config)
    }

    /// Returns the text of a `config.json` that transformers, vLLM and llama.cpp's converter read: fixed field order, one
    /// trailing newline. `dtype` is the type of the weights beside it.
    pub fn to_json(&self, dtype: Dtype) -> String {
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        let rope_scaling = self.rope_scaling.map_or(Value::Null, |scaling| {
            json!({
                "factor": scaling.factor,
                "high_freq_factor": scaling.high_freq_factor,
                "low_freq_factor": scaling.low_freq_factor,
                "original_max_position_embeddings": scaling.original_max_position_embeddings,
                "rope_type": "llama3",
            })
        });
        let mut value = json!({
            "architectures": [self.family.architecture()],
            "attention_dropout": 0.0,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "hidden_size": self.hidden_size,
            "initializer_range": 0.02,
            "intermediate_size": self.intermediate_size,
            "max_position_embeddings": self.max_position_embeddings,
            "model_type": self.family.model_type(),
            "num_attention_heads": self.num_attention_heads,
            "num_hidden_layers": self.num_hidden_layers,
            "num_key_value_heads": self.num_key_value_heads,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_scaling": rope_scaling,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tie_word_embeddings,
            "torch_dtype": dtype.torch(),
            "use_cache": true,
            "vocab_size": self.vocab_size,
        });
        let more: &[(&str, bool)] = match self.family {
            Family::Llama => &[("attention_bias", false), ("mlp_bias", false)],
            Family::Qwen2 => &[("use_sliding_window", false)],
            Family::Qwen3 => &[("attention_bias", false), ("use_sliding_window", false)],
        };
        more.iter().for_each(|(field, set)| value[*field] = json!(set));
        value.sort_all_objects();
        let mut text = format!("{value:#}");
        text.push('\n');
        text
    }

    /// Checks that a model of this configuration can exist. `origin` names it in errors.
    ///
    /// # Errors
    /// [`LmError::Config`] with the first field that is wrong.
    pub fn check(&self, origin: &str) -> Result<(), LmError> {
        let error = |field: &str, found: String, expected: String| {
            Err(LmError::Config { origin: origin.to_owned(), field: field.to_owned(), found, expected })
        };
        // Far above any model, far below what would overflow a product of two.
        const LIMIT: usize = 1 << 30;
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if !(1..=LIMIT).contains(&value) {
                return error(field, value.to_string(), format!("expected 1 to {LIMIT}"));
            }
        }
        if self.num_hidden_layers > 4096 {
            return error("num_hidden_layers", self.num_hidden_layers.to_string(), "expected at most 4096".to_owned());
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("expected a divisor of num_attention_heads = {}", self.num_attention_heads);
            return error("num_key_value_heads", self.num_key_value_heads.to_string(), expected);
        }
        if !self.head_dim.is_multiple_of(2) {
            return error("head_dim", self.head_dim.to_string(), "rotary positions need an even number".to_owned());
        }
        for (field, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                return error(field, value.to_string(), "expected a positive number".to_owned());
            }
        }
        if let Some(scaling) = &self.rope_scaling {
            let positive = |value: f64| value.is_finite() && value > 0.0;
            let ordered = positive(scaling.factor)
                && positive(scaling.low_freq_factor)
                && scaling.high_freq_factor.is_finite()
                && scaling.high_freq_factor > scaling.low_freq_factor
                && scaling.original_max_position_embeddings > 0;
            if !ordered {
                let expected = "expected positive factors, high_freq_factor above low_freq_factor".to_owned();
                return error("rope_scaling", format!("{scaling:?}"), expected);
            }
        }
        for token in self.bos_token_id.iter().chain(&self.eos_token_ids) {
            if *token as usize >= self.vocab_size {
                let expected = format!("expected a token below vocab_size = {}", self.vocab_size);
                return error("bos_token_id / eos_token_id", token.to_string(), expected);
            }
        }
        Ok(())
    }

    /// Returns the rotary inverse frequencies, in radians per position, one per pair of a head's dimensions:
    /// shape `(head_dim / 2,)`. Computed in f64, as the one source for every implementation.
    ///
    /// **Source:** `θ^(-2i/d)`; with [`Llama3RopeScaling`] as in transformers' `_compute_llama3_parameters`.
    pub fn inverse_frequencies(&self) -> Vec<f64> {
        let half = self.head_dim / 2;
        (0..half)
            .map(|index| {
                let frequency = self.rope_theta.powf(-((2 * index) as f64) / self.head_dim as f64);
                self.rope_scaling.map_or(frequency, |scaling| scaling.apply(frequency))
            })
            .collect()
    }
}

impl Llama3RopeScaling {
    fn apply(&self, frequency: f64) -> f64 {
        let original = self.original_max_position_embeddings as f64;
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
        if wavelength < original / self.high_freq_factor {
            frequency
        } else if wavelength > original / self.low_freq_factor {
            frequency / self.factor
        } else {
            let smooth =
                (original / wavelength - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor);
            (1.0 - smooth) * frequency / self.factor + smooth * frequency
        }
    }
}

/// Returns the family that the file names, Llama where it names none.
///
/// # Errors
/// The name of a family that is not known.
fn family(value: &Value) -> Result<Family, String> {
    let find = |name: &str, named: fn(Family) -> &'static str| {
        Family::ALL.into_iter().find(|family| named(*family) == name).ok_or_else(|| name.to_owned())
    };
    if let Some(model_type) = value.get("model_type").and_then(Value::as_str) {
        return find(model_type, Family::model_type);
    }
    match value.get("architectures").and_then(|names| names.get(0)).and_then(Value::as_str) {
        Some(architecture) => find(architecture, Family::architecture),
        None => Ok(Family::Llama),
    }
}

/// Reads the rotary base and scaling from either spelling: transformers 5's `rope_parameters`, or `rope_theta` and
/// `rope_scaling` of the versions before.
fn rope(read: &HfConfig, origin: &str) -> Result<(f64, Option<Llama3RopeScaling>), LmError> {
    let theta_in = |map: &Option<serde_json::Map<String, Value>>| {
        map.as_ref().and_then(|map| map.get("rope_theta")).and_then(Value::as_f64)
    };
    let theta = theta_in(&read.rope_parameters).or(read.rope_theta).or(theta_in(&read.rope_scaling));
    let theta = theta.unwrap_or(DEFAULT_ROPE_THETA);
    let (field, map) = match (&read.rope_parameters, &read.rope_scaling) {
        (Some(map), _) => ("rope_parameters", map),
        (None, Some(map)) => ("rope_scaling", map),
        (None, None) => return Ok((theta, None)),
    };
    let kind = map.get("rope_type").or_else(|| map.get("type")).and_then(Value::as_str).unwrap_or("default");
    match kind {
        "default" => Ok((theta, None)),
        "llama3" => {
            let scaling = serde_json::from_value(Value::Object(map.clone()))
                .map_err(|source| LmError::Json { origin: format!("{origin}: `{field}`"), source })?;
            Ok((theta, Some(scaling)))
        }
        other => Err(LmError::Config {
            origin: origin.to_owned(),
            field: format!("{field}.rope_type"),
            found: format!("{other:?}"),
            expected: "only \"default\" and \"llama3\" are supported".to_owned(),
        }),
    }
}
