//! What a kind sees of the world: its request, its inputs, its outputs, and somebody who listens.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::de::DeserializeOwned;

use crate::{
    base::{ArtifactType, Seed},
    record::{InputArtifact, OutputSlot, REQUEST_FORMAT, StageEvent, StageRequest},
    stage::StageError,
    table::{self, TableRow},
};

/// Where a `source` parameter points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or folder that was `path:…` in the pipeline file.
    Path(Utf8PathBuf),
    /// Anything else, as written: `pip:…`, `hf:…`, `url:…`, `suite:…`.
    Text(String),
}

/// The world of one attempt. All reading, writing and speaking of a kind goes through it.
pub struct StageCtx<'a> {
    request: StageRequest,
    emit: Box<dyn FnMut(StageEvent) + Send + 'a>,
}

impl<'a> StageCtx<'a> {
    /// Wraps a request; what the stage says goes to `emit`.
    pub fn new(request: StageRequest, emit: Box<dyn FnMut(StageEvent) + Send + 'a>) -> Self {
        Self { request, emit }
    }

    /// Reads the request file at `path`.
    ///
    /// # Errors
    /// [`StageError::Request`] if it is missing, no request, or of another format version.
    pub fn read(path: &Utf8Path, emit: Box<dyn FnMut(StageEvent) + Send + 'a>) -> Result<Self, StageError> {
        let failed = |reason: String| StageError::Request { path: path.to_owned(), reason };
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let request: StageRequest = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
        if request.schema_version != REQUEST_FORMAT {
            let found = request.schema_version;
            return Err(failed(format!("format version {found}, this binary reads {REQUEST_FORMAT}")));
        }
        Ok(Self::new(request, emit))
    }

    /// Returns the request.
    pub fn request(&self) -> &StageRequest {
        &self.request
    }

    /// Returns the seed.
    pub fn seed(&self) -> Seed {
        self.request.seed
    }

    /// Returns how many threads may be used. Results must not depend on it.
    pub fn threads(&self) -> usize {
        self.request.threads.max(1)
    }

    /// Returns the memory that the stage asked for, in GB (10⁹ bytes), if somebody counts. Results must not depend on it.
    pub fn memory_gb(&self) -> Option<f64> {
        self.request.memory_gb
    }

    /// Returns all parameters as one struct, which should be `deny_unknown_fields` and `kebab-case`. `file` parameters
    /// are not among them, and `source` parameters only where they are no paths.
    ///
    /// # Errors
    /// [`StageError::Parameter`] for one that is missing, unknown, or of another type.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, StageError> {
        let failed = |error: serde_json::Error| StageError::parameter("*", error.to_string());
        serde_json::from_value(serde_json::to_value(&self.request.params).map_err(failed)?).map_err(failed)
    }

    /// Returns the parameter `name`; an `Option` may be absent.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if it is missing or of another type.
    pub fn param<T: DeserializeOwned>(&self, name: &str) -> Result<T, StageError> {
        let Some(value) = self.request.params.get(name) else {
            return serde_json::from_value(serde_json::Value::Null)
                .map_err(|_| StageError::parameter(name, "is not set, and the stage has no default for it"));
        };
        serde_json::to_value(value)
            .and_then(serde_json::from_value)
            .map_err(|error| StageError::parameter(name, format!("{value} is not what is expected: {error}")))
    }

    /// Returns where the `source` parameter `name` points.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if it is not set.
    pub fn source(&self, name: &str) -> Result<Source, StageError> {
        match self.request.files.get(name) {
            Some(path) => Ok(Source::Path(path.clone())),
            None => Ok(Source::Text(self.param(name)?)),
        }
    }

    /// Returns the path of the declared file, or `file` parameter, called `name`.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if there is none.
    pub fn file_path(&self, name: &str) -> Result<&Utf8Path, StageError> {
        self.request
            .files
            .get(name)
            .map(Utf8PathBuf::as_path)
            .ok_or_else(|| StageError::parameter(name, "is a file that the request does not carry"))
    }

    /// Returns the text of the declared file, or `file` parameter, called `name`.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if there is none, [`StageError::Io`] if it cannot be read as UTF-8.
    pub fn file(&self, name: &str) -> Result<String, StageError> {
        let path = self.file_path(name)?;
        fs::read_to_string(path).map_err(StageError::io("read", path))
    }

    /// Returns the text of a file that a source led to.
    ///
    /// # Errors
    /// [`StageError::Io`] if it cannot be read as UTF-8.
    pub fn read_text(&self, path: &Utf8Path) -> Result<String, StageError> {
        fs::read_to_string(path).map_err(StageError::io("read", path))
    }

    /// Returns the files below a folder that a source led to, as sorted paths relative to it.
    ///
    /// # Errors
    /// [`StageError::Io`] if it cannot be read, [`StageError::Data`] for a file name that is not UTF-8.
    pub fn list_files(&self, folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>, StageError> {
        super::fetch::listing(folder)
    }

    /// Returns all inputs of a port as label and path; empty where an optional port is not connected.
    pub fn inputs(&self, port: &str) -> Vec<(String, Utf8PathBuf)> {
        self.artifacts(port).iter().map(|input| (input.label.clone(), input.path.clone())).collect()
    }

    /// Returns all input artifacts of a port.
    pub fn artifacts(&self, port: &str) -> &[InputArtifact] {
        self.request.inputs.get(port).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a port is connected.
    pub fn has_input(&self, port: &str) -> bool {
        !self.artifacts(port).is_empty()
    }

    fn input(&self, port: &str) -> Result<&InputArtifact, StageError> {
        match self.artifacts(port) {
            [input] => Ok(input),
            other => Err(StageError::Port {
                port: port.to_owned(),
                reason: format!("one input is needed, the request has {}", other.len()),
            }),
        }
    }

    /// Returns the path of the one input of a port.
    ///
    /// # Errors
    /// [`StageError::Port`] unless there is exactly one.
    pub fn input_path(&self, port: &str) -> Result<&Utf8Path, StageError> {
        Ok(&self.input(port)?.path)
    }

    /// Returns the rows of the one input table of a port.
    ///
    /// # Errors
    /// [`StageError::Port`] unless there is exactly one, [`StageError::Table`] if it is no such table.
    pub fn input_table<R: TableRow>(&self, port: &str) -> Result<Vec<R>, StageError> {
        self.table(port, self.input(port)?)
    }

    /// Returns the rows of all input tables of a port, with their labels.
    ///
    /// # Errors
    /// [`StageError::Table`] if one is no such table.
    pub fn input_tables<R: TableRow>(&self, port: &str) -> Result<Vec<(String, Vec<R>)>, StageError> {
        self.artifacts(port).iter().map(|input| Ok((input.label.clone(), self.table(port, input)?))).collect()
    }

    fn table<R: TableRow>(&self, port: &str, input: &InputArtifact) -> Result<Vec<R>, StageError> {
        let bytes = fs::read(&input.path).map_err(StageError::io("read", &input.path))?;
        table::decode(&bytes).map_err(|source| StageError::Table {
            port: port.to_owned(),
            place: format!("input `{}` ({})", input.label, input.path),
            source,
        })
    }

    fn slot(&self, port: &str) -> Result<&OutputSlot, StageError> {
        self.request.outputs.get(port).ok_or_else(|| StageError::Port {
            port: port.to_owned(),
            reason: "the request has no such output".to_owned(),
        })
    }

    /// Returns the path of an output: the file to write, or the folder (which exists) to fill. Prefer
    /// [`write_table`](Self::write_table) and [`write_file`](Self::write_file), which leave no half-written file.
    ///
    /// # Errors
    /// [`StageError::Port`] if the request has no such output.
    pub fn output_path(&self, port: &str) -> Result<&Utf8Path, StageError> {
        Ok(&self.slot(port)?.path)
    }

    /// Returns whether an output is asked for.
    pub fn has_output(&self, port: &str) -> bool {
        self.request.outputs.contains_key(port)
    }

    /// Writes an output table.
    ///
    /// # Errors
    /// [`StageError::Port`] if the output is no table of this schema, [`StageError::Table`], [`StageError::Io`].
    pub fn write_table<R: TableRow>(&mut self, port: &str, rows: &[R]) -> Result<(), StageError> {
        let slot = self.slot(port)?;
        let wanted = ArtifactType::Table(R::SCHEMA.name.to_owned());
        if slot.artifact_type != wanted {
            let reason = format!("the stage writes `{wanted}`, the request wants `{}`", slot.artifact_type);
            return Err(StageError::Port { port: port.to_owned(), reason });
        }
        let path = slot.path.clone();
        let bytes = table::encode(rows).map_err(|source| StageError::Table {
            port: port.to_owned(),
            place: format!("output {path}"),
            source,
        })?;
        write_whole(&path, &bytes)
    }

    /// Writes an output that is one file.
    ///
    /// # Errors
    /// [`StageError::Port`] if the output is no file, [`StageError::Io`].
    pub fn write_file(&mut self, port: &str, bytes: &[u8]) -> Result<(), StageError> {
        let slot = self.slot(port)?;
        if slot.artifact_type.is_folder() {
            let reason = format!("the stage writes one file, the request wants `{}`", slot.artifact_type);
            return Err(StageError::Port { port: port.to_owned(), reason });
        }
        write_whole(&slot.path, bytes)
    }

    /// Writes a file of an output that is a folder, making the folders on the way.
    ///
    /// # Errors
    /// [`StageError::Port`] if the output is no folder, [`StageError::Io`].
    pub fn write_into(&mut self, port: &str, relative: &str, bytes: &[u8]) -> Result<(), StageError> {
        let slot = self.slot(port)?;
        if !slot.artifact_type.is_folder() {
            let reason = format!("the stage fills a folder, the request wants `{}`", slot.artifact_type);
            return Err(StageError::Port { port: port.to_owned(), reason });
        }
        let path = slot.path.join(relative);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(StageError::io("create", folder))?;
        }
        write_whole(&path, bytes)
    }

    /// Returns the folder that outlives a killed attempt of the same key.
    pub fn scratch(&self) -> &Utf8Path {
        &self.request.scratch
    }

    /// Says how far the stage is.
    pub fn progress(&mut self, done: u64, total: impl Into<Option<u64>>, unit: &str) {
        (self.emit)(StageEvent::Progress { done, total: total.into(), unit: unit.to_owned(), tokens: None });
    }

    /// Says how far the stage is, and how many tokens it has worked through so far.
    pub fn progress_tokens(&mut self, done: u64, total: impl Into<Option<u64>>, unit: &str, tokens: u64) {
        (self.emit)(StageEvent::Progress { done, total: total.into(), unit: unit.to_owned(), tokens: Some(tokens) });
    }

    /// Says a number worth following.
    pub fn metric(&mut self, name: &str, step: u64, value: f64) {
        (self.emit)(StageEvent::Metric { name: name.to_owned(), step, value });
    }

    /// Says a line for the log.
    pub fn log(&mut self, message: impl Into<String>) {
        (self.emit)(StageEvent::Log { message: message.into() });
    }

    /// Says a fact that later executions of the same stage must meet again.
    pub fn fact(&mut self, name: &str, value: impl ToString) {
        (self.emit)(StageEvent::Fact { name: name.to_owned(), value: value.to_string() });
    }

    /// Checks that every output is there.
    pub(super) fn check_outputs(&self) -> Result<(), StageError> {
        for (port, slot) in &self.request.outputs {
            if !slot.path.exists() {
                return Err(StageError::OutputMissing { port: port.clone(), path: slot.path.clone() });
            }
        }
        Ok(())
    }
}

/// Writes a file beside its place and moves it there, so that it is whole or absent. Making it durable is the business
/// of the store, which takes it in.
fn write_whole(path: &Utf8Path, bytes: &[u8]) -> Result<(), StageError> {
    let mut partial = path.as_str().to_owned();
    partial.push_str(".partial");
    fs::write(&partial, bytes).map_err(StageError::io("write", path))?;
    fs::rename(&partial, path).map_err(StageError::io("write", path))
}
