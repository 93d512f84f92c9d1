//! From the checked file to the list of stage instances: loops unrolled, variants applied, links drawn.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use camino::Utf8PathBuf;

use crate::{
    base::{Diagnostic, Seed, SourceText, Value},
    spec::{KindFile, Spec, model::Stage},
};

/// Which ablations and variants to expand. `None` means all of them.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names of ablations.
    pub ablations: Option<Vec<String>>,
    /// Labels of variants: `kl=off`; or names, `off`, where only one ablation has them.
    pub variants: Option<Vec<String>>,
}

/// A pipeline with loops unrolled and variants listed.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The pipeline's name.
    pub pipeline: String,
    /// The selected variants; one with an empty label where the pipeline has no ablation.
    pub variants: Vec<Variant>,
    /// Which of them is the baseline that global stages' plain needs come from.
    pub baseline: usize,
    /// Every stage instance of every variant, producers before consumers.
    pub instances: Vec<Instance>,
}

/// One variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `kl=off`, `kl=off seed=1`, `clip-high=0.2 times=3`, or empty.
    pub label: String,
    /// The ablation that it belongs to.
    pub ablation: Option<String>,
}

/// One stage in one iteration and variant.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `rollout`, or `rollout[2]` in a loop.
    pub name: String,
    /// The variant that it belongs to; `None` for a global stage, which looks across variants.
    pub variant: Option<usize>,
    /// The seed, for stages whose key it is part of.
    pub seed: Option<Seed>,
    /// Parameters, defaults filled in; without `file` parameters.
    pub params: BTreeMap<String, Value>,
    /// Files by the name that the stage knows them by.
    pub files: BTreeMap<String, FileUse>,
    /// Inputs by port, in the order of the file; several only where the port takes many.
    pub inputs: BTreeMap<String, Vec<Link>>,
    /// Whether its published outputs are copied into the project: once per stage, from the last iteration of the
    /// baseline.
    pub publishes: bool,
    pub(crate) stage: Arc<Stage>,
}

/// One input of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The artifact's name among many: `evaluate @ kl=on`.
    pub label: String,
    /// The producer, as an index into [`Expanded::instances`].
    pub instance: usize,
    /// The producer's port.
    pub port: String,
}

/// A file that an instance uses.
#[derive(Clone, Debug)]
pub enum FileUse {
    /// A file or folder of the project.
    Path {
        /// Relative to the pipeline file.
        path: Utf8PathBuf,
        /// Where it stands in the stage's working directory, if anywhere.
        at: Option<Utf8PathBuf>,
        /// Where it is named.
        place: Place,
    },
    /// A file of the kind.
    Kind {
        /// Its bytes.
        file: KindFile,
        /// Where it stands in the stage's working directory, if anywhere.
        at: Option<Utf8PathBuf>,
    },
}

/// A place in a text.
#[derive(Clone, Debug)]
pub struct Place {
    /// The text.
    pub source: SourceText,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// Unrolls loops and lists variants.
///
/// # Errors
/// The selection names an ablation or variant that does not exist, leaves none, or leaves out one that a stage names.
pub fn expand(spec: &Spec, selection: &Selection) -> Result<Expanded, Vec<Diagnostic>> {
    let _ = (spec, selection);
    Err(Vec::new())
}
