//! The third process: puts on everything that binds it, and becomes the program.

use std::{
    ffi::{CString, NulError},
    io::Write,
    os::fd::{AsFd, OwnedFd},
};

use camino::Utf8Path;

use super::{Setback, landlock, limits, missing, refused, seccomp, system};
use crate::sandbox::{Mechanism, Policy};

/// The program's standard streams.
pub(super) struct Streams {
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Becomes the program. What goes wrong before is written to `fate`, which is closed unwritten when the program runs.
pub(super) fn become_program(
    policy: &Policy,
    mechanism: Mechanism,
    workdir: &Utf8Path,
    streams: &Streams,
    fate: OwnedFd,
) -> ! {
    let Err(setback) = prepare(policy, mechanism, workdir, streams);
    let (kind, step, reason) = match setback {
        Setback::Missing { step, reason } => ('m', step, reason),
        Setback::Refused { step, reason } => ('r', step, reason),
    };
    let _ = write!(std::fs::File::from(fate), "{kind}{step}\0{reason}");
    system::exit_now(127)
}

/// Reads what [`become_program`] wrote; nothing is good news.
pub(super) fn read_fate(fate: &str) -> Result<(), Setback> {
    let Some((step, reason)) = fate.split_once('\0') else {
        return if fate.is_empty() { Ok(()) } else { Err(missing("start the program")(fate)) };
    };
    match step.strip_prefix('r') {
        Some(step) => Err(refused(step)(reason)),
        None => Err(missing(step.get(1..).unwrap_or_default())(reason)),
    }
}

fn prepare(
    policy: &Policy,
    mechanism: Mechanism,
    workdir: &Utf8Path,
    streams: &Streams,
) -> Result<std::convert::Infallible, Setback> {
    // Nobody can leave it under Landlock. And the kernel shares processor time among sessions first (autogroups), so that a
    // bomb does not keep the supervisor from counting.
    system::setsid().map_err(missing("start a session"))?;
    let texts = |texts: &mut dyn Iterator<Item = String>| -> Result<Vec<CString>, NulError> {
        texts.map(CString::new).collect()
    };
    let c_text = || refused("pass the arguments and the environment");
    let program = CString::new(policy.program.as_str()).map_err(c_text())?;
    let named = std::iter::once(policy.program.to_string());
    let arguments = texts(&mut named.chain(policy.arguments.iter().cloned())).map_err(c_text())?;
    let pairs = &mut policy.environment.iter().map(|(name, value)| format!("{name}={value}"));
    let environment = texts(pairs).map_err(c_text())?;
    rustix::process::chdir(workdir.as_str()).map_err(refused(format!("enter `{workdir}`")))?;
    system::umask(0o077);
    for (stream, target) in (0..).zip([&streams.stdin, &streams.stdout, &streams.stderr]).map(|(n, s)| (s, n)) {
        system::duplicate_to(stream.as_fd(), target).map_err(missing("pass the standard streams"))?;
    }
    system::default_signals();
    limits::apply(policy, mechanism).map_err(refused("set the limits"))?;
    system::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(missing("give up new privileges"))?;
    if mechanism != Mechanism::Unsandboxed {
        landlock::confine(policy, mechanism).map_err(missing("put on Landlock's rules"))?;
        system::drop_capabilities().map_err(missing("drop capabilities"))?;
    }
    system::close_from(3, true).map_err(missing("close what the program must not inherit"))?;
    if mechanism != Mechanism::Unsandboxed {
        seccomp::confine(mechanism, policy.network).map_err(missing("put on the seccomp filters"))?;
    }
    let error = system::execute(&program, &arguments, &environment);
    Err(refused(format!("run `{}`", policy.program))(error))
}
