//! The store's handle.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{ArtifactType, Digest, RunId, StageId},
    record::{OutputRecord, ResultManifest},
    store::{
        Faults, GcOptions, GcReport, JournalLine, KeyLock, Pin, RunFolder, RunInfo, StoreError, Ticket, VerifyReport,
    },
};

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether nothing may be written.
    pub read_only: bool,
    /// What to do at fault points.
    pub faults: Faults,
}

/// An artifact store.
#[derive(Debug)]
pub struct Store {}

impl Store {
    /// Opens the store at `root` for reading and writing; creates it if need be.
    pub fn open(root: &Utf8Path) -> Result<Self, StoreError> {
        Self::open_with(root, Options::default())
    }
    /// Opens the store at `root` for reading.
    pub fn open_read_only(root: &Utf8Path) -> Result<Self, StoreError> {
        Self::open_with(root, Options { read_only: true, ..Options::default() })
    }
    /// Opens the store at `root`.
    pub fn open_with(_root: &Utf8Path, _options: Options) -> Result<Self, StoreError> {
        unimplemented!()
    }
    /// Returns the folder.
    pub fn root(&self) -> &Utf8Path {
        unimplemented!()
    }

    /// Takes the lock of a key, unless another holder has it.
    pub fn try_lock(&self, _key: &Digest) -> Result<Option<KeyLock>, StoreError> {
        unimplemented!()
    }
    /// Takes the lock of a key; waits while another holder has it.
    pub fn lock(&self, _key: &Digest) -> Result<KeyLock, StoreError> {
        unimplemented!()
    }

    /// Hashes an output and moves it into the store. Durable only once a manifest that names it is committed.
    pub fn take_in(&self, _artifact_type: &ArtifactType, _path: &Utf8Path) -> Result<OutputRecord, StoreError> {
        unimplemented!()
    }
    /// Hands a result to the thread that commits. The lock is released when the result is durable or has failed.
    pub fn commit(&self, _manifest: ResultManifest, _lock: KeyLock) -> Ticket {
        unimplemented!()
    }
    /// Waits for every commit so far; reports the first failure that no ticket's holder has seen.
    pub fn flush(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Notes that a predicted key leads to a result that exists already.
    pub fn add_predicted(&self, _key: &Digest, _predicted: &Digest) {
        unimplemented!()
    }

    /// Loads, in one go, what `by_predicted` (and then `by_key`) will be asked for these predicted keys.
    pub fn prefetch(&self, _predicted: &[Digest]) {
        unimplemented!()
    }
    /// Returns a result whose manifest and blobs are present.
    pub fn by_key(&self, _key: &Digest) -> Option<Arc<ResultManifest>> {
        unimplemented!()
    }
    /// Returns the newest result that a predicted key led to and whose manifest and blobs are present.
    pub fn by_predicted(&self, _predicted: &Digest) -> Option<Arc<ResultManifest>> {
        unimplemented!()
    }
    /// Returns the newest result of the same stage and kind, blobs present or not: to explain what changed since.
    pub fn nearest(&self, _stage: &str, _kind: &str) -> Option<Arc<ResultManifest>> {
        unimplemented!()
    }
    /// Returns a result's manifest, blobs present or not.
    pub fn manifest(&self, _key: &Digest) -> Result<Option<Arc<ResultManifest>>, StoreError> {
        unimplemented!()
    }
    /// Returns every result's key, in order.
    pub fn keys(&self) -> Result<Vec<Digest>, StoreError> {
        unimplemented!()
    }
    /// Returns where a blob lies, whether it is there or not.
    pub fn object_path(&self, _digest: &Digest) -> Utf8PathBuf {
        unimplemented!()
    }
    /// Returns whether every blob of an output is there with its size.
    pub fn is_present(&self, _output: &OutputRecord) -> bool {
        unimplemented!()
    }
    /// Returns a path at which an output can be read: the blob itself for one file, a folder of links at `at` for a folder.
    pub fn view(&self, _output: &OutputRecord, _at: &Utf8Path) -> Result<Utf8PathBuf, StoreError> {
        unimplemented!()
    }
    /// Returns the content digest of a file or folder anywhere, as `take_in` would compute it.
    pub fn file_digest(&self, _path: &Utf8Path) -> Result<Digest, StoreError> {
        unimplemented!()
    }

    /// Begins a run: makes its folder.
    pub fn new_run(&self, _pipeline: &str) -> Result<RunFolder, StoreError> {
        unimplemented!()
    }
    /// Lists runs, oldest first.
    pub fn runs(&self) -> Result<Vec<RunInfo>, StoreError> {
        unimplemented!()
    }
    /// Reads a run's journal, without a torn last line.
    pub fn journal(&self, _run: &RunId) -> Result<Vec<JournalLine>, StoreError> {
        unimplemented!()
    }
    /// Makes a fresh, empty folder for one attempt, on the store's file system; gone when the store is dropped.
    pub fn attempt_folder(&self, _run: &RunFolder, _stage: &StageId) -> Result<Utf8PathBuf, StoreError> {
        unimplemented!()
    }
    /// Makes or finds the folder of a key that outlives a killed attempt; removed once the key is committed.
    pub fn scratch_folder(&self, _key: &Digest) -> Result<Utf8PathBuf, StoreError> {
        unimplemented!()
    }

    /// Writes a pin, replacing one of the same name.
    pub fn pin(&self, _pin: &Pin) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Removes a pin.
    pub fn unpin(&self, _name: &str) -> Result<(), StoreError> {
        unimplemented!()
    }
    /// Lists pins by name.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        unimplemented!()
    }

    /// Checks the store and sets damage aside (unless it is read-only).
    pub fn verify(&self, _full: bool) -> Result<VerifyReport, StoreError> {
        unimplemented!()
    }
    /// Checks the store and changes nothing.
    pub fn verify_read_only(&self, _full: bool) -> Result<VerifyReport, StoreError> {
        unimplemented!()
    }
    /// Removes what no kept run, no pin and no running process needs.
    pub fn gc(&self, _options: &GcOptions) -> Result<GcReport, StoreError> {
        unimplemented!()
    }
    /// Throws the index away and builds it again from `results/`.
    pub fn rebuild_index(&self) -> Result<(), StoreError> {
        unimplemented!()
    }
}
