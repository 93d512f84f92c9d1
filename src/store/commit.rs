//! Group commit: one thread makes many results durable at once.
//!
//! For each batch: manifests to `tmp/` → bytes and names of blobs and the manifests' bytes durable → blobs sealed (0444) →
//! index rows → manifests renamed into `results/` → their names durable → locks released. A result exists from the moment
//! its manifest has its name; everything that it names is durable before. The rows come before the names so that no crash
//! can leave a result that the index lacks; a row without a manifest is a miss.
//!
//! A batch is made durable by one `syncfs` or file by file: `syncfs` is far cheaper for many files, but also waits for
//! whatever others wrote, which may be gigabytes. So both costs are measured all the time and the smaller one is chosen.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use camino::Utf8PathBuf;
use fs_err as fs;

use crate::{
    base::Digest,
    record::ResultManifest,
    store::{
        FaultPoint, KeyLock, StoreError,
        disk::{self, SEALED, Stamp},
        index::ManifestRow,
        open::Shared,
        results::{blobs, read_manifest},
        session::Use,
    },
};

/// How long, in times of what the last batch took, the next one is gathered. Syncing each result by itself would slow down
/// everything else that writes to the disk, the stages above all; a result that comes alone is committed at once.
const REST: u32 = 4;
/// How long a batch is gathered at most; a flush ends it.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// Results that go into one batch at most.
const BATCH: usize = 1024;
/// Files up to which `fsync` is used in any case.
const FEW: usize = 4;
/// What the `fsync` of one file costs on an idle disk, roughly.
const FSYNC: Duration = Duration::from_micros(250);

/// The promise of a commit.
#[must_use = "a failed commit is told to whoever waits for the ticket, else by `flush`"]
#[derive(Clone)]
pub struct Ticket(Arc<Outcome>);

#[derive(Default)]
struct Outcome {
    done: Mutex<Option<Result<(), Arc<StoreError>>>>,
    changed: Condvar,
    /// Whether somebody was told.
    told: AtomicBool,
    key: Option<Digest>,
    stage: String,
}

impl Ticket {
    fn new(manifest: &ResultManifest) -> Self {
        Self(Arc::new(Outcome { key: Some(manifest.key), stage: manifest.stage.clone(), ..Outcome::default() }))
    }

    fn resolve(&self, result: Result<(), Arc<StoreError>>) {
        let mut done = self.0.done.lock().unwrap_or_else(PoisonError::into_inner);
        if done.is_none() {
            *done = Some(result);
            self.0.changed.notify_all();
        }
    }

    fn error(&self, source: &Arc<StoreError>) -> StoreError {
        let source = Arc::clone(source);
        match self.0.key {
            Some(key) => StoreError::Commit { key, stage: self.0.stage.clone(), source },
            None => StoreError::Closed,
        }
    }

    /// Waits until the result is durable, or has failed to become so.
    ///
    /// # Errors
    /// [`StoreError::Commit`] with the cause; then the result does not exist.
    pub fn wait(&self) -> Result<(), StoreError> {
        let mut done = self.0.done.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*done {
                Some(Ok(())) => return Ok(()),
                Some(Err(source)) => {
                    self.0.told.store(true, Ordering::Relaxed);
                    return Err(self.error(source));
                }
                None => done = self.0.changed.wait(done).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Returns whether [`Ticket::wait`] would return at once.
    pub fn is_done(&self) -> bool {
        self.0.done.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Ticket({}, {})", self.0.stage, if self.is_done() { "done" } else { "waiting" })
    }
}

enum Job {
    Result { manifest: Box<ResultManifest>, lock: KeyLock, ticket: Promise },
    Predicted { key: Digest, predicted: Digest },
    Flush(SyncSender<()>),
}

/// The committing side of a ticket: whatever becomes of it, the ticket is answered.
struct Promise(Ticket);

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.resolve(Err(Arc::new(StoreError::Closed)));
    }
}

/// The committing thread of one open store: started with the first commit, ended (after the last) with the store.
#[derive(Debug, Default)]
pub(super) struct Committer {
    running: Mutex<Option<Running>>,
    failed: Arc<Mutex<Vec<Ticket>>>,
}

#[derive(Debug)]
struct Running {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Committer {
    fn send(&self, shared: &Arc<Shared>, job: Job) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let running = running.get_or_insert_with(|| {
            let (jobs, queue) = channel();
            let worker = Worker {
                shared: Arc::clone(shared),
                failed: Arc::clone(&self.failed),
                costs: Costs::default(),
                wrote: false,
            };
            Running { jobs, thread: std::thread::spawn(move || worker.run(&queue)) }
        });
        // A thread that died drops the job, which answers its ticket.
        let _ = running.jobs.send(job);
    }

    pub(super) fn commit(&self, shared: &Arc<Shared>, manifest: ResultManifest, lock: KeyLock) -> Ticket {
        let ticket = Ticket::new(&manifest);
        let promise = Promise(ticket.clone());
        self.send(shared, Job::Result { manifest: Box::new(manifest), lock, ticket: promise });
        ticket
    }

    pub(super) fn add_predicted(&self, shared: &Arc<Shared>, key: Digest, predicted: Digest) {
        self.send(shared, Job::Predicted { key, predicted });
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let (done, wait) = sync_channel(1);
        let sent = {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.as_ref().is_some_and(|running| running.jobs.send(Job::Flush(done)).is_ok())
        };
        if sent {
            let _ = wait.recv();
        }
        let failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        failed.iter().filter(|ticket| !ticket.0.told.load(Ordering::Relaxed)).try_for_each(Ticket::wait)
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { jobs, thread }) = running {
            drop(jobs);
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    failed: Arc<Mutex<Vec<Ticket>>>,
    costs: Costs,
    wrote: bool,
}

/// What making things durable has cost lately.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// One file.
    fsync: Duration,
    /// Everything.
    syncfs: Duration,
}

impl Default for Costs {
    fn default() -> Self {
        Self { fsync: FSYNC, syncfs: Duration::ZERO }
    }
}

impl Costs {
    fn prefers_syncfs(&self, files: usize) -> bool {
        files > FEW && self.syncfs < self.fsync * u32::try_from(files).unwrap_or(u32::MAX)
    }

    fn syncfs_took(&mut self, time: Duration) {
        self.syncfs = time;
    }

    /// Also forgets half of what the last `syncfs` cost, so that it gets another chance.
    fn fsync_took(&mut self, files: usize, time: Duration) {
        let each = time / u32::try_from(files.max(1)).unwrap_or(u32::MAX);
        self.fsync = (self.fsync + each) / 2;
        self.syncfs /= 2;
    }
}

/// One result on its way.
struct Pending {
    manifest: Box<ResultManifest>,
    lock: Option<KeyLock>,
    ticket: Option<Promise>,
    /// The manifest in `tmp/`.
    file: Utf8PathBuf,
    /// The manifest as text.
    bytes: Vec<u8>,
    /// What `stat` says of `file`, and will say of it under its name.
    stamp: Stamp,
    failure: Option<Arc<StoreError>>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Job>) {
        let mut rest_until = Instant::now();
        while let Ok(first) = queue.recv() {
            let mut jobs = vec![first];
            while jobs.len() < BATCH && !matches!(jobs.last(), Some(Job::Flush(_))) {
                match queue.recv_timeout(rest_until.saturating_duration_since(Instant::now())) {
                    Ok(job) => jobs.push(job),
                    Err(_) => break,
                }
            }
            let began = Instant::now();
            self.batch(jobs);
            rest_until = Instant::now() + (began.elapsed() * REST).min(LONGEST_REST);
        }
        if self.wrote {
            let _ = self.shared.index.settle();
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        let mut pending = Vec::new();
        let mut predicted: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        let mut flushes = Vec::new();
        for job in jobs {
            match job {
                Job::Result { manifest, lock, ticket } => pending.push(Pending {
                    manifest,
                    lock: Some(lock),
                    ticket: Some(ticket),
                    file: Utf8PathBuf::new(),
                    bytes: Vec::new(),
                    stamp: Stamp::default(),
                    failure: None,
                }),
                Job::Predicted { key, predicted: digest } => predicted.entry(key).or_default().push(digest),
                Job::Flush(done) => flushes.push(done),
            }
        }
        for (key, digests) in predicted {
            match pending.iter_mut().find(|job| job.manifest.key == key) {
                Some(job) => extend(&mut job.manifest.predicted, &digests),
                None => pending.extend(self.extended(&key, &digests)),
            }
        }
        if !pending.is_empty() {
            self.write(&mut pending);
            self.wrote = true;
        }
        for job in pending {
            self.finish(job);
        }
        for done in flushes {
            let _ = done.send(());
        }
    }

    /// Returns a result's manifest with predicted keys added, if there is one to write. A result that is being made anew
    /// meanwhile is left alone: whoever makes it knows better, and the next run asks again.
    fn extended(&self, key: &Digest, digests: &[Digest]) -> Option<Pending> {
        let writer = self.shared.writer.as_ref()?;
        let lock = writer.keys.try_lock(key).ok().flatten()?;
        let (_, _, mut manifest) = read_manifest(&self.shared.layout, key).ok().flatten()?;
        let before = manifest.predicted.len();
        extend(&mut manifest.predicted, digests);
        (manifest.predicted.len() > before).then(|| Pending {
            manifest: Box::new(manifest),
            lock: Some(lock),
            ticket: None,
            file: Utf8PathBuf::new(),
            bytes: Vec::new(),
            stamp: Stamp::default(),
            failure: None,
        })
    }

    /// Takes a batch through all steps. What fails for one result fails it alone, where that can be told apart.
    fn write(&mut self, pending: &mut [Pending]) {
        let shared = Arc::clone(&self.shared);
        self.step(pending, FaultPoint::BatchBegun);
        for job in pending.iter_mut() {
            if job.failure.is_none() {
                let prepared = self.prepare(job);
                job.check(prepared);
            }
        }
        self.step(pending, FaultPoint::ManifestWritten);

        let fresh = self.make_durable(pending);
        self.step(pending, FaultPoint::BlobsDurable);
        self.seal(pending, &fresh);
        self.step(pending, FaultPoint::BlobsSealed);

        let whole = pending.iter().filter(|job| job.failure.is_none());
        let rows: Vec<ManifestRow> = whole
            .map(|Pending { manifest, bytes, stamp, .. }| ManifestRow { manifest, bytes, stamp: *stamp })
            .collect();
        if !rows.is_empty() {
            // The index is a cache: without it the results are found all the same, only later.
            let _ = shared.index.record(&rows);
        }
        self.step(pending, FaultPoint::IndexWritten);

        let mut placed = Vec::new();
        for job in pending.iter_mut().filter(|job| job.failure.is_none()) {
            let path = shared.layout.result(&job.manifest.key);
            let done = fs::rename(&job.file, &path)
                .map(|()| placed.push(job.manifest.key))
                .and_then(|()| shared.faults.at(FaultPoint::ManifestPlaced));
            job.check(done.map_err(StoreError::io("write", &path)));
        }
        if !placed.is_empty() {
            let durable = disk::sync(&shared.layout.results()).map_err(Arc::new);
            for job in pending.iter_mut().filter(|job| job.failure.is_none()) {
                job.failure = durable.as_ref().err().cloned();
            }
        }
        self.step(pending, FaultPoint::ResultsDurable);
        for job in pending.iter().filter(|job| job.failure.is_some()) {
            let _ = disk::remove_file(&job.file);
            if job.ticket.is_some() && placed.contains(&job.manifest.key) {
                let _ = disk::remove_file(&shared.layout.result(&job.manifest.key));
            }
        }
    }

    /// Passes a fault point; if it fails, so does every result that has not yet.
    fn step(&self, pending: &mut [Pending], point: FaultPoint) {
        if let Err(error) = self.shared.faults.at(point) {
            let error = Arc::new(StoreError::io("write", self.shared.layout.root())(error));
            for job in pending.iter_mut() {
                job.failure.get_or_insert_with(|| Arc::clone(&error));
            }
        }
    }

    /// Checks a result and writes its manifest to `tmp/`.
    fn prepare(&self, job: &mut Pending) -> Result<(), StoreError> {
        let shared = &self.shared;
        let writer = shared.writer("commit")?;
        let key = job.manifest.key;
        if let Some(lock) = job.lock.as_ref().filter(|lock| *lock.key() != key) {
            return Err(StoreError::ForeignLock { key, lock: *lock.key() });
        }
        if job.ticket.is_some() {
            for (digest, bytes) in job.manifest.outputs.values().flat_map(blobs) {
                if !shared.is_blob_present(digest, bytes) {
                    return Err(StoreError::MissingBlob { digest: *digest, path: shared.layout.root().to_owned() });
                }
            }
            writer.note(&shared.layout, [Use::Result(key)])?;
        }
        let mut bytes = serde_json::to_vec(&job.manifest)
            .map_err(|error| StoreError::Damaged { path: shared.layout.result(&key), reason: error.to_string() })?;
        bytes.push(b'\n');
        job.file = writer.fresh(&shared.layout, "manifest")?;
        job.stamp = disk::write_new(&job.file, &bytes)?;
        job.bytes = bytes;
        Ok(())
    }

    /// Makes the batch's blobs, their names and the manifests' bytes durable. Returns the blobs that were not before.
    fn make_durable(&mut self, pending: &mut [Pending]) -> BTreeSet<Digest> {
        let shared = Arc::clone(&self.shared);
        let mut fresh = BTreeSet::new();
        let mut manifests = 0;
        {
            let unsynced = shared.unsynced();
            for job in pending.iter().filter(|job| job.failure.is_none()) {
                manifests += 1;
                let blobs = job.manifest.outputs.values().flat_map(blobs).map(|(digest, _)| *digest);
                fresh.extend(blobs.filter(|digest| unsynced.contains(digest)));
            }
        }
        let mut folders: BTreeSet<Utf8PathBuf> = fresh.iter().map(|digest| shared.layout.shard(digest)).collect();
        if !folders.is_empty() {
            folders.insert(shared.layout.objects());
        }
        folders.append(&mut std::mem::take(&mut *shared.new_folders.lock().unwrap_or_else(PoisonError::into_inner)));

        let files = fresh.len() + folders.len() + manifests;
        let begun = Instant::now();
        if manifests == 0 {
            return fresh;
        }
        if self.costs.prefers_syncfs(files) && self.sync_all() {
            self.costs.syncfs_took(begun.elapsed());
            return fresh;
        }
        let mut failures: BTreeMap<Digest, Arc<StoreError>> = BTreeMap::new();
        for digest in &fresh {
            if let Err(error) = disk::sync(&shared.layout.object(digest)) {
                // After a failed fsync the kernel takes the pages for clean: the blob cannot be relied on any more.
                let _ = disk::remove_file(&shared.layout.object(digest));
                shared.unsynced().remove(digest);
                failures.insert(*digest, Arc::new(error));
            }
        }
        let names = folders.iter().try_for_each(|folder| disk::sync(folder)).map_err(Arc::new);
        for job in pending.iter_mut().filter(|job| job.failure.is_none()) {
            let blob = job.manifest.outputs.values().flat_map(blobs).find_map(|(digest, _)| failures.get(digest));
            job.failure = blob.or(names.as_ref().err()).cloned();
            if job.failure.is_none() {
                job.check(disk::sync(&job.file));
            }
        }
        self.costs.fsync_took(files, begun.elapsed());
        fresh
    }

    /// Makes everything on the store's file system durable; returns whether it did.
    fn sync_all(&self) -> bool {
        // `objects`, `results` and `tmp` are one file system, or renaming between them would fail. One that was mounted at
        // one shard is not covered, and not supported.
        fs::File::open(self.shared.layout.objects()).is_ok_and(|folder| rustix::fs::syncfs(&folder).is_ok())
    }

    /// Opens durable blobs to everybody.
    fn seal(&self, pending: &mut [Pending], fresh: &BTreeSet<Digest>) {
        let whole: BTreeSet<Digest> = pending
            .iter()
            .filter(|job| job.failure.is_none())
            .flat_map(|job| job.manifest.outputs.values().flat_map(blobs).map(|(digest, _)| *digest))
            .collect();
        let mut lost = BTreeSet::new();
        for digest in fresh.intersection(&whole) {
            let path = self.shared.layout.object(digest);
            let sealed = disk::set_mode(&path, SEALED);
            // Another user's blob is sealed by that user; what counts is that it is there.
            if sealed.is_err() && !matches!(Stamp::at(&path), Ok(Some(_))) {
                lost.insert(*digest);
            }
            self.shared.unsynced().remove(digest);
        }
        if lost.is_empty() {
            return;
        }
        for job in pending.iter_mut().filter(|job| job.failure.is_none()) {
            let missing = job.manifest.outputs.values().flat_map(blobs).find(|(digest, _)| lost.contains(digest));
            let path = self.shared.layout.root().to_owned();
            let error = missing.map(|(digest, _)| StoreError::MissingBlob { digest: *digest, path });
            job.check(error.map_or(Ok(()), Err));
        }
    }

    /// Releases a result's lock and tells its ticket.
    fn finish(&self, mut job: Pending) {
        let (failure, ticket) = (job.failure.take(), job.ticket.take());
        if failure.is_none() && ticket.is_some() {
            let _ = disk::remove_tree(&self.shared.layout.scratch(&job.manifest.key));
        }
        drop(job.lock.take());
        let Some(promise) = ticket else { return };
        if failure.is_some() {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push(promise.0.clone());
        }
        promise.0.resolve(failure.map_or(Ok(()), Err));
    }
}

impl Pending {
    fn check(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.failure = Some(Arc::new(error));
        }
    }
}

fn extend(predicted: &mut Vec<Digest>, more: &[Digest]) {
    for digest in more {
        if !predicted.contains(digest) {
            predicted.push(*digest);
        }
    }
}
