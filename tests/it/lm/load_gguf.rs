//! GGUF files: a small one written by Python's gguf package, whole and damaged.

use camino::{Utf8Path, Utf8PathBuf};
use candle_core::{DType, Device};
use rand::RngCore;
use tempfile::TempDir;
use toolexpander::{
    base::Seed,
    lm::{LanguageModel, LmError, Reference, Tokenizer, gguf},
};

use super::{
    load_fixtures::{folder, load, max_difference, oracle, tensor},
    load_reference::greedy,
};

fn imported() -> LanguageModel {
    gguf::import(&folder().join("tiny.gguf")).unwrap()
}

fn write(bytes: &[u8]) -> (TempDir, Utf8PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(guard.path()).unwrap().join("model.gguf");
    fs_err::write(&path, bytes).unwrap();
    (guard, path)
}

fn failure(bytes: &[u8]) -> String {
    let (_guard, path) = write(bytes);
    gguf::import(&path).unwrap_err().to_string().replace(path.as_str(), "FILE")
}

/// Replaces a text of the file by another of the same length.
fn replaced(from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs_err::read(folder().join("tiny.gguf")).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn logits_equal_those_of_the_dequantised_weights() {
    let oracle = oracle();
    let model = imported();
    let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F64).unwrap();
    let logits = reference.logits(&oracle.tokens()).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    let difference = max_difference(&logits, &tensor("gguf.logits"));
    assert!(difference < 1e-5, "{difference}");
    assert_eq!(greedy(&reference, &oracle.prompt, oracle.gguf_greedy.len()), oracle.gguf_greedy);
}

#[test]
fn the_configuration_equals_that_of_the_folder() {
    let (from_gguf, from_folder) = (imported().config, load("tied").config);
    assert_eq!(from_gguf, from_folder);
}

#[test]
fn the_tokenizer_equals_that_of_the_folder() {
    let tokenizer = imported().tokenizer;
    for case in oracle().texts {
        assert_eq!(tokenizer.encode(&case.text, false).unwrap(), case.ids, "{:?}", case.text);
        assert_eq!(tokenizer.decode(&case.ids).unwrap(), case.decoded, "{:?}", case.text);
        // `add_bos_token` is set in the file.
        assert_eq!(tokenizer.encode(&case.text, true).unwrap(), [&[0], case.ids.as_slice()].concat());
    }
    for case in oracle().chats.iter().filter(|case| case.template == "chatml") {
        assert_eq!(tokenizer.render_chat(&case.messages, case.add_generation_prompt).unwrap(), case.text);
    }
    assert_eq!((tokenizer.eos.as_slice(), tokenizer.bos(), tokenizer.pad()), ([2].as_slice(), Some(0), Some(0)));
}

#[test]
fn an_imported_model_survives_a_folder() {
    let model = imported();
    let guard = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(guard.path()).unwrap();
    model.save(path).unwrap();
    let again = LanguageModel::load(path).unwrap();
    assert_eq!(again.weights, model.weights);
    assert_eq!(again.config, model.config);
    let text = "the weather <tool_call>";
    assert_eq!(again.tokenizer.encode(text, true).unwrap(), model.tokenizer.encode(text, true).unwrap());
    assert_eq!(Tokenizer::load(path).unwrap().eos, [2]);
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = fs_err::read(folder().join("tiny.gguf")).unwrap();
    for length in (0..bytes.len()).step_by(701).chain([1, 4, 8, 23, 24, bytes.len() - 1]) {
        let (_guard, path) = write(&bytes[..length]);
        match gguf::import(&path) {
            Err(LmError::Format { format: "GGUF", .. }) => {}
            other => panic!("{length} of {} bytes: {other:?}", bytes.len()),
        }
    }
    let error = failure(&bytes[..bytes.len() - 40]);
    assert!(error.contains("the tensor `output_norm.weight`") || error.contains("the tensor `blk."), "{error}");
    assert!(error.contains("it was cut short"), "{error}");
}

#[test]
fn damage_is_named() {
    assert!(failure(b"PK\x03\x04 and so on, not a model at all").contains("expected the bytes of `GGUF`"));
    let error = failure(&replaced(b"GGUF\x03\0\0\0", b"GGUF\x09\0\0\0"));
    assert!(error.contains("its version is 9; versions 2 and 3 are read"), "{error}");
    // A key in place of one of the same length: an alignment of zero, by which candle would divide.
    let key = |name: &[u8], kind: u32, value: u32| [name, &kind.to_le_bytes(), &value.to_le_bytes()].concat();
    let error = failure(&replaced(&key(b"llama.block_count", 4, 2), &key(b"general.alignment", 4, 0)));
    assert!(error.contains("`general.alignment` is 0; expected a power of two"), "{error}");
    let error = failure(&replaced(b"llama.block_count", b"llama.block_kount"));
    assert_eq!(error, "FILE: `llama.block_count` is absent; expected a whole number");
    let error = failure(&replaced(b"blk.1.attn_k", b"blk.7.attn_k"));
    assert!(error.contains("lacks the tensor `blk.1.attn_k.weight`"), "{error}");
    let error =
        failure(&replaced(&key(b"llama.feed_forward_length", 4, 32), &key(b"llama.feed_forward_length", 4, 64)));
    assert!(error.contains("`blk.0.ffn_gate.weight` has the shape [32, 32]"), "{error}");
}

#[test]
fn unknown_families_and_splittings_are_named() {
    let error = failure(&replaced(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0gemma"));
    assert!(error.contains("describes a `gemma` model; the families llama, qwen2, qwen3 are"), "{error}");
    let error = failure(&replaced(b"smollm", b"smallm"));
    assert!(error.contains("it splits texts by `smallm`; known are"), "{error}");
    let error = failure(&replaced(b"\x04\0\0\0\0\0\0\0gpt2", b"\x04\0\0\0\0\0\0\0bert"));
    assert!(error.contains("its tokenizer is of the kind `bert`"), "{error}");
}

/// Any byte may be wrong: the answer is a model or an error, never a panic, an endless loop or a huge allocation.
#[test]
fn flipped_bytes_never_panic() {
    let bytes = fs_err::read(folder().join("tiny.gguf")).unwrap();
    let mut rng = Seed(11).rng("flips");
    let mut refused = 0;
    for _ in 0..400 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + rng.next_u32() % 4 {
            // Mostly in the header, where it matters.
            let end = if rng.next_u32().is_multiple_of(4) { bytes.len() } else { 2000 };
            let at = rng.next_u32() as usize % end;
            damaged[at] = if rng.next_u32().is_multiple_of(2) { 0xFF } else { rng.next_u32() as u8 };
        }
        let (_guard, path) = write(&damaged);
        refused += usize::from(gguf::import(&path).is_err());
    }
    assert!(refused > 50, "{refused}");
}
