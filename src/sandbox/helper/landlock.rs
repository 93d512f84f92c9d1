//! Which files may be touched, by the kernel's Landlock rules. They bind the process and all it starts, for good.

use std::error::Error;

use camino::{Utf8Path, Utf8PathBuf};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use super::{Setback, missing, system};
use crate::sandbox::{Mechanism, Network, Policy};

/// Truncation is covered from version 3 on (Linux 6.2).
const LEAST: i64 = 3;

/// Signals and abstract sockets are kept in from version 6 on (Linux 6.12). Namespaces do so too.
const LEAST_ALONE: i64 = 6;

/// Devices without state.
pub(super) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What runtimes read of `/proc` besides their own folder, where the whole machine's `/proc` is in sight.
const PROC_FILES: &[&str] = &["/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems"];

/// Says what is missing, if something is.
pub(super) fn check(mechanism: Mechanism) -> Result<(), Setback> {
    let version = system::landlock_version().map_err(missing(
        "use Landlock (it is not built into this kernel, not among its `lsm=`, or a container hides it)",
    ))?;
    let least = if mechanism == Mechanism::Namespaces { LEAST } else { LEAST_ALONE };
    if version < least {
        let reason = format!("this kernel has version {version} of Landlock, and version {least} is needed");
        return Err(missing("use Landlock")(reason));
    }
    Ok(())
}

/// Shuts this process in: read and run below the readable paths, everything below the working folder, nothing else.
pub(super) fn confine(policy: &Policy, mechanism: Mechanism) -> Result<(), String> {
    let restricted = rules(policy, mechanism).map_err(|error| error.to_string())?;
    if restricted == RulesetStatus::FullyEnforced { Ok(()) } else { Err("the rules are not enforced".to_owned()) }
}

fn rules(policy: &Policy, mechanism: Mechanism) -> Result<RulesetStatus, Box<dyn Error>> {
    let version = match system::landlock_version().unwrap_or(0) {
        ..=3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        _ => ABI::V6,
    };
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(version))?;
    if version >= ABI::V4 && policy.network == Network::None {
        ruleset = ruleset.handle_access(AccessNet::from_all(version))?;
    }
    if version >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(version))?;
    }
    let mut ruleset = ruleset.create()?;
    let devices = AccessFs::MakeChar | AccessFs::MakeBlock;
    let everything = AccessFs::from_all(version) & !devices;
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut allow = |path: &Utf8Path, access: BitFlags<AccessFs>| -> Result<(), Box<dyn Error>> {
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(version) };
        let path = PathFd::new(path)?;
        (&mut ruleset).add_rule(PathBeneath::new(path, access))?;
        Ok(())
    };
    for path in &policy.readable {
        allow(path, look | AccessFs::Execute)?;
    }
    for path in [Some(&policy.workdir), policy.temporary.as_ref()].into_iter().flatten() {
        allow(path, everything)?;
    }
    for device in DEVICES.iter().map(Utf8Path::new).filter(|device| device.exists()) {
        allow(device, AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    if mechanism == Mechanism::Namespaces {
        // Only the program's own processes are in it, and it is mounted read-only.
        allow("/proc".into(), look)?;
    } else {
        let mut visible: Vec<Utf8PathBuf> = PROC_FILES.iter().map(Utf8PathBuf::from).collect();
        visible.push("/proc/self".into());
        for path in visible.iter().filter(|path| path.exists()) {
            allow(path, look)?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}
