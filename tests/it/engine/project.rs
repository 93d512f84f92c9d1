//! A project in a temporary folder, run by the library.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use camino::{Utf8Path, Utf8PathBuf};
use toolexpander::{
    base::SourceText,
    engine::{self, ProjectFacts, RunOptions, StopHandle},
    plan::{Graph, Numerics},
    record::{RunEvent, RunReport, StageEvent, StageReport, StageStatus},
    schedule::Capacity,
    spec::{Kinds, Selection, Spec, expand},
    store::Store,
};

/// How long anything may take that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Project {
    _folder: tempfile::TempDir,
    pub(crate) root: Utf8PathBuf,
    stages: String,
}

impl Project {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(folder.path().canonicalize().unwrap()).unwrap();
        Self { _folder: folder, root, stages: String::new() }
    }

    /// Adds a stage that runs `script` with sh. `$1…` are the inputs, in order of ports, then the outputs; `rest` is more
    /// TOML. `DATA` in scripts stands for the project's folder.
    pub(crate) fn stage(
        &mut self,
        name: &str,
        needs: &[(&str, &str)],
        outputs: &[(&str, &str)],
        script: &str,
    ) -> &mut Self {
        self.stage_with(name, needs, outputs, script, "")
    }

    pub(crate) fn stage_with(
        &mut self,
        name: &str,
        needs: &[(&str, &str)],
        outputs: &[(&str, &str)],
        script: &str,
        rest: &str,
    ) -> &mut Self {
        self.write(&format!("{name}.sh"), &script.replace("DATA", self.root.as_str()));
        let ports = |kind: &str, ports: &[(&str, &str)]| -> String {
            ports.iter().map(|(port, _)| format!(", \"{{{kind}.{port}}}\"")).collect()
        };
        let table = |ports: &[(&str, &str)]| -> String {
            ports.iter().map(|(port, value)| format!("{port} = \"{value}\"")).collect::<Vec<_>>().join(", ")
        };
        self.stages.push_str(&format!(
            "[stages.{name}]\nuses = \"command\"\nfiles = [\"{name}.sh\"]\ncommand = [\"sh\", \"{{files.0}}\"{}{}]\nneeds = {{ {} }}\noutputs = {{ {} }}\n{rest}\n",
            ports("inputs", needs),
            ports("outputs", outputs),
            table(needs),
            table(outputs),
        ));
        self
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// Makes a named pipe.
    pub(crate) fn pipe(&self, path: &str) {
        let made = Command::new("mkfifo").arg(self.root.join(path)).status().unwrap();
        assert!(made.success());
    }

    pub(crate) fn text(&self) -> String {
        format!("schema = 1\n[pipeline]\nname = \"test\"\nseed = 7\n\n{}", self.stages)
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.root.join("artifacts")).unwrap()
    }

    pub(crate) fn graph(&self, store: &Store) -> Graph {
        let text = self.text();
        let shown = |mistakes: Vec<toolexpander::base::Diagnostic>| -> ! {
            panic!("{}\n{text}", mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        };
        let spec =
            Spec::parse(&SourceText::new("pipeline.toml", &text), &Kinds::new(), &[]).unwrap_or_else(|it| shown(it));
        let expanded = expand(&spec, &Selection::default()).unwrap_or_else(|it| shown(it));
        let facts = ProjectFacts { store, pipeline_folder: self.root.clone(), numerics: Numerics::default() };
        Graph::build(&expanded, &facts).unwrap_or_else(|it| shown(it))
    }

    pub(crate) fn options(&self) -> RunOptions {
        let mut options = RunOptions::new(&self.root, StopHandle::new().unwrap()).unwrap();
        options.program = env!("CARGO_BIN_EXE_pipeline").into();
        options.capacity = Capacity { cpus: 2, memory_gb: 8.0, gpus: 0, slots: 2 };
        options
    }

    pub(crate) fn run(&self) -> Run {
        self.run_with(&self.options(), |_| {})
    }

    /// Runs the pipeline in this thread; `on_event` hears everything that happens.
    pub(crate) fn run_with(&self, options: &RunOptions, mut on_event: impl FnMut(&RunEvent)) -> Run {
        let store = self.store();
        let graph = self.graph(&store);
        self.carry_out(&graph, &store, options, &mut on_event)
    }

    pub(crate) fn carry_out(
        &self,
        graph: &Graph,
        store: &Store,
        options: &RunOptions,
        on_event: &mut dyn FnMut(&RunEvent),
    ) -> Run {
        let mut events = Vec::new();
        let report = engine::run(graph, store, options, &mut |event| {
            on_event(&event);
            events.push(event);
        })
        .unwrap();
        Run { report, events, store_root: self.root.join("artifacts") }
    }

    /// Starts `pipeline run` as a process of its own.
    pub(crate) fn start(&self) -> Child {
        self.write("pipeline.toml", &self.text());
        Command::new(env!("CARGO_BIN_EXE_pipeline"))
            .args(["run", "pipeline.toml", "--json"])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

pub(crate) struct Run {
    pub(crate) report: RunReport,
    pub(crate) events: Vec<RunEvent>,
    store_root: Utf8PathBuf,
}

impl Run {
    pub(crate) fn stage(&self, name: &str) -> &StageReport {
        self.report.stages.iter().find(|stage| stage.name == name).unwrap()
    }

    pub(crate) fn status(&self, name: &str) -> StageStatus {
        self.stage(name).status
    }

    /// `executed cached failed skipped`.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [self.report.executed, self.report.cached, self.report.failed, self.report.skipped]
    }

    /// Returns the text of an output.
    pub(crate) fn output(&self, stage: &str, port: &str) -> String {
        let digest = self.stage(stage).outputs[port].digest.to_string();
        fs::read_to_string(self.store_root.join("objects").join(&digest[..2]).join(&digest[2..])).unwrap()
    }

    pub(crate) fn said(&self, name: &str) -> Vec<&StageEvent> {
        self.events
            .iter()
            .filter_map(|event| match event {
                RunEvent::Stage { stage, said } if stage == name => Some(said),
                _ => None,
            })
            .collect()
    }
}

/// Polls until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns whether a process runs: a zombie does not.
pub(crate) fn runs(process: &str) -> bool {
    let Ok(status) = fs::read_to_string(Path::new("/proc").join(process).join("stat")) else { return false };
    !matches!(status.rsplit(") ").next().and_then(|rest| rest.chars().next()), Some('Z' | 'X') | None)
}

/// Reads a named pipe until its writer closes it.
pub(crate) fn hear(path: &Utf8Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}
