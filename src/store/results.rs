//! Looking results up.
//!
//! A result is there if `results/<key>.json` is, can be read, and every blob that it names has its size. All of that is
//! looked at on each look-up; what is remembered between two is only the parsed manifest, by the `stat` of its file.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use fs_err as fs;
use rayon::prelude::*;

use crate::{
    base::Digest,
    record::{OutputRecord, RESULT_FORMAT, ResultManifest},
    store::{
        StoreError,
        disk::{self, Stamp},
        layout::Layout,
        open::Shared,
        session::Use,
    },
};

/// Manifests read so far, by key, each with the `stat` of its file.
#[derive(Debug, Default)]
pub(super) struct ManifestCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    manifests: HashMap<Digest, (Stamp, Arc<ResultManifest>)>,
    /// What `prefetch` found: results of predicted keys, newest first.
    predicted: HashMap<Digest, Vec<Digest>>,
}

impl ManifestCache {
    fn get(&self, key: &Digest, stamp: &Stamp) -> Option<Arc<ResultManifest>> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.manifests.get(key).filter(|(then, _)| then.same_content(stamp)).map(|(_, manifest)| Arc::clone(manifest))
    }

    fn put(&self, stamp: Stamp, manifest: &Arc<ResultManifest>) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.manifests.insert(manifest.key, (stamp, Arc::clone(manifest)));
    }

    fn prefetched(&self, predicted: &Digest) -> Vec<Digest> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.predicted.get(predicted).cloned().unwrap_or_default()
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
pub(super) fn read_manifest(layout: &Layout, key: &Digest) -> Result<Option<ResultManifest>, StoreError> {
    let path = layout.result(key);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if disk::is_absent(&error) => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path)(error)),
    };
    match parse_manifest(layout, key, &bytes) {
        Ok(manifest) if manifest.schema_version == RESULT_FORMAT => Ok(Some(manifest)),
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
        let Some(manifest) = read_manifest(&self.layout, key)? else { return Ok(None) };
        let manifest = Arc::new(manifest);
        // A manifest is replaced by renaming, never changed, so a stamp taken before reading is at worst of an older one.
        self.cache.put(stamp, &manifest);
        Ok(Some(manifest))
    }

    pub(super) fn is_blob_present(&self, digest: &Digest, bytes: u64) -> bool {
        matches!(Stamp::at(&self.layout.object(digest)), Ok(Some(stamp)) if stamp.is_file() && stamp.size == bytes)
    }

    pub(super) fn is_present(&self, output: &OutputRecord) -> bool {
        blobs(output).all(|(digest, bytes)| self.is_blob_present(digest, bytes))
    }

    /// Notes that this process relies on results. What cannot be noted (the disk is full) is used all the same: at worst
    /// it vanishes, and that is a miss.
    fn note_results<'a>(&self, keys: impl IntoIterator<Item = &'a Digest>) {
        if let Some(writer) = &self.writer {
            let _ = writer.note(&self.layout, keys.into_iter().map(|key| Use::Result(*key)));
        }
    }

    pub(super) fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        let manifest = self.manifest(key).ok().flatten()?;
        self.note_results([key]);
        let whole = manifest.outputs.values().all(|output| self.is_present(output));
        (whole && Stamp::at(&self.layout.result(key)).ok().flatten().is_some()).then_some(manifest)
    }

    pub(super) fn by_predicted(&self, predicted: &Digest) -> Option<Arc<ResultManifest>> {
        let first = |keys: &[Digest]| {
            keys.iter().filter_map(|key| self.by_key(key)).find(|manifest| manifest.predicted.contains(predicted))
        };
        first(&self.cache.prefetched(predicted)).or_else(|| {
            let found = self.index.keys_of_predicted(std::slice::from_ref(predicted)).unwrap_or_default();
            found.first().and_then(|(_, keys)| first(keys))
        })
    }

    pub(super) fn prefetch(&self, predicted: &[Digest]) {
        let found = self.index.keys_of_predicted(predicted).unwrap_or_default();
        self.note_results(found.iter().flat_map(|(_, keys)| keys.first()));
        // A few dozen are read before other threads would have woken up.
        let newest: Vec<&Digest> = found.iter().flat_map(|(_, keys)| keys.first()).collect();
        if newest.len() < 64 {
            newest.iter().for_each(|key| drop(self.manifest(key)));
        } else {
            newest.par_iter().with_min_len(32).for_each(|key| drop(self.manifest(key)));
        }
        let mut cached = self.cache.0.lock().unwrap_or_else(PoisonError::into_inner);
        cached.predicted.extend(found);
    }

    pub(super) fn nearest(&self, stage: &str, kind: &str) -> Option<Arc<ResultManifest>> {
        let keys = self.index.newest(stage, kind).unwrap_or_default();
        keys.iter().find_map(|key| self.manifest(key).ok().flatten())
    }
}
