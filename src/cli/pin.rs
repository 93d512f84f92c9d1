//! `pipeline pin`.

use camino::Utf8PathBuf;

use crate::{
    cli::{Failure, args::PinArguments, output, project::Project, selector},
    store::Pin,
};

pub(super) fn run(arguments: &PinArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let project = Project::here(store)?;
    drop(project.open_store_to_read()?);
    let store = project.open_store()?;
    let Some(text) = &arguments.key else {
        store.unpin(&arguments.name).map_err(|error| Failure::store(&error))?;
        output::say(&format!("unpinned {}", arguments.name));
        return Ok(());
    };
    let key = selector::key(&store, text)?;
    let pin = Pin { name: arguments.name.clone(), note: String::new(), results: vec![key], artifacts: Vec::new() };
    store.pin(&pin).map_err(|error| Failure::store(&error))?;
    output::say(&format!("pinned {}: {key}", arguments.name));
    Ok(())
}
