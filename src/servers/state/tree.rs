//! A folder's files: paths, kinds, contents by digest.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd as _, BorrowedFd},
};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use rustix::fs::FileType;
use serde::{Deserialize, Serialize};

use super::{Probe, StateError};
use crate::{base::Digest, servers::inside};

/// Entries and bytes that are read at most.
const MOST_ENTRIES: usize = 100_000;
const MOST_BYTES: u64 = 1 << 30;

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// A folder.
    Folder,
    /// A regular file.
    File {
        /// Of its content.
        digest: Digest,
        /// How large it is.
        bytes: u64,
    },
    /// A symbolic link, not followed.
    Link {
        /// What it says.
        target: String,
    },
    /// A pipe, a socket, a device.
    Special,
}

/// Path, parts joined by `/` → entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    /// The entries.
    pub nodes: BTreeMap<String, Node>,
}

/// Returns `path` without `.` parts.
fn plain(path: &Utf8Path) -> Utf8PathBuf {
    path.components().filter(|part| !matches!(part, Utf8Component::CurDir)).collect()
}

/// What SQLite puts beside a file is left out with it.
fn is_left_out(path: &Utf8Path, left_out: &[Utf8PathBuf]) -> bool {
    path.file_name() == Some(".git")
        || left_out.iter().any(|out| {
            let rest = path.as_str().strip_prefix(out.as_str());
            path == out || rest.is_some_and(|rest| matches!(rest, "-wal" | "-shm" | "-journal"))
        })
}

pub(super) fn read(
    probe: &Probe,
    path: &Utf8Path,
    left_out: &[Utf8PathBuf],
    folder: BorrowedFd<'_>,
) -> Result<Tree, StateError> {
    let failed = |source: io::Error| StateError::Read { probe: probe.name(), source };
    let path = plain(path);
    let left_out: Vec<Utf8PathBuf> = left_out.iter().map(|out| plain(out)).collect();
    let opened;
    let folder = if path.as_str().is_empty() {
        folder
    } else {
        opened = inside::open_folder_below(folder, path.as_std_path()).map_err(failed)?;
        opened.as_fd()
    };
    let mut tree = Tree::default();
    let mut bytes_left = MOST_BYTES;
    inside::walk(folder, &mut |entry| {
        if is_left_out(&path.join(entry.path), &left_out) {
            return Ok(false);
        }
        if tree.nodes.len() >= MOST_ENTRIES {
            return Err(io::Error::other(format!("more than {MOST_ENTRIES} files and folders")));
        }
        let node = match entry.kind {
            FileType::Directory => Node::Folder,
            FileType::Symlink => Node::Link { target: entry.target()? },
            FileType::RegularFile => {
                let mut file = io::Read::take(entry.open()?, bytes_left + 1);
                let digest = Digest::of_reader(&mut file)?;
                let bytes = bytes_left + 1 - file.limit();
                bytes_left = bytes_left
                    .checked_sub(bytes)
                    .ok_or_else(|| io::Error::other(format!("more than {MOST_BYTES} bytes")))?;
                Node::File { digest, bytes }
            }
            _ => Node::Special,
        };
        tree.nodes.insert(entry.path.to_owned(), node);
        Ok(true)
    })
    .map_err(failed)?;
    Ok(tree)
}
