//! What a run or a plan comes to: the object that `run --json` and `plan --json` end with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    base::{Digest, RunId},
    record::OutputRecord,
};

/// Format version of [`RunReport`].
pub const REPORT_FORMAT: u32 = 1;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// Every stage is a hit or ran.
    Ok,
    /// A stage failed.
    Failed,
    /// The user stopped it.
    Interrupted,
}

/// How one stage stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageStatus {
    /// Plan: its result exists.
    Hit,
    /// Plan: it would run.
    Run,
    /// Plan: its inputs are not known yet.
    Waits,
    /// Run: it was executed.
    Executed,
    /// Run: its result existed, or another run made it meanwhile.
    Cached,
    /// Run: it failed.
    Failed,
    /// Run: something it needs failed, or the run was stopped before it began.
    Skipped,
}

/// One stage of a [`RunReport`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// The stage as people see it, unlike any other of the pipeline: `train[2] @ kl=on`.
    pub id: String,
    /// Instance name without the variant: `train[2]`.
    pub name: String,
    /// The variant, if only one has this stage.
    pub variant: Option<String>,
    /// All variants that share it.
    pub variants: Vec<String>,
    /// The kind.
    pub kind: String,
    /// The resolved key, once known.
    pub key: Option<Digest>,
    /// How it stands.
    pub status: StageStatus,
    /// Why.
    pub reason: String,
    /// Wall time of the attempt in seconds; 0 where none ran.
    pub seconds: f64,
    /// Outputs by port.
    pub outputs: BTreeMap<String, OutputSummary>,
}

/// One output in a [`StageReport`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputSummary {
    /// Content digest.
    pub digest: Digest,
    /// Bytes in all.
    pub bytes: u64,
    /// Rows, for a table.
    pub rows: Option<u64>,
}

impl From<&OutputRecord> for OutputSummary {
    fn from(record: &OutputRecord) -> Self {
        Self { digest: record.digest, bytes: record.bytes, rows: record.rows }
    }
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Format version.
    pub schema_version: u32,
    /// The run.
    pub run_id: Option<RunId>,
    /// How it ended.
    pub status: RunStatus,
    /// Stages executed.
    pub executed: usize,
    /// Stages whose result existed.
    pub cached: usize,
    /// Stages that failed.
    pub failed: usize,
    /// Stages not begun.
    pub skipped: usize,
    /// Wall time inside the process, in seconds.
    pub seconds: f64,
    /// Every stage, in graph order.
    pub stages: Vec<StageReport>,
}
