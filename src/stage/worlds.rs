//! Where the calls of samples run: in the suite that a sample's `environment` names, or in the tool servers of the
//! parameter `tools`.
//!
//! Servers are programs that are really called, each in a sandbox, with fresh state for every completion. They are started
//! by this module only, and only if the parameter asks for them.

use std::sync::Arc;

use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    base::chain,
    sandbox::{Policy, Sandbox},
    servers::{Episode, FailureKind, Launcher, Servers, Setup, SuiteSpec},
    stage::{StageCtx, StageError, training::rollouts::BATCH},
    tools::{
        Call, Environment, Sample,
        episode::{self, Failed, FailedBy, Toolbox, Trace},
    },
};

const NAME: &str = "tools";
/// Episodes at once at most; how many there are is decided by who samples.
const EPISODES: usize = 4096;
/// Completions at once that may hold servers.
const SERVED_BATCH: usize = 8;
/// What one server may take: the common runtimes reserve much more than they use.
const SERVER_BYTES: u64 = 2 << 30;

/// Where calls run.
pub(in crate::stage) enum Worlds {
    /// In a suite that is built in.
    Suites,
    /// In tool servers.
    Servers(Servers),
}

impl Worlds {
    /// Reads the parameter `tools` and opens the servers that it names.
    ///
    /// # Errors
    /// [`StageError::Parameter`] for suites that cannot be used, or a machine without a sandbox.
    pub(in crate::stage) fn read(context: &mut StageCtx) -> Result<Self, StageError> {
        let specs: Vec<SuiteSpec> = context.param::<Option<Vec<SuiteSpec>>>(NAME)?.unwrap_or_default();
        if specs.is_empty() {
            return Ok(Self::Suites);
        }
        let wrong = |error: &dyn std::error::Error| StageError::parameter(NAME, chain(error));
        let helper = std::env::current_exe().map_err(|error| wrong(&error))?;
        let helper = helper.to_string_lossy().into_owned();
        let limits = Policy {
            memory_bytes: SERVER_BYTES,
            allow_unsandboxed: context.request().allow_unsandboxed,
            ..Policy::new("/", "/")
        };
        let launcher = Launcher::new(Arc::new(Sandbox::new(helper)), limits, context.request().project.clone());
        let servers = Servers::open(&specs, &launcher, EPISODES).map_err(|error| wrong(&error))?;
        let names: Vec<&str> = servers.tools().iter().map(|tool| tool.name.as_str()).collect();
        context.log(format!("{} tools are served: {}", names.len(), names.join(", ")));
        Ok(Self::Servers(servers))
    }

    /// Lists the servers' tools in samples that list none.
    ///
    /// # Errors
    /// [`StageError::Data`] for samples that need servers, where there are none.
    pub(in crate::stage) fn offer(&self, samples: &mut [Sample]) -> Result<(), StageError> {
        match self {
            Self::Servers(servers) => {
                for sample in samples.iter_mut().filter(|sample| sample.tools.is_empty()) {
                    sample.tools = servers.tools().to_vec();
                }
                Ok(())
            }
            Self::Suites => match samples.iter().find(|sample| sample.is_served()) {
                None => Ok(()),
                Some(sample) => Err(StageError::data(
                    format!("sample `{}`", sample.id),
                    "has calls that run in tool servers, and the stage has none",
                    "set `tools` (docs/SUITES.md)",
                )),
            },
        }
    }

    /// Returns how many completions grow at once: each may hold servers of its own. It moves memory and speed only.
    pub(in crate::stage) fn batch(&self) -> usize {
        match self {
            Self::Suites => BATCH,
            Self::Servers(_) => SERVED_BATCH,
        }
    }

    /// Whether calls run in other processes, each episode in some of its own.
    pub(in crate::stage) fn are_served(&self) -> bool {
        matches!(self, Self::Servers(_))
    }

    /// Returns a fresh world for a sample; `None` where it has none.
    ///
    /// # Errors
    /// [`StageError::Failed`] for a server that does not start.
    pub(in crate::stage) fn toolbox(&self, sample: &Sample) -> Result<Option<Box<dyn Toolbox>>, StageError> {
        Ok(match self {
            Self::Suites => episode::toolbox(sample).map(|world| Box::new(world) as Box<dyn Toolbox>),
            Self::Servers(servers) => {
                let failed = StageError::failed(format!("begin an episode of sample `{}`", sample.id));
                Some(Box::new(Served { episode: servers.episode(&setup(sample)?).map_err(failed)? }))
            }
        })
    }

    /// Returns what the gold calls of a sample come to.
    ///
    /// # Errors
    /// As [`Worlds::toolbox`].
    pub(in crate::stage) fn gold(&self, sample: &Sample) -> Result<Trace, StageError> {
        let toolbox = self.toolbox(sample)?;
        Ok(toolbox.map_or_else(Trace::default, |mut toolbox| Trace::of(&mut *toolbox, &sample.gold)))
    }
}

/// Returns what the servers' folder holds for a sample beside what is common to all.
fn setup(sample: &Sample) -> Result<Setup, StageError> {
    let own = sample.environment.as_ref().filter(|environment| environment.suite == Environment::WORKDIR);
    let Some(environment) = own else { return Ok(Setup::default()) };
    Setup::deserialize(&environment.state).map_err(|error| {
        let help = "give `state` the keys of `setup`: `folders`, `files`, `sqlite`, `git` (docs/SUITES.md)";
        StageError::data(format!("the environment of sample `{}`", sample.id), error.to_string(), help)
    })
}

/// An episode with tool servers.
struct Served {
    episode: Episode,
}

impl Toolbox for Served {
    fn call(&mut self, call: &Call) -> Result<Value, Failed> {
        let outcome = self.episode.call(call);
        let by = match outcome.failure {
            None => return Ok(outcome.value()),
            Some(FailureKind::Refused) => FailedBy::Check,
            Some(FailureKind::Tool) => FailedBy::Tool,
            Some(FailureKind::Timeout) => FailedBy::Timeout,
            Some(_) => FailedBy::Server,
        };
        Err(Failed { by, text: outcome.text })
    }

    fn state(&mut self) -> Result<Value, String> {
        let state = self.episode.end_state().map_err(|error| chain(&error))?;
        serde_json::to_value(state).map_err(|error| error.to_string())
    }
}
