//! The store's handle: what others call. Each method is short and sends on to the file that does the work.

use std::{
    collections::{BTreeSet, HashSet},
    fmt, io,
    sync::{Arc, Mutex},
};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    base::{ArtifactType, Digest, RunId, StageId},
    record::{OutputRecord, ResultManifest},
    store::{
        Faults, GcOptions, GcReport, JournalLine, KeyLock, Pin, RunFolder, RunInfo, StoreError, Ticket, VerifyReport,
        Watched,
        commit::Committer,
        digests,
        disk::{self, Stamp},
        gc,
        index::Index,
        layout::{Layout, check_name, result_key},
        lock::{KeyLocks, StoreLock},
        pins,
        results::ManifestCache,
        runs,
        session::{Session, Use},
        verify, view, watch,
    },
};

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether nothing may be written.
    pub read_only: bool,
    /// What to do at fault points: nothing, outside tests.
    pub faults: Faults,
}

/// An artifact store, open in this process. Any number of threads and processes may use one folder at the same time.
///
/// ```
/// use camino::Utf8Path;
/// use toolexpander::{base::Digest, store::Store};
///
/// let folder = tempfile::tempdir().unwrap();
/// let root = Utf8Path::from_path(folder.path()).unwrap();
/// let store = Store::open(&root.join("artifacts")).unwrap();
/// assert!(store.by_key(&Digest::of(b"no such key")).is_none());
/// ```
pub struct Store {
    // First, so that it is dropped first: the last commits need the rest.
    committer: Committer,
    shared: Arc<Shared>,
}

/// What the handle and the committing thread have in common.
pub(super) struct Shared {
    pub(super) layout: Layout,
    pub(super) faults: Faults,
    /// What only a writer has.
    pub(super) writer: Option<Writer>,
    pub(super) index: Index,
    pub(super) cache: ManifestCache,
    /// Blobs that this process relies on and that are not durable yet.
    pub(super) unsynced: Mutex<HashSet<Digest>>,
    /// Folders whose new names the next commit makes durable.
    pub(super) new_folders: Mutex<BTreeSet<Utf8PathBuf>>,
}

/// The locks and the session of a store open for writing.
pub(super) struct Writer {
    pub(super) keys: Arc<KeyLocks>,
    pub(super) lock: StoreLock,
    pub(super) session: Session,
}

impl Writer {
    /// Notes what is used; returns whether anything was not noted already.
    pub(super) fn note(&self, layout: &Layout, uses: impl IntoIterator<Item = Use>) -> Result<bool, StoreError> {
        self.session.note(layout, &self.lock, uses)
    }

    /// Returns a path in the session's folder that nothing has yet.
    pub(super) fn fresh(&self, layout: &Layout, label: &str) -> Result<Utf8PathBuf, StoreError> {
        self.session.fresh(layout, &self.lock, label)
    }
}

impl Shared {
    /// Returns what only a writer has.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if the store is open for reading.
    pub(super) fn writer(&self, action: &'static str) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::ReadOnly { path: self.layout.root().to_owned(), action })
    }
}

impl Store {
    /// Opens the store at `root` for reading and writing; makes it if need be.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] if the folder cannot be written; [`StoreError::Io`] for everything else.
    pub fn open(root: &Utf8Path) -> Result<Self, StoreError> {
        Self::open_with(root, Options::default())
    }

    /// Opens the store at `root` for reading; nothing is written, not even into the index. What is read is not protected
    /// from garbage collection by others.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] if there is none.
    pub fn open_read_only(root: &Utf8Path) -> Result<Self, StoreError> {
        Self::open_with(root, Options { read_only: true, ..Options::default() })
    }

    /// Opens the store at `root`.
    ///
    /// # Errors
    /// As [`Store::open`] and [`Store::open_read_only`].
    pub fn open_with(root: &Utf8Path, options: Options) -> Result<Self, StoreError> {
        let layout = Layout::new(disk::absolute(root)?);
        let writer = if options.read_only {
            for folder in ["objects", "results"] {
                if !layout.root().join(folder).is_dir() {
                    return Err(StoreError::NoStore { path: layout.root().to_owned() });
                }
            }
            None
        } else {
            Some(open_writer(&layout).map_err(|error| refused(&layout, error))?)
        };
        let index = Index::new(&layout, options.read_only).map_err(|error| refused(&layout, error))?;
        let shared = Shared {
            layout,
            faults: options.faults,
            writer,
            index,
            cache: ManifestCache::default(),
            unsynced: Mutex::default(),
            new_folders: Mutex::default(),
        };
        Ok(Self { committer: Committer::default(), shared: Arc::new(shared) })
    }

    /// Returns the store's folder, absolute.
    pub fn root(&self) -> &Utf8Path {
        self.shared.layout.root()
    }

    /// Takes the lock of a key, unless this or another process holds it.
    ///
    /// # Errors
    /// If the store is read-only, or its file system has no locks.
    pub fn try_lock(&self, key: &Digest) -> Result<Option<KeyLock>, StoreError> {
        self.shared.writer("lock a key")?.keys.try_lock(key)
    }

    /// Takes the lock of a key; waits while this or another process holds it. Look the key up again afterwards: the holder
    /// has probably made the result.
    ///
    /// # Errors
    /// If the store is read-only, or its file system has no locks.
    pub fn lock(&self, key: &Digest) -> Result<KeyLock, StoreError> {
        self.shared.writer("lock a key")?.keys.lock(key)
    }

    /// Hashes an output and moves it into the store: the file or the folder's files are gone from `path` afterwards, and
    /// can be read at [`Store::object_path`] at once. Durable only when a manifest that names the output is committed;
    /// until then nothing but this process relies on it. `rows` is left empty.
    ///
    /// A link is taken in as the file that it shows, if that lies in the output's folder.
    ///
    /// # Errors
    /// [`StoreError::is_bad_output`] tells what the stage did wrong (nothing written, a folder for a file, links that lead
    /// outside, pipes, names that are not UTF-8, a file still being written) from failures of the store.
    pub fn take_in(&self, artifact_type: &ArtifactType, path: &Utf8Path) -> Result<OutputRecord, StoreError> {
        self.shared.take_in(artifact_type, path)
    }

    /// Hands a result to the thread that commits. The lock is released when the result is durable or has failed. Failures
    /// are told to whoever waits for the ticket, else by [`Store::flush`].
    pub fn commit(&self, manifest: ResultManifest, lock: KeyLock) -> Ticket {
        self.committer.commit(&self.shared, manifest, lock)
    }

    /// Waits for every commit so far.
    ///
    /// # Errors
    /// The first failure that no ticket's holder has been told.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.committer.flush()
    }

    /// Notes that a predicted key leads to a result that exists already, with the next batch of commits. Best effort.
    pub fn add_predicted(&self, key: &Digest, predicted: &Digest) {
        if self.shared.writer.is_some() {
            self.committer.add_predicted(&self.shared, *key, *predicted);
        }
    }

    /// Loads, in one go, the results that these predicted keys led to. Look-ups afterwards are the same but faster.
    pub fn prefetch(&self, predicted: &[Digest]) {
        self.shared.prefetch(predicted);
    }

    /// Returns a result whose manifest and blobs are present. From then on garbage collection leaves it alone as long as
    /// this store is open for writing.
    pub fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        self.shared.by_key(key)
    }

    /// Returns the newest result that a predicted key led to and whose manifest and blobs are present.
    pub fn by_predicted(&self, predicted: &Digest) -> Option<Arc<ResultManifest>> {
        self.shared.by_predicted(predicted)
    }

    /// Returns the newest results of the same stage and kind, in whatever variant, blobs present or not, newest first: to
    /// explain what changed since. A few of many.
    pub fn nearest(&self, stage: &str, kind: &str) -> Vec<Arc<ResultManifest>> {
        self.shared.nearest(stage, kind)
    }

    /// Returns a result's manifest, blobs present or not.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Io`] if it is there and cannot be read.
    pub fn manifest(&self, key: &Digest) -> Result<Option<Arc<ResultManifest>>, StoreError> {
        self.shared.manifest(key)
    }

    /// Returns the key of every result, in order.
    ///
    /// # Errors
    /// If `results/` cannot be listed.
    pub fn keys(&self) -> Result<Vec<Digest>, StoreError> {
        let names = disk::names(&self.shared.layout.results())?;
        Ok(names.iter().filter_map(|name| result_key(name)).collect())
    }

    /// Returns where a blob lies, whether it is there or not.
    pub fn object_path(&self, digest: &Digest) -> Utf8PathBuf {
        self.shared.layout.object(digest)
    }

    /// Returns whether every blob of an output is there with its size.
    pub fn is_present(&self, output: &OutputRecord) -> bool {
        self.shared.is_present(output)
    }

    /// Returns a path at which an output can be read: the blob itself for one file; for a folder, `at`, which becomes a
    /// folder of links to the blobs. The files are read-only: a copy is what may be changed.
    ///
    /// # Errors
    /// [`StoreError::MissingBlob`]; [`StoreError::Occupied`] if `at` holds anything but an earlier view of the same.
    pub fn view(&self, output: &OutputRecord, at: &Utf8Path) -> Result<Utf8PathBuf, StoreError> {
        view::view(&self.shared, output, at)
    }

    /// Notes what the blobs of an output are like, before a stage gets to see them.
    ///
    /// # Errors
    /// If they cannot be looked at.
    pub fn watch(&self, output: &OutputRecord) -> Result<Watched, StoreError> {
        watch::watch(&self.shared, output)
    }

    /// Returns the first blob that was changed since and does not hold its bytes any more. Such blobs are set aside, so that
    /// they are made anew.
    ///
    /// # Errors
    /// If they cannot be looked at, or set aside.
    pub fn harmed(&self, watched: &Watched) -> Result<Option<Digest>, StoreError> {
        watch::harmed(&self.shared, watched)
    }

    /// Returns the content digest of a file or folder anywhere, as [`Store::take_in`] would compute it, except that links
    /// are followed wherever they lead. Digests are remembered by size, times and inode.
    ///
    /// # Errors
    /// If there is nothing, or it cannot be read.
    pub fn file_digest(&self, path: &Utf8Path) -> Result<Digest, StoreError> {
        digests::digest(&self.shared, path)
    }

    /// Begins a run: makes its folder.
    ///
    /// # Errors
    /// If the store is read-only or the folder cannot be made.
    pub fn new_run(&self, pipeline: &str) -> Result<RunFolder, StoreError> {
        runs::begin(&self.shared, pipeline)
    }

    /// Lists runs, oldest first.
    ///
    /// # Errors
    /// If `runs/` cannot be listed.
    pub fn runs(&self) -> Result<Vec<RunInfo>, StoreError> {
        runs::list(&self.shared.layout)
    }

    /// Reads a run's journal. A line that a crash cut short is left out.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is no such run.
    pub fn journal(&self, run: &RunId) -> Result<Vec<JournalLine>, StoreError> {
        runs::read_journal(&self.shared.layout, run)
    }

    /// Makes a fresh, empty folder for one attempt, on the store's file system, so that outputs are moved and not copied.
    /// The caller removes it when the attempt is over; what is left goes when the store is closed, or with the next garbage
    /// collection after a kill.
    ///
    /// # Errors
    /// If the store is read-only or the folder cannot be made.
    pub fn attempt_folder(&self, run: &RunFolder, stage: &StageId) -> Result<Utf8PathBuf, StoreError> {
        let writer = self.shared.writer("begin an attempt")?;
        let path = writer.fresh(&self.shared.layout, &runs::attempt_label(&run.id, stage))?;
        fs::create_dir(&path).map_err(StoreError::io("make the folder", &path))?;
        Ok(path)
    }

    /// Returns the path that [`Store::scratch_folder`] makes a folder at.
    pub fn scratch_path(&self, key: &Digest) -> Utf8PathBuf {
        self.shared.layout.scratch(key)
    }

    /// Makes or finds the folder of a key that outlives a killed attempt, for checkpoints; removed once the key is
    /// committed. Hold the key's lock while using it.
    ///
    /// # Errors
    /// If the store is read-only or the folder cannot be made.
    pub fn scratch_folder(&self, key: &Digest) -> Result<Utf8PathBuf, StoreError> {
        self.shared.writer("make a scratch folder")?;
        let path = self.shared.layout.scratch(key);
        match disk::make_folder(&path) {
            Err(StoreError::Io { source, .. }) if disk::is_absent(&source) => {
                disk::make_folder(&self.shared.layout.scratches())?;
                disk::make_folder(&path)?;
            }
            other => other?,
        }
        Ok(path)
    }

    /// Writes a pin, replacing one of the same name.
    ///
    /// # Errors
    /// [`StoreError::BadName`]; or if it cannot be written.
    pub fn pin(&self, pin: &Pin) -> Result<(), StoreError> {
        check_name(&pin.name, "pin")?;
        pins::write(&self.shared, pin)
    }

    /// Removes a pin.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is none of that name.
    pub fn unpin(&self, name: &str) -> Result<(), StoreError> {
        check_name(name, "pin")?;
        pins::remove(&self.shared, name)
    }

    /// Lists pins by name.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a file that is no pin: garbage collection must not guess what it was to keep.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        pins::list(&self.shared.layout)
    }

    /// Checks that manifests can be read and that the blobs they name are there with their sizes; with `full`, that every
    /// blob has the bytes that its name says. Damage is moved to `quarantine/` and its results are dropped, so that the
    /// next run makes them anew; a read-only store is only checked.
    ///
    /// # Errors
    /// If the store cannot be read, or damage cannot be set aside.
    pub fn verify(&self, full: bool) -> Result<VerifyReport, StoreError> {
        verify::verify(&self.shared, full, self.shared.writer.is_some())
    }

    /// Checks like [`Store::verify`] and changes nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn verify_read_only(&self, full: bool) -> Result<VerifyReport, StoreError> {
        verify::verify(&self.shared, full, false)
    }

    /// Removes what no kept run, no pin and no process that has the store open needs: see [`GcOptions`].
    ///
    /// # Errors
    /// If the store is read-only (a dry run is possible), or what is to be kept cannot be told.
    pub fn gc(&self, options: &GcOptions) -> Result<GcReport, StoreError> {
        gc::collect(&self.shared, options)
    }

    /// Throws the index away and builds it again from `results/`.
    ///
    /// # Errors
    /// [`StoreError::Index`] if that is not possible.
    pub fn rebuild_index(&self) -> Result<(), StoreError> {
        self.shared.index.rebuild()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.shared.writer.is_some() { "writer" } else { "reader" };
        write!(formatter, "Store({}, {mode})", self.root())
    }
}

fn open_writer(layout: &Layout) -> Result<Writer, StoreError> {
    if Stamp::at(layout.root())?.is_none() {
        fs::create_dir_all(layout.root()).map_err(StoreError::io("make the folder", layout.root()))?;
    }
    // Each time, for somebody may have tidied up by hand.
    for folder in Layout::FOLDERS {
        disk::make_folder(&layout.root().join(folder))?;
    }
    let keys = KeyLocks::open(layout.lock("keys"))?;
    Ok(Writer { keys, lock: StoreLock::open(layout.lock("store"))?, session: Session::default() })
}

/// Says of a store that cannot be opened for writing that it can still be read.
fn refused(layout: &Layout, error: StoreError) -> StoreError {
    match error {
        StoreError::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
        {
            StoreError::ReadOnly { path: layout.root().to_owned(), action: "open it for writing" }
        }
        other => other,
    }
}
