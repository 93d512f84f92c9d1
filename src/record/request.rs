//! What one attempt of a stage is told: everything, in one file.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::base::{ArtifactType, Digest, Seed, Value};

/// Format version of [`StageRequest`].
pub const REQUEST_FORMAT: u32 = 1;

/// The request that the engine writes to `request.json` in an attempt's folder. The same file serves a local child process
/// and a job on another machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageRequest {
    /// Format version.
    pub schema_version: u32,
    /// The stage as people see it: `train[2]`.
    pub stage: String,
    /// The kind: `grpo`.
    pub kind: String,
    /// The resolved key.
    pub key: Digest,
    /// Every parameter, defaults filled in. `file` parameters are not here but in `files`.
    pub params: BTreeMap<String, Value>,
    /// Input artifacts by port, read-only; several per port only where the port is `many`.
    pub inputs: BTreeMap<String, Vec<InputArtifact>>,
    /// Declared files and `file` / `source = "path:…"` parameters, by file or parameter name, as paths.
    pub files: BTreeMap<String, Utf8PathBuf>,
    /// Where each output is to be left.
    pub outputs: BTreeMap<String, OutputSlot>,
    /// A folder that outlives a killed attempt of the same key: for checkpoints.
    pub scratch: Utf8PathBuf,
    /// The seed; 0 for stages that draw nothing.
    pub seed: Seed,
    /// How many threads the stage may use. Results must not depend on it.
    pub threads: usize,
    /// The memory that the stage asked for, in GB (10⁹ bytes). Results must not depend on it.
    #[serde(default)]
    pub memory_gb: Option<f64>,
    /// The project's folder, which programs that the stage starts are looked for in. Results must not depend on it.
    #[serde(default)]
    pub project: Utf8PathBuf,
    /// Whether programs that run a model's calls may run without a sandbox where there is none.
    #[serde(default)]
    pub allow_unsandboxed: bool,
}

/// One input artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputArtifact {
    /// The name of where it comes from: `evaluate @ kl=on`.
    pub label: String,
    /// Its type.
    #[serde(rename = "type")]
    pub artifact_type: ArtifactType,
    /// Its content digest.
    pub digest: Digest,
    /// Where it lies: a file, or a folder for `model` and `folder`.
    pub path: Utf8PathBuf,
}

/// Where one output is to be left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSlot {
    /// Its type.
    #[serde(rename = "type")]
    pub artifact_type: ArtifactType,
    /// The file to write, or the folder (which exists) to fill.
    pub path: Utf8PathBuf,
}
