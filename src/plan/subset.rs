//! Part of a graph: some stages and what they need.

use petgraph::graph::{DiGraph, NodeIndex};

use crate::{base::did_you_mean, plan::Graph};

/// A name that no stage of a graph has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStage {
    /// The name.
    pub name: String,
    /// The name that was probably meant.
    pub meant: Option<String>,
}

impl Graph {
    /// Returns the graph of the stages called `names` and of everything they need. A name is a stage's full name
    /// (`train[2] @ kl=on`), its name in every variant (`train[2]`), or its name in every iteration (`train`).
    ///
    /// # Errors
    /// A name that no stage has.
    pub fn restricted_to(&self, names: &[String]) -> Result<Self, UnknownStage> {
        let mut kept = vec![false; self.len()];
        for name in names {
            let mut found = false;
            for (index, stage) in self.stages().enumerate() {
                let looped = stage.name.split_once('[').map_or(stage.name.as_str(), |(plain, _)| plain);
                if [stage.id.as_str(), &stage.name, looped].contains(&name.as_str()) {
                    kept[index] = true;
                    found = true;
                }
            }
            if !found {
                let known = self.stages().flat_map(|stage| [stage.id.as_str(), stage.name.as_str()]);
                return Err(UnknownStage {
                    name: name.clone(),
                    meant: did_you_mean(name, known).map(ToOwned::to_owned),
                });
            }
        }
        for index in (0..self.len()).rev() {
            if kept[index] {
                for dependency in self.deps(index) {
                    kept[dependency] = true;
                }
            }
        }
        Ok(self.keep(&kept))
    }

    /// Returns the graph of the stages marked in `kept`, which must hold what they need.
    fn keep(&self, kept: &[bool]) -> Self {
        let mut places = vec![usize::MAX; self.len()];
        let mut graph = DiGraph::new();
        for (index, stage) in self.stages().enumerate().filter(|(index, _)| kept[*index]) {
            let mut stage = stage.clone();
            for edge in stage.inputs.values_mut().flatten() {
                edge.node = places[edge.node];
            }
            stage.twin = stage.twin.map(|twin| places[twin]).filter(|twin| *twin != usize::MAX);
            places[index] = graph.add_node(stage).index();
        }
        for edge in self.graph.raw_edges() {
            let (source, target) = (places[edge.source().index()], places[edge.target().index()]);
            if source != usize::MAX && target != usize::MAX {
                graph.add_edge(NodeIndex::new(source), NodeIndex::new(target), ());
            }
        }
        Self { pipeline: self.pipeline.clone(), variants: self.variants.clone(), graph }
    }
}
