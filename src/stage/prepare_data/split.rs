//! Duplicates, the split by id, leaks, limits.

use std::collections::{BTreeMap, BTreeSet};

use super::{LimitBy, question_chars, tools_chars};
use crate::{
    base::Digest,
    tools::{Sample, contamination::normalised_question},
};

/// Drops all but the first of samples that ask the same question of the same tools; returns how many.
pub(super) fn drop_duplicates(samples: &mut Vec<Sample>) -> usize {
    let before = samples.len();
    let mut seen = BTreeSet::new();
    samples.retain(|sample| {
        let tools = serde_json::to_string(&sample.tools).unwrap_or_default();
        // The world a question is asked in is part of the question.
        let world = serde_json::to_string(&sample.environment).unwrap_or_default();
        seen.insert((normalised_question(&sample.messages), tools, world))
    });
    before - samples.len()
}

/// Returns the place of an id in [0, 1): uniform, and a function of the id alone.
fn place(id: &str) -> f64 {
    let digest = Digest::of(id.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.as_bytes()[..8]);
    // The 53 highest bits are exactly a f64.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let fraction = (u64::from_be_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64;
    fraction
}

/// Splits samples into training and evaluation; each keeps its order. Which side a sample falls on depends on its id
/// only, so that adding samples moves none.
pub(super) fn by_id(samples: Vec<Sample>, eval_fraction: f64) -> (Vec<Sample>, Vec<Sample>) {
    samples.into_iter().partition(|sample| place(&sample.id) >= eval_fraction)
}

/// Drops from training the questions that evaluation asks too; returns how many.
pub(super) fn drop_leaks(train: &mut Vec<Sample>, eval: &[Sample]) -> usize {
    let asked: BTreeSet<String> = eval.iter().map(|sample| normalised_question(&sample.messages)).collect();
    let before = train.len();
    train.retain(|sample| !asked.contains(&normalised_question(&sample.messages)));
    before - train.len()
}

/// Keeps at most `limit` samples (0: all), in their order; returns how many were dropped. A larger limit keeps all that
/// a smaller one keeps.
pub(super) fn limit(samples: &mut Vec<Sample>, limit: usize, by: LimitBy) -> usize {
    if limit == 0 || samples.len() <= limit {
        return 0;
    }
    let mut order: Vec<usize> = (0..samples.len()).collect();
    match by {
        LimitBy::Order => {}
        LimitBy::Hash => order.sort_by_key(|index| Digest::of(samples[*index].id.as_bytes())),
        LimitBy::Shortest => {
            order.sort_by_key(|index| question_chars(&samples[*index]) + tools_chars(&samples[*index]))
        }
    }
    let kept: BTreeSet<usize> = order.into_iter().take(limit).collect();
    let before = samples.len();
    let mut index = 0;
    samples.retain(|_| {
        index += 1;
        kept.contains(&(index - 1))
    });
    before - samples.len()
}

/// Returns how many samples each category has.
pub(super) fn by_category(samples: &[Sample]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        *counts.entry(sample.category.as_str()).or_insert(0) += 1;
    }
    counts
}
