//! Starting one child process: its own process group, tied to its parent's life, known to the keeper before it runs a
//! single instruction of its program.
//!
//! The only `unsafe` of the engine is here. A child is made by `clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD)`, as
//! `posix_spawn` does: no page table is copied, so the cost does not grow with the parent's memory, and between the clone
//! and `execve` the child calls nothing but async-signal-safe functions on memory that the waiting parent keeps alive.
//! `std::process::Command` cannot be used: its `pre_exec` forces a full `fork`.
//!
//! The kernel sends the parent-death signal when the *thread* that cloned dies, so [`Spawner`] belongs to the thread that
//! lives as long as the run.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// Bytes of the child's stack between clone and exec. The functions called there need less than 4 KiB.
const STACK_BYTES: usize = 64 * 1024;

/// What to start, as the kernel wants it: everything is allocated before the clone.
pub(super) struct Launch<'a> {
    /// Path of the program; no search is done.
    pub program: &'a CStr,
    /// The arguments, the program's name first.
    pub arguments: &'a [CString],
    /// `NAME=value` texts: the whole environment.
    pub environment: &'a [CString],
    /// Working folder.
    pub directory: &'a CStr,
    /// Standard input.
    pub stdin: BorrowedFd<'a>,
    /// Standard output.
    pub stdout: BorrowedFd<'a>,
    /// Standard error.
    pub stderr: BorrowedFd<'a>,
    /// The keeper's pipe, into which the child writes its own id; the child is then killed when this thread ends.
    /// `None` only for the keeper itself, which outlives its parent.
    pub keeper: Option<BorrowedFd<'a>>,
}

/// A running child. Dropping it neither kills nor reaps.
#[derive(Debug)]
pub(super) struct Child {
    /// Its process id, which is its group's id too.
    pub pid: Pid,
    /// Becomes readable when the child has ended.
    pub pidfd: OwnedFd,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this exit status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
}

impl Child {
    /// Sends a signal to the whole group; a group that is gone is no error.
    pub(super) fn signal_group(&self, signal: Signal) {
        // ESRCH says that nobody is left, which is what a kill wants.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// Returns whether any process of the group is left, a zombie included.
    pub(super) fn group_is_alive(&self) -> bool {
        rustix::process::test_kill_process_group(self.pid).is_ok()
    }

    /// Takes the exit status of the ended child; waits if it has not ended.
    pub(super) fn reap(&self) -> io::Result<Ending> {
        loop {
            match rustix::process::waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    return Ok(match (status.exit_status(), status.terminating_signal()) {
                        (Some(status), _) => Ending::Exit(status),
                        (None, signal) => Ending::Signal(signal.unwrap_or(0)),
                    });
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Starts children for the thread that owns it.
pub(super) struct Spawner {
    stack: Vec<u128>,
    parent: libc::pid_t,
}

/// What the child reads and, if it fails, writes: it shares the parent's memory.
struct Context {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    directory: *const c_char,
    streams: [c_int; 3],
    keeper: c_int,
    parent: libc::pid_t,
    failed: Option<(&'static str, c_int)>,
}

impl Spawner {
    /// Prepares for spawning from this thread.
    pub(super) fn new() -> Self {
        Self {
            stack: vec![0; STACK_BYTES / size_of::<u128>()],
            parent: rustix::process::getpid().as_raw_nonzero().get(),
        }
    }

    /// Starts a child. It has left the parent's process group and runs its program when this returns.
    ///
    /// # Errors
    /// The step that failed (`execve`, `chdir`, …) with the kernel's reason.
    pub(super) fn spawn(&mut self, launch: &Launch<'_>) -> io::Result<Child> {
        let pointers = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(launch.arguments), pointers(launch.environment));
        let mut context = Context {
            program: launch.program.as_ptr(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: launch.directory.as_ptr(),
            streams: [launch.stdin.as_raw_fd(), launch.stdout.as_raw_fd(), launch.stderr.as_raw_fd()],
            keeper: launch.keeper.map_or(-1, |pipe| pipe.as_raw_fd()),
            parent: self.parent,
            failed: None,
        };
        let top = self.stack.as_mut_ptr_range().end.cast::<c_void>();
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        let mut pidfd: c_int = -1;
        // SAFETY: all pointers in `context` outlive the call: CLONE_VFORK holds this thread until the child has left
        // this memory by execve or _exit. The stack is 16-byte aligned, grows down from `top` and is used by one child at
        // a time (`&mut self`). All signals are blocked around the clone, so that no handler of this program runs in the
        // child while it shares our memory; the child resets the handlers before it unblocks them.
        let pid = unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            let pid = libc::clone(child_main, top, flags, (&raw mut context).cast(), &raw mut pidfd);
            let error = io::Error::last_os_error();
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, ptr::null_mut());
            if pid < 0 {
                return Err(io::Error::new(error.kind(), format!("clone: {error}")));
            }
            pid
        };
        // SAFETY: CLONE_PIDFD filled in a fresh descriptor that nobody else owns.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("clone gave no process id"))?;
        let child = Child { pid, pidfd };
        match context.failed {
            None => Ok(child),
            Some((step, code)) => {
                child.reap()?;
                let error = io::Error::from_raw_os_error(code);
                Err(io::Error::new(error.kind(), format!("{step}: {error}")))
            }
        }
    }
}

/// What the child does first: all of it async-signal-safe. Returns to nobody.
extern "C" fn child_main(context: *mut c_void) -> c_int {
    // SAFETY: the parent passed a `Context` that it keeps alive and does not touch until we exec or exit.
    unsafe {
        let context = context.cast::<Context>();
        let step = become_program(&*context);
        (*context).failed = Some((step, *libc::__errno_location()));
        libc::_exit(127)
    }
}

/// Turns this process into the program; returns the step that failed.
///
/// # Safety
/// To be called only in a child made by [`Spawner::spawn`].
unsafe fn become_program(context: &Context) -> &'static str {
    // SAFETY: plain system calls on values that the parent prepared.
    unsafe {
        if libc::setpgid(0, 0) != 0 {
            return "setpgid";
        }
        if context.keeper >= 0 {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return "prctl";
            }
            if libc::getppid() != context.parent {
                libc::_exit(127); // The parent died before the death signal was set.
            }
            let record = libc::getpid().to_ne_bytes();
            if libc::write(context.keeper, record.as_ptr().cast(), record.len()) < 0 {
                return "the keeper process is gone: write";
            }
        }
        for signal in 1..=libc::SIGRTMAX() {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &raw mut action) == 0
                && action.sa_sigaction != libc::SIG_DFL
                && (action.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE)
            {
                action = std::mem::zeroed();
                action.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        for (target, source) in (0..).zip(context.streams) {
            if libc::dup2(source, target) < 0 {
                return "dup2";
            }
        }
        if libc::chdir(context.directory) != 0 {
            return "chdir";
        }
        libc::execve(context.program, context.arguments, context.environment);
        "execve"
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    fn run(arguments: &[&str], environment: &[&str]) -> (Ending, String) {
        let null = std::fs::File::open("/dev/null").unwrap();
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let keeper = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
        use std::os::fd::AsFd;
        let child = Spawner::new()
            .spawn(&Launch {
                program: &text(arguments[0]),
                arguments: &arguments.iter().map(|argument| text(argument)).collect::<Vec<_>>(),
                environment: &environment.iter().map(|variable| text(variable)).collect::<Vec<_>>(),
                directory: c"/",
                stdin: null.as_fd(),
                stdout: writer.as_fd(),
                stderr: writer.as_fd(),
                keeper: Some(keeper.as_fd()),
            })
            .unwrap();
        drop(writer);
        let mut said = String::new();
        std::fs::File::from(reader).read_to_string(&mut said).unwrap();
        (child.reap().unwrap(), said)
    }

    #[test]
    fn a_child_gets_its_arguments_environment_folder_and_group() {
        // The fifth field of `stat` is the process group; the shell's name holds no blanks.
        let script = "echo \"$1 $A $(pwd) $#\"; env; read -r _ _ _ _ group _ < /proc/$$/stat; test $$ = $group || exit 9; exit 7";
        let (ending, said) = run(&["/bin/sh", "-c", script, "sh", "one"], &["A=b", "PATH=/usr/bin:/bin"]);
        assert_eq!(ending, Ending::Exit(7));
        assert!(said.starts_with("one b / 1\n"), "{said}");
        assert!(!said.contains("HOME="), "the environment was not cleared: {said}");
    }

    #[test]
    fn a_signal_is_told_from_an_exit() {
        let (ending, _) = run(&["/bin/sh", "-c", "kill -TERM $$"], &[]);
        assert_eq!(ending, Ending::Signal(libc::SIGTERM));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_the_step() {
        let null = std::fs::File::open("/dev/null").unwrap();
        use std::os::fd::AsFd;
        let error = Spawner::new()
            .spawn(&Launch {
                program: c"/no/such/program",
                arguments: &[text("program")],
                environment: &[],
                directory: c"/",
                stdin: null.as_fd(),
                stdout: null.as_fd(),
                stderr: null.as_fd(),
                keeper: None,
            })
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("execve: "), "{error}");
    }
}
