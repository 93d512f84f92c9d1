//! How alike two samples are, judged by their tools.

use std::collections::BTreeSet;

use crate::tools::Sample;

/// What likeness is judged by.
pub(super) struct Features {
    names: BTreeSet<String>,
    words: Vec<u64>,
    category: String,
}

/// Weights: sharing tools counts most, then the words of their descriptions, then the category.
const NAMES: f64 = 2.0;
const WORDS: f64 = 1.0;
const CATEGORY: f64 = 0.25;

impl Features {
    /// Returns the features of a sample: names, and the words of names and descriptions, of its tools.
    pub(super) fn of(sample: &Sample) -> Self {
        let mut words = BTreeSet::new();
        for tool in &sample.tools {
            for text in [&tool.name, &tool.description] {
                let parts = text.split(|character: char| !character.is_alphanumeric());
                words.extend(parts.filter(|word| word.len() > 2).map(|word| word_id(&word.to_lowercase())));
            }
        }
        Self {
            names: sample.tools.iter().map(|tool| tool.name.clone()).collect(),
            words: words.into_iter().collect(),
            category: sample.category.clone(),
        }
    }

    /// Returns how alike two samples are: 0 to 3.25.
    pub(super) fn likeness(&self, other: &Self) -> f64 {
        let shared_names = self.names.intersection(&other.names).count();
        let names = jaccard(shared_names, self.names.len(), other.names.len());
        let words = jaccard(shared(&self.words, &other.words), self.words.len(), other.words.len());
        NAMES * names + WORDS * words + if self.category == other.category { CATEGORY } else { 0.0 }
    }
}

/// Numbers stand for words, so that comparing is fast.
fn word_id(word: &str) -> u64 {
    let digest = crate::base::Digest::of(word.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// Returns how many numbers two sorted lists share.
fn shared(one: &[u64], two: &[u64]) -> usize {
    let (mut count, mut at) = (0, 0);
    for word in one {
        while at < two.len() && two[at] < *word {
            at += 1;
        }
        if two.get(at) == Some(word) {
            count += 1;
        }
    }
    count
}

#[expect(clippy::cast_precision_loss, reason = "counts of words")]
fn jaccard(shared: usize, one: usize, two: usize) -> f64 {
    if one + two == 0 { 0.0 } else { shared as f64 / (one + two - shared) as f64 }
}

#[cfg(test)]
mod tests {
    use super::{jaccard, shared};

    #[test]
    fn sets_are_compared() {
        assert_eq!(shared(&[1, 3, 5, 9], &[2, 3, 9, 10]), 2);
        assert_eq!(shared(&[], &[2]), 0);
        assert!((jaccard(2, 4, 4) - 1.0 / 3.0).abs() < 1e-12);
    }
}
