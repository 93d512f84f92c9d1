//! Leaving the caller's namespaces.

use std::io;

use super::{Setback, missing, system};

/// The user that the program sees itself as. Not 0: many programs behave differently for root.
const INNER_ID: u32 = 1000;

/// Moves this process into new user, mount, network, IPC and host-name namespaces, and its next child into a new process
/// namespace. Needs no privilege where unprivileged user namespaces are allowed.
pub(super) fn enter() -> Result<(), Setback> {
    let (user, group) = system::user_and_group();
    if system::is_root() {
        system::drop_groups().map_err(missing("drop supplementary groups"))?;
    }
    system::unshare(
        libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS,
    )
    .map_err(missing("make namespaces (user namespaces are not allowed here)"))?;
    let write = |file: &str, text: String| -> Result<(), Setback> {
        let written: io::Result<()> = std::fs::write(format!("/proc/self/{file}"), text);
        written.map_err(missing(format!("write `/proc/self/{file}`")))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{INNER_ID} {user} 1"))?;
    write("gid_map", format!("{INNER_ID} {group} 1"))
}
