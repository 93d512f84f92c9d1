//! Worlds in a Python process: API classes behind `stages/shared/python_tools.py`, asked by the Model Context Protocol.
//!
//! One process serves any number of worlds. Where it is lost (a call that never ends, a crash) its worlds are gone with it; the
//! next request starts another. How a process is started, and what shuts it in, is the caller's to say.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{ServerError, mcp::Client};
use crate::tools::{
    Call,
    bfcl::multi_turn::{
        verdict::{Failure, Verdict},
        world::{Outcome, Run, Worlds},
    },
};

/// The server's script.
pub const SCRIPT: &str = include_str!("../../stages/shared/python_tools.py");

/// What the script is called where it is written.
const SCRIPT_NAME: &str = "python_tools.py";

/// What starts a server.
type Start = Box<dyn FnMut() -> Result<Client, ServerError> + Send>;

/// Why worlds could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldsError {
    /// The server does not start, or refuses the request.
    #[error(transparent)]
    Server(ServerError),
    /// The server was lost while calls ran: it hung, or ended. With it all worlds.
    #[error("the worlds were lost while calls ran: {0}")]
    Lost(#[source] ServerError),
    /// The server answers in another form than asked for.
    #[error("the Python tool server answers in a form that was not asked for: {0}")]
    Form(String),
}

/// API classes in a Python process.
pub struct PythonWorlds {
    start: Start,
    client: Option<Client>,
}

impl fmt::Debug for PythonWorlds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PythonWorlds").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Writes the server's script into a folder and returns its path.
///
/// # Errors
/// When it cannot be written.
pub fn write_script(folder: &Path) -> io::Result<PathBuf> {
    let path = folder.join(SCRIPT_NAME);
    fs::write(&path, SCRIPT)?;
    Ok(path)
}

/// Returns the command of a server of classes: `module:Name`, or `bfcl` for the eight of BFCL's multi-turn categories.
///
/// The classes of BFCL tell times of the local zone: the environment must hold `TZ=UTC`.
pub fn command(python: &str, script: &Path, classes: &[impl AsRef<str>]) -> Vec<String> {
    let words = [python, "-B", &script.to_string_lossy()].map(str::to_owned);
    words.into_iter().chain(classes.iter().map(|class| class.as_ref().to_owned())).collect()
}

impl PythonWorlds {
    /// Prepares worlds in a server that `start` starts: at the first request, and after each loss.
    pub fn new(start: impl FnMut() -> Result<Client, ServerError> + Send + 'static) -> Self {
        Self { start: Box::new(start), client: None }
    }

    /// Returns the server, started if it does not run.
    ///
    /// # Errors
    /// When it cannot be started, for instance because a class cannot be imported.
    pub fn client(&mut self) -> Result<&mut Client, WorldsError> {
        if !self.client.as_ref().is_some_and(Client::is_usable) {
            // The old one ends before its successor begins.
            self.client = None;
        }
        match &mut self.client {
            Some(client) => Ok(client),
            slot => Ok(slot.insert((self.start)().map_err(WorldsError::Server)?)),
        }
    }
}

impl WorldsError {
    /// Returns what calls did to lose the worlds, in words that are the same on every machine; anything else is no fault of
    /// calls.
    ///
    /// # Errors
    /// The error itself, if no call is to blame.
    pub fn into_loss(self) -> Result<&'static str, Self> {
        match self {
            Self::Lost(ServerError::Hung { .. }) => {
                Ok("a call did not come back in time, and the worlds were lost with it")
            }
            Self::Lost(_) => Ok("a call ended the process that holds the worlds"),
            other => Err(other),
        }
    }

    /// Returns the verdict on an answer whose calls lost the worlds.
    ///
    /// # Errors
    /// As [`WorldsError::into_loss`].
    pub fn into_verdict(self) -> Result<Verdict, Self> {
        self.into_loss().map(|reason| Verdict::failed(Failure::World { reason: reason.to_owned() }))
    }
}

impl Worlds for PythonWorlds {
    type Error = WorldsError;

    fn run(&mut self, runs: &[Run<'_>]) -> Result<Vec<Outcome>, WorldsError> {
        let form = |error: serde_json::Error| WorldsError::Form(error.to_string());
        let call = Call::new("world_run", [("runs", json!(serde_json::to_value(runs).map_err(form)?))]);
        let reply = self.client()?.call(&call).map_err(|error| {
            if error.leaves_server_usable() { WorldsError::Server(error) } else { WorldsError::Lost(error) }
        })?;
        let told = reply.structured.and_then(|mut told| told.get_mut("runs").map(Value::take));
        let told = told.ok_or(WorldsError::Form(reply.text))?;
        let outcomes: Vec<Outcome> = serde_json::from_value(told).map_err(form)?;
        if outcomes.len() != runs.len() {
            return Err(WorldsError::Form(format!("{} outcomes of {} runs", outcomes.len(), runs.len())));
        }
        Ok(outcomes)
    }
}
