//! From a prepared workspace to a running process.

use std::{
    collections::BTreeMap,
    ffi::{CString, OsString},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    engine::{
        error::Cause,
        keeper::Keeper,
        process::{Child, Launch, Spawner},
        render,
        workspace::Workspace,
    },
    plan::PlannedStage,
};

/// Where programs are looked for if the stage is passed no PATH.
const FALLBACK_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts the stage processes of one run, all from the thread that made it.
pub(super) struct Launcher {
    spawner: Spawner,
    program: Utf8PathBuf,
    /// Started with the first stage: a run of hits needs none.
    keeper: Option<Keeper>,
    null: std::fs::File,
    /// The environment of this process: built-in kinds inherit it.
    own_environment: Vec<(OsString, OsString)>,
    /// Programs that were found, by name and PATH.
    found: BTreeMap<(String, String), CString>,
}

/// A process that was started.
pub(super) struct Started {
    /// The process.
    pub child: Child,
    /// The reading end of its standard output, if that carries events.
    pub events: Option<OwnedFd>,
}

impl Launcher {
    pub(super) fn new(program: &Utf8Path) -> io::Result<Self> {
        Ok(Self {
            spawner: Spawner::new(),
            program: program.to_owned(),
            keeper: None,
            null: std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?,
            own_environment: std::env::vars_os().collect(),
            found: BTreeMap::new(),
        })
    }

    /// Returns the keeper of the processes started so far.
    pub(super) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    /// Starts `stage` in its workspace; what it writes goes to the file at `log`.
    ///
    /// # Errors
    /// The command cannot be filled in or found, or the process cannot be started.
    pub(super) fn start(
        &mut self,
        stage: &PlannedStage,
        workspace: &Workspace,
        log_path: &Utf8Path,
    ) -> Result<Started, Cause> {
        let log = create_log(log_path).map_err(Cause::io("write the log", log_path))?;
        match &stage.command {
            Some(command) => {
                let variables = render::environment(
                    &workspace.request,
                    workspace.desk.request().as_str(),
                    workspace.desk.events().as_str(),
                    self.passed(&stage.env),
                );
                let arguments = render::arguments(command, &workspace.request)?;
                let name = arguments.first().map_or("", String::as_str);
                let path = variables.get("PATH").map_or(FALLBACK_PATH, String::as_str);
                let program = self.find(name, path, &workspace.desk.work())?;
                let environment = variables.iter().map(|(name, value)| format!("{name}={value}").into_bytes());
                let child = self.spawn(
                    &program,
                    arguments.into_iter().map(String::into_bytes),
                    environment,
                    &workspace.desk.work(),
                    log.as_fd(),
                    log.as_fd(),
                )?;
                Ok(Started { child, events: None })
            }
            None => {
                let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)
                    .and_then(|(reader, writer)| {
                        rustix::io::ioctl_fionbio(&reader, true)?;
                        Ok((reader, writer))
                    })
                    .map_err(|error| Cause::io("make a pipe for", stage.id.as_str())(error.into()))?;
                let program = c_string(self.program.as_str(), "start")?;
                let arguments = [self.program.as_str(), "__stage", workspace.desk.request().as_str()]
                    .map(|text| text.as_bytes().to_vec());
                let threads = render::thread_variables(workspace.request.threads);
                let environment: Vec<Vec<u8>> = self
                    .own_environment
                    .iter()
                    .filter(|(name, _)| !threads.iter().any(|(thread, _)| name == thread.as_str()))
                    .cloned()
                    .chain(threads.iter().map(|(name, value)| (name.into(), value.into())))
                    .map(|(name, value)| [name.into_vec(), b"=".to_vec(), value.into_vec()].concat())
                    .collect();
                let child =
                    self.spawn(&program, arguments, environment, &workspace.desk.work(), writer.as_fd(), log.as_fd())?;
                Ok(Started { child, events: Some(reader) })
            }
        }
    }

    fn spawn(
        &mut self,
        program: &CString,
        arguments: impl IntoIterator<Item = Vec<u8>>,
        environment: impl IntoIterator<Item = Vec<u8>>,
        directory: &Utf8Path,
        stdout: std::os::fd::BorrowedFd<'_>,
        stderr: std::os::fd::BorrowedFd<'_>,
    ) -> Result<Child, Cause> {
        let failed = |error| Cause::io("start", program.to_string_lossy().into_owned())(error);
        let texts = |texts: &mut dyn Iterator<Item = Vec<u8>>| -> io::Result<Vec<CString>> {
            Ok(texts.map(CString::new).collect::<Result<_, _>>()?)
        };
        let arguments = texts(&mut arguments.into_iter()).map_err(failed)?;
        let environment = texts(&mut environment.into_iter()).map_err(failed)?;
        let directory = c_string(directory.as_str(), "work in")?;
        let keeper = match &self.keeper {
            Some(keeper) => keeper,
            None => {
                let started = Keeper::start(&self.program, &mut self.spawner)
                    .map_err(Cause::io("start the keeper process", self.program.as_path()))?;
                self.keeper.insert(started)
            }
        };
        self.spawner
            .spawn(&Launch {
                program,
                arguments: &arguments,
                environment: &environment,
                directory: &directory,
                stdin: self.null.as_fd(),
                stdout,
                stderr,
                keeper: Some(keeper.pipe()),
            })
            .map_err(failed)
    }

    /// Returns the variables of this process among `names`. A value that is not UTF-8 is not passed on.
    fn passed(&self, names: &[String]) -> Vec<(String, String)> {
        names
            .iter()
            .filter_map(|name| {
                let (_, value) = self.own_environment.iter().find(|(own, _)| own == name.as_str())?;
                Some((name.clone(), value.to_str()?.to_owned()))
            })
            .collect()
    }

    /// Returns the path of a program: a name is looked for on `path`, a relative path is below the working folder.
    fn find(&mut self, name: &str, path: &str, work: &Utf8Path) -> Result<CString, Cause> {
        if name.contains('/') {
            return c_string(work.join(name).as_str(), "start");
        }
        let known = (name.to_owned(), path.to_owned());
        if let Some(found) = self.found.get(&known) {
            return Ok(found.clone());
        }
        let candidates =
            path.split(':').filter(|folder| folder.starts_with('/')).map(|folder| format!("{folder}/{name}"));
        for candidate in candidates {
            let is_program = fs_err::metadata(&candidate).is_ok_and(|metadata| metadata.is_file())
                && rustix::fs::access(&candidate, rustix::fs::Access::EXEC_OK).is_ok();
            if is_program && !name.is_empty() {
                let found = c_string(&candidate, "start")?;
                self.found.insert(known, found.clone());
                return Ok(found);
            }
        }
        Err(Cause::NoProgram { program: name.to_owned(), path: path.to_owned() })
    }
}

fn create_log(path: &Utf8Path) -> io::Result<std::fs::File> {
    // Appending, so that the stage and the engine can both write.
    let open = || {
        drop(std::fs::File::create(path)?);
        std::fs::OpenOptions::new().append(true).open(path)
    };
    match (open(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            fs_err::create_dir_all(folder)?;
            open()
        }
        (opened, _) => opened,
    }
}

fn c_string(text: &str, action: &'static str) -> Result<CString, Cause> {
    CString::new(text).map_err(|error| Cause::io(action, text.replace('\0', "\\0"))(error.into()))
}
