//! Keeps copies of outputs at paths of the project, and restores them when they are missing or altered.
//!
//! A copy is a reflink where the file system can, else a copy; never a hard link, so editing it cannot reach the store.
//! It appears by rename, whole or not at all. What was written is remembered (size, change time, inode), so that a run
//! whose stages are all hits compares one `stat` a file. A lost or stale memory costs a hash, nothing else.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::{base::Digest, record::OutputRecord};

/// Format version of [`Memory`]; another version is forgotten.
const MEMORY_FORMAT: u32 = 1;

/// A copy that cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The path leaves the project.
    #[error("cannot publish to `{path}`: the path must be relative and stay inside the project")]
    Outside {
        /// The path as written.
        path: Utf8PathBuf,
    },
    /// Something of another type is in the way.
    #[error("cannot publish to `{path}`: {found} is in the way and is not replaced; move it or publish elsewhere")]
    InTheWay {
        /// The path.
        path: Utf8PathBuf,
        /// What is there.
        found: &'static str,
    },
    /// Reading or writing failed.
    #[error("cannot publish to `{path}`")]
    Io {
        /// The path.
        path: Utf8PathBuf,
        /// Why.
        source: io::Error,
    },
}

const DAMAGED: &str =
    "the stored bytes are damaged; `pipeline verify --full` sets them aside, and the next run makes them again";

/// What a file was when it was last known to hold the bytes of `digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    digest: Digest,
    bytes: u64,
    changed_ns: i128,
    inode: u64,
}

impl Stamp {
    fn new(digest: Digest, metadata: &std::fs::Metadata) -> Self {
        let changed_ns = i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec());
        Self { digest, bytes: metadata.len(), changed_ns, inode: metadata.ino() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    schema_version: u32,
    /// By path relative to the project.
    files: BTreeMap<Utf8PathBuf, Stamp>,
}

/// Keeps the published files of one project.
#[derive(Debug)]
pub(super) struct Publisher {
    project: Utf8PathBuf,
    memory_path: Utf8PathBuf,
    /// Read at the first use: most pipelines publish nothing.
    memory: Option<Memory>,
    dirty: bool,
    reflinks: bool,
    counter: usize,
}

impl Publisher {
    /// Prepares for the project; the memory lies in `state_folder`, one file a project.
    pub(super) fn new(project: &Utf8Path, state_folder: &Utf8Path) -> Self {
        let name = Digest::of(project.as_str().as_bytes()).short();
        Self {
            project: project.to_owned(),
            memory_path: state_folder.join(format!("published-{name}.json")),
            memory: None,
            dirty: false,
            reflinks: true,
            counter: 0,
        }
    }

    /// Makes `at`, a path of the project, hold the output; `blob` tells where the bytes of a digest lie. Files that an
    /// earlier output left below a published folder are removed unless somebody changed them. Returns how many files
    /// were written.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub(super) fn keep(
        &mut self,
        at: &Utf8Path,
        record: &OutputRecord,
        blob: &dyn Fn(&Digest) -> Utf8PathBuf,
    ) -> Result<usize, PublishError> {
        if at.as_str().is_empty()
            || !at.components().all(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir))
        {
            return Err(PublishError::Outside { path: at.to_owned() });
        }
        if !record.artifact_type.is_folder() {
            return Ok(usize::from(self.keep_file(at.to_owned(), record.digest, record.bytes, blob)?));
        }
        let folder = self.project.join(at);
        match fs_err::symlink_metadata(&folder) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(PublishError::InTheWay { path: at.to_owned(), found: "a file" });
            }
            Ok(_) => {}
            Err(_) => {
                fs_err::create_dir_all(&folder).map_err(|source| PublishError::Io { path: at.to_owned(), source })?
            }
        }
        let mut written = 0;
        for file in &record.files {
            written += usize::from(self.keep_file(at.join(&file.path), file.digest, file.bytes, blob)?);
        }
        self.remove_leftovers(at, record)?;
        Ok(written)
    }

    /// Writes the memory if it changed.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if let Some(memory) = self.memory.as_ref().filter(|_| self.dirty) {
            if let Some(folder) = self.memory_path.parent() {
                fs_err::create_dir_all(folder)?;
            }
            let temporary = format!("{}.{}.tmp", self.memory_path, std::process::id());
            fs_err::write(&temporary, serde_json::to_vec(memory)?)?;
            fs_err::rename(&temporary, &self.memory_path)?;
            self.dirty = false;
        }
        Ok(())
    }

    fn memory(&mut self) -> &mut Memory {
        self.memory.get_or_insert_with(|| {
            fs_err::read(&self.memory_path)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Memory>(&bytes).ok())
                .filter(|memory| memory.schema_version == MEMORY_FORMAT)
                .unwrap_or_else(|| Memory { schema_version: MEMORY_FORMAT, files: BTreeMap::new() })
        })
    }

    /// Returns whether a file is as an earlier run left it.
    fn is_ours(&mut self, at: &Utf8Path, metadata: &std::fs::Metadata) -> bool {
        self.memory().files.get(at).is_some_and(|stamp| Stamp::new(stamp.digest, metadata) == *stamp)
    }

    fn remember(&mut self, at: Utf8PathBuf, stamp: Stamp) {
        self.memory().files.insert(at, stamp);
        self.dirty = true;
    }

    /// Returns whether the file had to be written.
    fn keep_file(
        &mut self,
        at: Utf8PathBuf,
        digest: Digest,
        bytes: u64,
        blob: &dyn Fn(&Digest) -> Utf8PathBuf,
    ) -> Result<bool, PublishError> {
        let path = self.project.join(&at);
        match fs_err::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(PublishError::InTheWay { path: at, found: "a folder" }),
            Ok(metadata) if metadata.is_file() && metadata.len() == bytes => {
                let stamp = Stamp::new(digest, &metadata);
                if self.memory().files.get(&at) == Some(&stamp) {
                    return Ok(false);
                }
                if fs_err::File::open(&path).and_then(Digest::of_reader).is_ok_and(|found| found == digest) {
                    self.remember(at, stamp);
                    return Ok(false);
                }
                if !self.is_ours(&at, &metadata) {
                    return Err(PublishError::InTheWay {
                        path: at,
                        found: "a file of yours, or one that you changed,",
                    });
                }
            }
            Ok(metadata) if !self.is_ours(&at, &metadata) => {
                return Err(PublishError::InTheWay { path: at, found: "a file of yours, or one that you changed," });
            }
            _ => {}
        }
        match self.write(&path, &blob(&digest), &digest) {
            Ok(metadata) => {
                self.remember(at, Stamp::new(digest, &metadata));
                Ok(true)
            }
            Err(source) => Err(PublishError::Io { path: at, source }),
        }
    }

    /// Copies a blob to `path` by way of a temporary file beside it.
    fn write(&mut self, path: &Utf8Path, blob: &Utf8Path, digest: &Digest) -> io::Result<std::fs::Metadata> {
        let source = fs_err::File::open(blob)?;
        self.counter += 1;
        let temporary = path.with_file_name(format!(
            ".{}.{}-{}.tmp",
            path.file_name().unwrap_or_default(),
            std::process::id(),
            self.counter
        ));
        let open = || {
            fs_err::OpenOptions::from_options(
                std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).clone(),
            )
            .open(&temporary)
        };
        let target = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(folder) = path.parent() {
                    fs_err::create_dir_all(folder)?;
                }
                open()?
            }
            other => other?,
        };
        // The move counts as a change, so what the file is is asked afterwards.
        let copied = self.copy(&source, &target).and_then(|()| {
            let holds = Digest::of_reader(fs_err::File::open(&temporary)?)?;
            if holds == *digest { Ok(()) } else { Err(io::Error::other(DAMAGED)) }
        });
        let moved = copied.and_then(|()| fs_err::rename(&temporary, path));
        let copied = moved.and_then(|()| target.metadata());
        if copied.is_err() {
            // The first error is the one to tell.
            let _ = fs_err::remove_file(&temporary);
        }
        copied
    }

    fn copy(&mut self, source: &fs_err::File, target: &fs_err::File) -> io::Result<()> {
        if self.reflinks && rustix::fs::ioctl_ficlone(target.file(), source.file()).is_ok() {
            return Ok(());
        }
        // One refusal is taken as the file system's answer for the run; the copy is right in any case.
        self.reflinks = false;
        io::copy(&mut source.file(), &mut target.file()).map(drop)
    }

    fn remove_leftovers(&mut self, folder: &Utf8Path, record: &OutputRecord) -> Result<(), PublishError> {
        let prefix = folder.to_owned();
        let wanted: std::collections::BTreeSet<Utf8PathBuf> =
            record.files.iter().map(|file| folder.join(&file.path)).collect();
        let leftovers: Vec<(Utf8PathBuf, Stamp)> = self
            .memory()
            .files
            .range(prefix.clone()..)
            .take_while(|(path, _)| path.starts_with(&prefix))
            .filter(|(path, _)| !wanted.contains(*path))
            .map(|(path, stamp)| (path.clone(), *stamp))
            .collect();
        for (at, stamp) in leftovers {
            let path = self.project.join(&at);
            let unchanged = fs_err::symlink_metadata(&path)
                .is_ok_and(|metadata| metadata.is_file() && Stamp::new(stamp.digest, &metadata) == stamp);
            if unchanged {
                fs_err::remove_file(&path).map_err(|source| PublishError::Io { path: at.clone(), source })?;
            }
            self.memory().files.remove(&at);
            self.dirty = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::ArtifactType, record::OutputFile};

    struct World {
        _folder: tempfile::TempDir,
        root: Utf8PathBuf,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
            for name in ["objects", "project", "state"] {
                std::fs::create_dir(root.join(name)).unwrap();
            }
            Self { _folder: folder, root }
        }

        fn blob(&self, text: &str) -> (Digest, u64) {
            let digest = Digest::of(text.as_bytes());
            std::fs::write(self.root.join("objects").join(digest.to_string()), text).unwrap();
            (digest, text.len() as u64)
        }

        fn file(&self, text: &str) -> OutputRecord {
            let (digest, bytes) = self.blob(text);
            OutputRecord { artifact_type: ArtifactType::File, digest, bytes, rows: None, files: Vec::new() }
        }

        fn folder(&self, files: &[(&str, &str)]) -> OutputRecord {
            let files: Vec<OutputFile> = files
                .iter()
                .map(|(path, text)| {
                    let (digest, bytes) = self.blob(text);
                    OutputFile { path: (*path).to_owned(), digest, bytes }
                })
                .collect();
            let bytes = files.iter().map(|file| file.bytes).sum();
            OutputRecord {
                artifact_type: ArtifactType::Folder,
                digest: Digest::of(b"folder"),
                bytes,
                rows: None,
                files,
            }
        }

        /// Keeps with a publisher of its own, as each run does.
        fn keep(&self, at: &str, record: &OutputRecord) -> Result<usize, PublishError> {
            let mut publisher = Publisher::new(&self.root.join("project"), &self.root.join("state"));
            let written =
                publisher.keep(at.into(), record, &|digest| self.root.join("objects").join(digest.to_string()))?;
            publisher.save().unwrap();
            Ok(written)
        }

        fn read(&self, at: &str) -> Option<String> {
            std::fs::read_to_string(self.root.join("project").join(at)).ok()
        }
    }

    /// Waits until a change would show in the file's times.
    fn tick(path: &Utf8Path) {
        let probe = path.with_extension("probe");
        let changed = |path: &Utf8Path| Stamp::new(Digest::of(b""), &std::fs::metadata(path).unwrap()).changed_ns;
        while {
            std::fs::write(&probe, "x").unwrap();
            changed(&probe)
        } <= changed(path)
        {}
        std::fs::remove_file(probe).unwrap();
    }

    #[test]
    fn a_file_is_written_once_and_restored_when_missing_but_not_over_somebodys_changes() {
        let world = World::new();
        let record = world.file("content");
        assert_eq!(world.keep("out/deep/a.txt", &record).unwrap(), 1);
        assert_eq!(world.keep("out/deep/a.txt", &record).unwrap(), 0);
        let path = world.root.join("project/out/deep/a.txt");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(world.keep("out/deep/a.txt", &record).unwrap(), 1);
        tick(&path);
        std::fs::write(&path, "CONTENT").unwrap();
        let refused = world.keep("out/deep/a.txt", &record).unwrap_err().to_string();
        assert!(refused.contains("a file of yours, or one that you changed, is in the way"), "{refused}");
        assert_eq!(world.read("out/deep/a.txt").unwrap(), "CONTENT", "same size, other bytes: not lost");
        std::fs::write(&path, "content").unwrap();
        assert_eq!(world.keep("out/deep/a.txt", &record).unwrap(), 0, "rewritten with the same bytes");
        let other = world.file("another");
        assert_eq!(world.keep("out/deep/a.txt", &other).unwrap(), 1);
        assert_eq!(world.read("out/deep/a.txt").unwrap(), "another");
        let names: Vec<_> = std::fs::read_dir(world.root.join("project/out/deep")).unwrap().collect();
        assert_eq!(names.len(), 1, "a temporary file was left: {names:?}");
    }

    #[test]
    fn writing_to_the_copy_does_not_reach_the_store() {
        use std::io::Write;
        let world = World::new();
        let record = world.file("content");
        world.keep("a", &record).unwrap();
        let mut file = std::fs::OpenOptions::new().append(true).open(world.root.join("project/a")).unwrap();
        file.write_all(b"!").unwrap();
        let blob = world.root.join("objects").join(record.digest.to_string());
        assert_eq!(std::fs::read_to_string(blob).unwrap(), "content");
    }

    #[test]
    fn a_folder_loses_what_the_new_output_does_not_have() {
        let world = World::new();
        world.keep("model", &world.folder(&[("a", "1"), ("sub/b", "2"), ("sub/c", "3")])).unwrap();
        std::fs::write(world.root.join("project/model/notes"), "mine").unwrap();
        std::fs::write(world.root.join("project/model/sub/c"), "edited by hand").unwrap();
        std::fs::write(world.root.join("project/model-other"), "mine too").unwrap();
        assert_eq!(world.keep("model", &world.folder(&[("a", "1")])).unwrap(), 0);
        assert_eq!(world.read("model/a").unwrap(), "1");
        assert_eq!(world.read("model/sub/b"), None);
        assert_eq!(world.read("model/sub/c").unwrap(), "edited by hand");
        assert_eq!(world.read("model/notes").unwrap(), "mine");
        assert_eq!(world.read("model-other").unwrap(), "mine too");
    }

    #[test]
    fn what_is_in_the_way_is_not_replaced() {
        let world = World::new();
        std::fs::create_dir(world.root.join("project/a")).unwrap();
        std::fs::write(world.root.join("project/b"), "").unwrap();
        assert!(matches!(world.keep("a", &world.file("x")), Err(PublishError::InTheWay { .. })));
        assert!(matches!(world.keep("b", &world.folder(&[("x", "y")])), Err(PublishError::InTheWay { .. })));
        for path in ["../a", "/tmp/a", "b/../../a", ""] {
            assert!(matches!(world.keep(path, &world.file("x")), Err(PublishError::Outside { .. })), "{path}");
        }
    }
}
