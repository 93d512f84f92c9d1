//! The manifest of one result: written last, so its presence means that the result exists.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{ArtifactType, Digest};

/// Format version of [`ResultManifest`].
pub const RESULT_FORMAT: u32 = 1;

/// What `results/<key>.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultManifest {
    /// Format version.
    pub schema_version: u32,
    /// The resolved key.
    pub key: Digest,
    /// The predicted keys that led here, for rebuilding the index.
    pub predicted: Vec<Digest>,
    /// The stage as people saw it when it ran first.
    pub stage: String,
    /// The kind.
    pub kind: String,
    /// The leaves that the key was computed from, in order, so that two keys can be compared.
    pub ingredients: Vec<Ingredient>,
    /// Outputs by port.
    pub outputs: BTreeMap<String, OutputRecord>,
    /// The run that made it.
    pub run_id: String,
    /// When it was committed: seconds since the epoch.
    pub committed_at: i64,
    /// Wall time of the attempt in seconds.
    pub seconds: f64,
    /// Facts fixed at the first execution that later executions must meet again: `source-digest` → digest of what was fetched.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned: BTreeMap<String, String>,
}

/// One leaf of a key: a path such as `param.kl-beta` and its value as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingredient {
    /// Which leaf: `kind`, `revision`, `param.NAME`, `file.NAME`, `input.PORT` or `input.PORT.LABEL`, `seed`, `numerics.device`, ….
    pub leaf: String,
    /// Its value: a TOML value, or a digest.
    pub value: String,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Its type.
    #[serde(rename = "type")]
    pub artifact_type: ArtifactType,
    /// Its content digest: of the bytes for one file; of the canonical list of paths and digests for a folder.
    pub digest: Digest,
    /// Bytes in all.
    pub bytes: u64,
    /// Rows, for a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The files of a folder, in path order; empty for one file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<OutputFile>,
}

/// One file of a folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputFile {
    /// Path inside the folder, `/` between parts.
    pub path: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}
