//! Which program a command names, and what it must be able to read.
//!
//! A sandboxed program has no search path to rely on and cannot download anything, so names are looked up here: on the `PATH`, and for
//! `npx PACKAGE` and `uvx PACKAGE`, which would fetch, among what is installed already. Only looks; starts nothing.

use std::io::{BufRead as _, BufReader, Read as _};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::sandbox::of_program;

/// A command, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Absolute.
    pub(super) program: Utf8PathBuf,
    pub(super) arguments: Vec<String>,
    /// What it must be able to read beside the system: its installation, its interpreter's, the script that it runs.
    pub(super) readable: Vec<Utf8PathBuf>,
    /// Where programs are that it may start by name.
    pub(super) folders: Vec<Utf8PathBuf>,
}

/// Where things are looked for.
pub(super) struct Places {
    /// The folders of the `PATH`.
    pub(super) path: Vec<Utf8PathBuf>,
    /// The project's folder: relative paths begin here.
    pub(super) project: Utf8PathBuf,
    /// The user's home, where `npx` keeps what it fetched before.
    pub(super) home: Option<Utf8PathBuf>,
}

impl Places {
    /// Returns the places that this process knows.
    pub(super) fn of_environment(project: &Utf8Path) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        Self {
            path: path.split(':').filter(|folder| folder.starts_with('/')).map(Utf8PathBuf::from).collect(),
            project: project.to_owned(),
            home: std::env::var("HOME").ok().map(Utf8PathBuf::from),
        }
    }

    /// Finds the program of a command.
    pub(super) fn find(&self, command: &[String]) -> Result<Program, String> {
        let (name, arguments) = command.split_first().ok_or("its command is empty")?;
        let name = Utf8Path::new(name);
        if name.as_str() == "npx" {
            return self.npx(arguments);
        }
        if name.as_str() == "uvx" {
            return self.uvx(arguments);
        }
        let program = if name.components().count() > 1 || name.is_absolute() {
            let path = self.project.join(name);
            if path.is_file() { Ok(path) } else { Err(format!("there is no program `{path}`")) }
        } else {
            self.on_path(name.as_str()).ok_or_else(|| format!("there is no program `{name}` on the PATH"))
        }?;
        Ok(self.program(program, arguments.to_vec()))
    }

    fn on_path(&self, name: &str) -> Option<Utf8PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    fn program(&self, program: Utf8PathBuf, arguments: Vec<String>) -> Program {
        let mut readable = of_program(&program);
        let mut folders: Vec<Utf8PathBuf> = program.parent().map(Utf8Path::to_owned).into_iter().collect();
        readable.extend(package(&program));
        if let Some(interpreter) = self.interpreter(&program) {
            readable.extend(of_program(&interpreter));
            folders.extend(interpreter.parent().map(Utf8Path::to_owned));
        }
        // The first argument that is a file is the script that an interpreter runs.
        let script = arguments.iter().map(|argument| self.project.join(argument)).find(|path| path.is_file());
        let mut arguments = arguments;
        if let Some(script) = script {
            for argument in &mut arguments {
                if self.project.join(&*argument) == script {
                    *argument = script.to_string();
                }
            }
            readable.push(package(&script).unwrap_or(script));
        }
        readable.sort();
        readable.dedup();
        Program { program, arguments, readable, folders }
    }

    /// Reads a script's first line.
    fn interpreter(&self, program: &Utf8Path) -> Option<Utf8PathBuf> {
        let mut line = String::new();
        BufReader::new(std::fs::File::open(program).ok()?.take(256)).read_line(&mut line).ok()?;
        let mut words = line.strip_prefix("#!")?.split_whitespace();
        let first = Utf8Path::new(words.next()?);
        if first.file_name() == Some("env") {
            let name = words.find(|word| !word.starts_with('-'))?;
            return self.on_path(name);
        }
        Some(first.to_owned())
    }

    /// `npx [-y] PACKAGE ARGUMENTS…`, of an installed package.
    fn npx(&self, arguments: &[String]) -> Result<Program, String> {
        let arguments: Vec<String> =
            arguments.iter().skip_while(|argument| argument.starts_with('-')).cloned().collect();
        let (package, rest) = arguments.split_first().ok_or("`npx` names no package")?;
        // `@scope/name@1.2` is the package `@scope/name`.
        let name = match package.char_indices().skip(1).find(|(_, letter)| *letter == '@') {
            Some((at, _)) => &package[..at],
            None => package,
        };
        let missing = || {
            format!(
                "the npm package `{name}` is not installed, and a sandboxed server cannot fetch it: run `npm install {name}` in {}",
                self.project
            )
        };
        let folder = self.npm_folders().into_iter().map(|folder| folder.join(name)).find(|folder| folder.is_dir());
        let folder = folder.ok_or_else(missing)?;
        let text = std::fs::read(folder.join("package.json")).map_err(|_| missing())?;
        let manifest: Value =
            serde_json::from_slice(&text).map_err(|error| format!("{folder}/package.json: {error}"))?;
        let script = match manifest.get("bin") {
            Some(Value::String(script)) => Some(script.as_str()),
            Some(Value::Object(scripts)) => {
                let last = name.rsplit('/').next().unwrap_or(name);
                scripts.get(last).or_else(|| scripts.values().next()).and_then(Value::as_str)
            }
            _ => None,
        };
        let script = script.ok_or_else(|| format!("the npm package `{name}` has no program"))?;
        let node = self.on_path("node").ok_or("there is no program `node` on the PATH")?;
        // Its real place: a sandbox shows that, and not the links that lead there.
        let script = folder.join(script);
        let script = script.canonicalize_utf8().map_err(|error| format!("the program `{script}`: {error}"))?;
        Ok(self.program(node, std::iter::once(script.to_string()).chain(rest.iter().cloned()).collect()))
    }

    fn npm_folders(&self) -> Vec<Utf8PathBuf> {
        let mut folders: Vec<Utf8PathBuf> =
            self.project.ancestors().map(|folder| folder.join("node_modules")).collect();
        let beside = self.on_path("node").and_then(|node| Some(node.parent()?.parent()?.join("lib/node_modules")));
        folders.extend(beside);
        folders.extend(["/usr/lib/node_modules", "/usr/local/lib/node_modules"].map(Utf8PathBuf::from));
        if let Some(cached) = self.home.as_ref().map(|home| home.join(".npm/_npx"))
            && let Ok(entries) = cached.read_dir_utf8()
        {
            let mut cached: Vec<Utf8PathBuf> =
                entries.flatten().map(|entry| entry.path().join("node_modules")).collect();
            cached.sort();
            folders.extend(cached);
        }
        folders
    }

    /// `uvx PACKAGE ARGUMENTS…`, of a program that is installed.
    fn uvx(&self, arguments: &[String]) -> Result<Program, String> {
        let (name, rest) = arguments.split_first().ok_or("`uvx` names no package")?;
        let own = self.project.join(".venv/bin").join(name);
        let program = if own.is_file() { Some(own) } else { self.on_path(name) };
        let program = program.ok_or_else(|| {
            format!(
                "the program `{name}` is not installed, and a sandboxed server cannot fetch it: run `python3 -m venv .venv` and \
                 `.venv/bin/pip install {name}` in {}",
                self.project
            )
        })?;
        Ok(self.program(program, rest.to_vec()))
    }
}

/// Returns the outermost `node_modules` that a file lies in: a package finds others there.
fn package(file: &Utf8Path) -> Option<Utf8PathBuf> {
    let real = file.canonicalize_utf8().unwrap_or_else(|_| file.to_owned());
    let outermost = real.ancestors().filter(|folder| folder.file_name() == Some("node_modules")).last();
    outermost.map(Utf8Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use fs_err as fs;

    use super::*;

    /// A folder with a Node.js of a kind, a package in `real/node_modules`, and a project that links to these.
    fn linked() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().canonicalize_utf8().unwrap();
        let package = root.join("real/node_modules/@scope/server");
        for folder in [&root.join("bin"), &root.join("project"), &package] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(root.join("bin/node"), "").unwrap();
        fs::write(package.join("package.json"), r#"{"bin": {"server": "./run.js"}}"#).unwrap();
        fs::write(package.join("run.js"), "").unwrap();
        symlink(root.join("real/node_modules"), root.join("project/node_modules")).unwrap();
        (folder, root)
    }

    #[test]
    fn packages_behind_links_are_run_where_they_really_are() {
        let (_folder, root) = linked();
        let places = Places { path: vec![root.join("bin")], project: root.join("project"), home: None };
        let command = ["npx", "-y", "@scope/server@1.2", "{workdir}"].map(str::to_owned);
        let found = places.find(&command).unwrap();
        let script = root.join("real/node_modules/@scope/server/run.js");
        assert_eq!(found.program, root.join("bin/node"));
        assert_eq!(found.arguments, [script.as_str(), "{workdir}"]);
        assert!(found.readable.contains(&root.join("real/node_modules")), "{:?}", found.readable);
    }

    #[test]
    fn what_is_not_installed_is_said_with_what_installs_it() {
        let (_folder, root) = linked();
        let places = Places { path: Vec::new(), project: root.join("project"), home: None };
        let error = |command: &[&str]| {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            places.find(&command).unwrap_err().replace(root.as_str(), "ROOT")
        };
        insta::assert_snapshot!(error(&["npx", "other"]), @"the npm package `other` is not installed, and a sandboxed server cannot fetch it: run `npm install other` in ROOT/project");
        insta::assert_snapshot!(error(&["npx", "@scope/server"]), @"there is no program `node` on the PATH");
        assert!(error(&["uvx", "server"]).contains(".venv/bin/pip install server"));
    }
}
