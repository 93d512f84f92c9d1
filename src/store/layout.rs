//! Where things lie in a store.

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{Digest, RunId},
    store::StoreError,
};

/// The paths of one store.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: Utf8PathBuf,
}

impl Layout {
    /// The folders that every store has.
    pub(super) const FOLDERS: [&str; 6] = ["objects", "results", "runs", "pins", "tmp", "locks"];

    /// Wraps an absolute path.
    pub(super) fn new(root: Utf8PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(super) fn objects(&self) -> Utf8PathBuf {
        self.root.join("objects")
    }

    /// `objects/ab/cdef…`.
    pub(super) fn object(&self, digest: &Digest) -> Utf8PathBuf {
        let hex = digest.to_string();
        let (shard, rest) = hex.split_at(2);
        self.path(&["objects", shard, rest])
    }

    /// `objects/ab`.
    pub(super) fn shard(&self, digest: &Digest) -> Utf8PathBuf {
        self.path(&["objects", &digest.to_string()[..2]])
    }

    pub(super) fn results(&self) -> Utf8PathBuf {
        self.root.join("results")
    }

    pub(super) fn result(&self, key: &Digest) -> Utf8PathBuf {
        self.path(&["results", &format!("{key}.json")])
    }

    pub(super) fn runs(&self) -> Utf8PathBuf {
        self.root.join("runs")
    }

    pub(super) fn run(&self, run: &RunId) -> Utf8PathBuf {
        self.path(&["runs", run.as_str()])
    }

    pub(super) fn pins(&self) -> Utf8PathBuf {
        self.root.join("pins")
    }

    pub(super) fn pin(&self, name: &str) -> Utf8PathBuf {
        self.path(&["pins", &format!("{name}.toml")])
    }

    pub(super) fn quarantine(&self) -> Utf8PathBuf {
        self.root.join("quarantine")
    }

    pub(super) fn tmp(&self) -> Utf8PathBuf {
        self.root.join("tmp")
    }

    /// Folders of keys that outlive a killed attempt. No session can have this name: theirs begin with a digit.
    pub(super) fn scratches(&self) -> Utf8PathBuf {
        self.path(&["tmp", "scratch"])
    }

    pub(super) fn scratch(&self, key: &Digest) -> Utf8PathBuf {
        self.path(&["tmp", "scratch", &key.to_string()])
    }

    pub(super) fn lock(&self, name: &str) -> Utf8PathBuf {
        self.path(&["locks", name])
    }

    pub(super) fn index(&self) -> Utf8PathBuf {
        self.root.join("index.sqlite")
    }

    /// Joins in one allocation: these paths are made for every stage of every plan.
    fn path(&self, parts: &[&str]) -> Utf8PathBuf {
        let root = self.root.as_str();
        let mut path = String::with_capacity(root.len() + parts.iter().map(|part| part.len() + 1).sum::<usize>());
        path.push_str(root);
        for part in parts {
            path.push('/');
            path.push_str(part);
        }
        path.into()
    }
}

/// Returns the digest that `results/<key>.json` is named by, if `name` is such a name.
pub(super) fn result_key(name: &str) -> Option<Digest> {
    name.strip_suffix(".json")?.parse().ok()
}

/// Checks a name that people or other programs give and that becomes a file name.
pub(super) fn check_name(name: &str, what: &'static str) -> Result<(), StoreError> {
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    let fits = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if begins && fits && name.len() <= 128 { Ok(()) } else { Err(StoreError::BadName { name: name.to_owned(), what }) }
}
