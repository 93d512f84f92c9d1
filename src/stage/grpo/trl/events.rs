//! What the script tells, read from its file as the file grows.

use std::io::{Read, Seek, SeekFrom};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use serde::Deserialize;

use crate::stage::{StageError, grpo::update::Update};

use super::error::TrlError;

/// One line of the file.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Event {
    /// The training begins, or goes on after so many optimiser updates.
    Begin {
        updates: usize,
        /// Versions of packages, the device, the number of processes.
        facts: std::collections::BTreeMap<String, String>,
    },
    /// An optimiser update.
    Update(Box<Told>),
    /// It cannot go on.
    Error { code: Code, message: String },
    /// The model lies where it should.
    Done,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Code {
    /// A Python package is missing or too old.
    Package,
    /// `trl.args` does not work.
    Argument,
    /// transformers cannot read the model.
    Model,
    /// Memory is too small.
    Memory,
    /// A number is none.
    Number,
    /// The scoring process is gone.
    Score,
    /// Anything else.
    Other,
}

/// An optimiser update.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Told {
    /// Which update, from 1.
    pub(super) update: usize,
    /// What it came to.
    #[serde(flatten)]
    pub(super) found: Update,
    pub(super) lr: f64,
    /// What was sampled, at the first update of a step.
    #[serde(default)]
    pub(super) rollouts: Option<Vec<Sampled>>,
}

/// One completion.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Sampled {
    /// The line of the prompts' file that it completes, from 0.
    pub(super) row: usize,
    pub(super) tokens: Vec<u32>,
    pub(super) log_probs: Vec<f32>,
}

/// Reads the lines as they come.
pub(super) struct Follower {
    path: Utf8PathBuf,
    file: fs::File,
    /// What has no end of line yet.
    rest: Vec<u8>,
    lines: usize,
}

impl Follower {
    /// Opens the file; makes it if there is none. A last line that an earlier attempt did not finish is cut off.
    ///
    /// # Errors
    /// [`StageError::Io`].
    pub(super) fn open(path: &Utf8Path) -> Result<Self, StageError> {
        let failed = |error| StageError::io("open", path)(error);
        let mut options = fs::OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, rest: Vec::new(), lines: 0 })
    }

    /// Returns the lines since the last call.
    ///
    /// # Errors
    /// [`StageError::Io`]; [`StageError::Failed`] for a line that is no event.
    pub(super) fn news(&mut self) -> Result<Vec<Event>, StageError> {
        self.file.read_to_end(&mut self.rest).map_err(StageError::io("read", &self.path))?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let unfinished = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, unfinished);
        let mut events = Vec::new();
        for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.lines += 1;
            let event = serde_json::from_slice(line).map_err(|error| {
                StageError::failed("read what TRL tells")(TrlError::Malformed {
                    path: self.path.to_string(),
                    line: self.lines,
                    reason: error.to_string(),
                })
            })?;
            events.push(event);
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_read_as_they_come_and_torn_ones_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("events.jsonl")).unwrap();
        std::fs::write(&path, "{\"event\":\"done\"}\n{\"event\":\"upd").unwrap();
        let mut follower = Follower::open(&path).unwrap();
        assert_eq!(follower.news().unwrap(), [Event::Done]);
        let mut script = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        script.write_all(b"{\"event\":\"error\",\"code\":\"mem").unwrap();
        assert_eq!(follower.news().unwrap(), []);
        script.write_all(b"ory\",\"message\":\"m\"}\n").unwrap();
        assert_eq!(follower.news().unwrap(), [Event::Error { code: Code::Memory, message: "m".into() }]);
        script.write_all(b"{\"event\":\"none\"}\n").unwrap();
        let message = follower.news().unwrap_err().full_message();
        assert!(message.contains("line 3") && message.contains("`none`"), "{message}");
    }
}
