//! Small things done to files, each with a clear error.

use std::{
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use crate::store::StoreError;

/// Mode of a durable blob.
pub(super) const SEALED: u32 = 0o444;
/// Mode of a blob whose bytes or name a power cut might still take: only those who placed it rely on it.
pub(super) const UNSEALED: u32 = 0o400;
/// What no blob has.
const WRITABLE: u32 = 0o222;

/// What `stat` says of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) mtime_ns: i128,
    pub(super) ctime_ns: i128,
    pub(super) inode: u64,
    pub(super) device: u64,
    pub(super) mode: u32,
    pub(super) links: u64,
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(metadata: &std::fs::Metadata) -> Self {
        Self {
            size: metadata.size(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
            mode: metadata.mode(),
            links: metadata.nlink(),
        }
    }
}

impl From<&rustix::fs::Stat> for Stamp {
    #[allow(
        clippy::cast_possible_wrap,
        clippy::unnecessary_cast,
        reason = "the types of the fields differ by platform"
    )]
    fn from(stat: &rustix::fs::Stat) -> Self {
        Self {
            size: stat.st_size as u64,
            mtime_ns: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            inode: stat.st_ino as u64,
            device: stat.st_dev as u64,
            mode: stat.st_mode as u32,
            links: stat.st_nlink as u64,
        }
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(rest)
}

impl Stamp {
    /// Looks at a path, not through a link; `None` if there is nothing.
    pub(super) fn at(path: &Utf8Path) -> Result<Option<Self>, StoreError> {
        // Three of these are half of what looking a result up costs, so without the detour through `std`.
        match rustix::fs::lstat(path.as_str()) {
            Ok(stat) => Ok(Some(Self::from(&stat))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(StoreError::io("look at", path)(error.into())),
        }
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFREG
    }

    pub(super) fn is_folder(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub(super) fn is_link(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFLNK
    }

    /// Returns whether everybody may read it: what blobs become once they are durable.
    pub(super) fn is_sealed(&self) -> bool {
        self.mode & (SEALED | WRITABLE) == SEALED
    }

    /// Returns what a thing is called that is neither file nor folder nor link.
    pub(super) fn special(&self) -> &'static str {
        match self.mode & libc::S_IFMT {
            libc::S_IFIFO => "pipe",
            libc::S_IFSOCK => "socket",
            libc::S_IFCHR | libc::S_IFBLK => "device",
            _ => "special file",
        }
    }

    /// Returns whether the bytes are, as far as `stat` can tell, still those that were there at `self`.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        (self.size, self.mtime_ns, self.inode, self.device) == (other.size, other.mtime_ns, other.inode, other.device)
    }
}

/// Returns whether the error says that there is nothing at the path.
pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Opens a regular file for reading, never through a link, never waiting for a pipe's other end.
pub(super) fn open_regular(path: &Utf8Path) -> Result<(fs::File, Stamp), StoreError> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(StoreError::io("open", path))?;
    let stamp = Stamp::from(&file.metadata().map_err(StoreError::io("look at", path))?);
    if stamp.is_file() {
        Ok((file, stamp))
    } else {
        Err(StoreError::SpecialFile { path: path.to_owned(), what: stamp.special() })
    }
}

/// Reads a small file in few calls.
pub(super) fn read(path: &Utf8Path) -> io::Result<(Stamp, Vec<u8>)> {
    let mut file = fs::File::open(path)?;
    let stamp = Stamp::from(&file.metadata()?);
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or(0) + 1);
    file.file_mut().read_to_end(&mut bytes)?;
    Ok((stamp, bytes))
}

/// Writes a new file, and returns what `stat` says of it; removes what it wrote if that fails.
pub(super) fn write_new(path: &Utf8Path, bytes: &[u8]) -> Result<Stamp, StoreError> {
    let written = fs::OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        Ok(Stamp::from(&file.metadata()?))
    });
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        StoreError::io("write", path)(error)
    })
}

/// Makes a file's bytes, or a folder's names, durable.
pub(super) fn sync(path: &Utf8Path) -> Result<(), StoreError> {
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(StoreError::io("make durable", path))
}

pub(super) fn set_mode(path: &Utf8Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Renames, unless the target exists: then `false`.
pub(super) fn rename_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<bool> {
    match renameat_with(CWD, from.as_std_path(), CWD, to.as_std_path(), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // Some file systems lack the flag; a second name and the end of the first come to the same.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        },
        Err(error) => Err(error.into()),
    }
}

/// Makes a folder; it may exist.
pub(super) fn make_folder(path: &Utf8Path) -> Result<(), StoreError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(StoreError::io("make the folder", path)),
    }
}

/// Removes a file if it is there; returns whether it was.
pub(super) fn remove_file(path: &Utf8Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(StoreError::io("remove", path)(error)),
    }
}

/// Removes a folder with all that is in it, if it is there.
pub(super) fn remove_tree(path: &Utf8Path) -> Result<(), StoreError> {
    // An empty folder, the common case, goes in one call.
    match fs::remove_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        Err(_) => match fs::remove_dir_all(path) {
            Err(error) if !is_absent(&error) => Err(StoreError::io("remove the folder", path)(error)),
            _ => Ok(()),
        },
    }
}

/// Lists the names in a folder, in order; a folder that is not there has none. Names that are not UTF-8 are not ours.
pub(super) fn names(folder: &Utf8Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// Returns how many bytes lie in a folder and below. Best effort: for reports.
pub(super) fn tree_bytes(path: &Utf8Path) -> u64 {
    let Ok(Some(stamp)) = Stamp::at(path) else { return 0 };
    if !stamp.is_folder() {
        return stamp.size;
    }
    names(path).unwrap_or_default().iter().map(|name| tree_bytes(&path.join(name))).sum()
}

/// Returns the absolute form of a path.
pub(super) fn absolute(path: &Utf8Path) -> Result<Utf8PathBuf, StoreError> {
    let absolute = std::path::absolute(path).map_err(StoreError::io("find the absolute path of", path))?;
    Utf8PathBuf::from_path_buf(absolute).map_err(|path| StoreError::NotUtf8 { path: path.display().to_string() })
}
