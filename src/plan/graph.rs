//! The graph of planned stages, merged over variants.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use camino::Utf8PathBuf;
use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
};

use crate::{
    base::{ArtifactType, Digest, Seed, StageId, Value},
    plan::Numerics,
    spec::{KindFile, KindManifest, Resources},
};

/// Every stage to be done, producers before consumers. What several variants need alike is one node.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(super) pipeline: String,
    pub(super) variants: Vec<String>,
    /// Node indices are topological positions.
    pub(super) graph: DiGraph<PlannedStage, ()>,
}

/// One stage to be done.
#[derive(Clone, Debug)]
pub struct PlannedStage {
    /// Its name in this graph: `train[2]`, with ` @ kl=on` where variants differ.
    pub id: StageId,
    /// Its name without the variant: `train[2]`.
    pub name: String,
    /// The labels of the variants that need it; empty where the pipeline has no ablation.
    pub variants: Vec<String>,
    /// Whether every selected variant needs it.
    pub shared_by_all: bool,
    /// Its kind.
    pub kind: Arc<KindManifest>,
    /// Parameters, defaults filled in; without `file` parameters. A `source` parameter is here as written.
    pub params: BTreeMap<String, Value>,
    /// Files by name: declared files of a kind by their path, `file` and `path:` parameters by parameter, files of a
    /// `command` stage by position (`0`, `1`, …).
    pub files: BTreeMap<String, PlannedFile>,
    /// Inputs by port, in the order of the pipeline file.
    pub inputs: BTreeMap<String, Vec<InputEdge>>,
    /// The ports whose inputs are known to the stage by label.
    pub labelled: BTreeSet<String>,
    /// Outputs by port.
    pub outputs: BTreeMap<String, ArtifactType>,
    /// Outputs of which a copy is kept in the project, by port.
    pub publish: BTreeMap<String, Utf8PathBuf>,
    /// What it takes of the machine.
    pub resources: Resources,
    /// The program and its arguments, with placeholders (see `spec::pieces`); `None` for built-in kinds.
    pub command: Option<Vec<String>>,
    /// The environment variables that it sees.
    pub env: Vec<String>,
    /// The seed, where it is part of the key.
    pub seed: Option<Seed>,
    /// Device and number type, where they are part of the key.
    pub numerics: Option<Numerics>,
    /// The digest of everything in the key but the inputs.
    pub recipe: Digest,
    /// The predicted key: made of producers' predicted keys, so known before anything runs.
    pub predicted: Digest,
    /// An earlier node with the same predicted key: the same work under another name, whose result is shared.
    pub twin: Option<usize>,
}

/// A file that is part of a key.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedFile {
    /// The digest of its content.
    pub digest: Digest,
    /// Where its bytes are.
    pub origin: FileOrigin,
    /// Where it stands in the stage's working directory, if anywhere.
    pub at: Option<Utf8PathBuf>,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug, PartialEq)]
pub enum FileOrigin {
    /// In the project: a path relative to the pipeline file.
    Path(Utf8PathBuf),
    /// In memory: a file of a kind.
    Embedded(KindFile),
}

/// One input of a planned stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputEdge {
    /// The artifact's name among many: `evaluate @ kl=on`.
    pub label: String,
    /// The producer's index in the graph.
    pub node: usize,
    /// The producer's port.
    pub port: String,
}

impl PlannedStage {
    /// Returns the contents of its inputs as [`resolved_key`](crate::plan::resolved_key) takes them; `None` if `digest_of`
    /// does not know one of them.
    pub fn input_digests(
        &self,
        digest_of: impl Fn(&InputEdge) -> Option<Digest>,
    ) -> Option<BTreeMap<String, Vec<(String, Digest)>>> {
        self.inputs
            .iter()
            .map(|(port, edges)| {
                let items: Option<Vec<_>> =
                    edges.iter().map(|edge| Some((edge.label.clone(), digest_of(edge)?))).collect();
                Some((port.clone(), items?))
            })
            .collect()
    }
}

impl Graph {
    /// Returns the pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Returns the labels of the variants, the baseline first.
    pub fn variants(&self) -> &[String] {
        &self.variants
    }

    /// Returns how many stages there are.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Returns whether there is no stage.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the stage with index `index`.
    ///
    /// # Panics
    /// There is no such stage.
    pub fn stage(&self, index: usize) -> &PlannedStage {
        &self.graph[NodeIndex::new(index)]
    }

    /// Returns the stages in topological order: the position is the index.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = &PlannedStage> {
        self.graph.raw_nodes().iter().map(|node| &node.weight)
    }

    /// Returns the stages that must be done before stage `index` can be decided, each once, in order.
    pub fn deps(&self, index: usize) -> Vec<usize> {
        let mut deps: Vec<usize> =
            self.graph.neighbors_directed(NodeIndex::new(index), Direction::Incoming).map(NodeIndex::index).collect();
        deps.sort_unstable();
        deps
    }

    /// Returns the stages that wait for stage `index`, each once, in order.
    pub fn dependents(&self, index: usize) -> Vec<usize> {
        let mut dependents: Vec<usize> =
            self.graph.neighbors_directed(NodeIndex::new(index), Direction::Outgoing).map(NodeIndex::index).collect();
        dependents.sort_unstable();
        dependents
    }

    /// Returns the stages that a person means by `name`: the one with this id, or all with this name, with the name of a
    /// loop's stage in any iteration.
    pub fn find(&self, name: &str) -> Vec<usize> {
        let by = |fits: &dyn Fn(&PlannedStage) -> bool| -> Vec<usize> {
            self.stages().enumerate().filter(|(_, stage)| fits(stage)).map(|(index, _)| index).collect()
        };
        let mut found = by(&|stage| stage.id.as_str() == name);
        if found.is_empty() {
            found = by(&|stage| stage.name == name);
        }
        if found.is_empty() {
            found = by(&|stage| stage.name.split_once('[').is_some_and(|(head, _)| head == name));
        }
        found
    }
}
