//! The face of this workshop: suites are opened once, episodes call their tools.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use toolexpander::{sandbox::{Policy, Sandbox}, servers::{Launcher, Servers, Setup, SuiteSpec}, tools::Call};
//! # fn f(suites: &[SuiteSpec], call: &Call) -> Result<(), Box<dyn std::error::Error>> {
//! let sandbox = Arc::new(Sandbox::new("/usr/bin/pipeline"));
//! let launcher = Launcher::new(sandbox, Policy::new("/", "/"), "/home/me/project");
//! let servers = Servers::open(suites, &launcher, 2)?;
//! let listed = servers.tools();                          // for the prompt
//! let mut episode = servers.episode(&Setup::default())?; // fresh state
//! let outcome = episode.call(call);                      // never an error: what went wrong is an outcome
//! let end = episode.end_state()?;                        // to compare
//! # Ok(()) }
//! ```

use std::{io::Read as _, sync::Arc, time::Instant};

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    alias::Alias,
    check::{Checks, SchemaError},
    error::ServerError,
    mcp::Reply,
    openapi::{Document, DocumentError, HttpError, Operation, Service},
    outcome::{CallOutcome, FailureKind, Trace},
    pool::{Idle, Rooms},
    process::Launcher,
    room::{Den, Room, RoomError, is_private},
    setup::{Setup, SetupError},
    spec::{Keeps, Source, SuiteSpec},
    state::{self, EndState, Probe, Reader, StateError},
};
use crate::{
    base::did_you_mean,
    tools::{Call, ToolSpec},
};

/// The largest result that is shown, in bytes; the rest is cut.
const LONGEST_RESULT: usize = 1 << 18;

/// Why suites cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServersError {
    /// A server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A private folder.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A tool's schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// An OpenAPI document.
    #[error("failed to read the OpenAPI document `{document}`")]
    Document {
        /// Where.
        document: String,
        /// Why.
        source: DocumentError,
    },
    /// An OpenAPI document that cannot be had.
    #[error("failed to fetch the OpenAPI document `{document}`: {reason}")]
    Fetch {
        /// Where.
        document: String,
        /// Why.
        reason: String,
    },
    /// A service.
    #[error("failed to use the service of `{document}`")]
    Service {
        /// Its document.
        document: String,
        /// Why.
        source: HttpError,
    },
    /// A tool that does not exist is allowed.
    #[error("`allow` names `{tool}`, but the suite has no such tool{}; it has: {}", .similar.as_ref().map_or(String::new(), |name| format!(" (did you mean `{name}`?)")), .tools.join(", "))]
    Allow {
        /// The name.
        tool: String,
        /// A name that was perhaps meant.
        similar: Option<String>,
        /// The names that there are.
        tools: Vec<String>,
    },
    /// Two tools of one name.
    #[error("two suites have a tool named `{tool}`: give one of them a `prefix`, or leave the tool out with `allow`")]
    Twice {
        /// The name.
        tool: String,
    },
    /// A model could not call it.
    #[error("no suite offers a tool")]
    NoTools,
}

impl From<RoomError> for ServersError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::Server(error) => Self::Server(error),
            RoomError::Setup(error) => Self::Setup(error),
        }
    }
}

/// A suite at work.
struct Suite {
    spec: SuiteSpec,
    /// Servers that keep nothing.
    idle: Idle,
    /// The HTTP service.
    service: Option<Service>,
}

/// A tool, and whose it is.
struct Route {
    suite: usize,
    /// As its suite calls it.
    name: String,
    operation: Option<Operation>,
}

struct Shared {
    suites: Vec<Suite>,
    /// The suites' setups together.
    common: Setup,
    tools: Vec<ToolSpec>,
    checks: Checks,
    routes: IndexMap<String, Route>,
    launcher: Launcher,
    rooms: Arc<Rooms>,
}

/// Opened suites. Cheap to clone; clones share servers.
#[derive(Clone)]
pub struct Servers {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Servers").field("tools", &self.shared.tools.len()).finish_non_exhaustive()
    }
}

impl Servers {
    /// Opens suites: starts each server once, reads each document, and prepares the checks of all tools that are allowed. At most
    /// `concurrency` episodes go on at once; more wait.
    ///
    /// # Errors
    /// [`ServersError`] for the first thing that cannot be used.
    pub fn open(specs: &[SuiteSpec], launcher: &Launcher, concurrency: usize) -> Result<Self, ServersError> {
        let references: Vec<&SuiteSpec> = specs.iter().collect();
        let common = specs.iter().fold(Setup::default(), |common, spec| common.with(&spec.setup));
        let rooms = Arc::new(Rooms::new(concurrency));
        let mut room = None;
        if specs.iter().any(is_private) {
            let mut first = Room::new(specs.len())?;
            first.prepare(launcher, &references, &common, &Setup::default())?;
            room = Some(first);
        }
        let (mut suites, mut tools, mut routes) = (Vec::new(), Vec::new(), IndexMap::new());
        for (index, spec) in specs.iter().enumerate() {
            let idle = Idle::default();
            let mut service = None;
            let offered: Vec<(ToolSpec, Option<Operation>)> = match &spec.source {
                Source::Mcp { .. } => {
                    let listed = match &mut room {
                        Some(room) if is_private(spec) => {
                            let alias = room.alias().clone();
                            let client = room.client(launcher, &references, index)?;
                            client.tools().iter().map(|tool| shown_tool(&alias, tool)).collect::<Vec<_>>()
                        }
                        _ => {
                            let den = Den::new()?;
                            let client = den.start(launcher, spec)?;
                            let alias = Alias::new(den.work().as_str());
                            let listed = client.tools().iter().map(|tool| shown_tool(&alias, tool)).collect();
                            idle.give((client, den));
                            listed
                        }
                    };
                    listed.into_iter().map(|tool| (tool, None)).collect()
                }
                Source::OpenApi { document, base_url, allow_remote, headers, .. } => {
                    let read = read_document(document, launcher, *allow_remote)?;
                    let base = Service::base_of(&read, base_url.as_deref());
                    let opened = Service::new(&base, *allow_remote, headers.clone(), spec.call_timeout);
                    service =
                        Some(opened.map_err(|source| ServersError::Service { document: document.clone(), source })?);
                    read.operations.into_iter().map(|operation| (operation.tool.clone(), Some(operation))).collect()
                }
            };
            for (mut tool, operation) in allowed(spec, offered)? {
                let name = std::mem::take(&mut tool.name);
                tool.name = format!("{}{name}", spec.prefix);
                if routes.insert(tool.name.clone(), Route { suite: index, name, operation }).is_some() {
                    return Err(ServersError::Twice { tool: tool.name });
                }
                tools.push(tool);
            }
            suites.push(Suite { spec: spec.clone(), idle, service });
        }
        if tools.is_empty() {
            return Err(ServersError::NoTools);
        }
        let checks = Checks::new(&tools)?;
        if let Some(room) = room {
            rooms.give(room);
        }
        let launcher = launcher.clone();
        Ok(Self { shared: Arc::new(Shared { suites, common, tools, checks, routes, launcher, rooms }) })
    }

    /// Returns the tools that may be called, for the prompt.
    pub fn tools(&self) -> &[ToolSpec] {
        &self.shared.tools
    }

    /// Begins an episode with fresh state: the suites' setup, and `setup` on top. Waits while as many go on as may.
    ///
    /// # Errors
    /// [`ServersError`] if a folder cannot be set up or a server cannot be started, at the second attempt too.
    pub fn episode(&self, setup: &Setup) -> Result<Episode, ServersError> {
        let shared = &self.shared;
        let waiting = shared.rooms.take();
        // From here on, dropping the episode says that it has ended.
        let mut episode = Episode { shared: Arc::clone(shared), room: None };
        for suite in &shared.suites {
            if let (Some(service), Source::OpenApi { document, reset: Some(reset), .. }) =
                (&suite.service, &suite.spec.source)
            {
                let failed = |source| ServersError::Service { document: document.clone(), source };
                service.post_empty(reset).map_err(failed)?;
            }
        }
        if !shared.suites.iter().any(|suite| is_private(&suite.spec)) {
            if !setup.is_empty() {
                return Err(SetupError::File {
                    path: "a private folder".to_owned(),
                    source: std::io::Error::other(
                        "no suite has one: a setup needs `state = \"workdir\"` or `\"process\"`",
                    ),
                }
                .into());
            }
            return Ok(episode);
        }
        let specs = shared.specs();
        if let Some(mut room) = waiting
            && room.prepare(&shared.launcher, &specs, &shared.common, setup).is_ok()
        {
            episode.room = Some(room);
            return Ok(episode);
        }
        let mut room = Room::new(specs.len())?;
        room.prepare(&shared.launcher, &specs, &shared.common, setup)?;
        episode.room = Some(room);
        Ok(episode)
    }

    /// Makes `calls` in an episode of their own.
    ///
    /// # Errors
    /// [`ServersError`] as [`Servers::episode`], or a [`StateError`] in its `source`.
    pub fn run(&self, calls: &[Call], setup: &Setup) -> Result<Trace, RunError> {
        let mut episode = self.episode(setup)?;
        let outcomes = calls.iter().map(|call| episode.call(call)).collect();
        Ok(Trace { outcomes, end: episode.end_state()? })
    }
}

/// Why calls could not be run and looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The episode.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// Its end.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Shared {
    fn specs(&self) -> Vec<&SuiteSpec> {
        self.suites.iter().map(|suite| &suite.spec).collect()
    }
}

/// A fresh world for one sample's calls. Dropping it gives its servers back.
pub struct Episode {
    shared: Arc<Shared>,
    room: Option<Room>,
}

impl std::fmt::Debug for Episode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Episode").finish_non_exhaustive()
    }
}

impl Episode {
    /// Checks a call, makes it, and says what came of it. A server that fails is replaced for the next call.
    pub fn call(&mut self, call: &Call) -> CallOutcome {
        let begin = Instant::now();
        let (text, structured, failure) = match self.attempt(call) {
            Ok(reply) if reply.is_error => (reply.text, reply.structured, Some(FailureKind::Tool)),
            Ok(reply) => (reply.text, reply.structured, None),
            Err((kind, text)) => (text, None, Some(kind)),
        };
        CallOutcome { text: cut(text), structured, failure, latency: begin.elapsed() }
    }

    fn attempt(&mut self, call: &Call) -> Result<Reply, (FailureKind, String)> {
        let shared = Arc::clone(&self.shared);
        shared.checks.check(call).map_err(|refusal| (FailureKind::Refused, refusal.to_string()))?;
        let route = &shared.routes[&call.name];
        let suite = &shared.suites[route.suite];
        if let (Some(service), Some(operation)) = (&suite.service, &route.operation) {
            return service.call(operation, &call.arguments).map_err(|error| http_failure(&error));
        }
        let server = |error: ServerError| (failure_kind(&error), error.to_string());
        if is_private(&suite.spec) {
            let room = self.room.as_mut().expect("an episode of suites with folders has a room");
            room.touch();
            let alias = room.alias().clone();
            let client = room.client(&shared.launcher, &shared.specs(), route.suite).map_err(server)?;
            let reply = client.call(&translated(&alias, route, call));
            return reply
                .map(|reply| shown_reply(&alias, reply))
                .map_err(server)
                .map_err(|(kind, text)| (kind, alias.shown(&text)));
        }
        let (mut client, den) = match suite.idle.take() {
            Some(waiting) => waiting,
            None => {
                let den = Den::new().map_err(|error| (FailureKind::Server, error.to_string()))?;
                (den.start(&shared.launcher, &suite.spec).map_err(server)?, den)
            }
        };
        let alias = Alias::new(den.work().as_str());
        let reply = client.call(&translated(&alias, route, call));
        suite.idle.give((client, den));
        reply.map(|reply| shown_reply(&alias, reply)).map_err(server).map_err(|(kind, text)| (kind, alias.shown(&text)))
    }

    /// Reads what the episode left behind.
    ///
    /// # Errors
    /// [`StateError`] if something there cannot be read; what is not there is a finding.
    pub fn end_state(&self) -> Result<EndState, StateError> {
        let shared = &self.shared;
        let mut all = EndState::default();
        // A sample's folder is all suites' folder, so each probe sees what the others look at.
        let probes: Vec<Probe> = shared.suites.iter().flat_map(|suite| suite.spec.compare.clone()).collect();
        for (index, suite) in shared.suites.iter().enumerate() {
            let reader = Reader {
                folder: self.room.as_ref().map(|room| room.den().work().as_std_path()),
                git: &|folder, arguments| match &self.room {
                    Some(room) => shared.launcher.git(folder, room.den().temporary(), arguments),
                    None => Err("there is no private folder".to_owned()),
                },
                http: &|path| match &suite.service {
                    Some(service) => service.get_json(path).map_err(|error| error.to_string()),
                    None => Err("the suite is no HTTP service".to_owned()),
                },
            };
            for (name, finding) in state::read(&suite.spec.compare, &probes, &reader)?.findings {
                // Two suites with one folder may look at the same; two services are two.
                let name =
                    if name.starts_with("http ") && index > 0 { format!("suite {}: {name}", index + 1) } else { name };
                all.findings.insert(name, finding);
            }
        }
        Ok(all)
    }
}

impl Drop for Episode {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            self.give_back(room);
        }
        // Last, so that the next episode finds the room.
        self.shared.rooms.ended();
    }
}

impl Episode {
    fn give_back(&self, room: Room) {
        let is_process = |suite: &Suite| is_private(&suite.spec) && suite.spec.state == Keeps::Process;
        if !self.shared.suites.iter().any(is_process) {
            self.shared.rooms.give(room);
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.rooms.give_after(room, move |mut room| {
            let prepared = room.prepare(&shared.launcher, &shared.specs(), &shared.common, &Setup::default());
            prepared.is_ok().then_some(room)
        });
    }
}

fn translated(alias: &Alias, route: &Route, call: &Call) -> Call {
    let arguments = match alias.real_value(Value::Object(call.arguments.clone())) {
        Value::Object(arguments) => arguments,
        _ => call.arguments.clone(),
    };
    Call { name: route.name.clone(), arguments }
}

fn shown_reply(alias: &Alias, reply: Reply) -> Reply {
    Reply {
        text: alias.shown(&reply.text),
        structured: reply.structured.map(|value| alias.shown_value(value)),
        is_error: reply.is_error,
    }
}

fn shown_tool(alias: &Alias, tool: &ToolSpec) -> ToolSpec {
    ToolSpec {
        name: tool.name.clone(),
        description: alias.shown(&tool.description),
        parameters: alias.shown_value(tool.parameters.clone()),
    }
}

/// Returns the tools that the suite's allow-list leaves.
fn allowed(
    spec: &SuiteSpec,
    offered: Vec<(ToolSpec, Option<Operation>)>,
) -> Result<Vec<(ToolSpec, Option<Operation>)>, ServersError> {
    let Some(allow) = &spec.allow else { return Ok(offered) };
    let names: Vec<String> = offered.iter().map(|(tool, _)| tool.name.clone()).collect();
    if let Some(tool) = allow.iter().find(|tool| !names.contains(tool)) {
        let similar = did_you_mean(tool, names.iter().map(String::as_str)).map(str::to_owned);
        return Err(ServersError::Allow { tool: tool.clone(), similar, tools: names });
    }
    Ok(offered.into_iter().filter(|(tool, _)| allow.contains(&tool.name)).collect())
}

fn read_document(document: &str, launcher: &Launcher, allow_remote: bool) -> Result<Document, ServersError> {
    let fetch = |reason: String| ServersError::Fetch { document: document.to_owned(), reason };
    let bytes = if document.starts_with("http://") || document.starts_with("https://") {
        let (base, path) = document.rsplit_once('/').unwrap_or((document, ""));
        let service =
            Service::new(base, allow_remote, std::collections::BTreeMap::new(), std::time::Duration::from_secs(30));
        let service = service.map_err(|error| fetch(error.to_string()))?;
        let value = service.get_json(path).map_err(|error| fetch(error.to_string()))?;
        value.to_string().into_bytes()
    } else {
        let mut bytes = Vec::new();
        let limit = super::openapi::MAX_DOCUMENT_BYTES as u64 + 1;
        let file = std::fs::File::open(launcher.project().join(document)).map_err(|error| fetch(error.to_string()))?;
        file.take(limit).read_to_end(&mut bytes).map_err(|error| fetch(error.to_string()))?;
        bytes
    };
    Document::read(&bytes).map_err(|source| ServersError::Document { document: document.to_owned(), source })
}

fn failure_kind(error: &ServerError) -> FailureKind {
    match error {
        ServerError::Protocol { .. } => FailureKind::Protocol,
        ServerError::Hung { .. } => FailureKind::Timeout,
        _ => FailureKind::Server,
    }
}

fn http_failure(error: &HttpError) -> (FailureKind, String) {
    let kind = match error {
        HttpError::Timeout { .. } => FailureKind::Timeout,
        HttpError::Request { .. } => FailureKind::Refused,
        _ => FailureKind::Server,
    };
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    (kind, format!("{error}{source}"))
}

/// Results are shown to models: endless ones are cut, at a letter's end.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST_RESULT {
        let mut end = LONGEST_RESULT;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
