//! The tables of a pipeline's `compare` stages, and `pipeline compare`.

use camino::Utf8PathBuf;
use serde_json::json;

use crate::{
    base::ArtifactType,
    cli::{Failure, args::CompareArguments, exit::exit_code, output, project::Loaded},
    engine,
    plan::Graph,
    record::RunReport,
    report,
    store::Store,
    table::{self, ComparisonRow, TableRow},
};

/// One comparison: the stage that made it and its rows.
struct Comparison {
    stage: String,
    rows: Vec<ComparisonRow>,
}

fn comparisons(graph: &Graph, store: &Store, report: &RunReport) -> Result<Vec<Comparison>, Failure> {
    let wanted = ArtifactType::Table(ComparisonRow::SCHEMA.name.to_owned());
    let mut found = Vec::new();
    for (stage, done) in graph.stages().zip(&report.stages) {
        for (port, _) in stage.outputs.iter().filter(|(_, artifact_type)| **artifact_type == wanted) {
            let Some(output) = done.outputs.get(port) else { continue };
            let path = store.object_path(&output.digest);
            let unreadable = |message: String| Failure::Message {
                message: format!("the table of {} cannot be read: {message}", stage.id),
                help: Some("`pipeline verify --full` finds damage; a new run repairs it".to_owned()),
                code: exit_code::STORE,
            };
            let bytes = fs_err::read(&path).map_err(|error| unreadable(error.to_string()))?;
            let rows = table::decode(&bytes).map_err(|error| unreadable(error.to_string()))?;
            found.push(Comparison { stage: stage.id.to_string(), rows });
        }
    }
    Ok(found)
}

/// Returns the tables of all finished comparisons as text.
pub(super) fn tables(graph: &Graph, store: &Store, report: &RunReport) -> Result<String, Failure> {
    let texts: Vec<String> = comparisons(graph, store, report)?
        .iter()
        .map(|comparison| format!("{}\n{}", comparison.stage, report::comparison_text(&comparison.rows)))
        .collect();
    Ok(texts.join("\n"))
}

pub(super) fn run(arguments: &CompareArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let loaded = Loaded::read(&arguments.pipeline, store)?;
    let store = loaded.project.open_store_to_read()?;
    let graph = loaded.graph(&store, &[])?;
    let report = engine::plan(&graph, &store);
    let found = comparisons(&graph, &store, &report)?;
    if found.is_empty() {
        return Err(Failure::Message {
            message: "no comparison of this pipeline is in the store".to_owned(),
            help: Some(format!("run it first: `pipeline run {}`", arguments.pipeline.file)),
            code: exit_code::STAGE_FAILED,
        });
    }
    if arguments.json {
        let tables: Vec<_> =
            found.iter().map(|comparison| json!({ "stage": comparison.stage, "rows": comparison.rows })).collect();
        return output::answer_json(&json!({ "schema_version": 1, "comparisons": tables }));
    }
    output::answer(&tables(&graph, &store, &report)?)
}
