//! A launcher of the crate's own helper, and the shell server.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use tempfile::TempDir;
use toolexpander::{
    sandbox::{Policy, Sandbox},
    servers::{Launch, Launcher, SuiteSpec},
    tools::Call,
};

/// Where relative paths begin.
pub fn project() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A launcher with everyday limits.
pub fn launcher() -> Launcher {
    launcher_with(Policy::new("/", "/"))
}

/// A launcher with limits of its own.
pub fn launcher_with(limits: Policy) -> Launcher {
    Launcher::new(Arc::new(Sandbox::new(env!("CARGO_BIN_EXE_pipeline"))), limits, project())
}

/// The command of the shell server.
pub fn shell_server(mode: &[&str]) -> Vec<String> {
    let script = project().join("tests/it/servers/shell_server.sh");
    ["sh", script.as_str()].iter().chain(mode).map(|word| (*word).to_owned()).collect()
}

/// A suite of the shell server.
pub fn shell_suite(more: Value) -> SuiteSpec {
    let mut text = json!({ "mcp": shell_server(&[]) });
    text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(text).unwrap()
}

/// Two private folders.
pub struct Place {
    _folder: TempDir,
    pub work: Utf8PathBuf,
    pub temporary: Utf8PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        let (work, temporary) = (root.join("work"), root.join("temporary"));
        std::fs::create_dir(&work).unwrap();
        std::fs::create_dir(&temporary).unwrap();
        Self { _folder: folder, work, temporary }
    }

    pub fn launch(&self, command: Vec<String>) -> Launch {
        Launch::new(command, &self.work, &self.temporary)
    }
}

/// A call from JSON arguments.
pub fn call(name: &str, arguments: Value) -> Call {
    Call { name: name.to_owned(), arguments: arguments.as_object().unwrap().clone() }
}
