//! Folders for transformers to judge: `EXPORT=FOLDER cargo test --release export -- --ignored`, then
//! `python tests/fixtures/lm/check_export.py FOLDER`.

use camino::Utf8PathBuf;
use candle_core::{DType, Device};
use serde_json::json;
use toolexpander::{
    base::Seed,
    lm::{ChatMessage, Config, LanguageModel, Llama3RopeScaling, Reference, Tokenizer},
};

use super::{
    load_fixtures::{load, oracle, tiny_config},
    load_reference::{greedy, lively},
};

#[test]
#[ignore = "writes folders for a Python script: see above"]
fn export_models_with_what_they_should_do() {
    let folder = Utf8PathBuf::from(std::env::var("EXPORT").expect("EXPORT names the folder"));
    let texts: Vec<String> = oracle().texts.into_iter().map(|case| case.text).collect();
    let tokenizer =
        Tokenizer::train_bpe(texts.iter().map(String::as_str), 330, &["<tool_call>", "</tool_call>"]).unwrap();
    let scaling = Llama3RopeScaling {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 16,
    };
    let config = Config { vocab_size: tokenizer.vocab_size(), rope_scaling: Some(scaling), ..tiny_config() };
    let trained = LanguageModel::new(config.clone(), lively(&config, 5), tokenizer.clone()).unwrap();
    let config = Config { vocab_size: 340, tie_word_embeddings: true, ..tiny_config() };
    let random = LanguageModel::random(config, tokenizer, Seed(3)).unwrap();

    for (name, model) in
        [("trained", trained), ("random", random), ("tied", load("tied")), ("sharded", load("sharded"))]
    {
        let path = folder.join(name);
        model.save(&path).unwrap();
        let texts: Vec<_> = texts
            .iter()
            .map(|text| json!({ "text": text, "ids": model.tokenizer.encode(text, false).unwrap() }))
            .collect();
        let messages = [ChatMessage::new("system", "s"), ChatMessage::new("user", "hi there")];
        let chat = model.tokenizer.render_chat(&messages, true).unwrap();
        let prompt = model.tokenizer.encode("the <tool_call>", true).unwrap();
        let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F32).unwrap();
        let logits: Vec<Vec<f32>> = reference.logits(&prompt).unwrap().to_vec2().unwrap();
        let facts = json!({
            "texts": texts,
            "messages": messages,
            "chat": chat,
            "prompt": prompt,
            "logits": logits,
            "greedy": greedy(&reference, &prompt, 12),
            "eos": model.tokenizer.eos,
        });
        fs_err::write(folder.join(format!("{name}.json")), facts.to_string()).unwrap();
    }
}
