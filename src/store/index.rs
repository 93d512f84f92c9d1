//! `index.sqlite`: which predicted key led to which result, which result of a stage is the newest, digests of files by
//! their `stat`.
//!
//! A cache and nothing more: whatever it answers is checked against `results/`, and it is thrown away and built again
//! when it is missing, damaged or written by another version, by whoever notices. Rows are written before the manifest
//! gets its name, so a crash can leave a row too many, which is harmless, and never one too few. When the time of
//! `results/` is not the one last seen, the names in it are compared with the rows.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use camino::Utf8PathBuf;
use fs_err as fs;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, config::DbConfig, params};

use crate::{
    base::Digest,
    record::ResultManifest,
    store::{
        StoreError,
        disk::{self, Stamp},
        layout::{Layout, result_key},
        lock::open_lock_file,
        ofd::{self, Mode},
        results::read_manifest,
    },
};

/// Version of the tables; another version's index is thrown away.
const VERSION: i64 = 2;
/// How long to wait for another process in the middle of a write.
const PATIENCE: Duration = Duration::from_secs(10);

const TABLES: &str = "
    CREATE TABLE results (
        id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, stage TEXT NOT NULL,
        committed_at INTEGER NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
        mtime BLOB NOT NULL, manifest BLOB NOT NULL
    );
    CREATE INDEX results_by_stage ON results (kind, stage, committed_at, key);
    CREATE TABLE predicted (
        predicted BLOB NOT NULL, key BLOB NOT NULL, committed_at INTEGER NOT NULL, PRIMARY KEY (predicted, key)
    ) WITHOUT ROWID;
    CREATE INDEX predicted_by_key ON predicted (key);
    CREATE TABLE stamps (
        path TEXT PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
        mtime BLOB NOT NULL, ctime BLOB NOT NULL, digest BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE seen (id INTEGER PRIMARY KEY CHECK (id = 0), results_time BLOB NOT NULL);
";

const NEWEST_OF_STAGE: &str =
    "SELECT key FROM results WHERE kind = ?1 AND stage = ?2 ORDER BY committed_at DESC, key DESC LIMIT 8";
/// The index of one open store.
#[derive(Debug)]
pub(super) struct Index {
    layout: Layout,
    read_only: bool,
    /// `locks/index`: held alone while writing, so that writers queue in the kernel and not in SQLite's back-off.
    lock: Option<fs::File>,
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    /// Device and inode of the file; `None` for an index in memory.
    file: Option<(u64, u64)>,
}

/// A manifest as it is, or is about to be, in `results/`.
#[derive(Debug)]
pub(super) struct ManifestRow<'a> {
    pub(super) manifest: &'a ResultManifest,
    pub(super) bytes: &'a [u8],
    pub(super) stamp: Stamp,
}

/// What the index has for a predicted key.
#[derive(Debug)]
pub(super) struct Led {
    pub(super) predicted: Digest,
    /// Keys of the results that it led to, newest first.
    pub(super) keys: Vec<Digest>,
    /// The bytes of the newest one's manifest, and what `stat` said of it.
    pub(super) newest: (Stamp, Vec<u8>),
}

/// A file's digest as of a `stat`.
#[derive(Clone, Debug)]
pub(super) struct StampRow {
    pub(super) path: String,
    pub(super) stamp: Stamp,
    pub(super) digest: Digest,
}

impl Index {
    pub(super) fn new(layout: &Layout, read_only: bool) -> Result<Self, StoreError> {
        let lock = if read_only { None } else { Some(open_lock_file(&layout.lock("index"))?) };
        Ok(Self { layout: layout.clone(), read_only, lock, open: Mutex::new(None) })
    }

    fn state(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the index; opens, replaces or catches up the index first, if need be. When the index fails, a new
    /// one is built and `work` is run once more.
    fn with<T>(&self, mut work: impl FnMut(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let mut state = self.state();
        let file = self.file();
        if state.as_ref().is_none_or(|open| open.file.is_some() && open.file != file) {
            *state = None;
            *state = Some(self.open()?);
        }
        let open = state.as_mut().expect("it was opened above");
        match work(&mut open.connection) {
            Err(error) if is_damage(&error) => {
                let damaged = open.file;
                *state = None;
                *state = Some(self.replace(damaged)?);
                work(&mut state.as_mut().expect("it was opened above").connection)
            }
            other => other,
        }
    }

    /// Returns which file the index is now.
    fn file(&self) -> Option<(u64, u64)> {
        Stamp::at(&self.layout.index()).ok().flatten().map(|stamp| (stamp.device, stamp.inode))
    }

    fn open(&self) -> rusqlite::Result<Open> {
        let file = self.file();
        match self.open_file().and_then(|connection| self.catch_up(connection)) {
            Ok(connection) => Ok(Open { connection, file }),
            Err(error) if is_busy(&error) => Err(error),
            Err(_) => self.replace(file),
        }
    }

    /// Opens the file as it is.
    fn open_file(&self) -> rusqlite::Result<Connection> {
        let access = if self.read_only { OpenFlags::SQLITE_OPEN_READ_ONLY } else { OpenFlags::SQLITE_OPEN_READ_WRITE };
        let connection = Connection::open_with_flags(self.layout.index(), access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        configure(&connection)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == VERSION { Ok(connection) } else { Err(rusqlite::Error::InvalidQuery) }
    }

    /// Builds a new index in place of `damaged`, unless another process did so meanwhile. Where that is not possible, an
    /// index in memory serves.
    fn replace(&self, damaged: Option<(u64, u64)>) -> rusqlite::Result<Open> {
        if let Some(lock) = &self.lock
            && let Ok(true) = ofd::set(lock, Mode::Exclusive, 0, true)
        {
            let made = self.replace_locked(damaged);
            let _ = ofd::set(lock, Mode::Unlocked, 0, false);
            if let Ok(open) = made {
                return Ok(open);
            }
        }
        let mut connection = Connection::open_in_memory()?;
        connection.execute_batch(TABLES)?;
        self.rescan(&mut connection)?;
        Ok(Open { connection, file: None })
    }

    fn replace_locked(&self, damaged: Option<(u64, u64)>) -> rusqlite::Result<Open> {
        if self.file() != damaged
            && let Ok(mut connection) = self.open_file()
        {
            self.rescan(&mut connection)?;
            return Ok(Open { connection, file: self.file() });
        }
        let index = self.layout.index();
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let _ = disk::remove_file(&Utf8PathBuf::from(format!("{index}{suffix}")));
        }
        let mut connection = Connection::open(&index)?;
        configure(&connection)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;"))?;
        self.rescan(&mut connection)?;
        Ok(Open { connection, file: self.file() })
    }

    /// Brings the rows up to date if `results/` is not as it was last seen.
    fn catch_up(&self, mut connection: Connection) -> rusqlite::Result<Connection> {
        let seen: Option<Vec<u8>> =
            connection.query_row("SELECT results_time FROM seen", [], |row| row.get(0)).optional()?;
        if seen.as_deref() == Some(&self.results_time()) {
            return Ok(connection);
        }
        let Some(lock) = &self.lock else {
            // A reader cannot write rows, so it takes what is missing into memory.
            connection = Connection::open_in_memory()?;
            connection.execute_batch(TABLES)?;
            self.rescan(&mut connection)?;
            return Ok(connection);
        };
        if let Ok(true) = ofd::set(lock, Mode::Exclusive, 0, true) {
            let done = self.rescan(&mut connection);
            let _ = ofd::set(lock, Mode::Unlocked, 0, false);
            done?;
        }
        Ok(connection)
    }

    fn results_time(&self) -> [u8; 16] {
        Stamp::at(&self.layout.results()).ok().flatten().map_or(0, |stamp| stamp.mtime_ns).to_le_bytes()
    }

    /// Compares the names in `results/` with the rows: adds what is missing, drops what is gone.
    fn rescan(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let time = self.results_time();
        let names = disk::names(&self.layout.results()).unwrap_or_default();
        let there: HashSet<Digest> = names.iter().filter_map(|name| result_key(name)).collect();
        let transaction = connection.transaction()?;
        let known: HashSet<Digest> = transaction
            .prepare("SELECT key FROM results")?
            .query_map([], |row| row.get(0).map(Digest::from_bytes))?
            .collect::<rusqlite::Result<_>>()?;
        for key in known.difference(&there) {
            forget_key(&transaction, key)?;
        }
        let mut missing: Vec<&Digest> = there.difference(&known).collect();
        missing.sort_unstable();
        for key in missing {
            if let Ok(Some((stamp, bytes, manifest))) = read_manifest(&self.layout, key) {
                insert(&transaction, &ManifestRow { manifest: &manifest, bytes: &bytes, stamp })?;
            }
        }
        transaction
            .execute("INSERT OR REPLACE INTO seen (id, results_time) VALUES (0, ?1)", params![time.as_slice()])?;
        transaction.commit()
    }

    /// Writes in one transaction, in the queue of writers.
    fn write(&self, mut work: impl FnMut(&Connection) -> rusqlite::Result<()>) -> rusqlite::Result<()> {
        let run = |connection: &mut Connection| {
            let locked = self.lock.as_ref().is_some_and(|lock| ofd::set(lock, Mode::Exclusive, 0, true).is_ok());
            let done = (|| {
                let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                work(&transaction)?;
                transaction.commit()
            })();
            if let Some(lock) = self.lock.as_ref().filter(|_| locked) {
                let _ = ofd::set(lock, Mode::Unlocked, 0, false);
            }
            done
        };
        self.with(run)
    }

    /// Adds the rows of results that are about to get their names.
    pub(super) fn record(&self, rows: &[ManifestRow]) -> rusqlite::Result<()> {
        self.write(|connection| rows.iter().try_for_each(|row| insert(connection, row)))
    }

    /// Drops the rows of results.
    pub(super) fn forget(&self, keys: &[Digest]) -> rusqlite::Result<()> {
        self.write(|connection| keys.iter().try_for_each(|key| forget_key(connection, key)))
    }

    /// Compares the rows with `results/`, so that the next to open need not, and tidies up.
    pub(super) fn settle(&self) -> rusqlite::Result<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        self.with(|connection| {
            ofd::set(lock, Mode::Exclusive, 0, true).map_err(|_| rusqlite::Error::InvalidQuery)?;
            let done = self.rescan(connection);
            let _ = ofd::set(lock, Mode::Unlocked, 0, false);
            done
        })?;
        // Folds the log in, unless others are reading: the next to open would have to read it from end to end.
        self.with(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            let folded = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            connection.busy_timeout(PATIENCE)?;
            folded
        })
    }

    /// Returns what predicted keys led to, for those that led anywhere.
    pub(super) fn led(&self, predicted: &[Digest]) -> rusqlite::Result<Vec<Led>> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let mut found: Vec<Led> = Vec::new();
            {
                let mut statement = transaction.prepare_cached(
                    "SELECT key, manifest, device, inode, size, mtime FROM predicted JOIN results USING (key)
                     WHERE predicted = ?1 ORDER BY predicted.committed_at DESC, key DESC",
                )?;
                for digest in predicted {
                    let mut rows = statement.query([digest.as_bytes()])?;
                    let mut led: Option<Led> = None;
                    while let Some(row) = rows.next()? {
                        let key = Digest::from_bytes(row.get(0)?);
                        match &mut led {
                            Some(led) => led.keys.push(key),
                            None => {
                                let newest = (row_stamp(row)?, row.get(1)?);
                                led = Some(Led { predicted: *digest, keys: vec![key], newest });
                            }
                        }
                    }
                    found.extend(led);
                }
            }
            transaction.finish()?;
            Ok(found)
        })
    }

    /// Returns the newest results of a stage, newest first.
    pub(super) fn newest(&self, stage: &str, kind: &str) -> rusqlite::Result<Vec<Digest>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(NEWEST_OF_STAGE)?;
            let keys = statement.query_map([kind, stage], |row| row.get(0).map(Digest::from_bytes))?;
            keys.collect()
        })
    }

    /// Returns the digests noted for files, where the `stat` is still the same.
    pub(super) fn stamped(&self, files: &[(String, Stamp)]) -> rusqlite::Result<Vec<Option<Digest>>> {
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let mut digests = Vec::with_capacity(files.len());
            {
                let mut statement = transaction.prepare_cached(
                    "SELECT digest FROM stamps
                     WHERE path = ?1 AND device = ?2 AND inode = ?3 AND size = ?4 AND mtime = ?5 AND ctime = ?6",
                )?;
                for (path, stamp) in files {
                    let row = params![
                        path,
                        stamp.device.cast_signed(),
                        stamp.inode.cast_signed(),
                        stamp.size.cast_signed(),
                        stamp.mtime_ns.to_le_bytes(),
                        stamp.ctime_ns.to_le_bytes()
                    ];
                    digests.push(statement.query_row(row, |row| row.get(0).map(Digest::from_bytes)).optional()?);
                }
            }
            transaction.finish()?;
            Ok(digests)
        })
    }

    /// Notes digests of files.
    pub(super) fn stamp(&self, rows: &[StampRow]) -> rusqlite::Result<()> {
        if self.read_only || rows.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            let mut statement =
                connection.prepare_cached("INSERT OR REPLACE INTO stamps VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            for StampRow { path, stamp, digest } in rows {
                statement.execute(params![
                    path,
                    stamp.device.cast_signed(),
                    stamp.inode.cast_signed(),
                    stamp.size.cast_signed(),
                    stamp.mtime_ns.to_le_bytes(),
                    stamp.ctime_ns.to_le_bytes(),
                    digest.as_bytes()
                ])?;
            }
            Ok(())
        })
    }

    /// Throws the index away and builds it again.
    pub(super) fn rebuild(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        *state = None;
        let open =
            self.replace(self.file()).map_err(|source| StoreError::Index { path: self.layout.index(), source })?;
        *state = Some(open);
        Ok(())
    }
}

fn insert(connection: &Connection, row: &ManifestRow) -> rusqlite::Result<()> {
    let ManifestRow { manifest, bytes, stamp } = row;
    let key = manifest.key.as_bytes();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO results
             (key, kind, stage, committed_at, device, inode, size, mtime, manifest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            key,
            manifest.kind,
            manifest.stage,
            manifest.committed_at,
            stamp.device.cast_signed(),
            stamp.inode.cast_signed(),
            stamp.size.cast_signed(),
            stamp.mtime_ns.to_le_bytes(),
            bytes
        ])?;
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO predicted VALUES (?1, ?2, ?3)")?;
    for predicted in &manifest.predicted {
        statement.execute(params![predicted.as_bytes(), key, manifest.committed_at])?;
    }
    Ok(())
}

/// Returns the stamp in columns 2 to 5: what of it tells one content from another.
fn row_stamp(row: &rusqlite::Row) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        device: row.get::<_, i64>(2)?.cast_unsigned(),
        inode: row.get::<_, i64>(3)?.cast_unsigned(),
        size: row.get::<_, i64>(4)?.cast_unsigned(),
        mtime_ns: i128::from_le_bytes(row.get(5)?),
        ..Stamp::default()
    })
}

fn forget_key(connection: &Connection, key: &Digest) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM results WHERE key = ?1")?.execute([key.as_bytes()])?;
    connection.prepare_cached("DELETE FROM predicted WHERE key = ?1")?.execute([key.as_bytes()])?;
    Ok(())
}

/// Sets what every connection needs. Closing leaves the write-ahead log as it is: folding it in would cost two `fsync`.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "normal")
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Returns whether a new index would help: not when it is busy, and not when there is no room for one.
fn is_damage(error: &rusqlite::Error) -> bool {
    !is_busy(error) && !matches!(code(error), Some(ErrorCode::DiskFull | ErrorCode::OperationInterrupted))
}
