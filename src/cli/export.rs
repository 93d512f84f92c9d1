//! `pipeline export`: an artifact as plain files outside the store.

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::Digest,
    cli::{Failure, args::ExportArguments, exit::exit_code, output, project::Loaded, selector},
    engine,
    record::OutputRecord,
    store::Store,
};

pub(super) fn run(arguments: &ExportArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let loaded = Loaded::read(&arguments.pipeline, store)?;
    let store = loaded.project.open_store_to_read()?;
    let graph = loaded.graph(&store, &[])?;
    let (index, port) = selector::artifact(&graph, &arguments.artifact)?;
    let report = engine::plan(&graph, &store);
    let key = report.stages[index].key.filter(|_| report.stages[index].outputs.contains_key(&port));
    let manifest = match key {
        Some(key) => store.manifest(&key).map_err(|error| Failure::store(&error))?,
        None => None,
    };
    let Some(record) = manifest.as_ref().and_then(|manifest| manifest.outputs.get(&port)) else {
        return Err(Failure::Message {
            message: format!("{} has no result in the store", graph.stage(index).id),
            help: Some(format!("run it first: `pipeline run {}`", arguments.pipeline.file)),
            code: exit_code::STAGE_FAILED,
        });
    };
    let destination = &arguments.destination;
    if fs_err::symlink_metadata(destination).is_ok() {
        return Err(Failure::usage(format!("{destination} exists already"))
            .help("name a path that does not: nothing is overwritten"));
    }
    // Made aside, so that the destination is whole or not there.
    let aside = Utf8PathBuf::from(format!("{destination}.partial-{}", std::process::id()));
    let made = copy(&store, record, &aside).and_then(|()| fs_err::rename(&aside, destination));
    if let Err(error) = made {
        let removed = if aside.is_dir() { fs_err::remove_dir_all(&aside) } else { fs_err::remove_file(&aside) };
        // What failed first is what matters.
        drop(removed);
        let damaged = error.kind() == std::io::ErrorKind::InvalidData;
        return Err(Failure::Message {
            message: format!("{destination} cannot be written: {error}"),
            help: damaged.then(|| "`pipeline verify --full` finds damage; a new run repairs it".to_owned()),
            code: if damaged { exit_code::STORE } else { exit_code::USAGE },
        });
    }
    output::say(&format!("exported {} ({} bytes): {destination}", arguments.artifact, record.bytes));
    Ok(())
}

fn copy(store: &Store, record: &OutputRecord, destination: &Utf8Path) -> std::io::Result<()> {
    if !record.artifact_type.is_folder() {
        return copy_blob(store, &record.digest, destination);
    }
    fs_err::create_dir_all(destination)?;
    for file in &record.files {
        let path = destination.join(&file.path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        copy_blob(store, &file.digest, &path)?;
    }
    Ok(())
}

/// Copies bytes only, and checks them: an exported file is the user's own, so it does not inherit the blob's read-only mode.
fn copy_blob(store: &Store, digest: &Digest, to: &Utf8Path) -> std::io::Result<()> {
    let mut from = fs_err::File::open(store.object_path(digest))?;
    std::io::copy(&mut from, &mut fs_err::File::create_new(to)?)?;
    if Digest::of_reader(fs_err::File::open(to)?)? == *digest {
        return Ok(());
    }
    Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("the blob {} holds other bytes", digest.short())))
}
