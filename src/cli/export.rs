//! `pipeline export`: an artifact as plain files outside the store.

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
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
    if arguments.destination.exists() {
        return Err(Failure::usage(format!("{} exists already", arguments.destination))
            .help("name a path that does not: nothing is overwritten"));
    }
    copy(&store, record, &arguments.destination)
        .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", arguments.destination)))?;
    output::say(&format!("exported {} ({} bytes): {}", arguments.artifact, record.bytes, arguments.destination));
    Ok(())
}

fn copy(store: &Store, record: &OutputRecord, destination: &Utf8Path) -> std::io::Result<()> {
    if !record.artifact_type.is_folder() {
        return copy_file(&store.object_path(&record.digest), destination);
    }
    fs_err::create_dir_all(destination)?;
    for file in &record.files {
        let path = destination.join(&file.path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        copy_file(&store.object_path(&file.digest), &path)?;
    }
    Ok(())
}

/// Copies bytes only: an exported file is the user's own, so it does not inherit the blob's read-only mode.
fn copy_file(from: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    let mut from = fs_err::File::open(from)?;
    let mut to = fs_err::File::create_new(to)?;
    std::io::copy(&mut from, &mut to).map(drop)
}
