//! Model folders: what is read is what transformers wrote, what is written is read back, damage is named.

use camino::{Utf8Path, Utf8PathBuf};
use rand::RngCore;
use serde_json::{Value, json};
use tempfile::TempDir;
use toolexpander::{
    base::{Digest, Seed},
    lm::{Config, Dtype, LanguageModel, LmError, Tokenizer, Weights},
};

use super::load_fixtures::{folder, load, tiny_config};

fn temporary() -> (TempDir, Utf8PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(guard.path().to_owned()).unwrap();
    (guard, path)
}

/// A copy of a fixture to damage.
fn copy(name: &str) -> (TempDir, Utf8PathBuf) {
    let (guard, path) = temporary();
    for entry in folder().join(name).read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), path.join(entry.file_name())).unwrap();
    }
    (guard, path)
}

fn edit_json(path: &Utf8Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    edit(&mut value);
    fs_err::write(path, value.to_string()).unwrap();
}

/// The error of loading a folder and its causes, one line; the folder's own path left out.
fn failure(path: &Utf8Path) -> String {
    let error = LanguageModel::load(path).unwrap_err();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.replace(path.as_str(), "MODEL")
}

fn digests(path: &Utf8Path) -> Vec<(String, Digest)> {
    let mut files: Vec<(String, Digest)> = path
        .read_dir_utf8()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_owned(), Digest::of(&fs_err::read(entry.path()).unwrap()))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn both_spellings_of_a_configuration_are_read() {
    let tied = load("tied").config;
    assert_eq!((tied.hidden_size, tied.head_dim, tied.num_key_value_heads), (32, 8, 1));
    assert_eq!((tied.rope_theta, tied.rms_norm_eps, tied.rope_scaling), (10000.0, 1e-5, None));
    assert!(tied.tie_word_embeddings);
    let sharded = load("sharded").config;
    assert_eq!(sharded.rope_theta, 500.0);
    let scaling = sharded.rope_scaling.unwrap();
    assert_eq!((scaling.factor, scaling.original_max_position_embeddings), (8.0, 32));
    // What we write (the older spelling) is what we read.
    for config in [tied, sharded, tiny_config()] {
        for dtype in [Dtype::F32, Dtype::Bf16] {
            assert_eq!(Config::from_json(&config.to_json(dtype), "x").unwrap(), config);
        }
    }
}

#[test]
fn a_saved_model_is_the_same_model() {
    for name in ["tied", "sharded"] {
        let model = load(name);
        let (_guard, path) = temporary();
        model.save(&path.join("new/folder")).unwrap();
        let again = LanguageModel::load(&path.join("new/folder")).unwrap();
        assert_eq!(again.config, model.config);
        assert_eq!(again.weights, model.weights);
        assert_eq!(again.tokenizer.eos, model.tokenizer.eos);
        for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
            let (before, after) = (folder().join(name).join(file), path.join("new/folder").join(file));
            assert_eq!(fs_err::read(before).unwrap(), fs_err::read(after).unwrap(), "{name}/{file}");
        }
        // Written twice, equal bytes.
        let (_guard, other) = temporary();
        again.save(&other).unwrap();
        assert_eq!(digests(&other), digests(&path.join("new/folder")));
    }
}

#[test]
fn f32_passes_through_unchanged() {
    let (_guard, path) = temporary();
    load("tied").save(&path).unwrap();
    let bytes = fs_err::read(path.join("model.safetensors")).unwrap();
    let ours = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let bytes = fs_err::read(folder().join("tied/model.safetensors")).unwrap();
    let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(ours.names().len(), theirs.names().len());
    for (name, tensor) in theirs.iter() {
        assert_eq!(ours.tensor(name).unwrap().data(), tensor.data(), "{name}");
        assert_eq!(ours.tensor(name).unwrap().shape(), tensor.shape(), "{name}");
    }
}

#[test]
fn f16_and_bf16_are_widened_exactly() {
    let values = [1.0_f32, -2.5, 0.0, 6.103_515_6e-5, 65504.0, f32::INFINITY, 5.960_464_5e-8, -0.125];
    for (dtype, encode) in [
        ("F16", (|value: f32| half::f16::from_f32(value).to_le_bytes()) as fn(f32) -> [u8; 2]),
        ("BF16", |value| half::bf16::from_f32(value).to_le_bytes()),
    ] {
        let (_guard, path) = copy("tied");
        rewrite(&path.join("model.safetensors"), |header, data| {
            let entry = &mut header["model.norm.weight"];
            let (start, end) = (offset(entry, 0), offset(entry, 1));
            let mut bytes: Vec<u8> = values.iter().cycle().take(32).flat_map(|value| encode(*value)).collect();
            assert_eq!(end, data.len(), "the last tensor");
            data.truncate(start);
            data.append(&mut bytes);
            entry["dtype"] = json!(dtype);
            entry["data_offsets"] = json!([start, data.len()]);
        });
        let model = LanguageModel::load(&path).unwrap();
        let found = &model.weights.get("model.norm.weight").unwrap().data[..8];
        if dtype == "F16" {
            assert_eq!(found, values);
        } else {
            let expected: Vec<f32> = values.iter().map(|value| half::bf16::from_f32(*value).to_f32()).collect();
            assert_eq!(found, expected);
        }
    }
}

fn offset(entry: &Value, index: usize) -> usize {
    entry["data_offsets"][index].as_u64().unwrap() as usize
}

/// Edits a safetensors file's header and data.
fn rewrite(path: &Utf8Path, edit: impl FnOnce(&mut Value, &mut Vec<u8>)) {
    let bytes = fs_err::read(path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut data = bytes[8 + length..].to_vec();
    edit(&mut header, &mut data);
    let header = header.to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn other_families_are_named() {
    for (family, found) in [("qwen3_moe", "qwen3_moe"), ("mistral", "mistral")] {
        let (_guard, path) = copy("tied");
        edit_json(&path.join("config.json"), |config| config["model_type"] = json!(family));
        assert!(
            failure(&path).contains(&format!("describes a `{found}` model; the families llama, qwen2, qwen3 are")),
            "{}",
            failure(&path)
        );
    }
}

#[test]
fn wrong_configurations_are_refused() {
    for (field, value, expected) in [
        ("attention_bias", json!(true), "`attention_bias` is true; models with biases are not supported"),
        ("hidden_act", json!("gelu"), "`hidden_act` is \"gelu\"; only \"silu\" is supported"),
        ("num_key_value_heads", json!(3), "`num_key_value_heads` is 3; expected a divisor of num_attention_heads = 4"),
        ("head_dim", json!(7), "`head_dim` is 7; rotary positions need an even number"),
        ("hidden_size", json!(0), "`hidden_size` is 0; expected 1 to"),
        ("vocab_size", json!(1_u64 << 40), "`vocab_size` is 1099511627776; expected 1 to"),
        ("rms_norm_eps", json!(-1.0), "`rms_norm_eps` is -1; expected a positive number"),
        ("eos_token_id", json!(288), "is 288; expected a token below vocab_size = 288"),
        ("rope_parameters", json!({"rope_type": "yarn"}), "`rope_parameters.rope_type` is \"yarn\"; only"),
        ("quantization_config", json!({}), "`quantization_config` is set"),
        ("hidden_size", json!("wide"), "invalid type: string \"wide\", expected usize"),
        ("vocab_size", json!(200), "the tensor `model.embed_tokens.weight` has the shape [288, 32]"),
        ("num_hidden_layers", json!(3), "lacks the tensor `model.layers.2.input_layernorm.weight`"),
        ("num_hidden_layers", json!(1), "holds the tensor `model.layers.1.input_layernorm.weight`"),
        ("tie_word_embeddings", json!(false), "lacks the tensor `lm_head.weight`"),
    ] {
        let (_guard, path) = copy("tied");
        edit_json(&path.join("config.json"), |config| config[field] = value);
        assert!(failure(&path).contains(expected), "{field}: {}", failure(&path));
    }
}

#[test]
fn missing_files_are_named() {
    for (name, file, expected) in [
        ("tied", "config.json", "MODEL lacks config.json: a model folder holds"),
        ("tied", "tokenizer.json", "MODEL lacks tokenizer.json: only fast tokenizers"),
        ("tied", "model.safetensors", "MODEL lacks model.safetensors: expected one"),
        ("sharded", "model.safetensors.index.json", "MODEL lacks model.safetensors: expected one"),
        ("sharded", "model-00002-of-00004.safetensors", "MODEL lacks model-00002-of-00004.safetensors: model.safet"),
    ] {
        let (_guard, path) = copy(name);
        fs_err::remove_file(path.join(file)).unwrap();
        assert!(failure(&path).contains(expected), "{}", failure(&path));
    }
    let (_guard, path) = copy("tied");
    fs_err::rename(path.join("model.safetensors"), path.join("pytorch_model.bin")).unwrap();
    assert!(failure(&path).contains("convert it with transformers"), "{}", failure(&path));
}

#[test]
fn malformed_json_is_named_with_its_line() {
    for file in ["config.json", "tokenizer_config.json", "generation_config.json"] {
        let (_guard, path) = copy("tied");
        fs_err::write(path.join(file), "{\n  oops").unwrap();
        let error = failure(&path);
        assert!(error.contains(file) && error.contains("line 2"), "{error}");
    }
    let (_guard, path) = copy("tied");
    fs_err::write(path.join("tokenizer.json"), "{}").unwrap();
    assert!(failure(&path).starts_with("failed to read MODEL/tokenizer.json as the tokenizer: "), "{}", failure(&path));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_guard, path) = copy("tied");
    let file = path.join("model.safetensors");
    let bytes = fs_err::read(&file).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for length in [0, 7, 8, 100, header - 1, header, header + 1, bytes.len() / 2, bytes.len() - 1] {
        fs_err::write(&file, &bytes[..length]).unwrap();
        let error = failure(&path);
        assert!(error.contains("MODEL/model.safetensors is damaged or not a safetensors file: "), "{length}: {error}");
    }
    fs_err::write(&file, [bytes.as_slice(), &[0]].concat()).unwrap();
    assert!(failure(&path).contains("bytes, but"), "{}", failure(&path));
}

#[test]
fn hostile_headers_are_refused() {
    let (_guard, path) = copy("tied");
    let file = path.join("model.safetensors");
    let original = fs_err::read(&file).unwrap();
    let mut huge = original.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs_err::write(&file, &huge).unwrap();
    assert!(failure(&path).contains("its header claims 18446744073709551615 bytes; at most"), "{}", failure(&path));

    let name = "model.norm.weight";
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 8] = [
        (|header| header["model.norm.weight"]["data_offsets"] = json!([0, 128]), "expected a start at"),
        (|header| header["model.norm.weight"]["data_offsets"] = json!([-1, 128]), "is malformed: invalid value"),
        (|header| header["model.norm.weight"]["shape"] = json!([33]), "takes 132 bytes but is given 128"),
        (
            |header| header["model.norm.weight"]["shape"] = json!([1_u64 << 33, 1_u64 << 33]),
            "takes more than 2^64 bytes but is given 128",
        ),
        (|header| header["model.norm.weight"]["shape"] = json!([4, 8]), "has the shape [4, 8]; its configuration"),
        (|header| header["model.norm.weight"]["dtype"] = json!("I32"), "is stored as I32; expected F32, F16 or BF16"),
        (|header| header["model.norm.weight"]["dtype"] = json!("F8_E4M3"), "is stored as F8_E4M3"),
        (|header| *header = json!([1]), "its header is no JSON object"),
    ];
    for (edit, expected) in edits {
        fs_err::write(&file, &original).unwrap();
        rewrite(&file, |header, _| edit(header));
        let error = failure(&path);
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn an_index_must_name_plain_files_that_hold_their_tensors() {
    let (_guard, path) = copy("sharded");
    let index = path.join("model.safetensors.index.json");
    edit_json(&index, |index| index["weight_map"]["model.norm.weight"] = json!("../x.safetensors"));
    assert!(failure(&path).contains("names the shard `../x.safetensors`"), "{}", failure(&path));
    edit_json(&index, |index| index["weight_map"]["model.norm.weight"] = json!("model-00001-of-00004.safetensors"));
    let error = failure(&path);
    assert!(error.contains("MODEL/model-00001-of-00004.safetensors lacks the tensor `model.norm.weight`"), "{error}");
}

#[test]
fn random_models_depend_on_the_seed_alone() {
    let tokenizer = Tokenizer::load(&folder().join("tied")).unwrap();
    let config = Config { vocab_size: 288, hidden_size: 64, ..tiny_config() };
    let model = LanguageModel::random(config.clone(), tokenizer.clone(), Seed(7)).unwrap();
    assert_eq!(model.weights, LanguageModel::random(config.clone(), tokenizer.clone(), Seed(7)).unwrap().weights);
    let other = LanguageModel::random(config.clone(), tokenizer.clone(), Seed(8)).unwrap();
    assert_ne!(model.weights, other.weights);

    let deviation = |name: &str| {
        let data = &model.weights.get(name).unwrap().data;
        let mean = data.iter().map(|value| f64::from(*value)).sum::<f64>() / data.len() as f64;
        assert!(mean.abs() < 0.002, "{name}: {mean}");
        (data.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / data.len() as f64).sqrt()
    };
    assert!((deviation("model.embed_tokens.weight") - 0.02).abs() < 0.0005);
    // 0.02 / √(2 · 2 layers).
    assert!((deviation("model.layers.1.mlp.down_proj.weight") - 0.01).abs() < 0.001);
    assert_eq!(model.weights.get("model.norm.weight").unwrap().data, vec![1.0; 64]);
    // The values themselves, once and for all: a change here changes every artifact made of `init-model`.
    let bytes: Vec<u8> = model
        .weights
        .parameters
        .iter()
        .flat_map(|parameter| &parameter.data)
        .flat_map(|value| value.to_le_bytes())
        .collect();
    insta::assert_snapshot!(Digest::of(&bytes).short(), @"4bf37cdf3335");

    let config = Config { vocab_size: 100, ..config };
    let error = LanguageModel::random(config, tokenizer, Seed(7)).unwrap_err().to_string();
    assert!(error.contains("it has 288 tokens, but the embedding has 100 rows"), "{error}");
}

#[test]
fn weights_must_fit_their_configuration() {
    let config = tiny_config();
    let weights = Weights::random(&config, Seed(1));
    assert_eq!(weights.count(), 40 * 16 * 2 + 16 + 2 * (16 * 2 + 16 * 16 * 2 + 8 * 16 * 2 + 3 * 16 * 24));
    assert_eq!(weights.parameters.len(), 21);
    weights.check(&config).unwrap();
    let mut short = weights.clone();
    short.parameters[3].data.pop();
    assert!(matches!(short.check(&config), Err(LmError::Layout { .. })));
    let mut swapped = weights.clone();
    swapped.parameters.swap(2, 3);
    assert!(matches!(swapped.check(&config), Err(LmError::Layout { .. })));
    let mut more = weights;
    more.parameters.push(more.parameters[0].clone());
    assert!(matches!(more.check(&config), Err(LmError::Layout { .. })));
}

/// Any byte may be wrong: the answer is a model or an error, never a panic or a huge allocation.
#[test]
fn flipped_bytes_never_panic() {
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        let (_guard, path) = copy("tied");
        let bytes = fs_err::read(path.join(name)).unwrap();
        let mut rng = Seed(12).rng(name);
        let mut refused = 0;
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + rng.next_u32() % 3 {
                let at = rng.next_u32() as usize % bytes.len().min(2000);
                damaged[at] = rng.next_u32() as u8;
            }
            fs_err::write(path.join(name), damaged).unwrap();
            refused += usize::from(LanguageModel::load(&path).is_err());
        }
        assert!(refused > 20, "{name}: {refused}");
    }
}
