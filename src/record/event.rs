//! What stages and runs say while they work, as JSON lines.

use serde::{Deserialize, Serialize};

use crate::{
    base::{Digest, RunId},
    record::{RunStatus, StageReport},
};

/// What a stage process says: one JSON object a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum StageEvent {
    /// How far it is.
    Progress {
        /// Items done.
        done: u64,
        /// Items in all, if known.
        total: Option<u64>,
        /// What an item is: `rollouts`.
        unit: String,
        /// Tokens worked through so far, if it counts tokens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
    },
    /// A number worth following: `reward`.
    Metric {
        /// Its name.
        name: String,
        /// The step it belongs to.
        step: u64,
        /// Its value.
        value: f64,
    },
    /// A line for the log.
    Log {
        /// The line.
        message: String,
    },
    /// A fact fixed at the first execution that later ones must meet again: `source-digest`. It goes to
    /// [`ResultManifest::pinned`](crate::record::ResultManifest::pinned).
    Fact {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// What the engine says about a run. Listeners (progress bars, the journal, plain lines) make of it what they like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// The run began.
    Started {
        /// Its name.
        run_id: RunId,
        /// Stages in the graph.
        stages: usize,
    },
    /// A stage's attempt began.
    StageStarted {
        /// The stage as people see it.
        stage: String,
        /// Its kind.
        kind: String,
        /// Its resolved key.
        key: Digest,
        /// Why it runs and is not a hit.
        reason: String,
    },
    /// A running stage said something.
    Stage {
        /// The stage as people see it.
        stage: String,
        /// What it said.
        said: StageEvent,
    },
    /// Another run holds the stage's key; this one waits for its result.
    StageWaiting {
        /// The stage as people see it.
        stage: String,
        /// The key.
        key: Digest,
    },
    /// A stage ended, in whatever way.
    StageEnded {
        /// How.
        report: StageReport,
    },
    /// The run is stopping: no new stage begins.
    Stopping {
        /// Why.
        reason: String,
    },
    /// The run ended.
    Ended {
        /// How.
        status: RunStatus,
        /// Wall time in seconds.
        seconds: f64,
    },
}
