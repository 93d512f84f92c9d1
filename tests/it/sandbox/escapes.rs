//! The escape corpus: hostile calls, what each must come to, and what must be unharmed afterwards.
//!
//! The corpus runs in a process of its own, this test binary started again, so that the caller whose health is checked is
//! nobody but the caller. It is run with each mechanism, and where the tests run as root, as an ordinary user too.

#![expect(clippy::print_stdout, reason = "the test binary is a program of its own here, and says what it finds")]

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::UnixListener,
            process::CommandExt,
        },
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use toolexpander::sandbox::{Ending, Mechanism, Network, Policy, Sandbox, Verdict, system};

use super::place::Place;

/// What only the caller knows: in a file beside the working folder, and in the caller's environment.
const SECRET: &str = "the-secret-7f3a9c";

/// An ordinary user.
const NOBODY: u32 = 65534;

const OUTPUT_BYTES: u64 = 1 << 20;
const STDERR_BYTES: usize = 4 << 10;

/// How an attempt is made.
enum Attempt {
    /// A shell script: `$0` is the folder outside, `$1` the caller's id, `$2` the id of a process beside it.
    Shell(&'static str),
    /// An attempt of `hostile.rs`, with the two ids as its words.
    Call(&'static str),
}
use Attempt::{Call, Shell};

/// What it must come to: any of these.
type Expected = &'static [Ending];

/// The attempt failed and the program went on to its end.
const HELD: Expected = &[Ending::Exited(0)];
const BLOCKED: Expected = &[Ending::BlockedCall];
const MEMORY: Expected = &[Ending::OutOfMemory];
/// The kernel's limit or the supervisor's, whichever is faster; without forks the program waits.
const BOMB: Expected = &[Ending::TooManyProcesses, Ending::CpuLimit, Ending::TimedOut];
/// A shell that cannot fork ends with 2.
const SHELL_BOMB: Expected = &[Ending::TooManyProcesses, Ending::CpuLimit, Ending::TimedOut, Ending::Exited(2)];
const PROCESSOR: Expected = &[Ending::CpuLimit];
const TIME: Expected = &[Ending::TimedOut];
const OUTPUT: Expected = &[Ending::TooMuchOutput];
const FILE: Expected = &[Ending::FileTooLarge];

const CORPUS: &[(&str, Attempt, Expected)] = &[
    // Reading what is not its own.
    ("read /etc/passwd", Shell("cat /etc/passwd; true"), HELD),
    ("read /etc/passwd through a link", Shell("ln -s /etc/passwd here; cat here; true"), HELD),
    ("read /etc/passwd through ..", Shell("cat ../../../../../../etc/passwd ../../../etc/passwd; true"), HELD),
    ("read /etc/shadow through a folder link", Shell("ln -s /etc etc; cat etc/shadow etc/passwd; true"), HELD),
    ("read beside the folder", Shell("cat \"$0/secret\" ../secret; true"), HELD),
    ("read by a link that the caller left", Shell("cat planted; true"), HELD),
    ("read by a hard link", Shell("ln \"$0/secret\" here; cat here; true"), HELD),
    (
        "read through /proc",
        Shell(
            "for p in self 1 $PPID; do for f in root cwd; do cat /proc/$p/$f/etc/passwd /proc/$p/$f/../secret; done; done; true",
        ),
        HELD,
    ),
    (
        "list the folders outside",
        Shell("ls \"$0\" / /root /home /etc | grep -x -e secret -e passwd -e boot && echo ESCAPED; true"),
        HELD,
    ),
    ("read its environment", Shell("env; cat /proc/self/environ /proc/$PPID/environ /proc/1/environ; true"), HELD),
    ("read the caller's environment", Shell("cat /proc/$1/environ /proc/$2/environ /proc/[0-9]*/environ; true"), HELD),
    (
        "read the caller's memory by file",
        Shell(
            "head -c 1 /proc/$1/mem && echo ESCAPED; cat /proc/$1/maps /proc/1/maps | grep -q . && echo ESCAPED; true",
        ),
        HELD,
    ),
    ("read a disk", Shell("head -c 512 /dev/vda /dev/sda /dev/nvme0n1 /dev/mem /dev/kmsg && echo ESCAPED; true"), HELD),
    ("look for inherited descriptors", Call("descriptors"), HELD),
    // Changing what is not its own.
    ("write beside the folder", Shell("echo x > \"$0/new\"; echo x > ../new; true"), HELD),
    (
        "write through a link",
        Shell("ln -s \"$0/secret\" out; echo x > out; ln -s \"$0/new\" fresh; echo x > fresh; true"),
        HELD,
    ),
    (
        "empty a file outside",
        Shell("truncate -s 0 \"$0/secret\"; cp /dev/null \"$0/secret\"; (: > \"$0/secret\"); true"),
        HELD,
    ),
    ("remove a file outside", Shell("rm -rf \"$0/secret\" \"$0/runtime\" ../runtime; true"), HELD),
    ("move a file out", Shell("echo x > f; mv f \"$0/new\"; ln f \"$0/new\"; true"), HELD),
    (
        "change what it runs from",
        Shell("echo x >> \"$0/runtime/tool\"; echo x > \"$0/runtime/new\"; rm \"$0/runtime/tool\"; true"),
        HELD,
    ),
    ("change a mode outside", Shell("chmod 777 \"$0/secret\" \"$0/runtime/tool\" \"$0\"; true"), HELD),
    ("change a time outside", Shell("touch -d 2001-01-01 \"$0/secret\" \"$0/runtime/tool\"; true"), HELD),
    ("change an owner outside", Shell("chown 12345 \"$0/secret\" \"$0/runtime/tool\"; true"), HELD),
    (
        "write into shared places",
        Shell("echo x > /tmp/sandbox-escape; echo x > /var/tmp/sandbox-escape; echo x > /dev/shm/sandbox-escape; true"),
        HELD,
    ),
    (
        "write kernel settings",
        Shell(
            "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/$1/oom_score_adj /sys/kernel/mm/ksm/run /sys/fs/cgroup/cgroup.procs; do (echo x > $f) && echo ESCAPED; done; true",
        ),
        HELD,
    ),
    ("make a device", Shell("mknod disk b 254 0 && echo ESCAPED; mknod memory c 1 1 && echo ESCAPED; true"), HELD),
    // Other processes.
    ("signal the caller", Call("signal"), HELD),
    ("signal the caller by handle", Call("signal-handle"), HELD),
    ("signal everybody", Call("signal-all"), &[Ending::Signalled(libc::SIGKILL), Ending::Exited(0)]),
    (
        "signal everybody from a shell",
        Shell("for p in $1 $2; do kill -0 $p && echo ESCAPED && exit; done; kill -9 $1 $2 $PPID; kill -9 -1; true"),
        &[Ending::Signalled(libc::SIGKILL), Ending::Exited(0)],
    ),
    ("trace the caller", Call("ptrace"), BLOCKED),
    ("read the caller's memory", Call("read-memory"), BLOCKED),
    ("limit the caller", Call("limits-of-parent"), HELD),
    ("slow the caller down", Call("slow-parent"), HELD),
    ("leave a daemon", Call("daemon"), HELD),
    ("leave a job", Shell("(trap '' HUP TERM; sleep 60) & (setsid sleep 60 &) ; true"), HELD),
    // Too much of everything.
    ("fork bomb", Call("fork-bomb"), BOMB),
    ("fork bomb of sessions", Call("session-bomb"), BOMB),
    ("fork bomb of a shell", Shell("f() { f | f & }; f; sleep 20"), SHELL_BOMB),
    ("thread bomb", Call("thread-bomb"), &[Ending::TooManyProcesses, Ending::Exited(0)]),
    (
        "sleepers",
        Shell("i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i+1)); done; sleep 60"),
        &[Ending::TooManyProcesses, Ending::Exited(2)],
    ),
    ("allocate 100 GB", Call("allocate"), HELD),
    ("grow", Call("grow"), MEMORY),
    ("grow in many processes", Call("grow-together"), MEMORY),
    ("page tables", Call("sparse"), HELD),
    ("memory that nobody counts", Call("shared-memory"), HELD),
    ("open files", Call("open-files"), HELD),
    ("spin", Call("spin"), PROCESSOR),
    ("spin in many processes", Call("spin-together"), PROCESSOR),
    ("a huge file", Shell("exec head -c 100000000 /dev/zero > file"), FILE),
    ("endless output", Shell("exec cat /dev/zero"), OUTPUT),
    ("endless errors", Shell("exec cat /dev/zero >&2"), OUTPUT),
    ("endless lines of a child", Shell("while :; do echo y; done"), OUTPUT),
    ("never answer", Shell("exec sleep 60"), TIME),
    ("never answer, deaf to signals", Call("deaf"), TIME),
    ("stop", Call("stop"), TIME),
    ("close the output and live on", Shell("exec 1>&- 2>&-; exec sleep 60"), TIME),
    ("never read the input", Shell("exec sleep 60"), TIME),
    // The network.
    ("make sockets", Call("sockets"), HELD),
    ("connect to the caller's loopback", Call("connect"), HELD),
    ("connect to the caller's abstract socket", Call("abstract-socket"), HELD),
    ("connect to the caller's socket file", Call("path-socket"), HELD),
    // The kernel.
    ("hold capabilities", Call("capabilities"), HELD),
    ("leave a core file", Call("core"), &[Ending::Signalled(libc::SIGABRT)]),
    ("make namespaces", Call("unshare"), BLOCKED),
    ("make namespaces by clone", Call("clone-namespace"), HELD),
    ("mount", Call("mount"), BLOCKED),
    ("mount the new way", Call("new-mount"), BLOCKED),
    ("change the root", Call("chroot"), BLOCKED),
    ("enter namespaces", Call("setns"), BLOCKED),
    ("load a program into the kernel", Call("bpf"), BLOCKED),
    ("load a module", Call("module"), BLOCKED),
    ("watch the processor", Call("perf"), BLOCKED),
    ("handle page faults", Call("userfault"), BLOCKED),
    ("read keys", Call("keys"), BLOCKED),
    ("set up an I/O ring", Call("io-ring"), HELD),
    ("open by file handle", Call("file-handle"), BLOCKED),
    ("set the clock", Call("clock"), BLOCKED),
    ("loosen the filter", Call("filter"), HELD),
    #[cfg(target_arch = "x86_64")]
    ("other system-call doors", Call("other-abi"), &[Ending::BlockedCall, Ending::Signalled(libc::SIGSEGV)]),
];

/// What lies outside and must stay as it is: path, mode, owner, time of change of content, content.
type Outside = BTreeMap<Utf8PathBuf, (u32, u32, i64, Vec<u8>)>;

fn outside(folder: &Utf8Path) -> io::Result<Outside> {
    let mut found = Outside::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let about = path.symlink_metadata()?;
        if about.is_dir() && path.file_name() != Some("work") {
            for entry in path.read_dir_utf8()? {
                left.push(entry?.path().to_owned());
            }
        }
        let content = if about.is_file() { std::fs::read(&path)? } else { Vec::new() };
        let time = if about.is_file() { about.mtime() } else { 0 };
        found.insert(path, (about.mode(), about.uid(), time, content));
    }
    Ok(found)
}

/// The scene of one attempt: a secret beside the working folder, things to run from, sockets to connect to, a bystander.
struct Scene {
    place: Place,
    bystander: Child,
    port: u16,
    _listeners: (std::net::TcpListener, UnixListener, UnixListener),
    name: String,
}

impl Scene {
    fn new() -> io::Result<Self> {
        let place = Place::new();
        let folder = place.outside();
        std::fs::write(folder.join("secret"), SECRET)?;
        std::fs::create_dir(folder.join("runtime"))?;
        std::fs::write(folder.join("runtime/tool"), "tool")?;
        std::os::unix::fs::symlink(folder.join("secret"), place.workdir().join("planted"))?;
        let tcp = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        let name = folder.to_string();
        let by_name = UnixListener::bind_addr(&std::os::unix::net::SocketAddr::from_abstract_name(&name)?)?;
        let by_path = UnixListener::bind(folder.join("socket"))?;
        let bystander = Command::new("/bin/sleep").arg("600").stdin(Stdio::null()).spawn()?;
        let port = tcp.local_addr()?.port();
        Ok(Self { bystander, port, _listeners: (tcp, by_name, by_path), name, place })
    }

    fn policy(&self, attempt: &Attempt) -> io::Result<Policy> {
        let (caller, bystander) = (std::process::id().to_string(), self.bystander.id().to_string());
        let this = Utf8PathBuf::try_from(std::env::current_exe()?).map_err(io::Error::other)?;
        let mut policy = match attempt {
            Shell(script) => {
                let mut policy = self.place.shell(script);
                policy.arguments.extend([caller, bystander]);
                policy
            }
            Call(name) => {
                let mut policy = Policy::new(this.clone(), self.place.workdir());
                policy.arguments = vec!["__hostile".into(), (*name).into()];
                policy.arguments.extend(match *name {
                    "connect" => vec![self.port.to_string()],
                    "abstract-socket" => vec![self.name.clone()],
                    "path-socket" => vec![self.place.outside().join("socket").to_string()],
                    "capabilities" if user() == 0 => vec!["root".into()],
                    _ => vec![caller, bystander],
                });
                policy
            }
        };
        policy.readable = system();
        policy.readable.extend([this, self.place.outside().join("runtime")]);
        policy.memory_bytes = 192 << 20;
        policy.processes = 32;
        policy.file_bytes = 1 << 20;
        policy.open_files = 64;
        policy.cpu = Duration::from_millis(500);
        policy.wall = Duration::from_millis(2500);
        policy.output_bytes = OUTPUT_BYTES;
        policy.stderr_bytes = STDERR_BYTES;
        Ok(policy)
    }

    /// What is wrong after the attempt.
    fn damage(&mut self, before: &Outside) -> io::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let after = outside(self.place.outside())?;
        if after != *before {
            wrong.push(format!("outside changed: {:?} → {:?}", before.keys(), after.keys()));
        }
        if let Some(status) = self.bystander.try_wait()? {
            wrong.push(format!("the bystander is dead: {status}"));
        }
        for path in ["/tmp/sandbox-escape", "/var/tmp/sandbox-escape", "/dev/shm/sandbox-escape"] {
            if Utf8Path::new(path).exists() {
                wrong.push(format!("{path} was written"));
            }
        }
        let left = children()?;
        if left != [self.bystander.id()] {
            wrong.push(format!("processes are left: {left:?}"));
        }
        Ok(wrong)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.bystander.kill();
        let _ = self.bystander.wait();
    }
}

fn user() -> u32 {
    // SAFETY: plain values.
    unsafe { libc::geteuid() }
}

/// All descendants of this process, which is their reaper.
fn children() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")? {
        let list = std::fs::read_to_string(thread?.path().join("children"))?;
        found.extend(list.split_ascii_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    Ok(found)
}

/// A line of this process's `status`, in KiB.
fn status(name: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok()).ok_or(io::ErrorKind::InvalidData.into())
}

/// What must be as before in the caller's own process.
fn health() -> io::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let affinity = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap_or_default().to_owned();
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let nice =
        stat.rsplit_once(')').and_then(|(_, fields)| fields.split_ascii_whitespace().nth(16)).unwrap_or_default();
    Ok(format!("{affinity} nice {nice} {}", std::fs::read_to_string("/proc/self/limits")?))
}

/// Reads the output as an innocent caller would, then asks for the verdict.
fn make(sandbox: &Sandbox, policy: &Policy) -> (Vec<u8>, Option<Verdict>, String) {
    // More than a pipe holds: most programs here never read it.
    match sandbox.run(policy, &[b'\n'; 256 << 10]) {
        Ok(finished) => (finished.stdout, Some(finished.verdict), String::new()),
        Err(error) => (Vec::new(), None, error.to_string()),
    }
}

/// Runs the corpus in this process: the words say how. Returns the exit status.
pub(super) fn corpus(words: &[String]) -> i32 {
    // SAFETY: plain values. What tests are started with; and orphans must become visible.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
    let mechanism = match words.first().map(String::as_str) {
        Some("namespaces") => Mechanism::Namespaces,
        Some("unsandboxed") => Mechanism::Unsandboxed,
        _ => Mechanism::Landlock,
    };
    match run(mechanism, words.get(1).map(String::as_str)) {
        Ok(wrong) => i32::from(wrong > 0),
        Err(error) => {
            println!("the corpus broke off: {error}");
            2
        }
    }
}

fn run(mechanism: Mechanism, only: Option<&str>) -> io::Result<u32> {
    let sandbox = super::place::sandbox();
    let healthy = health()?;
    let mut failed: u32 = 0;
    for (name, attempt, expected) in CORPUS {
        if only.is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let mut scene = Scene::new()?;
        let mut policy = scene.policy(attempt)?;
        policy.mechanism = Some(mechanism);
        policy.allow_unsandboxed = mechanism == Mechanism::Unsandboxed;
        let network = if *name == "connect to the caller's loopback" && mechanism == Mechanism::Namespaces {
            Network::Loopback
        } else {
            Network::None
        };
        policy.network = network;
        if *expected == TIME {
            policy.wall = Duration::from_millis(300);
        }
        let before = outside(scene.place.outside())?;
        let began = Instant::now();
        let (stdout, verdict, error) = make(&sandbox, &policy);
        let took = began.elapsed();
        let mut wrong = scene.damage(&before)?;
        let said = String::from_utf8_lossy(&stdout);
        let heard = verdict.as_ref().map_or("", |verdict| verdict.stderr.as_str());
        for forbidden in ["ESCAPED", SECRET, "root:x:", "root:*:"] {
            if said.contains(forbidden) || heard.contains(forbidden) {
                wrong.push(format!("it said `{forbidden}`"));
            }
        }
        if !verdict.as_ref().is_some_and(|verdict| expected.contains(&verdict.ending)) {
            wrong.push(format!("expected {expected:?}"));
        }
        if stdout.len() as u64 > OUTPUT_BYTES || heard.len() > STDERR_BYTES + 64 {
            wrong.push(format!("{} and {} bytes reached the caller", stdout.len(), heard.len()));
        }
        if health()? != healthy {
            wrong.push("the caller's limits or priority changed".into());
        }
        let words = verdict.as_ref().map_or(error, ToString::to_string);
        println!("{:4} {name}: {words} [{} ms]", if wrong.is_empty() { "ok" } else { "BAD" }, took.as_millis());
        if !wrong.is_empty() {
            failed += 1;
            let said: String = said.chars().take(600).collect();
            println!("     {}\n     stdout: {said}\n     stderr: {heard}", wrong.join("; "));
        }
    }
    let peak = status("VmHWM")? >> 10;
    println!("{failed} attempts failed; the caller's memory reached {peak} MiB");
    Ok(failed + u32::from(peak > 96))
}

/// This program again, without its test harness.
fn apart(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(words).env("SECRET", SECRET).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// Starts the corpus in a process of its own and shows what it says.
fn corpus_apart(mechanism: &str, as_user: Option<u32>) {
    let mut command = apart(&["__corpus", mechanism]);
    if let Some(user) = as_user {
        command.uid(user).gid(user).current_dir("/");
    }
    let mut child = match command.spawn() {
        Err(error) if as_user.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
            println!("not run: the test binary lies where user {NOBODY} may not look");
            return;
        }
        other => other.unwrap(),
    };
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    println!("{said}");
    assert!(status.success(), "{said}");
}

#[test]
fn nothing_escapes_from_namespaces() {
    corpus_apart("namespaces", None);
}

#[test]
#[ignore = "without namespaces its bombs take the machine's process ids for a moment: .ci/run runs it alone"]
fn nothing_escapes_from_landlock() {
    corpus_apart("landlock", None);
}

#[test]
#[ignore = "without namespaces its bombs take the machine's process ids for a moment: .ci/run runs it alone"]
fn nothing_escapes_from_an_ordinary_users_sandbox() {
    if user() == 0 {
        corpus_apart("namespaces", Some(NOBODY));
        corpus_apart("landlock", Some(NOBODY));
    }
}

/// Without a sandbox the same attempts succeed: what the corpus sees, it sees because of the sandbox.
#[test]
fn without_a_sandbox_the_attempts_escape() {
    for name in [
        "read beside the folder",
        "read by a link that the caller left",
        "list the folders outside",
        "write beside the folder",
        "write through a link",
        "empty a file outside",
        "move a file out",
        "change what it runs from",
        "change a mode outside",
        "change a time outside",
        "make sockets",
        "connect to the caller's loopback",
        "connect to the caller's abstract socket",
        "connect to the caller's socket file",
        "memory that nobody counts",
    ] {
        let output = apart(&["__corpus", "unsandboxed", name]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.code() == Some(1) && said.contains("BAD"), "{name}: {said}");
    }
}

/// The caller of the next test: starts a program that leaves daemons behind, says so, and waits to be killed.
pub(super) fn caller(words: &[String]) -> i32 {
    let place = Place::new();
    let mut policy = place.shell("(setsid sleep 600 &) ; (trap '' HUP TERM; sleep 600) & echo ready; exec sleep 600");
    policy.mechanism =
        Some(if words.iter().any(|word| word == "namespaces") { Mechanism::Namespaces } else { Mechanism::Landlock });
    policy.wall = Duration::from_secs(600);
    let mut running = super::place::sandbox().start(&policy).unwrap();
    let mut said = [0; 6];
    running.take_stdout().unwrap().read_exact(&mut said).unwrap();
    println!("{}", place.outside());
    io::stdin().read_exact(&mut [0]).unwrap();
    0
}

#[test]
fn a_caller_that_is_killed_takes_all_descendants_with_it() {
    for mechanism in ["namespaces", "landlock"] {
        let mut command = apart(&["__caller", mechanism]);
        let mut caller = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut folder = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(caller.stdout.take().unwrap()), &mut folder).unwrap();
        let folder = Utf8PathBuf::from(folder.trim());
        let inside = || {
            let entries = std::fs::read_dir("/proc").unwrap();
            let places = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path().join("cwd")).ok());
            places.filter(|place| place.starts_with(folder.join("work"))).count()
        };
        assert!(inside() >= 2, "the program and its children are at work");
        caller.kill().unwrap();
        caller.wait().unwrap();
        let began = Instant::now();
        while inside() > 0 {
            assert!(began.elapsed() < Duration::from_secs(60), "something outlives the caller");
            std::thread::yield_now();
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn the_corpus_is_large_enough() {
    assert!(CORPUS.len() >= 25);
    // Nothing but the caller's folder may be open to others, or the ordinary user's attempts would prove little.
    let mode = std::fs::metadata(Place::new().outside()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}
