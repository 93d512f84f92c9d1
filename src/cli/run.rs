//! `pipeline run`.

use crate::{
    cli::{Failure, args::RunArguments, comparison, exit::exit_code, output, progress::Progress, project::Loaded},
    engine::{self, RunOptions, signals},
    record::RunStatus,
    report,
};

pub(super) fn run(arguments: &RunArguments, store: Option<&camino::Utf8PathBuf>) -> Result<(), Failure> {
    let loaded = Loaded::read(&arguments.pipeline, store)?;
    let store = loaded.project.open_store()?;
    let graph = loaded.graph(&store, &arguments.stages)?;
    let unavailable = |error: std::io::Error| Failure::usage(format!("the run cannot begin: {error}"));
    let stop = signals::install().map_err(unavailable)?;
    let mut options = RunOptions::new(&loaded.folder, stop).map_err(unavailable)?;
    options.project_folder.clone_from(&loaded.project.root);
    options.fail_fast = arguments.fail_fast;
    options.allow_unsandboxed = arguments.allow_unsandboxed;
    if let Some(jobs) = arguments.jobs {
        // More slots than cores are wanted by stages that wait; none gets more threads than there are cores.
        options.capacity.slots = jobs as usize;
        options.capacity.cpus = options.capacity.cpus.max(jobs);
    }
    let mut progress = Progress::new(arguments.quiet);
    let report = engine::run(&graph, &store, &options, &mut |event| progress.hear(&event))
        .map_err(|error| Failure::store(&error))?;
    drop(progress);
    if arguments.json {
        output::answer_json(&report)?;
    } else {
        let tables = comparison::tables(&graph, &store, &report)?;
        if !tables.is_empty() {
            output::answer(&tables)?;
        }
        if !arguments.quiet || report.status != RunStatus::Ok {
            output::say(report::run_text(&report).trim_end());
        }
    }
    match report.status {
        RunStatus::Ok => Ok(()),
        RunStatus::Failed => Err(Failure::Said(exit_code::STAGE_FAILED)),
        RunStatus::Interrupted => Err(Failure::Said(exit_code::INTERRUPTED)),
    }
}
