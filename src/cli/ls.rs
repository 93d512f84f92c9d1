//! `pipeline ls`.

use camino::Utf8PathBuf;
use serde_json::json;

use crate::{
    cli::{
        Failure,
        args::{Listing, LsArguments},
        output,
        project::Project,
        time,
    },
    record::RunEvent,
    report::{self, Align, TextTable},
    store::{RunInfo, Store},
};

pub(super) fn run(arguments: &LsArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let store = Project::here(store)?.open_store_to_read()?;
    match arguments.what {
        Listing::Runs => runs(&store, arguments.json),
        Listing::Results => results(&store, arguments.json),
        Listing::Pins => pins(&store, arguments.json),
    }
}

/// How a run went, by its journal.
struct Outcome {
    status: String,
    executed: usize,
    seconds: Option<f64>,
}

fn outcome(store: &Store, run: &RunInfo) -> Result<Outcome, Failure> {
    let journal = store.journal(&run.id).map_err(|error| Failure::store(&error))?;
    let executed = journal.iter().filter(|line| matches!(line.event, RunEvent::StageStarted { .. })).count();
    let end = journal.iter().rev().find_map(|line| match &line.event {
        RunEvent::Ended { status, seconds } => Some((format!("{status:?}").to_lowercase(), *seconds)),
        _ => None,
    });
    Ok(match end {
        Some((status, seconds)) => Outcome { status, executed, seconds: Some(seconds) },
        None => Outcome { status: "unfinished".to_owned(), executed, seconds: None },
    })
}

fn runs(store: &Store, as_json: bool) -> Result<(), Failure> {
    let runs = store.runs().map_err(|error| Failure::store(&error))?;
    let mut table = TextTable::new(&[
        ("run", Align::Left),
        ("pipeline", Align::Left),
        ("began", Align::Left),
        ("status", Align::Left),
        ("executed", Align::Right),
        ("time", Align::Right),
    ]);
    let mut list = Vec::new();
    for run in &runs {
        let Outcome { status, executed, seconds } = outcome(store, run)?;
        list.push(json!({
            "run_id": run.id, "pipeline": run.pipeline, "started_at": run.started_at, "status": status,
            "executed": executed, "seconds": seconds,
        }));
        table.row([
            run.id.to_string(),
            run.pipeline.clone(),
            time::local(run.started_at),
            status,
            executed.to_string(),
            seconds.map(report::duration).unwrap_or_default(),
        ]);
    }
    if as_json {
        return output::answer_json(&json!({ "schema_version": 1, "runs": list }));
    }
    output::answer(&table.to_string())
}

fn results(store: &Store, as_json: bool) -> Result<(), Failure> {
    let keys = store.keys().map_err(|error| Failure::store(&error))?;
    let mut manifests = Vec::new();
    for key in keys {
        match store.manifest(&key) {
            Ok(manifest) => manifests.extend(manifest),
            Err(error) => output::say(&format!("left out: {error}; `pipeline verify` sets it aside")),
        }
    }
    manifests.sort_by(|left, right| (left.committed_at, &left.stage).cmp(&(right.committed_at, &right.stage)));
    if as_json {
        let list: Vec<_> = manifests.iter().map(|manifest| &**manifest).collect();
        return output::answer_json(&json!({ "schema_version": 1, "results": list }));
    }
    let mut table = TextTable::new(&[
        ("key", Align::Left),
        ("stage", Align::Left),
        ("kind", Align::Left),
        ("committed", Align::Left),
        ("time", Align::Right),
        ("bytes", Align::Right),
    ]);
    for manifest in manifests {
        let bytes: u64 = manifest.outputs.values().map(|output| output.bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "a date for people")]
        let committed = time::local(manifest.committed_at as f64);
        table.row([
            manifest.key.short(),
            manifest.stage.clone(),
            manifest.kind.clone(),
            committed,
            report::duration(manifest.seconds),
            bytes.to_string(),
        ]);
    }
    output::answer(&table.to_string())
}

fn pins(store: &Store, as_json: bool) -> Result<(), Failure> {
    let pins = store.pins().map_err(|error| Failure::store(&error))?;
    if as_json {
        let list: Vec<_> = pins
            .iter()
            .map(
                |pin| json!({ "name": pin.name, "note": pin.note, "results": pin.results, "artifacts": pin.artifacts }),
            )
            .collect();
        return output::answer_json(&json!({ "schema_version": 1, "pins": list }));
    }
    let mut table = TextTable::new(&[("pin", Align::Left), ("keeps", Align::Left)]);
    for pin in pins {
        let kept: Vec<String> = pin.results.iter().chain(&pin.artifacts).map(ToString::to_string).collect();
        table.row([pin.name, kept.join(" ")]);
    }
    output::answer(&table.to_string())
}
