//! Looking results up.
//!
//! A result is there if `results/<key>.json` is, can be read, and every blob that it names has its size. All of that is
//! looked at on each look-up, except that `prefetch` looks for the first one after it. What is remembered between two is
//! the parsed manifest, by the `stat` of its file. The index keeps manifests' bytes likewise, to save opening files.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rayon::prelude::*;

use crate::{
    base::Digest,
    record::{OutputRecord, RESULT_FORMAT, ResultManifest},
    store::{
        StoreError,
        disk::{self, Stamp},
        index::Led,
        layout::Layout,
        open::Shared,
        session::Use,
    },
};

/// How long what `prefetch` saw of blobs counts; it counts once.
const FRESH: Duration = Duration::from_secs(1);

/// Manifests read so far.
#[derive(Debug, Default)]
pub(super) struct ManifestCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    manifests: HashMap<Digest, Known>,
    /// What `prefetch` found: results of predicted keys, newest first.
    predicted: HashMap<Digest, Vec<Digest>>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    manifest: Arc<ResultManifest>,
    /// When `prefetch` saw manifest and blobs; taken by the first look-up.
    seen: Option<Instant>,
}

impl ManifestCache {
    fn cached(&self) -> MutexGuard<'_, Cached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &Digest, stamp: &Stamp) -> Option<Arc<ResultManifest>> {
        let cached = self.cached();
        cached
            .manifests
            .get(key)
            .filter(|known| known.stamp.same_content(stamp))
            .map(|known| Arc::clone(&known.manifest))
    }

    fn put(&self, stamp: Stamp, manifest: &Arc<ResultManifest>, seen: Option<Instant>) {
        self.cached().manifests.insert(manifest.key, Known { stamp, manifest: Arc::clone(manifest), seen });
    }

    /// Returns a result that `prefetch` has just seen to be whole: once.
    fn take_fresh(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        let mut cached = self.cached();
        let known = cached.manifests.get_mut(key)?;
        known.seen.take().filter(|seen| seen.elapsed() < FRESH).map(|_| Arc::clone(&known.manifest))
    }

    fn prefetched(&self, predicted: &Digest) -> Vec<Digest> {
        self.cached().predicted.get(predicted).cloned().unwrap_or_default()
    }
}

/// Parses a manifest and checks that it is the one that its name says.
///
/// # Errors
/// [`StoreError::Damaged`] if it is not.
fn parse_manifest(layout: &Layout, key: &Digest, bytes: &[u8]) -> Result<ResultManifest, StoreError> {
    let damaged = |reason| StoreError::Damaged { path: layout.result(key), reason };
    let manifest: ResultManifest = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if manifest.key == *key { Ok(manifest) } else { Err(damaged(format!("it is the manifest of {}", manifest.key))) }
}

/// Reads a manifest; `None` if there is none, or a later version of this program wrote it in a format of its own.
///
/// # Errors
/// [`StoreError::Damaged`] if it makes no sense, [`StoreError::Io`] if it cannot be read.
pub(super) fn read_manifest(
    layout: &Layout,
    key: &Digest,
) -> Result<Option<(Stamp, Vec<u8>, ResultManifest)>, StoreError> {
    let path = layout.result(key);
    let (stamp, bytes) = match disk::read(&path) {
        Ok(read) => read,
        Err(error) if disk::is_absent(&error) => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    match parse_manifest(layout, key, &bytes) {
        Ok(manifest) if manifest.schema_version == RESULT_FORMAT => Ok(Some((stamp, bytes, manifest))),
        Ok(_) => Ok(None),
        Err(_) if is_newer(&bytes) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_newer(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: u32,
    }
    serde_json::from_slice::<Version>(bytes).is_ok_and(|version| version.schema_version > RESULT_FORMAT)
}

/// Returns the blobs of an output with their sizes.
pub(super) fn blobs(output: &OutputRecord) -> impl Iterator<Item = (&Digest, u64)> {
    let single = (!output.artifact_type.is_folder()).then_some((&output.digest, output.bytes));
    single.into_iter().chain(output.files.iter().map(|file| (&file.digest, file.bytes)))
}

impl Shared {
    /// Reads a result's manifest, through the cache.
    pub(super) fn manifest(&self, key: &Digest) -> Result<Option<Arc<ResultManifest>>, StoreError> {
        let Some(stamp) = Stamp::at(&self.layout.result(key))? else { return Ok(None) };
        if let Some(manifest) = self.cache.get(key, &stamp) {
            return Ok(Some(manifest));
        }
        let Some((stamp, _, manifest)) = read_manifest(&self.layout, key)? else { return Ok(None) };
        let manifest = Arc::new(manifest);
        self.cache.put(stamp, &manifest, None);
        Ok(Some(manifest))
    }

    pub(super) fn is_blob_present(&self, digest: &Digest, bytes: u64) -> bool {
        // One that was made writable again may have been written to.
        let stamp = Stamp::at(&self.layout.object(digest)).ok().flatten();
        stamp.is_some_and(|stamp| self.is_trusted(digest, bytes, &stamp).unwrap_or(false))
    }

    pub(super) fn is_present(&self, output: &OutputRecord) -> bool {
        blobs(output).all(|(digest, bytes)| self.is_blob_present(digest, bytes))
    }

    /// Notes that this process relies on results; returns whether any was not noted already. What cannot be noted (the disk
    /// is full) is used all the same: at worst it vanishes, and that is a miss.
    fn note_results<'a>(&self, keys: impl IntoIterator<Item = &'a Digest>) -> bool {
        let Some(writer) = &self.writer else { return false };
        writer.note(&self.layout, keys.into_iter().map(|key| Use::Result(*key))).unwrap_or(true)
    }

    pub(super) fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        if let Some(manifest) = self.cache.take_fresh(key) {
            return Some(manifest);
        }
        let mut manifest = self.manifest(key).ok().flatten()?;
        if self.note_results([key]) {
            // It may have been collected before it was noted.
            manifest = self.manifest(key).ok().flatten()?;
        }
        self.is_whole(&manifest).then_some(manifest)
    }

    fn is_whole(&self, manifest: &ResultManifest) -> bool {
        manifest.outputs.values().all(|output| self.is_present(output))
    }

    pub(super) fn by_predicted(&self, predicted: &Digest) -> Option<Arc<ResultManifest>> {
        let first = |keys: &[Digest]| {
            keys.iter().filter_map(|key| self.by_key(key)).find(|manifest| manifest.predicted.contains(predicted))
        };
        first(&self.cache.prefetched(predicted)).or_else(|| {
            let found = self.index.led(std::slice::from_ref(predicted)).unwrap_or_default();
            found.first().and_then(|led| first(&led.keys))
        })
    }

    pub(super) fn prefetch(&self, predicted: &[Digest]) {
        let found = self.index.led(predicted).unwrap_or_default();
        // Noted before they are looked at, so what is seen here stays.
        self.note_results(found.iter().map(|led| &led.keys[0]));
        let now = Instant::now();
        let look = |led: &Led| {
            if let Some((stamp, manifest)) = self.newest(led) {
                let seen = self.is_whole(&manifest).then_some(now);
                self.cache.put(stamp, &manifest, seen);
            }
        };
        // A few dozen are looked at before other threads would have woken up.
        if found.len() < 64 {
            found.iter().for_each(look);
        } else {
            found.par_iter().with_min_len(32).for_each(look);
        }
        self.cache.cached().predicted.extend(found.into_iter().map(|led| (led.predicted, led.keys)));
    }

    /// Returns the manifest that the index has, if it is still the one in `results/`, else the one in `results/`.
    fn newest(&self, led: &Led) -> Option<(Stamp, Arc<ResultManifest>)> {
        let key = &led.keys[0];
        let stamp = Stamp::at(&self.layout.result(key)).ok().flatten()?;
        if let Some(manifest) = self.cache.get(key, &stamp) {
            return Some((stamp, manifest));
        }
        let (then, bytes) = &led.newest;
        let indexed = then.same_content(&stamp).then(|| parse_manifest(&self.layout, key, bytes).ok()).flatten();
        match indexed.filter(|manifest| manifest.schema_version == RESULT_FORMAT) {
            Some(manifest) => Some((stamp, Arc::new(manifest))),
            None => read_manifest(&self.layout, key).ok().flatten().map(|(stamp, _, it)| (stamp, Arc::new(it))),
        }
    }

    pub(super) fn nearest(&self, stage: &str, kind: &str) -> Vec<Arc<ResultManifest>> {
        let keys = self.index.newest(stage, kind).unwrap_or_default();
        keys.iter().filter_map(|key| self.manifest(key).ok().flatten()).collect()
    }
}
