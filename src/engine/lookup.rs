//! The world as a plan asks for it: earlier results and digests of files, both from the store.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{
    base::{Digest, chain},
    engine::state::stage_report,
    plan::{Decision, Facts, Graph, Numerics, Results, decide},
    record::{REPORT_FORMAT, ResultManifest, RunReport, RunStatus, StageReport, StageStatus},
    store::Store,
};

/// Answers a plan's questions about earlier results from the store.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a>(pub &'a Store);

impl Results for Lookup<'_> {
    fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        self.0.by_key(key)
    }

    fn by_predicted(&self, predicted: &Digest) -> Option<Arc<ResultManifest>> {
        self.0.by_predicted(predicted)
    }

    fn nearest(&self, stage_name: &str, kind: &str) -> Vec<Arc<ResultManifest>> {
        self.0.nearest(stage_name, kind)
    }

    fn prefetch(&self, predicted: &[Digest]) {
        self.0.prefetch(predicted);
    }
}

/// Answers a plan's questions about the files of a project, and about what numbers are computed with.
#[derive(Clone, Debug)]
pub struct ProjectFacts<'a> {
    /// Remembers digests of files that have not changed since.
    pub store: &'a Store,
    /// The folder of the pipeline file.
    pub pipeline_folder: Utf8PathBuf,
    /// Device and number type.
    pub numerics: Numerics,
}

impl Facts for ProjectFacts<'_> {
    fn file(&self, path: &Utf8Path) -> Result<Digest, String> {
        let path = self.pipeline_folder.join(path);
        if let Err(error) = fs_err::metadata(&path) {
            return Err(match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or folder".to_owned(),
                _ => error.to_string(),
            });
        }
        self.store.file_digest(&path).map_err(|error| chain(&error))
    }

    fn numerics(&self) -> Numerics {
        self.numerics.clone()
    }
}

/// Returns what a run of `graph` would do, without doing it: every stage a hit, to run, or waiting for what others make.
///
/// The report's counts: `cached` are the hits, the rest is 0 as nothing was done.
pub fn plan(graph: &Graph, store: &Store) -> RunReport {
    let began = std::time::Instant::now();
    let stages: Vec<StageReport> = graph
        .stages()
        .zip(decide(graph, &Lookup(store)))
        .map(|(stage, decision)| {
            let mut report = stage_report(stage);
            match decision {
                Decision::Hit { key, manifest, by_prediction } => {
                    report.status = StageStatus::Hit;
                    report.key = Some(key);
                    report.outputs =
                        manifest.outputs.iter().map(|(port, output)| (port.clone(), output.into())).collect();
                    report.reason = if by_prediction {
                        "its result exists, if what it needs comes out as before".to_owned()
                    } else {
                        "its result exists".to_owned()
                    };
                }
                Decision::Run { key, reason } => {
                    report.status = StageStatus::Run;
                    report.key = Some(key);
                    report.reason = reason;
                }
                Decision::Waits { on } => {
                    report.status = StageStatus::Waits;
                    let names: Vec<&str> = on.iter().map(|id| id.as_str()).collect();
                    report.reason = format!("depends on what {} will make", names.join(", "));
                }
            }
            report
        })
        .collect();
    RunReport {
        schema_version: REPORT_FORMAT,
        run_id: None,
        status: RunStatus::Ok,
        executed: 0,
        cached: stages.iter().filter(|stage| stage.status == StageStatus::Hit).count(),
        failed: 0,
        skipped: 0,
        seconds: began.elapsed().as_secs_f64(),
        stages,
    }
}
