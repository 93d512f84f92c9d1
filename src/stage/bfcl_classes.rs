//! The API classes of BFCL's multi-turn categories at work: Python code out of the benchmark's own package, in a sandbox.
//!
//! The code comes from the stage's source, so it is what the key says, whatever else is installed. Of the machine a Python is
//! used and, for the class of mathematics, its package `mpmath`: neither is part of the key.

use std::{collections::BTreeSet, process::Command, sync::Arc};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;

use crate::{
    base::chain,
    sandbox::{Policy, Sandbox},
    servers::{
        Launch, Launcher, ServerError, mcp,
        worlds::{self, PythonWorlds, WorldsError},
    },
    stage::{Fetched, StageCtx, StageError},
    tools::bfcl::multi_turn::entry::MultiTurnEntry,
};

/// The parameter that names the Python.
const NAME: &str = "python";
/// Where the package has the classes.
const FOLDER: &str = "eval_checker/multi_turn_eval/func_source_code";
/// What a Python is asked of itself.
const ASK: &str =
    "import sys, platform; print(sys.executable); print(platform.python_implementation(), platform.python_version())";
/// The package.
const PACKAGE: &str = "bfcl_eval";

/// Starts a server of the classes that `entries` use, with the Python of the parameter `python`.
///
/// # Errors
/// [`StageError::Data`] for a source without the classes, [`StageError::Parameter`] for a Python that cannot load them, or
/// a machine without a sandbox.
pub(in crate::stage) fn open<'e>(
    context: &mut StageCtx,
    fetched: &Fetched,
    python: &str,
    entries: impl IntoIterator<Item = &'e MultiTurnEntry>,
) -> Result<PythonWorlds, StageError> {
    let names: BTreeSet<&str> =
        entries.into_iter().flat_map(|entry| &entry.setting.classes).map(String::as_str).collect();
    let classes: Vec<String> = names.iter().map(|name| format!("bfcl:{name}")).collect();
    let den = Den::furnish(context, &found(fetched)?)?;
    let helper = std::env::current_exe().map_err(StageError::failed("find this program"))?;
    let limits = Policy { allow_unsandboxed: context.request().allow_unsandboxed, ..Policy::new("/", "/") };
    let sandbox = Arc::new(Sandbox::new(helper.to_string_lossy().into_owned()));
    let launcher = Launcher::new(sandbox, limits, context.request().project.clone());
    let (interpreter, version) = interpreter(context, python)?;
    let command = worlds::command(&interpreter, den.script.as_std_path(), &classes);
    let mut launch = Launch::new(command, den.work, den.temporary);
    launch.environment.insert("PYTHONPATH".to_owned(), den.code.to_string());
    // A set is printed in the order of its hashes.
    launch.environment.insert("PYTHONHASHSEED".to_owned(), "0".to_owned());
    launch.read.push(den.code);
    let mut worlds = PythonWorlds::new(move || mcp::Client::start(&launcher, &launch, mcp::Limits::default()));
    match worlds.client() {
        Ok(_) => {
            context.log(format!("{} classes of the benchmark run under {version}", names.len()));
            Ok(worlds)
        }
        Err(WorldsError::Server(ServerError::Died { stderr, .. })) => {
            let said = stderr.lines().last().unwrap_or_default();
            let reason = format!(
                "`{python}` cannot serve the benchmark's classes ({said}): they need Python 3.10 or newer and `mpmath` (`python3 -m venv .venv`, \
                 `.venv/bin/pip install mpmath`, `python = \".venv/bin/python3\"`)"
            );
            Err(StageError::parameter(NAME, reason))
        }
        Err(error) => Err(StageError::parameter(NAME, chain(&error))),
    }
}

/// Returns the interpreter that a command leads to, and what it is: the command may be a script that looks for one (as pyenv
/// has them), which a sandbox would not let look.
fn interpreter(context: &StageCtx, python: &str) -> Result<(String, String), StageError> {
    let wrong =
        |reason: String| StageError::parameter(NAME, format!("`{python}` is no Python that can be used: {reason}"));
    let place = context.request().project.join(python);
    let program = if python.contains('/') { place.as_str() } else { python };
    let output = Command::new(program).args(["-I", "-c", ASK]).output();
    let output = output.map_err(|error| wrong(error.to_string()))?;
    if !output.status.success() {
        return Err(wrong(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let told = String::from_utf8_lossy(&output.stdout);
    let mut lines = told.lines().map(str::to_owned);
    match (lines.next(), lines.next()) {
        (Some(interpreter), Some(version)) => Ok((interpreter, version)),
        _ => Err(wrong(format!("it says `{}` of itself", told.trim()))),
    }
}

/// Returns the folder of the classes.
fn found(fetched: &Fetched) -> Result<Utf8PathBuf, StageError> {
    let places = [Utf8PathBuf::from(FOLDER), Utf8Path::new(PACKAGE).join(FOLDER)];
    places.iter().map(|place| fetched.path.join(place)).find(|folder| folder.is_dir()).ok_or_else(|| {
        StageError::data(
            &fetched.origin,
            format!("holds no API classes (`{FOLDER}`) to run calls in"),
            format!("take the package as a whole: `member = \"{PACKAGE}\"`"),
        )
    })
}

/// The folders of the server.
struct Den {
    /// What Python imports.
    code: Utf8PathBuf,
    script: Utf8PathBuf,
    work: Utf8PathBuf,
    temporary: Utf8PathBuf,
}

impl Den {
    /// Lays the files of the classes where Python finds them under their own names, and nothing else beside them.
    fn furnish(context: &StageCtx, classes: &Utf8Path) -> Result<Self, StageError> {
        let root = context.scratch().join("classes");
        if root.exists() {
            fs::remove_dir_all(&root).map_err(StageError::io("remove", &root))?;
        }
        let code = root.join("code");
        let (package, work, temporary) = (code.join(PACKAGE).join(FOLDER), root.join("work"), root.join("temporary"));
        for folder in [&package, &work, &temporary] {
            fs::create_dir_all(folder).map_err(StageError::io("create", folder))?;
        }
        for file in context.list_files(classes)?.iter().filter(|file| file.extension() == Some("py")) {
            let target = package.join(file);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder).map_err(StageError::io("create", folder))?;
            }
            fs::copy(classes.join(file), &target).map_err(StageError::io("copy", &target))?;
        }
        // Regular packages: one without the file would give way to an installed one of its name.
        for folder in package.ancestors().take_while(|folder| *folder != code) {
            let file = folder.join("__init__.py");
            fs::write(&file, "").map_err(StageError::io("write", &file))?;
        }
        let script = worlds::write_script(code.as_std_path()).map_err(StageError::io("write", &code))?;
        let script = Utf8PathBuf::from_path_buf(script).unwrap_or_default();
        Ok(Self { code, script, work, temporary })
    }
}
