//! Runs and their journals.

use camino::Utf8PathBuf;

use crate::{
    base::{Digest, RunId},
    record::RunEvent,
    store::StoreError,
};

/// The folder of a run in progress.
#[derive(Debug)]
pub struct RunFolder {
    /// The run's name.
    pub id: RunId,
    /// `runs/<run-id>`.
    pub path: Utf8PathBuf,
    /// Its journal.
    pub journal: Journal,
}

impl RunFolder {
    /// Notes results that the run uses, so that garbage collection keeps them as long as the run.
    pub fn record_uses(&self, _keys: &[Digest]) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Returns `logs/`.
    pub fn logs(&self) -> Utf8PathBuf {
        self.path.join("logs")
    }
}

/// An append-only list of what happened in a run.
#[derive(Debug)]
pub struct Journal {}

impl Journal {
    /// Appends an event in one write.
    pub fn append(&self, _event: &RunEvent) -> Result<(), StoreError> {
        unimplemented!()
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalLine {
    /// When: seconds since the epoch.
    pub at: f64,
    /// What.
    pub event: RunEvent,
}

/// What is known of a run without reading its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInfo {
    /// The run's name.
    pub id: RunId,
    /// The pipeline that ran; empty if its `run.json` was lost.
    pub pipeline: String,
    /// When it began: seconds since the epoch.
    pub started_at: f64,
    /// Its folder.
    pub path: Utf8PathBuf,
}
