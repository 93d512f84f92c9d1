//! How long the thinking takes: text → spec → instances → graph with keys → decisions, for a pipeline of 500 command stages.
//!
//! `cargo bench --bench plan` (or with another profile: `cargo bench --profile NAME --bench plan`).

use std::{collections::HashMap, fmt::Write as _, sync::Arc};

use camino::Utf8Path;
use divan::{Bencher, black_box};
use toolexpander::{
    base::{Digest, SourceText},
    plan::{Facts, Graph, Results, decide, resolved_key},
    record::ResultManifest,
    spec::{Expanded, Kinds, Selection, Spec, expand},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A layered pipeline of `count` command stages, ten wide, about 200 bytes each.
fn text(count: usize) -> String {
    let mut text = "schema = 1\n\n[pipeline]\nname = \"layers\"\nseed = 1\n".to_owned();
    for index in 0..count {
        let (layer, place) = (index / 10, index % 10);
        let needs = match layer {
            0 => String::new(),
            _ => format!("needs = {{ data = \"s{}_{place}.out\" }}\n", layer - 1),
        };
        let input = if layer == 0 { "{files.0}" } else { "{inputs.data}" };
        let _ = write!(
            text,
            "\n[stages.s{layer}_{place}]\nuses = \"command\"\ncommand = [\"sh\", \"stage.sh\", \"{input}\", \"{{outputs.out}}\", \"{{params.word}}\"]\n\
             files = [\"stage.sh\"]\n{needs}with = {{ word = \"v_s{layer}_{place}\" }}\noutputs = {{ out = \"file\" }}\n"
        );
    }
    text
}

struct Disk;

impl Facts for Disk {
    fn file(&self, path: &Utf8Path) -> Result<Digest, String> {
        Ok(Digest::of(path.as_str().as_bytes()))
    }
}

/// Results of everything, in memory.
struct Memory(HashMap<Digest, Arc<ResultManifest>>);

impl Memory {
    fn of(graph: &Graph) -> Self {
        let mut results: HashMap<Digest, Arc<ResultManifest>> = HashMap::new();
        let mut made: Vec<Arc<ResultManifest>> = Vec::new();
        for stage in graph.stages() {
            let inputs =
                stage.input_digests(|edge| Some(made[edge.node].outputs[&edge.port].digest)).unwrap_or_default();
            let (key, ingredients) = resolved_key(stage, &inputs);
            let outputs: serde_json::Map<String, serde_json::Value> = stage
                .outputs
                .iter()
                .map(|(port, artifact_type)| {
                    let digest = Digest::of(format!("{key} {port}").as_bytes());
                    (port.clone(), serde_json::json!({ "type": artifact_type, "digest": digest, "bytes": 1 }))
                })
                .collect();
            let manifest: ResultManifest = serde_json::from_value(serde_json::json!({
                "schema_version": 1, "key": key, "predicted": [stage.predicted], "stage": stage.name, "kind": stage.kind.name,
                "ingredients": ingredients, "outputs": outputs, "run_id": "r", "committed_at": 0, "seconds": 0.0
            }))
            .expect("a manifest");
            let manifest = Arc::new(manifest);
            results.insert(key, manifest.clone());
            made.push(manifest);
        }
        Self(results)
    }
}

impl Results for Memory {
    fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        self.0.get(key).cloned()
    }

    fn by_predicted(&self, _: &Digest) -> Option<Arc<ResultManifest>> {
        None
    }
}

fn parsed(text: &str) -> Spec {
    Spec::parse(&SourceText::new("layers.toml", text), &Kinds::new(), &[])
        .unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

fn expanded(spec: &Spec) -> Expanded {
    expand(spec, &Selection::default()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

fn planned(expanded: &Expanded) -> Graph {
    Graph::build(expanded, &Disk).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]))
}

const COUNTS: [usize; 2] = [500, 5000];

#[divan::bench(args = COUNTS)]
fn toml(bencher: Bencher, count: usize) {
    let text = text(count);
    bencher.bench(|| toml::de::DeTable::parse(black_box(&text)));
}

#[divan::bench(args = COUNTS)]
fn parse(bencher: Bencher, count: usize) {
    let text = text(count);
    bencher.bench(|| parsed(black_box(&text)));
}

#[divan::bench(args = COUNTS)]
fn unroll(bencher: Bencher, count: usize) {
    let spec = parsed(&text(count));
    bencher.bench(|| expanded(black_box(&spec)));
}

#[divan::bench(args = COUNTS)]
fn build(bencher: Bencher, count: usize) {
    let expanded = expanded(&parsed(&text(count)));
    bencher.bench(|| planned(black_box(&expanded)));
}

#[divan::bench(args = COUNTS)]
fn decide_all_hits(bencher: Bencher, count: usize) {
    let graph = planned(&expanded(&parsed(&text(count))));
    let memory = Memory::of(&graph);
    bencher.bench(|| decide(black_box(&graph), &memory));
}

#[divan::bench(args = COUNTS)]
fn whole(bencher: Bencher, count: usize) {
    let text = text(count);
    bencher.bench(|| planned(&expanded(&parsed(black_box(&text)))));
}

fn main() {
    divan::main();
}
