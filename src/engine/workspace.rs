//! The folder of one attempt: what the stage finds there and where it leaves its outputs.
//!
//! ```text
//! request.json   what the stage is told
//! work/          the working folder, with declared files at their relative paths
//! files/         files of a kind that have no place in the working folder
//! in/            folders of links for inputs that are folders; an input of one file is read where the store keeps it
//! out/           outputs; folders exist, files do not
//! events         what a command stage says, if it says anything
//! ```
//!
//! Files that are part of the key are read once a run and compared with their planned digest, so that an edit between plan
//! and start cannot put wrong bytes under a key.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{Digest, Hasher, Seed},
    engine::error::Cause,
    plan::{FileOrigin, PlannedFile, PlannedStage},
    record::{InputArtifact, OutputRecord, OutputSlot, REQUEST_FORMAT, StageRequest},
    store::{RunFolder, Store},
};

/// Files up to this many bytes are kept in memory for the other stages that use them.
const KEPT_BYTES: u64 = 256 * 1024;

/// The folder of one attempt.
#[derive(Debug)]
pub(super) struct Workspace {
    /// The folder.
    pub folder: Utf8PathBuf,
    /// What the stage is told.
    pub request: StageRequest,
}

impl Workspace {
    /// Returns the path of the request file.
    pub(super) fn request_path(&self) -> Utf8PathBuf {
        self.folder.join("request.json")
    }

    /// Returns the path of the file of events that a command stage may write.
    pub(super) fn events_path(&self) -> Utf8PathBuf {
        self.folder.join("events")
    }

    /// Returns the working folder.
    pub(super) fn work(&self) -> Utf8PathBuf {
        self.folder.join("work")
    }

    /// Removes the folder with all that is left in it. What resists is left to the store's tidying.
    pub(super) fn remove(&self) {
        let _ = fs_err::remove_dir_all(&self.folder);
    }
}

/// Makes workspaces for the stages of one run.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    store: &'a Store,
    run: &'a RunFolder,
    pipeline_folder: &'a Utf8Path,
    /// What relative paths are relative to; children work elsewhere.
    current: Utf8PathBuf,
    kept: BTreeMap<Digest, Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    bytes: Arc<[u8]>,
    mode: u32,
}

impl<'a> Workshop<'a> {
    pub(super) fn new(store: &'a Store, run: &'a RunFolder, pipeline_folder: &'a Utf8Path) -> io::Result<Self> {
        let current = Utf8PathBuf::try_from(std::env::current_dir()?).map_err(io::Error::other)?;
        Ok(Self { store, run, pipeline_folder, current, kept: BTreeMap::new() })
    }

    /// Makes the workspace for an attempt of `stage`.
    ///
    /// # Errors
    /// A file changed since the plan, an input is gone from the store, or the disk refuses.
    pub(super) fn prepare(
        &mut self,
        stage: &PlannedStage,
        key: Digest,
        inputs: &BTreeMap<&str, Vec<(&str, &OutputRecord)>>,
        threads: usize,
    ) -> Result<Workspace, Cause> {
        let folder = self.current.join(self.store.attempt_folder(self.run, &stage.id)?);
        let (work, out) = (folder.join("work"), folder.join("out"));
        for made in [&work, &out] {
            fs_err::create_dir(made).map_err(Cause::io("make the folder", made.as_path()))?;
        }
        let mut files = BTreeMap::new();
        for (name, file) in &stage.files {
            files.insert(name.clone(), self.place(name, file, &folder, &work)?);
        }
        let mut outputs = BTreeMap::new();
        for (port, artifact_type) in &stage.outputs {
            let path = out.join(artifact_type.file_name(port));
            if artifact_type.is_folder() {
                fs_err::create_dir(&path).map_err(Cause::io("make the folder", path.as_path()))?;
            }
            outputs.insert(port.clone(), OutputSlot { artifact_type: artifact_type.clone(), path });
        }
        let request = StageRequest {
            schema_version: REQUEST_FORMAT,
            stage: stage.id.to_string(),
            kind: stage.kind.name.clone(),
            key,
            // A `source` parameter that is a path of the project is told as a file.
            params: stage
                .params
                .iter()
                .filter(|(name, _)| !stage.files.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            inputs: self.inputs(stage, inputs, &folder)?,
            files,
            outputs,
            scratch: self.current.join(self.store.scratch_folder(&key)?),
            seed: stage.seed.unwrap_or(Seed(0)),
            threads,
        };
        let workspace = Workspace { folder, request };
        let path = workspace.request_path();
        serde_json::to_vec(&workspace.request)
            .map_err(io::Error::other)
            .and_then(|text| fs_err::write(&path, text))
            .map_err(Cause::io("write the request", path.as_path()))?;
        Ok(workspace)
    }

    fn inputs(
        &self,
        stage: &PlannedStage,
        inputs: &BTreeMap<&str, Vec<(&str, &OutputRecord)>>,
        folder: &Utf8Path,
    ) -> Result<BTreeMap<String, Vec<InputArtifact>>, Cause> {
        let views = folder.join("in");
        // A port that is not connected has no artifacts.
        let mut told: BTreeMap<String, Vec<InputArtifact>> =
            stage.kind.inputs.keys().map(|port| (port.clone(), Vec::new())).collect();
        for (port, records) in inputs {
            let mut artifacts = Vec::with_capacity(records.len());
            for (position, (label, record)) in records.iter().enumerate() {
                if record.artifact_type.is_folder() {
                    fs_err::create_dir_all(&views).map_err(Cause::io("make the folder", views.as_path()))?;
                }
                let at = if records.len() == 1 { views.join(port) } else { views.join(format!("{port}-{position}")) };
                artifacts.push(InputArtifact {
                    label: (*label).to_owned(),
                    artifact_type: record.artifact_type.clone(),
                    digest: record.digest,
                    path: self.current.join(self.store.view(record, &at)?),
                });
            }
            told.insert((*port).to_owned(), artifacts);
        }
        Ok(told)
    }

    /// Puts a file where the stage finds it, and returns where that is.
    fn place(
        &mut self,
        name: &str,
        file: &PlannedFile,
        folder: &Utf8Path,
        work: &Utf8Path,
    ) -> Result<Utf8PathBuf, Cause> {
        let target = match (&file.at, &file.origin) {
            (Some(at), _) => work.join(at),
            (None, FileOrigin::Embedded(_)) => folder.join("files").join(name),
            (None, FileOrigin::Path(path)) => {
                // Large data is read where it lies.
                let path = self.origin(path);
                self.check_unchanged(&path, file.digest)?;
                return Ok(path);
            }
        };
        if let Some(parent) = target.parent()
            && parent != work
        {
            fs_err::create_dir_all(parent).map_err(Cause::io("make the folder", parent))?;
        }
        match &file.origin {
            FileOrigin::Embedded(bytes) => {
                let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
                write_file(&target, bytes, mode).map_err(Cause::io("write", target.as_path()))?;
            }
            FileOrigin::Path(path) => self.copy(&self.origin(path), file.digest, &target)?,
        }
        Ok(target)
    }

    fn origin(&self, path: &Utf8Path) -> Utf8PathBuf {
        self.current.join(self.pipeline_folder).join(path)
    }

    fn check_unchanged(&self, path: &Utf8Path, digest: Digest) -> Result<(), Cause> {
        if self.store.file_digest(path)? == digest { Ok(()) } else { Err(Cause::Changed(path.to_owned())) }
    }

    fn copy(&mut self, path: &Utf8Path, digest: Digest, target: &Utf8Path) -> Result<(), Cause> {
        if let Some(kept) = self.kept.get(&digest) {
            return write_file(target, &kept.bytes, kept.mode).map_err(Cause::io("write", target));
        }
        let metadata = fs_err::metadata(path).map_err(Cause::io("read", path))?;
        if metadata.is_dir() {
            self.check_unchanged(path, digest)?;
            return fs_err::os::unix::fs::symlink(path, target).map_err(Cause::io("make the link", target));
        }
        let mode = metadata.permissions().mode() & 0o777 | 0o600;
        if metadata.len() <= KEPT_BYTES {
            let bytes = fs_err::read(path).map_err(Cause::io("read", path))?;
            if Digest::of(&bytes) != digest {
                return Err(Cause::Changed(path.to_owned()));
            }
            write_file(target, &bytes, mode).map_err(Cause::io("write", target))?;
            self.kept.insert(digest, Kept { bytes: bytes.into(), mode });
            return Ok(());
        }
        let copied = copy_hashing(path, target, mode).map_err(Cause::io("copy", path))?;
        if copied == digest { Ok(()) } else { Err(Cause::Changed(path.to_owned())) }
    }
}

fn create(path: &Utf8Path, mode: u32) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

fn write_file(path: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    create(path, mode)?.write_all(bytes)
}

fn copy_hashing(from: &Utf8Path, to: &Utf8Path, mode: u32) -> io::Result<Digest> {
    let (mut source, mut target) = (fs_err::File::open(from)?, create(to, mode)?);
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = source.read(&mut buffer)?;
        if length == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..length]);
        target.write_all(&buffer[..length])?;
    }
}
