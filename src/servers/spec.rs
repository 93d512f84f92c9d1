//! What a pipeline file says about tool suites: `tools = [{ mcp = […], … }, { openapi = "…", … }]`.
//!
//! Read by serde into a plain mirror, then checked into [`SuiteSpec`], which cannot hold a bad value. Nothing is opened here.

use std::{collections::BTreeMap, time::Duration};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::{setup::Setup, state::Probe};

/// The placeholder for an episode's private folder, in commands and environments.
pub const WORKDIR: &str = "{workdir}";

/// One tool suite, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SuiteText", into = "SuiteText")]
pub struct SuiteSpec {
    /// Where the tools come from.
    pub source: Source,
    /// The tools that may be called; `None`: all that there are.
    pub allow: Option<Vec<String>>,
    /// What is put before the names of the suite's tools.
    pub prefix: String,
    /// What a server keeps between calls.
    pub state: Keeps,
    /// What the private folder holds when an episode begins.
    pub setup: Setup,
    /// What an episode's end is compared by.
    pub compare: Vec<Probe>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// How long a server may take until it is ready.
    pub start_timeout: Duration,
}

/// Where tools come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A server of the Model Context Protocol over stdio.
    Mcp {
        /// Program and arguments.
        command: Vec<String>,
        /// Its environment, beside the few variables that programs need.
        environment: BTreeMap<String, String>,
        /// Files and folders that it may read, beside its own installation.
        read: Vec<Utf8PathBuf>,
    },
    /// Operations of an HTTP service.
    OpenApi {
        /// The document: a file, or a URL of this machine.
        document: String,
        /// Where the service is; `None`: where the document says.
        base_url: Option<String>,
        /// The service need not be on this machine.
        allow_remote: bool,
        /// Headers that every request carries.
        headers: BTreeMap<String, String>,
        /// A path that is posted to before each episode, so that the service forgets what was.
        reset: Option<String>,
    },
}

/// What a server keeps between calls, and hence what a fresh start for each sample takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeps {
    /// Nothing: any warm server serves any call of any sample.
    None,
    /// Files in its private folder and nothing else: the folder is emptied and set up again, the server stays.
    #[default]
    Workdir,
    /// Memory of its own: each sample gets a new process, started ahead of need where the setup allows.
    Process,
}

/// The mirror of what is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SuiteText {
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openapi: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_remote: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<Vec<Utf8PathBuf>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Keeps>,
    #[serde(default, skip_serializing_if = "Setup::is_empty")]
    setup: Setup,
    #[serde(skip_serializing_if = "Option::is_none")]
    compare: Option<Vec<Probe>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_timeout_seconds: Option<f64>,
}

/// A description that makes no suite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// Neither kind, or both.
    #[error("a tool suite has either `mcp = [\"program\", …]` or `openapi = \"file or URL\"`")]
    Kind,
    /// A key of the other kind.
    #[error("`{key}` goes with `{with}`")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// The kind that it goes with.
        with: &'static str,
    },
    /// An empty command.
    #[error("`mcp` is empty: expected the program and its arguments")]
    EmptyCommand,
    /// An allow-list of nothing.
    #[error("`allow` is empty: leave it out to allow all tools of the suite")]
    EmptyAllow,
    /// A time that is none.
    #[error("`{key}` is {value}: expected a number of seconds above 0 and up to 3600")]
    Timeout {
        /// The key.
        key: &'static str,
        /// What was written.
        value: String,
    },
    /// A private folder that nobody has.
    #[error("`state = \"none\"` means that nothing is kept, so `{key}` has no folder to look at")]
    Stateless {
        /// The key.
        key: &'static str,
    },
    /// A path that leaves the private folder.
    #[error("{0}")]
    Path(#[from] super::setup::PathError),
}

impl TryFrom<SuiteText> for SuiteSpec {
    type Error = SpecError;

    fn try_from(text: SuiteText) -> Result<Self, SpecError> {
        let state;
        let source = match (text.mcp, text.openapi) {
            (Some(command), None) => {
                let misplaced = [
                    ("base-url", text.base_url.is_some()),
                    ("allow-remote", text.allow_remote.is_some()),
                    ("headers", text.headers.is_some()),
                    ("reset", text.reset.is_some()),
                ];
                refuse_misplaced(&misplaced, "openapi")?;
                if command.first().is_none_or(String::is_empty) {
                    return Err(SpecError::EmptyCommand);
                }
                state = text.state.unwrap_or_default();
                Source::Mcp { command, environment: text.env.unwrap_or_default(), read: text.read.unwrap_or_default() }
            }
            (None, Some(document)) => {
                let misplaced =
                    [("env", text.env.is_some()), ("read", text.read.is_some()), ("state", text.state.is_some())];
                refuse_misplaced(&misplaced, "mcp")?;
                state = Keeps::None;
                Source::OpenApi {
                    document,
                    base_url: text.base_url,
                    allow_remote: text.allow_remote.unwrap_or(false),
                    headers: text.headers.unwrap_or_default(),
                    reset: text.reset,
                }
            }
            _ => return Err(SpecError::Kind),
        };
        if text.allow.as_ref().is_some_and(Vec::is_empty) {
            return Err(SpecError::EmptyAllow);
        }
        text.setup.check()?;
        let compare = match text.compare {
            Some(probes) => probes,
            None if state == Keeps::None => Vec::new(),
            None => vec![Probe::folder(".")],
        };
        for probe in &compare {
            probe.check()?;
        }
        if state == Keeps::None {
            if !text.setup.is_empty() {
                return Err(SpecError::Stateless { key: "setup" });
            }
            if compare.iter().any(|probe| !matches!(probe, Probe::Http { .. })) {
                return Err(SpecError::Stateless { key: "compare" });
            }
        }
        Ok(Self {
            source,
            allow: text.allow,
            prefix: text.prefix,
            state,
            setup: text.setup,
            compare,
            call_timeout: seconds("call-timeout-seconds", text.call_timeout_seconds, 10.0)?,
            start_timeout: seconds("start-timeout-seconds", text.start_timeout_seconds, 30.0)?,
        })
    }
}

fn refuse_misplaced(keys: &[(&'static str, bool)], with: &'static str) -> Result<(), SpecError> {
    match keys.iter().find(|(_, given)| *given) {
        Some((key, _)) => Err(SpecError::Misplaced { key, with }),
        None => Ok(()),
    }
}

fn seconds(key: &'static str, given: Option<f64>, default: f64) -> Result<Duration, SpecError> {
    let value = given.unwrap_or(default);
    if value > 0.0 && value <= 3600.0 {
        Ok(Duration::from_secs_f64(value))
    } else {
        Err(SpecError::Timeout { key, value: value.to_string() })
    }
}

impl From<SuiteSpec> for SuiteText {
    fn from(spec: SuiteSpec) -> Self {
        let mut text = Self {
            allow: spec.allow,
            prefix: spec.prefix,
            setup: spec.setup,
            compare: Some(spec.compare),
            call_timeout_seconds: Some(spec.call_timeout.as_secs_f64()),
            start_timeout_seconds: Some(spec.start_timeout.as_secs_f64()),
            ..Self::default()
        };
        match spec.source {
            Source::Mcp { command, environment, read } => {
                text.mcp = Some(command);
                text.env = Some(environment);
                text.read = Some(read);
                text.state = Some(spec.state);
            }
            Source::OpenApi { document, base_url, allow_remote, headers, reset } => {
                text.openapi = Some(document);
                text.base_url = base_url;
                text.allow_remote = Some(allow_remote);
                text.headers = Some(headers);
                text.reset = reset;
            }
        }
        text
    }
}
