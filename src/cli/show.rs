//! `pipeline show`: a run, a result, or the rows of an artifact.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::{
    base::{ArtifactType, Digest},
    cli::{
        Failure,
        args::{PipelineArguments, ShowArguments},
        exit::exit_code,
        output,
        project::{Loaded, Project},
        selector::{self, Named},
        time,
    },
    engine,
    record::{OutputRecord, ResultManifest, RunEvent},
    report::{self, Align, TextTable},
    store::Store,
    table::{self, TableRow},
};

/// Characters of a cell that are shown.
const CELL: usize = 60;

pub(super) fn run(arguments: &ShowArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    if Utf8Path::new(&arguments.what).extension() == Some("toml") {
        return of_pipeline(arguments, store);
    }
    if arguments.stage.is_some() {
        return Err(Failure::usage(format!("`{}` is no pipeline file", arguments.what))
            .help("`pipeline show PIPELINE.toml STAGE[.PORT]`, or `pipeline show KEY`"));
    }
    let store = Project::here(store)?.open_store_to_read()?;
    match selector::named(&store, &arguments.what)? {
        Named::Run(run) => {
            let journal = store.journal(&run).map_err(|error| Failure::store(&error))?;
            let reports: Vec<_> = journal
                .iter()
                .filter_map(|line| match &line.event {
                    RunEvent::StageEnded { report } => Some(report),
                    _ => None,
                })
                .collect();
            if arguments.json {
                return output::answer_json(&json!({ "schema_version": 1, "run_id": run, "stages": reports }));
            }
            let mut table = TextTable::new(&[
                ("stage", Align::Left),
                ("kind", Align::Left),
                ("status", Align::Left),
                ("time", Align::Right),
                ("key", Align::Left),
            ]);
            for stage in reports {
                table.row([
                    stage.id.clone(),
                    stage.kind.clone(),
                    format!("{:?}", stage.status).to_lowercase(),
                    report::duration(stage.seconds),
                    stage.key.map(|key| key.short()).unwrap_or_default(),
                ]);
            }
            output::answer(&format!("run {run}\n{table}"))
        }
        Named::Result(key) => result(&store, &key, arguments.json),
    }
}

fn of_pipeline(arguments: &ShowArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let Some(name) = &arguments.stage else {
        return Err(Failure::usage("which stage?").help("`pipeline show PIPELINE.toml STAGE[.PORT]`"));
    };
    let pipeline = PipelineArguments {
        file: arguments.what.clone().into(),
        sets: arguments.sets.clone(),
        ablation: Vec::new(),
        variant: Vec::new(),
    };
    let loaded = Loaded::read(&pipeline, store)?;
    let store = loaded.project.open_store_to_read()?;
    let graph = loaded.graph(&store, &[])?;
    let report = engine::plan(&graph, &store);
    let wants_rows = name.contains('.');
    let index = if wants_rows { selector::artifact(&graph, name)?.0 } else { selector::stage(&graph, name)? };
    let absent = || Failure::Message {
        message: format!("{} has no result in the store", graph.stage(index).id),
        help: Some(format!("run it first: `pipeline run {}`", arguments.what)),
        code: exit_code::STAGE_FAILED,
    };
    let key = report.stages[index].key.filter(|_| !report.stages[index].outputs.is_empty()).ok_or_else(absent)?;
    if !wants_rows {
        return result(&store, &key, arguments.json);
    }
    let (_, port) = selector::artifact(&graph, name)?;
    let manifest = store.manifest(&key).map_err(|error| Failure::store(&error))?.ok_or_else(absent)?;
    let record = manifest.outputs.get(&port).ok_or_else(absent)?;
    artifact(&store, record, arguments)
}

fn artifact(store: &Store, record: &OutputRecord, arguments: &ShowArguments) -> Result<(), Failure> {
    let damaged = |message: String| Failure::Message {
        message,
        help: Some("`pipeline verify --full` finds damage; a new run repairs it".to_owned()),
        code: exit_code::STORE,
    };
    let bytes = || {
        let bytes = fs_err::read(store.object_path(&record.digest)).map_err(|error| damaged(error.to_string()))?;
        let holds = Digest::of(&bytes) == record.digest;
        if holds { Ok(bytes) } else { Err(damaged(format!("the blob {} holds other bytes", record.digest.short()))) }
    };
    match &record.artifact_type {
        ArtifactType::Table(schema) => {
            if schema == table::BreakdownRow::SCHEMA.name && !arguments.json {
                let rows =
                    table::decode::<table::BreakdownRow>(&bytes()?).map_err(|error| damaged(error.to_string()))?;
                return output::answer(&report::breakdown_text(&rows));
            }
            let rows =
                table::json_rows(schema, &bytes()?, arguments.rows).map_err(|error| damaged(error.to_string()))?;
            if arguments.json {
                return output::answer_json(&json!({ "schema_version": 1, "table": schema, "rows": rows }));
            }
            let columns: Vec<(&str, Align)> = table::schema(schema)
                .map_err(|error| damaged(error.to_string()))?
                .columns
                .iter()
                .map(|column| {
                    (
                        column.name,
                        if column.column_type == table::ColumnType::Text { Align::Left } else { Align::Right },
                    )
                })
                .collect();
            let mut table = TextTable::new(&columns);
            for row in &rows {
                table.row(columns.iter().map(|(name, _)| cell(&row[*name])));
            }
            let more = record.rows.unwrap_or(0).saturating_sub(rows.len() as u64);
            let tail = if more > 0 { format!("… {more} more rows\n") } else { String::new() };
            output::answer(&format!("{table}{tail}"))
        }
        _ if !record.files.is_empty() => {
            if arguments.json {
                return output::answer_json(&json!({ "schema_version": 1, "artifact": record }));
            }
            let mut table = TextTable::new(&[("file", Align::Left), ("bytes", Align::Right), ("digest", Align::Left)]);
            for file in &record.files {
                table.row([file.path.clone(), file.bytes.to_string(), file.digest.short()]);
            }
            output::answer(&table.to_string())
        }
        _ => {
            let text = String::from_utf8_lossy(&bytes()?).into_owned();
            if arguments.json {
                return output::answer_json(&json!({ "schema_version": 1, "artifact": record, "text": text }));
            }
            output::answer(&text)
        }
    }
}

fn cell(value: &serde_json::Value) -> String {
    let text = match value {
        serde_json::Value::String(text) => text.replace('\n', "⏎"),
        other => other.to_string(),
    };
    if text.chars().count() <= CELL {
        return text;
    }
    text.chars().take(CELL - 1).chain(['…']).collect()
}

fn result(store: &Store, key: &Digest, as_json: bool) -> Result<(), Failure> {
    let manifest = store.manifest(key).map_err(|error| Failure::store(&error))?.ok_or_else(|| Failure::Message {
        message: format!("the result {key} is gone"),
        help: None,
        code: exit_code::STORE,
    })?;
    if as_json { output::answer_json(&*manifest) } else { output::answer(&manifest_text(&manifest)) }
}

fn manifest_text(manifest: &ResultManifest) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a date for people")]
    let committed = time::local(manifest.committed_at as f64);
    let mut text = format!(
        "result {}\nstage {} ({}), run {}, {committed}, {}\n\noutputs\n",
        manifest.key,
        manifest.stage,
        manifest.kind,
        manifest.run_id,
        report::duration(manifest.seconds)
    );
    let mut outputs = TextTable::new(&[
        ("  port", Align::Left),
        ("type", Align::Left),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("digest", Align::Left),
    ]);
    for (port, output) in &manifest.outputs {
        outputs.row([
            format!("  {port}"),
            output.artifact_type.to_string(),
            output.rows.map(|rows| rows.to_string()).unwrap_or_default(),
            output.bytes.to_string(),
            output.digest.to_string(),
        ]);
    }
    let _ = write!(text, "{outputs}\nthe key is made of\n");
    for ingredient in &manifest.ingredients {
        let _ = writeln!(text, "  {} = {}", ingredient.leaf, ingredient.value);
    }
    for (name, value) in &manifest.pinned {
        let _ = writeln!(text, "  pinned {name} = {value}");
    }
    text
}
