//! Servers of BFCL's API classes, each in a sandbox of its own, for the oracle.

use std::{
    io::{self, Write},
    process::Command,
    sync::Arc,
};

use camino::Utf8PathBuf;
use toolexpander::{
    sandbox::{Policy, Sandbox},
    servers::{Launch, Launcher, ServerError, mcp, worlds},
};

/// The program that the classes run under: the variable `PIPELINE_PYTHON`, or `python3`.
fn python() -> String {
    std::env::var("PIPELINE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Judges the ground truth of all categories as an answer, and writes a table and a line of JSON.
///
/// # Errors
/// What is missing, in words; when it cannot be written.
pub fn write_gold(out: &mut impl Write) -> io::Result<()> {
    let folder = data().map_err(io::Error::other)?;
    let read = |file: &str| fs_err::read_to_string(folder.join(file)).map_err(|error| error.to_string());
    let mut found = super::multi_turn::gold(read, open).map_err(io::Error::other)?;
    write!(out, "{}", super::multi_turn::gold_table(&found))?;
    found["kind"] = "multi-turn gold".into();
    writeln!(out, "{found}")
}

/// Returns worlds whose server runs. This program is the sandbox's helper: see `main`.
///
/// # Errors
/// What is missing, in words.
pub fn open() -> Result<worlds::PythonWorlds, String> {
    let failed = |error: std::io::Error| error.to_string();
    let helper = Utf8PathBuf::from_path_buf(std::env::current_exe().map_err(failed)?);
    let helper = helper.map_err(|path| format!("{} is no UTF-8", path.display()))?;
    let launcher = Launcher::new(Arc::new(Sandbox::new(&helper)), Policy::new("", ""), "/");
    // A private folder, which goes with the closure that knows it.
    let den = tempfile::tempdir().map_err(failed)?;
    let root = den.path().canonicalize().map_err(failed)?;
    let root = Utf8PathBuf::from_path_buf(root).map_err(|path| format!("{} is no UTF-8", path.display()))?;
    let (work, temporary) = (root.join("work"), root.join("temporary"));
    for folder in [&work, &temporary] {
        fs_err::create_dir(folder).map_err(failed)?;
    }
    let script = worlds::write_script(work.as_std_path()).map_err(failed)?;
    let launch = Launch::new(worlds::command(&python(), &script, &["bfcl"]), work, temporary);
    let mut worlds = worlds::PythonWorlds::new(move || {
        let _kept = &den;
        mcp::Client::start(&launcher, &launch, mcp::Limits::default())
    });
    match worlds.client() {
        Ok(_) => Ok(worlds),
        Err(worlds::WorldsError::Server(ServerError::Died { stderr, .. })) if stderr.contains("bfcl_eval") => {
            Err(missing())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the folder `data` of the package.
fn data() -> Result<Utf8PathBuf, String> {
    let find = "import importlib.util as u; print(u.find_spec('bfcl_eval').submodule_search_locations[0])";
    let found = Command::new(python()).args(["-c", find]).output().map_err(|error| error.to_string())?;
    if !found.status.success() {
        return Err(missing());
    }
    Ok(Utf8PathBuf::from(String::from_utf8_lossy(&found.stdout).trim()).join("data"))
}

fn missing() -> String {
    format!(
        "multi-turn episodes run in the API classes of the package `bfcl-eval`, which `{}` does not have: \
         `pip install bfcl-eval==2026.3.23`, or name another Python in PIPELINE_PYTHON",
        python()
    )
}
