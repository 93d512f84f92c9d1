//! Tests of `spec`: what a file means, and what is said about its mistakes.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use toolexpander::{
    base::{Diagnostic, SourceText},
    spec::{
        Expanded, KindFile, KindManifest, Kinds, Override, Selection, Spec, expand, manifest_schema, pipeline_schema,
    },
};

/// A file without mistakes that uses most of what there is.
pub(crate) const GOOD: &str = include_str!("../fixtures/thinking/good.toml");

/// Small kinds that cover every parameter type.
const KINDS: [(&str, &str); 7] = [
    (
        "make-model",
        r#"
        schema = 1
        revision = 1
        summary = "Makes a model."
        seeded = true
        [outputs.model]
        type = "model"
        [parameters.size]
        type = "int"
        min = 1
        max = 100
        unit = "layers"
        doc = "How deep it is."
        "#,
    ),
    (
        "split",
        r#"
        schema = 1
        revision = 1
        summary = "Splits samples."
        [outputs]
        train = { type = "table:samples" }
        eval = { type = "table:samples" }
        report = { type = "table:report" }
        [parameters]
        source = { type = "source" }
        eval-fraction = { type = "float", default = 0.2, min = 0, max = 1 }
        "#,
    ),
    (
        "roll",
        r#"
        schema = 1
        revision = 2
        summary = "Samples completions."
        seeded = true
        numerics = true
        files = ["grammar.txt"]
        [inputs]
        model = { type = "model", doc = "What samples." }
        samples = { type = "table:samples" }
        [outputs]
        rollouts = { type = "table:rollouts" }
        [parameters]
        temperature = { type = "float", default = 1.0, min = 0.0 }
        template = { type = "file", default = "prompt.txt" }
        "#,
    ),
    (
        "learn",
        r#"
        schema = 1
        revision = 1
        summary = "Trains."
        seeded = true
        numerics = true
        resources = { cpus = 2, memory-gb = 1.5 }
        [inputs]
        model = { type = "model" }
        rollouts = { type = "table:rollouts" }
        [outputs]
        model = { type = "model" }
        metrics = { type = "table:metrics" }
        [parameters]
        kl-beta = { type = "float", default = 0.1 }
        steps = { type = "int", default = 10, min = 1 }
        mode = { type = "choice", values = ["grpo", "sft"] }
        round = { type = "int", default = 1, bind = "round" }
        tags = { type = "list", optional = true }
        extra = { type = "map", default = {} }
        verbose = { type = "bool", default = false }
        note = { type = "string", optional = true }
        "#,
    ),
    (
        "grade",
        r#"
        schema = 1
        revision = 1
        summary = "Grades a model."
        [inputs]
        model = { type = "model" }
        samples = { type = "table:samples", doc = "The exam." }
        hints = { type = "file", optional = true }
        [outputs]
        scores = { type = "table:scores" }
        "#,
    ),
    (
        "compare",
        r#"
        schema = 1
        revision = 1
        summary = "Compares scores."
        [inputs]
        scores = { type = "table:scores", many = true }
        curve = { type = "table:metrics", many = true, optional = true }
        [outputs]
        comparison = { type = "table:comparison" }
        "#,
    ),
    (
        "outside",
        r#"
        schema = 1
        revision = 1
        summary = "Runs a script of its own."
        files = ["score.py"]
        command = ["python3", "score.py", "{inputs.data}", "{outputs.out}", "{params.level}", "{files.score.py}"]
        [inputs]
        data = { type = "file" }
        [outputs]
        out = { type = "folder" }
        [parameters]
        level = { type = "int", default = 1 }
        "#,
    ),
];

/// The kinds of the tests.
pub(crate) fn kinds() -> Kinds {
    kinds_with(|_, _| None)
}

/// The kinds of the tests, with some manifests or files changed.
pub(crate) fn kinds_with(change: impl Fn(&str, &str) -> Option<String>) -> Kinds {
    let mut kinds = Kinds::new();
    for (name, text) in KINDS {
        let text = change(name, text).unwrap_or_else(|| text.to_owned());
        let manifest = KindManifest::parse(name, &SourceText::new(&format!("stages/{name}/stage.toml"), &text))
            .unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
        let files: BTreeMap<String, KindFile> = manifest
            .needed_files()
            .map(|file| {
                let bytes = change(file, "").unwrap_or_else(|| format!("the bytes of {file}"));
                (file.to_owned(), KindFile::read(bytes.into_bytes()))
            })
            .collect();
        kinds.insert(manifest, files).unwrap();
    }
    kinds
}

pub(crate) fn parse(text: &str, sets: &[&str]) -> Result<Spec, Vec<Diagnostic>> {
    let sets: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
    Spec::parse(&SourceText::new("demo.toml", text), &kinds(), &sets)
}

pub(crate) fn expanded(text: &str, sets: &[&str]) -> Expanded {
    let spec = parse(text, sets).unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
    expand(&spec, &Selection::default()).unwrap()
}

/// Mistakes as lines.
fn listed(mistakes: &[Diagnostic]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn mistakes(text: &str) -> String {
    listed(&parse(text, &[]).expect_err("this text has mistakes"))
}

/// The mistakes of the good file with one place changed.
fn changed(old: &str, new: &str) -> String {
    assert_eq!(GOOD.matches(old).count(), 1, "`{old}` is there once");
    mistakes(&GOOD.replace(old, new))
}

/// Instances as lines: name, parameters, inputs.
fn instances(expanded: &Expanded) -> String {
    let mut lines = String::new();
    for (place, instance) in expanded.instances.iter().enumerate() {
        let variant = instance.variant.map_or("*", |variant| expanded.variants[variant].label.as_str());
        lines.push_str(&format!("{} [{variant}]", instance.name));
        for (name, value) in &instance.params {
            lines.push_str(&format!(" {name}={value}"));
        }
        for (port, links) in &instance.inputs {
            let links: Vec<String> = links
                .iter()
                .map(|link| {
                    assert!(link.instance < place, "producers come first");
                    format!("{}.{} as {}", expanded.instances[link.instance].name, link.port, link.label)
                })
                .collect();
            lines.push_str(&format!(" {port}<-({})", links.join(", ")));
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn loops_are_unrolled_and_variants_listed() {
    let text = GOOD.replace("seeds = [1, 2]\n", "").replace("times = 3", "times = 2");
    assert_snapshot!(instances(&expanded(&text, &[])));
}

#[test]
fn all_mistakes_of_a_file_are_found_at_once() {
    let text = include_str!("../fixtures/thinking/broken.toml");
    let found = parse(text, &[]).unwrap_err();
    assert_snapshot!(listed(&found));
}
