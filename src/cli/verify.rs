//! `pipeline verify`.

use std::fmt::Write as _;

use camino::Utf8PathBuf;

use crate::{
    cli::{Failure, args::VerifyArguments, exit::exit_code, output, project::Project},
    store::{Finding, Problem, Store, VerifyReport},
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
        output::answer(&text(&report))?
    }
    if report.is_whole() { Ok(()) } else { Err(Failure::Said(exit_code::STORE)) }
}

fn text(report: &VerifyReport) -> String {
    let mut text = String::new();
    for Finding { path, problem, results, healed, .. } in &report.findings {
        let what = match problem {
            Problem::BlobMissing => "the blob is missing".to_owned(),
            Problem::BlobSize { expected, found } => format!("the blob has {found} bytes, not {expected}"),
            Problem::BlobContent { found } => format!("the blob's bytes have the digest {}", found.short()),
            Problem::BlobUnreadable { reason } => format!("the blob cannot be read: {reason}"),
            Problem::BlobMode { mode } => format!("the blob is whole, but has mode {mode:o}"),
            Problem::ManifestDamaged { reason } => format!("the manifest is damaged: {reason}"),
            Problem::Stray => "this does not belong here".to_owned(),
        };
        let done = if *healed { "; set right or set aside" } else { "" };
        let lost = if results.is_empty() { String::new() } else { format!("; results lost: {}", results.len()) };
        let _ = writeln!(text, "{path}: {what}{lost}{done}");
    }
    let read = if report.full { "every byte read" } else { "sizes only: `--full` reads every byte" };
    let _ = writeln!(
        text,
        "{} results, {} blobs, {} bytes checked ({read}): {} findings",
        report.results,
        report.blobs,
        report.bytes,
        report.findings.len()
    );
    text
}
