//! What the store's tests share: a store in a temporary folder, results to put into it, child processes.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use toolexpander::{
    base::{ArtifactType, Digest},
    record::{Ingredient, OutputRecord, RESULT_FORMAT, ResultManifest},
    store::{Store, Ticket},
};

/// A folder that is gone when the test is over.
pub struct Place {
    _folder: TempDir,
    pub path: Utf8PathBuf,
    pub root: Utf8PathBuf,
}

impl Place {
    pub fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// In memory where that is possible: for tests of what happens in which order, not of what a disk does.
    pub fn quick() -> Self {
        Self::of(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn of(folder: TempDir) -> Self {
        let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        Self { _folder: folder, root: path.join("artifacts"), path }
    }

    pub fn open(&self) -> Store {
        Store::open(&self.root).unwrap()
    }

    /// Writes a file beside the store.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> Utf8PathBuf {
        write(&self.path.join(name), bytes)
    }
}

pub fn write(path: &Utf8Path, bytes: impl AsRef<[u8]>) -> Utf8PathBuf {
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, bytes).unwrap();
    path.to_owned()
}

pub fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

pub fn manifest(key: Digest, outputs: Vec<OutputRecord>) -> ResultManifest {
    let outputs: BTreeMap<String, OutputRecord> =
        outputs.into_iter().enumerate().map(|(index, output)| (format!("out{index}"), output)).collect();
    let leaf = |leaf: &str, value: &str| Ingredient { leaf: leaf.to_owned(), value: value.to_owned() };
    ResultManifest {
        schema_version: RESULT_FORMAT,
        key,
        predicted: vec![predicted(key)],
        stage: "train".to_owned(),
        kind: "grpo".to_owned(),
        ingredients: vec![
            leaf("kind", "grpo"),
            leaf("revision", "1"),
            leaf("param.kl-beta", "0.04"),
            leaf("param.clip-low", "0.2"),
            leaf("param.clip-high", "0.28"),
            leaf("param.lr", "1e-5"),
            leaf("input.samples", &key.to_string()),
            leaf("seed", "7"),
            leaf("numerics.device", "cpu"),
        ],
        outputs,
        run_id: String::new(),
        committed_at: 1_700_000_000,
        seconds: 0.25,
        pinned: BTreeMap::new(),
    }
}

/// The predicted key that [`manifest`] gives to a key.
pub fn predicted(key: Digest) -> Digest {
    digest(&format!("predicted {key}"))
}

/// Takes one file in.
pub fn take(store: &Store, path: &Utf8Path) -> OutputRecord {
    store.take_in(&ArtifactType::File, path).unwrap()
}

/// Writes `bytes` as a stage would and commits them as the result of `key`.
pub fn put(store: &Store, key: Digest, bytes: impl AsRef<[u8]>) -> Ticket {
    let lock = store.lock(&key).unwrap();
    let output = take(store, &output(store, &key.to_string(), bytes));
    store.commit(manifest(key, vec![output]), lock)
}

/// Writes a file as a stage would: on the store's file system, under a name that nobody else uses.
pub fn output(store: &Store, name: &str, bytes: impl AsRef<[u8]>) -> Utf8PathBuf {
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    write(&store.root().with_file_name(format!("output-{name}-{}-{thread}", std::process::id())), bytes)
}

/// Returns the bytes of a result's only output; `None` if the result is not there.
pub fn get(store: &Store, key: Digest) -> Option<Vec<u8>> {
    let manifest = store.by_key(&key)?;
    let output = manifest.outputs.values().next().unwrap();
    Some(fs_err::read(store.object_path(&output.digest)).unwrap())
}

pub fn mode(path: &Utf8Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Every file below a folder.
pub fn files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The variable that tells a child of the tests what to do.
const CHILD: &str = "TOOLEXPANDER_STORE_TEST_CHILD";

/// Returns a command that runs [`child_entry`] with arguments.
pub fn child_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::support::child_entry", "--nocapture"]);
    command.env(CHILD, arguments.join("\u{1f}")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Starts this test binary again as a child that does what `arguments` say.
pub fn child(arguments: &[&str]) -> Child {
    child_command(arguments).spawn().unwrap()
}

/// No test: what children of tests begin with.
#[test]
fn child_entry() {
    let Ok(arguments) = std::env::var(CHILD) else { return };
    let arguments: Vec<&str> = arguments.split('\u{1f}').collect();
    super::child_main(arguments[0], &arguments[1..]);
}
