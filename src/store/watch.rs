//! Blobs that a stage can reach: whether it left them alone.
//!
//! Blobs are read-only, but their owner can change that, and for root modes do not count.

use fs_err as fs;

use crate::{
    base::Digest,
    record::OutputRecord,
    store::{
        StoreError,
        disk::{self, Stamp},
        open::Shared,
        results::blobs,
        tree, verify,
    },
};

/// The blobs of an output as they were at one time.
#[derive(Clone, Debug)]
pub struct Watched {
    blobs: Vec<(Digest, Stamp)>,
}

pub(super) fn watch(shared: &Shared, output: &OutputRecord) -> Result<Watched, StoreError> {
    let mut watched = Vec::new();
    for (digest, _) in blobs(output) {
        if let Some(stamp) = Stamp::at(&shared.layout.object(digest))? {
            watched.push((*digest, stamp));
        }
    }
    Ok(Watched { blobs: watched })
}

/// Returns the first blob that does not hold its bytes any more; all such blobs are set aside.
pub(super) fn harmed(shared: &Shared, watched: &Watched) -> Result<Option<Digest>, StoreError> {
    let mut first = None;
    for (digest, before) in &watched.blobs {
        let path = shared.layout.object(digest);
        let Some(now) = Stamp::at(&path)? else { continue };
        if now.same_content(before) {
            continue;
        }
        match tree::hash_file(&path) {
            Ok((found, _)) if found == *digest => continue,
            Err(StoreError::Io { source, .. }) if disk::is_absent(&source) => continue,
            _ => {}
        }
        first.get_or_insert(*digest);
        match fs::symlink_metadata(&path) {
            Ok(_) => verify::quarantine(shared, &path)?,
            Err(error) if disk::is_absent(&error) => {}
            Err(error) => return Err(StoreError::io("look at", &path)(error)),
        }
    }
    Ok(first)
}
