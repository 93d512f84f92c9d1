//! What an attempt left: checked against what was declared, then taken into the store.

use crate::{
    base::{ArtifactType, chain},
    engine::{
        error::{Cause, Outputs},
        workspace::Workspace,
    },
    record::{OutputRecord, OutputSlot},
    store::{Store, StoreError},
    table,
};

/// Checks every output of an attempt, and takes them in if all are as declared.
///
/// # Errors
/// [`Cause::Output`] for the first output that is missing, of another shape or schema; [`Cause::Store`] if the store fails.
pub(super) fn collect(workspace: &Workspace, store: &Store) -> Result<Outputs, Cause> {
    let slots = &workspace.request.outputs;
    let mut rows = Vec::with_capacity(slots.len());
    for (port, slot) in slots {
        rows.push(check(slot).map_err(|reason| Cause::Output { port: port.clone(), reason })?);
    }
    let mut outputs = Outputs::new();
    for ((port, slot), rows) in slots.iter().zip(rows) {
        let record = store.take_in(&slot.artifact_type, &slot.path).map_err(|error| blame(port, error))?;
        outputs.insert(port.clone(), OutputRecord { rows, ..record });
    }
    Ok(outputs)
}

fn blame(port: &str, error: StoreError) -> Cause {
    if error.is_bad_output() {
        Cause::Output { port: port.to_owned(), reason: chain(&error) }
    } else {
        Cause::Store(error)
    }
}

/// Checks one output and returns its rows, if it is a table.
fn check(slot: &OutputSlot) -> Result<Option<u64>, String> {
    let OutputSlot { artifact_type, path } = slot;
    let Ok(metadata) = fs_err::metadata(path) else {
        return Err(format!("the stage ended well but did not write {path}"));
    };
    if metadata.is_dir() != artifact_type.is_folder() {
        let (expected, found) = if metadata.is_dir() { ("file", "folder") } else { ("folder", "file") };
        return Err(format!("a {expected} is expected for `{artifact_type}`, but {path} is a {found}"));
    }
    match artifact_type {
        ArtifactType::Table(schema) => {
            let bytes = fs_err::read(path).map_err(|error| error.to_string())?;
            table::check(schema, &bytes).map(|rows| Some(rows as u64)).map_err(|error| chain(&error))
        }
        ArtifactType::Model if !path.join("config.json").is_file() => {
            Err(format!("{path} is no model folder: it has no `config.json`"))
        }
        ArtifactType::Model | ArtifactType::File | ArtifactType::Folder => Ok(None),
    }
}
