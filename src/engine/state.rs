//! What is known of each stage of a run, and the report made of it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    base::{Digest, RunId},
    plan::{Graph, PlannedStage},
    record::{Ingredient, OutputRecord, REPORT_FORMAT, ResultManifest, RunReport, RunStatus, StageReport, StageStatus},
};

/// What is known of one stage.
#[derive(Debug, Default)]
pub(super) struct StageState {
    /// Its resolved key with its leaves, once the contents of its inputs are known.
    pub resolved: Option<(Digest, Vec<Ingredient>)>,
    /// Why it runs, once it is clear that it does.
    pub reason: String,
    /// Its result.
    pub manifest: Option<Arc<ResultManifest>>,
    /// How it ended.
    pub report: Option<StageReport>,
}

/// Returns a report of the stage with everything that the plan knows; it stands as waiting.
pub(super) fn stage_report(stage: &PlannedStage) -> StageReport {
    StageReport {
        id: stage.id.to_string(),
        name: stage.name.clone(),
        variant: match stage.variants.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        },
        variants: stage.variants.clone(),
        kind: stage.kind.name.clone(),
        key: None,
        status: StageStatus::Waits,
        reason: String::new(),
        seconds: 0.0,
        outputs: BTreeMap::new(),
    }
}

/// Returns the content of a stage's inputs by port, in order, each with its label.
///
/// # Panics
/// A producer has no result yet.
pub(super) fn input_records<'a>(
    stage: &'a PlannedStage,
    states: &'a [StageState],
) -> BTreeMap<&'a str, Vec<(&'a str, &'a OutputRecord)>> {
    let record = |node: usize, port: &str| {
        let manifest = states[node].manifest.as_ref().expect("a stage is ready only when its producers are done");
        manifest.outputs.get(port).expect("a result has every output that its kind declares")
    };
    stage
        .inputs
        .iter()
        .map(|(port, edges)| {
            let records = edges.iter().map(|edge| (edge.label.as_str(), record(edge.node, &edge.port))).collect();
            (port.as_str(), records)
        })
        .collect()
}

/// Says why a stage is skipped: what it needs failed, or was skipped itself; else the run was stopped.
pub(super) fn skip_reason(graph: &Graph, states: &[StageState], index: usize) -> String {
    let fate = |dep: usize| states[dep].report.as_ref().map(|report| report.status);
    let with = |status| graph.deps(index).into_iter().find(|&dep| fate(dep) == Some(status));
    if let Some(dep) = with(StageStatus::Failed) {
        format!("needs `{}`, which failed", graph.stage(dep).id)
    } else if let Some(dep) = with(StageStatus::Skipped) {
        format!("needs `{}`, which was skipped", graph.stage(dep).id)
    } else {
        "the run was stopped before it began".to_owned()
    }
}

/// Makes the report of a run of all its stages' reports.
pub(super) fn run_report(run_id: RunId, interrupted: bool, seconds: f64, stages: Vec<StageReport>) -> RunReport {
    let count = |status| stages.iter().filter(|stage| stage.status == status).count();
    let failed = count(StageStatus::Failed);
    RunReport {
        schema_version: REPORT_FORMAT,
        run_id: Some(run_id),
        status: if interrupted {
            RunStatus::Interrupted
        } else if failed > 0 {
            RunStatus::Failed
        } else {
            RunStatus::Ok
        },
        executed: count(StageStatus::Executed),
        cached: count(StageStatus::Cached),
        failed,
        skipped: count(StageStatus::Skipped),
        seconds,
        stages,
    }
}
