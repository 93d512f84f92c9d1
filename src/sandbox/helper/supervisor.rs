//! The helper's second process: keeps the program's limits from start to end, and says how it ended.
//!
//! One loop over a handful of descriptors and two times (the next census, the end of the turn). Its memory is bounded: a
//! fixed buffer for output, the kept part of standard error, a line of orders.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use camino::Utf8PathBuf;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    pipe::PipeFlags,
    process::{Pid, PidfdFlags},
};

use super::{
    Setback,
    census::{self, Census},
    missing,
    program::{self, Streams},
    root, system,
    tail::Tail,
};
use crate::sandbox::{
    Ending, Mechanism, Network, Policy, Usage, Verdict,
    wire::{self, Order, Report},
};

/// Between two looks at what the program uses, while it changes.
const SHORT: Duration = Duration::from_millis(5);

/// And while nothing changes.
const LONG: Duration = Duration::from_millis(100);

/// How many descendants are looked for before what was found is killed.
const AT_ONCE: usize = 256;

/// The nice value of a process that is not kept waiting.
const HIGHEST_PRIORITY: i32 = -20;

/// Output that was read and not passed on yet.
const BUFFER_BYTES: usize = 64 << 10;

/// The longest line of orders: longer ones are no orders.
const ORDER_BYTES: usize = 4 << 10;

/// The supervisor and what it watches.
pub(super) struct Supervisor {
    policy: Policy,
    mechanism: Mechanism,
    control: UnixStream,
    orders: Vec<u8>,
    program: libc::pid_t,
    pidfd: OwnedFd,
    /// The program's end of its output, until it is closed.
    from_program: Option<File>,
    /// The caller's end, until one of the two is closed.
    to_caller: Option<File>,
    pending: Vec<u8>,
    stderr: Option<File>,
    said: Tail,
    started: Instant,
    /// When the turn began; `None` at rest.
    turn: Option<Instant>,
    output: u64,
    output_before: u64,
    cpu: Duration,
    cpu_before: Duration,
    last: Census,
    peak_memory: u64,
    pause: Duration,
    next_census: Instant,
}

impl Supervisor {
    /// Makes the program's surroundings and starts it.
    pub(super) fn start(policy: Policy, mechanism: Mechanism, control: UnixStream) -> Result<Self, Setback> {
        system::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong)
            .map_err(missing("die with its parent"))?;
        // The program must not look into this process.
        system::prctl(libc::PR_SET_DUMPABLE, 0).map_err(missing("hide its memory"))?;
        let mut workdir = Utf8PathBuf::from(&policy.workdir);
        if mechanism == Mechanism::Namespaces {
            workdir = root::enter(&policy)?;
            if policy.network == Network::Loopback {
                system::loopback_up().map_err(missing("set up the loopback network"))?;
            }
        } else {
            system::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map_err(missing("become the parent of orphans"))?;
        }
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(missing("make a pipe"));
        let (from_program, stdout) = pipe()?;
        let (from_stderr, stderr) = pipe()?;
        let (fate, fate_of_program) = pipe()?;
        let streams = Streams { stdin: system::take_stream(0), stdout, stderr };
        let to_caller = File::from(system::take_stream(1));
        let program = match system::fork().map_err(missing("start a process"))? {
            None => program::become_program(&policy, mechanism, &workdir, &streams, fate_of_program),
            Some(program) => program,
        };
        // A bomb of thousands must not keep this process from counting them. Refused without CAP_SYS_NICE.
        let _ = rustix::process::setpriority_process(None, HIGHEST_PRIORITY);
        drop((streams, fate_of_program));
        let mut text = String::new();
        File::from(fate).read_to_string(&mut text).map_err(missing("learn what became of the program"))?;
        program::read_fate(&text)?;
        let pid = Pid::from_raw(program).ok_or("no process id").map_err(missing("start a process"))?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).map_err(missing("watch the program"))?;
        for file in [from_program.as_fd(), from_stderr.as_fd(), to_caller.as_fd(), control.as_fd()] {
            rustix::io::ioctl_fionbio(file, true).map_err(missing("watch pipes"))?;
        }
        let now = Instant::now();
        let mut supervisor = Self {
            said: Tail::new(policy.stderr_bytes),
            policy,
            mechanism,
            control,
            orders: Vec::new(),
            program,
            pidfd,
            from_program: Some(from_program.into()),
            to_caller: Some(to_caller),
            pending: Vec::with_capacity(BUFFER_BYTES),
            stderr: Some(from_stderr.into()),
            started: now,
            turn: Some(now),
            output: 0,
            output_before: 0,
            cpu: Duration::ZERO,
            cpu_before: Duration::ZERO,
            last: Census::default(),
            peak_memory: 0,
            pause: SHORT,
            next_census: now + SHORT,
        };
        supervisor.report(&Report::Started);
        Ok(supervisor)
    }

    /// Watches until the end, ends what is left, and says the verdict.
    pub(super) fn run(mut self) {
        let ending = loop {
            if let Some(ending) = self.watch() {
                break ending;
            }
        };
        let wall = self.started.elapsed();
        self.end_all();
        let ending = self.deliver_rest(ending);
        self.to_caller = None;
        let usage = Usage {
            wall,
            cpu: self.cpu.max(system::cpu_of_children()),
            peak_memory_bytes: self.peak_memory,
            output_bytes: self.output,
        };
        let stderr = std::mem::replace(&mut self.said, Tail::new(0)).into_text();
        self.report(&Report::Ended(Verdict { ending, mechanism: self.mechanism, usage, stderr }));
    }

    /// Waits for something to happen and deals with it; returns the ending when it is time for that.
    fn watch(&mut self) -> Option<Ending> {
        let now = Instant::now();
        let deadline = self.turn.map(|turn| turn + self.policy.wall);
        if deadline.is_some_and(|deadline| now >= deadline) {
            return Some(Ending::TimedOut);
        }
        if now >= self.next_census
            && let Some(ending) = self.reap().or_else(|| self.count())
        {
            return Some(ending);
        }
        let until = deadline.map_or(self.next_census, |deadline| deadline.min(self.next_census));
        let ready = self.poll(Some(until));
        if ready.control
            && let Some(ending) = self.take_orders()
        {
            return Some(ending);
        }
        if ready.output || ready.caller {
            self.pass_output(&ready);
        }
        if ready.stderr {
            self.keep_stderr();
        }
        if self.output - self.output_before > self.policy.output_bytes {
            return Some(Ending::TooMuchOutput);
        }
        if ready.program { self.reap() } else { None }
    }

    fn poll(&self, until: Option<Instant>) -> Ready {
        let mut ready = Ready::default();
        let mut flags = Vec::with_capacity(5);
        let mut polled = Vec::with_capacity(5);
        let mut add = |fd, interest, flag| {
            polled.push(PollFd::from_borrowed_fd(fd, interest));
            flags.push(flag);
        };
        add(self.control.as_fd(), PollFlags::IN, Wakes::Control);
        add(self.pidfd.as_fd(), PollFlags::IN, Wakes::Program);
        if let Some(stderr) = &self.stderr {
            add(stderr.as_fd(), PollFlags::IN, Wakes::Stderr);
        }
        match (&self.from_program, &self.to_caller) {
            // With nothing asked for, the caller's end still tells that it was closed.
            (Some(output), Some(caller)) if self.pending.is_empty() => {
                add(output.as_fd(), PollFlags::IN, Wakes::Output);
                add(caller.as_fd(), PollFlags::empty(), Wakes::Caller);
            }
            (_, Some(caller)) if !self.pending.is_empty() => add(caller.as_fd(), PollFlags::OUT, Wakes::Caller),
            _ => {}
        }
        let wait = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        if rustix::event::poll(&mut polled, wait.as_ref()).is_err() {
            return ready;
        }
        for (polled, flag) in polled.iter().zip(flags) {
            let woke = !polled.revents().is_empty();
            match flag {
                Wakes::Control => ready.control = woke,
                Wakes::Program => ready.program = woke,
                Wakes::Stderr => ready.stderr = woke,
                Wakes::Output => ready.output = woke,
                Wakes::Caller => ready.caller = woke,
            }
        }
        ready
    }

    /// Reads orders; the end of the socket is the end of the caller.
    fn take_orders(&mut self) -> Option<Ending> {
        let mut buffer = [0; ORDER_BYTES];
        match self.control.read(&mut buffer) {
            Ok(0) => return Some(Ending::Stopped),
            Ok(read) => self.orders.extend_from_slice(&buffer[..read]),
            Err(error) if again(&error) => return None,
            Err(_) => return Some(Ending::Stopped),
        }
        while let Some(end) = self.orders.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.orders.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Order::Turn) => {
                    let now = Instant::now();
                    self.turn = Some(now);
                    self.output_before = self.output;
                    self.cpu_before = self.cpu;
                    self.pause = SHORT;
                    self.next_census = self.next_census.min(now + SHORT);
                }
                Ok(Order::Rest) => self.turn = None,
                Ok(Order::Stop) | Err(_) => return Some(Ending::Stopped),
            }
        }
        (self.orders.len() > ORDER_BYTES).then_some(Ending::Stopped)
    }

    /// Moves output on: what is pending first, then what the program wrote, never more than is allowed.
    fn pass_output(&mut self, ready: &Ready) {
        if ready.caller && self.pending.is_empty() {
            // Nothing was asked of the caller's end, so it woke because the caller closed it.
            self.close_output();
            return;
        }
        if ready.output && self.pending.is_empty() {
            let Some(output) = &mut self.from_program else { return };
            let mut buffer = [0; BUFFER_BYTES];
            match output.read(&mut buffer) {
                Ok(0) => self.from_program = None,
                Ok(read) => {
                    let left = self.policy.output_bytes.saturating_sub(self.output - self.output_before);
                    let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(read);
                    self.output += read as u64;
                    self.pending.extend_from_slice(&buffer[..allowed]);
                }
                Err(error) if again(&error) => {}
                Err(_) => self.from_program = None,
            }
        }
        if let Some(caller) = &mut self.to_caller {
            match caller.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if again(&error) => {}
                Err(_) => self.close_output(),
            }
        }
        if self.from_program.is_none() && self.pending.is_empty() {
            self.to_caller = None;
        }
    }

    /// The caller reads no more: the program is told so by its own next write.
    fn close_output(&mut self) {
        self.to_caller = None;
        self.from_program = None;
        self.pending.clear();
    }

    fn keep_stderr(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut buffer = [0; BUFFER_BYTES];
        match stderr.read(&mut buffer) {
            Ok(0) => self.stderr = None,
            Ok(read) => {
                self.output += read as u64;
                self.said.push(&buffer[..read]);
            }
            Err(error) if again(&error) => {}
            Err(_) => self.stderr = None,
        }
    }

    /// Takes the exit status of all that have ended; returns the program's.
    fn reap(&mut self) -> Option<Ending> {
        let mut ending = None;
        while let Ok(Some((pid, status))) = system::wait_any(false) {
            if pid == self.program {
                ending = Some(Ending::of_wait_status(status));
            }
        }
        ending
    }

    /// Looks at what all processes use.
    fn count(&mut self) -> Option<Ending> {
        let census = census::take(self.mechanism, usize::try_from(self.policy.processes).unwrap_or(usize::MAX - 1));
        self.pause = if census == self.last { (self.pause * 2).min(LONG) } else { SHORT };
        self.next_census = Instant::now() + self.pause;
        self.last = census;
        self.peak_memory = self.peak_memory.max(census.memory_bytes);
        // Never backwards: a child that ends between two looks is counted by whoever waits for it, a little later.
        self.cpu = self.cpu.max(census.cpu + system::cpu_of_children());
        if census.tasks > u64::from(self.policy.processes) {
            Some(Ending::TooManyProcesses)
        } else if census.memory_bytes > self.policy.memory_bytes {
            Some(Ending::OutOfMemory)
        } else if self.cpu - self.cpu_before > self.policy.cpu {
            Some(Ending::CpuLimit)
        } else {
            None
        }
    }

    /// Kills everything that is left, and waits until it is gone.
    fn end_all(&mut self) {
        if self.mechanism == Mechanism::Namespaces {
            // To the first process of a namespace, -1 is all others of it.
            system::kill(-1, libc::SIGKILL);
            while system::wait_any(true).is_ok() {}
            return;
        }
        end_descendants();
    }

    /// Passes on what was written before the end, as long as the caller takes it.
    fn deliver_rest(&mut self, ending: Ending) -> Ending {
        self.keep_stderr();
        let patience = Instant::now() + self.policy.wall;
        let mut ending = ending;
        while ending != Ending::Stopped && self.to_caller.is_some() && Instant::now() < patience {
            let ready = self.poll(Some(patience));
            if ready.control && self.take_orders().is_some() {
                break;
            }
            if ready.output || ready.caller {
                self.pass_output(&ready);
            } else {
                // The pidfd of an ended program always wakes.
                std::thread::sleep(Duration::from_millis(1));
            }
            if self.output - self.output_before > self.policy.output_bytes && !ending.was_enforced() {
                ending = Ending::TooMuchOutput;
            }
        }
        ending
    }

    /// Says something to the caller. If it is gone there is nobody to tell.
    fn report(&mut self, report: &Report) {
        let _ = rustix::io::ioctl_fionbio(&self.control, false);
        let _ = self.control.write_all(&wire::line(report));
        let _ = rustix::io::ioctl_fionbio(&self.control, true);
    }
}

/// Kills all descendants of this process, which is their subreaper, and waits until they are gone.
pub(super) fn end_descendants() {
    loop {
        // The group of one is the group of all under Landlock, and a group dies at once, however fast it grows. Unsandboxed there
        // may be many groups, found one after the other.
        for pid in census::descendants(AT_ONCE) {
            if let Some(group) = system::other_group_of(pid) {
                system::kill(-group, libc::SIGKILL);
            }
            system::kill(pid, libc::SIGKILL);
        }
        let gone = loop {
            match system::wait_any(false) {
                Ok(Some(_)) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        if gone {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a poll found.
#[derive(Debug, Default)]
struct Ready {
    control: bool,
    program: bool,
    output: bool,
    caller: bool,
    stderr: bool,
}

/// Which descriptor woke a poll.
#[derive(Debug)]
enum Wakes {
    Control,
    Program,
    Output,
    Caller,
    Stderr,
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
