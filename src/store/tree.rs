//! Files and folders as content: which files there are, and their digests.

use std::io::Read;

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    base::Digest,
    record::OutputFile,
    store::{
        StoreError,
        disk::{self, Stamp},
    },
};

/// Above this size a file is hashed on all cores.
const LARGE: u64 = 1 << 20;
/// How much of a large file is read at once.
const CHUNK: usize = 4 << 20;

/// One file of a folder.
#[derive(Clone, Debug)]
pub(super) struct TreeFile {
    /// Path inside the folder, `/` between parts.
    pub(super) name: String,
    /// Where its bytes lie: what a link shows, for a link.
    pub(super) path: Utf8PathBuf,
    /// Whether it is a link to another file of the folder.
    pub(super) is_link: bool,
}

/// Returns the digest of a folder: see [`Digest::of_folder`].
pub fn folder_digest(files: &[OutputFile]) -> Digest {
    Digest::of_folder(files.iter().map(|file| (file.path.as_str(), file.digest)))
}

/// Lists the files of a folder and below, in path order. A link counts as the file that it shows, which must be in the
/// folder.
pub(super) fn walk(root: &Utf8Path) -> Result<Vec<TreeFile>, StoreError> {
    let mut files = Vec::new();
    let mut real_root = None;
    let mut folders = vec![(String::new(), root.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(StoreError::io("list", &folder))? {
            let entry = entry.map_err(StoreError::io("list", &folder))?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|_| StoreError::NotUtf8 { path: entry.path().display().to_string() })?;
            let path = folder.join(&name);
            let name = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(StoreError::io("look at", &path))?;
            if kind.is_dir() {
                folders.push((format!("{name}/"), path));
            } else if kind.is_file() {
                files.push(TreeFile { name, path, is_link: false });
            } else if kind.is_symlink() {
                let real_root = match &real_root {
                    Some(real_root) => real_root,
                    None => {
                        real_root.insert(fs::canonicalize(root).map_err(StoreError::io("find the real path of", root))?)
                    }
                };
                files.push(TreeFile { name, path: follow(&path, real_root)?, is_link: true });
            } else {
                let what = Stamp::at(&path)?.map_or("special file", |stamp| stamp.special());
                return Err(StoreError::SpecialFile { path, what });
            }
        }
    }
    files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(files)
}

/// Returns the file that a link shows, if that is a file inside `real_root`.
pub(super) fn follow(link: &Utf8Path, real_root: &std::path::Path) -> Result<Utf8PathBuf, StoreError> {
    let refuse = |why| {
        let target = fs::read_link(link).map(|target| target.display().to_string()).unwrap_or_default();
        StoreError::Symlink { path: link.to_owned(), target, why }
    };
    let real = fs::canonicalize(link).map_err(|_| refuse("which does not exist"))?;
    if !real.starts_with(real_root) {
        return Err(refuse("which is outside the output"));
    }
    if !real.is_file() {
        return Err(refuse("which is not a file"));
    }
    Utf8PathBuf::from_path_buf(real).map_err(|path| StoreError::NotUtf8 { path: path.display().to_string() })
}

/// Hashes a regular file. The stamp is what `stat` said before and after.
///
/// Reads, never maps: a file cut short by a process that still writes to it must not kill this one.
///
/// # Errors
/// [`StoreError::Changed`] if the file changed meanwhile.
pub(super) fn hash_file(path: &Utf8Path) -> Result<(Digest, Stamp), StoreError> {
    let (mut file, before) = disk::open_regular(path)?;
    let digest = if before.size <= LARGE {
        let mut bytes = Vec::with_capacity(usize::try_from(before.size).unwrap_or(0) + 1);
        file.read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
        Digest::of(&bytes)
    } else {
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let mut filled = 0;
            while filled < CHUNK {
                match file.read(&mut chunk[filled..]) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(StoreError::io("read", path)(error)),
                }
            }
            hasher.update_rayon(&chunk[..filled]);
            if filled < CHUNK {
                break;
            }
        }
        Digest::from_bytes(*hasher.finalize().as_bytes())
    };
    let after = Stamp::from(&file.metadata().map_err(StoreError::io("look at", path))?);
    if before.same_content(&after) { Ok((digest, after)) } else { Err(StoreError::Changed { path: path.to_owned() }) }
}
