//! End states: what an episode left behind, in a form that two episodes can be compared by.
//!
//! A state holds what matters and leaves out what differs between equal runs: times, inode numbers, the order of rows, the
//! dates in commits. It is a plain value that a data set can keep. The folder it is read from may belong to a program that is
//! still running, so nothing is opened by a path that it could bend (see `inside`).

mod difference;
mod git;
mod json;
mod probe;
mod sqlite;
mod tree;

use std::{collections::BTreeMap, io};

use serde::{Deserialize, Serialize};

pub(super) use self::{
    git::GitProgram,
    json::{number_order, read_json_text},
    probe::{Reader, read},
};
pub use self::{
    git::{Commit, Repository},
    probe::Probe,
    sqlite::{Database, Table},
    tree::{Node, Tree},
};

/// What was found by one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// A folder's files.
    Tree(Tree),
    /// A SQLite file.
    Sqlite(Database),
    /// A git repository.
    Git(Repository),
    /// A JSON value: of a file, or of an HTTP service.
    Json(serde_json::Value),
    /// There is nothing there.
    Missing,
}

/// What an episode left behind: the probe, in words → what it found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndState {
    /// The findings.
    pub findings: BTreeMap<String, Finding>,
}

impl EndState {
    /// Returns what is different in `other`, one line for each, at most `limit` lines. Empty: the states are equal.
    pub fn differences(&self, other: &Self, limit: usize) -> Vec<String> {
        difference::of_states(self, other, limit)
    }
}

/// Why an end state could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or folder.
    #[error("failed to read the end state of `{probe}`")]
    Read {
        /// The probe.
        probe: String,
        /// Why.
        source: io::Error,
    },
    /// A SQLite file.
    #[error("failed to read the end state of `{probe}`")]
    Sqlite {
        /// The probe.
        probe: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// What is there is not what was expected there.
    #[error("failed to read the end state of `{probe}`: {reason}")]
    Unfit {
        /// The probe.
        probe: String,
        /// Why.
        reason: String,
    },
}
