//! A private folder with the servers that work in it.

use std::{os::fd::AsFd as _, path::Path};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::{
    alias::Alias,
    error::ServerError,
    inside,
    mcp::{Client, Limits},
    process::{Launch, Launcher},
    setup::{self, Setup, SetupError},
    spec::{Keeps, Source, SuiteSpec, WORKDIR},
};

/// Two folders that only an episode has: one that counts, and one for what nobody keeps.
pub(super) struct Den {
    root: TempDir,
    work: Utf8PathBuf,
    temporary: Utf8PathBuf,
}

impl Den {
    pub(super) fn new() -> Result<Self, SetupError> {
        let failed = |source| SetupError::File { path: "a private folder".to_owned(), source };
        let root = tempfile::Builder::new().prefix("tools-").tempdir().map_err(failed)?;
        // Servers report real paths, and what they report is compared.
        let real = root.path().canonicalize().map_err(failed)?;
        let real = Utf8PathBuf::from_path_buf(real).map_err(|_| failed(std::io::ErrorKind::InvalidFilename.into()))?;
        let (work, temporary) = (real.join("work"), real.join("temporary"));
        std::fs::create_dir(&work).map_err(failed)?;
        std::fs::create_dir(&temporary).map_err(failed)?;
        Ok(Self { root, work, temporary })
    }

    pub(super) fn work(&self) -> &Utf8Path {
        &self.work
    }

    pub(super) fn temporary(&self) -> &Utf8Path {
        &self.temporary
    }

    /// Starts a suite's server here.
    pub(super) fn start(&self, launcher: &Launcher, suite: &SuiteSpec) -> Result<Client, ServerError> {
        let Source::Mcp { command, environment, read } = &suite.source else {
            unreachable!("only servers over stdio are started")
        };
        let filled = |text: &String| text.replace(WORKDIR, self.work.as_str());
        let mut launch = Launch::new(command.iter().map(filled).collect(), &self.work, &self.temporary);
        launch.environment = environment.iter().map(|(name, value)| (name.clone(), filled(value))).collect();
        launch.read.clone_from(read);
        let limits = Limits { start: suite.start_timeout, call: suite.call_timeout, ..Limits::default() };
        Client::start(launcher, &launch, limits)
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        setup::unlock(self.root.path());
    }
}

/// An episode's folder and servers, used by one episode at a time and then again.
pub(super) struct Room {
    /// By suite; `None`: not running, or not of this kind. Servers are ended before their folder goes.
    clients: Vec<Option<Client>>,
    den: Den,
    alias: Alias,
    /// It holds the suites' setup, and nothing happened since.
    fresh: bool,
}

impl Room {
    pub(super) fn new(suites: usize) -> Result<Self, SetupError> {
        let den = Den::new()?;
        let alias = Alias::new(den.work().as_str());
        Ok(Self { clients: (0..suites).map(|_| None).collect(), den, alias, fresh: false })
    }

    pub(super) fn den(&self) -> &Den {
        &self.den
    }

    pub(super) fn alias(&self) -> &Alias {
        &self.alias
    }

    /// Says that something may have happened here.
    pub(super) fn touch(&mut self) {
        self.fresh = false;
    }

    /// Brings the folder to `common` and `own` on top, and all servers to where they have seen nothing.
    pub(super) fn prepare(
        &mut self,
        launcher: &Launcher,
        suites: &[&SuiteSpec],
        common: &Setup,
        own: &Setup,
    ) -> Result<(), RoomError> {
        if !(self.fresh && own.is_empty()) {
            for (client, suite) in self.clients.iter_mut().zip(suites) {
                if suite.state == Keeps::Process || client.as_ref().is_some_and(|client| !client.is_usable()) {
                    *client = None;
                }
            }
            self.fill(launcher, &common.with(own))?;
            self.fresh = own.is_empty();
        }
        for index in 0..suites.len() {
            if is_private(suites[index]) {
                self.client(launcher, suites, index)?;
            }
        }
        Ok(())
    }

    /// Returns a suite's server, started if it does not run.
    pub(super) fn client(
        &mut self,
        launcher: &Launcher,
        suites: &[&SuiteSpec],
        index: usize,
    ) -> Result<&mut Client, ServerError> {
        let slot = &mut self.clients[index];
        if !slot.as_ref().is_some_and(Client::is_usable) {
            // The old one ends before its successor begins.
            *slot = None;
        }
        match slot {
            Some(client) => Ok(client),
            None => Ok(slot.insert(self.den.start(launcher, suites[index])?)),
        }
    }

    fn fill(&self, launcher: &Launcher, setup: &Setup) -> Result<(), SetupError> {
        let work = self.den.work().as_std_path();
        setup::empty(work)?;
        setup::empty(self.den.temporary().as_std_path())?;
        if setup.is_empty() {
            return Ok(());
        }
        // Made where no server is, so that nothing can bend the paths, and then copied in.
        let template = Den::new()?;
        let git = |folder: &Path, arguments: &[&str]| launcher.git(folder, template.temporary(), arguments);
        setup.apply(template.work().as_std_path(), &git)?;
        let copied = inside::open_folder(work)
            .and_then(|folder| inside::copy_tree(template.work().as_std_path(), folder.as_fd()));
        copied.map_err(|source| SetupError::File { path: self.den.work().to_string(), source })
    }
}

/// Returns whether a suite's server belongs to one room.
pub(super) fn is_private(suite: &SuiteSpec) -> bool {
    matches!(suite.source, Source::Mcp { .. }) && suite.state != Keeps::None
}

/// Why a room cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoomError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Setup(#[from] SetupError),
}
