//! Why a key is new: the leaves in which two keys differ.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::record::{Ingredient, ResultManifest};

/// One leaf in which two keys differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The leaf: `param.kl-beta`.
    pub leaf: String,
    /// Its value before; `None`: it was not there.
    pub old: Option<String>,
    /// Its value now; `None`: it is gone.
    pub new: Option<String>,
}

impl fmt::Display for Change {
    /// Writes `param.kl-beta changed: 0.0 → 0.04`, digests shortened.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaf = &self.leaf;
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(formatter, "{leaf} changed: {} → {}", shown(old), shown(new)),
            (None, Some(new)) => write!(formatter, "{leaf} is new: {}", shown(new)),
            (Some(old), None) => write!(formatter, "{leaf} is gone, was: {}", shown(old)),
            (None, None) => write!(formatter, "{leaf} is as before"),
        }
    }
}

/// Returns a value for people: a digest by its first 12 digits, a long text by its beginning.
fn shown(value: &str) -> String {
    const MOST: usize = 80;
    if value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return value[..12].to_owned();
    }
    if value.chars().count() > MOST {
        return value.chars().take(MOST - 1).chain(['…']).collect();
    }
    value.to_owned()
}

/// Returns the leaves in which the key made of `now` differs from that of `before`, in the order of the key, those that are
/// gone last.
pub fn explain(now: &[Ingredient], before: &ResultManifest) -> Vec<Change> {
    let mut old: HashMap<&str, &str> =
        before.ingredients.iter().map(|it| (it.leaf.as_str(), it.value.as_str())).collect();
    let mut changes = Vec::new();
    for Ingredient { leaf, value } in now {
        match old.remove(leaf.as_str()) {
            Some(before) if before == value => {}
            before => {
                changes.push(Change { leaf: leaf.clone(), old: before.map(str::to_owned), new: Some(value.clone()) })
            }
        }
    }
    for Ingredient { leaf, value } in &before.ingredients {
        if old.contains_key(leaf.as_str()) {
            changes.push(Change { leaf: leaf.clone(), old: Some(value.clone()), new: None });
        }
    }
    changes
}

/// Returns, of `candidates`, the one whose key differs least from the one made of `now`, with the differences; of several,
/// the first.
pub fn nearest_change(
    now: &[Ingredient],
    candidates: &[Arc<ResultManifest>],
) -> Option<(Arc<ResultManifest>, Vec<Change>)> {
    candidates.iter().map(|before| (before.clone(), explain(now, before))).min_by_key(|(_, changes)| changes.len())
}
