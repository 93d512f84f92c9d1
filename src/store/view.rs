//! Views: outputs at paths where a stage can read them.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    record::{OutputFile, OutputRecord},
    store::{
        StoreError,
        disk::{self, Stamp},
        open::Shared,
        results::blobs,
    },
};

static COUNTER: AtomicU64 = AtomicU64::new(0);

pub(super) fn view(shared: &Shared, output: &OutputRecord, at: &Utf8Path) -> Result<Utf8PathBuf, StoreError> {
    for (digest, bytes) in blobs(output) {
        if !shared.is_blob_present(digest, bytes) {
            return Err(StoreError::MissingBlob { digest: *digest, path: shared.layout.root().to_owned() });
        }
    }
    if !output.artifact_type.is_folder() {
        return Ok(shared.layout.object(&output.digest));
    }
    if is_view(shared, output, at)? {
        return Ok(at.to_owned());
    }
    // Made aside and renamed, so that a view is whole or not there.
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let aside = Utf8PathBuf::from(format!("{at}.partial-{}-{number}", std::process::id()));
    let made = build(shared, output, &aside).and_then(|()| {
        fs::rename(&aside, at).map_err(|error| match error.kind() {
            io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                StoreError::Occupied { path: at.to_owned() }
            }
            _ => StoreError::io("make the view", at)(error),
        })
    });
    if let Err(error) = made {
        let _ = disk::remove_tree(&aside);
        return if is_view(shared, output, at)? { Ok(at.to_owned()) } else { Err(error) };
    }
    Ok(at.to_owned())
}

fn build(shared: &Shared, output: &OutputRecord, folder: &Utf8Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
    for file in &output.files {
        let link = folder.join(safe(shared, file)?);
        if let Some(parent) = link.parent().filter(|parent| *parent != folder) {
            fs::create_dir_all(parent).map_err(StoreError::io("make the folder", parent))?;
        }
        let blob = shared.layout.object(&file.digest);
        // A second name outlives the blob's own, should that be collected. Another file system, a blob of another user or
        // one with too many names leaves only a symbolic link.
        if fs::hard_link(&blob, &link).is_err() {
            fs::os::unix::fs::symlink(&blob, &link).map_err(StoreError::io("link", &link))?;
        }
    }
    Ok(())
}

/// Returns the path of a folder's file, if it stays in the folder: manifests may come from elsewhere.
fn safe<'a>(shared: &Shared, file: &'a OutputFile) -> Result<&'a Utf8Path, StoreError> {
    let path = Utf8Path::new(&file.path);
    let inside = path.components().all(|part| matches!(part, Utf8Component::Normal(_)));
    if inside && !file.path.is_empty() {
        Ok(path)
    } else {
        let reason = format!("an output's file has the path `{path}`, which leads outside the output");
        Err(StoreError::Damaged { path: shared.layout.results(), reason })
    }
}

/// Returns whether `at` is a view of the output already: its files and no others, each the blob or a link to it.
fn is_view(shared: &Shared, output: &OutputRecord, at: &Utf8Path) -> Result<bool, StoreError> {
    if Stamp::at(at)?.is_none_or(|stamp| !stamp.is_folder()) {
        return Ok(false);
    }
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), at.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for name in disk::names(&folder)? {
            let path = folder.join(&name);
            let Some(stamp) = Stamp::at(&path)? else { return Ok(false) };
            if stamp.is_folder() {
                folders.push((format!("{prefix}{name}/"), path));
            } else {
                found.push((format!("{prefix}{name}"), path, stamp));
            }
        }
    }
    found.sort_unstable_by(|left, right| left.0.cmp(&right.0));
    let same = |(file, (name, path, stamp)): (&OutputFile, &(String, Utf8PathBuf, Stamp))| {
        let blob = shared.layout.object(&file.digest);
        let linked = if stamp.is_link() {
            fs::read_link(path).is_ok_and(|target| target == blob.as_std_path())
        } else {
            matches!(Stamp::at(&blob), Ok(Some(there)) if (there.inode, there.device) == (stamp.inode, stamp.device))
        };
        file.path == *name && linked
    };
    Ok(!found.is_empty() && found.len() == output.files.len() && output.files.iter().zip(&found).all(same))
}
