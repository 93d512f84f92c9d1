//! Byte-level BPE: the text of a `tokenizer.json`, and the training of its merges.
//!
//! The trainer is ours so that its result is a function of the texts alone: ties are broken by the pair's ids, counts are
//! summed in key order, nothing depends on a hash seed or a thread count. The algorithm is the usual one
//! (Sennrich et al. 2016, <https://arxiv.org/abs/1508.07909>): join the most frequent adjacent pair, again and again.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Value, json};

/// A token outside the merges: found in texts before anything else.
pub(crate) struct AddedToken {
    pub(crate) id: u32,
    pub(crate) text: String,
    /// Left out when a completion is decoded.
    pub(crate) special: bool,
}

/// What differs between byte-level BPE tokenizers.
pub(crate) struct ByteLevelBpe<'a> {
    /// The vocabulary in the order of ids.
    pub(crate) tokens: &'a [String],
    pub(crate) merges: &'a [(String, String)],
    pub(crate) added: Vec<AddedToken>,
    pub(crate) normalizer: Value,
    pub(crate) pre_tokenizer: Value,
    pub(crate) post_processor: Value,
    pub(crate) ignore_merges: bool,
}

impl ByteLevelBpe<'_> {
    /// Returns the text of a `tokenizer.json`.
    pub(crate) fn to_json(&self) -> String {
        let vocabulary: serde_json::Map<String, Value> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
        let merges: Vec<Value> = self.merges.iter().map(|(left, right)| json!([left, right])).collect();
        let added: Vec<Value> = self
            .added
            .iter()
            .map(|token| {
                json!({
                    "id": token.id,
                    "content": token.text,
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": token.special,
                })
            })
            .collect();
        let value = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self.post_processor,
            "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
            "model": {
                "type": "BPE",
                "dropout": null,
                "unk_token": null,
                "continuing_subword_prefix": null,
                "end_of_word_suffix": null,
                "fuse_unk": false,
                "byte_fallback": false,
                "ignore_merges": self.ignore_merges,
                "vocab": vocabulary,
                "merges": merges,
            },
        });
        let mut text = format!("{value:#}");
        text.push('\n');
        text
    }
}

/// GPT-2's splitting, then bytes as printable characters.
pub(crate) fn gpt2_pre_tokenizer() -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true })
}

/// Every digit by itself, then GPT-2's splitting: StarCoder's and SmolLM's.
pub(crate) fn digits_pre_tokenizer() -> Value {
    json!({
        "type": "Sequence",
        "pretokenizers": [{ "type": "Digits", "individual_digits": true }, gpt2_pre_tokenizer()],
    })
}

/// A splitting of one's own, then bytes as printable characters.
pub(crate) fn regex_pre_tokenizer(pattern: &str) -> Value {
    json!({
        "type": "Sequence",
        "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ],
    })
}

/// Returns the 256 printable characters that stand for bytes, sorted: the alphabet of byte-level BPE.
///
/// **Source:** GPT-2's `bytes_to_unicode`: printable Latin-1 stands for itself, the n-th other byte for U+0100 + n.
pub(crate) fn byte_alphabet() -> Vec<String> {
    let itself = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let others = (0..256).filter(|byte| !itself(*byte)).count() as u32;
    (0..256_u32)
        .filter(|byte| itself(*byte))
        .chain(0x100..0x100 + others)
        .filter_map(char::from_u32)
        .map(String::from)
        .collect()
}

/// Learns merges from words (already spelled in the byte alphabet) with their counts, until `tokens` has `size` entries
/// or no pair is left. New tokens are appended to `tokens`.
pub(crate) fn train(words: &BTreeMap<String, u64>, tokens: &mut Vec<String>, size: usize) -> Vec<(String, String)> {
    let mut ids: BTreeMap<String, u32> = (0..).zip(tokens.iter()).map(|(id, token)| (token.clone(), id)).collect();
    let mut spelled: Vec<(Vec<u32>, u64)> = words
        .iter()
        .map(|(word, count)| {
            let letters = word.chars().filter_map(|letter| ids.get(letter.encode_utf8(&mut [0; 4]) as &str).copied());
            (letters.collect(), *count)
        })
        .collect();
    let mut pairs = Pairs::default();
    for (index, (word, count)) in spelled.iter().enumerate() {
        for pair in word.windows(2) {
            pairs.add((pair[0], pair[1]), index, *count);
        }
    }
    let mut merges = Vec::new();
    while tokens.len() < size {
        let Some((left, right)) = pairs.most_frequent() else { break };
        let (left_text, right_text) = (tokens[left as usize].clone(), tokens[right as usize].clone());
        let joined_text = format!("{left_text}{right_text}");
        let joined = *ids.entry(joined_text.clone()).or_insert_with(|| {
            tokens.push(joined_text);
            (tokens.len() - 1) as u32
        });
        merges.push((left_text, right_text));
        for index in pairs.words_with((left, right)) {
            let (word, count) = &mut spelled[index];
            for pair in word.windows(2) {
                pairs.remove((pair[0], pair[1]), *count);
            }
            join(word, (left, right), joined);
            for pair in word.windows(2) {
                pairs.add((pair[0], pair[1]), index, *count);
            }
        }
    }
    merges
}

/// Replaces each `pair` of `word`, from the left, by `joined`.
fn join(word: &mut Vec<u32>, pair: (u32, u32), joined: u32) {
    let mut kept = 0;
    let mut read = 0;
    while read < word.len() {
        if read + 1 < word.len() && (word[read], word[read + 1]) == pair {
            word[kept] = joined;
            read += 2;
        } else {
            word[kept] = word[read];
            read += 1;
        }
        kept += 1;
    }
    word.truncate(kept);
}

/// How often each pair occurs, and in which words.
#[derive(Default)]
struct Pairs {
    counts: BTreeMap<(u32, u32), u64>,
    by_count: BTreeSet<(Reverse<u64>, (u32, u32))>,
    words: BTreeMap<(u32, u32), BTreeSet<usize>>,
}

impl Pairs {
    fn add(&mut self, pair: (u32, u32), word: usize, count: u64) {
        self.change(pair, |before| before + count);
        self.words.entry(pair).or_default().insert(word);
    }

    /// The list of words is not shortened: a word that lacks the pair by then is merely looked at in vain.
    fn remove(&mut self, pair: (u32, u32), count: u64) {
        self.change(pair, |before| before.saturating_sub(count));
    }

    fn change(&mut self, pair: (u32, u32), change: impl FnOnce(u64) -> u64) {
        let count = self.counts.entry(pair).or_default();
        self.by_count.remove(&(Reverse(*count), pair));
        *count = change(*count);
        if *count > 0 {
            self.by_count.insert((Reverse(*count), pair));
        }
    }

    /// The most frequent pair; of several the one with the smallest ids.
    fn most_frequent(&self) -> Option<(u32, u32)> {
        self.by_count.first().map(|(_, pair)| *pair)
    }

    fn words_with(&mut self, pair: (u32, u32)) -> BTreeSet<usize> {
        self.words.remove(&pair).unwrap_or_default()
    }
}
