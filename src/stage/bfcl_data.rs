//! What the kinds that know BFCL have in common: the benchmark as a stage's source has it, the names of its categories, what
//! becomes of thoughts.

use serde::Deserialize;

use crate::{
    stage::{Fetched, StageCtx, StageError, prepare_data},
    tools::bfcl::{Category, questions::Files, scores::results},
};

/// What becomes of thoughts in answers: the parameter `reasoning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::stage) enum Reasoning {
    /// They are part of the answer.
    Keep,
    /// They are kept beside it.
    Split,
}

impl Reasoning {
    /// Returns the answer and the thought of what a model said.
    pub(in crate::stage) fn split(self, text: &str) -> (&str, Option<&str>) {
        match self {
            Self::Keep => (text, None),
            Self::Split => results::split_thought(text),
        }
    }
}

/// The benchmark.
pub(in crate::stage) struct Benchmark {
    /// Where it lies.
    pub(in crate::stage) fetched: Fetched,
    /// Its data files: path and text.
    texts: Vec<(String, String)>,
}

impl Benchmark {
    /// Fetches what the parameters `source`, `member` and `digest` say.
    ///
    /// # Errors
    /// Those of [`StageCtx::fetch`]; [`StageError::Data`] for a source without data files.
    pub(in crate::stage) fn fetch(context: &mut StageCtx) -> Result<Self, StageError> {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let (member, digest) = (given(context.param("member")?), given(context.param("digest")?));
        let fetched = context.fetch("source", member.as_deref(), digest.as_deref())?;
        let texts = prepare_data::texts(context, &fetched)?;
        Ok(Self { fetched, texts })
    }

    /// Returns its files.
    pub(in crate::stage) fn files(&self) -> Files<'_> {
        Files::new(self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }
}

/// Reads the parameter `categories`: those of `known` that it names, each once. `kind` is what they are called in messages.
///
/// # Errors
/// [`StageError::Parameter`] for a name that is none of them.
pub(in crate::stage) fn categories(
    context: &StageCtx,
    kind: &str,
    known: impl Fn(Category) -> bool,
) -> Result<Vec<Category>, StageError> {
    let known: Vec<Category> = Category::ALL.into_iter().filter(|category| known(*category)).collect();
    let mut wanted = Vec::new();
    for name in context.param::<Vec<String>>("categories")? {
        let Some(category) = known.iter().find(|category| category.as_str() == name) else {
            let names: Vec<&str> = known.iter().map(|category| category.as_str()).collect();
            let reason = format!("`{name}` is no {kind} of BFCL; expected some of: {}", names.join(", "));
            return Err(StageError::parameter("categories", reason));
        };
        if !wanted.contains(category) {
            wanted.push(*category);
        }
    }
    Ok(wanted)
}
