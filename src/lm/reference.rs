//! The reference path: a forward pass of any [`Family`](crate::lm::Family) in candle tensors with automatic gradients.
//!
//! Plain and slow on purpose: one sequence at a time, no cache, no fused operation. The native engine is tested against it,
//! and it runs wherever candle runs. It must only use operations that have a backward: candle's fused `softmax_last_dim`,
//! `rms_norm`, `rope` and `sdpa` cut the graph without an error; [`Reference::gradients`] reports a parameter that was cut off.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::ops::{log_softmax, softmax};

use crate::lm::{Config, LmError, Weights, lora::Adapter};

/// A model as candle variables.
pub struct Reference {
    config: Config,
    device: Device,
    dtype: DType,
    variables: BTreeMap<String, Var>,
    /// What an adapter's products count.
    scale: f64,
}

impl Reference {
    /// Copies `weights` to variables of `dtype` (f32 or f64) on `device`.
    ///
    /// # Errors
    /// [`LmError::Layout`], [`LmError::Tensor`].
    pub fn new(
        config: &Config,
        weights: &Weights,
        device: &Device,
        dtype: DType,
    ) -> std::result::Result<Self, LmError> {
        weights.check(config)?;
        let variable = |data: &[f32], shape: &[usize]| -> Result<Var> {
            Var::from_tensor(&Tensor::from_slice(data, shape, device)?.to_dtype(dtype)?)
        };
        let mut variables = BTreeMap::new();
        for parameter in &weights.parameters {
            let variable = variable(&parameter.data, &parameter.shape).map_err(LmError::tensor("copy the weights"))?;
            variables.insert(parameter.name.clone(), variable);
        }
        Ok(Self { config: config.clone(), device: device.clone(), dtype, variables, scale: 0.0 })
    }

    /// Copies an adapter's matrices to variables beside those of the weights; the linear maps then go through them.
    ///
    /// # Errors
    /// [`LmError::Layout`], [`LmError::Tensor`].
    pub fn adapted(mut self, adapter: &Adapter) -> std::result::Result<Self, LmError> {
        adapter.check(&self.config)?;
        for parameter in &adapter.parameters {
            let tensor = Tensor::from_slice(&parameter.data, &*parameter.shape, &self.device);
            let variable = tensor.and_then(|tensor| Var::from_tensor(&tensor.to_dtype(self.dtype)?));
            self.variables.insert(parameter.name.clone(), variable.map_err(LmError::tensor("copy the adapter"))?);
        }
        self.scale = adapter.options().alpha / adapter.options().rank as f64;
        Ok(self)
    }

    /// Returns the parameters by name; changing a variable (`Var::set`) changes the model.
    pub fn variables(&self) -> &BTreeMap<String, Var> {
        &self.variables
    }

    /// Returns the logits after each token: shape `(T, V)`.
    ///
    /// # Errors
    /// [`LmError::Request`] without tokens, [`LmError::TokenOutOfRange`], [`LmError::TooLong`], [`LmError::Tensor`].
    pub fn logits(&self, tokens: &[u32]) -> std::result::Result<Tensor, LmError> {
        self.check(tokens)?;
        self.hidden(tokens).and_then(|hidden| self.head(&hidden)).map_err(LmError::tensor("compute the logits"))
    }

    /// Returns the log-probability, in nats at temperature 1, of each token of `completion` after `prompt`: shape `(C,)`.
    ///
    /// # Errors
    /// As [`Reference::logits`]; [`LmError::Request`] when `prompt` or `completion` is empty.
    pub fn log_probs(&self, prompt: &[u32], completion: &[u32]) -> std::result::Result<Tensor, LmError> {
        if prompt.is_empty() || completion.is_empty() {
            return Err(LmError::Request(
                "log-probabilities need a prompt and a completion of a token each".to_owned(),
            ));
        }
        let tokens = [prompt, completion].concat();
        self.check(&tokens)?;
        self.log_probs_checked(&tokens, completion).map_err(LmError::tensor("compute the log-probabilities"))
    }

    fn log_probs_checked(&self, tokens: &[u32], completion: &[u32]) -> Result<Tensor> {
        let (count, prompt) = (completion.len(), tokens.len() - completion.len());
        // The logits after a token are those of the next one.
        let hidden = self.hidden(&tokens[..tokens.len() - 1])?.narrow(0, prompt - 1, count)?;
        let log_probs = log_softmax(&self.head(&hidden)?, D::Minus1)?; // (C, V)
        let targets = Tensor::from_slice(completion, (count, 1), &self.device)?;
        log_probs.gather(&targets, 1)?.squeeze(1)
    }

    /// Returns the gradient of `loss` (a scalar computed from this model) with respect to each parameter, by name.
    ///
    /// # Errors
    /// [`LmError::NoGradient`] when a parameter is cut off from the loss, [`LmError::Tensor`].
    pub fn gradients(&self, loss: &Tensor) -> std::result::Result<BTreeMap<String, Tensor>, LmError> {
        let gradients = loss.backward().map_err(LmError::tensor("compute the gradients"))?;
        self.variables
            .iter()
            .map(|(name, variable)| match gradients.get(variable) {
                Some(gradient) => Ok((name.clone(), gradient.clone())),
                None => Err(LmError::NoGradient { parameter: name.clone() }),
            })
            .collect()
    }

    fn check(&self, tokens: &[u32]) -> std::result::Result<(), LmError> {
        if tokens.is_empty() {
            return Err(LmError::Request("a model needs a token to begin with".to_owned()));
        }
        let (vocab_size, limit) = (self.config.vocab_size, self.config.max_position_embeddings);
        if let Some(position) = tokens.iter().position(|token| *token as usize >= vocab_size) {
            return Err(LmError::TokenOutOfRange { token: tokens[position], position, vocab_size });
        }
        if tokens.len() > limit {
            return Err(LmError::TooLong { what: "the sequence".to_owned(), tokens: tokens.len(), limit });
        }
        Ok(())
    }

    fn parameter(&self, name: &str) -> Result<&Tensor> {
        match self.variables.get(name) {
            Some(variable) => Ok(variable.as_tensor()),
            None => candle_core::bail!("no parameter `{name}`"),
        }
    }

    /// The final hidden states, normalised: `(T, hidden)`.
    fn hidden(&self, tokens: &[u32]) -> Result<Tensor> {
        let length = tokens.len();
        let index = Tensor::from_slice(tokens, length, &self.device)?;
        let rope = self.rope(length)?;
        let mask = self.causal_mask(length)?;
        let mut stream = self.parameter("model.embed_tokens.weight")?.index_select(&index, 0)?;
        for layer in 0..self.config.num_hidden_layers {
            let prefix = format!("model.layers.{layer}");
            let input = self.norm(&stream, &format!("{prefix}.input_layernorm.weight"))?;
            stream = (stream + self.attention(&input, &prefix, &rope, &mask)?)?;
            let input = self.norm(&stream, &format!("{prefix}.post_attention_layernorm.weight"))?;
            let gate = self.linear(&input, &format!("{prefix}.mlp.gate_proj.weight"))?.silu()?;
            let up = self.linear(&input, &format!("{prefix}.mlp.up_proj.weight"))?;
            stream = (stream + self.linear(&(gate * up)?, &format!("{prefix}.mlp.down_proj.weight"))?)?;
        }
        self.norm(&stream, "model.norm.weight")
    }

    /// The logits of hidden states: `(T, hidden)` → `(T, V)`.
    fn head(&self, hidden: &Tensor) -> Result<Tensor> {
        let name = if self.config.tie_word_embeddings { "model.embed_tokens.weight" } else { "lm_head.weight" };
        self.linear(hidden, name)
    }

    /// `x Wᵀ`, and `s (x Aᵀ) Bᵀ` where the map is adapted.
    fn linear(&self, input: &Tensor, name: &str) -> Result<Tensor> {
        let plain = input.matmul(&self.parameter(name)?.t()?)?;
        let thin = |matrix: &str| self.variables.get(&name.replace(".weight", &format!(".{matrix}.weight")));
        match (thin("lora_A"), thin("lora_B")) {
            (Some(a), Some(b)) => plain + (input.matmul(&a.t()?)?.matmul(&b.t()?)? * self.scale)?,
            _ => Ok(plain),
        }
    }

    /// RMSNorm: `x / √(mean(x²) + ε) · w`.
    fn norm(&self, input: &Tensor, name: &str) -> Result<Tensor> {
        let mean_square = input.sqr()?.mean_keepdim(D::Minus1)?;
        let root = (mean_square + self.config.rms_norm_eps)?.sqrt()?;
        input.broadcast_div(&root)?.broadcast_mul(self.parameter(name)?)
    }

    /// Causal attention with grouped keys and values: `(T, hidden)` → `(T, hidden)`.
    fn attention(&self, input: &Tensor, prefix: &str, rope: &Rope, mask: &Tensor) -> Result<Tensor> {
        let Config { num_attention_heads: heads, num_key_value_heads: key_heads, head_dim, .. } = self.config;
        let length = input.dim(0)?;
        let project = |name: &str, heads: usize| -> Result<Tensor> {
            let mut flat = self.linear(input, &format!("{prefix}.self_attn.{name}_proj.weight"))?;
            if self.config.family.has_biases() {
                flat = flat.broadcast_add(self.parameter(&format!("{prefix}.self_attn.{name}_proj.bias"))?)?;
            }
            let mut split = flat.reshape((length, heads, head_dim))?;
            if self.config.family.has_head_norms() && name != "v" {
                split = self.norm(&split, &format!("{prefix}.self_attn.{name}_norm.weight"))?;
            }
            split.transpose(0, 1)?.contiguous() // (heads, T, d)
        };
        let repeat = |tensor: Tensor| -> Result<Tensor> {
            let groups = heads / key_heads;
            let repeated = tensor.unsqueeze(1)?.broadcast_as((key_heads, groups, length, head_dim))?;
            repeated.contiguous()?.reshape((heads, length, head_dim))
        };
        let queries = rope.apply(&project("q", heads)?)?;
        let keys = repeat(rope.apply(&project("k", key_heads)?)?)?;
        let values = repeat(project("v", key_heads)?)?;
        let scores = (queries.matmul(&keys.transpose(1, 2)?.contiguous()?)? / (head_dim as f64).sqrt())?;
        let weights = softmax(&scores.broadcast_add(mask)?, D::Minus1)?; // (heads, T, T)
        let mixed = weights.matmul(&values)?.transpose(0, 1)?.contiguous()?.reshape((length, heads * head_dim))?;
        self.linear(&mixed, &format!("{prefix}.self_attn.o_proj.weight"))
    }

    /// 0 where a position may look, −∞ where it may not: `(T, T)`.
    fn causal_mask(&self, length: usize) -> Result<Tensor> {
        let mask: Vec<f32> = (0..length * length)
            .map(|index| if index % length > index / length { f32::NEG_INFINITY } else { 0.0 })
            .collect();
        Tensor::from_vec(mask, (length, length), &self.device)?.to_dtype(self.dtype)
    }

    /// The rotary tables, from angles in f64.
    fn rope(&self, length: usize) -> Result<Rope> {
        let frequencies = self.config.inverse_frequencies();
        let table = |function: fn(f64) -> f64| -> Result<Tensor> {
            let values: Vec<f64> = (0..length)
                .flat_map(|position| {
                    let angles = frequencies.iter().chain(&frequencies);
                    angles.map(move |frequency| function(position as f64 * frequency))
                })
                .collect();
            Tensor::from_vec(values, (length, self.config.head_dim), &Device::Cpu)?
                .to_dtype(self.dtype)?
                .to_device(&self.device)
        };
        Ok(Rope { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }
}

/// Rotary position embedding in Hugging Face's layout (a dimension is paired with the one half a head further).
struct Rope {
    /// `(T, d)`.
    cos: Tensor,
    /// `(T, d)`.
    sin: Tensor,
}

impl Rope {
    /// Rotates `(heads, T, d)`.
    fn apply(&self, input: &Tensor) -> Result<Tensor> {
        let half = input.dim(D::Minus1)? / 2;
        let (first, second) = (input.narrow(D::Minus1, 0, half)?, input.narrow(D::Minus1, half, half)?);
        let turned = Tensor::cat(&[&second.neg()?, &first], D::Minus1)?;
        input.broadcast_mul(&self.cos)? + turned.broadcast_mul(&self.sin)?
    }
}
