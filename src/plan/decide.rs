//! What is a hit, what must run, what must wait.

use std::sync::Arc;

use crate::{
    base::{Digest, StageId},
    plan::{Graph, InputEdge, PlannedStage, key::key_by_content, nearest_change, resolved_key},
    record::{Ingredient, ResultManifest},
};

/// Where earlier results are looked up. An implementation answers only results whose manifest and blobs are present.
pub trait Results {
    /// Returns the result with this resolved key.
    fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>>;

    /// Returns the latest result that this predicted key led to.
    fn by_predicted(&self, predicted: &Digest) -> Option<Arc<ResultManifest>>;

    /// Returns earlier results of the stage of this name (without variant) and kind, whether their blobs are present or
    /// not, latest first: what a new key is compared with.
    fn nearest(&self, stage_name: &str, kind: &str) -> Vec<Arc<ResultManifest>> {
        let _ = (stage_name, kind);
        Vec::new()
    }

    /// Is told the predicted keys of a whole graph before they are asked for one by one.
    fn prefetch(&self, predicted: &[Digest]) {
        let _ = predicted;
    }
}

/// What becomes of one stage.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Its result exists.
    Hit {
        /// The resolved key.
        key: Digest,
        /// The result.
        manifest: Arc<ResultManifest>,
        /// Whether that is known from the predicted key only, because a producer must run again. When the producer is
        /// done, the stage's resolved key says whether it is still so.
        by_prediction: bool,
    },
    /// It runs.
    Run {
        /// The resolved key.
        key: Digest,
        /// Why, for people.
        reason: String,
    },
    /// Its key depends on what other stages will make.
    Waits {
        /// Those of them that it needs directly.
        on: Vec<StageId>,
    },
}

/// Decides about every stage, in graph order.
///
/// A stage whose inputs' contents are known has a resolved key, and that alone says whether its result exists: equal bytes
/// upstream re-run nothing below. Where a producer must run, the predicted key says what came of the same work before.
pub fn decide(graph: &Graph, results: &dyn Results) -> Vec<Decision> {
    let predicted: Vec<Digest> = graph.stages().map(|stage| stage.predicted).collect();
    results.prefetch(&predicted);
    let mut decisions: Vec<Decision> = Vec::with_capacity(graph.len());
    for stage in graph.stages() {
        let decision = decide_one(graph, results, stage, &decisions);
        decisions.push(decision);
    }
    decisions
}

fn decide_one(graph: &Graph, results: &dyn Results, stage: &PlannedStage, earlier: &[Decision]) -> Decision {
    let is_open = |node: &usize| !matches!(earlier[*node], Decision::Hit { .. });
    if let Some(twin) = stage.twin.filter(is_open) {
        return Decision::Waits { on: vec![graph.stage(twin).id.clone()] };
    }
    let content = |edge: &InputEdge| match &earlier[edge.node] {
        Decision::Hit { manifest, .. } => manifest.outputs.get(&edge.port).map(|output| output.digest),
        _ => None,
    };
    let is_whole =
        |manifest: &Arc<ResultManifest>| stage.outputs.keys().all(|port| manifest.outputs.contains_key(port));
    let Some(key) = key_by_content(stage, content) else {
        if let Some(manifest) = results.by_predicted(&stage.predicted).filter(is_whole) {
            return Decision::Hit { key: manifest.key, manifest, by_prediction: true };
        }
        let mut on: Vec<usize> = stage.inputs.values().flatten().map(|edge| edge.node).filter(is_open).collect();
        on.sort_unstable();
        on.dedup();
        return Decision::Waits { on: on.into_iter().map(|node| graph.stage(node).id.clone()).collect() };
    };
    if let Some(manifest) = results.by_key(&key).filter(is_whole) {
        let is_guess = |edge: &InputEdge| matches!(earlier[edge.node], Decision::Hit { by_prediction: true, .. });
        let by_prediction = stage.inputs.values().flatten().any(is_guess);
        return Decision::Hit { key, manifest, by_prediction };
    }
    let inputs = stage.input_digests(content).unwrap_or_default();
    let (_, ingredients) = resolved_key(stage, &inputs);
    Decision::Run { key, reason: reason_to_run(results, stage, &key, &ingredients) }
}

/// Returns why a stage with this key runs, in words: `never run before`, `param.kl-beta changed: 0.0 → 0.04`.
pub fn reason_to_run(results: &dyn Results, stage: &PlannedStage, key: &Digest, ingredients: &[Ingredient]) -> String {
    let candidates = results.nearest(&stage.name, &stage.kind.name);
    if candidates.iter().any(|before| before.key == *key) {
        return "its result is no longer in the store".to_owned();
    }
    match nearest_change(ingredients, &candidates) {
        None => "never run before".to_owned(),
        Some((_, changes)) => match &changes[..] {
            [] => "its key is computed differently now".to_owned(),
            [change] => change.to_string(),
            [change, rest @ ..] => format!("{change} (and {} more)", rest.len()),
        },
    }
}
