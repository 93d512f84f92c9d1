//! Tests of `plan`: what moves a key, what is done again, and what is said about it.

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use camino::Utf8Path;
use insta::assert_snapshot;
use proptest::prelude::*;
use toolexpander::{
    base::{ArtifactType, Digest, SourceText},
    plan::{
        Decision, Facts, Graph, KEY_FORMAT, Numerics, PlannedStage, Results, decide, explain, nearest_change,
        resolved_key,
    },
    record::{OutputRecord, RESULT_FORMAT, ResultManifest},
    spec::{KindFile, KindManifest, Kinds, Selection, Spec, expand},
};

use crate::spec::{GOOD, kinds, kinds_with};

/// The files of a project, in memory.
#[derive(Clone)]
struct Disk {
    files: HashMap<String, String>,
    numerics: Numerics,
}

impl Disk {
    fn new() -> Self {
        let files = [
            ("../data/items", "the items"),
            ("count.sh", "wc -l"),
            ("./count.sh", "wc -l"),
            ("moved.sh", "wc -l"),
            ("mine.txt", "my prompt"),
        ];
        let files = files.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        Self { files, numerics: Numerics::default() }
    }

    fn with(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }
}

impl Facts for Disk {
    fn file(&self, path: &Utf8Path) -> Result<Digest, String> {
        self.files.get(path.as_str()).map(|text| Digest::of(text.as_bytes())).ok_or_else(|| "no such file".to_owned())
    }

    fn numerics(&self) -> Numerics {
        self.numerics.clone()
    }
}

fn graph_of(text: &str, kinds: &Kinds, disk: &Disk) -> Graph {
    let spec = Spec::parse(&SourceText::new("demo.toml", text), kinds, &[]).unwrap();
    let expanded = expand(&spec, &Selection::default()).unwrap();
    Graph::build(&expanded, disk).unwrap()
}

fn graph(text: &str) -> Graph {
    graph_of(text, &kinds(), &Disk::new())
}

/// Results, in memory.
#[derive(Default)]
struct Memory {
    by_key: BTreeMap<Digest, Arc<ResultManifest>>,
    by_predicted: BTreeMap<Digest, Arc<ResultManifest>>,
    /// Latest last.
    history: Vec<Arc<ResultManifest>>,
    asked: Cell<usize>,
}

impl Results for Memory {
    fn by_key(&self, key: &Digest) -> Option<Arc<ResultManifest>> {
        self.asked.set(self.asked.get() + 1);
        self.by_key.get(key).cloned()
    }

    fn by_predicted(&self, predicted: &Digest) -> Option<Arc<ResultManifest>> {
        self.by_predicted.get(predicted).cloned()
    }

    fn nearest(&self, stage_name: &str, kind: &str) -> Vec<Arc<ResultManifest>> {
        self.history.iter().rev().filter(|it| it.stage == stage_name && it.kind == kind).cloned().collect()
    }
}

impl Memory {
    /// Does what must be done, as an engine would: each stage's outputs are whatever `bytes` makes of its key. Returns the ids
    /// of the stages that ran.
    fn run_with(&mut self, graph: &Graph, bytes: impl Fn(&PlannedStage, &Digest, &str) -> String) -> Vec<String> {
        let mut made: Vec<Arc<ResultManifest>> = Vec::new();
        let mut ran = Vec::new();
        for stage in graph.stages() {
            let inputs = stage.input_digests(|edge| Some(made[edge.node].outputs[&edge.port].digest)).unwrap();
            let (key, ingredients) = resolved_key(stage, &inputs);
            let manifest = match self.by_key(&key) {
                Some(manifest) => manifest,
                None => {
                    ran.push(stage.id.to_string());
                    let outputs = stage.outputs.iter().map(|(port, artifact_type)| {
                        let digest = Digest::of(bytes(stage, &key, port).as_bytes());
                        let artifact_type: ArtifactType = artifact_type.clone();
                        (port.clone(), OutputRecord { artifact_type, digest, bytes: 1, rows: None, files: Vec::new() })
                    });
                    Arc::new(ResultManifest {
                        schema_version: RESULT_FORMAT,
                        key,
                        predicted: vec![stage.predicted],
                        stage: stage.name.clone(),
                        kind: stage.kind.name.clone(),
                        ingredients,
                        outputs: outputs.collect(),
                        run_id: "run".to_owned(),
                        committed_at: 0,
                        seconds: 0.0,
                        pinned: BTreeMap::new(),
                    })
                }
            };
            self.by_key.insert(key, manifest.clone());
            self.by_predicted.insert(stage.predicted, manifest.clone());
            self.history.push(manifest.clone());
            made.push(manifest);
        }
        ran
    }

    fn run(&mut self, graph: &Graph) -> Vec<String> {
        self.run_with(graph, |_, key, port| format!("{key} {port}"))
    }

    /// Forgets the result of a stage, as when its blobs vanish; that it was there is still known.
    fn lose(&mut self, graph: &Graph, id: &str) {
        let predicted = graph.stage(graph.find(id)[0]).predicted;
        let manifest = self.by_predicted.remove(&predicted).unwrap();
        self.by_key.remove(&manifest.key).unwrap();
    }
}

fn plan(graph: &Graph, memory: &Memory) -> String {
    let decisions = decide(graph, memory);
    let mut lines = String::new();
    for (stage, decision) in graph.stages().zip(decisions) {
        let words = match decision {
            Decision::Hit { by_prediction: false, .. } => continue,
            Decision::Hit { .. } => "hit by prediction".to_owned(),
            Decision::Run { reason, .. } => format!("run: {reason}"),
            Decision::Waits { on } => {
                format!("waits: {}", on.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "))
            }
        };
        lines.push_str(&format!("{}: {words}\n", stage.id));
    }
    lines
}

#[test]
fn variants_share_what_is_equal() {
    let graph = graph(GOOD);
    let mut lines = String::new();
    for (index, stage) in graph.stages().enumerate() {
        let deps: Vec<&str> = graph.deps(index).into_iter().map(|dep| graph.stage(dep).id.as_str()).collect();
        let shared = if stage.shared_by_all { " (all)" } else { "" };
        lines.push_str(&format!("{}{shared} <- {}\n", stage.id, deps.join(", ")));
        for dep in graph.deps(index) {
            assert!(dep < index && graph.dependents(dep).contains(&index));
        }
        assert_eq!(stage.variants.len() == 4, stage.shared_by_all);
    }
    assert_snapshot!(lines);
}

#[test]
fn keys_do_not_change_by_themselves() {
    // These keys are in people's stores. If they move, everybody's experiments run again: raise KEY_FORMAT and say so in the
    // changelog.
    assert_eq!(KEY_FORMAT, 1);
    let graph = graph(&GOOD.replace("seeds = [1, 2]\n", "").replace("times = 3", "times = 1"));
    let mut memory = Memory::default();
    memory.run(&graph);
    let mut lines = String::new();
    for stage in graph.stages() {
        let result = memory.by_predicted(&stage.predicted).unwrap();
        lines.push_str(&format!("{}\n  predicted {}\n  key {}\n", stage.id, stage.predicted, result.key));
        for ingredient in &result.ingredients {
            lines.push_str(&format!("    {} = {}\n", ingredient.leaf, ingredient.value));
        }
    }
    assert_snapshot!(lines);
}

/// The scenario of the caching table: everything of GOOD, one variant.
fn one_variant() -> String {
    let (text, _) = GOOD.split_once("[ablations.kl]").unwrap();
    text.replace("times = 3", "times = 2").replace("[1.0, 0.8]", "[0.9, 0.8]")
}

/// What runs after a change of the text, the kinds or the disk, when everything was done before.
fn ran_after(before: &str, after: &str, kinds_after: &Kinds, disk: &Disk) -> String {
    let mut memory = Memory::default();
    let graph = graph(before);
    assert!(!memory.run(&graph).is_empty());
    memory.run(&graph_of(after, kinds_after, disk)).join(" ")
}

#[test]
fn a_change_runs_only_what_it_reaches() {
    const TAIL: &str = "exam compare count";
    let base = one_variant();
    let ran = |old: &str, new: &str| {
        assert_eq!(base.matches(old).count(), 1, "`{old}` is there once");
        ran_after(&base, &base.replace(old, new), &kinds(), &Disk::new())
    };
    // Not in any key.
    assert_eq!(ran("schema = 1", "# a comment\nschema = 1"), "");
    assert_eq!(ran("name = \"demo\"", "name = \"other\""), "");
    assert_eq!(ran("kl-beta = 0.0, mode = \"grpo\"", "mode = \"grpo\", kl-beta = 0.0"), "");
    assert_eq!(ran("kl-beta = 0.0, mode", "kl-beta = 0, mode"), "", "a whole number is a number");
    assert_eq!(ran("kl-beta = 0.0, mode", "kl-beta = -0.0, mode"), "");
    assert_eq!(ran("mode = \"grpo\" }", "mode = \"grpo\", steps = 10 }"), "", "the default, spelt out");
    assert_eq!(ran("with = { size = 4 }", "with = { size = 4 }\nresources = { cpus = 7, gpus = 1 }"), "");
    assert_eq!(ran("with = { size = 4 }", "with = { size = 4 }\npublish = { model = \"out/model\" }"), "");
    assert_eq!(ran("with = { size = 4 }", "with = { size = 4 }\ndoc = \"words\""), "");
    assert_eq!(ran("publish = { out = \"out/count.txt\" }", "publish = { out = \"elsewhere.txt\" }"), "");
    assert_eq!(ran("publish = { out = \"out/count.txt\" }", ""), "");

    // The order of tables and keys.
    let (head, stages) = base.split_once("[stages.model]").unwrap();
    let mut tables: Vec<String> = format!("[stages.model]{stages}").split("\n\n").map(str::to_owned).collect();
    tables.reverse();
    assert_eq!(ran_after(&base, &format!("{head}\n{}", tables.join("\n\n")), &kinds(), &Disk::new()), "");
    let (_, ablations) = GOOD.split_once("[ablations.kl]").unwrap();
    let turned = GOOD.replace(
        ablations,
        "\nvariants.on = { \"round.train.kl-beta\" = 0.04 }\nvariants.off = {}\nseeds = [1, 2]\nbaseline = \"off\"\n",
    );
    assert_eq!(ran_after(GOOD, &turned, &kinds(), &Disk::new()), "");

    // Another name: the same work.
    let renamed = base
        .replace("model = \"model\"", "model = \"origin\"")
        .replace("first = \"model\"", "first = \"origin\"")
        .replace("[stages.model]", "[stages.origin]");
    assert_eq!(ran_after(&base, &renamed, &kinds(), &Disk::new()), "");
    let renamed = base.replace("[loops.round", "[loops.lap").replace("round.model", "lap.model");
    assert_eq!(ran_after(&base, &renamed, &kinds(), &Disk::new()), "");
    // But a name that reaches the output is part of the work.
    let renamed = base.replace("[stages.exam]", "[stages.test]").replace("exam@*", "test@*");
    assert_eq!(ran_after(&base, &renamed, &kinds(), &Disk::new()), "compare count");

    // Parameters.
    assert_eq!(ran("size = 4", "size = 5"), format!("model baseline rollout[1] train[1] rollout[2] train[2] {TAIL}"));
    assert_eq!(ran("kl-beta = 0.0", "kl-beta = 0.1"), format!("train[1] rollout[2] train[2] {TAIL}"));
    assert_eq!(ran("per-round = [0.9, 0.8]", "per-round = [0.9, 0.7]"), format!("rollout[2] train[2] {TAIL}"));
    assert_eq!(
        ran("mode = \"grpo\" }", "mode = \"grpo\", note = \"\" }"),
        format!("train[1] rollout[2] train[2] {TAIL}")
    );
    assert_eq!(ran("word = \"x\"", "word = \"y\""), "count");
    assert_eq!(ran("seed = 7", "seed = 8"), format!("model baseline rollout[1] train[1] rollout[2] train[2] {TAIL}"));
    assert_eq!(ran("times = 2", "times = 3"), format!("rollout[3] train[3] {TAIL}"));
    assert_eq!(ran("times = 2", "times = 1"), TAIL);
    assert_eq!(ran("samples = \"data.eval\"", "samples = \"data.train\""), TAIL, "another port");
    assert_eq!(ran("eval-fraction = 0.25", "eval-fraction = 0.3").split(' ').count(), 9, "all but the model");

    // Commands, files, kinds, numerics.
    assert_eq!(ran("\"sh\", \"count.sh\"", "\"sh\", \"-e\", \"count.sh\""), "count");
    assert_eq!(ran("outputs = { out = \"file\" }", "outputs = { out = \"folder\" }"), "count");
    assert_eq!(ran("files = [\"count.sh\"]", "files = [\"./count.sh\"]"), "", "another way to write the path");
    assert_eq!(
        ran("files = [\"count.sh\"]", "files = [\"moved.sh\"]"),
        "count",
        "it stands elsewhere in the working directory"
    );
    assert_eq!(ran("files = [\"count.sh\"]", "files = [\"count.sh\"]\nenv = [\"PATH\"]"), "count");
    let disk = |path, text| ran_after(&base, &base, &kinds(), &Disk::new().with(path, text));
    assert_eq!(disk("count.sh", "wc -c"), "count");
    assert_eq!(disk("../data/items", "more items").split(' ').count(), 9);
    let moved = base.replace("path:../data/items", "path:items");
    assert_eq!(
        ran_after(&base, &moved, &kinds(), &Disk::new().with("items", "the items")),
        "",
        "the path is not the content"
    );
    let fetched = base.replace("path:../data/items", "pip:items==1.0");
    assert_eq!(ran_after(&base, &fetched, &kinds(), &Disk::new()).split(' ').count(), 9);
    let mine = base.replace("with = { temperature", "with = { template = \"mine.txt\", temperature");
    assert_eq!(
        ran_after(&base, &mine, &kinds(), &Disk::new()),
        format!("rollout[1] train[1] rollout[2] train[2] {TAIL}")
    );
    let copied = Disk::new().with("mine.txt", "the bytes of prompt.txt");
    assert_eq!(ran_after(&base, &mine, &kinds(), &copied), "", "the same bytes as the kind's own");
    let kind = |file: &'static str, old: &'static str, new: &'static str| {
        let kinds = kinds_with(|name, text| {
            (name == file).then(|| if text.is_empty() { new.to_owned() } else { text.replace(old, new) })
        });
        ran_after(&base, &base, &kinds, &Disk::new())
    };
    let rolls = format!("baseline rollout[1] train[1] rollout[2] train[2] {TAIL}");
    assert_eq!(kind("roll", "revision = 2", "revision = 3"), rolls);
    assert_eq!(kind("grammar.txt", "", "other bytes"), rolls);
    assert_eq!(kind("prompt.txt", "", "other bytes"), rolls);
    assert_eq!(kind("roll", "Samples completions.", "Samples."), "");
    assert_eq!(kind("roll", "doc = \"What samples.\"", "doc = \"\""), "");
    let mut other = Disk::new();
    other.numerics = Numerics { device: "cuda".to_owned(), dtype: "f32".to_owned() };
    assert_eq!(ran_after(&base, &base, &kinds(), &other), rolls);
    other.numerics = Numerics { device: "cpu".to_owned(), dtype: "bf16".to_owned() };
    assert_eq!(ran_after(&base, &base, &kinds(), &other), rolls);
}

#[test]
fn a_stages_device_is_what_its_numbers_are_computed_with() {
    let kinds_with_device = kinds_with(|name, text| {
        let device = "[parameters]\ndevice = { type = \"choice\", values = [\"cpu\", \"cuda\"], optional = true }";
        (name == "roll").then(|| text.replace("[parameters]", device))
    });
    let (before, after) = (graph(GOOD), graph_of(GOOD, &kinds_with_device, &Disk::new()));
    let keys = |graph: &Graph| graph.stages().map(|stage| stage.predicted).collect::<Vec<_>>();
    assert_eq!(keys(&before), keys(&after), "a kind that can name a device has the keys of before where it does not");
    let text = GOOD.replace("with = { temperature", "with = { device = \"cuda\", temperature");
    let graph = graph_of(&text, &kinds_with_device, &Disk::new());
    for stage in graph.stages() {
        let expected = if stage.params.contains_key("device") { "cuda" } else { "cpu" };
        assert!(stage.numerics.as_ref().is_none_or(|numerics| numerics.device == expected), "{}", stage.name);
    }
    assert!(graph.stages().any(|stage| stage.params.contains_key("device")));
}

#[test]
fn equal_bytes_upstream_run_nothing_below() {
    let base = one_variant();
    let mut memory = Memory::default();
    // The training makes the same bytes whatever its note says.
    let bytes = |stage: &PlannedStage, key: &Digest, port: &str| match stage.kind.name.as_str() {
        "learn" => format!("round {} {port}", stage.params["round"]),
        _ => format!("{key} {port}"),
    };
    memory.run_with(&graph(&base), bytes);
    let noted = graph(&base.replace("mode = \"grpo\"", "mode = \"grpo\", note = \"x\""));
    assert_snapshot!(plan(&noted, &memory), @r#"
    train[1]: run: param.note is new: "x"
    rollout[2]: waits: train[1]
    train[2]: waits: train[1], rollout[2]
    exam: waits: train[2]
    compare: waits: train[1], train[2], exam
    count: waits: compare
    "#);
    assert_eq!(memory.run_with(&noted, bytes), ["train[1]", "train[2]"]);
    assert_eq!(plan(&noted, &memory), "");
    assert_eq!(plan(&graph(&base), &memory), "", "and back again");
}

#[test]
fn plans_say_why() {
    let base = one_variant();
    let mut memory = Memory::default();
    let first = graph(&base);
    assert_snapshot!(plan(&first, &memory), @r"
    model: run: never run before
    data: run: never run before
    baseline: waits: model, data
    rollout[1]: waits: model, data
    train[1]: waits: model, rollout[1]
    rollout[2]: waits: data, train[1]
    train[2]: waits: train[1], rollout[2]
    exam: waits: data, train[2]
    compare: waits: train[1], train[2], exam
    count: waits: compare
    ");
    memory.run(&first);
    memory.asked.set(0);
    assert_eq!(plan(&first, &memory), "");
    assert_eq!(memory.asked.get(), first.len(), "one look-up per stage");

    let changed = graph(&base.replace("kl-beta = 0.0", "kl-beta = 0.04"));
    assert!(plan(&changed, &memory).starts_with("train[1]: run: param.kl-beta changed: 0.0 → 0.04\n"));
    let changed = graph(&base.replace("kl-beta = 0.0, mode = \"grpo\"", "kl-beta = 0.04, mode = \"sft\", tags = [1]"));
    assert!(plan(&changed, &memory).starts_with("train[1]: run: param.kl-beta changed: 0.0 → 0.04 (and 2 more)\n"));
    let changed = graph_of(&base, &kinds(), &Disk::new().with("count.sh", "wc -c"));
    assert_snapshot!(plan(&changed, &memory));

    // The nearest of several earlier results is compared with, not the latest.
    memory.run(&graph(&base.replace("size = 4", "size = 50").replace("seed = 7", "seed = 9")));
    let changed = graph(&base.replace("size = 4", "size = 5"));
    assert!(plan(&changed, &memory).starts_with("model: run: param.size changed: 4 → 5\n"));

    // What is lost runs again; what came of it is known from the predicted keys.
    memory.lose(&first, "train[1]");
    assert_snapshot!(plan(&first, &memory), @r"
    train[1]: run: its result is no longer in the store
    rollout[2]: hit by prediction
    train[2]: hit by prediction
    exam: hit by prediction
    compare: hit by prediction
    count: hit by prediction
    ");
    memory.lose(&first, "exam");
    assert_snapshot!(plan(&first, &memory), @r"
    train[1]: run: its result is no longer in the store
    rollout[2]: hit by prediction
    train[2]: hit by prediction
    exam: run: its result is no longer in the store
    compare: hit by prediction
    count: hit by prediction
    ");
    assert_eq!(memory.run(&first), ["train[1]", "exam"]);
}

#[test]
fn the_same_work_under_two_names_is_done_once() {
    let text = one_variant().replace("with = { temperature = { per-round = [0.9, 0.8] } }", "");
    let graph = graph(&text);
    let twin = graph.stages().position(|stage| stage.twin.is_some()).unwrap();
    assert_eq!(graph.stage(twin).name, "rollout[1]");
    assert_eq!(graph.stage(graph.stage(twin).twin.unwrap()).name, "baseline");
    assert!(plan(&graph, &Memory::default()).contains("rollout[1]: waits: baseline\n"));
    assert_eq!(Memory::default().run(&graph).len(), graph.len() - 1);
}

#[test]
fn unreadable_files_are_said_with_their_place() {
    let spec = Spec::parse(&SourceText::new("demo.toml", GOOD), &kinds(), &[]).unwrap();
    let expanded = expand(&spec, &Selection::default()).unwrap();
    let disk = Disk { files: HashMap::new(), numerics: Numerics::default() };
    let found = Graph::build(&expanded, &disk).unwrap_err();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_snapshot!(lines.join("\n"), @r"
    demo.toml:13:19: `../data/items` cannot be read: no such file; help: paths are relative to the pipeline file
    demo.toml:44:10: `count.sh` cannot be read: no such file; help: paths are relative to the pipeline file
    ");
}

#[test]
fn published_outputs_come_from_the_last_iteration_of_the_baseline() {
    let graph = graph(&GOOD.replace("mode = \"grpo\" }", "mode = \"grpo\" }\npublish = { model = \"out/model\" }"));
    let published: Vec<&str> =
        graph.stages().filter(|stage| !stage.publish.is_empty()).map(|stage| stage.id.as_str()).collect();
    assert_eq!(published, ["train[3] @ kl=off seed=1", "count"]);
}

#[test]
fn stages_are_found_by_any_of_their_names() {
    let graph = graph(GOOD);
    assert_eq!(graph.find("data").len(), 1);
    assert_eq!(graph.find("train[2]").len(), 4);
    assert_eq!(graph.find("train").len(), 12);
    assert_eq!(graph.find("train[2] @ kl=on seed=2").len(), 1);
    assert_eq!(graph.find("nothing").len(), 0);
}

/// Recipes and inputs as a property test draws them: the words of a small pipeline file.
fn work() -> impl Strategy<Value = (BTreeMap<String, i64>, Vec<String>, u64)> {
    let params = prop::collection::btree_map("[a-c]{1,2}", -2_i64..3, 0..4);
    let arguments = prop::collection::vec("[ab]{0,2}", 1..4);
    (params, arguments, 0_u64..3)
}

fn one_command(params: &[(String, i64)], arguments: &[String], seed: u64) -> Digest {
    let with: Vec<String> = params.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let command: Vec<String> = arguments.iter().map(|argument| format!("{argument:?}")).collect();
    let text = format!(
        "schema = 1\npipeline = {{ name = \"x\", seed = {seed} }}\n[stages.s]\nuses = \"command\"\ncommand = [\"{{seed}}\", {}]\nwith = {{ {} }}\noutputs = {{ out = \"file\" }}\n",
        command.join(", "),
        with.join(", ")
    );
    graph(&text).stage(0).predicted
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn equal_work_has_equal_keys_and_no_other(one in work(), other in work(), turn in 0_usize..4) {
        let key = |work: &(BTreeMap<String, i64>, Vec<String>, u64), turn: usize| {
            let mut params: Vec<(String, i64)> = work.0.clone().into_iter().collect();
            let turns = if params.is_empty() { 0 } else { turn % params.len() };
            params.rotate_left(turns);
            one_command(&params, &work.1, work.2)
        };
        prop_assert_eq!(key(&one, 0), key(&one, turn), "the order of keys decides nothing");
        prop_assert_eq!(key(&one, 0) == key(&other, 0), one == other);
    }

    #[test]
    fn every_input_moves_the_resolved_key(
        digests in prop::collection::vec(0_u8..3, 3),
        others in prop::collection::vec(0_u8..3, 3),
        labels in prop::collection::vec("[ab]{1,2}", 3),
        other_labels in prop::collection::vec("[ab]{1,2}", 3),
    ) {
        let graph = graph(&one_variant());
        let compare = graph.stage(graph.find("compare")[0]);
        let exam = graph.stage(graph.find("exam")[0]);
        let contents = |digests: &[u8], labels: &[String]| {
            let items: Vec<(String, Digest)> =
                digests.iter().zip(labels).map(|(byte, label)| (label.clone(), Digest::of(&[*byte]))).collect();
            (BTreeMap::from([("scores".to_owned(), items.clone())]), BTreeMap::from([
                ("model".to_owned(), items[..1].to_vec()),
                ("samples".to_owned(), items[1..2].to_vec()),
            ]))
        };
        let (many, plain) = contents(&digests, &labels);
        let (other_many, other_plain) = contents(&others, &other_labels);
        prop_assert_eq!(resolved_key(compare, &many) == resolved_key(compare, &other_many), many == other_many);
        // The label of a plain input is not part of the work.
        let same = digests[..2] == others[..2];
        prop_assert_eq!(resolved_key(exam, &plain) == resolved_key(exam, &other_plain), same);
        let (one, two) = (resolved_key(compare, &many), resolved_key(compare, &other_many));
        prop_assert_eq!(one.0 == two.0, one.1 == two.1, "the leaves tell apart what the keys do");
    }
}

#[test]
fn near_misses_have_different_keys() {
    let near = [
        (r#"["a", "b"]"#, ""),
        (r#"["ab"]"#, ""),
        (r#"["a", "", "b"]"#, ""),
        (r#"["a b"]"#, ""),
        (r#"["b", "a"]"#, ""),
        (r#"["a", "b"]"#, "x = 1"),
        (r#"["a", "b"]"#, "x = 1.0"),
        (r#"["a", "b"]"#, "x = \"1\""),
        (r#"["a", "b"]"#, "x = true"),
        (r#"["a", "b"]"#, "x = [1]"),
        (r#"["a", "b"]"#, "x = [[1]]"),
        (r#"["a", "b"]"#, "x = [1, 1]"),
        (r#"["a", "b"]"#, "x = []"),
        (r#"["a", "b"]"#, "x = {}"),
        (r#"["a", "b"]"#, "x = { y = 1 }"),
        (r#"["a", "b"]"#, "x = { y = { z = 1 } }"),
        (r#"["a", "b"]"#, "x = { y = 1, z = 1 }"),
        (r#"["a", "b"]"#, "y = 1"),
        (r#"["a", "b"]"#, "x = 1, y = 1"),
        (r#"["a", "b"]"#, "x = \"\""),
        (r#"["a", "b"]"#, "x = \"a\", y = \"b\""),
        (r#"["a", "b"]"#, "x = \"ab\", y = \"\""),
    ];
    let mut keys = BTreeMap::new();
    for (command, with) in near {
        let text = format!(
            "schema = 1\npipeline = {{ name = \"x\" }}\n[stages.s]\nuses = \"command\"\ncommand = {command}\nwith = {{ {with} }}\noutputs = {{ out = \"file\" }}\n"
        );
        if let Some(other) = keys.insert(graph(&text).stage(0).predicted, (command, with)) {
            panic!("{other:?} and {:?} have one key", (command, with));
        }
    }
}

#[test]
fn explanations_name_the_leaves() {
    let base = one_variant();
    let mut memory = Memory::default();
    memory.run(&graph(&base));
    let before = memory.nearest("train[1]", "learn").remove(0);
    let changed = graph(
        &base
            .replace("kl-beta = 0.0, mode = \"grpo\"", "kl-beta = 0.5, mode = \"grpo\", note = \"new\"")
            .replace("seed = 7", "seed = 8"),
    );
    let stage = changed.stage(changed.find("train[1]")[0]);
    let inputs = stage.input_digests(|_| Some(Digest::of(b"x"))).unwrap();
    let (_, now) = resolved_key(stage, &inputs);
    let changes: Vec<String> = explain(&now, &before).iter().map(ToString::to_string).collect();
    assert_snapshot!(changes.join("\n"));
    let (nearest, fewest) = nearest_change(&now, std::slice::from_ref(&before)).unwrap();
    assert_eq!((nearest.key, fewest.len()), (before.key, changes.len()));
    let gone = explain(&before.ingredients[..2], &before);
    assert!(gone.iter().all(|change| change.new.is_none()) && gone.len() == before.ingredients.len() - 2);
}

#[test]
fn files_of_a_choice_are_in_the_key_where_it_is_made() {
    let planned = |with: &str, script: &'static [u8]| {
        let text = "schema = 1\nrevision = 1\nsummary = \"x\"\n[outputs.out]\ntype = \"file\"\n[parameters.engine]\n\
                    type = \"choice\"\nvalues = [\"own\", \"other\"]\noptional = true\nfiles = { other = [\"run.py\"] }\n";
        let manifest = KindManifest::parse("train", &SourceText::new("stages/train/stage.toml", text)).unwrap();
        let mut kinds = Kinds::new();
        kinds.insert(manifest, BTreeMap::from([("run.py".to_owned(), KindFile::embedded(script))])).unwrap();
        let text =
            format!("schema = 1\n[pipeline]\nname = \"demo\"\n[stages.a]\nuses = \"train\"\nwith = {{ {with} }}\n");
        let graph = graph_of(&text, &kinds, &Disk::new());
        let stage = graph.stage(0);
        (stage.predicted, stage.files.keys().cloned().collect::<Vec<_>>())
    };
    for with in ["", "engine = \"own\""] {
        let (key, files) = planned(with, b"one");
        assert!(files.is_empty());
        assert_eq!(key, planned(with, b"two").0);
    }
    let (key, files) = planned("engine = \"other\"", b"one");
    assert_eq!(files, ["run.py"]);
    assert_ne!(key, planned("engine = \"other\"", b"two").0);
    assert_ne!(key, planned("", b"one").0);
}
