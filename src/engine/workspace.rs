//! What one attempt is given: a desk with its files and inputs on it, and the request that names them.
//!
//! Files that are part of the key are read once a run and compared with their planned digest, so that an edit between plan
//! and start cannot put wrong bytes under a key.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    sync::Arc,
};

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{Digest, Hasher, Seed},
    engine::{
        RunOptions,
        desk::{Desk, SMALL_BYTES, create_new, write_new},
        error::Cause,
    },
    plan::{FileOrigin, PlannedFile, PlannedStage},
    record::{InputArtifact, OutputRecord, OutputSlot, REQUEST_FORMAT, StageRequest},
    store::{RunFolder, Store, Watched},
};

/// What one attempt is given.
#[derive(Debug)]
pub(super) struct Workspace {
    /// Where it works.
    pub desk: Desk,
    /// What it is told.
    pub request: StageRequest,
    /// Its inputs by port, as they were before it could touch them.
    pub inputs: Vec<(String, Watched)>,
}

/// What an attempt is for: a stage with the contents of its inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    /// The stage.
    pub stage: &'a PlannedStage,
    /// Its resolved key.
    pub key: Digest,
    /// Its inputs by port, each with its label.
    pub inputs: &'a BTreeMap<&'a str, Vec<(&'a str, &'a OutputRecord)>>,
    /// How many threads it may use.
    pub threads: usize,
}

/// Makes workspaces for the stages of one run.
#[derive(Debug)]
pub(super) struct Workshop<'a> {
    store: &'a Store,
    run: &'a RunFolder,
    options: &'a RunOptions,
    /// What relative paths are relative to; children work elsewhere.
    current: Utf8PathBuf,
    /// Small files that were read and compared, for the other stages that use them: by digest and mode.
    known: BTreeMap<(Digest, u32), KnownFile>,
    /// Swept desks.
    idle: Vec<Desk>,
}

#[derive(Clone, Debug)]
struct KnownFile {
    bytes: Arc<[u8]>,
    mode: u32,
}

impl<'a> Workshop<'a> {
    pub(super) fn new(store: &'a Store, run: &'a RunFolder, options: &'a RunOptions) -> io::Result<Self> {
        let current = Utf8PathBuf::try_from(std::env::current_dir()?).map_err(io::Error::other)?;
        Ok(Self { store, run, options, current, known: BTreeMap::new(), idle: Vec::new() })
    }

    /// Makes the workspace for an attempt.
    ///
    /// # Errors
    /// A file changed since the plan, an input is gone from the store, or the disk refuses.
    pub(super) fn prepare(&mut self, task: Task<'_>) -> Result<Workspace, Cause> {
        if let Some(desk) = self.idle.pop()
            && let Ok(workspace) = self.furnish(desk, task)
        {
            return Ok(workspace);
        }
        let folder = self.current.join(self.store.attempt_folder(self.run, &task.stage.id)?);
        let desk = Desk::new(folder.clone()).map_err(Cause::io("make the folders of", folder))?;
        self.furnish(desk, task)
    }

    /// Takes the desk of an attempt that is over back.
    pub(super) fn take_back(&mut self, workspace: Workspace) {
        let mut desk = workspace.desk;
        match desk.sweep() {
            Ok(()) => self.idle.push(desk),
            Err(_) => desk.remove(),
        }
    }

    fn furnish(&mut self, mut desk: Desk, task: Task<'_>) -> Result<Workspace, Cause> {
        let stage = task.stage;
        let work = desk.work();
        let wanted = stage.files.values().filter_map(|file| file.at.as_deref()).collect();
        desk.clear_for(&wanted).map_err(Cause::io("clear", work.as_path()))?;
        let mut files = BTreeMap::new();
        for (name, file) in &stage.files {
            files.insert(name.clone(), self.place(name, file, &mut desk)?);
        }
        let mut outputs = BTreeMap::new();
        for (port, artifact_type) in &stage.outputs {
            let path = desk.out().join(artifact_type.file_name(port));
            if artifact_type.is_folder() {
                fs_err::create_dir(&path).map_err(Cause::io("make the folder", path.as_path()))?;
            }
            outputs.insert(port.clone(), OutputSlot { artifact_type: artifact_type.clone(), path });
        }
        let request = StageRequest {
            schema_version: REQUEST_FORMAT,
            stage: stage.id.to_string(),
            kind: stage.kind.name.clone(),
            key: task.key,
            // A `source` parameter that is a path of the project is told as a file.
            params: stage
                .params
                .iter()
                .filter(|(name, _)| !stage.files.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            inputs: self.inputs(task, &desk)?,
            files,
            outputs,
            scratch: self.scratch(task)?,
            seed: stage.seed.unwrap_or(Seed(0)),
            threads: task.threads,
            memory_gb: Some(stage.resources.memory_gb),
            project: self.options.project_folder.clone(),
            allow_unsandboxed: self.options.allow_unsandboxed,
        };
        let path = desk.request();
        serde_json::to_vec(&request)
            .map_err(io::Error::other)
            .and_then(|text| desk.write_request(text))
            .map_err(Cause::io("write the request", path))?;
        Ok(Workspace { desk, request, inputs: self.watched(task)? })
    }

    /// Returns the folder for checkpoints. Built-in kinds find it made; few commands want one, so they make it themselves.
    fn scratch(&self, task: Task<'_>) -> Result<Utf8PathBuf, Cause> {
        let path = if task.stage.command.is_none() {
            self.store.scratch_folder(&task.key)?
        } else {
            self.store.scratch_path(&task.key)
        };
        Ok(self.current.join(path))
    }

    fn watched(&self, task: Task<'_>) -> Result<Vec<(String, Watched)>, Cause> {
        let records = task.inputs.iter().flat_map(|(port, records)| records.iter().map(|(_, record)| (*port, *record)));
        records.map(|(port, record)| Ok((port.to_owned(), self.store.watch(record)?))).collect()
    }

    fn inputs(&self, task: Task<'_>, desk: &Desk) -> Result<BTreeMap<String, Vec<InputArtifact>>, Cause> {
        let views = desk.views();
        // A port that is not connected has no artifacts.
        let mut told: BTreeMap<String, Vec<InputArtifact>> =
            task.stage.kind.inputs.keys().map(|port| (port.clone(), Vec::new())).collect();
        for (port, records) in task.inputs {
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
    fn place(&mut self, name: &str, file: &PlannedFile, desk: &mut Desk) -> Result<Utf8PathBuf, Cause> {
        let target = match (&file.at, &file.origin) {
            (Some(at), _) => desk.work().join(at),
            (None, FileOrigin::Embedded(_)) => desk.files().join(name),
            (None, FileOrigin::Path(path)) => {
                // Large data is read where it lies.
                let path = self.origin(path);
                self.check_unchanged(&path, file.digest)?;
                return Ok(path);
            }
        };
        let is_nested = file.at.as_ref().is_none_or(|at| at.components().count() > 1);
        if let Some(parent) = target.parent().filter(|_| is_nested) {
            fs_err::create_dir_all(parent).map_err(Cause::io("make the folder", parent))?;
        }
        let (bytes, mode) = match &file.origin {
            FileOrigin::Embedded(bytes) => {
                let mode = if bytes.starts_with(b"#!") { 0o755 } else { 0o644 };
                (Arc::from(&**bytes), mode)
            }
            FileOrigin::Path(path) => match self.known_file(&self.origin(path), file.digest)? {
                Some(known) => (known.bytes, known.mode),
                None => {
                    self.copy_large(&self.origin(path), file.digest, &target)?;
                    return Ok(target);
                }
            },
        };
        match &file.at {
            Some(at) => desk.put(at, file.digest, &bytes, mode),
            None => write_new(&target, &bytes, mode),
        }
        .map_err(Cause::io("write", target.as_path()))?;
        Ok(target)
    }

    fn origin(&self, path: &Utf8Path) -> Utf8PathBuf {
        self.current.join(&self.options.pipeline_folder).join(path)
    }

    fn check_unchanged(&self, path: &Utf8Path, digest: Digest) -> Result<(), Cause> {
        if self.store.file_digest(path)? == digest { Ok(()) } else { Err(Cause::Changed(path.to_owned())) }
    }

    /// Returns a small file's bytes, compared with its planned digest; `None` for a large one or a folder.
    fn known_file(&mut self, path: &Utf8Path, digest: Digest) -> Result<Option<KnownFile>, Cause> {
        let metadata = fs_err::metadata(path).map_err(Cause::io("read", path))?;
        let mode = copied_mode(&metadata);
        if let Some(known) = self.known.get(&(digest, mode)) {
            return Ok(Some(known.clone()));
        }
        if metadata.is_dir() || metadata.len() > SMALL_BYTES {
            return Ok(None);
        }
        let bytes = fs_err::read(path).map_err(Cause::io("read", path))?;
        if Digest::of(&bytes) != digest {
            return Err(Cause::Changed(path.to_owned()));
        }
        let known = KnownFile { bytes: bytes.into(), mode };
        self.known.insert((digest, mode), known.clone());
        Ok(Some(known))
    }

    /// Copies a large file, or links to a folder.
    fn copy_large(&self, path: &Utf8Path, digest: Digest, target: &Utf8Path) -> Result<(), Cause> {
        let metadata = fs_err::metadata(path).map_err(Cause::io("read", path))?;
        if metadata.is_dir() {
            self.check_unchanged(path, digest)?;
            return fs_err::os::unix::fs::symlink(path, target).map_err(Cause::io("make the link", target));
        }
        let copied = copy_hashing(path, target, copied_mode(&metadata)).map_err(Cause::io("copy", path))?;
        if copied == digest { Ok(()) } else { Err(Cause::Changed(path.to_owned())) }
    }
}

/// Returns the mode of a file's copy: executable if the file is.
fn copied_mode(metadata: &std::fs::Metadata) -> u32 {
    if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 }
}

fn copy_hashing(from: &Utf8Path, to: &Utf8Path, mode: u32) -> io::Result<Digest> {
    let (mut source, mut target) = (fs_err::File::open(from)?, create_new(to, mode)?);
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
