//! What a run is told besides its graph.

use std::{io, time::Duration};

use camino::Utf8PathBuf;

use crate::{engine::signals::StopHandle, schedule::Capacity};

/// How long stopped stages may go on, unless an option says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What a run is told besides its graph. None of it is part of a key.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The program that serves the hidden subcommands `__stage` and `__keeper`: this very binary.
    pub program: Utf8PathBuf,
    /// The folder that the paths of files in the plan are relative to: that of the pipeline file.
    pub pipeline_folder: Utf8PathBuf,
    /// The folder that `publish` paths are relative to.
    pub project_folder: Utf8PathBuf,
    /// What the machine has to give.
    pub capacity: Capacity,
    /// Threads of one stage at most.
    pub cores: u32,
    /// Whether nothing new begins after a failure. Running stages are brought to their end in any case.
    pub fail_fast: bool,
    /// Whether programs that run a model's calls may run without a sandbox where the machine has none.
    pub allow_unsandboxed: bool,
    /// How long running stages may go on after the first request to stop.
    pub grace: Duration,
    /// Through which the run is asked to stop.
    pub stop: StopHandle,
}

impl RunOptions {
    /// Returns the options for a pipeline file in `folder` on this machine: every core, as many slots.
    ///
    /// # Errors
    /// The path of this binary or the machine's size cannot be found out.
    pub fn new(folder: impl Into<Utf8PathBuf>, stop: StopHandle) -> io::Result<Self> {
        let folder = folder.into();
        let program = Utf8PathBuf::try_from(std::env::current_exe()?).map_err(io::Error::other)?;
        Ok(Self {
            program,
            pipeline_folder: folder.clone(),
            project_folder: folder,
            cores: machine_capacity()?.cpus,
            capacity: machine_capacity()?,
            fail_fast: false,
            allow_unsandboxed: false,
            grace: DEFAULT_GRACE,
            stop,
        })
    }
}

/// Returns what this machine has to give: its cores (as many slots), its memory, and one GPU if there is any of NVIDIA's: all
/// stages compute on the first that they see.
///
/// # Errors
/// The number of cores or the size of the memory cannot be found out.
pub fn machine_capacity() -> io::Result<Capacity> {
    let cores = std::thread::available_parallelism()?.get();
    let information = rustix::system::sysinfo();
    #[expect(clippy::cast_precision_loss, reason = "an amount for people")]
    let memory_gb = (information.totalram as u64 * u64::from(information.mem_unit)) as f64 / 1e9;
    Ok(Capacity { cpus: u32::try_from(cores).unwrap_or(u32::MAX), memory_gb, gpus: u32::from(has_gpu()), slots: cores })
}

/// Whether the driver of an NVIDIA GPU shows one: `/dev/nvidia0`, or another number.
fn has_gpu() -> bool {
    let is_gpu = |name: &str| {
        name.strip_prefix("nvidia")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    fs_err::read_dir("/dev")
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_str().is_some_and(is_gpu)))
}
