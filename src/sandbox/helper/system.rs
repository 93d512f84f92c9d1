//! The system calls that no safe wrapper offers. The only `unsafe` of the sandbox; nothing here decides anything.

use std::{
    ffi::{CString, c_char, c_int, c_long, c_ulong, c_void},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use super::last_error;

/// Flags of a mount, from `linux/mount.h`.
pub(super) const MOUNT_READ_ONLY: u64 = 0x1;
pub(super) const MOUNT_NO_SUID: u64 = 0x2;
pub(super) const MOUNT_NO_DEVICES: u64 = 0x4;

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn checked_long(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

/// Forks this process, which must have one thread: returns the child's id, and `None` in the child.
pub(super) fn fork() -> io::Result<Option<libc::pid_t>> {
    // SAFETY: the helper starts no threads, so the child may go on like any program.
    let pid = checked(unsafe { libc::fork() })?;
    Ok((pid != 0).then_some(pid))
}

/// Ends this process at once, without anything that was registered to run at exit before the fork.
pub(super) fn exit_now(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Waits for any child; `None` where none has ended (only if `block` is false).
///
/// # Errors
/// `ECHILD` where there are no children.
pub(super) fn wait_any(block: bool) -> io::Result<Option<(libc::pid_t, i32)>> {
    let mut status = 0;
    loop {
        // SAFETY: `status` lives on this stack.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, if block { 0 } else { libc::WNOHANG }) };
        match checked(pid) {
            Ok(0) => return Ok(None),
            Ok(pid) => return Ok(Some((pid, status))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the processor time of all children that were waited for, theirs included.
pub(super) fn cpu_of_children() -> std::time::Duration {
    // SAFETY: all zeros is a valid `rusage`, and it lives on this stack.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        std::time::Duration::new(time.tv_sec.unsigned_abs(), 0)
            + std::time::Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Sends a signal; nobody there is no error.
pub(super) fn kill(pid: libc::pid_t, signal: c_int) {
    // SAFETY: plain values.
    unsafe { libc::kill(pid, signal) };
}

/// Returns how many clock ticks `/proc` counts in a second.
pub(super) fn ticks_per_second() -> u64 {
    // SAFETY: plain values.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.unsigned_abs().max(1)
}

/// Returns the bytes of a page.
pub(super) fn page_bytes() -> u64 {
    // SAFETY: plain values.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs().max(1)
}

/// `prctl` with one number.
pub(super) fn prctl(option: c_int, value: c_ulong) -> io::Result<()> {
    // SAFETY: the options used here take numbers.
    checked(unsafe { libc::prctl(option, value, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) }).map(drop)
}

/// Leaves the named namespaces for new ones.
pub(super) fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: plain values; file descriptors and memory stay as they are.
    checked(unsafe { libc::unshare(flags) }).map(drop)
}

/// Drops all supplementary groups.
pub(super) fn drop_groups() -> io::Result<()> {
    // SAFETY: an empty list is read nowhere.
    checked(unsafe { libc::setgroups(0, ptr::null()) }).map(drop)
}

/// Starts a session: no controlling terminal, a process group of its own.
pub(super) fn setsid() -> io::Result<()> {
    // SAFETY: plain values.
    checked(unsafe { libc::setsid() }).map(drop)
}

/// Returns the group of a process, unless it is gone or in this process's own.
pub(super) fn other_group_of(pid: libc::pid_t) -> Option<libc::pid_t> {
    // SAFETY: plain values.
    let (theirs, ours) = unsafe { (libc::getpgid(pid), libc::getpgid(0)) };
    (theirs > 1 && theirs != ours).then_some(theirs)
}

/// Returns whether this process acts as root.
pub(super) fn is_root() -> bool {
    // SAFETY: plain values.
    unsafe { libc::geteuid() == 0 }
}

/// Returns the effective user and group.
pub(super) fn user_and_group() -> (u32, u32) {
    // SAFETY: plain values.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Sets the mask of permissions that new files do not get.
pub(super) fn umask(mask: libc::mode_t) {
    // SAFETY: plain values.
    unsafe { libc::umask(mask) };
}

/// Closes, or marks to be closed by exec, every descriptor from `first` on.
pub(super) fn close_from(first: RawFd, on_exec: bool) -> io::Result<()> {
    let flags = if on_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: called where nothing owns those descriptors, or with `on_exec`, which leaves them open for now.
    checked_long(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// Closes a standard stream for good.
pub(super) fn close(stream: RawFd) {
    // SAFETY: the helper owns its standard streams and uses a stream no more after it closed it.
    unsafe { libc::close(stream) };
}

/// Takes a standard stream as a value that closes it.
///
/// To be called once a stream: what is dropped twice would close a stranger's descriptor.
pub(super) fn take_stream(stream: RawFd) -> OwnedFd {
    // SAFETY: the helper was started with the three standard streams open, and nothing else of it owns them.
    unsafe { OwnedFd::from_raw_fd(stream) }
}

/// Makes `target` a copy of `source` that exec keeps.
pub(super) fn duplicate_to(source: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: `source` is open; `target` is one of the standard streams.
    checked(unsafe { libc::dup2(source.as_raw_fd(), target) }).map(drop)
}

/// Sets flags on a mount, below it too if `recursive`.
pub(super) fn mount_flags(mount: BorrowedFd<'_>, flags: u64, recursive: bool) -> io::Result<()> {
    /// `struct mount_attr` of `linux/mount.h`, first version.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = Attributes { set: flags, clear: 0, propagation: 0, user_namespace: 0 };
    let at = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the attributes live on this stack and their size is given.
    checked_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
    .map(drop)
}

/// Gives up every capability, for good.
pub(super) fn drop_capabilities() -> io::Result<()> {
    /// No capabilities for uid 0 by exec, and no way back: `linux/securebits.h`.
    const NO_ROOT_LOCKED: c_ulong = 0b11;
    for capability in 0..64 {
        // Refused without CAP_SETPCAP, where there is nothing to drop, and past the last one. What counts is checked below.
        let _ = prctl(libc::PR_CAPBSET_DROP, capability);
    }
    let _ = prctl(libc::PR_SET_SECUREBITS, NO_ROOT_LOCKED);
    let _ = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong);
    /// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: header and data have the sizes of version 3 (two and six words) and live on this stack.
    checked_long(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) }).map(drop)
}

/// Returns the version of the kernel's Landlock interface.
pub(super) fn landlock_version() -> io::Result<i64> {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of `linux/landlock.h`.
    const ASK_VERSION: c_long = 1;
    // SAFETY: asks for the version; no pointer is read.
    checked_long(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<c_void>(), 0_usize, ASK_VERSION)
    })
}

/// Returns whether the kernel takes seccomp filters.
pub(super) fn seccomp_works() -> io::Result<()> {
    // SAFETY: the kernel refuses the null pointer with EFAULT after it has found that it knows filters.
    let result =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER as c_ulong, ptr::null::<c_void>(), 0, 0) };
    match checked(result) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Sets the loopback interface of this network namespace going.
pub(super) fn loopback_up() -> io::Result<()> {
    // SAFETY: the request is a zeroed `ifreq` with the interface's name; the socket is closed by its owner.
    unsafe {
        let socket =
            OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0))?);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l'.cast_signed() as c_char;
        request.ifr_name[1] = b'o'.cast_signed() as c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        checked(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)).map(drop)
    }
}

/// Gives every signal its default meaning and blocks none: what a program expects at its start.
pub(super) fn default_signals() {
    // SAFETY: a zeroed action is the default one; sets live on this stack.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Becomes the program; returns only if that failed.
pub(super) fn execute(program: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: C strings in lists that end with a null pointer, all alive until the call returns.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    last_error()
}
