//! Taking outputs in: hashed, moved below `objects/` under the name of their content, not yet durable.
//!
//! A blob lies under its name from the start, so that the next stage can read it while the commit is still under way, but
//! with mode 0400 until its bytes and its name are durable. A power cut may leave such a blob with wrong bytes of the
//! right size; whoever finds one that it did not place itself hashes it before relying on it.

use std::{io, sync::PoisonError};

use camino::Utf8Path;
use fs_err as fs;
use rayon::prelude::*;

use crate::{
    base::{ArtifactType, Digest},
    record::{OutputFile, OutputRecord},
    store::{
        FaultPoint, StoreError,
        disk::{self, Stamp, UNSEALED},
        open::{Shared, Writer},
        session::Use,
        tree::{self, TreeFile},
    },
};

/// A file that was hashed and is to become a blob.
struct Hashed {
    file: TreeFile,
    digest: Digest,
    stamp: Stamp,
}

impl Shared {
    pub(super) fn take_in(&self, artifact_type: &ArtifactType, path: &Utf8Path) -> Result<OutputRecord, StoreError> {
        let writer = self.writer("take an output in")?;
        let files = outputs(artifact_type, path)?;
        let hash = |file: TreeFile| {
            let (digest, stamp) = tree::hash_file(&file.path)?;
            Ok(Hashed { file, digest, stamp })
        };
        let hashed: Vec<Hashed> = if files.len() < 8 {
            files.into_iter().map(hash).collect::<Result<_, StoreError>>()?
        } else {
            files.into_par_iter().map(hash).collect::<Result<_, StoreError>>()?
        };
        self.faults.at(FaultPoint::OutputHashed).map_err(StoreError::io("take in", path))?;
        writer.note(&self.layout, hashed.iter().map(|file| Use::Blob(file.digest)))?;
        for file in &hashed {
            self.place(writer, file)?;
        }
        let bytes = hashed.iter().map(|file| file.stamp.size).sum();
        let record =
            |digest, files| OutputRecord { artifact_type: artifact_type.clone(), digest, bytes, rows: None, files };
        Ok(match &hashed[..] {
            [only] if !artifact_type.is_folder() => record(only.digest, Vec::new()),
            _ => {
                let files: Vec<OutputFile> = hashed
                    .into_iter()
                    .map(|Hashed { file, digest, stamp }| OutputFile { path: file.name, digest, bytes: stamp.size })
                    .collect();
                record(tree::folder_digest(&files), files)
            }
        })
    }

    /// Gives a hashed file its name among the blobs, or drops it if the blob is there already.
    fn place(&self, writer: &Writer, hashed: &Hashed) -> Result<(), StoreError> {
        let Hashed { file, digest, stamp } = hashed;
        let target = self.layout.object(digest);
        let mut copied = None;
        // Ends: a round is repeated only after the target came to be, or was removed, in between.
        let done = loop {
            match Stamp::at(&target)? {
                Some(there) if self.is_trusted(digest, stamp.size, &there)? => break Ok(()),
                Some(_) => {
                    // Of another size or with other bytes: damage, which this blob repairs.
                    disk::remove_file(&target)?;
                }
                None => {}
            }
            let source = match &copied {
                Some(copy) => copy,
                None if self.is_movable(file, stamp) => &file.path,
                None => copied.insert(self.copy(writer, file, stamp)?),
            };
            match self.rename(source, digest) {
                Ok(true) => {
                    self.unsynced().insert(*digest);
                    let moved = Stamp::at(&target)?;
                    if copied.is_none() && moved.is_some_and(|moved| !moved.same_content(stamp)) {
                        disk::remove_file(&target)?;
                        return Err(StoreError::Changed { path: file.path.clone() });
                    }
                    copied = None;
                    self.faults.at(FaultPoint::BlobPlaced).map_err(StoreError::io("write", &target))?;
                    break Ok(());
                }
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices && copied.is_none() => {
                    copied = Some(self.copy(writer, file, stamp)?);
                }
                Err(error) => break Err(StoreError::io("write", &target)(error)),
            }
        };
        if let Some(copy) = copied {
            let _ = disk::remove_file(&copy);
        }
        done?;
        if !file.is_link {
            disk::remove_file(&file.path)?;
        }
        Ok(())
    }

    /// Returns whether a blob that is there can be relied on, and sees to it that the commit makes it durable.
    pub(super) fn is_trusted(&self, digest: &Digest, size: u64, there: &Stamp) -> Result<bool, StoreError> {
        if !there.is_file() || there.size != size {
            return Ok(false);
        }
        if there.is_sealed() || self.unsynced().contains(digest) {
            return Ok(true);
        }
        match tree::hash_file(&self.layout.object(digest)) {
            Ok((found, _)) if found == *digest => {
                self.unsynced().insert(*digest);
                Ok(true)
            }
            Ok(_) | Err(StoreError::Changed { .. }) => Ok(false),
            Err(StoreError::Io { source, .. }) if disk::is_absent(&source) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the file itself can become the blob: not if it has other names, through which it could be changed.
    fn is_movable(&self, file: &TreeFile, stamp: &Stamp) -> bool {
        !file.is_link && stamp.links == 1 && disk::set_mode(&file.path, UNSEALED).is_ok()
    }

    /// Copies a file into the session's folder.
    fn copy(&self, writer: &Writer, file: &TreeFile, stamp: &Stamp) -> Result<camino::Utf8PathBuf, StoreError> {
        let copy = writer.fresh(&self.layout, "copy")?;
        let made = (|| {
            let (mut source, _) = disk::open_regular(&file.path)?;
            let mut target = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&copy)
                .map_err(StoreError::io("write", &copy))?;
            io::copy(source.file_mut(), target.file_mut()).map_err(StoreError::io("write", &copy))?;
            self.faults.at(FaultPoint::OutputCopied).map_err(StoreError::io("write", &copy))?;
            let after = Stamp::from(&source.metadata().map_err(StoreError::io("look at", &file.path))?);
            if !after.same_content(stamp) {
                return Err(StoreError::Changed { path: file.path.clone() });
            }
            disk::set_mode(&copy, UNSEALED).map_err(StoreError::io("write", &copy))
        })();
        match made {
            Ok(()) => Ok(copy),
            Err(error) => {
                let _ = disk::remove_file(&copy);
                Err(error)
            }
        }
    }

    /// Renames to the blob's name; makes its folder if need be.
    fn rename(&self, source: &Utf8Path, digest: &Digest) -> io::Result<bool> {
        let target = self.layout.object(digest);
        match disk::rename_new(source, &target) {
            Err(error) if disk::is_absent(&error) => {
                match fs::create_dir(self.layout.shard(digest)) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                disk::rename_new(source, &target)
            }
            other => other,
        }
    }

    /// Returns the blobs that this process relies on and that are not durable yet.
    pub(super) fn unsynced(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<Digest>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists the files that an output consists of.
fn outputs(artifact_type: &ArtifactType, path: &Utf8Path) -> Result<Vec<TreeFile>, StoreError> {
    let stamp = Stamp::at(path)?.ok_or_else(|| StoreError::MissingOutput { path: path.to_owned() })?;
    let wrong = |found| StoreError::WrongShape { path: path.to_owned(), artifact_type: artifact_type.clone(), found };
    if stamp.is_folder() {
        return if artifact_type.is_folder() { tree::walk(path) } else { Err(wrong("folder")) };
    }
    if artifact_type.is_folder() {
        return Err(wrong(if stamp.is_file() { "file" } else { "special file" }));
    }
    if stamp.is_link() {
        let folder = path.parent().unwrap_or(Utf8Path::new("."));
        let real = fs::canonicalize(folder).map_err(StoreError::io("find the real path of", folder))?;
        return Ok(vec![TreeFile { name: String::new(), path: tree::follow(path, &real)?, is_link: true }]);
    }
    if !stamp.is_file() {
        return Err(StoreError::SpecialFile { path: path.to_owned(), what: stamp.special() });
    }
    Ok(vec![TreeFile { name: String::new(), path: path.to_owned(), is_link: false }])
}
