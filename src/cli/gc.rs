//! `pipeline gc`.

use camino::Utf8PathBuf;

use crate::{
    cli::{Failure, args::GcArguments, output, project::Project},
    store::GcOptions,
};

pub(super) fn run(arguments: &GcArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let project = Project::here(store)?;
    drop(project.open_store_to_read()?);
    let options = GcOptions { dry_run: arguments.dry_run, keep_runs: arguments.keep_runs, ..GcOptions::default() };
    let report = project.open_store()?.gc(&options).map_err(|error| Failure::store(&error))?;
    if arguments.json { output::answer_json(&report) } else { output::answer(&report.to_string()) }
}
