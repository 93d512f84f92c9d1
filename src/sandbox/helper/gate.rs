//! The helper's first process: reads the assignment, makes the namespaces, starts the supervisor, waits for it.

use std::{
    io::{self, BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use super::{
    Setback, missing, namespaces, refused,
    supervisor::{self, Supervisor},
    system,
};
use crate::sandbox::{
    Mechanism, Network,
    wire::{self, Assignment, Report},
};

/// The descriptors that the helper was started with.
const STDIN: i32 = 0;
const STDOUT: i32 = 1;
const CONTROL: i32 = 2;

/// The helper's process. Returns when the program and all its descendants are gone.
///
/// # Errors
/// The assignment cannot be read: it was not [`Sandbox`](crate::sandbox::Sandbox) that started this program.
pub fn main() -> io::Result<()> {
    system::close_from(CONTROL + 1, false)?;
    // A panic's message still goes to the descriptor itself, and the caller shows it.
    let control = UnixStream::from(io::stderr().as_fd().try_clone_to_owned()?);
    let mut text = String::new();
    BufReader::new(&control).read_line(&mut text)?;
    let assignment: Assignment = serde_json::from_str(&text)?;
    drop(text);
    gate(assignment, &control).or_else(|setback| tell(setback, &control))
}

fn tell(setback: Setback, mut control: &UnixStream) -> io::Result<()> {
    let report = match setback {
        Setback::Missing { step, reason } => Report::Missing { step, reason },
        Setback::Refused { step, reason } => Report::Refused { step, reason },
    };
    control.write_all(&wire::line(&report))
}

fn gate(Assignment { policy, mechanism }: Assignment, control: &UnixStream) -> Result<(), Setback> {
    for (path, what) in [(&policy.program, "program"), (&policy.workdir, "working folder")] {
        if !path.is_absolute() {
            return Err(refused(format!("use the {what} `{path}`"))("the path is not absolute"));
        }
    }
    // Only a leader of its group has a session already, and then the terminal is somebody else's.
    let _ = system::setsid();
    // A machine out of memory shall end the program, not its caller. Refused only where it was set higher already.
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
    if mechanism != Mechanism::Unsandboxed {
        system::seccomp_works().map_err(missing("use seccomp filters (the kernel needs CONFIG_SECCOMP_FILTER)"))?;
        super::landlock::check(mechanism)?;
        if policy.network == Network::Loopback && mechanism != Mechanism::Namespaces {
            return Err(missing("give the program a loopback network of its own")("that needs namespaces"));
        }
    }
    if mechanism == Mechanism::Namespaces {
        namespaces::enter()?;
    } else {
        // What the supervisor would leave behind if it were killed becomes ours.
        system::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map_err(missing("become the parent of orphans"))?;
    }
    let ours = control.try_clone().map_err(missing("copy a descriptor"))?;
    match system::fork().map_err(missing("start the supervisor"))? {
        None => {
            let ended = Supervisor::start(policy, mechanism, ours).map(Supervisor::run);
            if let Err(setback) = ended {
                // A caller that is gone need not be told.
                let _ = tell(setback, control);
            }
            system::exit_now(0)
        }
        Some(child) => {
            system::close(STDIN);
            system::close(STDOUT);
            while let Ok(Some((pid, _))) = system::wait_any(true) {
                if pid == child && mechanism != Mechanism::Namespaces {
                    // Nothing is left unless the supervisor was killed from outside.
                    supervisor::end_descendants();
                }
            }
            Ok(())
        }
    }
}
