//! A private folder for a program, and the policy that most tests begin with.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use toolexpander::sandbox::{Finished, Policy, Sandbox, system};

/// A working folder `work` in a temporary folder that holds other things too.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().permissions(private).tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder }
    }

    /// The folder that the program must not reach.
    pub(super) fn outside(&self) -> &Utf8Path {
        self.folder.path().try_into().unwrap()
    }

    pub(super) fn workdir(&self) -> Utf8PathBuf {
        self.outside().join("work")
    }

    /// A policy for a shell script; `$0` is the outside folder.
    pub(super) fn shell(&self, script: &str) -> Policy {
        let mut policy = Policy::new("/bin/sh", self.workdir());
        policy.arguments = vec!["-c".into(), script.into(), self.outside().to_string()];
        policy.environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
        policy.readable = system();
        policy
    }
}

pub(super) fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_pipeline"))
}

pub(super) fn run(policy: &Policy, input: &[u8]) -> Finished {
    sandbox().run(policy, input).unwrap()
}
