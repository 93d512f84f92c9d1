//! The tables of a pipeline's `compare` and `evaluate` stages, and `pipeline compare`.

use camino::Utf8PathBuf;
use serde_json::json;

use crate::{
    base::ArtifactType,
    cli::{Failure, args::CompareArguments, exit::exit_code, output, project::Loaded},
    engine,
    plan::{Graph, PlannedStage},
    record::{RunReport, StageReport},
    report,
    store::Store,
    table::{self, BreakdownRow, CategoryRow, ComparisonRow, FlipRow, SpreadRow, TableRow},
};

/// One comparison: the stage that made it and its rows.
struct Comparison {
    stage: String,
    rows: Vec<ComparisonRow>,
    categories: Vec<CategoryRow>,
    flips: Vec<FlipRow>,
    spread: Vec<SpreadRow>,
}

/// Returns the rows of the first output of a finished stage that is a table of this schema.
fn rows_of<R: TableRow>(stage: &PlannedStage, done: &StageReport, store: &Store) -> Result<Option<Vec<R>>, Failure> {
    let wanted = ArtifactType::Table(R::SCHEMA.name.to_owned());
    let port = stage.outputs.iter().find(|(_, artifact_type)| **artifact_type == wanted).map(|(port, _)| port);
    let Some(output) = port.and_then(|port| done.outputs.get(port)) else { return Ok(None) };
    let unreadable = |message: String| Failure::Message {
        message: format!("the table of {} cannot be read: {message}", stage.id),
        help: Some("`pipeline verify --full` finds damage; a new run repairs it".to_owned()),
        code: exit_code::STORE,
    };
    let bytes = fs_err::read(store.object_path(&output.digest)).map_err(|error| unreadable(error.to_string()))?;
    table::decode(&bytes).map(Some).map_err(|error| unreadable(error.to_string()))
}

fn comparisons(graph: &Graph, store: &Store, report: &RunReport) -> Result<Vec<Comparison>, Failure> {
    let mut found = Vec::new();
    for (stage, done) in graph.stages().zip(&report.stages) {
        let Some(rows) = rows_of::<ComparisonRow>(stage, done, store)? else { continue };
        found.push(Comparison {
            stage: stage.id.to_string(),
            rows,
            categories: rows_of(stage, done, store)?.unwrap_or_default(),
            flips: rows_of(stage, done, store)?.unwrap_or_default(),
            spread: rows_of(stage, done, store)?.unwrap_or_default(),
        });
    }
    Ok(found)
}

/// Returns the tables of all finished comparisons as text; where there is none, what each evaluation comes to.
pub(super) fn tables(graph: &Graph, store: &Store, report: &RunReport) -> Result<String, Failure> {
    let mut texts: Vec<String> = comparisons(graph, store, report)?
        .iter()
        .map(|comparison| format!("{}\n{}", comparison.stage, report::comparison_text(&comparison.rows)))
        .collect();
    if texts.is_empty() {
        for (stage, done) in graph.stages().zip(&report.stages) {
            if let Some(rows) = rows_of::<BreakdownRow>(stage, done, store)? {
                texts.push(format!("{}\n{}", stage.id, report::breakdown_text(&rows)));
            }
        }
    }
    Ok(texts.join("\n"))
}

impl Comparison {
    /// Returns the comparison with all that belongs to it; tables that would say nothing are left out.
    fn text(&self) -> String {
        let mut text = format!("{}\n{}", self.stage, report::comparison_text(&self.rows));
        let several = self.categories.iter().any(|row| row.category != self.categories[0].category);
        for part in [
            if several { report::categories_text(&self.categories) } else { String::new() },
            if self.flips.is_empty() { String::new() } else { report::flips_text(&self.flips) },
            if self.spread.is_empty() { String::new() } else { report::spread_text(&self.spread) },
        ] {
            if !part.is_empty() {
                text.push('\n');
                text.push_str(&part);
            }
        }
        text
    }
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
        let tables: Vec<_> = found
            .iter()
            .map(|comparison| {
                json!({
                    "stage": comparison.stage,
                    "rows": comparison.rows,
                    "categories": comparison.categories,
                    "flips": comparison.flips,
                    "spread": comparison.spread,
                })
            })
            .collect();
        return output::answer_json(&json!({ "schema_version": 1, "comparisons": tables }));
    }
    output::answer(&found.iter().map(Comparison::text).collect::<Vec<_>>().join("\n"))
}
