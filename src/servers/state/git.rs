//! A git repository: its branches and tags, the commits that they reach, the index.
//!
//! Read by the program `git`, started like any other program here. Commits are named by a digest of their tree, their message and
//! their parents, since git's own names change with the dates and the author. The repository's own configuration cannot make git
//! run hooks, file monitors or pagers.

use std::{collections::BTreeMap, io, os::fd::BorrowedFd, path::Path};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::{Probe, StateError};
use crate::{
    base::{Canon, Digest},
    servers::inside,
};

/// Commits that are read at most.
const MOST_COMMITS: usize = 20_000;

/// Runs `git` with arguments in a folder and returns what it wrote.
pub(in crate::servers) type GitProgram<'a> = dyn Fn(&Path, &[&str]) -> Result<Vec<u8>, String> + 'a;

/// A repository's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The branch that is checked out; with a detached head, a commit.
    pub head: String,
    /// Branches and tags → commit.
    pub refs: BTreeMap<String, Digest>,
    /// Every commit that they reach.
    pub commits: BTreeMap<Digest, Commit>,
    /// What is staged: path → mode and object.
    pub index: BTreeMap<String, String>,
}

/// A commit without its dates and people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// git's name of its tree, which depends on contents only.
    pub tree: String,
    /// Its message, without white space at the end.
    pub message: String,
    /// Its parents.
    pub parents: Vec<Digest>,
}

impl Commit {
    fn name(&self) -> Digest {
        let mut canon = Canon::new();
        canon.text("commit").text(&self.tree).text(&self.message).list(self.parents.len());
        for parent in &self.parents {
            canon.digest(parent);
        }
        canon.finish()
    }
}

pub(super) fn read(
    probe: &Probe,
    path: &Utf8Path,
    folder: BorrowedFd<'_>,
    at: &Path,
    git: &GitProgram<'_>,
) -> Result<Repository, StateError> {
    let failed = |source: io::Error| StateError::Read { probe: probe.name(), source };
    // A folder that is not there is a state; git's words for it would be an error.
    inside::open_folder_below(folder, &path.as_std_path().join(".git")).map_err(failed)?;
    let unfit = |reason: String| StateError::Unfit { probe: probe.name(), reason };
    let ask = |arguments: &[&str]| -> Result<String, StateError> {
        let bytes = git(at, arguments).map_err(|reason| unfit(format!("`git {}`: {reason}", arguments.join(" "))))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mut repository = Repository::default();
    let names = read_commits(
        &ask(&["log", "--all", "--topo-order", "--reverse", "-z", "--format=%H%n%T%n%P%n%B"])?,
        &mut repository,
    )
    .map_err(unfit)?;
    for line in ask(&["for-each-ref", "--format=%(refname)%00%(objectname)%00%(*objectname)"])?.lines() {
        let mut parts = line.split('\0');
        let (Some(name), Some(object), peeled) = (parts.next(), parts.next(), parts.next().unwrap_or_default()) else {
            continue;
        };
        // An annotated tag counts as what it names; what names no commit, by its object.
        let target = if peeled.is_empty() { object } else { peeled };
        let digest = names.get(target).copied().unwrap_or_else(|| Digest::of(target.as_bytes()));
        repository.refs.insert(name.to_owned(), digest);
    }
    repository.head = match git(at, &["symbolic-ref", "--quiet", "HEAD"]) {
        Ok(branch) => String::from_utf8_lossy(&branch).trim().to_owned(),
        Err(_) => {
            let commit = ask(&["rev-parse", "HEAD"])?;
            names.get(commit.trim()).map_or_else(|| commit.trim().to_owned(), Digest::to_string)
        }
    };
    for entry in ask(&["ls-files", "--stage", "-z"])?.split('\0').filter(|entry| !entry.is_empty()) {
        let (meta, path) = entry.split_once('\t').unwrap_or((entry, ""));
        let mut parts = meta.split(' ');
        let (mode, object, stage) = (parts.next(), parts.next(), parts.next().unwrap_or("0"));
        let path = if stage == "0" { path.to_owned() } else { format!("{path} (stage {stage})") };
        repository.index.insert(path, format!("{} {}", mode.unwrap_or_default(), object.unwrap_or_default()));
    }
    Ok(repository)
}

/// Reads the log, oldest first; returns git's name → our name.
fn read_commits(log: &str, repository: &mut Repository) -> Result<BTreeMap<String, Digest>, String> {
    let mut names = BTreeMap::new();
    for entry in log.split('\0').filter(|entry| !entry.trim().is_empty()) {
        if names.len() >= MOST_COMMITS {
            return Err(format!("it holds more than {MOST_COMMITS} commits"));
        }
        let mut lines = entry.splitn(4, '\n');
        let (Some(name), Some(tree), Some(parents), Some(message)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err("its log cannot be read".to_owned());
        };
        // A shallow repository's first commits have parents that are not there.
        let parents = parents.split(' ').filter_map(|parent| names.get(parent).copied()).collect();
        let commit = Commit { tree: tree.to_owned(), message: message.trim_end().to_owned(), parents };
        let ours = commit.name();
        repository.commits.insert(ours, commit);
        names.insert(name.to_owned(), ours);
    }
    Ok(names)
}
