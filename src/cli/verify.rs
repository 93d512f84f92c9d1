//! `pipeline verify`.

use camino::Utf8PathBuf;

use crate::{
    cli::{Failure, args::VerifyArguments, exit::exit_code, output, project::Project},
    store::Store,
};

pub(super) fn run(arguments: &VerifyArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let project = Project::here(store)?;
    // Checks that the store is there and can be read before trying to repair it.
    let readable = project.open_store_to_read()?;
    let report = match Store::open(&project.store) {
        Ok(writable) => writable.verify(arguments.full),
        Err(_) => readable.verify_read_only(arguments.full),
    }
    .map_err(|error| Failure::store(&error))?;
    if arguments.json {
        output::answer_json(&report)?
    } else {
        output::answer(&report.to_string())?
    }
    if report.is_clean() { Ok(()) } else { Err(Failure::Said(exit_code::STORE)) }
}
