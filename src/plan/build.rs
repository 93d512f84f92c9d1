//! From instances to the graph: digests of files asked for, keys computed, equal work merged.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use camino::Utf8PathBuf;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::{
    base::{Diagnostic, Digest, StageId, Value},
    plan::{
        Facts, FileOrigin, Graph, InputEdge, Numerics, PlannedFile, PlannedStage,
        key::{predicted_key, recipe},
    },
    spec::{DEFAULT_ENV, Expanded, FileUse, Instance, Place},
};

impl Graph {
    /// Plans an expanded pipeline.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn build(expanded: &Expanded, facts: &dyn Facts) -> Result<Self, Vec<Diagnostic>> {
        let mut files = Files { facts, known: HashMap::new(), mistakes: Vec::new() };
        let count = expanded.instances.len();
        let mut graph: DiGraph<PlannedStage, ()> = DiGraph::with_capacity(count, 2 * count);
        // Per node: the variants that need it. Global stages are in every one.
        let mut members: Vec<Vec<usize>> = Vec::with_capacity(count);
        let mut nodes: Vec<usize> = Vec::with_capacity(count);
        // The first node of each predicted key, and the further ones, which are rare.
        let mut first_by_key: HashMap<Digest, usize> = HashMap::with_capacity(count);
        let mut twins: HashMap<Digest, Vec<usize>> = HashMap::new();
        let mut producers: Vec<usize> = Vec::new();
        for instance in &expanded.instances {
            let mut stage = plan_one(instance, &nodes, &mut files);
            stage.recipe = recipe(&stage);
            stage.predicted = predicted_key(&stage, |node| graph[NodeIndex::new(node)].predicted);
            let first = first_by_key.get(&stage.predicted).copied();
            let others = first.and_then(|_| twins.get(&stage.predicted));
            let same = (first.iter().chain(others.into_iter().flatten()).copied())
                .find(|&node| graph[NodeIndex::new(node)].name == stage.name);
            let node = match same {
                Some(node) => {
                    graph[NodeIndex::new(node)].publish.append(&mut stage.publish);
                    node
                }
                None => {
                    stage.twin = first;
                    producers.clear();
                    producers.extend(stage.inputs.values().flatten().map(|edge| edge.node));
                    producers.sort_unstable();
                    producers.dedup();
                    let predicted = stage.predicted;
                    let node = graph.add_node(stage);
                    for &producer in &producers {
                        graph.add_edge(NodeIndex::new(producer), node, ());
                    }
                    if first.is_some() {
                        twins.entry(predicted).or_default().push(node.index());
                    } else {
                        first_by_key.insert(predicted, node.index());
                    }
                    members.push(Vec::new());
                    node.index()
                }
            };
            match instance.variant {
                Some(variant) => members[node].push(variant),
                None => members[node] = (0..expanded.variants.len()).collect(),
            }
            nodes.push(node);
        }
        if !files.mistakes.is_empty() {
            return Err(files.mistakes);
        }
        name_apart(&mut graph, &members, expanded);
        let variants = expanded.variants.iter().map(|variant| variant.label.clone()).collect();
        Ok(Self { pipeline: expanded.pipeline.clone(), variants, graph })
    }
}

/// Files asked for so far.
struct Files<'a> {
    facts: &'a dyn Facts,
    known: HashMap<&'a str, Option<Digest>>,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Files<'a> {
    fn planned(&mut self, used: &'a FileUse) -> PlannedFile {
        match used {
            FileUse::Kind { file, at } => {
                PlannedFile { digest: file.digest(), origin: FileOrigin::Embedded(file.clone()), at: at.clone() }
            }
            FileUse::Path { path, at, place } => {
                PlannedFile { digest: self.digest(path, place), origin: FileOrigin::Path(path.clone()), at: at.clone() }
            }
        }
    }

    /// Returns the content digest of a file. Of one that cannot be read, that is reported once, the digest does not matter.
    fn digest(&mut self, path: &'a Utf8PathBuf, place: &Place) -> Digest {
        let known = self.known.entry(path.as_str()).or_insert_with(|| match self.facts.file(path) {
            Ok(digest) => Some(digest),
            Err(reason) => {
                self.mistakes.push(Diagnostic {
                    code: "unreadable-file",
                    message: format!("`{path}` cannot be read: {reason}"),
                    source: place.source.clone(),
                    span: place.span.clone(),
                    label: None,
                    help: Some("paths are relative to the pipeline file".to_owned()),
                });
                None
            }
        });
        known.unwrap_or_else(|| Digest::from_bytes([0; 32]))
    }
}

fn plan_one<'a>(instance: &'a Instance, nodes: &[usize], files: &mut Files<'a>) -> PlannedStage {
    let stage = &instance.stage;
    let edges = |links: &'a Vec<crate::spec::Link>| {
        links
            .iter()
            .map(|link| InputEdge { label: link.label.clone(), node: nodes[link.instance], port: link.port.clone() })
            .collect()
    };
    let nothing = Digest::from_bytes([0; 32]);
    PlannedStage {
        id: StageId::new(""),
        name: instance.name.clone(),
        variants: Vec::new(),
        shared_by_all: false,
        kind: stage.kind.manifest.clone(),
        params: instance.params.clone(),
        files: instance.files.iter().map(|(name, used)| (name.clone(), files.planned(used))).collect(),
        inputs: instance.inputs.iter().map(|(port, links)| (port.clone(), edges(links))).collect(),
        labelled: stage
            .needs
            .iter()
            .map(|need| (&need.port, need.many, stage.kind.manifest.inputs.get(&need.port)))
            .filter(|(_, many, port)| *many || port.is_some_and(|port| port.labelled))
            .map(|(port, ..)| port.clone())
            .collect(),
        outputs: instance.outputs(),
        publish: if instance.publishes { stage.publish.clone() } else { BTreeMap::new() },
        resources: stage.resources,
        command: stage.command.clone(),
        env: match &stage.env {
            Some(env) => env.clone(),
            None if stage.command.is_some() => DEFAULT_ENV.map(str::to_owned).to_vec(),
            None => Vec::new(),
        },
        seed: instance.seed,
        numerics: stage.kind.manifest.numerics.then(|| numerics(files.facts.numerics(), &instance.params)),
        recipe: nothing,
        predicted: nothing,
        twin: None,
    }
}

/// Returns what a stage computes with: what the world does, but for the device that its parameter `device` names.
fn numerics(mut numerics: Numerics, params: &BTreeMap<String, Value>) -> Numerics {
    if let Some(Value::Text(device)) = params.get("device") {
        numerics.device.clone_from(device);
    }
    numerics
}

/// Gives every stage its id: its name, and where several have the same name, what tells their variants apart.
fn name_apart(graph: &mut DiGraph<PlannedStage, ()>, members: &[Vec<usize>], expanded: &Expanded) {
    let mut by_name: HashMap<&str, (usize, Vec<usize>)> = HashMap::with_capacity(members.len());
    for (node, stage) in graph.node_weights().enumerate() {
        match by_name.entry(&stage.name) {
            Entry::Vacant(entry) => {
                entry.insert((node, Vec::new()));
            }
            Entry::Occupied(mut entry) => entry.get_mut().1.push(node),
        }
    }
    let mut ids: Vec<Option<String>> = vec![None; members.len()];
    for (name, (first, rest)) in by_name.into_iter().filter(|(_, (_, rest))| !rest.is_empty()) {
        let nodes: Vec<usize> = std::iter::once(first).chain(rest).collect();
        for &node in &nodes {
            ids[node] = Some(format!("{name} @ {}", common_label(node, &nodes, members, expanded)));
        }
    }
    for (node, (stage, id)) in graph.node_weights_mut().zip(ids).enumerate() {
        stage.id = StageId::new(id.unwrap_or_else(|| stage.name.clone()));
        stage.shared_by_all = members[node].len() == expanded.variants.len();
        stage.variants = members[node]
            .iter()
            .map(|&variant| expanded.variants[variant].label.clone())
            .filter(|label| !label.is_empty())
            .collect();
    }
}

/// Returns the parts of labels that all variants of `node` have and none of the other nodes' variants: `seed=1`; or, if
/// there are no such parts, the label of its first variant.
fn common_label(node: usize, nodes: &[usize], members: &[Vec<usize>], expanded: &Expanded) -> String {
    let parts = |variant: usize| expanded.variants[variant].label.split(' ').collect::<Vec<_>>();
    let Some((&first, rest)) = members[node].split_first() else { return String::new() };
    let mut common = parts(first);
    for &variant in rest {
        let other = parts(variant);
        common.retain(|part| other.contains(part));
    }
    let mut others = nodes.iter().filter(|other| **other != node).flat_map(|&other| &members[other]);
    let tells_apart = !common.is_empty()
        && others.all(|&variant| {
            let other = parts(variant);
            !common.iter().all(|part| other.contains(part))
        });
    if tells_apart { common.join(" ") } else { expanded.variants[first].label.clone() }
}
