//! What one open store uses, written down where garbage collection of any process sees it.
//!
//! A session is a folder `tmp/<pid>-<time>` with a file `uses`, locked as long as the store is open. Before a writer
//! relies on a result or a blob it notes it there, under a share of the store lock. Garbage collection reads the notes of
//! live sessions and deletes under the same lock held alone. So either the note is there before the deletion, and the
//! thing stays, or the deletion is over before the writer looks whether the thing is there.

use std::{
    collections::HashSet,
    io::{Read, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    base::Digest,
    store::{
        StoreError, disk,
        layout::Layout,
        lock::{self, StoreLock},
        ofd::{self, Mode},
        time,
    },
};

/// Something that garbage collection must not take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Use {
    /// A result with its blobs.
    Result(Digest),
    /// A blob.
    Blob(Digest),
}

const RECORD: usize = 33;

impl Use {
    fn bytes(self) -> [u8; RECORD] {
        let (tag, digest) = match self {
            Self::Result(digest) => (b'r', digest),
            Self::Blob(digest) => (b'b', digest),
        };
        let mut bytes = [tag; RECORD];
        bytes[1..].copy_from_slice(digest.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; RECORD]) -> Option<Self> {
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[1..]);
        let digest = Digest::from_bytes(digest);
        match bytes[0] {
            b'r' => Some(Self::Result(digest)),
            b'b' => Some(Self::Blob(digest)),
            _ => None,
        }
    }
}

/// The session of one open store; made when first needed.
#[derive(Debug, Default)]
pub(super) struct Session {
    state: Mutex<Option<Open>>,
    counter: AtomicU64,
}

#[derive(Debug)]
struct Open {
    folder: Utf8PathBuf,
    uses: fs::File,
    noted: HashSet<Use>,
}

impl Session {
    /// Returns the session's folder; makes it if need be.
    pub(super) fn folder(&self, layout: &Layout, lock: &StoreLock) -> Result<Utf8PathBuf, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*state {
            return Ok(open.folder.clone());
        }
        let guard = lock.shared()?;
        let open = Open::make(layout)?;
        drop(guard);
        Ok(state.insert(open).folder.clone())
    }

    /// Returns a path in the session's folder that nothing has yet.
    pub(super) fn fresh(&self, layout: &Layout, lock: &StoreLock, label: &str) -> Result<Utf8PathBuf, StoreError> {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        Ok(self.folder(layout, lock)?.join(format!("{number:05}-{label}")))
    }

    /// Notes what is used, unless it is noted already. Returns whether anything was not.
    pub(super) fn note(
        &self,
        layout: &Layout,
        lock: &StoreLock,
        uses: impl IntoIterator<Item = Use>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Vec::new();
        let mut bytes = Vec::new();
        for item in uses {
            if state.as_ref().is_none_or(|open| !open.noted.contains(&item)) {
                fresh.push(item);
                bytes.extend_from_slice(&item.bytes());
            }
        }
        if fresh.is_empty() {
            return Ok(false);
        }
        let guard = lock.shared()?;
        let open = match &mut *state {
            Some(open) => open,
            None => state.insert(Open::make(layout)?),
        };
        open.uses.write_all(&bytes).map_err(StoreError::io("write", &open.folder.join("uses")))?;
        open.noted.extend(fresh);
        drop(guard);
        Ok(true)
    }

    /// Returns the session's name, if it was made.
    pub(super) fn name(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_ref().and_then(|open| open.folder.file_name().map(str::to_owned))
    }
}

impl Open {
    fn make(layout: &Layout) -> Result<Self, StoreError> {
        let folder = loop {
            let folder = layout.tmp().join(format!("{}-{:x}", std::process::id(), time::now_ns()));
            match fs::create_dir(&folder) {
                Ok(()) => break folder,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("make the folder", &folder)(error)),
            }
        };
        let path = folder.join("uses");
        let uses =
            fs::OpenOptions::new().create(true).append(true).open(&path).map_err(StoreError::io("write", &path))?;
        // Waits for whoever looks whether the session is alive.
        ofd::set(&uses, Mode::Exclusive, 0, true).map_err(StoreError::io("lock", &path))?;
        Ok(Self { folder, uses, noted: HashSet::new() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // Whatever cannot be removed now is a dead session's leftover to garbage collection.
        let _ = disk::remove_tree(&self.folder);
    }
}

/// A session found in `tmp/`.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) folder: Utf8PathBuf,
    /// What it uses, while it is alive; `None` once its process has gone.
    pub(super) uses: Option<Vec<Use>>,
}

/// Lists the sessions of all processes. Exact only while the store lock is held alone.
pub(super) fn find_all(layout: &Layout) -> Result<Vec<Found>, StoreError> {
    let tmp = layout.tmp();
    let scratches = layout.scratches();
    let mut found = Vec::new();
    for name in disk::names(&tmp)? {
        let folder = tmp.join(&name);
        if folder != scratches {
            found.push(Found { uses: live_uses(&folder)?, folder, name });
        }
    }
    Ok(found)
}

fn live_uses(folder: &Utf8Path) -> Result<Option<Vec<Use>>, StoreError> {
    let path = folder.join("uses");
    if disk::Stamp::at(&path)?.is_none_or(|stamp| !stamp.is_file()) {
        return Ok(None);
    }
    let mut file = match lock::open_lock_file(&path) {
        Err(StoreError::Io { source, .. }) if disk::is_absent(&source) => return Ok(None),
        other => other?,
    };
    if ofd::set(&file, Mode::Shared, 0, false).map_err(StoreError::io("lock", &path))? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
    Ok(Some(bytes.as_chunks::<RECORD>().0.iter().filter_map(Use::from_bytes).collect()))
}
