//! What is a hit, what must run, what must wait.

use std::sync::Arc;

use crate::{
    base::{Digest, StageId},
    plan::Graph,
    record::ResultManifest,
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
pub fn decide(graph: &Graph, results: &dyn Results) -> Vec<Decision> {
    let _ = (graph, results);
    Vec::new()
}
