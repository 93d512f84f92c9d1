//! What lies below `objects/`.

use camino::Utf8PathBuf;
use rayon::prelude::*;

use crate::{
    base::Digest,
    store::{
        StoreError,
        disk::{self, Stamp},
        layout::Layout,
    },
};

/// One blob.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object {
    pub(super) digest: Digest,
    pub(super) stamp: Stamp,
}

/// Lists the blobs in the order of their digests, and what else lies among them.
pub(super) fn list(layout: &Layout) -> Result<(Vec<Object>, Vec<Utf8PathBuf>), StoreError> {
    let objects = layout.objects();
    let shards = disk::names(&objects)?;
    let listed: Vec<(Vec<Object>, Vec<Utf8PathBuf>)> = shards
        .par_iter()
        .map(|shard| {
            let folder = objects.join(shard);
            let (mut blobs, mut strays) = (Vec::new(), Vec::new());
            if Stamp::at(&folder)?.is_none_or(|stamp| !stamp.is_folder()) {
                strays.push(folder);
                return Ok((blobs, strays));
            }
            for name in disk::names(&folder)? {
                let path = folder.join(&name);
                let Some(stamp) = Stamp::at(&path)? else { continue };
                match format!("{shard}{name}").parse() {
                    Ok(digest) if stamp.is_file() && layout.object(&digest) == path => {
                        blobs.push(Object { digest, stamp });
                    }
                    _ => strays.push(path),
                }
            }
            Ok((blobs, strays))
        })
        .collect::<Result<_, StoreError>>()?;
    let (mut blobs, mut strays) = (Vec::new(), Vec::new());
    for (more_blobs, more_strays) in listed {
        blobs.extend(more_blobs);
        strays.extend(more_strays);
    }
    Ok((blobs, strays))
}
