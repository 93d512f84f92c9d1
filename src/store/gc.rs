//! Garbage collection.
//!
//! **What stays.** Everything that a kept run used or made: the results named in its journal and `uses.txt`, those that
//! carry its name, and their blobs. Every run is kept unless the options drop it; the newest run of each pipeline, and
//! every run whose process is alive, is kept in any case. Further, what a pin names, and what any process that has the
//! store open for writing relies on: see `session`.
//!
//! **What goes.** Other results and blobs, the folders of dropped runs, and leftovers of dead processes below `tmp/`:
//! temporary files, attempts, scratch folders of results that exist or that nobody tried again for two weeks.
//! `quarantine/` is left to people.
//!
//! **Order.** Roots and candidates are found without a lock; then, under the store lock held alone, what changed is
//! looked at again and only candidates that are still dead are deleted: manifests first, then, when their removal is
//! durable, blobs. A crash in between leaves blobs without a name for the next collection.

use std::{collections::BTreeSet, time::Duration};

use serde::Serialize;

use crate::{
    base::{Digest, RunId},
    store::{
        FaultPoint, StoreError,
        disk::{self, Stamp},
        objects::{self, Object},
        open::Shared,
        roots::{Roots, SCRATCH_AGE},
        session, time,
    },
};

/// What garbage collection may drop. The default keeps whatever any run used.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Format version.
    pub schema_version: u32,
    /// Whether nothing was really removed.
    pub dry_run: bool,
    /// Runs that stay.
    pub kept_runs: usize,
    /// Runs removed, oldest first.
    pub removed_runs: Vec<RunId>,
    /// Results that stay.
    pub kept_results: usize,
    /// Keys of results removed.
    pub removed_results: Vec<Digest>,
    /// Blobs that stay.
    pub kept_blobs: usize,
    /// Bytes of the blobs that stay.
    pub kept_bytes: u64,
    /// Blobs removed.
    pub removed_blobs: usize,
    /// Leftovers of dead processes removed.
    pub removed_leftovers: usize,
    /// Bytes set free: of blobs, runs and leftovers.
    pub freed_bytes: u64,
}

pub(super) fn collect(shared: &Shared, options: &GcOptions) -> Result<GcReport, StoreError> {
    let (mut roots, runs) = Roots::new(shared, options)?;
    // Blobs are listed before the results that might name them are read, so a blob that came later is no candidate.
    let (objects, _) = objects::list(&shared.layout)?;
    roots.look(shared)?;
    let mut report = GcReport {
        schema_version: 1,
        dry_run: options.dry_run,
        kept_runs: runs.kept.len(),
        removed_runs: runs.doomed.iter().map(|run| run.id.clone()).collect(),
        ..GcReport::default()
    };
    if options.dry_run {
        count(&mut report, &roots, &objects);
    } else {
        let writer = shared.writer("collect garbage")?;
        let guard = writer.lock.exclusive()?;
        let candidates = roots.dead_results.clone();
        roots.look(shared)?;
        roots.spare_all_but(&candidates);
        count(&mut report, &roots, &objects);
        sweep(shared, &roots, &objects)?;
        drop(guard);
        let _ = shared.index.forget(&report.removed_results);
    }
    for run in &runs.doomed {
        report.freed_bytes += disk::tree_bytes(&run.path);
        if !options.dry_run {
            disk::remove_tree(&run.path)?;
        }
    }
    remove_leftovers(shared, options.dry_run, &mut report)?;
    Ok(report)
}

fn count(report: &mut GcReport, roots: &Roots, objects: &[Object]) {
    report.kept_results = roots.results.len();
    report.removed_results = roots.dead_results.iter().copied().collect();
    for object in objects {
        if roots.blobs.contains(&object.digest) {
            report.kept_blobs += 1;
            report.kept_bytes += object.stamp.size;
        } else {
            report.removed_blobs += 1;
            report.freed_bytes += object.stamp.size;
        }
    }
}

/// Deletes what is dead. The store lock is held alone.
fn sweep(shared: &Shared, roots: &Roots, objects: &[Object]) -> Result<(), StoreError> {
    if !roots.dead_results.is_empty() {
        for key in &roots.dead_results {
            disk::remove_file(&shared.layout.result(key))?;
        }
        disk::sync(&shared.layout.results())?;
    }
    let fault = |point| shared.faults.at(point).map_err(StoreError::io("collect garbage in", shared.layout.root()));
    fault(FaultPoint::DeadResultsRemoved)?;
    for object in objects.iter().filter(|object| !roots.blobs.contains(&object.digest)) {
        disk::remove_file(&shared.layout.object(&object.digest))?;
        fault(FaultPoint::DeadBlobRemoved)?;
    }
    Ok(())
}

/// Removes what dead processes left below `tmp/`.
fn remove_leftovers(shared: &Shared, dry_run: bool, report: &mut GcReport) -> Result<(), StoreError> {
    let mut leftovers = BTreeSet::new();
    {
        // A session is made under a share of this lock, so one without a locked file is dead, not unborn.
        let guard = shared.writer.as_ref().filter(|_| !dry_run).map(|writer| writer.lock.exclusive()).transpose()?;
        for found in session::find_all(&shared.layout)?.into_iter().filter(|found| found.uses.is_none()) {
            let target = if dry_run {
                found.folder
            } else {
                // Given a name of ours first: deleting it may take long.
                let aside = shared.layout.tmp().join(format!("0-dead-{}", found.name));
                match fs_err::rename(&found.folder, &aside) {
                    Ok(()) => aside,
                    // Its owner was just closing.
                    Err(error) if disk::is_absent(&error) => continue,
                    Err(error) => return Err(StoreError::io("remove", &found.folder)(error)),
                }
            };
            leftovers.insert(target);
        }
        drop(guard);
    }
    for name in disk::names(&shared.layout.scratches())? {
        let path = shared.layout.scratches().join(&name);
        let Ok(key) = name.parse::<Digest>() else { continue };
        let age = Stamp::at(&path)?.map_or(0, |stamp| time::now_ns() - stamp.mtime_ns);
        let old = age > i128::try_from(SCRATCH_AGE.as_nanos()).unwrap_or(i128::MAX);
        let made = Stamp::at(&shared.layout.result(&key))?.is_some();
        if !made && !old {
            continue;
        }
        match &shared.writer {
            Some(writer) if !dry_run => {
                // Not while somebody works on the key.
                if let Some(lock) = writer.keys.try_lock(&key)? {
                    report.freed_bytes += disk::tree_bytes(&path);
                    report.removed_leftovers += 1;
                    disk::remove_tree(&path)?;
                    drop(lock);
                }
            }
            _ => drop(leftovers.insert(path)),
        }
    }
    for path in leftovers {
        report.freed_bytes += disk::tree_bytes(&path);
        report.removed_leftovers += 1;
        if !dry_run {
            disk::remove_tree(&path)?;
        }
    }
    Ok(())
}
