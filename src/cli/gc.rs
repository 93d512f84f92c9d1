//! `pipeline gc`.

use std::fmt::Write as _;

use camino::Utf8PathBuf;

use crate::{
    cli::{Failure, args::GcArguments, output, project::Project},
    store::{GcOptions, GcReport},
};

pub(super) fn run(arguments: &GcArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let project = Project::here(store)?;
    let readable = project.open_store_to_read()?;
    let options = GcOptions { dry_run: arguments.dry_run, keep_runs: arguments.keep_runs, ..GcOptions::default() };
    let store = if arguments.dry_run { readable } else { project.open_store()? };
    let report = store.gc(&options).map_err(|error| Failure::store(&error))?;
    if arguments.json { output::answer_json(&report) } else { output::answer(&text(&report)) }
}

fn text(report: &GcReport) -> String {
    let mut text = String::new();
    let would = if report.dry_run { "would remove" } else { "removed" };
    for run in &report.removed_runs {
        let _ = writeln!(text, "{would} run {run}");
    }
    for key in &report.removed_results {
        let _ = writeln!(text, "{would} result {}", key.short());
    }
    let _ = writeln!(
        text,
        "{would} {} results, {} blobs, {} leftovers: {} bytes\nkept {} runs, {} results, {} blobs: {} bytes",
        report.removed_results.len(),
        report.removed_blobs,
        report.removed_leftovers,
        report.freed_bytes,
        report.kept_runs,
        report.kept_results,
        report.kept_blobs,
        report.kept_bytes
    );
    text
}
