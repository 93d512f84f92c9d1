//! `ToolSearcher` without a model.
//!
//! Upstream embeds the keywords and every tool's name and description with a sentence transformer and takes the nearest
//! tool. Here words are weighed by how few tools have them, and the tool with the largest cosine is taken. That is another
//! searcher: it decides nothing in official verdicts, and in fair ones only whether keywords find the recorded tool.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::catalogue::{TOOL_SEARCHER, tools};

/// The words of a tool, each with its weight; the squares of the weights add up to 1.
struct Entry {
    name: String,
    weights: BTreeMap<String, f64>,
}

struct Index {
    entries: Vec<Entry>,
    rarity: BTreeMap<String, f64>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let texts: Vec<(String, BTreeMap<String, f64>)> = tools()
        .into_iter()
        .filter(|tool| tool.name != TOOL_SEARCHER)
        .map(|tool| {
            // The name says most: its words count three times.
            let name = apart(&tool.name);
            let text = format!("{name} {name} {name} {}", tool.description);
            (tool.name, counts(&text))
        })
        .collect();
    let mut having: BTreeMap<String, f64> = BTreeMap::new();
    for (_, words) in &texts {
        for word in words.keys() {
            *having.entry(word.clone()).or_default() += 1.0;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few tools")]
    let total = texts.len() as f64;
    let rarity = having.into_iter().map(|(word, count)| (word, (1.0 + total / count).ln())).collect();
    let entries = texts.into_iter().map(|(name, words)| Entry { name, weights: weighed(words, &rarity) }).collect();
    Index { entries, rarity }
});

/// Returns the name of the tool that keywords find, if any word of theirs is known.
pub(super) fn search(keywords: &str) -> Option<&'static str> {
    let wanted = weighed(counts(keywords), &INDEX.rarity);
    let likeness =
        |entry: &Entry| wanted.iter().filter_map(|(word, weight)| Some(weight * entry.weights.get(word)?)).sum();
    let scored = INDEX.entries.iter().map(|entry| (likeness(entry), entry));
    // The first of equals, in alphabetical order.
    let best = scored
        .fold((0.0, None), |best, (score, entry): (f64, _)| if score > best.0 { (score, Some(entry)) } else { best });
    best.1.map(|entry| entry.name.as_str())
}

/// Splits a name at its capital letters.
fn apart(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        if letter.is_uppercase() {
            text.push(' ');
        }
        text.push(letter);
        text
    })
}

fn counts(text: &str) -> BTreeMap<String, f64> {
    static COMMON: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
        "a an and api by e for from g given in includes is it my of on or s the this to up use used user with"
            .split(' ')
            .collect()
    });
    let mut counts = BTreeMap::new();
    for word in text.to_lowercase().split(|letter: char| !letter.is_alphanumeric()) {
        if !word.is_empty() && !COMMON.contains(word) {
            *counts.entry(stem(word).to_owned()).or_default() += 1.0;
        }
    }
    counts
}

/// Cuts the endings of English plurals, participles and nouns of action.
fn stem(word: &str) -> &str {
    for ending in ["ation", "tion", "ing", "ies", "ed", "es", "s", "e", "y"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.chars().count() >= 3
        {
            return stem;
        }
    }
    word
}

fn weighed(counts: BTreeMap<String, f64>, rarity: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut weights: BTreeMap<String, f64> = counts
        .into_iter()
        .filter_map(|(word, count)| {
            let weight = (1.0 + count.ln()) * rarity.get(&word)?;
            Some((word, weight))
        })
        .collect();
    let size = weights.values().map(|weight| weight * weight).sum::<f64>().sqrt();
    for weight in weights.values_mut() {
        *weight /= size;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_find_tools_by_name_and_description() {
        let found = ["book hotel", "calculator", "query stock price", "delete an account", "xyzzy"].map(search);
        assert_eq!(found, [Some("BookHotel"), Some("Calculator"), Some("QueryStock"), Some("DeleteAccount"), None]);
    }
}
