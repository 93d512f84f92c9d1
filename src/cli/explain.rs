//! `pipeline explain STAGE`.

use std::{collections::BTreeMap, fmt::Write as _};

use camino::Utf8PathBuf;
use serde_json::json;

use crate::{
    base::Digest,
    cli::{Failure, args::ExplainArguments, output, project::Loaded, selector},
    engine::Lookup,
    plan::{Change, Decision, Graph, PlannedStage, Results, decide, nearest_change, resolved_key},
    store::Store,
};

/// Inputs of a stage whose contents are known: port → label and digest.
type Inputs = BTreeMap<String, Vec<(String, Digest)>>;

/// Returns the inputs of a stage if every producer is a hit, or the first producer that is not.
fn inputs(graph: &Graph, decisions: &[Decision], stage: &PlannedStage) -> Result<Inputs, String> {
    let mut inputs = Inputs::new();
    for (port, edges) in &stage.inputs {
        for edge in edges {
            let producer = graph.stage(edge.node);
            let digest = match &decisions[edge.node] {
                Decision::Hit { manifest, .. } => manifest.outputs.get(&edge.port).map(|output| output.digest),
                _ => None,
            };
            let digest = digest.ok_or_else(|| producer.id.to_string())?;
            inputs.entry(port.clone()).or_default().push((edge.label.clone(), digest));
        }
    }
    Ok(inputs)
}

pub(super) fn run(arguments: &ExplainArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let loaded = Loaded::read(&arguments.pipeline, store)?;
    let store = loaded.project.open_store_to_plan()?;
    let graph = loaded.graph(&store, &[])?;
    let index = selector::stage(&graph, &arguments.stage)?;
    let explained = explain(&graph, &store, index);
    if arguments.json { output::answer_json(&explained.json()) } else { output::answer(&explained.text()) }
}

/// What is known about a stage's key.
struct Explained {
    stage: String,
    status: &'static str,
    reason: String,
    key: Option<Digest>,
    against: Option<(Digest, String)>,
    changes: Vec<Change>,
}

fn explain(graph: &Graph, store: &Store, index: usize) -> Explained {
    let lookup = Lookup(store);
    let decisions = decide(graph, &lookup);
    let stage = graph.stage(index);
    let mut explained = Explained {
        stage: stage.id.to_string(),
        status: "waits",
        reason: String::new(),
        key: None,
        against: None,
        changes: Vec::new(),
    };
    match &decisions[index] {
        Decision::Hit { key, .. } => {
            explained.status = "hit";
            explained.reason = "its result exists".to_owned();
            explained.key = Some(*key);
        }
        Decision::Run { key, reason } => {
            explained.status = "run";
            explained.reason.clone_from(reason);
            explained.key = Some(*key);
        }
        Decision::Waits { on } => {
            let names: Vec<&str> = on.iter().map(|id| id.as_str()).collect();
            explained.reason = format!("its inputs are not known before {} ran", names.join(", "));
        }
    }
    let known = inputs(graph, &decisions, stage);
    let (key, now) = resolved_key(stage, &known.clone().unwrap_or_default());
    let candidates: Vec<_> =
        lookup.nearest(&stage.name, &stage.kind.name).into_iter().filter(|before| before.key != key).collect();
    if let Some((before, changes)) = nearest_change(&now, &candidates) {
        explained.against = Some((before.key, before.run_id.clone()));
        // Inputs that are not known yet are no change.
        explained.changes =
            changes.into_iter().filter(|change| known.is_ok() || !change.leaf.starts_with("input.")).collect();
    }
    explained
}

impl Explained {
    fn text(&self) -> String {
        let mut text = format!("{}: {} ({})\n", self.stage, self.status, self.reason);
        if let Some(key) = &self.key {
            let _ = writeln!(text, "key: {key}");
        }
        match &self.against {
            None => text.push_str("there is no other result of this stage to compare with\n"),
            Some((key, run)) => {
                let _ = writeln!(text, "against the nearest other result {} of run {run}:", key.short());
                if self.changes.is_empty() {
                    text.push_str("  no leaf that is known already differs\n");
                }
                for Change { leaf, old, new } in &self.changes {
                    let show = |side: &Option<String>| side.clone().unwrap_or_else(|| "(absent)".to_owned());
                    let _ = writeln!(text, "  {leaf}: {} → {}", show(old), show(new));
                }
            }
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let changes: Vec<_> = self
            .changes
            .iter()
            .map(|change| json!({ "leaf": change.leaf, "old": change.old, "new": change.new }))
            .collect();
        json!({
            "schema_version": 1,
            "stage": self.stage,
            "status": self.status,
            "reason": self.reason,
            "key": self.key,
            "against": self.against.as_ref().map(|(key, run)| json!({ "key": key, "run_id": run })),
            "changes": changes,
        })
    }
}
