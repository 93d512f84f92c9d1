//! Hostile programs: what a model could make a tool do. The test binary itself is the program, so that nothing hostile
//! is in what we ship and the tests need no compiler: started with `__hostile NAME …` it makes the attempt before any
//! test harness begins, says `held: …` or `ESCAPED: …`, and ends.
//!
//! All attempts are system calls made directly, as machine code would.

#![expect(
    clippy::print_stdout,
    clippy::exit,
    reason = "the test binary is a program of its own here, and says what it finds"
)]

use std::{
    ffi::{c_int, c_long},
    io, ptr,
    time::Duration,
};

/// Runs before `main`, which belongs to the test harness.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("__hostile") => {
            let name = words.next().unwrap_or_default();
            let words: Vec<String> = words.collect();
            match attempt(&name, &words) {
                Ok(held) => println!("held: {held}"),
                Err(escaped) => println!("ESCAPED: {escaped}"),
            }
            std::process::exit(0)
        }
        Some("__corpus") => std::process::exit(super::escapes::corpus(&words.collect::<Vec<_>>())),
        Some("__caller") => std::process::exit(super::escapes::caller(&words.collect::<Vec<_>>())),
        _ => {}
    }
}

/// What held, or what escaped.
type Outcome = Result<String, String>;

/// A call that must fail.
fn must_fail(name: &str, result: c_long) -> Outcome {
    if result < 0 {
        Ok(format!("{name}: {}", io::Error::last_os_error()))
    } else {
        Err(format!("{name} gave {result}"))
    }
}

fn socket(family: c_int, kind: c_int) -> c_long {
    // SAFETY: plain values.
    unsafe { libc::socket(family, kind, 0) }.into()
}

fn attempt(name: &str, words: &[String]) -> Outcome {
    let number = |index: usize| words.get(index).and_then(|word| word.parse::<i32>().ok()).unwrap_or(-1);
    let null = ptr::null_mut::<libc::c_void>();
    // SAFETY: system calls with plain values, null pointers and buffers of this frame, in a process that may break.
    unsafe {
        match name {
            "allocate" => {
                let bytes = 100 << 30;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
                let memory = libc::mmap(null, bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
                must_fail("mmap of 100 GB", if memory == libc::MAP_FAILED { -1 } else { 0 })
            }
            "grow" => {
                let mut kept: Vec<Vec<u8>> = Vec::new();
                loop {
                    let mut block: Vec<u8> = Vec::new();
                    if block.try_reserve_exact(1 << 20).is_err() {
                        return Ok(format!("refused after {} MiB", kept.len()));
                    }
                    block.resize(1 << 20, 1);
                    kept.push(block);
                    if kept.len() > 4096 {
                        return Err("4 GiB allocated".into());
                    }
                }
            }
            "grow-together" => {
                for _ in 0..8 {
                    if libc::fork() == 0 {
                        let block = vec![1_u8; 48 << 20];
                        std::hint::black_box(&block);
                        libc::pause();
                    }
                }
                libc::sleep(20);
                Err("8 × 48 MiB held".into())
            }
            "sparse" => {
                // One byte in each 2 MiB of memory that is only read costs a page table each.
                let bytes: usize = 60 << 30;
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
                let memory = libc::mmap(null, bytes, libc::PROT_READ, flags, -1, 0);
                if memory == libc::MAP_FAILED {
                    return must_fail("mmap", -1);
                }
                let more = libc::mmap(null, bytes, libc::PROT_READ, flags, -1, 0);
                must_fail("second mmap of 60 GB", if more == libc::MAP_FAILED { -1 } else { 0 })
            }
            "shared-memory" => {
                let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
                let memory = libc::mmap(null, 1 << 20, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
                must_fail("shared mmap", if memory == libc::MAP_FAILED { -1 } else { 0 })?;
                must_fail("memfd_create", libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0))?;
                must_fail("shmget", libc::shmget(libc::IPC_PRIVATE, 1 << 20, 0o600).into())
            }
            "thread-bomb" => {
                let mut count = 0;
                while std::thread::Builder::new()
                    .stack_size(1 << 16)
                    .spawn(|| std::thread::sleep(Duration::from_secs(20)))
                    .is_ok()
                {
                    count += 1;
                    if count > 5000 {
                        return Err("5000 threads".into());
                    }
                }
                Ok(format!("refused after {count} threads"))
            }
            "fork-bomb" => loop {
                libc::fork();
            },
            "session-bomb" => loop {
                if libc::fork() == 0 {
                    libc::setsid();
                }
            },
            "daemon" => {
                if libc::fork() == 0 {
                    libc::setsid();
                    if libc::fork() == 0 {
                        for stream in 0..3 {
                            libc::close(stream);
                        }
                        libc::signal(libc::SIGTERM, libc::SIG_IGN);
                        libc::signal(libc::SIGHUP, libc::SIG_IGN);
                        loop {
                            libc::sleep(60);
                        }
                    }
                    libc::_exit(0);
                }
                Ok("a daemon was left behind".into())
            }
            "spin" => loop {
                std::hint::black_box(0);
            },
            "spin-together" => {
                for _ in 0..3 {
                    libc::fork();
                }
                loop {
                    std::hint::black_box(0);
                }
            }
            "stop" => {
                libc::kill(libc::getpid(), libc::SIGSTOP);
                libc::sleep(20);
                Ok("woken".into())
            }
            "deaf" => {
                for signal in 1..32 {
                    libc::signal(signal, libc::SIG_IGN);
                }
                loop {
                    libc::sleep(60);
                }
            }
            "signal" => {
                for target in [number(0), number(1)] {
                    must_fail("kill", libc::kill(target, libc::SIGKILL).into())?;
                    must_fail("probe", libc::kill(target, 0).into())?;
                    must_fail("tgkill", libc::syscall(libc::SYS_tgkill, target, target, libc::SIGKILL))?;
                    let info = [0_u64; 16];
                    let queued = libc::syscall(libc::SYS_rt_sigqueueinfo, target, libc::SIGKILL, info.as_ptr());
                    must_fail("rt_sigqueueinfo", queued)?;
                }
                Ok("no signal went out".into())
            }
            "signal-handle" => {
                for target in [number(0), number(1)] {
                    let handle = libc::syscall(libc::SYS_pidfd_open, target, 0);
                    if handle >= 0 {
                        let sent = libc::syscall(libc::SYS_pidfd_send_signal, handle, libc::SIGKILL, null, 0);
                        must_fail("pidfd_send_signal", sent)?;
                    }
                }
                Ok("no signal went out".into())
            }
            "signal-all" => {
                // Not before it is sure that nobody outside would be hit.
                for target in [number(0), number(1)] {
                    must_fail("probe", libc::kill(target, 0).into())?;
                }
                // Everybody that may be signalled, this program's own processes included.
                libc::kill(-1, libc::SIGKILL);
                libc::kill(0, libc::SIGKILL);
                Ok("still here".into())
            }
            "limits-of-parent" => {
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                let result = libc::prlimit(number(0), libc::RLIMIT_NOFILE, &raw const none, ptr::null_mut());
                must_fail("prlimit", result.into())
            }
            "slow-parent" => {
                let pid = number(0);
                let mask = [1_u64; 16];
                libc::setpriority(libc::PRIO_PROCESS, pid.unsigned_abs(), 19);
                libc::syscall(libc::SYS_sched_setaffinity, pid, 8, mask.as_ptr());
                libc::syscall(libc::SYS_sched_setscheduler, pid, libc::SCHED_IDLE, [0_u64; 4].as_ptr());
                libc::syscall(libc::SYS_ioprio_set, 1, pid, 3 << 13);
                Ok("tried".into())
            }
            "sockets" => {
                let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK, libc::AF_PACKET];
                for family in families.into_iter().chain([libc::AF_VSOCK, libc::AF_ALG]) {
                    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET] {
                        must_fail(&format!("socket {family} {kind}"), socket(family, kind))?;
                    }
                }
                let mut pair = [0; 2];
                let result = libc::socketpair(libc::AF_INET, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
                must_fail("socketpair", result.into())
            }
            "connect" => {
                let port = u16::try_from(number(0)).unwrap_or(0);
                match std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(2)) {
                    Ok(_) => Err("connected to the caller's loopback".into()),
                    Err(error) => Ok(error.to_string()),
                }
            }
            "abstract-socket" => {
                use std::os::linux::net::SocketAddrExt;
                let name = words.first().map(String::as_str).unwrap_or_default();
                let address =
                    std::os::unix::net::SocketAddr::from_abstract_name(name).map_err(|error| error.to_string())?;
                match std::os::unix::net::UnixStream::connect_addr(&address) {
                    Ok(_) => Err("connected to the caller's abstract socket".into()),
                    Err(error) => Ok(error.to_string()),
                }
            }
            "path-socket" => {
                match std::os::unix::net::UnixStream::connect(words.first().map(String::as_str).unwrap_or_default()) {
                    Ok(_) => Err("connected to the caller's socket".into()),
                    Err(error) => Ok(error.to_string()),
                }
            }
            "descriptors" => {
                for descriptor in 3..1024 {
                    // The first descriptor that `args` opened and closed again does not count: it is free by now.
                    if libc::fcntl(descriptor, libc::F_GETFD) >= 0 {
                        return Err(format!("descriptor {descriptor} was inherited"));
                    }
                }
                Ok("three descriptors only".into())
            }
            "open-files" => {
                let mut count = 0;
                while libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) >= 0 {
                    count += 1;
                    if count > 100_000 {
                        return Err("100,000 files open".into());
                    }
                }
                Ok(format!("refused after {count} files"))
            }
            "capabilities" => {
                let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
                for line in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(":\t"));
                    // An ordinary user cannot empty the bounding set; without privileges to gain it is empty words.
                    if found != Some("0000000000000000")
                        && (line != "CapBnd" || words.iter().any(|word| word == "root"))
                    {
                        return Err(format!("{line} is {found:?}"));
                    }
                }
                if !status.contains("NoNewPrivs:\t1") || !status.contains("Seccomp:\t2") {
                    return Err("new privileges or no filter".into());
                }
                must_fail("seteuid", if libc::geteuid() == 0 { -1 } else { libc::setuid(0).into() })
            }
            "core" => libc::abort(),
            "ptrace" => must_fail("ptrace", libc::ptrace(libc::PTRACE_ATTACH, number(0), null, null)),
            "read-memory" => {
                let mut buffer = [0_u8; 8];
                let here = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 8 };
                must_fail(
                    "process_vm_readv",
                    libc::process_vm_readv(number(0), &raw const here, 1, &raw const here, 1, 0) as c_long,
                )
            }
            "unshare" => must_fail("unshare", libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).into()),
            "clone-namespace" => {
                let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
                let pid = libc::syscall(libc::SYS_clone, flags, null, null, null, null);
                if pid == 0 {
                    libc::_exit(0);
                }
                must_fail("clone", pid)?;
                let arguments = [libc::CLONE_NEWUSER as u64, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
                let pid = libc::syscall(libc::SYS_clone3, arguments.as_ptr(), 64);
                if pid == 0 {
                    libc::_exit(0);
                }
                must_fail("clone3", pid)
            }
            "mount" => {
                must_fail("mount", libc::mount(c"/".as_ptr(), c".".as_ptr(), ptr::null(), libc::MS_BIND, null).into())
            }
            "new-mount" => must_fail("open_tree", libc::syscall(libc::SYS_open_tree, -100, c"/".as_ptr(), 1)),
            "chroot" => must_fail("chroot", libc::chroot(c".".as_ptr()).into()),
            "setns" => must_fail("setns", libc::setns(0, 0).into()),
            "bpf" => must_fail("bpf", libc::syscall(libc::SYS_bpf, 0, null, 0)),
            "perf" => must_fail("perf_event_open", libc::syscall(libc::SYS_perf_event_open, null, 0, -1, -1, 0)),
            "userfault" => must_fail("userfaultfd", libc::syscall(libc::SYS_userfaultfd, 1)),
            "keys" => must_fail("keyctl", libc::syscall(libc::SYS_keyctl, 0, -3, 0)),
            "io-ring" => {
                let parameters = [0_u64; 32];
                must_fail("io_uring_setup", libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_ptr()))
            }
            "file-handle" => must_fail("open_by_handle_at", libc::syscall(libc::SYS_open_by_handle_at, -100, null, 0)),
            "module" => must_fail("init_module", libc::syscall(libc::SYS_init_module, null, 0, c"".as_ptr())),
            "clock" => {
                let time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                must_fail("clock_settime", libc::clock_settime(libc::CLOCK_REALTIME, &raw const time).into())
            }
            "filter" => must_fail("seccomp", libc::syscall(libc::SYS_seccomp, 1, 0, null)),
            #[cfg(target_arch = "x86_64")]
            "other-abi" => {
                // The same kernel by its other doors: the x32 numbers, and the 32-bit gate with `getpid`.
                must_fail("x32 getpid", libc::syscall(0x4000_0000 + libc::SYS_getpid))?;
                let answer: i64;
                std::arch::asm!("int 0x80", inlateout("rax") 20_i64 => answer, lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
                must_fail("32-bit getpid", answer.min(0))
            }
            _ => Err(format!("no attempt is called `{name}`")),
        }
    }
}
