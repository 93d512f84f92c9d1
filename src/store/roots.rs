//! What garbage collection keeps: found without a lock first, then again, for what changed, under the store lock.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use camino::Utf8Path;

use crate::{
    base::{Digest, RunId},
    record::ResultManifest,
    store::{
        GcOptions, RunInfo, StoreError,
        disk::Stamp,
        layout::result_key,
        open::Shared,
        pins,
        results::blobs,
        runs,
        session::{self, Use},
        time,
    },
};

/// The runs, split into those that stay and those that go.
#[derive(Debug, Default)]
pub(super) struct Runs {
    pub(super) kept: Vec<RunInfo>,
    pub(super) doomed: Vec<RunInfo>,
}

/// Decides about runs. The newest run of each pipeline stays in any case.
pub(super) fn choose(runs: Vec<RunInfo>, options: &GcOptions, now: f64) -> Runs {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut chosen = Runs::default();
    for run in runs.into_iter().rev() {
        let newer = seen.entry(run.pipeline.clone()).or_default();
        let many = options.keep_runs.is_some_and(|keep| *newer >= keep);
        let old = options.older_than.is_some_and(|age| now - run.started_at > age.as_secs_f64());
        let doomed = *newer > 0 && (many || old);
        *newer += 1;
        if doomed { chosen.doomed.push(run) } else { chosen.kept.push(run) }
    }
    chosen.kept.reverse();
    chosen.doomed.reverse();
    chosen
}

/// What is kept, as far as it was looked at.
#[derive(Default)]
pub(super) struct Roots {
    pub(super) doomed: BTreeSet<RunId>,
    /// What each kept run used, with the sizes of the files that say so.
    used: BTreeMap<RunId, (Vec<Option<u64>>, Vec<Digest>)>,
    /// Results that were there at the first look; later ones are kept.
    first: Option<HashSet<Digest>>,
    manifests: BTreeMap<Digest, Arc<ResultManifest>>,
    /// Results and blobs that stay.
    pub(super) results: BTreeSet<Digest>,
    pub(super) blobs: HashSet<Digest>,
    pub(super) dead_results: BTreeSet<Digest>,
}

impl Roots {
    pub(super) fn new(shared: &Shared, options: &GcOptions) -> Result<(Self, Runs), StoreError> {
        let mut chosen = choose(runs::list(&shared.layout)?, options, time::now_seconds());
        let alive: BTreeSet<String> = session::find_all(&shared.layout)?
            .into_iter()
            .filter(|session| session.uses.is_some())
            .map(|session| session.name)
            .collect();
        let (running, doomed) = chosen.doomed.into_iter().partition(|run| alive.contains(&run.session));
        chosen.doomed = doomed;
        chosen.kept.extend::<Vec<_>>(running);
        let doomed = chosen.doomed.iter().map(|run| run.id.clone()).collect();
        Ok((Self { doomed, ..Self::default() }, chosen))
    }

    /// Looks at everything that may have changed since the last look.
    pub(super) fn look(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let mut wanted: HashSet<Digest> = HashSet::new();
        let mut kept_runs: HashSet<RunId> = HashSet::new();
        for run in runs::list(&shared.layout)? {
            if !self.doomed.contains(&run.id) {
                wanted.extend(self.used_by(&run.path, &run.id)?);
                kept_runs.insert(run.id);
            }
        }
        self.blobs.clear();
        let mut pinned = HashSet::new();
        for pin in pins::list(&shared.layout)? {
            wanted.extend(pin.results);
            self.blobs.extend(&pin.artifacts);
            pinned.extend(pin.artifacts);
        }
        for item in session::find_all(&shared.layout)?.into_iter().filter_map(|session| session.uses).flatten() {
            match item {
                Use::Result(key) => drop(wanted.insert(key)),
                Use::Blob(digest) => drop(self.blobs.insert(digest)),
            }
        }

        self.load_manifests(shared)?;
        self.results.clear();
        self.dead_results.clear();
        let first = self.first.get_or_insert_with(|| self.manifests.keys().copied().collect());
        for (key, manifest) in &self.manifests {
            let live = wanted.contains(key)
                || kept_runs.contains(manifest.run_id.as_str())
                || manifest.outputs.values().any(|output| pinned.contains(&output.digest))
                || !first.contains(key);
            if live {
                self.results.insert(*key);
                self.blobs.extend(manifest.outputs.values().flat_map(blobs).map(|(digest, _)| *digest));
            } else {
                self.dead_results.insert(*key);
            }
        }
        Ok(())
    }

    /// Keeps the results that have died since `candidates` were found, and their blobs: they are for the next collection.
    pub(super) fn spare_all_but(&mut self, candidates: &BTreeSet<Digest>) {
        let spared: Vec<Digest> = self.dead_results.difference(candidates).copied().collect();
        for key in spared {
            self.dead_results.remove(&key);
            self.results.insert(key);
            if let Some(manifest) = self.manifests.get(&key) {
                self.blobs.extend(manifest.outputs.values().flat_map(blobs).map(|(digest, _)| *digest));
            }
        }
    }

    fn used_by(&mut self, folder: &Utf8Path, run: &RunId) -> Result<Vec<Digest>, StoreError> {
        let size = |name: &str| Ok(Stamp::at(&folder.join(name))?.map(|stamp| stamp.size));
        let sizes = ["journal.jsonl", "uses.txt"].into_iter().map(size).collect::<Result<Vec<_>, StoreError>>()?;
        if let Some((then, keys)) = self.used.get(run)
            && *then == sizes
        {
            return Ok(keys.clone());
        }
        let keys = runs::used_keys(folder)?;
        self.used.insert(run.clone(), (sizes, keys.clone()));
        Ok(keys)
    }

    /// Reads manifests, again where they changed. A damaged one is `verify`'s business: it is neither kept for nor removed.
    fn load_manifests(&mut self, shared: &Shared) -> Result<(), StoreError> {
        self.manifests.clear();
        for name in crate::store::disk::names(&shared.layout.results())? {
            let Some(key) = result_key(&name) else { continue };
            match shared.manifest(&key) {
                Ok(Some(manifest)) => drop(self.manifests.insert(key, manifest)),
                Ok(None) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// How long a scratch folder waits for its key to be tried again.
pub(super) const SCRATCH_AGE: Duration = Duration::from_secs(14 * 24 * 3600);
