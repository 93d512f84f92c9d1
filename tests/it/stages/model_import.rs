//! `import-model`: folders become model artifacts; what is missing or cut short is named.

use camino::{Utf8Path, Utf8PathBuf};
use toolexpander::{
    base::Seed,
    lm::{Config, Family, LanguageModel, Tokenizer},
};

use super::harness::StageRun;

fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().join("tiny")).unwrap();
    (folder, path)
}

fn tiny() -> LanguageModel {
    let tokenizer = Tokenizer::train_bpe(["open the file", "move the event"], 270, &[]).unwrap();
    let config = Config {
        family: Family::Llama,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 4,
        vocab_size: tokenizer.vocab_size(),
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        bos_token_id: tokenizer.bos(),
        eos_token_ids: tokenizer.eos.clone(),
    };
    LanguageModel::random(config, tokenizer, Seed(5)).unwrap()
}

fn import(source: &Utf8Path) -> StageRun {
    StageRun::new("import-model").path("source", source)
}

#[test]
fn a_folder_comes_through_unchanged() {
    let (_keep, path) = folder();
    let model = tiny();
    model.save(&path).unwrap();
    let outcome = import(&path).run().unwrap();
    let read = LanguageModel::load(outcome.path("model")).unwrap();
    assert_eq!(read.weights, model.weights);
    assert_eq!(read.config, model.config);
    assert_eq!(read.tokenizer.eos, model.tokenizer.eos);
    let digest = outcome.fact("source-digest").unwrap().to_owned();
    assert!(outcome.log().contains(&digest), "{}", outcome.log());

    // The digest can be pinned; a member of a folder can be named.
    import(path.parent().unwrap()).param("file", "tiny").param("digest", digest.clone()).run().unwrap();
    fs_err::write(path.join("config.json"), fs_err::read_to_string(path.join("config.json")).unwrap() + "\n").unwrap();
    let message = import(&path).param("digest", digest.clone()).fails();
    assert!(message.contains(&digest) && message.contains("changed"), "{message}");
}

#[test]
fn what_is_missing_is_named() {
    let (_keep, path) = folder();
    tiny().save(&path).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let bytes = fs_err::read(path.join(file)).unwrap();
        fs_err::remove_file(path.join(file)).unwrap();
        let message = import(&path).fails();
        assert!(message.contains("lacks") && message.contains(file), "{message}");
        fs_err::write(path.join(file), bytes).unwrap();
    }
    let message = import(path.parent().unwrap()).param("file", "tinny").fails();
    assert!(message.contains("does not hold `tinny`"), "{message}");
}

#[test]
fn a_file_cut_short_is_named() {
    let (_keep, path) = folder();
    tiny().save(&path).unwrap();
    let file = path.join("model.safetensors");
    let whole = fs_err::read(&file).unwrap();
    for length in [0, 5, whole.len() / 2, whole.len() - 1] {
        fs_err::write(&file, &whole[..length]).unwrap();
        let message = import(&path).fails();
        assert!(message.contains("model.safetensors is damaged"), "{length}: {message}");
    }
    let gguf = path.join("broken.gguf");
    fs_err::write(&gguf, b"GGUF\x03\0\0\0").unwrap();
    let message = import(&gguf).fails();
    assert!(message.contains("broken.gguf"), "{message}");
    let other = path.join("notes.txt");
    fs_err::write(&other, b"no model").unwrap();
    let message = import(&other).fails();
    assert!(message.contains("`notes.txt` is neither a model folder nor a GGUF file"), "{message}");
}

/// If this digest changes, bump `revision` in stages/import-model/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let (_keep, path) = folder();
    tiny().save(&path).unwrap();
    insta::assert_snapshot!(import(&path).run().unwrap().folder_digest("model"), @"475c483b5e994a7f340c30b662da83f2c9f9ba3f0f328966388b29521edd32fa");
}
