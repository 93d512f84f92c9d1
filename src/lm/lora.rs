//! Low-rank adapters: a frozen model learns through a product of two thin matrices beside each chosen linear map.
//!
//! `y = x Wᵀ + (alpha / rank) (x Aᵀ) Bᵀ` with `A` `(rank, in)` and `B` `(out, rank)`. **Source:** Hu et al. 2021
//! (arXiv 2106.09685), §4.1; names, initial values and files are those of PEFT's `LoraConfig`. There is no dropout, and
//! embedding, head, norms and biases are never adapted.
//!
//! Training and sampling both add the product to the map's output, in the same order, so that the log-probabilities of
//! rollouts and of training are the same bits; only [`LanguageModel::merged`] makes plain weights of the sum, which
//! rounds. The arithmetic is in `native`.

use camino::Utf8Path;
use rand::RngCore;
use serde::Deserialize;
use serde_json::json;

use crate::base::Seed;
use crate::lm::{Config, Dtype, LanguageModel, LmError, Parameter, Weights, native, safetensors};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// What PEFT puts before the names of the base model's modules.
const PREFIX: &str = "base_model.model.";

/// A linear map of each layer that can be adapted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Queries.
    QProj,
    /// Keys.
    KProj,
    /// Values.
    VProj,
    /// The output of attention.
    OProj,
    /// The gate of the MLP.
    GateProj,
    /// The other factor of the MLP.
    UpProj,
    /// The output of the MLP.
    DownProj,
}

impl Target {
    /// All maps, in the order of a layer's parameters.
    pub const ALL: [Self; 7] =
        [Self::QProj, Self::KProj, Self::VProj, Self::OProj, Self::GateProj, Self::UpProj, Self::DownProj];

    /// Returns the name as in PEFT's `target_modules`: `q_proj`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QProj => "q_proj",
            Self::KProj => "k_proj",
            Self::VProj => "v_proj",
            Self::OProj => "o_proj",
            Self::GateProj => "gate_proj",
            Self::UpProj => "up_proj",
            Self::DownProj => "down_proj",
        }
    }
}

/// The shape of an adapter. Read from a table `{ rank, alpha, targets }`; what is not given is as in the default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraOptions {
    /// Rows of `A`.
    pub rank: usize,
    /// The product counts `alpha / rank` times.
    pub alpha: f64,
    /// Which maps are adapted, in every layer.
    pub targets: Vec<Target>,
}

impl Default for LoraOptions {
    /// Rank 8, alpha 16, and the targets that PEFT takes for Llama and Qwen 2: queries and values.
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, targets: vec![Target::QProj, Target::VProj] }
    }
}

impl LoraOptions {
    /// Checks that an adapter of this shape can learn.
    ///
    /// # Errors
    /// [`LmError::Request`] for rank 0, an alpha that is not above 0, no target, a target named twice.
    pub fn check(&self) -> Result<(), LmError> {
        let error = |text: String| Err(LmError::Request(text));
        if self.rank == 0 {
            return error("the adapter's `rank` is 0; give 1 or more".to_owned());
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return error(format!("the adapter's `alpha` is {}; give a number above 0", self.alpha));
        }
        if self.targets.is_empty() {
            let known = Target::ALL.map(Target::as_str).join(", ");
            return error(format!("the adapter has no `targets`; give some of {known}"));
        }
        let twice = self.targets.iter().enumerate().find(|(index, target)| self.targets[..*index].contains(target));
        match twice {
            None => Ok(()),
            Some((_, target)) => error(format!("the adapter's `targets` name `{}` twice", target.as_str())),
        }
    }
}

/// The two thin matrices of every adapted map.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    options: LoraOptions,
    /// `A` `(rank, in)` and then `B` `(out, rank)` of each adapted map, in the order of the model's weights:
    /// `model.layers.0.self_attn.q_proj.lora_A.weight`.
    pub parameters: Vec<Parameter>,
    /// By the place of a weight among the model's: the place of its `A`.
    places: Vec<Option<usize>>,
}

/// The adapter of one map.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// `(rank, in)`.
    pub(crate) a: &'a Parameter,
    /// `(out, rank)`.
    pub(crate) b: &'a Parameter,
    /// Place of `a` among the adapter's parameters; `b` is the next.
    pub(crate) place: usize,
    /// What the product counts.
    pub(crate) scale: f32,
}

impl Adapter {
    /// Makes an adapter that changes nothing yet: `B` is 0, and `A` is uniform between ± 1 / √in. Each `A` has a random
    /// stream of its own.
    ///
    /// **Source:** PEFT's `reset_lora_parameters`: `kaiming_uniform_(a=√5)`.
    ///
    /// # Errors
    /// As [`LoraOptions::check`].
    pub fn new(config: &Config, options: &LoraOptions, seed: Seed) -> Result<Self, LmError> {
        options.check()?;
        let seed = seed.derive("lora");
        let (shapes, places) = layout(config, options);
        let parameters = shapes
            .into_iter()
            .map(|(name, shape)| {
                let elements = shape.iter().product();
                let data = if name.ends_with("lora_A.weight") {
                    let bound = 1.0 / (shape[1] as f64).sqrt();
                    let mut rng = seed.rng(&name);
                    (0..elements).map(|_| (uniform(&mut rng) * bound) as f32).collect()
                } else {
                    vec![0.0; elements]
                };
                Parameter { name, shape, data }
            })
            .collect();
        Ok(Self { options: options.clone(), parameters, places })
    }

    /// Returns its shape.
    pub fn options(&self) -> &LoraOptions {
        &self.options
    }

    /// Checks that it is an adapter of models of `config`.
    ///
    /// # Errors
    /// [`LmError::Layout`] with the first parameter that differs.
    pub fn check(&self, config: &Config) -> Result<(), LmError> {
        let (layout, _) = layout(config, &self.options);
        for (index, (name, shape)) in layout.iter().enumerate() {
            let found = self.parameters.get(index);
            let fits = |found: &&Parameter| {
                found.name == *name && found.shape == *shape && found.data.len() == shape.iter().product::<usize>()
            };
            if found.is_none_or(|found| !fits(&found)) {
                return Err(LmError::Layout {
                    parameter: name.clone(),
                    expected: format!("an adapter of shape {shape:?}"),
                    found: found.map_or("none".to_owned(), |found| format!("`{}` {:?}", found.name, found.shape)),
                });
            }
        }
        Ok(())
    }

    /// The adapter of the weight at `slot`.
    pub(crate) fn pair(&self, slot: usize) -> Option<Pair<'_>> {
        let place = (*self.places.get(slot)?)?;
        let scale = (self.options.alpha / self.options.rank as f64) as f32;
        Some(Pair { a: self.parameters.get(place)?, b: self.parameters.get(place + 1)?, place, scale })
    }
}

/// Names and shapes of an adapter's parameters, and where each weight's begin.
#[expect(clippy::type_complexity, reason = "used twice, right here")]
fn layout(config: &Config, options: &LoraOptions) -> (Vec<(String, Vec<usize>)>, Vec<Option<usize>>) {
    let mut shapes = Vec::new();
    let places = Weights::layout(config)
        .into_iter()
        .map(|(name, shape)| {
            let path = name.strip_suffix(".weight")?;
            let (_, module) = path.rsplit_once('.')?;
            if !options.targets.iter().any(|target| target.as_str() == module) {
                return None;
            }
            let place = shapes.len();
            shapes.push((format!("{path}.lora_A.weight"), vec![options.rank, shape[1]]));
            shapes.push((format!("{path}.lora_B.weight"), vec![shape[0], options.rank]));
            Some(place)
        })
        .collect();
    (shapes, places)
}

/// Draws evenly from (-1, 1): 24 bits, so that the draw is exact.
fn uniform(rng: &mut impl RngCore) -> f64 {
    (f64::from(rng.next_u32() >> 8) + 0.5) / f64::from(1 << 23) - 1.0
}

impl LanguageModel {
    /// Puts a fresh adapter on the model: training then moves the adapter only.
    ///
    /// # Errors
    /// As [`Adapter::new`]; [`LmError::Request`] if it has one.
    pub fn adapt(&mut self, options: &LoraOptions, seed: Seed) -> Result<(), LmError> {
        if self.adapter.is_some() {
            return Err(LmError::Request("the model has an adapter: merge that one first".to_owned()));
        }
        self.adapter = Some(Adapter::new(&self.config, options, seed)?);
        Ok(())
    }

    /// Adds the adapter, if there is one, to the weights and drops it: `W + (alpha / rank) B A`. Logits stay the same up
    /// to rounding.
    #[must_use]
    pub fn merged(mut self) -> Self {
        if let Some(adapter) = self.adapter.take() {
            native::merge(&mut self.weights, &adapter);
        }
        self
    }

    /// The parameters that training moves: the adapter's if there is one, all weights otherwise.
    pub fn trained(&self) -> &[Parameter] {
        self.adapter.as_ref().map_or(&self.weights.parameters, |adapter| &adapter.parameters)
    }

    /// The same, to change.
    pub fn trained_mut(&mut self) -> &mut [Parameter] {
        match &mut self.adapter {
            Some(adapter) => &mut adapter.parameters,
            None => &mut self.weights.parameters,
        }
    }
}

/// Writes an adapter as PEFT does: `adapter_config.json` and `adapter_model.safetensors` (f32) in `folder`, which is made if
/// need be. `PeftModel.from_pretrained` loads it onto the base model. The bytes are a function of the adapter alone; the
/// base model is not named, since a folder may move.
///
/// # Errors
/// [`LmError::Io`].
pub fn save_peft(adapter: &Adapter, folder: &Utf8Path) -> Result<(), LmError> {
    fs_err::create_dir_all(folder).map_err(LmError::io("create", folder))?;
    let options = &adapter.options;
    // Whole numbers as PEFT has them, others as they are.
    let alpha = if options.alpha.fract() == 0.0 && options.alpha < 1e15 {
        json!(options.alpha as u64)
    } else {
        json!(options.alpha)
    };
    let targets: Vec<&str> =
        Target::ALL.into_iter().filter(|target| options.targets.contains(target)).map(Target::as_str).collect();
    let config = json!({
        "base_model_name_or_path": null,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": options.rank,
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": false,
    });
    let path = folder.join(CONFIG);
    fs_err::write(&path, format!("{config:#}\n")).map_err(LmError::io("write", &path))?;
    let named = adapter.parameters.iter().map(|parameter| (format!("{PREFIX}{}", parameter.name), parameter));
    safetensors::write(named, Dtype::F32, &folder.join(TENSORS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_fill_the_open_interval_evenly() {
        let mut rng = Seed(1).rng("lora");
        let draws: Vec<f64> = (0..20_000).map(|_| uniform(&mut rng)).collect();
        assert!(draws.iter().all(|draw| draw.abs() < 1.0));
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let square = draws.iter().map(|draw| draw * draw).sum::<f64>() / 20_000.0;
        // A mean of 20 000 such draws deviates by 0.004, that of their squares by 0.002.
        assert!(mean.abs() < 0.016 && (square - 1.0 / 3.0).abs() < 0.009, "{mean} {square}");
    }

    #[test]
    fn options_are_checked_and_names_are_known() {
        let read = |text: &str| serde_json::from_str::<LoraOptions>(text).map_err(|error| error.to_string());
        assert_eq!(read("{}").unwrap(), LoraOptions::default());
        assert_eq!(read(r#"{"rank": 2, "alpha": 4, "targets": ["up_proj"]}"#).unwrap().targets, [Target::UpProj]);
        for (text, expected) in [
            (r#"{"rnak": 2}"#, "unknown field `rnak`, expected one of `rank`, `alpha`, `targets`"),
            (r#"{"targets": ["qproj"]}"#, "unknown variant `qproj`, expected one of `q_proj`, `k_proj`, `v_proj`"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        for (text, expected) in [
            (r#"{"rank": 0}"#, "`rank` is 0"),
            (r#"{"alpha": 0}"#, "`alpha` is 0"),
            (r#"{"targets": []}"#, "give some of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"),
            (r#"{"targets": ["k_proj", "v_proj", "k_proj"]}"#, "`k_proj` twice"),
        ] {
            let message = read(text).unwrap().check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
