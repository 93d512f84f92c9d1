//! Folders for transformers to judge: `EXPORT=FOLDER cargo test --release export -- --ignored`, then
//! `python tests/fixtures/lm/check_export.py FOLDER`. `MODEL=FOLDER` adds a model, say one that `pipeline export` wrote.

use camino::Utf8PathBuf;
use candle_core::{DType, Device};
use serde_json::json;
use toolexpander::{
    base::Seed,
    lm::{
        ChatMessage, Config, Dtype, LanguageModel, Llama3RopeScaling, Reference, Tokenizer,
        sample::{PromptRequest, Sampling, sample},
    },
};

use super::{
    load_fixtures::{load, oracle, tiny_config},
    load_reference::lively,
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

    let mut models = vec![("trained", trained), ("random", random)];
    models.extend(["tied", "sharded", "qwen2", "qwen3"].map(|name| (name, load(name))));
    if let Ok(given) = std::env::var("MODEL") {
        models.push(("given", LanguageModel::load(given.as_str().into()).unwrap()));
    }
    let models = models.into_iter().flat_map(|(name, model)| {
        [(name.to_owned(), Dtype::F32, model.clone()), (format!("{name}-bf16"), Dtype::Bf16, model)]
    });
    for (name, dtype, model) in models {
        let path = folder.join(&name);
        model.save_as(&path, dtype).unwrap();
        // What is in the folder: in bf16 less than what was in memory.
        let mut model = LanguageModel::load(&path).unwrap();
        let texts: Vec<_> = texts
            .iter()
            .map(|text| json!({ "text": text, "ids": model.tokenizer.encode(text, false).unwrap() }))
            .collect();
        let messages = [ChatMessage::new("system", "s"), ChatMessage::new("user", "hi there")];
        let chat = model.tokenizer.render_chat(&messages, true).unwrap();
        let prompt = model.tokenizer.encode("the <tool_call>", true).unwrap();
        let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F32).unwrap();
        let logits: Vec<Vec<f32>> = reference.logits(&prompt).unwrap().to_vec2().unwrap();
        let eos = model.tokenizer.eos.clone();
        // As the script does: on and on.
        model.config.eos_token_ids.clear();
        model.tokenizer.eos.clear();
        let request = PromptRequest { id: name.clone(), tokens: prompt.clone(), count: 1 };
        let sampling = Sampling { temperature: 0.0, max_tokens: 12, ..Sampling::default() };
        let greedy = sample(&model, &[request], &sampling, Seed(0), 1).unwrap()[0][0].tokens.clone();
        let facts = json!({
            "texts": texts,
            "messages": messages,
            "chat": chat,
            "prompt": prompt,
            "logits": logits,
            "greedy": greedy,
            "eos": eos,
            "dtype": if dtype == Dtype::Bf16 { "bfloat16" } else { "float32" },
        });
        fs_err::write(folder.join(format!("{name}.json")), facts.to_string()).unwrap();
    }
}
