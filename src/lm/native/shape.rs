//! The sizes of a decoder, where its parameters are, and the angles of its positions.

use crate::lm::native::buffer::Buffer;
use crate::lm::native::weights::Parameters;
use crate::lm::{Config, LmError};

/// The sizes that the kernels need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) hidden: usize,
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head: usize,
    pub(crate) vocabulary: usize,
    pub(crate) epsilon: f32,
    pub(crate) has_head_norms: bool,
}

impl Shape {
    /// The sizes of models of `config`.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            hidden: config.hidden_size,
            inner: config.intermediate_size,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head: config.head_dim,
            vocabulary: config.vocab_size,
            epsilon: config.rms_norm_eps as f32,
            has_head_norms: config.family.has_head_norms(),
        }
    }

    /// Width of all query heads.
    pub(crate) fn query(&self) -> usize {
        self.heads * self.head
    }

    /// Width of all key (or value) heads.
    pub(crate) fn key(&self) -> usize {
        self.kv_heads * self.head
    }

    /// Query heads that share a key head.
    pub(crate) fn sharing(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// What scores are multiplied with.
    pub(crate) fn scale(&self) -> f32 {
        (1.0 / (self.head as f64).sqrt()) as f32
    }
}

/// Where the parameters of one layer are among [`Weights::parameters`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerSlots {
    pub(crate) attention_norm: usize,
    pub(crate) query: usize,
    pub(crate) key: usize,
    pub(crate) value: usize,
    pub(crate) output: usize,
    pub(crate) mlp_norm: usize,
    pub(crate) gate: usize,
    pub(crate) up: usize,
    pub(crate) down: usize,
    /// Biases of queries, keys and values.
    pub(crate) biases: Option<[usize; 3]>,
    /// Norms of query and key heads.
    pub(crate) head_norms: Option<[usize; 2]>,
}

/// A decoder's sizes and parameter places.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) embedding: usize,
    pub(crate) layers: Vec<LayerSlots>,
    pub(crate) norm: usize,
    /// The embedding again if they are tied.
    pub(crate) unembedding: usize,
    pub(crate) frequencies: Vec<f64>,
}

impl Plan {
    /// Finds the parameters by name and checks their shapes.
    ///
    /// # Errors
    /// [`LmError::Layout`] if the weights, or those of the adapter, are not those of the configuration.
    pub(crate) fn new(config: &Config, parameters: Parameters) -> Result<Self, LmError> {
        let Parameters { weights, adapter } = parameters;
        config.check("the model's configuration")?;
        weights.check(config)?;
        adapter.map_or(Ok(()), |adapter| adapter.check(config))?;
        let find = |name: &str| {
            weights.parameters.iter().position(|parameter| parameter.name == name).ok_or_else(|| LmError::Layout {
                parameter: name.to_owned(),
                expected: "this parameter".to_owned(),
                found: "none".to_owned(),
            })
        };
        let layers = (0..config.num_hidden_layers)
            .map(|layer| {
                let find = |name: &str| find(&format!("model.layers.{layer}.{name}"));
                let bias = |name: &str| find(&format!("self_attn.{name}_proj.bias"));
                let find = |name: &str| find(&format!("{name}.weight"));
                let family = config.family;
                Ok(LayerSlots {
                    attention_norm: find("input_layernorm")?,
                    query: find("self_attn.q_proj")?,
                    key: find("self_attn.k_proj")?,
                    value: find("self_attn.v_proj")?,
                    output: find("self_attn.o_proj")?,
                    mlp_norm: find("post_attention_layernorm")?,
                    gate: find("mlp.gate_proj")?,
                    up: find("mlp.up_proj")?,
                    down: find("mlp.down_proj")?,
                    biases: match family.has_biases() {
                        true => Some([bias("q")?, bias("k")?, bias("v")?]),
                        false => None,
                    },
                    head_norms: match family.has_head_norms() {
                        true => Some([find("self_attn.q_norm")?, find("self_attn.k_norm")?]),
                        false => None,
                    },
                })
            })
            .collect::<Result<_, LmError>>()?;
        let embedding = find("model.embed_tokens.weight")?;
        let unembedding = if config.tie_word_embeddings { embedding } else { find("lm_head.weight")? };
        Ok(Self {
            shape: Shape::new(config),
            embedding,
            layers,
            norm: find("model.norm.weight")?,
            unembedding,
            frequencies: config.inverse_frequencies(),
        })
    }
}

/// The cosines and sines of all positions used so far: `[position][cos × half, sin × half]`.
#[derive(Default)]
pub(super) struct Angles {
    table: Buffer,
    positions: usize,
}

impl Angles {
    /// Makes room for positions below `positions`.
    pub(super) fn cover(&mut self, plan: &Plan, positions: usize) {
        if positions <= self.positions {
            return;
        }
        let positions = positions.next_power_of_two();
        let half = plan.frequencies.len();
        self.table.reserve(positions * 2 * half);
        for (position, row) in self.table.chunks_exact_mut(2 * half).take(positions).enumerate() {
            let (cosines, sines) = row.split_at_mut(half);
            for ((cosine, sine), frequency) in cosines.iter_mut().zip(sines).zip(&plan.frequencies) {
                let angle = position as f64 * frequency;
                *cosine = angle.cos() as f32;
                *sine = angle.sin() as f32;
            }
        }
        self.positions = positions;
    }

    /// The angles of one position.
    pub(super) fn of(&self, position: usize, head: usize) -> &[f32] {
        &self.table[position * head..(position + 1) * head]
    }
}
