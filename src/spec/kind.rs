//! What a stage kind is: the checked form of a `stage.toml`, and the set of kinds that a pipeline can use.

use std::{collections::BTreeMap, fmt, ops::Deref, ops::Range, sync::Arc};

use crate::{
    base::{ArtifactType, Diagnostic, Digest, SourceText, Value},
    spec::{COMMAND_KIND, Resources},
};

/// The checked form of one `stages/KIND/stage.toml`.
#[derive(Clone, Debug)]
pub struct KindManifest {
    /// The kind's name: the name of its folder.
    pub name: String,
    /// Raised by hand when the same inputs give other outputs; part of the key.
    pub revision: u32,
    /// What it does, in one sentence.
    pub summary: String,
    /// Whether it draws at random: the seed is part of the key.
    pub seeded: bool,
    /// Whether device kind and number type are part of the key.
    pub numerics: bool,
    /// What a stage of this kind takes unless the pipeline says otherwise.
    pub resources: Resources,
    /// Files beside `stage.toml` that are part of the key.
    pub files: Vec<String>,
    /// The program, for external kinds; `None` for built-in ones and for the generic kind `command`.
    pub command: Option<Vec<String>>,
    /// Input ports.
    pub inputs: BTreeMap<String, InputPort>,
    /// Output ports.
    pub outputs: BTreeMap<String, OutputPort>,
    /// Parameters.
    pub parameters: BTreeMap<String, Parameter>,
    pub(super) source: SourceText,
    /// Where the manifest names a file that must lie beside it.
    pub(super) file_spans: Vec<(String, Range<usize>)>,
}

impl KindManifest {
    /// Returns whether this is the generic kind `command`, whose stages bring their own ports.
    pub fn is_command(&self) -> bool {
        self.name == COMMAND_KIND
    }

    /// Returns the files that must lie beside `stage.toml`: the declared ones, those of choices, and the defaults of `file`
    /// parameters.
    pub fn needed_files(&self) -> impl Iterator<Item = &str> {
        self.file_spans.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the text that the manifest was read from.
    pub fn source(&self) -> &SourceText {
        &self.source
    }

    /// Returns the manifest of the generic kind `command`.
    fn generic_command() -> Self {
        Self {
            name: COMMAND_KIND.to_owned(),
            revision: 1,
            summary: "Runs a program of yours.".to_owned(),
            seeded: false,
            numerics: false,
            resources: Resources::default(),
            files: Vec::new(),
            command: None,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            parameters: BTreeMap::new(),
            source: SourceText::new("built-in kind `command`", ""),
            file_spans: Vec::new(),
        }
    }
}

/// An input port of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct InputPort {
    /// What it takes.
    pub artifact_type: ArtifactType,
    /// What it is for.
    pub doc: String,
    /// Whether a stage may leave it unconnected.
    pub optional: bool,
    /// Whether it takes any number of artifacts, each with a label.
    pub many: bool,
    /// Whether the stage uses the label of its one artifact, too, so that it is part of the key.
    pub labelled: bool,
}

/// An output port of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputPort {
    /// What it gives.
    pub artifact_type: ArtifactType,
    /// What it is.
    pub doc: String,
    /// The parameter that must be given for the output to exist; without one, it always does.
    pub when: Option<String>,
}

/// A parameter of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Which values it takes.
    pub parameter_type: ParameterType,
    /// Of a choice: the keys of which a table may stand instead of one of the values, with exactly one of them.
    pub tables: Vec<String>,
    /// Of a map: the keys that it takes, a key of a map inside it as `outer.inner`; none named: any.
    pub keys: Vec<String>,
    /// The value where a stage gives none.
    pub default: Option<Value>,
    /// Whether it may be absent altogether.
    pub optional: bool,
    /// The least number allowed.
    pub min: Option<f64>,
    /// The greatest number allowed.
    pub max: Option<f64>,
    /// What it is measured in: `tokens`.
    pub unit: Option<String>,
    /// What it means.
    pub doc: String,
    /// Whether it takes the 1-based iteration number in a loop unless set by hand.
    pub bind_round: bool,
    /// Files beside `stage.toml` that are part of the key where it has a value: by value.
    pub files: BTreeMap<String, Vec<String>>,
}

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A number; a whole number is taken for one.
    Float,
    /// A text.
    Text,
    /// One of the listed texts.
    Choice(Vec<String>),
    /// A list of anything.
    List,
    /// A map of anything.
    Map,
    /// A file: its bytes are part of the key, its path is not.
    File,
    /// `path:REL` (its content is part of the key), or `pip:`, `hf:`, `url:`, `suite:` (the text is).
    Source,
}

impl ParameterType {
    /// Returns the word for the type in a `stage.toml`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "string",
            Self::Choice(_) => "choice",
            Self::List => "list",
            Self::Map => "map",
            Self::File => "file",
            Self::Source => "source",
        }
    }
}

/// The bytes of a file that belongs to a kind, with their digest. Cloning shares the bytes.
#[derive(Clone)]
pub struct KindFile {
    bytes: Bytes,
    digest: Digest,
}

#[derive(Clone)]
enum Bytes {
    Embedded(&'static [u8]),
    Read(Arc<[u8]>),
}

impl KindFile {
    /// Wraps bytes that are part of the binary.
    pub fn embedded(bytes: &'static [u8]) -> Self {
        Self { digest: Digest::of(bytes), bytes: Bytes::Embedded(bytes) }
    }

    /// Wraps bytes that were read from a project's own kind.
    pub fn read(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::of(&bytes), bytes: Bytes::Read(bytes) }
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Deref for KindFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Embedded(bytes) => bytes,
            Bytes::Read(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for KindFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for KindFile {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for KindFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KindFile({} bytes, {})", self.len(), self.digest.short())
    }
}

/// A kind with its files.
#[derive(Clone, Debug)]
pub struct Kind {
    /// What it is.
    pub manifest: Arc<KindManifest>,
    /// The files of [`KindManifest::needed_files`], by the name written in the manifest.
    pub files: BTreeMap<String, KindFile>,
}

/// The kinds that a pipeline can use, by name. The generic kind `command` is always among them.
#[derive(Clone, Debug)]
pub struct Kinds {
    kinds: BTreeMap<String, Arc<Kind>>,
}

impl Default for Kinds {
    fn default() -> Self {
        Self::new()
    }
}

impl Kinds {
    /// Returns the set that holds `command` only.
    pub fn new() -> Self {
        let command = Kind { manifest: Arc::new(KindManifest::generic_command()), files: BTreeMap::new() };
        Self { kinds: BTreeMap::from([(COMMAND_KIND.to_owned(), Arc::new(command))]) }
    }

    /// Adds a kind; one of the same name added before is replaced, so that a project overrides shipped kinds.
    ///
    /// # Errors
    /// A file that the manifest names is not among `files`.
    pub fn insert(&mut self, manifest: KindManifest, files: BTreeMap<String, KindFile>) -> Result<(), Vec<Diagnostic>> {
        let missing: Vec<Diagnostic> = manifest
            .file_spans
            .iter()
            .filter(|(name, _)| !files.contains_key(name))
            .map(|(name, span)| Diagnostic {
                code: "missing-file",
                message: format!(
                    "kind `{}` names the file `{name}`, which is not beside its `stage.toml`",
                    manifest.name
                ),
                source: manifest.source.clone(),
                span: span.clone(),
                label: None,
                help: None,
            })
            .collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        self.kinds.insert(manifest.name.clone(), Arc::new(Kind { manifest: Arc::new(manifest), files }));
        Ok(())
    }

    /// Returns the kind called `name`.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name).map(AsRef::as_ref)
    }

    pub(super) fn shared(&self, name: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(name)
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// Returns the kinds, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values().map(AsRef::as_ref)
    }
}
