//! Tokenizers and chat templates against transformers, and the training of tokenizers.

use std::collections::BTreeMap;

use camino::Utf8Path;
use toolexpander::lm::{ChatMessage, ChatTemplate, LmError, Tokenizer};

use super::load_fixtures::{folder, oracle};

fn tied() -> Tokenizer {
    Tokenizer::load(&folder().join("tied")).unwrap()
}

#[test]
fn tokens_and_texts_equal_transformers() {
    let tokenizer = tied();
    for case in oracle().texts {
        assert_eq!(tokenizer.encode(&case.text, false).unwrap(), case.ids, "{:?}", case.text);
        assert_eq!(tokenizer.decode(&case.ids).unwrap(), case.decoded, "{:?}", case.text);
        assert_eq!(tokenizer.decode_with_special(&case.ids).unwrap(), case.text);
    }
}

#[test]
fn renderings_equal_transformers() {
    let oracle = oracle();
    let special: BTreeMap<String, String> =
        [("bos_token", "<|endoftext|>"), ("eos_token", "<|im_end|>"), ("pad_token", "<|endoftext|>")]
            .map(|(name, token)| (name.to_owned(), token.to_owned()))
            .into();
    let tokenizer = tied();
    for case in &oracle.chats {
        let template = ChatTemplate::new(&oracle.templates[&case.template], special.clone());
        let text = template.render(&case.messages, case.add_generation_prompt).unwrap();
        assert_eq!(text, case.text, "{} {:?}", case.template, case.messages);
        if case.template == "chatml" {
            // The folder's own template, from tokenizer_config.json and from chat_template.jinja.
            assert_eq!(tokenizer.render_chat(&case.messages, case.add_generation_prompt).unwrap(), case.text);
            let sharded = Tokenizer::load(&folder().join("sharded")).unwrap();
            assert_eq!(sharded.render_chat(&case.messages, case.add_generation_prompt).unwrap(), case.text);
        }
    }
}

#[test]
fn a_template_may_refuse_a_conversation() {
    let oracle = oracle();
    let template = ChatTemplate::new(&oracle.templates["elaborate"], BTreeMap::new());
    let error = template.render(&[ChatMessage::new("judge", "x")], true).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("unknown role judge"), "{cause}");
    let broken = ChatTemplate::new("{% for %}", BTreeMap::new());
    assert!(matches!(broken.render(&[], true), Err(LmError::ChatTemplate { .. })));
}

#[test]
fn generation_tags_print_nothing() {
    let source = "{% for m in messages %}\n{%- generation -%}\n{{ m.content }}\n{%- endgeneration -%}\n{% endfor %}";
    let template = ChatTemplate::new(source, BTreeMap::new());
    assert_eq!(template.render(&[ChatMessage::new("assistant", "yes")], false).unwrap(), "yes");
}

#[test]
fn ends_come_from_every_file() {
    assert_eq!(tied().eos, [2]);
    assert_eq!(super::load_fixtures::load("sharded").tokenizer.eos, [2, 0]);
    assert_eq!(tied().bos(), Some(0));
}

const CORPUS: [&str; 3] = [
    "get_weather(city='Paris') returns the weather in Paris, not in the city of the cat",
    "<|im_start|>user\nthe weather in 2026<|im_end|>\n<tool_call>{\"name\": \"get_weather\"}</tool_call>",
    "naïve café 日本語 🙂 the the the then there",
];

#[test]
fn a_trained_tokenizer_round_trips_any_text() {
    let extra = ["<tool_call>", "</tool_call>"];
    let tokenizer = Tokenizer::train_bpe(CORPUS, 320, &extra).unwrap();
    assert!(tokenizer.vocab_size() <= 320 && tokenizer.vocab_size() > 300, "{}", tokenizer.vocab_size());
    assert_eq!(tokenizer.token_id("<|endoftext|>"), Some(0));
    assert_eq!(tokenizer.eos, [2]);
    assert_eq!(tokenizer.token_id("<tool_call>"), Some(3));
    // All 256 bytes, then the first merges: " t" + "he" is a word.
    assert_eq!(tokenizer.encode(" the", false).unwrap().len(), 1);
    for text in CORPUS.iter().chain(&["\u{0}\u{7f}ÿ\u{10ffff}", "never seen: žluťoučký kůň\r\n\t"]) {
        let tokens = tokenizer.encode(text, true).unwrap();
        assert_eq!(tokenizer.decode_with_special(&tokens).unwrap(), *text);
    }
    let tokens = tokenizer.encode(CORPUS[1], false).unwrap();
    assert_eq!(tokens.iter().filter(|token| **token < 5).count(), 4);
    assert_eq!(
        tokenizer.decode(&tokens).unwrap(),
        "user\nthe weather in 2026\n<tool_call>{\"name\": \"get_weather\"}</tool_call>"
    );
    let chat = tokenizer.render_chat(&[ChatMessage::new("user", "hi")], true).unwrap();
    assert_eq!(chat, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
}

/// By hand: the words are `aa`, `aab`, ` ab`; pairs (a,a): 2, (a,b): 2, (Ġ,a): 1. The tie goes to the smaller ids, `a a`;
/// then `a b` and `aa b` and `Ġ a` have one each.
#[test]
fn merges_are_the_most_frequent_pairs() {
    let tokenizer = Tokenizer::train_bpe(["aa", "aab", " ab"], 259 + 2, &[]).unwrap();
    let length = |text: &str| tokenizer.encode(text, false).unwrap().len();
    assert_eq!(length("aa"), 1);
    assert_eq!(length("aab") + length(" ab"), 2 + 2);
    assert_eq!(tokenizer.vocab_size(), 261);
}

#[test]
fn training_is_a_function_of_the_texts() {
    let files = |texts: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap();
        Tokenizer::train_bpe(texts.iter().copied(), 400, &[]).unwrap().save(path).unwrap();
        fs_err::read_to_string(path.join("tokenizer.json")).unwrap()
    };
    let once = files(&CORPUS);
    assert_eq!(once, files(&CORPUS));
    // Counts decide, not the order of texts.
    assert_eq!(once, files(&[CORPUS[2], CORPUS[0], CORPUS[1]]));
    let (other, _) = CORPUS.split_at(2);
    assert_ne!(once, files(other));
}

#[test]
fn impossible_vocabularies_are_refused() {
    let error = Tokenizer::train_bpe(CORPUS, 200, &[]).unwrap_err().to_string();
    assert_eq!(error, "a vocabulary of 200 tokens is too small: the bytes and special tokens are 259");
    assert!(matches!(Tokenizer::train_bpe(CORPUS, 400, &["<a>", "<a>"]), Err(LmError::Request(_))));
    assert!(matches!(Tokenizer::train_bpe(CORPUS, 400, &[""]), Err(LmError::Request(_))));
    assert!(matches!(Tokenizer::train_bpe(CORPUS, 400, &["a"]), Err(LmError::Request(_))));
}
