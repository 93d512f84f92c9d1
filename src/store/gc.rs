//! Garbage collection.

use std::time::Duration;

use serde::Serialize;

use crate::base::{Digest, RunId};

/// What garbage collection may drop. The default drops nothing that any run used.
#[derive(Clone, Debug, Default)]
pub struct GcOptions {
    /// Report only.
    pub dry_run: bool,
    /// Keep only the newest so many runs of each pipeline (at least one).
    pub keep_runs: Option<usize>,
    /// Drop runs that began longer ago than this; the newest of each pipeline stays.
    pub older_than: Option<Duration>,
}

/// What garbage collection did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GcReport {
    /// Whether nothing was really removed.
    pub dry_run: bool,
    /// Runs that stay.
    pub kept_runs: usize,
    /// Runs removed.
    pub removed_runs: Vec<RunId>,
    /// Results that stay.
    pub kept_results: usize,
    /// Results removed.
    pub removed_results: Vec<Digest>,
    /// Blobs that stay.
    pub kept_blobs: usize,
    /// Bytes of the blobs that stay.
    pub kept_bytes: u64,
    /// Blobs removed.
    pub removed_blobs: usize,
    /// Leftovers of dead processes removed: temporary files, attempts, finished scratch folders.
    pub removed_leftovers: usize,
    /// Bytes set free in all.
    pub freed_bytes: u64,
}
