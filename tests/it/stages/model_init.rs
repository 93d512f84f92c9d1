//! `init-model`: the model is as asked for, and a function of samples, parameters and seed.

use toolexpander::lm::LanguageModel;

use super::{harness::StageRun, model_support::init};

#[test]
fn the_model_has_the_shape_asked_for_and_its_tokenizer_knows_the_texts() {
    let outcome = init().run().unwrap();
    let model = LanguageModel::load(outcome.path("model")).unwrap();
    assert_eq!((model.config.hidden_size, model.config.num_hidden_layers, model.config.head_dim), (16, 2, 8));
    assert_eq!((model.config.num_key_value_heads, model.config.max_position_embeddings), (1, 128));
    assert!(model.config.tie_word_embeddings);
    assert_eq!(model.config.vocab_size, model.tokenizer.vocab_size());
    let text = "<tool_call>[open(value=12)] Zürich 東京</tool_call>";
    let tokens = model.tokenizer.encode(text, false).unwrap();
    assert_eq!(model.tokenizer.decode(&tokens).unwrap(), text);
    // `[open(value=` is in every third answer: it takes fewer tokens than letters.
    assert!(model.tokenizer.encode("[open(value=", false).unwrap().len() <= 6);
    assert!(model.tokenizer.has_chat_template());
}

#[test]
fn the_seed_moves_the_weights_and_nothing_else_does() {
    let bytes = |run: StageRun| {
        let outcome = run.run().unwrap();
        let read = |name: &str| fs_err::read(outcome.path("model").join(name)).unwrap();
        (read("model.safetensors"), read("tokenizer.json"))
    };
    let first = bytes(init());
    assert!(first == bytes(init().threads(1)));
    let other = bytes(init().seed(8));
    assert!(first.0 != other.0 && first.1 == other.1);
}

#[test]
fn impossible_shapes_are_refused() {
    let message = init().param("hidden", 18).param("heads", 4).fails();
    assert!(message.contains("parameter `hidden`: 18 is no multiple of `heads`, 4"), "{message}");
    let message = init().param("heads", 4).param("kv-heads", 3).fails();
    assert!(message.contains("num_key_value_heads"), "{message}");
    let message = init().param("vocab", 100).fails();
    assert!(message.contains("a vocabulary of 100 tokens is too small"), "{message}");
}

/// If this digest changes, bump `revision` in stages/init-model/stage.toml.
#[test]
fn output_bytes_are_golden() {
    insta::assert_snapshot!(init().run().unwrap().folder_digest("model"), @"");
}
