//! What can go wrong in the store.

use std::{io, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};

use crate::base::{ArtifactType, Digest};

/// A failure of the store. Messages finish "failed to …" or state the fact; the cause is chained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("could not {action} `{path}`{}", hint(.source))]
    Io {
        /// What was tried: `write`.
        action: &'static str,
        /// On what.
        path: Utf8PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The store is open for reading only, or its folder cannot be written.
    #[error("the store `{path}` is read-only: cannot {action}")]
    ReadOnly {
        /// The store.
        path: Utf8PathBuf,
        /// What was tried.
        action: &'static str,
    },
    /// There is no store at the place to read from.
    #[error("there is no artifact store at `{path}`: expected a folder with `objects` and `results`")]
    NoStore {
        /// The place.
        path: Utf8PathBuf,
    },
    /// An output was not left where it was asked for.
    #[error("the output `{path}` was not written")]
    MissingOutput {
        /// The place.
        path: Utf8PathBuf,
    },
    /// An output is a folder where a file was asked for, or the other way round.
    #[error("the output `{path}` is a {found}, but `{artifact_type}` is a {}", if artifact_type.is_folder() { "folder" } else { "file" })]
    WrongShape {
        /// The place.
        path: Utf8PathBuf,
        /// What was asked for.
        artifact_type: ArtifactType,
        /// What is there.
        found: &'static str,
    },
    /// A symbolic link that cannot be taken in as the file that it shows.
    #[error("`{path}` is a symbolic link to `{target}`, {why}: write the file itself")]
    Symlink {
        /// The link.
        path: Utf8PathBuf,
        /// Where it points.
        target: String,
        /// What is wrong with that: `which is outside the output`.
        why: &'static str,
    },
    /// A socket, pipe or device among the outputs.
    #[error("`{path}` is a {what}: only files and folders can be stored")]
    SpecialFile {
        /// The file.
        path: Utf8PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file name that is not UTF-8.
    #[error("the file name `{path}` is not UTF-8: rename it")]
    NotUtf8 {
        /// The path, lossily.
        path: String,
    },
    /// A file changed while it was read.
    #[error("`{path}` changed while it was hashed: something still writes to it")]
    Changed {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A result was to be committed under another key's lock.
    #[error("the result {key} cannot be committed under the lock of {lock}")]
    ForeignLock {
        /// The result's key.
        key: Digest,
        /// The lock's key.
        lock: Digest,
    },
    /// A blob is not in the store, or not with the size that it should have.
    #[error("the blob {digest} is not in the store `{path}`")]
    MissingBlob {
        /// The blob.
        digest: Digest,
        /// The store.
        path: Utf8PathBuf,
    },
    /// A file of the store cannot be understood.
    #[error("`{path}` is damaged: {reason}")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that cannot be a file name.
    #[error("`{name}` cannot name a {what}: use letters, digits, `-`, `_` and `.`, and begin with a letter or digit")]
    BadName {
        /// The name.
        name: String,
        /// What it was to name.
        what: &'static str,
    },
    /// There is no such pin, or run.
    #[error("there is no {what} `{name}` in the store `{path}`")]
    Unknown {
        /// What was looked for: `pin`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The store.
        path: Utf8PathBuf,
    },
    /// A folder that a view was to be made at holds something else.
    #[error("`{path}` exists and is not a view of this artifact: remove it or choose another place")]
    Occupied {
        /// The place.
        path: Utf8PathBuf,
    },
    /// The index failed where it could not be gone without.
    #[error("the index `{path}` failed")]
    Index {
        /// The index.
        path: Utf8PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A result could not be committed.
    #[error("the result {key} of stage `{stage}` was not committed")]
    Commit {
        /// The result's key.
        key: Digest,
        /// The stage.
        stage: String,
        /// Why.
        source: Arc<StoreError>,
    },
    /// The thread that commits is gone.
    #[error("the store was closed before the result was committed")]
    Closed,
}

/// Says what to do about the failures that people meet most.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": the disk is full; free space (`pipeline gc`) and run again"
        }
        io::ErrorKind::ReadOnlyFilesystem => ": the file system is read-only",
        _ => "",
    }
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Returns whether the disk, or the user's share of it, is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Commit { source, .. } => source.is_disk_full(),
            _ => false,
        }
    }

    /// Returns whether the stage that left the output is to blame, not the store.
    pub fn is_bad_output(&self) -> bool {
        matches!(
            self,
            Self::MissingOutput { .. }
                | Self::WrongShape { .. }
                | Self::Symlink { .. }
                | Self::SpecialFile { .. }
                | Self::NotUtf8 { .. }
                | Self::Changed { .. }
        )
    }
}
