//! The checked form of a pipeline file: every name resolved, every value typed.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use camino::Utf8PathBuf;

use crate::{
    base::{ArtifactType, SourceText, Value},
    spec::{Kind, KindFile, KindManifest, Resources},
};

/// A pipeline file without mistakes.
#[derive(Clone, Debug)]
pub struct Spec {
    pub(super) source: SourceText,
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) stages: Vec<Arc<Stage>>,
    pub(super) loops: Vec<Loop>,
    /// Sorted by name, so that the order of tables in the file decides nothing.
    pub(super) ablations: Vec<Ablation>,
}

impl Spec {
    /// Returns the pipeline's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the text it was read from.
    pub fn source(&self) -> &SourceText {
        &self.source
    }

    /// Returns the names of the stages, in the order of the file.
    pub fn stage_names(&self) -> impl Iterator<Item = &str> {
        self.stages.iter().map(|stage| stage.name.as_str())
    }

    /// Returns the kinds that the stages use, sorted, each once.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<KindManifest>> {
        let kinds: BTreeMap<&str, &Arc<KindManifest>> =
            self.stages.iter().map(|stage| (stage.kind.manifest.name.as_str(), &stage.kind.manifest)).collect();
        kinds.into_values()
    }

    /// Returns each ablation's name with the labels of its variants, the baseline first.
    pub fn ablations(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.ablations
            .iter()
            .map(|it| (it.name.as_str(), it.variants.iter().map(|variant| variant.label.as_str()).collect()))
    }
}

/// One stage of the file.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// The loop that it stands in.
    pub(crate) owner: Option<usize>,
    pub(crate) kind: Arc<Kind>,
    /// Whether it looks across variants: instantiated once.
    pub(crate) global: bool,
    /// Whether the seed is part of its key.
    pub(crate) seeded: bool,
    /// Parameters with defaults filled in, sorted by name.
    pub(crate) settings: Vec<Setting>,
    /// Inputs, sorted by port.
    pub(crate) needs: Vec<Need>,
    /// All outputs, those with a [`Stage::condition`] too.
    pub(crate) outputs: BTreeMap<String, ArtifactType>,
    pub(crate) publish: BTreeMap<String, Utf8PathBuf>,
    pub(crate) resources: Resources,
    pub(crate) command: Option<Vec<String>>,
    /// Files of a `command` stage, in the order of the file.
    pub(crate) files: Vec<StageFile>,
    /// The environment variables that it names itself, sorted.
    pub(crate) env: Option<Vec<String>>,
}

impl Stage {
    /// Returns the parameter that must be given for the output `port` to exist, if there is one.
    pub(crate) fn condition(&self, port: &str) -> Option<&str> {
        self.kind.manifest.outputs.get(port)?.when.as_deref()
    }

    /// Returns the parameter that the output `port` lacks to exist, variants aside.
    pub(super) fn lacks(&self, port: &str) -> Option<&str> {
        self.condition(port).filter(|name| !self.settings.iter().any(|setting| setting.name == **name))
    }
}

/// A file that a `command` stage brings along.
#[derive(Clone, Debug)]
pub(crate) struct StageFile {
    /// Relative to the pipeline file.
    pub(crate) path: Utf8PathBuf,
    /// Relative to the stage's working directory.
    pub(crate) at: Utf8PathBuf,
    pub(crate) span: Range<usize>,
}

/// One parameter of one stage.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: SettingValue,
    pub(crate) span: Range<usize>,
    /// The text that `span` belongs to, where that is not the pipeline file.
    pub(crate) source: Option<SourceText>,
}

/// What a parameter is set to.
#[derive(Clone, Debug)]
pub(crate) enum SettingValue {
    /// The same in every iteration.
    Fixed(Given),
    /// Iteration i takes the i-th, the last one repeats. Not empty.
    PerRound(Vec<Given>),
    /// The iteration number.
    Round,
}

impl SettingValue {
    /// Returns the value in iteration `iteration` (1-based).
    pub(crate) fn at(&self, iteration: u32) -> std::borrow::Cow<'_, Given> {
        match self {
            Self::Fixed(given) => std::borrow::Cow::Borrowed(given),
            Self::PerRound(items) => std::borrow::Cow::Borrowed(&items[(iteration as usize - 1).min(items.len() - 1)]),
            Self::Round => std::borrow::Cow::Owned(Given::Plain(Value::Int(i64::from(iteration)))),
        }
    }
}

/// A value of the right type.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// A plain value.
    Plain(Value),
    /// A `file` parameter's path, relative to the pipeline file.
    File(Utf8PathBuf),
    /// A `source` parameter's local path, relative to the pipeline file.
    SourcePath(Utf8PathBuf),
    /// A `file` parameter's default: a file of the kind.
    KindFile(KindFile),
}

/// One input port of one stage.
#[derive(Clone, Debug)]
pub(crate) struct Need {
    pub(crate) port: String,
    pub(crate) many: bool,
    pub(crate) sources: Vec<Origin>,
}

/// Where an input comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) target: Target,
    pub(crate) index: Index,
    pub(crate) across: Across,
    /// The name that the artifact has among many, without iteration and variant.
    pub(crate) label: String,
    pub(crate) span: Range<usize>,
}

/// What an input comes from.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// An output port of a stage.
    Output { stage: usize, port: String },
    /// An artifact carried by a loop.
    Carry { owner: usize, carry: usize },
}

/// Which iteration of a looped stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// The current one inside the loop, the last one outside.
    Plain,
    /// The given one.
    One(u32),
    /// All of them.
    All,
}

/// Which variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Across {
    /// The stage's own variant.
    Own,
    /// Every selected variant.
    All,
    /// The variant with this label.
    One(String),
}

/// One loop of the file.
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    pub(crate) times: u32,
    pub(crate) carries: Vec<Carry>,
}

/// An artifact handed from one iteration to the next.
#[derive(Clone, Debug)]
pub(crate) struct Carry {
    /// What iteration 1 gets: from outside the loop.
    pub(crate) first: Origin,
    /// What later ones get: from inside the loop, one iteration before.
    pub(crate) next: Origin,
}

/// A named comparison.
#[derive(Clone, Debug)]
pub(crate) struct Ablation {
    pub(crate) name: String,
    /// The baseline first, then in an order that does not depend on the order of tables and keys in the file.
    pub(crate) variants: Vec<AblationVariant>,
}

/// One variant of a named comparison.
#[derive(Clone, Debug)]
pub(crate) struct AblationVariant {
    pub(crate) label: String,
    pub(crate) changes: Vec<Change>,
}

/// What a variant or `--set` changes.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A parameter of a stage.
    Setting { stage: usize, setting: Setting },
    /// How often a loop runs.
    Times { owner: usize, times: u32 },
    /// The pipeline's seed.
    Seed(u64),
}
