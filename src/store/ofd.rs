//! Byte-range locks that belong to an open file (`F_OFD_SETLK`), not to a process: the one unsafe call of the store.
//!
//! The kernel drops them when the last descriptor of the open file is closed, so no death can leave one behind. Files are
//! opened close-on-exec, so child processes do not keep them alive. Two locks through one open file never conflict: what
//! threads of one process exclude each other by is in `lock`.

#![expect(unsafe_code, reason = "libc's fcntl is the only way to these locks")]

use std::{io, os::fd::AsRawFd};

/// What to do with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Share it with other readers.
    Shared,
    /// Have it alone.
    Exclusive,
    /// Let it go.
    Unlocked,
}

/// Locks or unlocks the byte at `offset`; waits for other holders if `wait`. Returns whether it was done: `false` only
/// without `wait`, when another open file holds it.
///
/// # Errors
/// Whatever the kernel says: file systems may lack locks.
pub(super) fn set(file: &impl AsRawFd, mode: Mode, offset: i64, wait: bool) -> io::Result<bool> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
        Mode::Unlocked => libc::F_UNLCK,
    };
    let command = if wait { libc::F_OFD_SETLKW } else { libc::F_OFD_SETLK };
    loop {
        // SAFETY: `flock` is a plain C struct for which all zeros is valid.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        #[expect(clippy::cast_possible_truncation, reason = "the constants are 0, 1 and 2")]
        {
            range.l_type = kind as libc::c_short;
            range.l_whence = libc::SEEK_SET as libc::c_short;
        }
        range.l_start = offset;
        range.l_len = 1;
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and `range` outlives the call.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut range) };
        if result == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::EACCES) if !wait => return Ok(false),
            _ => return Err(error),
        }
    }
}
