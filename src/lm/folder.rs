//! Hugging Face model folders: `config.json`, safetensors (one file or shards), the tokenizer's files.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::json;

use crate::lm::{
    Config, Dtype, LanguageModel, LmError, Parameter, Tokenizer, Weights,
    config::OneOrMany,
    safetensors::{self, TensorFile},
    tokenizer::GENERATION_CONFIG,
};

const CONFIG: &str = "config.json";
const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The part of `generation_config.json` that matters here.
#[derive(Default, Deserialize)]
struct GenerationConfig {
    eos_token_id: Option<OneOrMany>,
}

impl LanguageModel {
    /// Reads a model folder. Weights in f32, f16 or bf16 become f32; [`Tokenizer::eos`] becomes the union of what the
    /// configuration, the generation defaults and the tokenizer name as the end.
    ///
    /// # Errors
    /// A missing file or tensor, a wrong shape, a damaged file, an unsupported family: each names the file, the tensor, what
    /// was expected and what was found.
    pub fn load(folder: &Utf8Path) -> Result<Self, LmError> {
        let (config, tokenizer) = Self::load_head(folder)?;
        let weights = load_weights(folder, &config)?;
        Self::new(config, weights, tokenizer)
    }

    /// Reads what a model folder says beside the weights, which stay unread.
    ///
    /// # Errors
    /// Those of [`LanguageModel::load`] that are not about weights.
    pub fn load_head(folder: &Utf8Path) -> Result<(Config, Tokenizer), LmError> {
        let path = folder.join(CONFIG);
        if !path.is_file() {
            return Err(LmError::MissingFile {
                folder: folder.to_owned(),
                file: CONFIG.to_owned(),
                help: "a model folder holds config.json, model.safetensors and tokenizer.json",
            });
        }
        let text = fs_err::read_to_string(&path).map_err(LmError::io("read", &path))?;
        let config = Config::from_json(&text, path.as_str())?;
        let mut tokenizer = Tokenizer::load(folder)?;

        let generation: GenerationConfig = match tokenizer.file(GENERATION_CONFIG) {
            None => GenerationConfig::default(),
            Some(text) => serde_json::from_str(text)
                .map_err(|source| LmError::Json { origin: folder.join(GENERATION_CONFIG).into_string(), source })?,
        };
        let mut eos = config.eos_token_ids.clone();
        eos.extend(generation.eos_token_id.map(Vec::from).unwrap_or_default());
        eos.extend(&tokenizer.eos);
        tokenizer.eos = Vec::new();
        for token in eos {
            if !tokenizer.eos.contains(&token) {
                tokenizer.eos.push(token);
            }
        }
        Ok((config, tokenizer))
    }

    /// Writes a model folder with weights in f32: see [`LanguageModel::save_as`].
    ///
    /// # Errors
    /// As [`LanguageModel::save_as`].
    pub fn save(&self, folder: &Utf8Path) -> Result<(), LmError> {
        self.save_as(folder, Dtype::F32)
    }

    /// Writes a model folder that transformers loads: `config.json`, `generation_config.json`, `model.safetensors` with
    /// weights of the given type, rounded to the nearest (ties to even), and the tokenizer's files. Makes the folder if need
    /// be. The bytes are a function of the model and the type alone. An adapter is merged into the weights: the folder is a
    /// plain model's.
    ///
    /// # Errors
    /// [`LmError::Io`]; [`LmError::Layout`] when the weights do not fit the configuration.
    pub fn save_as(&self, folder: &Utf8Path, dtype: Dtype) -> Result<(), LmError> {
        if self.adapter.is_some() {
            return self.clone().merged().save_as(folder, dtype);
        }
        self.weights.check(&self.config)?;
        fs_err::create_dir_all(folder).map_err(LmError::io("create", folder))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs_err::write(&path, text).map_err(LmError::io("write", &path))
        };
        write(CONFIG, &self.config.to_json(dtype))?;
        if self.tokenizer.file(GENERATION_CONFIG).is_none() {
            write(GENERATION_CONFIG, &self.generation_config())?;
        }
        self.tokenizer.save(folder)?;
        let named = self.weights.parameters.iter().map(|parameter| (parameter.name.clone(), parameter));
        safetensors::write(named, dtype, &folder.join(SINGLE))
    }

    fn generation_config(&self) -> String {
        let value = json!({
            "_from_model_config": true,
            "bos_token_id": self.config.bos_token_id,
            "eos_token_id": self.tokenizer.eos,
            "pad_token_id": self.tokenizer.pad(),
        });
        format!("{value:#}\n")
    }
}

/// Where the tensors of a folder lie.
struct Shards {
    /// The file that names them, for errors.
    path: Utf8PathBuf,
    files: Vec<TensorFile>,
    /// Tensor → file.
    places: BTreeMap<String, usize>,
}

impl Shards {
    fn open(folder: &Utf8Path) -> Result<Self, LmError> {
        let single = folder.join(SINGLE);
        if single.is_file() {
            let file = TensorFile::open(&single)?;
            let places = file.names().map(|name| (name.to_owned(), 0)).collect();
            return Ok(Self { path: single, files: vec![file], places });
        }
        let path = folder.join(INDEX);
        if !path.is_file() {
            let help = if folder.join("pytorch_model.bin").is_file() {
                "pytorch_model.bin is not read (it is a Python pickle): convert it with transformers' `save_pretrained`"
            } else {
                "expected one safetensors file, or shards with a model.safetensors.index.json"
            };
            return Err(LmError::MissingFile { folder: folder.to_owned(), file: SINGLE.to_owned(), help });
        }
        let text = fs_err::read_to_string(&path).map_err(LmError::io("read", &path))?;
        let index: Index =
            serde_json::from_str(&text).map_err(|source| LmError::Json { origin: path.to_string(), source })?;
        let mut files = Vec::new();
        let mut opened: BTreeMap<String, usize> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for (tensor, name) in index.weight_map {
            let place = match opened.get(&name) {
                Some(place) => *place,
                None => {
                    files.push(open_shard(folder, &name, &path)?);
                    opened.insert(name, files.len() - 1);
                    files.len() - 1
                }
            };
            places.insert(tensor, place);
        }
        Ok(Self { path, files, places })
    }
}

fn open_shard(folder: &Utf8Path, name: &str, index: &Utf8Path) -> Result<TensorFile, LmError> {
    if Utf8Path::new(name).file_name() != Some(name) {
        let reason = format!("it names the shard `{name}`, which is no plain file name");
        return Err(LmError::Format { path: index.to_owned(), format: "safetensors index", reason });
    }
    let path = folder.join(name);
    if !path.is_file() {
        return Err(LmError::MissingFile {
            folder: folder.to_owned(),
            file: name.to_owned(),
            help: "model.safetensors.index.json names it as a shard",
        });
    }
    TensorFile::open(&path)
}

fn load_weights(folder: &Utf8Path, config: &Config) -> Result<Weights, LmError> {
    let shards = Shards::open(folder)?;
    let layout = Weights::layout(config);
    let known = |name: &str| {
        layout.iter().any(|(known, _)| known == name)
            // The head of tied models is the embedding; old checkpoints store the rotary frequencies.
            || name == "lm_head.weight"
            || name.ends_with(".rotary_emb.inv_freq")
    };
    if let Some(name) = shards.places.keys().find(|name| !known(name)) {
        return Err(LmError::UnexpectedTensor { path: shards.path, tensor: name.clone() });
    }
    let mut parameters = Vec::with_capacity(layout.len());
    for (name, shape) in layout {
        let Some(place) = shards.places.get(&name) else {
            return Err(LmError::MissingTensor { path: shards.path, tensor: name, expected: shape });
        };
        let data = shards.files[*place].read(&name, &shape)?;
        parameters.push(Parameter { name, shape, data });
    }
    Ok(Weights { parameters })
}
