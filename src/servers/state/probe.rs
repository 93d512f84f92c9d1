//! What an episode's end is compared by, as it is written: `compare = [{ tree = "." }, { sqlite = "shop.db" }]`.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{EndState, Finding, GitProgram, StateError};
use crate::servers::{
    inside,
    setup::{PathError, check_path},
};

/// One place to look at when an episode has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ProbeText", into = "ProbeText")]
pub enum Probe {
    /// A folder's files, without those that other probes look at and without `.git` folders.
    Tree {
        /// The folder.
        path: Utf8PathBuf,
        /// Paths in it that do not count.
        exclude: Vec<Utf8PathBuf>,
    },
    /// A SQLite file.
    Sqlite {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A git repository.
    Git {
        /// Its working folder.
        path: Utf8PathBuf,
    },
    /// A file with JSON, or with a JSON value on each line.
    Json {
        /// The file.
        path: Utf8PathBuf,
    },
    /// What the suite's HTTP service answers with JSON.
    Http {
        /// The path below the base URL.
        path: String,
    },
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProbeText {
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<Utf8PathBuf>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlite: Option<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Utf8PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<String>,
}

impl TryFrom<ProbeText> for Probe {
    type Error = &'static str;

    fn try_from(text: ProbeText) -> Result<Self, Self::Error> {
        let excluded = !text.exclude.is_empty();
        let probe = match (text.tree, text.sqlite, text.git, text.json, text.http) {
            (Some(path), None, None, None, None) => return Ok(Self::Tree { path, exclude: text.exclude }),
            (None, Some(path), None, None, None) => Self::Sqlite { path },
            (None, None, Some(path), None, None) => Self::Git { path },
            (None, None, None, Some(path), None) => Self::Json { path },
            (None, None, None, None, Some(path)) => Self::Http { path },
            _ => return Err("an entry of `compare` has exactly one of `tree`, `sqlite`, `git`, `json` and `http`"),
        };
        if excluded { Err("`exclude` goes with `tree`") } else { Ok(probe) }
    }
}

impl From<Probe> for ProbeText {
    fn from(probe: Probe) -> Self {
        let mut text = Self::default();
        match probe {
            Probe::Tree { path, exclude } => {
                text.tree = Some(path);
                text.exclude = exclude;
            }
            Probe::Sqlite { path } => text.sqlite = Some(path),
            Probe::Git { path } => text.git = Some(path),
            Probe::Json { path } => text.json = Some(path),
            Probe::Http { path } => text.http = Some(path),
        }
        text
    }
}

impl Probe {
    /// Returns the probe of all files in a folder.
    pub fn folder(path: &str) -> Self {
        Self::Tree { path: path.into(), exclude: Vec::new() }
    }

    /// Checks that it stays inside the private folder.
    ///
    /// # Errors
    /// [`PathError`] if it does not.
    pub fn check(&self) -> Result<(), PathError> {
        match self {
            Self::Tree { path, exclude } => std::iter::once(path).chain(exclude).try_for_each(|path| check_path(path)),
            Self::Sqlite { path } | Self::Git { path } | Self::Json { path } => check_path(path),
            Self::Http { .. } => Ok(()),
        }
    }

    /// Returns its name in an end state.
    pub fn name(&self) -> String {
        match self {
            Self::Tree { path, .. } => format!("tree {path}"),
            Self::Sqlite { path } => format!("sqlite {path}"),
            Self::Git { path } => format!("git {path}"),
            Self::Json { path } => format!("json {path}"),
            Self::Http { path } => format!("http {path}"),
        }
    }

    fn file(&self) -> Option<&Utf8Path> {
        match self {
            Self::Sqlite { path } | Self::Json { path } => Some(path),
            _ => None,
        }
    }
}

/// What probes read with.
pub(in crate::servers) struct Reader<'a> {
    /// The private folder; `None`: there is none.
    pub(in crate::servers) folder: Option<&'a Path>,
    pub(in crate::servers) git: &'a GitProgram<'a>,
    /// Gets a path of the suite's HTTP service.
    pub(in crate::servers) http: &'a dyn Fn(&str) -> Result<serde_json::Value, String>,
}

/// Reads the end state that `probes` ask for; what one of `all` looks at itself is left out of trees.
pub(in crate::servers) fn read(probes: &[Probe], all: &[Probe], reader: &Reader<'_>) -> Result<EndState, StateError> {
    let folder = reader.folder.map(inside::open_folder).transpose();
    let mut state = EndState::default();
    for probe in probes {
        let name = probe.name();
        let unreadable = |source| StateError::Read { probe: name.clone(), source };
        let folder = match &folder {
            Ok(folder) => folder.as_ref(),
            Err(error) => return Err(unreadable(io::Error::from(error.kind()))),
        };
        let finding = match (probe, folder) {
            (Probe::Http { path }, _) => {
                let value = (reader.http)(path);
                Finding::Json(value.map_err(|reason| StateError::Unfit { probe: name.clone(), reason })?)
            }
            (_, None) => return Err(unreadable(io::Error::other("there is no private folder"))),
            (_, Some(folder)) => match of_folder(probe, all, folder.as_fd(), reader) {
                // Gone is a state like any other.
                Err(StateError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Finding::Missing,
                other => other?,
            },
        };
        state.findings.insert(name, finding);
    }
    Ok(state)
}

fn of_folder(probe: &Probe, all: &[Probe], folder: BorrowedFd<'_>, reader: &Reader<'_>) -> Result<Finding, StateError> {
    match probe {
        Probe::Tree { path, exclude } => {
            let mut left_out: Vec<Utf8PathBuf> = exclude.iter().map(|inner| path.join(inner)).collect();
            left_out.extend(all.iter().filter_map(Probe::file).map(Utf8Path::to_owned));
            super::tree::read(probe, path, &left_out, folder).map(Finding::Tree)
        }
        Probe::Sqlite { path } => super::sqlite::read(probe, path, folder).map(Finding::Sqlite),
        Probe::Json { path } => super::json::read(probe, path, folder).map(Finding::Json),
        Probe::Git { path } => {
            let at = reader.folder.expect("a folder that is open has a path").join(path);
            super::git::read(probe, path, folder, &at, reader.git).map(Finding::Git)
        }
        Probe::Http { .. } => unreachable!("it reads no folder"),
    }
}
