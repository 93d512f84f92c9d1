//! The process that trains: started with little of this one's environment, in the stage's process group so that it ends with
//! it, its words kept for the log.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, kill_process};

use crate::stage::StageError;

use super::{
    error::TrlError,
    parameters::{NAME, Trl},
};

/// Variables that are passed on.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYTHONPATH",
    "PYTHONHOME",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "MASTER_ADDR",
    "MASTER_PORT",
];
/// Beginnings of variables that are passed on: what accelerators, their libraries, PyTorch and Slurm are told by.
const PASSED_PREFIXES: &[&str] = &[
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "ROCR_",
    "HIP_",
    "HSA_",
    "RCCL_",
    "GLOO_",
    "UCX_",
    "FI_",
    "OMP_",
    "MKL_",
    "KMP_",
    "OPENBLAS_",
    "TORCH",
    "PYTORCH_",
    "TRITON_",
    "ACCELERATE_",
    "FSDP_",
    "VLLM_",
    "SLURM_",
];
/// Variables that are not, though their beginnings are.
const KEPT: &[&str] = &["SLURM_JWT", "VLLM_API_KEY"];
/// Variables that are set: nothing is fetched, nothing is told to others.
const SET: &[(&str, &str)] = &[
    ("HF_HUB_OFFLINE", "1"),
    ("TRANSFORMERS_OFFLINE", "1"),
    ("HF_DATASETS_OFFLINE", "1"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("WANDB_MODE", "disabled"),
    ("TOKENIZERS_PARALLELISM", "false"),
    ("PYTHONUNBUFFERED", "1"),
];
/// Lines that an error repeats.
const TAIL: usize = 20;
/// Bytes of a line that an error repeats.
const LONGEST: usize = 500;
/// How long a child that is told to end may take, and how long its last words are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is installed.
const INSTALL: &str = "`pip install trl==1.16.0`";

/// A running child. Dropping it ends it.
pub(super) struct Child {
    program: String,
    process: std::process::Child,
    tail: Arc<Mutex<VecDeque<String>>>,
    /// Closed when nobody writes any more.
    silence: Receiver<()>,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) program: String,
    pub(super) status: ExitStatus,
}

/// Whether a variable is passed on.
fn is_passed(name: &str, asked: &[String]) -> bool {
    let usual = PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    asked.iter().any(|asked| asked == name) || (usual && !KEPT.contains(&name))
}

impl Child {
    /// Starts `launch` with the script and the request as the last arguments.
    ///
    /// # Errors
    /// [`StageError::Parameter`] if the program is not there, [`StageError::Failed`] if it cannot be started.
    pub(super) fn start(trl: &Trl, script: &Utf8Path, request: &Utf8Path, threads: usize) -> Result<Self, StageError> {
        let program = trl.launch.first().map_or("", String::as_str);
        let failed = || StageError::failed(format!("start `{program}`"));
        let (reader, writer) = io::pipe().map_err(failed())?;
        let mut command = Command::new(program);
        command
            .args(trl.launch.iter().skip(1))
            .args([script, request])
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| is_passed(name, &trl.env))))
            .env("OMP_NUM_THREADS", threads.to_string())
            .envs(SET.iter().filter(|(name, _)| !trl.env.iter().any(|asked| asked == name)).copied())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(failed())?)
            .stderr(writer);
        let process = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StageError::parameter(
                NAME,
                format!(
                    "`launch`: there is no program `{program}`: install Python 3.10 or newer and {INSTALL}, or name the \
                     interpreter that has them, `trl = {{ launch = [\"/path/to/venv/bin/python\"] }}`"
                ),
            ),
            _ => failed()(error),
        })?;
        // The command holds the writing ends; as long as it lives, so would the pipe.
        drop(command);
        let tail = Arc::new(Mutex::new(VecDeque::with_capacity(TAIL)));
        let (speaking, silence) = channel();
        let kept = Arc::clone(&tail);
        thread::spawn(move || {
            listen(reader, &kept);
            drop(speaking);
        });
        Ok(Self { program: program.to_owned(), process, tail, silence })
    }

    /// Returns how it ended, if it has.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn ended(&mut self) -> io::Result<Option<Ended>> {
        Ok(self.process.try_wait()?.map(|status| Ended { program: self.program.clone(), status }))
    }

    /// Returns the last lines of an ended child.
    pub(super) fn tail(&self) -> Vec<String> {
        // Something that it started may still hold the pipe.
        self.silence.recv_timeout(PATIENCE).ok();
        self.tail.lock().map(|lines| lines.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A launcher that is asked ends its processes; one that is killed cannot.
        if let Ok(None) = self.process.try_wait()
            && let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
        {
            kill_process(pid, Signal::TERM).ok();
            let deadline = Instant::now() + PATIENCE;
            while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
            self.process.kill().ok();
            self.process.wait().ok();
        }
    }
}

/// Hands lines on to standard error, which is the stage's log, and keeps the last ones.
fn listen(reader: impl Read, tail: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.by_ref().take(1 << 16).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        io::stderr().write_all(&line).ok();
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if let (false, Ok(mut tail)) = (text.is_empty(), tail.lock()) {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(text.chars().take(LONGEST).collect());
        }
        line.clear();
    }
}

impl Ended {
    /// Says how a child that said nothing itself ended, and what may help.
    pub(super) fn unexplained(self, tail: Vec<String>) -> TrlError {
        use std::os::unix::process::ExitStatusExt;
        let how = match (self.status.code(), self.status.signal()) {
            (Some(0), _) => {
                "ended without having trained: does `launch` run the script that it is given as its last arguments?".to_owned()
            }
            (Some(status), _) => format!("ended with exit status {status}"),
            (None, Some(9)) => "was killed by signal 9: most often that is the system, short of memory; give the stage fewer \
                                completions at once (`per_device_train_batch_size`), `recompute = true`, or a larger machine"
                .to_owned(),
            (None, signal) => format!("was killed by signal {}", signal.unwrap_or(0)),
        };
        TrlError::Died { program: self.program, how, tail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_here() {
        let asked = vec!["HF_TOKEN".to_owned()];
        for name in ["PATH", "CUDA_VISIBLE_DEVICES", "LC_ALL", "SLURM_JOB_ID"] {
            assert!(is_passed(name, &[]), "{name}");
        }
        for name in ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "SLURM_JWT", "OPENAI_API_KEY", "PATHOLOGY"] {
            assert!(!is_passed(name, &[]), "{name}");
        }
        assert!(is_passed("HF_TOKEN", &asked));
    }
}
