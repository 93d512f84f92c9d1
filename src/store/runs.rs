//! Runs: a folder each, with a journal that a crash cannot spoil.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use camino::Utf8PathBuf;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::{
    base::{Digest, RunId, StageId},
    record::RunEvent,
    store::{
        StoreError, disk,
        layout::{Layout, check_name},
        open::Shared,
        time,
    },
};

/// Format version of `run.json`.
const RUN_FORMAT: u32 = 1;

/// What `run.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct RunRecord {
    schema_version: u32,
    run_id: RunId,
    pipeline: String,
    /// Seconds since the epoch.
    started_at: f64,
    /// The session that it runs in: as long as that is alive, so is the run.
    session: String,
    pid: u32,
}

/// The folder of a run in progress.
#[derive(Debug)]
pub struct RunFolder {
    /// The run's name.
    pub id: RunId,
    /// `runs/<run-id>`. Beside what the store keeps there (`run.json`, `journal.jsonl`, `uses.txt`, `logs/`) the engine may
    /// add files of its own, such as `plan.json`.
    pub path: Utf8PathBuf,
    /// Its journal.
    pub journal: Journal,
    uses: Appender,
}

impl RunFolder {
    /// Notes results that the run uses, so that garbage collection keeps them as long as the run. What the journal's
    /// events name, and what was committed with the run's name, need not be noted.
    ///
    /// # Errors
    /// If `uses.txt` cannot be written.
    pub fn record_uses(&self, keys: &[Digest]) -> Result<(), StoreError> {
        let mut text = String::with_capacity(keys.len() * 65);
        for key in keys {
            text.push_str(&key.to_string());
            text.push('\n');
        }
        self.uses.append(text.into_bytes())
    }

    /// Returns the folder for logs.
    pub fn logs(&self) -> Utf8PathBuf {
        self.path.join("logs")
    }
}

/// An append-only list of what happened in a run. Threads may share it.
#[derive(Debug)]
pub struct Journal(Appender);

impl Journal {
    /// Appends an event, with the time, in one write.
    ///
    /// # Errors
    /// If the journal cannot be written; the next event begins a new line all the same.
    pub fn append(&self, event: &RunEvent) -> Result<(), StoreError> {
        let line = JournalLine { at: time::now_seconds(), event: event.clone() };
        let bytes = serde_json::to_vec(&line)
            .map_err(|error| StoreError::io("write", &self.0.path)(io::Error::other(error)))?;
        self.0.append(bytes)
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalLine {
    /// When: seconds since the epoch.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// A file that lines are appended to, whole or torn but never mixed.
#[derive(Debug)]
struct Appender {
    path: Utf8PathBuf,
    state: Mutex<AppenderState>,
}

#[derive(Debug)]
struct AppenderState {
    file: Option<fs::File>,
    /// Whether the last write failed, perhaps half way.
    torn: bool,
}

impl Appender {
    fn new(path: Utf8PathBuf) -> Self {
        Self { path, state: Mutex::new(AppenderState { file: None, torn: false }) }
    }

    fn append(&self, mut bytes: Vec<u8>) -> Result<(), StoreError> {
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.torn {
            bytes.insert(0, b'\n');
        }
        if state.file.is_none() {
            let file = fs::OpenOptions::new().create(true).append(true).open(&self.path);
            state.file = Some(file.map_err(StoreError::io("write", &self.path))?);
        }
        let file = state.file.as_mut().expect("it was opened above");
        let written = file.write_all(&bytes);
        state.torn = written.is_err();
        written.map_err(StoreError::io("write", &self.path))
    }
}

/// What is known of a run without reading its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInfo {
    /// The run's name.
    pub id: RunId,
    /// The pipeline that ran; empty if its `run.json` was lost.
    pub pipeline: String,
    /// When it began: seconds since the epoch; 0 if its `run.json` was lost.
    pub started_at: f64,
    /// Its folder.
    pub path: Utf8PathBuf,
    pub(super) session: String,
}

pub(super) fn begin(shared: &Shared, pipeline: &str) -> Result<RunFolder, StoreError> {
    let writer = shared.writer("begin a run")?;
    // The session is alive before the run's folder is there, so no garbage collection takes it for a dead run's.
    writer.session.folder(&shared.layout, &writer.lock)?;
    let session = writer.session.name().unwrap_or_default();
    let (id, path, started_at) = loop {
        let now = time::now_ns();
        let id = RunId::new(run_name(now));
        let path = shared.layout.run(&id);
        match fs::create_dir(&path) {
            #[expect(clippy::cast_precision_loss, reason = "a time in seconds, good to less than a microsecond")]
            Ok(()) => break (id, path, (now / 1_000) as f64 / 1e6),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(StoreError::io("make the folder", &path)(error)),
        }
    };
    let record = RunRecord {
        schema_version: RUN_FORMAT,
        run_id: id.clone(),
        pipeline: pipeline.to_owned(),
        started_at,
        session,
        pid: std::process::id(),
    };
    let text = serde_json::to_vec(&record)
        .map_err(|error| StoreError::io("write", &path.join("run.json"))(io::Error::other(error)))?;
    let made = disk::write_new(&path.join("run.json"), &text).and_then(|_| disk::make_folder(&path.join("logs")));
    if let Err(error) = made {
        let _ = disk::remove_tree(&path);
        return Err(error);
    }
    shared.new_folders.lock().unwrap_or_else(PoisonError::into_inner).extend([shared.layout.runs(), path.clone()]);
    let journal = Journal(Appender::new(path.join("journal.jsonl")));
    let uses = Appender::new(path.join("uses.txt"));
    Ok(RunFolder { id, path, journal, uses })
}

/// Returns a name that sorts by time and that no other run is likely to have: `2026-11-22T10-44-31.123456Z-5f3a`.
fn run_name(now_ns: i128) -> String {
    let time = jiff::Timestamp::from_nanosecond(now_ns).unwrap_or_default();
    let unique = Digest::of(format!("{}-{now_ns}", std::process::id()).as_bytes()).to_string();
    format!("{}.{:06}Z-{}", time.strftime("%Y-%m-%dT%H-%M-%S"), (now_ns / 1_000).rem_euclid(1_000_000), &unique[..4])
}

/// Lists runs, oldest first. A folder without a readable `run.json` is listed with what its name says.
pub(super) fn list(layout: &Layout) -> Result<Vec<RunInfo>, StoreError> {
    let mut runs = Vec::new();
    for name in disk::names(&layout.runs())? {
        let path = layout.runs().join(&name);
        if check_name(&name, "run").is_err() || !path.is_dir() {
            continue;
        }
        let record = fs::read(path.join("run.json")).ok();
        let record = record.and_then(|bytes| serde_json::from_slice::<RunRecord>(&bytes).ok());
        let (pipeline, started_at, session) =
            record.map(|record| (record.pipeline, record.started_at, record.session)).unwrap_or_default();
        runs.push(RunInfo { id: RunId::new(name), pipeline, started_at, path, session });
    }
    Ok(runs)
}

/// Reads a run's journal; a torn line is left out.
pub(super) fn read_journal(layout: &Layout, run: &RunId) -> Result<Vec<JournalLine>, StoreError> {
    check_name(run.as_str(), "run")?;
    let folder = layout.run(run);
    if !folder.is_dir() {
        return Err(StoreError::Unknown { what: "run", name: run.to_string(), path: layout.root().to_owned() });
    }
    let bytes = read_or_empty(&folder.join("journal.jsonl"))?;
    Ok(whole_lines(&bytes).filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Returns the keys of the results that a run's journal and `uses.txt` name.
pub(super) fn used_keys(folder: &camino::Utf8Path) -> Result<Vec<Digest>, StoreError> {
    /// Where events keep keys, now and in later versions.
    #[derive(Deserialize)]
    struct Keys {
        #[serde(default)]
        key: Option<Digest>,
        #[serde(default)]
        report: Option<Report>,
    }
    #[derive(Deserialize)]
    struct Report {
        #[serde(default)]
        key: Option<Digest>,
    }
    let mut keys = Vec::new();
    let journal = read_or_empty(&folder.join("journal.jsonl"))?;
    for line in whole_lines(&journal) {
        if let Ok(Keys { key, report }) = serde_json::from_slice(line) {
            keys.extend(key);
            keys.extend(report.and_then(|report| report.key));
        }
    }
    let uses = read_or_empty(&folder.join("uses.txt"))?;
    keys.extend(whole_lines(&uses).filter_map(|line| std::str::from_utf8(line).ok()?.parse::<Digest>().ok()));
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    bytes[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn read_or_empty(path: &camino::Utf8Path) -> Result<Vec<u8>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if disk::is_absent(&error) => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Returns a name for an attempt's folder that no shell trips over.
pub(super) fn attempt_label(run: &RunId, stage: &StageId) -> String {
    let run = run.as_str().rsplit('-').next().unwrap_or_default();
    let words: Vec<&str> =
        stage.as_str().split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut label = format!("{run}-{}", words.join("-"));
    label.truncate(100);
    label
}
