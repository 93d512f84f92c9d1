//! What a sandboxed program may do. Plain values: no decision is taken here.

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// How a program is shut in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// Namespaces of its own (files, processes, network, users), and Landlock and seccomp inside.
    Namespaces,
    /// Landlock (which also keeps signals in) and seccomp, where namespaces may not be made: in most containers.
    Landlock,
    /// Resource limits and the process group only. Never chosen unless the policy allows it.
    Unsandboxed,
}

/// What of the network a program sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Nothing: no socket can be made, but pairs of connected ones.
    #[default]
    None,
    /// A loopback interface of its own, which only the program and its children reach. Needs namespaces.
    Loopback,
}

/// What a program is given and what it may use.
///
/// `wall`, `cpu` and `output_bytes` are the allowance of one *turn*. The first turn begins at the start; a server gets a
/// new one for each call ([`Sandboxed::begin_turn`](super::Sandboxed::begin_turn)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The program: an absolute path, below a readable path or the working folder. No search is done.
    pub program: Utf8PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
    /// Its working folder, which it may change at will. Absolute, and it must exist.
    pub workdir: Utf8PathBuf,
    /// Another folder that it may write into, shown as `/tmp` too where there are namespaces. `TMPDIR` is the caller's to set.
    pub temporary: Option<Utf8PathBuf>,
    /// Files and folders that it may read and run from: interpreter, libraries, packages ([`system`](super::system),
    /// [`of_program`](super::of_program)). Absolute; what does not exist is an error.
    pub readable: Vec<Utf8PathBuf>,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Memory of all its processes together, in bytes. One process may ask for twice that address space for data.
    pub memory_bytes: u64,
    /// Processes and threads at once.
    pub processes: u32,
    /// The largest file that it may write, in bytes.
    pub file_bytes: u64,
    /// Open files of one process.
    pub open_files: u32,
    /// Processor time of all its processes together, per turn.
    pub cpu: Duration,
    /// Real time, per turn.
    pub wall: Duration,
    /// Bytes on standard output and standard error together, per turn.
    pub output_bytes: u64,
    /// Bytes of standard error that are kept for the verdict.
    pub stderr_bytes: usize,
    /// What it sees of the network.
    pub network: Network,
    /// Only this mechanism, instead of the best that works.
    pub mechanism: Option<Mechanism>,
    /// Run it with limits only if no mechanism works: what `--allow-unsandboxed` says, and nothing else may.
    pub allow_unsandboxed: bool,
}

impl Policy {
    /// Returns a policy with everyday limits: 512 MiB, 10 s of processor, 30 s of time, 64 processes and threads,
    /// files up to 64 MiB, 4 MiB of output, no network, nothing readable and an empty environment.
    pub fn new(program: impl Into<Utf8PathBuf>, workdir: impl Into<Utf8PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            workdir: workdir.into(),
            temporary: None,
            readable: Vec::new(),
            environment: Vec::new(),
            memory_bytes: 512 << 20,
            processes: 64,
            file_bytes: 64 << 20,
            open_files: 256,
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(30),
            output_bytes: 4 << 20,
            stderr_bytes: 16 << 10,
            network: Network::None,
            mechanism: None,
            allow_unsandboxed: false,
        }
    }
}
