//! Digests of files anywhere, remembered by what `stat` says of them.
//!
//! An entry counts while device, inode, size and both times are the same. A file that was touched just before it was
//! hashed could be changed once more within the same tick of the file system's clock, with no trace in the times; so its
//! digest is not remembered.

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use rayon::prelude::*;

use crate::{
    base::Digest,
    record::OutputFile,
    store::{
        StoreError,
        disk::{Stamp, absolute},
        index::StampRow,
        open::Shared,
        time, tree,
    },
};

/// Ticks of file systems that keep nanoseconds: kernels count them in steps of up to 10 ms.
const FINE_TICK_NS: i128 = 50_000_000;
/// Ticks of those that keep whole seconds, or every other.
const COARSE_TICK_NS: i128 = 2_000_000_000;

pub(super) fn digest(shared: &Shared, path: &Utf8Path) -> Result<Digest, StoreError> {
    let path = absolute(path)?;
    let metadata = fs::metadata(&path).map_err(StoreError::io("look at", &path))?;
    if metadata.is_dir() {
        let mut files = Vec::new();
        list(&path, "", &mut Vec::new(), &mut files)?;
        files.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let paths: Vec<Utf8PathBuf> = files.iter().map(|(_, path)| path.clone()).collect();
        let digests = digests(shared, &paths)?;
        let files: Vec<OutputFile> = files
            .into_iter()
            .zip(digests)
            .map(|((name, _), digest)| OutputFile { path: name, digest, bytes: 0 })
            .collect();
        return Ok(tree::folder_digest(&files));
    }
    Ok(digests(shared, &[path])?[0])
}

/// Lists the files of a folder and below; links are followed, but not in circles.
fn list(
    folder: &Utf8Path,
    prefix: &str,
    above: &mut Vec<(u64, u64)>,
    files: &mut Vec<(String, Utf8PathBuf)>,
) -> Result<(), StoreError> {
    let stamp = Stamp::from(&fs::metadata(folder).map_err(StoreError::io("look at", folder))?);
    let identity = (stamp.device, stamp.inode);
    if above.contains(&identity) {
        let target = fs::read_link(folder).map(|target| target.display().to_string()).unwrap_or_default();
        return Err(StoreError::Symlink { path: folder.to_owned(), target, why: "which is a folder above it" });
    }
    above.push(identity);
    for entry in fs::read_dir(folder).map_err(StoreError::io("list", folder))? {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| StoreError::NotUtf8 { path: entry.path().display().to_string() })?;
        let path = folder.join(&name);
        let kind = entry.file_type().map_err(StoreError::io("look at", &path))?;
        let is_folder = kind.is_dir() || (kind.is_symlink() && path.is_dir());
        if is_folder {
            list(&path, &format!("{prefix}{name}/"), above, files)?;
        } else {
            files.push((format!("{prefix}{name}"), path));
        }
    }
    above.pop();
    Ok(())
}

fn digests(shared: &Shared, paths: &[Utf8PathBuf]) -> Result<Vec<Digest>, StoreError> {
    let look = |path: &Utf8PathBuf| {
        let metadata = fs::metadata(path).map_err(StoreError::io("look at", path))?;
        Ok((path.to_string(), Stamp::from(&metadata)))
    };
    let stamps: Vec<(String, Stamp)> = paths.iter().map(look).collect::<Result<_, StoreError>>()?;
    let known = shared.index.stamped(&stamps).unwrap_or_else(|_| vec![None; paths.len()]);
    let hash = |((path, known), (name, before)): ((&Utf8PathBuf, Option<Digest>), &(String, Stamp))| {
        if let Some(digest) = known {
            return Ok((digest, None));
        }
        let begun = time::now_ns();
        let real = match Stamp::at(path)? {
            Some(stamp) if stamp.is_link() => {
                let real = fs::canonicalize(path).map_err(StoreError::io("find the real path of", path))?;
                Utf8PathBuf::from_path_buf(real)
                    .map_err(|path| StoreError::NotUtf8 { path: path.display().to_string() })?
            }
            _ => path.clone(),
        };
        let (digest, after) = tree::hash_file(&real)?;
        let settled = before.same_content(&after) && before.ctime_ns == after.ctime_ns && is_settled(&after, begun);
        Ok((digest, settled.then(|| StampRow { path: name.clone(), stamp: after, digest })))
    };
    let pairs = paths.iter().zip(known).zip(&stamps).collect::<Vec<_>>();
    let found: Vec<(Digest, Option<StampRow>)> = if pairs.len() < 8 {
        pairs.into_iter().map(hash).collect::<Result<_, StoreError>>()?
    } else {
        pairs.into_par_iter().map(hash).collect::<Result<_, StoreError>>()?
    };
    let mut digests = Vec::with_capacity(found.len());
    let mut rows = Vec::new();
    for (digest, row) in found {
        digests.push(digest);
        rows.extend(row);
    }
    // Not remembering only costs time.
    let _ = shared.index.stamp(&rows);
    Ok(digests)
}

/// Returns whether a change after `begun` would show in the times.
fn is_settled(stamp: &Stamp, begun: i128) -> bool {
    let touched = stamp.mtime_ns.max(stamp.ctime_ns);
    let whole_seconds = stamp.mtime_ns % 1_000_000_000 == 0 && stamp.ctime_ns % 1_000_000_000 == 0;
    touched + if whole_seconds { COARSE_TICK_NS } else { FINE_TICK_NS } < begun
}
