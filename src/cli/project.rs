//! From the words of the command line to a pipeline: where the project is, which kinds it has, what the file says.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{Diagnostic, SourceText},
    cli::{Failure, args::PipelineArguments, exit::exit_code},
    engine::ProjectFacts,
    plan::{Graph, Numerics},
    spec::{KindFile, KindManifest, Kinds, Override, Selection, Spec, expand},
    stage::shipped,
    store::{Store, StoreError},
};

/// The folders that mark a project's root.
const MARKS: [&str; 3] = ["stages", "artifacts", ".git"];

/// Where things are.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// The project's root: the nearest folder, from the pipeline file upwards, with `stages`, `artifacts` or `.git`.
    pub(super) root: Utf8PathBuf,
    /// The store's folder.
    pub(super) store: Utf8PathBuf,
}

impl Project {
    /// Finds the project of a folder.
    pub(super) fn around(folder: &Utf8Path, store: Option<&Utf8PathBuf>) -> Result<Self, Failure> {
        let start = folder
            .canonicalize_utf8()
            .map_err(|error| Failure::configuration(format!("the folder {folder} cannot be read: {error}")))?;
        let root = start
            .ancestors()
            .find(|ancestor| {
                // In a worktree `.git` is a file.
                MARKS.iter().any(|mark| ancestor.join(mark).is_dir()) || ancestor.join(".git").is_file()
            })
            .unwrap_or(&start)
            .to_owned();
        let store = store.cloned().unwrap_or_else(|| root.join("artifacts"));
        Ok(Self { root, store })
    }

    /// Finds the project of the folder we are in.
    pub(super) fn here(store: Option<&Utf8PathBuf>) -> Result<Self, Failure> {
        Self::around(Utf8Path::new("."), store)
    }

    /// Opens the store for reading and writing.
    pub(super) fn open_store(&self) -> Result<Store, Failure> {
        Store::open(&self.store).map_err(|error| {
            Failure::store(&error).help("another folder: `--store DIR` or the variable PIPELINE_STORE")
        })
    }

    /// Opens the store to look things up: for writing, so that the digests of files are remembered, where that is allowed.
    pub(super) fn open_store_to_plan(&self) -> Result<Store, Failure> {
        match Store::open(&self.store) {
            Err(StoreError::ReadOnly { .. }) => self.open_store_to_read(),
            Err(error) => Err(Failure::store(&error)),
            Ok(store) => Ok(store),
        }
    }

    /// Opens the store for reading; it must exist.
    pub(super) fn open_store_to_read(&self) -> Result<Store, Failure> {
        if !self.store.is_dir() {
            return Err(Failure::Message {
                message: format!("there is no store at {}", self.store),
                help: Some("run a pipeline first, or name the store: `--store DIR`".to_owned()),
                code: exit_code::STORE,
            });
        }
        Store::open_read_only(&self.store).map_err(|error| Failure::store(&error))
    }

    /// Returns the shipped kinds, overridden by those in the project's `stages/`.
    pub(super) fn kinds(&self) -> Result<Kinds, Failure> {
        let mut kinds = Kinds::new();
        let mut mistakes = Vec::new();
        for kind in shipped::KINDS {
            let source = SourceText::new(&format!("stages/{}/stage.toml", kind.name), kind.manifest);
            let files =
                kind.files.iter().map(|(name, bytes)| ((*name).to_owned(), KindFile::embedded(bytes))).collect();
            add(&mut kinds, kind.name, &source, files, &mut mistakes);
        }
        for folder in kind_folders(&self.root.join("stages"))? {
            let manifest = folder.join("stage.toml");
            let text = read(&manifest)?;
            let name = folder.file_name().unwrap_or_default();
            let source = SourceText::new(self.shown(&manifest).as_str(), &text);
            let parsed = match KindManifest::parse(name, &source) {
                Ok(parsed) => parsed,
                Err(found) => {
                    mistakes.extend(found);
                    continue;
                }
            };
            let mut files = BTreeMap::new();
            for file in parsed.needed_files() {
                // A missing file is reported by `insert`, with its place in the manifest.
                if let Ok(bytes) = fs_err::read(folder.join(file)) {
                    files.insert(file.to_owned(), KindFile::read(bytes));
                }
            }
            if let Err(found) = kinds.insert(parsed, files) {
                mistakes.extend(found);
            }
        }
        if mistakes.is_empty() { Ok(kinds) } else { Err(Failure::Configuration(mistakes)) }
    }

    /// Returns a path as people should see it: relative to the project where it lies inside.
    pub(super) fn shown(&self, path: &Utf8Path) -> Utf8PathBuf {
        path.strip_prefix(&self.root).unwrap_or(path).to_owned()
    }
}

fn add(
    kinds: &mut Kinds,
    name: &str,
    source: &SourceText,
    files: BTreeMap<String, KindFile>,
    mistakes: &mut Vec<Diagnostic>,
) {
    match KindManifest::parse(name, source) {
        Ok(manifest) => {
            if let Err(found) = kinds.insert(manifest, files) {
                mistakes.extend(found);
            }
        }
        Err(found) => mistakes.extend(found),
    }
}

fn kind_folders(stages: &Utf8Path) -> Result<Vec<Utf8PathBuf>, Failure> {
    if !stages.is_dir() {
        return Ok(Vec::new());
    }
    let entries = stages
        .read_dir_utf8()
        .map_err(|error| Failure::configuration(format!("the folder {stages} cannot be read: {error}")))?;
    let mut folders: Vec<Utf8PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path().to_owned())
        .filter(|path| path.join("stage.toml").is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

fn read(path: &Utf8Path) -> Result<String, Failure> {
    fs_err::read_to_string(path).map_err(|error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "the path is relative to the folder you are in".to_owned(),
            std::io::ErrorKind::InvalidData => "pipeline files are UTF-8 text".to_owned(),
            _ => "check the file's permissions".to_owned(),
        };
        Failure::configuration(format!("{path} cannot be read: {}", error.kind())).help(help)
    })
}

/// A pipeline file, read and checked.
pub(super) struct Loaded {
    /// Where things are.
    pub(super) project: Project,
    /// The folder of the pipeline file.
    pub(super) folder: Utf8PathBuf,
    spec: Spec,
    selection: Selection,
}

impl Loaded {
    /// Reads the pipeline that the command line names.
    pub(super) fn read(arguments: &PipelineArguments, store: Option<&Utf8PathBuf>) -> Result<Self, Failure> {
        let text = read(&arguments.file)?;
        let folder = arguments.file.parent().filter(|parent| !parent.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
        let project = Project::around(folder, store)?;
        let folder = folder
            .canonicalize_utf8()
            .map_err(|error| Failure::configuration(format!("the folder {folder} cannot be read: {error}")))?;
        let sets = overrides(&arguments.sets)?;
        let kinds = project.kinds()?;
        let source = SourceText::new(arguments.file.as_str(), &text);
        let spec = Spec::parse(&source, &kinds, &sets).map_err(Failure::Configuration)?;
        let selection = Selection {
            ablations: match arguments.ablation.as_slice() {
                [] => None,
                [one] if one == "none" => Some(Vec::new()),
                names => Some(names.to_vec()),
            },
            variants: (!arguments.variant.is_empty()).then(|| arguments.variant.clone()),
        };
        Ok(Self { project, folder, spec, selection })
    }

    /// Plans it, restricted to `stages` and what they need if any are named.
    pub(super) fn graph(&self, store: &Store, stages: &[String]) -> Result<Graph, Failure> {
        let expanded = expand(&self.spec, &self.selection).map_err(Failure::Configuration)?;
        let facts = ProjectFacts { store, pipeline_folder: self.folder.clone(), numerics: Numerics::default() };
        let graph = Graph::build(&expanded, &facts).map_err(Failure::Configuration)?;
        if stages.is_empty() {
            return Ok(graph);
        }
        graph.restricted_to(stages).map_err(|unknown| {
            Failure::usage(format!("no stage `{}` in {}", unknown.name, self.spec.name())).help(match unknown.meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known stages: {}", self.spec.stage_names().collect::<Vec<_>>().join(", ")),
            })
        })
    }
}

fn overrides(texts: &[String]) -> Result<Vec<Override>, Failure> {
    let mut parsed = Vec::new();
    let mut mistakes = Vec::new();
    for text in texts {
        match Override::parse(text) {
            Ok(set) => parsed.push(set),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    if mistakes.is_empty() { Ok(parsed) } else { Err(Failure::Configuration(mistakes)) }
}
