//! What goes between an engine and a loss: scores out of, and derivatives into, the targets of a layout.

use std::ops::Range;

use crate::lm::LmError;
use crate::lm::layout::{GroupRows, Layout};
use crate::lm::train::{PromptGroup, TokenGradients, TokenScores};

/// Returns the scores of the groups of a pass, given the log-probability of each target and the entropy of each head row.
///
/// # Errors
/// [`LmError::NotFinite`] for a log-probability.
pub(super) fn scores(
    layout: &Layout,
    range: &Range<usize>,
    groups: &[PromptGroup],
    log_probs: &[f32],
    entropies: &[f32],
) -> Result<Vec<TokenScores>, LmError> {
    let groups = layout.groups.iter().zip(&groups[range.clone()]).enumerate();
    groups
        .map(|(index, (rows, group))| group_scores(range.start + index, layout, rows, group, log_probs, entropies))
        .collect()
}

fn group_scores(
    number: usize,
    layout: &Layout,
    rows: &GroupRows,
    group: &PromptGroup,
    log_probs: &[f32],
    entropies: &[f32],
) -> Result<TokenScores, LmError> {
    let mut scores = TokenScores::default();
    let mut target = rows.targets.start;
    for (index, tokens) in group.completions.iter().enumerate() {
        let range = target..target + tokens.len();
        target = range.end;
        let log_probs = log_probs[range.clone()].to_vec();
        if let Some(token) = log_probs.iter().position(|value| !value.is_finite()) {
            return Err(LmError::NotFinite {
                what: format!("the log-probability of token {token} of completion {index} of group {number}"),
                value: f64::from(log_probs[token]),
            });
        }
        scores.log_probs.push(log_probs);
        scores.entropies.push(layout.targets[range].iter().map(|target| entropies[target.row]).collect());
    }
    Ok(scores)
}

/// Derivatives by target, in the order of [`Layout::targets`].
pub(super) struct Flat {
    pub(super) log_probs: Vec<f32>,
    pub(super) entropies: Option<Vec<f32>>,
}

impl Flat {
    /// Which groups have a derivative that is not zero.
    pub(super) fn live(&self, layout: &Layout) -> Vec<bool> {
        let live = |values: &[f32]| values.iter().any(|value| *value != 0.0);
        let groups = layout.groups.iter().map(|group| group.targets.clone());
        groups
            .map(|targets| {
                let spread = self.entropies.as_ref().is_some_and(|entropies| live(&entropies[targets.clone()]));
                live(&self.log_probs[targets]) || spread
            })
            .collect()
    }

    /// The derivatives of the groups of `keep` only.
    pub(super) fn retain(self, layout: &Layout, keep: &[bool]) -> Self {
        let pick = |values: Vec<f32>| -> Vec<f32> {
            let groups = layout.groups.iter().zip(keep).filter(|(_, keep)| **keep);
            groups.flat_map(|(group, _)| values[group.targets.clone()].iter().copied()).collect()
        };
        Self { log_probs: pick(self.log_probs), entropies: self.entropies.map(pick) }
    }
}

/// Checks the shapes and values of derivatives and lays them out by target.
pub(super) fn flatten(
    range: &Range<usize>,
    scores: &[TokenScores],
    gradients: &[TokenGradients],
) -> Result<Flat, LmError> {
    let mismatch = |what: String| LmError::Request(format!("the loss gave derivatives of another shape: {what}"));
    if gradients.len() != scores.len() {
        return Err(mismatch(format!("{} groups instead of {}", gradients.len(), scores.len())));
    }
    let mut flat = Flat { log_probs: Vec::new(), entropies: None };
    let mut entropies = Vec::new();
    let mut any = false;
    for (index, (scores, gradients)) in scores.iter().zip(gradients).enumerate() {
        let group = range.start + index;
        if gradients.log_probs.len() != scores.log_probs.len() {
            let (found, expected) = (gradients.log_probs.len(), scores.log_probs.len());
            return Err(mismatch(format!("{found} completions instead of {expected} in group {group}")));
        }
        if !gradients.entropies.is_empty() && gradients.entropies.len() != scores.log_probs.len() {
            let (found, expected) = (gradients.entropies.len(), scores.log_probs.len());
            return Err(mismatch(format!("{found} completions of entropies instead of {expected} in group {group}")));
        }
        for (completion, expected) in scores.log_probs.iter().enumerate() {
            let log_probs = &gradients.log_probs[completion];
            let spread = gradients.entropies.get(completion);
            for found in std::iter::once(log_probs).chain(spread) {
                if found.len() != expected.len() {
                    let (found, expected) = (found.len(), expected.len());
                    let place = format!("completion {completion} of group {group}");
                    return Err(mismatch(format!("{found} tokens instead of {expected} in {place}")));
                }
                if let Some(token) = found.iter().position(|value| !value.is_finite()) {
                    return Err(LmError::NotFinite {
                        what: format!(
                            "the loss's derivative at token {token} of completion {completion} of group {group}"
                        ),
                        value: f64::from(found[token]),
                    });
                }
            }
            flat.log_probs.extend_from_slice(log_probs);
            match spread {
                Some(spread) => {
                    any = true;
                    entropies.extend_from_slice(spread);
                }
                None => entropies.resize(flat.log_probs.len(), 0.0),
            }
        }
    }
    flat.entropies = any.then_some(entropies);
    Ok(flat)
}
