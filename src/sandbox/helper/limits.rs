//! The kernel's own limits on each process of the program. The supervisor's limits on all of them together come on top.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::sandbox::{Mechanism, Policy};

/// Address space beyond the memory limit: reserved space costs nothing but page tables (an eighth of a thousandth),
/// and runtimes with a garbage collector reserve tens of gigabytes.
const RESERVED_BYTES: u64 = 64 << 30;

/// The helper's own two processes, which count in the same namespace.
const HELPER_PROCESSES: u64 = 2;

/// Limits this process and what it becomes.
pub(super) fn apply(policy: &Policy, mechanism: Mechanism) -> io::Result<()> {
    let set = |resource, value: u64| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).map_err(io::Error::from)
    };
    set(Resource::Core, 0)?;
    // Twice: so that the supervisor sees who grows past the limit, and says so, before an allocation merely fails.
    set(Resource::Data, policy.memory_bytes.saturating_mul(2))?;
    set(Resource::As, policy.memory_bytes.saturating_add(RESERVED_BYTES))?;
    set(Resource::Stack, policy.memory_bytes.min(8 << 20))?;
    set(Resource::Fsize, policy.file_bytes)?;
    set(Resource::Nofile, u64::from(policy.open_files))?;
    set(Resource::Memlock, 64 << 10)?;
    set(Resource::Sigpending, 1024)?;
    set(Resource::Msgqueue, 0)?;
    if mechanism == Mechanism::Namespaces {
        // Counted in the user namespace alone. Elsewhere it would count all of the user's processes; and it never binds
        // root, whose processes only the supervisor counts.
        set(Resource::Nproc, u64::from(policy.processes) + HELPER_PROCESSES)?;
    }
    Ok(())
}
