//! One attempt of a built-in stage in a temporary folder: inputs written as tables, defaults taken from its manifest,
//! run through the same request file and function as the hidden `pipeline __stage`.

use std::{collections::BTreeMap, fs};

use camino::{Utf8Path, Utf8PathBuf};
use toolexpander::{
    base::{ArtifactType, Digest, Seed, Value},
    record::{InputArtifact, OutputSlot, REQUEST_FORMAT, StageEvent, StageRequest},
    stage::{self, StageError, shipped},
    table::{self, TableRow},
};

/// An attempt being put together.
pub struct StageRun {
    folder: tempfile::TempDir,
    request: StageRequest,
    /// Outputs that there are only with a parameter, which comes first.
    conditional: Vec<(String, String, ArtifactType)>,
}

/// What came of it.
pub struct Outcome {
    folder: tempfile::TempDir,
    request: StageRequest,
    /// What the stage said.
    pub events: Vec<StageEvent>,
}

fn utf8(path: &std::path::Path) -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(path.to_owned()).unwrap()
}

fn value(value: &toml::Value) -> Value {
    serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
}

impl StageRun {
    /// Starts from the manifest of a shipped kind: its outputs, its files, the defaults of its parameters.
    pub fn new(kind: &str) -> Self {
        let shipped = shipped::kind(kind).expect("the kind is shipped");
        let manifest: toml::Table = shipped.manifest.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = utf8(folder.path());
        for name in ["in", "out", "files", "scratch"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let entries =
            |name: &str| manifest.get(name).and_then(toml::Value::as_table).cloned().unwrap_or_default().into_iter();
        let mut request = StageRequest {
            schema_version: REQUEST_FORMAT,
            stage: "tested".into(),
            kind: kind.into(),
            key: Digest::of(b"tested"),
            params: BTreeMap::new(),
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            outputs: BTreeMap::new(),
            scratch: root.join("scratch"),
            seed: Seed(7),
            threads: 2,
            memory_gb: None,
            project: Utf8PathBuf::new(),
            allow_unsandboxed: false,
        };
        for (name, parameter) in entries("parameters") {
            let Some(default) = parameter.get("default") else { continue };
            if parameter["type"].as_str() == Some("file") {
                let bytes =
                    shipped.files.iter().find(|(file, _)| Some(*file) == default.as_str()).expect("file is shipped").1;
                let path = root.join("files").join(&name);
                fs::write(&path, bytes).unwrap();
                request.files.insert(name, path);
            } else {
                request.params.insert(name, value(default));
            }
        }
        for (file, bytes) in shipped.files {
            let path = root.join("files").join(file);
            fs::write(&path, bytes).unwrap();
            request.files.insert((*file).to_owned(), path);
        }
        let mut conditional = Vec::new();
        for (port, output) in entries("outputs") {
            let artifact_type: ArtifactType = output["type"].as_str().unwrap().parse().unwrap();
            if let Some(when) = output.get("when") {
                conditional.push((when.as_str().unwrap().to_owned(), port, artifact_type));
                continue;
            }
            let path = root.join("out").join(artifact_type.file_name(&port));
            if artifact_type.is_folder() {
                fs::create_dir(&path).unwrap();
            }
            request.outputs.insert(port, OutputSlot { artifact_type, path });
        }
        Self { folder, request, conditional }
    }

    /// Sets a parameter.
    pub fn param(mut self, name: &str, value: impl Into<toml::Value>) -> Self {
        self.request.params.insert(name.to_owned(), self::value(&value.into()));
        for (_, port, artifact_type) in self.conditional.clone().into_iter().filter(|(when, ..)| when == name) {
            let path = utf8(self.folder.path()).join("out").join(artifact_type.file_name(&port));
            if artifact_type.is_folder() {
                fs::create_dir_all(&path).unwrap();
            }
            self.request.outputs.insert(port, OutputSlot { artifact_type, path });
        }
        self
    }

    /// Leaves a parameter out.
    pub fn without(mut self, name: &str) -> Self {
        self.request.params.remove(name);
        self
    }

    /// Sets a `file` parameter, or a `source` parameter that is a path.
    pub fn path(mut self, name: &str, path: impl AsRef<Utf8Path>) -> Self {
        self.request.params.remove(name);
        self.request.files.insert(name.to_owned(), path.as_ref().to_owned());
        self
    }

    /// Sets the seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.request.seed = Seed(seed);
        self
    }

    /// Sets the number of threads.
    pub fn threads(mut self, threads: usize) -> Self {
        self.request.threads = threads;
        self
    }

    /// Sets the memory that the stage has asked for.
    pub fn memory_gb(mut self, memory_gb: f64) -> Self {
        self.request.memory_gb = Some(memory_gb);
        self
    }

    /// Connects an input table.
    pub fn table<R: TableRow>(self, port: &str, label: &str, rows: &[R]) -> Self {
        let artifact_type = ArtifactType::Table(R::SCHEMA.name.to_owned());
        self.input(port, label, artifact_type, &table::encode(rows).unwrap())
    }

    /// Connects an input file of any type.
    pub fn input(mut self, port: &str, label: &str, artifact_type: ArtifactType, bytes: &[u8]) -> Self {
        let inputs = self.request.inputs.entry(port.to_owned()).or_default();
        let path = utf8(self.folder.path()).join("in").join(format!("{port}-{}", inputs.len()));
        fs::write(&path, bytes).unwrap();
        inputs.push(InputArtifact { label: label.to_owned(), artifact_type, digest: Digest::of(bytes), path });
        self
    }

    /// Connects an artifact that lies somewhere: a model folder.
    pub fn input_at(
        mut self,
        port: &str,
        label: &str,
        artifact_type: ArtifactType,
        path: impl AsRef<Utf8Path>,
    ) -> Self {
        let path = path.as_ref().to_owned();
        let digest = Digest::of(path.as_str().as_bytes());
        let inputs = self.request.inputs.entry(port.to_owned()).or_default();
        inputs.push(InputArtifact { label: label.to_owned(), artifact_type, digest, path });
        self
    }

    /// Runs the stage.
    pub fn run(self) -> Result<Outcome, StageError> {
        let mut events = Vec::new();
        self.attempt(|event| events.push(event))?;
        Ok(Outcome { folder: self.folder, request: self.request, events })
    }

    /// Runs the stage as the engine does, in a process of its own; a failure is what it wrote to standard error.
    pub fn run_as_process(self) -> Result<Outcome, String> {
        let path = utf8(self.folder.path()).join("request.json");
        fs::write(&path, serde_json::to_vec(&self.request).unwrap()).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pipeline"));
        let output = command.arg("__stage").arg(&path).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let events = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let events = events.map(|line| serde_json::from_slice(line).unwrap()).collect();
        Ok(Outcome { folder: self.folder, request: self.request, events })
    }

    /// Runs the stage in a process of its own, which is killed as soon as `enough` says so.
    pub fn killed_as_process(&self, enough: impl Fn() -> bool) {
        let path = utf8(self.folder.path()).join("request.json");
        fs::write(&path, serde_json::to_vec(&self.request).unwrap()).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pipeline"));
        let mut child = command.arg("__stage").arg(&path).stdout(std::process::Stdio::null()).spawn().unwrap();
        while !enough() {
            assert!(child.try_wait().unwrap().is_none(), "the stage ended before it could be killed");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Returns the scratch folder.
    pub fn scratch(&self) -> &Utf8Path {
        &self.request.scratch
    }

    fn attempt(&self, emit: impl FnMut(StageEvent) + Send) -> Result<(), StageError> {
        let path = utf8(self.folder.path()).join("request.json");
        fs::write(&path, serde_json::to_vec(&self.request).unwrap()).unwrap();
        stage::run_request(&path, emit)
    }

    /// Runs the stage and ends it in the middle of its work, when it says that `steps` are done. What it left in its
    /// scratch folder is there for the next attempt.
    pub fn killed_after(self, steps: u64) -> Self {
        let attempt = std::panic::AssertUnwindSafe(|| {
            self.attempt(|event| {
                if matches!(event, StageEvent::Progress { done, .. } if done >= steps) {
                    panic!("killed by the test");
                }
            })
        });
        assert!(std::panic::catch_unwind(attempt).is_err(), "the stage ended before it could be killed");
        self
    }

    /// Runs the stage, which must fail, and returns the message with its causes. What it left in its scratch folder is
    /// there for the next attempt.
    pub fn fails_once(&self) -> String {
        self.attempt(|_| ()).expect_err("the stage ended well").full_message()
    }

    /// Runs the stage, which must fail, and returns the message with its causes. The temporary folder is written `TMP`.
    pub fn fails(self) -> String {
        let folder = utf8(self.folder.path());
        match self.run() {
            Ok(_) => panic!("the stage ended well"),
            Err(error) => error.full_message().replace(folder.as_str(), "TMP"),
        }
    }
}

impl Outcome {
    /// Returns whether there was an output to write.
    pub fn has(&self, port: &str) -> bool {
        self.request.outputs.contains_key(port)
    }

    /// Returns the path of an output.
    pub fn path(&self, port: &str) -> &Utf8Path {
        assert!(self.folder.path().exists());
        &self.request.outputs[port].path
    }

    /// Returns the bytes of an output.
    pub fn bytes(&self, port: &str) -> Vec<u8> {
        fs::read(self.path(port)).unwrap()
    }

    /// Returns the rows of an output table.
    pub fn table<R: TableRow>(&self, port: &str) -> Vec<R> {
        table::decode(&self.bytes(port)).unwrap()
    }

    /// Returns the digest of all files of an output folder, names included.
    pub fn folder_digest(&self, port: &str) -> Digest {
        let mut names: Vec<_> =
            fs::read_dir(self.path(port)).unwrap().map(|entry| utf8(&entry.unwrap().path())).collect();
        names.sort();
        let mut canon = toolexpander::base::Canon::new();
        for path in names {
            canon.text(path.file_name().unwrap()).digest(&Digest::of(&fs::read(&path).unwrap()));
        }
        canon.finish()
    }

    /// Returns all log lines.
    pub fn log(&self) -> String {
        let lines = self.events.iter().filter_map(|event| match event {
            StageEvent::Log { message } => Some(message.as_str()),
            _ => None,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the value of a fact.
    pub fn fact(&self, wanted: &str) -> Option<&str> {
        self.events.iter().find_map(|event| match event {
            StageEvent::Fact { name, value } if name == wanted => Some(value.as_str()),
            _ => None,
        })
    }
}

/// Returns a sample about one tool, with one right answer.
pub fn sample(id: &str, question: &str, tool: &str) -> table::SampleRow {
    let json = |value: serde_json::Value| value.to_string();
    table::SampleRow {
        id: id.to_owned(),
        category: "simple".into(),
        messages: json(serde_json::json!([{ "role": "user", "content": question }])),
        tools: json(serde_json::json!([{
            "name": tool,
            "description": format!("Does {tool}."),
            "parameters": { "type": "object", "properties": { "value": { "type": "integer" } }, "required": ["value"] },
        }])),
        answer: json(serde_json::json!([{ "name": tool, "arguments": { "value": [id.len()] } }])),
        gold: json(serde_json::json!([{ "name": tool, "arguments": { "value": id.len() } }])),
        environment: String::new(),
        language: "python".into(),
        demonstrations: "[]".into(),
        round: 0,
    }
}
