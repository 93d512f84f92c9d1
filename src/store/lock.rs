//! Who may do what at the same time: key locks, and the store lock between users and garbage collection.
//!
//! Both are kernel locks (see `ofd`) plus a table for the threads of this process, which share one open file.

use std::{
    collections::HashSet,
    fmt, io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    base::Digest,
    store::{
        StoreError,
        ofd::{self, Mode},
    },
};

/// Opens a lock file, which never holds anything.
pub(super) fn open_lock_file(path: &Utf8Path) -> Result<fs::File, StoreError> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StoreError::io("open the lock file", path))
}

/// The key locks of one store in one process.
#[derive(Debug)]
pub(super) struct KeyLocks {
    file: fs::File,
    path: Utf8PathBuf,
    held: Mutex<HashSet<i64>>,
    freed: Condvar,
}

impl KeyLocks {
    pub(super) fn open(path: Utf8PathBuf) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self { file: open_lock_file(&path)?, path, held: Mutex::default(), freed: Condvar::new() }))
    }

    fn table(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn try_lock(self: &Arc<Self>, key: &Digest) -> Result<Option<KeyLock>, StoreError> {
        let offset = offset(key);
        let mut held = self.table();
        if held.contains(&offset) {
            return Ok(None);
        }
        if !ofd::set(&self.file, Mode::Exclusive, offset, false).map_err(StoreError::io("lock", &self.path))? {
            return Ok(None);
        }
        held.insert(offset);
        Ok(Some(KeyLock { key: *key, locks: Arc::clone(self) }))
    }

    pub(super) fn lock(self: &Arc<Self>, key: &Digest) -> Result<KeyLock, StoreError> {
        let offset = offset(key);
        let mut held = self.table();
        while held.contains(&offset) {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        held.insert(offset);
        drop(held);
        match ofd::set(&self.file, Mode::Exclusive, offset, true) {
            Ok(_) => Ok(KeyLock { key: *key, locks: Arc::clone(self) }),
            Err(source) => {
                self.table().remove(&offset);
                self.freed.notify_all();
                Err(StoreError::io("lock", &self.path)(source))
            }
        }
    }
}

/// Returns the byte that stands for a key: its first 63 bits. Two keys that share one exclude each other: harmless.
fn offset(key: &Digest) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&key.as_bytes()[..8]);
    i64::from_be_bytes(bytes) & i64::MAX
}

/// The lock of one key: released when dropped, and by the kernel when its process dies. Nothing is left to clean up.
pub struct KeyLock {
    key: Digest,
    locks: Arc<KeyLocks>,
}

impl KeyLock {
    /// Returns the key.
    pub fn key(&self) -> &Digest {
        &self.key
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        let offset = offset(&self.key);
        let mut held = self.locks.table();
        // Unlocking a range that is held cannot fail but for lack of kernel memory; closing the file releases it then.
        let _ = ofd::set(&self.locks.file, Mode::Unlocked, offset, false);
        held.remove(&offset);
        self.locks.freed.notify_all();
    }
}

impl fmt::Debug for KeyLock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyLock({})", self.key.short())
    }
}

/// The lock between those who note what they use (shared, for an instant) and those who delete (alone).
#[derive(Debug)]
pub(super) struct StoreLock {
    file: fs::File,
    path: Utf8PathBuf,
    readers: Mutex<usize>,
    idle: Condvar,
}

impl StoreLock {
    pub(super) fn open(path: Utf8PathBuf) -> Result<Self, StoreError> {
        Ok(Self { file: open_lock_file(&path)?, path, readers: Mutex::new(0), idle: Condvar::new() })
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) -> Result<(), StoreError> {
        let done: io::Result<bool> = ofd::set(&self.file, mode, 0, true);
        done.map(|_| ()).map_err(StoreError::io("lock", &self.path))
    }

    /// Keeps deleters out. Do not take it twice in one thread.
    pub(super) fn shared(&self) -> Result<SharedGuard<'_>, StoreError> {
        let mut readers = self.count();
        if *readers == 0 {
            self.set(Mode::Shared)?;
        }
        *readers += 1;
        Ok(SharedGuard(self))
    }

    /// Waits for all others, of this and every process, and keeps them out.
    pub(super) fn exclusive(&self) -> Result<ExclusiveGuard<'_>, StoreError> {
        let mut readers = self.count();
        while *readers > 0 {
            readers = self.idle.wait(readers).unwrap_or_else(PoisonError::into_inner);
        }
        self.set(Mode::Exclusive)?;
        Ok(ExclusiveGuard { lock: self, _readers: readers })
    }
}

/// A share of a [`StoreLock`].
#[derive(Debug)]
pub(super) struct SharedGuard<'a>(&'a StoreLock);

impl Drop for SharedGuard<'_> {
    fn drop(&mut self) {
        let mut readers = self.0.count();
        *readers -= 1;
        if *readers == 0 {
            let _ = self.0.set(Mode::Unlocked);
            self.0.idle.notify_all();
        }
    }
}

/// A [`StoreLock`] held alone: threads of this process wait at the counter, other processes in the kernel.
#[derive(Debug)]
pub(super) struct ExclusiveGuard<'a> {
    lock: &'a StoreLock,
    _readers: MutexGuard<'a, usize>,
}

impl Drop for ExclusiveGuard<'_> {
    fn drop(&mut self) {
        let _ = self.lock.set(Mode::Unlocked);
    }
}
