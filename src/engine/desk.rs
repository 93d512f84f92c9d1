//! A folder in which attempts work, one after the other.
//!
//! ```text
//! request.json   what the stage is told
//! work/          the working folder, with declared files at their relative paths
//! files/         files of a kind that have no place in the working folder
//! in/            folders of links for inputs that are folders; an input of one file is read where the store keeps it
//! out-N/         outputs of the Nth attempt; folders exist, files do not
//! events         what a command stage says, if it says anything
//! ```
//!
//! A desk is swept and used again: three folders, a request and a copy of each script, made and deleted for every attempt,
//! cost more than a small stage does: ext4 searches for every new inode beyond those deleted in the last seconds, and where
//! it is mounted with `discard`, freeing a block that was written is a command to the disk that takes a millisecond.
//! What the next stage finds is nevertheless exactly what a fresh desk has: everything is removed but the empty folders and
//! files that still hold the bytes that were put there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
};

use camino::{Utf8Path, Utf8PathBuf};

use crate::base::Digest;

/// Files up to this many bytes are read again to see whether they may stay.
pub(super) const SMALL_BYTES: u64 = 256 * 1024;

/// A folder in which attempts work.
#[derive(Debug)]
pub(super) struct Desk {
    folder: Utf8PathBuf,
    /// Small files directly in `work/`, by name.
    placed: BTreeMap<String, Placed>,
    /// Bytes of the request file.
    request_bytes: usize,
    /// Attempts before this one.
    turn: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    digest: Digest,
    mode: u32,
}

impl Desk {
    /// Makes a desk of an empty folder.
    pub(super) fn new(folder: Utf8PathBuf) -> io::Result<Self> {
        let desk = Self { folder, placed: BTreeMap::new(), request_bytes: 0, turn: 0 };
        fs_err::create_dir(desk.work())?;
        fs_err::create_dir(desk.out())?;
        Ok(desk)
    }

    /// Returns the path of the request file.
    pub(super) fn request(&self) -> Utf8PathBuf {
        self.folder.join("request.json")
    }

    /// Returns the path of the file of events that a command stage may write.
    pub(super) fn events(&self) -> Utf8PathBuf {
        self.folder.join("events")
    }

    /// Returns the working folder.
    pub(super) fn work(&self) -> Utf8PathBuf {
        self.folder.join("work")
    }

    /// Returns the folder for outputs: another name for each attempt, so that what an earlier one left running does not
    /// find it.
    pub(super) fn out(&self) -> Utf8PathBuf {
        self.folder.join(self.out_name())
    }

    fn out_name(&self) -> String {
        format!("out-{}", self.turn)
    }

    /// Returns the folder for views of inputs; it does not exist yet.
    pub(super) fn views(&self) -> Utf8PathBuf {
        self.folder.join("in")
    }

    /// Returns the folder for files that have no place in the working folder; it does not exist yet.
    pub(super) fn files(&self) -> Utf8PathBuf {
        self.folder.join("files")
    }

    /// Removes from the working folder what an earlier stage was given and this one, which has files at `wanted`, is not.
    pub(super) fn clear_for(&mut self, wanted: &BTreeSet<&Utf8Path>) -> io::Result<()> {
        let work = self.work();
        let strange: Vec<String> =
            self.placed.keys().filter(|name| !wanted.contains(Utf8Path::new(name.as_str()))).cloned().collect();
        for name in strange {
            fs_err::remove_file(work.join(&name))?;
            self.placed.remove(&name);
        }
        Ok(())
    }

    /// Puts a file with these bytes at `at` in the working folder.
    pub(super) fn put(&mut self, at: &Utf8Path, digest: Digest, bytes: &[u8], mode: u32) -> io::Result<()> {
        let placed = Placed { digest, mode };
        let name = at.as_str();
        if self.placed.get(name) == Some(&placed) {
            return Ok(());
        }
        let path = self.work().join(at);
        if self.placed.remove(name).is_some() {
            fs_err::remove_file(&path)?;
        }
        write_new(&path, bytes, mode)?;
        if at.components().count() == 1 && bytes.len() as u64 <= SMALL_BYTES {
            self.placed.insert(name.to_owned(), placed);
        }
        Ok(())
    }

    /// Writes the request: over the one before, filled up with spaces to its length, so that no block is freed.
    pub(super) fn write_request(&mut self, mut text: Vec<u8>) -> io::Result<()> {
        text.resize(text.len().max(self.request_bytes), b' ');
        self.request_bytes = text.len();
        std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(self.request())?.write_all(&text)
    }

    /// Removes everything that a fresh desk does not have, but for files that are still as they were put there.
    ///
    /// # Errors
    /// Something resists; then the desk must not be used again.
    pub(super) fn sweep(&mut self) -> io::Result<()> {
        for entry in fs_err::read_dir(&self.folder)? {
            let entry = entry?;
            let (name, kind) = (entry.file_name(), entry.file_type()?);
            let belongs = match name.to_str() {
                Some("request.json") => {
                    let metadata = entry.metadata()?;
                    metadata.is_file() && metadata.nlink() == 1 && metadata.len() == self.request_bytes as u64
                }
                Some(name) if name == "work" || name == self.out_name() => kind.is_dir(),
                _ => false,
            };
            if !belongs {
                remove(&entry)?;
                if name == "request.json" {
                    self.request_bytes = 0;
                }
            }
        }
        let before = self.out();
        self.turn += 1;
        fs_err::rename(&before, self.out())?;
        for entry in fs_err::read_dir(self.out())? {
            remove(&entry?)?;
        }
        let mut kept = BTreeMap::new();
        for entry in fs_err::read_dir(self.work())? {
            let entry = entry?;
            let known = entry.file_name().into_string().ok().and_then(|name| self.placed.remove_entry(&name));
            match known {
                Some((name, placed)) if is_untouched(&entry, placed)? => {
                    kept.insert(name, placed);
                }
                _ => remove(&entry)?,
            }
        }
        self.placed = kept;
        Ok(())
    }

    /// Removes the desk. What resists is left to the store's tidying.
    pub(super) fn remove(self) {
        let _ = fs_err::remove_dir_all(&self.folder);
    }
}

fn is_untouched(entry: &fs_err::DirEntry, placed: Placed) -> io::Result<bool> {
    let metadata: Metadata = entry.metadata()?;
    Ok(metadata.is_file()
        && metadata.nlink() == 1
        && metadata.permissions().mode() & 0o7700 == placed.mode & 0o700
        && metadata.len() <= SMALL_BYTES
        && Digest::of(&fs_err::read(entry.path())?) == placed.digest)
}

fn remove(entry: &fs_err::DirEntry) -> io::Result<()> {
    if entry.file_type()?.is_dir() { fs_err::remove_dir_all(entry.path()) } else { fs_err::remove_file(entry.path()) }
}

/// Opens a file for writing that must not exist yet, with this mode less the umask.
pub(super) fn create_new(path: &Utf8Path, mode: u32) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Writes a file that must not exist yet.
pub(super) fn write_new(path: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    create_new(path, mode)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything below a folder, with the content of files.
    fn listing(folder: &Utf8Path) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in folder.read_dir_utf8().unwrap() {
            let path = entry.unwrap().path().to_owned();
            let kind = std::fs::symlink_metadata(&path).unwrap();
            let name = path.file_name().unwrap();
            if kind.is_dir() {
                lines.push(format!("{name}/"));
                lines.extend(listing(&path).into_iter().map(|line| format!("{name}/{line}")));
            } else {
                lines.push(format!("{name} {}", std::fs::read_to_string(&path).unwrap()));
            }
        }
        lines.sort();
        lines
    }

    fn put(desk: &mut Desk, at: &str, text: &str) {
        desk.put(at.into(), Digest::of(text.as_bytes()), text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn a_swept_desk_is_as_good_as_a_fresh_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(folder.path().join("desk")).unwrap();
        std::fs::create_dir(&root).unwrap();
        let mut desk = Desk::new(root.clone()).unwrap();
        for name in ["same", "edited", "linked", "replaced", "made-executable", "unwanted"] {
            put(&mut desk, name, name);
        }
        let work = desk.work();
        let inode = std::fs::metadata(work.join("same")).unwrap().ino();
        std::fs::write(work.join("edited"), "EDITED").unwrap();
        std::fs::hard_link(work.join("linked"), folder.path().join("other-name")).unwrap();
        std::fs::remove_file(work.join("replaced")).unwrap();
        std::os::unix::fs::symlink("same", work.join("replaced")).unwrap();
        std::fs::set_permissions(work.join("made-executable"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir_all(work.join("deep/deeper")).unwrap();
        std::fs::write(work.join("deep/deeper/file"), "x").unwrap();
        std::fs::write(desk.out().join("left"), "x").unwrap();
        std::fs::create_dir(desk.views()).unwrap();
        std::fs::write(desk.events(), "x").unwrap();
        desk.write_request(b"{}".to_vec()).unwrap();
        desk.sweep().unwrap();
        assert_eq!(listing(&root), ["out-1/", "request.json {}", "work/", "work/same same", "work/unwanted unwanted"]);
        let wanted = ["same", "edited", "sub/new"];
        desk.clear_for(&wanted.map(Utf8Path::new).into()).unwrap();
        std::fs::create_dir(work.join("sub")).unwrap();
        for name in wanted {
            put(&mut desk, name, name);
        }
        assert_eq!(
            listing(&work),
            ["edited edited", "same same", "sub/", "sub/new sub/new"],
            "exactly what was put there"
        );
        assert_eq!(std::fs::metadata(work.join("same")).unwrap().ino(), inode, "it was not written again");
        put(&mut desk, "same", "other bytes");
        assert_eq!(std::fs::read_to_string(work.join("same")).unwrap(), "other bytes");
    }

    #[test]
    fn a_shorter_request_leaves_nothing_of_the_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(folder.path().join("desk")).unwrap();
        std::fs::create_dir(&root).unwrap();
        let mut desk = Desk::new(root).unwrap();
        for text in ["[1, 2, 3, 4]", "[1]", "[\"one much longer than the first\"]", "[2]"] {
            desk.write_request(text.as_bytes().to_vec()).unwrap();
            assert_eq!(std::fs::read_to_string(desk.request()).unwrap().trim_end(), text);
            desk.sweep().unwrap();
        }
        let kept = folder.path().join("kept");
        std::fs::hard_link(desk.request(), &kept).unwrap();
        desk.sweep().unwrap();
        desk.write_request(b"[3]".to_vec()).unwrap();
        assert_eq!(std::fs::read_to_string(&kept).unwrap().trim_end(), "[2]", "a link to it keeps what it showed");
    }
}
