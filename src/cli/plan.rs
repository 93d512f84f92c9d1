//! `pipeline plan`.

use camino::Utf8PathBuf;

use crate::{
    cli::{Failure, args::PlanArguments, output, project::Loaded},
    engine, report,
};

pub(super) fn run(arguments: &PlanArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let loaded = Loaded::read(&arguments.pipeline, store)?;
    let store = loaded.project.open_store_to_plan()?;
    let graph = loaded.graph(&store, &arguments.stages)?;
    let report = engine::plan(&graph, &store);
    if arguments.json { output::answer_json(&report) } else { output::answer(&report::plan_text(&report)) }
}
