//! Verification: what is damaged, and setting it aside so that it can be made anew.
//!
//! Damage is found without any lock and confirmed under the store lock held alone, so that whoever repairs or commits
//! meanwhile is not taken for damage. Nothing that is whole is ever moved, and nothing is deleted: damage goes to
//! `quarantine/`.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    base::Digest,
    record::ResultManifest,
    store::{
        FaultPoint, StoreError,
        disk::{self, SEALED, Stamp},
        layout::result_key,
        objects::{self, Object},
        open::Shared,
        results::{blobs, read_manifest},
        time, tree,
    },
};

/// What is wrong with a file of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Problem {
    /// A blob that results name is not there.
    BlobMissing,
    /// A blob has not the size that results say.
    BlobSize {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A blob has not the bytes that its name says.
    BlobContent {
        /// The digest of the bytes that it has.
        found: Digest,
    },
    /// A blob cannot be read.
    BlobUnreadable {
        /// Why.
        reason: String,
    },
    /// A blob is right, but can be written to, or not be read by everybody.
    BlobMode {
        /// Its mode.
        mode: u32,
    },
    /// A manifest makes no sense.
    ManifestDamaged {
        /// Why.
        reason: String,
    },
    /// Something that does not belong where it is. It is left alone.
    Stray,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    pub path: Utf8PathBuf,
    /// What.
    #[serde(flatten)]
    pub problem: Problem,
    /// Results that are lost by it, by key.
    pub results: Vec<Digest>,
    /// Whether it was set aside or put right.
    pub healed: bool,
}

/// What verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyReport {
    /// Format version.
    pub schema_version: u32,
    /// Whether the bytes of blobs were checked, and not only their presence and size.
    pub full: bool,
    /// Manifests looked at.
    pub results: usize,
    /// Blobs looked at.
    pub blobs: usize,
    /// Bytes of those blobs.
    pub bytes: u64,
    /// Everything that is wrong, in the order of paths.
    pub findings: Vec<Finding>,
    /// Results dropped, by key.
    pub dropped: Vec<Digest>,
}

impl VerifyReport {
    /// Returns whether nothing is damaged. Strays and modes are no damage.
    pub fn is_whole(&self) -> bool {
        self.findings.iter().all(|finding| matches!(finding.problem, Problem::Stray | Problem::BlobMode { .. }))
    }
}

/// What results say of a blob.
#[derive(Default)]
struct Wanted {
    sizes: Vec<u64>,
    results: Vec<Digest>,
}

pub(super) fn verify(shared: &Shared, full: bool, heal: bool) -> Result<VerifyReport, StoreError> {
    let mut report = VerifyReport { schema_version: 1, full, ..VerifyReport::default() };
    let manifests = check_manifests(shared, &mut report)?;
    let mut wanted: BTreeMap<Digest, Wanted> = BTreeMap::new();
    for manifest in &manifests {
        for (digest, bytes) in manifest.outputs.values().flat_map(blobs) {
            let entry = wanted.entry(*digest).or_default();
            if !entry.sizes.contains(&bytes) {
                entry.sizes.push(bytes);
            }
            if entry.results.last() != Some(&manifest.key) {
                entry.results.push(manifest.key);
            }
        }
    }
    let (found, strays) = objects::list(&shared.layout)?;
    report.blobs = found.len();
    report.bytes = found.iter().map(|object| object.stamp.size).sum();
    let bad: Vec<Finding> = found
        .par_iter()
        .filter_map(|object| {
            let wanted = wanted.get(&object.digest);
            let problem = problem(shared, object, wanted, full)?;
            let results = match problem {
                Problem::BlobMode { .. } => Vec::new(),
                _ => wanted.map(|wanted| wanted.results.clone()).unwrap_or_default(),
            };
            Some(Finding { path: shared.layout.object(&object.digest), problem, results, healed: false })
        })
        .collect();
    report.findings.extend(bad);
    for object in &found {
        wanted.remove(&object.digest);
    }
    for (digest, Wanted { results, .. }) in wanted {
        let path = shared.layout.object(&digest);
        // It may have been committed after the blobs were listed.
        if Stamp::at(&path)?.is_none() {
            report.findings.push(Finding { path, problem: Problem::BlobMissing, results, healed: false });
        }
    }
    for path in strays {
        report.findings.push(Finding { path, problem: Problem::Stray, results: Vec::new(), healed: false });
    }
    report.findings.sort_by(|left, right| left.path.cmp(&right.path));
    if heal && report.findings.iter().any(|finding| finding.problem != Problem::Stray) {
        set_aside(shared, &mut report)?;
    }
    Ok(report)
}

/// Reads every manifest; notes those that make no sense.
fn check_manifests(shared: &Shared, report: &mut VerifyReport) -> Result<Vec<ResultManifest>, StoreError> {
    let mut manifests = Vec::new();
    for name in disk::names(&shared.layout.results())? {
        let path = shared.layout.results().join(&name);
        let Some(key) = result_key(&name) else {
            report.findings.push(Finding { path, problem: Problem::Stray, results: Vec::new(), healed: false });
            continue;
        };
        report.results += 1;
        match read_manifest(&shared.layout, &key) {
            Ok(read) => manifests.extend(read.map(|(_, _, manifest)| manifest)),
            Err(error) => {
                let problem = Problem::ManifestDamaged { reason: reason(&error) };
                report.findings.push(Finding { path, problem, results: vec![key], healed: false });
            }
        }
    }
    Ok(manifests)
}

fn reason(error: &StoreError) -> String {
    match error {
        StoreError::Damaged { reason, .. } => reason.clone(),
        StoreError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Returns what is wrong with a blob.
fn problem(shared: &Shared, object: &Object, wanted: Option<&Wanted>, full: bool) -> Option<Problem> {
    let found = object.stamp.size;
    if full {
        match tree::hash_file(&shared.layout.object(&object.digest)) {
            Ok((digest, _)) if digest != object.digest => return Some(Problem::BlobContent { found: digest }),
            Ok(_) => {}
            // It vanished meanwhile: others tidy up too.
            Err(StoreError::Io { source, .. }) if disk::is_absent(&source) => return None,
            // Another user is committing it.
            Err(error) if is_denied(&error) && !object.stamp.is_sealed() => return None,
            Err(error) => return Some(Problem::BlobUnreadable { reason: reason(&error) }),
        }
    }
    if let Some(&expected) = wanted.and_then(|wanted| wanted.sizes.iter().find(|size| **size != found)) {
        return Some(Problem::BlobSize { expected, found });
    }
    let mode = object.stamp.mode & 0o7777;
    // Mode 0400 is that of a blob that is being committed, or was left by a crash: whoever needs it checks and seals it.
    (full && mode != SEALED && mode != disk::UNSEALED).then_some(Problem::BlobMode { mode })
}

/// Confirms what was found, moves it to `quarantine/` and drops the results that are lost by it.
fn set_aside(shared: &Shared, report: &mut VerifyReport) -> Result<(), StoreError> {
    let writer = shared.writer("set damage aside")?;
    let guard = writer.lock.exclusive()?;
    for finding in &mut report.findings {
        let blob = blob_of(shared, &finding.path);
        let confirmed = match (&finding.problem, &blob) {
            (Problem::Stray, _) => continue,
            (Problem::BlobMode { .. }, Some(_)) => {
                finding.healed = disk::set_mode(&finding.path, SEALED).is_ok();
                continue;
            }
            (Problem::BlobMissing, _) => Stamp::at(&finding.path)?.is_none(),
            (Problem::BlobSize { expected, .. }, _) => {
                Stamp::at(&finding.path)?.is_some_and(|stamp| stamp.size != *expected)
            }
            (Problem::ManifestDamaged { .. }, _) => {
                finding.results.iter().all(|key| read_manifest(&shared.layout, key).is_err())
            }
            (_, Some(digest)) => match tree::hash_file(&finding.path) {
                Ok((found, _)) => found != *digest,
                // That it cannot be read by this user does not make it damaged.
                Err(error) if is_denied(&error) => continue,
                Err(_) => true,
            },
            (_, None) => false,
        };
        if !confirmed {
            finding.healed = true;
            finding.results.clear();
            continue;
        }
        // A size that contradicts one manifest while the bytes are right is the manifest's fault.
        let keeps_blob = matches!((&finding.problem, &blob), (Problem::BlobSize { .. }, Some(digest))
            if matches!(tree::hash_file(&finding.path), Ok((found, _)) if found == *digest));
        if finding.problem != Problem::BlobMissing && !keeps_blob {
            quarantine(shared, &finding.path)?;
        }
        if blob.is_some() {
            shared.faults.at(FaultPoint::BlobQuarantined).map_err(StoreError::io("set aside", &finding.path))?;
        }
        let mut lost = Vec::new();
        for key in std::mem::take(&mut finding.results) {
            if is_lost(shared, &key)? {
                lost.push(key);
            }
        }
        finding.results = lost;
        report.dropped.extend(&finding.results);
        finding.healed = true;
    }
    report.dropped.sort_unstable();
    report.dropped.dedup();
    for key in &report.dropped {
        let path = shared.layout.result(key);
        if Stamp::at(&path)?.is_some() {
            quarantine(shared, &path)?;
        }
    }
    disk::sync(&shared.layout.results())?;
    drop(guard);
    let _ = shared.index.forget(&report.dropped);
    Ok(())
}

fn is_denied(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
}

/// Returns whether a result cannot be used as it is now.
fn is_lost(shared: &Shared, key: &Digest) -> Result<bool, StoreError> {
    match read_manifest(&shared.layout, key) {
        Ok(Some((_, _, manifest))) => Ok(!manifest.outputs.values().all(|output| shared.is_present(output))),
        Ok(None) | Err(StoreError::Damaged { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Returns the digest that a blob's path says.
fn blob_of(shared: &Shared, path: &Utf8Path) -> Option<Digest> {
    let inside = path.strip_prefix(shared.layout.objects()).ok()?;
    inside.as_str().replacen('/', "", 1).parse().ok()
}

/// Moves a file to `quarantine/`, under a name that says what it was and when.
pub(super) fn quarantine(shared: &Shared, path: &Utf8Path) -> Result<(), StoreError> {
    let folder = shared.layout.quarantine();
    disk::make_folder(&folder)?;
    let inside = path.strip_prefix(shared.layout.root()).unwrap_or(path);
    let name = format!("{}.{}", inside.as_str().replace('/', "-"), time::now_ns());
    fs::rename(path, folder.join(name)).map_err(StoreError::io("set aside", path))
}
