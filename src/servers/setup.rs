//! What a private folder holds when an episode begins.
//!
//! Files by their text, SQLite files by the script that makes them, git repositories by the folder that becomes the first
//! commit. Paths stay inside the folder: no `..`, nothing absolute.

use std::{collections::BTreeMap, io, os::unix::fs::PermissionsExt as _, path::Path};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

/// What a folder holds at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Setup {
    /// Empty folders, beside those that files need.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<Utf8PathBuf>,
    /// Path → text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<Utf8PathBuf, String>,
    /// Path of a SQLite file → the SQL script that makes it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sqlite: BTreeMap<Utf8PathBuf, String>,
    /// Folders that become git repositories, their files the first commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub git: Vec<Utf8PathBuf>,
}

/// A path that is not inside the private folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` must be a path inside the private folder, without `..`")]
pub struct PathError {
    path: String,
}

/// Why a folder could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A path that leaves the folder.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file cannot be written or taken away.
    #[error("failed to set up `{path}`")]
    File {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A script does not run.
    #[error("failed to make the SQLite file `{path}`")]
    Sqlite {
        /// Where.
        path: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// A repository cannot be made.
    #[error("failed to make the git repository `{path}`: {reason}")]
    Git {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
}

/// Checks that a path stays inside the folder it is joined to.
pub(super) fn check_path(path: &Utf8Path) -> Result<(), PathError> {
    let inside = path.components().all(|part| matches!(part, Utf8Component::Normal(_) | Utf8Component::CurDir));
    if inside && !path.as_str().is_empty() && !path.as_str().contains('\0') {
        Ok(())
    } else {
        Err(PathError { path: path.to_string() })
    }
}

impl Setup {
    /// Returns whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks every path.
    ///
    /// # Errors
    /// [`PathError`] for the first that leaves the folder.
    pub fn check(&self) -> Result<(), PathError> {
        let paths = self.folders.iter().chain(self.files.keys()).chain(self.sqlite.keys()).chain(&self.git);
        paths.into_iter().try_for_each(|path| check_path(path))
    }

    /// Returns this setup with `other` on top: a file of `other` replaces one of the same path.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.folders.extend(other.folders.iter().cloned());
        both.files.extend(other.files.clone());
        both.sqlite.extend(other.sqlite.clone());
        both.git.extend(other.git.iter().filter(|path| !self.git.contains(path)).cloned());
        both
    }

    /// Puts everything into `folder`, which must be empty and nobody else's. `git` runs the program `git` with the arguments given, in a folder.
    ///
    /// # Errors
    /// [`SetupError`] with the path.
    pub(super) fn apply(&self, folder: &Path, git: &super::state::GitProgram<'_>) -> Result<(), SetupError> {
        self.check()?;
        let file_error = |path: &Utf8Path| {
            let path = path.to_string();
            move |source| SetupError::File { path, source }
        };
        for path in &self.folders {
            std::fs::create_dir_all(folder.join(path)).map_err(file_error(path))?;
        }
        for (path, text) in &self.files {
            let target = folder.join(path);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).map_err(file_error(path))?;
            }
            std::fs::write(target, text).map_err(file_error(path))?;
        }
        for (path, script) in &self.sqlite {
            let target = folder.join(path);
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent).map_err(file_error(path))?;
            }
            let made = rusqlite::Connection::open(target).and_then(|connection| connection.execute_batch(script));
            made.map_err(|source| SetupError::Sqlite { path: path.to_string(), source })?;
        }
        for path in &self.git {
            let target = folder.join(path);
            std::fs::create_dir_all(&target).map_err(file_error(path))?;
            let steps: [&[&str]; 3] = [
                &["init", "--quiet", "--initial-branch=main"],
                &["add", "--all"],
                &["commit", "--quiet", "--allow-empty", "--message=start"],
            ];
            for step in steps {
                git(&target, step).map_err(|reason| SetupError::Git { path: path.to_string(), reason })?;
            }
        }
        Ok(())
    }
}

/// Empties a folder that a program has for itself, and keeps the folder: a server that knows it by its path, or may only write
/// below it, goes on.
pub(super) fn empty(folder: &Path) -> Result<(), SetupError> {
    let error = |path: &Path| {
        let path = path.display().to_string();
        move |source| SetupError::File { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(error(folder))? {
        let entry = entry.map_err(error(folder))?;
        let path = entry.path();
        // Neither the look nor the removals follow links.
        let removed = if entry.file_type().map_err(error(&path))?.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(error(&path))?;
    }
    Ok(())
}

/// Gives a folder tree that nobody uses any more its permissions back, so that it can be removed.
pub(super) fn unlock(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        // What cannot be changed is found out when it is removed.
        let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700));
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let inner = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(inner.map(|entry| entry.path()));
    }
}
