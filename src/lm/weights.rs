//! The parameters of a model as plain `f32` rows, in one fixed order.
//!
//! The order is that of [`Weights::layout`]: `model.embed_tokens`, then per layer `input_layernorm`, `self_attn.{q,k,v,o}_proj`
//! (and, as the family has them, `{q,k,v}_proj.bias` or `{q,k}_norm`), `post_attention_layernorm`, `mlp.{gate,up,down}_proj`, then `model.norm` and, unless tied to the embedding, `lm_head`.
//! Names are Hugging Face's. A linear map is stored row-major as `(out, in)`: `y = x Wᵀ`. No file is read here.

use crate::lm::{Config, LmError};

/// One named tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Hugging Face's name: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// The shape: `(out, in)` for linear maps, `(vocabulary, hidden)` for the embedding, `(n,)` for norms and biases.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<f32>,
}

/// All parameters of a model, in the order of [`Weights::layout`].
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

impl Weights {
    /// Returns the names and shapes of a model's parameters in their one order.
    pub fn layout(config: &Config) -> Vec<(String, Vec<usize>)> {
        let hidden = config.hidden_size;
        let query = config.num_attention_heads * config.head_dim;
        let key = config.num_key_value_heads * config.head_dim;
        let mut layout = Vec::with_capacity(config.num_hidden_layers * 9 + 3);
        layout.push(("model.embed_tokens.weight".to_owned(), vec![config.vocab_size, hidden]));
        for layer in 0..config.num_hidden_layers {
            let mut push = |name: String, shape: &[usize]| {
                layout.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
            };
            let mut add = |name: &str, shape: &[usize]| push(format!("{name}.weight"), shape);
            add("input_layernorm", &[hidden]);
            add("self_attn.q_proj", &[query, hidden]);
            add("self_attn.k_proj", &[key, hidden]);
            add("self_attn.v_proj", &[key, hidden]);
            add("self_attn.o_proj", &[hidden, query]);
            if config.family.has_head_norms() {
                add("self_attn.q_norm", &[config.head_dim]);
                add("self_attn.k_norm", &[config.head_dim]);
            }
            if config.family.has_biases() {
                push("self_attn.q_proj.bias".to_owned(), &[query]);
                push("self_attn.k_proj.bias".to_owned(), &[key]);
                push("self_attn.v_proj.bias".to_owned(), &[key]);
            }
            let mut add = |name: &str, shape: &[usize]| push(format!("{name}.weight"), shape);
            add("post_attention_layernorm", &[hidden]);
            add("mlp.gate_proj", &[config.intermediate_size, hidden]);
            add("mlp.up_proj", &[config.intermediate_size, hidden]);
            add("mlp.down_proj", &[hidden, config.intermediate_size]);
        }
        layout.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !config.tie_word_embeddings {
            layout.push(("lm_head.weight".to_owned(), vec![config.vocab_size, hidden]));
        }
        layout
    }

    /// Returns weights of the right names and shapes, all zero: for gradients and optimiser moments.
    pub fn zeros(config: &Config) -> Self {
        let parameters = Self::layout(config)
            .into_iter()
            .map(|(name, shape)| {
                let data = vec![0.0; shape.iter().product()];
                Parameter { name, shape, data }
            })
            .collect();
        Self { parameters }
    }

    /// Returns the parameter called `name`.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Returns the parameter called `name`, to change.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Parameter> {
        self.parameters.iter_mut().find(|parameter| parameter.name == name)
    }

    /// Returns the number of elements of all parameters.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.data.len()).sum()
    }

    /// Checks that names, order, shapes and lengths are those of `config`.
    ///
    /// # Errors
    /// [`LmError::Layout`] with the first parameter that differs.
    pub fn check(&self, config: &Config) -> Result<(), LmError> {
        let layout = Self::layout(config);
        for (index, (name, shape)) in layout.iter().enumerate() {
            let error = |expected: String, found: String| LmError::Layout { parameter: name.clone(), expected, found };
            let Some(parameter) = self.parameters.get(index) else {
                return Err(error(format!("the parameter of shape {shape:?}"), "none".to_owned()));
            };
            if parameter.name != *name {
                return Err(error(format!("this name at place {index}"), format!("`{}`", parameter.name)));
            }
            if parameter.shape != *shape {
                return Err(error(format!("the shape {shape:?}"), format!("{:?}", parameter.shape)));
            }
            let elements: usize = shape.iter().product();
            if parameter.data.len() != elements {
                return Err(error(format!("{elements} elements"), format!("{}", parameter.data.len())));
            }
        }
        match self.parameters.get(layout.len()) {
            None => Ok(()),
            Some(extra) => Err(LmError::Layout {
                parameter: extra.name.clone(),
                expected: "no such parameter".to_owned(),
                found: format!("one of shape {:?}", extra.shape),
            }),
        }
    }
}
