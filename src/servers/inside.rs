//! Files inside a folder that somebody else may be changing at this moment.
//!
//! Every path is resolved by the kernel below the open folder, and no symbolic link is followed on the way (`openat2` with
//! `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`, Linux 5.6), so that a program with that folder for itself cannot make us read or
//! write anything else, whatever it swaps while we look.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat2, readlinkat, statat, symlinkat};

/// Deepest nesting that is walked.
const DEEPEST: usize = 64;

/// Opens a folder by a path that we made ourselves.
pub(super) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn open_below(folder: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(folder, path, flags | OFlags::CLOEXEC, mode, resolve)?)
}

/// Opens a folder below `folder`.
pub(super) fn open_folder_below(folder: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open_below(folder, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
}

/// Opens a regular file below `folder` for reading. Anything else is an error, a pipe too.
pub(super) fn open_file_below(folder: BorrowedFd<'_>, path: &Path) -> io::Result<File> {
    let file = File::from(open_below(folder, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Reads a regular file below `folder`, at most `limit` bytes.
pub(super) fn read_below(folder: BorrowedFd<'_>, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file_below(folder, path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// An entry of a walk.
pub(super) struct Entry<'a> {
    /// Its path below the walk's folder, parts joined by `/`; names that are no UTF-8 are written with replacements.
    pub(super) path: &'a str,
    pub(super) kind: FileType,
    /// The folder it is in, and its name there.
    folder: BorrowedFd<'a>,
    name: &'a std::ffi::CStr,
}

impl Entry<'_> {
    /// Opens it, a regular file.
    pub(super) fn open(&self) -> io::Result<File> {
        let path = Path::new(std::ffi::OsStr::new(os_text(self.name)));
        open_file_below(self.folder, path)
    }

    /// Reads where it points to, a symbolic link.
    pub(super) fn target(&self) -> io::Result<String> {
        Ok(readlinkat(self.folder, self.name, Vec::new())?.to_string_lossy().into_owned())
    }
}

fn os_text(name: &std::ffi::CStr) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes())
}

/// Goes through everything below `folder`. `visit` says whether to go into a folder.
pub(super) fn walk(folder: BorrowedFd<'_>, visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<bool>) -> io::Result<()> {
    walk_into(folder, "", 0, visit)
}

fn walk_into(
    folder: BorrowedFd<'_>,
    prefix: &str,
    depth: usize,
    visit: &mut dyn FnMut(&Entry<'_>) -> io::Result<bool>,
) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("`{prefix}` is nested deeper than {DEEPEST} folders")));
    }
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        let text = name.to_string_lossy();
        let path = if prefix.is_empty() { text.into_owned() } else { format!("{prefix}/{text}") };
        let goes_on = visit(&Entry { path: &path, kind, folder, name })?;
        if goes_on && kind == FileType::Directory {
            let inner = open_folder_below(folder, Path::new(os_text(name)))?;
            walk_into(inner.as_fd(), &path, depth + 1, visit)?;
        }
    }
    Ok(())
}

/// Copies everything in `from`, which nobody else has, into `to`, which is empty.
pub(super) fn copy_tree(from: &Path, to: BorrowedFd<'_>) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name();
        let name = Path::new(&name);
        if kind.is_dir() {
            mkdirat(to, name, Mode::from_raw_mode(0o755))?;
            copy_tree(&path, open_folder_below(to, name)?.as_fd())?;
        } else if kind.is_symlink() {
            symlinkat(std::fs::read_link(&path)?, to, name)?;
        } else {
            let mut source = File::open(&path)?;
            let mode = std::os::unix::fs::PermissionsExt::mode(&source.metadata()?.permissions());
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            let mut target = File::from(open_below(to, name, flags, Mode::from_raw_mode(mode & 0o777))?);
            io::copy(&mut source, &mut target)?;
        }
    }
    Ok(())
}
