//! A project in a temporary folder, and the binary run inside it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A project in a temporary folder, removed with it.
pub(crate) struct Project {
    folder: tempfile::TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    /// Makes an empty project.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("artifacts")).expect("the folder is empty");
        Self { folder }
    }

    /// Makes a project with one pipeline file, `p.toml`.
    pub(crate) fn with(pipeline: &str) -> Self {
        let project = Self::new();
        project.write("p.toml", pipeline);
        project
    }

    /// Returns the project's folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
        std::fs::write(&path, text).expect("the file can be written");
        path
    }

    /// Reads a file of the project.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("the file is there")
    }

    /// Returns the command, ready to be changed.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        command.args(words).current_dir(self.folder.path()).env("NO_COLOR", "1").env_remove("PIPELINE_STORE");
        command
    }

    /// Runs the binary.
    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::from(self.command(words).output().expect("the binary starts"))
    }

    /// Runs the binary with `--json` and reads the answer; the command must succeed.
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let said = self.run(&[words, &["--json"]].concat());
        assert_eq!(said.code, 0, "{words:?}: {}", said.stderr);
        serde_json::from_str(&said.stdout).expect("the answer is JSON")
    }

    /// Runs `p.toml` and returns how many stages were executed.
    pub(crate) fn executed(&self, words: &[&str]) -> u64 {
        let report = self.json(&[&["run", "p.toml"], words].concat());
        report["executed"].as_u64().expect("the report counts executed stages")
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("answers are UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("talk is UTF-8"),
        }
    }
}
