//! Tests of `spec`: what a file means, and what is said about its mistakes.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use proptest::prelude::*;
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
    match parse(text, &[]) {
        Ok(_) => panic!("no mistake is found in\n{text}"),
        Err(mistakes) => listed(&mistakes),
    }
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
    let found = parse(include_str!("../fixtures/thinking/broken.toml"), &[]).unwrap_err();
    let places: Vec<(usize, usize, &str)> =
        found.iter().map(|it| (it.position().line, it.position().column, it.code)).collect();
    let expected = [
        (5, 1, "unknown-key"),
        (8, 8, "unknown-kind"),
        (12, 57, "out-of-range"),
        (16, 19, "wrong-port-type"),
        (16, 43, "unknown-stage"),
        (21, 17, "bad-choice"),
        (21, 25, "unknown-parameter"),
        (21, 47, "wrong-type"),
        (23, 9, "missing-input"),
        (30, 16, "cycle"),
    ];
    assert_eq!(places, expected, "{}", listed(&found));
    assert_snapshot!(listed(&found));
}

#[test]
fn each_mistake_is_said_once_with_its_place_and_what_to_do() {
    let cases = [
        // The frame.
        ("schema = 1", "schema = 2"),
        ("schema = 1", ""),
        ("schema = 1", "schema = \"1\""),
        ("name = \"demo\"", "name = \"de mo\""),
        ("name = \"demo\"", ""),
        ("seed = 7", "seed = -7"),
        ("[stages.exam]", "[stage.exam]"),
        ("[stages.exam]", "[stages.\"ex am\"]"),
        ("[stages.baseline]", "[stages.train]"),
        ("[pipeline]", "[stages]\nlonely = 3\n[pipeline]"),
        // Kinds and stages.
        ("uses = \"make-model\"\nwith = { size = 4 }", "with = { size = 4 }"),
        ("uses = \"make-model\"", "uses = \"make_model\""),
        ("uses = \"make-model\"", "uses = 3"),
        ("with = { size = 4 }", "wiht = { size = 4 }"),
        ("with = { size = 4 }", "size = 4"),
        ("with = { size = 4 }", "with = 4"),
        ("with = { size = 4 }", "with = { size = 4 }\noutputs = { model = \"model\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\nresources = { cpu = 2 }"),
        ("with = { size = 4 }", "with = { size = 4 }\nresources = { cpus = -2, memory-gb = \"1\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\npublish = { modle = \"m\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\npublish = { model = \"../m\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\npublish = { model = \"out/count.txt\" }"),
        // Parameters.
        ("with = { size = 4 }", ""),
        ("with = { size = 4 }", "with = { size = 4, sise = 3 }"),
        ("size = 4", "size = 4.0"),
        ("size = 4", "size = 0"),
        ("size = 4", "size = 101"),
        ("size = 4", "size = 99999999999999999999"),
        ("size = 4", "size = 1979-05-27"),
        ("size = 4", "size = { per-round = [4, 5] }"),
        ("eval-fraction = 0.25", "eval-fraction = nan"),
        ("eval-fraction = 0.25", "eval-fraction = \"0.25\""),
        ("path:../data/items", "pth:../data/items"),
        ("mode = \"grpo\"", "mode = \"Grpo\""),
        ("mode = \"grpo\"", "mode = \"grpo\", tags = 1, extra = [], verbose = 0, note = 1, round = true"),
        ("per-round = [1.0, 0.8]", "per-round = []"),
        ("per-round = [1.0, 0.8]", "per-round = 0.8"),
        ("per-round = [1.0, 0.8]", "per-round = [1.0, -0.8, \"x\"]"),
        // References.
        ("needs = { scores = [\"exam@*\"]", "needs = { scores = [\"exm@*\"]"),
        ("samples = \"data.eval\"", "samples = \"data\""),
        ("samples = \"data.eval\"", "samples = \"data.test\""),
        ("samples = \"data.eval\"", "samples = \"data.report\""),
        ("samples = \"data.eval\"", "samples = \"data.eval\", sample = \"data.eval\""),
        ("samples = \"data.eval\"", "samples = \"data eval\""),
        ("samples = \"data.eval\"", "samples = [\"data.eval\"]"),
        ("samples = \"data.eval\"", "samples = 3"),
        ("samples = \"data.eval\"", "samples = \"data[1].eval\""),
        ("samples = \"data.eval\"", "samples = \"data.eval@*\""),
        ("samples = \"data.eval\"", "samples = \"data.eval@kl=of seed=1\""),
        ("needs = { model = \"round.model\", samples = \"data.eval\" }", ""),
        (
            "needs = { model = \"round.model\", samples = \"data.eval\" }",
            "needs = { model = \"round\", samples = \"data.eval\" }",
        ),
        (
            "needs = { model = \"round.model\", samples = \"data.eval\" }",
            "needs = { model = \"round.train\", samples = \"data.eval\" }",
        ),
        (
            "needs = { model = \"round.model\", samples = \"data.eval\" }",
            "needs = { model = \"train[4]\", samples = \"data.eval\" }",
        ),
        (
            "needs = { model = \"round.model\", samples = \"data.eval\" }",
            "needs = { model = \"train[0]\", samples = \"data.eval\" }",
        ),
        (
            "needs = { model = \"round.model\", samples = \"data.eval\" }",
            "needs = { model = \"train[*]\", samples = \"data.eval\" }",
        ),
        ("curve = \"train[*].metrics\"", "curve = \"train.metrics[*]\""),
        ("curve = \"train[*].metrics\"", "curve = [\"train[*].metrics\", \"train[2].metrics\"]"),
        ("scores = [\"exam@*\"]", "scores = []"),
        ("scores = [\"exam@*\"]", "scores = [\"exam@*\", \"exam@kl=on seed=1\"]"),
        ("needs = { data = \"compare\" }", "needs = { data = \"compare@*\" }"),
        ("rollouts = \"rollout\"", "rollouts = \"rollout[1]\""),
        ("rollouts = \"rollout\"", "rollouts = \"rollout@kl=on seed=1\""),
        // Loops.
        ("times = 3", "times = 0"),
        ("times = 3", "time = 3"),
        ("next = \"train.model\"", "next = \"model\""),
        ("next = \"train.model\"", "next = \"tran.model\""),
        ("next = \"train.model\"", "next = \"train\""),
        ("next = \"train.model\"", "next = \"train.metrics\""),
        ("first = \"model\"", "first = \"rollout\""),
        ("first = \"model\"", "first = \"data.train\""),
        ("first = \"model\", ", ""),
        ("carry.model = {", "carry.modle = {"),
        // Cycles.
        ("source = \"path:../data/items\"", "source = \"path:../data/items\" }\nneeds = { x = \"exam\""),
        ("first = \"model\"", "first = \"late\""),
        // Command stages.
        ("command = [\"sh\", \"count.sh\", ", "command = [\"sh\", \"{file.0}\", "),
        ("command = [\"sh\", \"count.sh\", ", "command = [\"sh\", \"{files.1}\", "),
        ("command = [\"sh\", \"count.sh\", ", "command = [\"sh\", \"{\", "),
        ("{params.word}", "{params.wort}"),
        ("{inputs.data}", "{inputs.date}"),
        ("files = [\"count.sh\"]", "files = [\"count.sh\", \"../count.sh\"]"),
        ("outputs = { out = \"file\" }", "outputs = { out = \"fil\" }"),
        ("outputs = { out = \"file\" }", ""),
        ("command = [\"sh\", \"count.sh\", \"{inputs.data}\", \"{outputs.out}\", \"{params.word}\"]", ""),
        ("command = [\"sh\", \"count.sh\", \"{inputs.data}\", \"{outputs.out}\", \"{params.word}\"]", "command = []"),
        // Ablations.
        ("baseline = \"off\"", "baseline = \"of\""),
        ("baseline = \"off\"", ""),
        ("seeds = [1, 2]", "seeds = [1, 1]"),
        ("seeds = [1, 2]", "seeds = []"),
        ("seeds = [1, 2]", "seeds = 2"),
        ("seeds = [1, 2]", "seeds = [1, -2]"),
        ("seeds = [1, 2]", "sedes = [1, 2]"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"round.train.kl_beta\" = 0.04 }"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"train.kl-beta\" = 0.04 }"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"round.tran.kl-beta\" = 0.04 }"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"rund.train.kl-beta\" = 0.04 }"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"round.train\" = 0.04 }"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"round.train.kl-beta.x\" = 0.04 }"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = { \"round.train.kl-beta\" = \"x\" }"),
        (
            "variants.on = { \"round.train.kl-beta\" = 0.04 }",
            "variants.on = { \"model.size\" = { per-round = [1, 2] } }",
        ),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "variants.on = 4"),
        ("variants.on = { \"round.train.kl-beta\" = 0.04 }", "axes = { \"round.train.kl-beta\" = [0.04] }"),
    ];
    let mut all = String::new();
    for (old, new) in cases {
        let found = match old {
            "first = \"model\"" if new.contains("late") => mistakes(&GOOD.replace(old, new).replace(
                "[stages.exam]",
                "[stages.late]\nuses = \"command\"\ncommand = [\"true\"]\nneeds = { it = \"train.model\" }\noutputs = { m = \"model\" }\n[stages.exam]",
            )),
            _ => changed(old, new),
        };
        all.push_str(&format!("## {old} → {new}\n{found}\n\n"));
    }
    assert_snapshot!(all);
}

#[test]
fn syntax_errors_do_not_hide_other_mistakes() {
    let cases = [
        // One mistake in the TOML, and one of another kind further down.
        ("a key without a value", GOOD.replace("size = 4 }", "size = 4 }\nkey").replace("size = 4", "size = 0")),
        ("a header without its end", GOOD.replace("[stages.data]", "[stages.data").replace("data.eval", "data.evl")),
        ("two of those", GOOD.replace("[stages.data]", "[stages.data").replace("[stages.exam]", "[stages.exam")),
        ("no value", GOOD.replace("seed = 7", "seed =").replace("data.eval", "data.evl")),
        ("no quotes", GOOD.replace("\"demo\"", "demo").replace("data.eval", "data.evl")),
        ("no closing quote", GOOD.replace("\"demo\"", "\"demo").replace("data.eval", "data.evl")),
        ("twice", GOOD.replace("seed = 7", "seed = 7\nseed = 8").replace("data.eval", "data.evl")),
        (
            "twice a table",
            GOOD.replace("[stages.exam]", "[stages.data]\n[stages.exam]").replace("data.eval", "data.evl"),
        ),
        // Brackets that do not match leave nothing to stand on: only that is said.
        ("an open list", GOOD.replace("seeds = [1, 2]", "seeds = [1, 2").replace("data.eval", "data.evl")),
        ("an open table", GOOD.replace("with = { size = 4 }", "with = { size = 4").replace("data.eval", "data.evl")),
        ("empty", String::new()),
        ("noise", "\u{0}\u{1} ]]} = =\n\"".to_owned()),
    ];
    let mut all = String::new();
    for (name, text) in cases {
        all.push_str(&format!("## {name}\n{}\n\n", mistakes(&text)));
    }
    assert_snapshot!(all);
}

#[test]
fn changes_from_the_command_line() {
    let size = |sets: &[&str]| expanded(GOOD, sets).instances[0].params["size"].to_string();
    assert_eq!(size(&[]), "4");
    assert_eq!(size(&["model.size=5"]), "5");
    assert_eq!(size(&[" model.size = 5 "]), "5");
    assert_eq!(size(&["model.size=5", "model.size=6"]), "6", "the last one holds");
    let with = |sets: &[&str], name: &str, param: &str| -> Vec<String> {
        let expanded = expanded(GOOD, sets);
        let found = expanded.instances.iter().filter(|it| it.name == name);
        found.map(|it| it.params.get(param).map_or("absent".to_owned(), ToString::to_string)).collect()
    };
    assert_eq!(
        with(&["round.train.kl-beta=0.5"], "train[1]", "kl-beta"),
        ["0.5", "0.5", "0.04", "0.04"],
        "variants win"
    );
    assert_eq!(with(&["round.train.note=bare words"], "train[1]", "note")[0], "\"bare words\"");
    assert_eq!(with(&["round.train.note=\"3\""], "train[1]", "note")[0], "\"3\"");
    assert_eq!(with(&["round.train.tags=[1, \"b\"]"], "train[1]", "tags")[0], "[1, \"b\"]");
    assert_eq!(with(&["round.train.extra={ a = 1 }"], "train[1]", "extra")[0], "{ a = 1 }");
    assert_eq!(with(&["round.train.steps={ per-round = [1, 2] }"], "train[3]", "steps")[0], "2");
    assert_eq!(with(&["round.train.round=9"], "train[3]", "round")[0], "9", "set by hand");
    assert_eq!(with(&[], "train[3]", "round")[0], "3", "bound to the round");
    assert_eq!(with(&["round.times=4"], "train[4]", "round").len(), 4, "one per variant");
    assert_eq!(with(&["round.times=1"], "train[2]", "round").len(), 0);
    assert_eq!(with(&["data.source=pip:demo==1.0"], "data", "source")[0], "\"pip:demo==1.0\"");
    let text = GOOD.replace("with = { size = 4 }", "");
    assert_eq!(expanded(&text, &["model.size=3"]).instances[0].params["size"].to_string(), "3", "required is given");
    let seeds = |sets: &[&str]| expanded(&GOOD.replace("seeds = [1, 2]", ""), sets).instances[0].seed.unwrap().0;
    assert_eq!((seeds(&[]), seeds(&["seed=11"])), (7, 11));

    let mut all = String::new();
    for set in [
        "modle.size=5",
        "model.sise=5",
        "model=5",
        "round=5",
        "round.train=5",
        "round.time=5",
        "round.times=0",
        "round.times=x",
        "train.kl-beta=1",
        "model.size=five",
        "model.size=0",
        "model.size=",
        "model.size=[1,",
        "round.train.mode=grop",
        "seed=-1",
        "seed.x=1",
        "model.size.x=1",
        "model.size={ per-round = [1] }",
        "count.wort=3",
        "round.train.note=3",
        "data.source=here",
    ] {
        all.push_str(&format!("{set}\n  {}\n", listed(&parse(GOOD, &[set]).unwrap_err())));
    }
    for text in ["", "=", "model.size", " =3"] {
        all.push_str(&format!("{text}\n  {}\n", Override::parse(text).unwrap_err()));
    }
    let broken = GOOD.replace("data.eval", "data.evl");
    all.push_str(&listed(&parse(&broken, &["model.size=0", "modle.size=1"]).unwrap_err()));
    assert_snapshot!(all);
}

/// The labels of the variants that a selection leaves.
fn labels(text: &str, ablations: Option<&[&str]>, variants: Option<&[&str]>) -> Result<Vec<String>, String> {
    let spec = parse(text, &[]).unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
    let owned = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect();
    let selection = Selection { ablations: ablations.map(owned), variants: variants.map(owned) };
    let expanded = expand(&spec, &selection).map_err(|mistakes| listed(&mistakes))?;
    assert_eq!(expanded.baseline, 0);
    Ok(expanded.variants.into_iter().map(|variant| variant.label).collect())
}

#[test]
fn variants_come_from_names_axes_and_seeds() {
    let frame = GOOD.split("[ablations.kl]").next().unwrap();
    let of = |ablations: &str| labels(&format!("{frame}\n{ablations}"), None, None).unwrap();
    assert_eq!(of(""), [""]);
    assert_eq!(of("[ablations.a]\nseeds = [3, 1]"), ["seed=3", "seed=1"]);
    assert_eq!(
        of("[ablations.a]\nbaseline = \"z\"\nvariants = { b = {}, z = {}, a = { seed = 4 } }"),
        ["a=z", "a=a", "a=b"],
        "the baseline first, then by name"
    );
    let axes = "[ablations.a]\naxes = { \"round.train.kl-beta\" = [0.2, 0.1], \"round.times\" = [1, 10, 2] }";
    assert_eq!(
        of(axes),
        [
            "kl-beta=0.2 times=1",
            "kl-beta=0.2 times=10",
            "kl-beta=0.2 times=2",
            "kl-beta=0.1 times=1",
            "kl-beta=0.1 times=10",
            "kl-beta=0.1 times=2"
        ],
        "axes by name, values in their order"
    );
    let turned = "[ablations.a]\naxes = { \"round.times\" = [1, 10, 2], \"round.train.kl-beta\" = [0.2, 0.1] }";
    assert_eq!(of(axes), of(turned), "the order of keys decides nothing");
    let based = axes.replace("[ablations.a]", "[ablations.a]\nbaseline = \"kl-beta=0.1 times=10\"\nseeds = [1, 2]");
    assert_eq!(
        of(&based)[..3],
        ["kl-beta=0.1 times=10 seed=1", "kl-beta=0.1 times=10 seed=2", "kl-beta=0.2 times=1 seed=1"]
    );
    assert_eq!(
        of("[ablations.a]\naxes.model.size = [1]\naxes.round.train.mode = [\"sft\", \"grpo\"]"),
        ["mode=sft size=1", "mode=grpo size=1"],
        "dotted keys are paths too"
    );
    let shared = "[ablations.a]\naxes = { \"baseline.temperature\" = [1], \"round.rollout.temperature\" = [2, 3.5] }";
    assert_eq!(
        of(shared)[1],
        "baseline.temperature=1.0 round.rollout.temperature=3.5",
        "equal last parts are spelt out"
    );
    let two = "[ablations.b]\naxes = { \"model.size\" = [1, 2] }\n[ablations.a]\naxes = { \"model.size\" = [2, 3] }";
    assert_eq!(of(two), ["a: size=2", "size=3", "size=1", "b: size=2"], "equal labels get the ablation's name");
    let rounds = "[ablations.a]\naxes = { \"round.train.steps\" = [5, { per-round = [1, 2] }] }";
    assert_eq!(of(rounds), ["steps=5", "steps=[1, 2]"]);
}

#[test]
fn selections_choose_variants() {
    let all = ["kl=off seed=1", "kl=off seed=2", "kl=on seed=1", "kl=on seed=2"];
    assert_eq!(labels(GOOD, None, None).unwrap(), all);
    assert_eq!(labels(GOOD, Some(&["kl"]), None).unwrap(), all);
    assert_eq!(labels(GOOD, Some(&[]), None).unwrap(), [""]);
    assert_eq!(
        labels(GOOD, None, Some(&["kl=on seed=2", "kl=off seed=1"])).unwrap(),
        ["kl=off seed=1", "kl=on seed=2"]
    );
    assert_eq!(labels(GOOD, None, Some(&["on"])).unwrap(), ["kl=on seed=1", "kl=on seed=2"]);
    assert_eq!(labels(GOOD, None, Some(&["kl=on"])).unwrap(), ["kl=on seed=1", "kl=on seed=2"]);
    let named = GOOD.replace("\"exam@*\"", "\"exam@kl=on seed=2\"");
    assert_eq!(labels(&named, None, Some(&["on"])).unwrap().len(), 2);
    let mistakes = [
        labels(GOOD, Some(&["lk"]), None).unwrap_err(),
        labels(GOOD, None, Some(&["kl=no"])).unwrap_err(),
        labels(GOOD, None, Some(&[])).unwrap_err(),
        labels(&named, None, Some(&["off"])).unwrap_err(),
    ];
    assert_snapshot!(mistakes.join("\n"));
}

#[test]
fn references_reach_across_loops_and_variants() {
    let text = r#"
        schema = 1
        pipeline = { name = "references" }
        [stages.start]
        uses = "command"
        command = ["true"]
        outputs = { a = "file", b = "file" }
        [loops.one]
        times = 2
        carry.it = { first = "start.a", next = "step" }
        [loops.one.stages.step]
        uses = "command"
        command = ["true"]
        needs = { it = "one.it", fixed = "start.b" }
        outputs = { out = "file" }
        [loops.two]
        times = 2
        carry.it = { first = "one.it", next = "hop" }
        [loops.two.stages.hop]
        uses = "command"
        command = ["true"]
        needs = { it = "two.it", other = "step[1]", every = "step[*]" }
        outputs = { out = "file" }
        [stages.end]
        uses = "command"
        command = ["true"]
        needs = { last = "step", first = "hop[1]", final = "two.it", many = ["start.a", "start.b", "step[2]", "hop[*]", "two.it@*"] }
        outputs = { out = "file" }
        [ablations.short]
        axes = { "one.times" = [2, 3] }
    "#;
    assert_snapshot!(instances(&expanded(text, &[])));
}

#[test]
fn a_cycle_through_the_rounds_is_found() {
    // Within one iteration nothing is wrong: the carried artifact comes from the iteration before.
    let text = GOOD.replace(
        "needs = { model = \"model\", samples = \"data.train\" }",
        "needs = { model = \"train\", samples = \"data.train\" }",
    );
    assert!(parse(&text, &[]).is_ok());
    let cyclic = text.replace("rollouts = \"rollout\"", "rollouts = \"baseline\"");
    assert_snapshot!(mistakes(&cyclic), @"demo.toml:17:19: stages need each other in a circle: `baseline` → `train[3]` → `train[2]` → `train[1]` → `baseline`; help: → reads `needs`: break the circle at one of them");
}

#[test]
fn manifests_say_all_their_mistakes() {
    let text = r#"
schema = 3
revison = 1
summary = 5
files = ["../a", "b", "b"]
command = ["x", "{inputs.none}", "{seed}"]
resources = { cpus = 1.5 }
[inputs.model]
type = "modle"
[inputs."a b"]
type = "file"
maney = true
[outputs]
out = "file"
[parameters.size]
type = "integer"
[parameters.rate]
type = "float"
default = "x"
values = ["a"]
bind = "round"
[parameters.mode]
type = "choice"
[parameters.count]
type = "int"
default = 3
max = 2
bind = "stage"
[parameters.text]
type = "file"
default = "/etc/passwd"
min = 1
[parameters.b]
type = "bool"
"#;
    let found = KindManifest::parse("odd", &SourceText::new("stages/odd/stage.toml", text)).unwrap_err();
    assert_snapshot!(listed(&found));
    assert!(KindManifest::parse("command", &SourceText::new("x", "schema = 1\nrevision = 1\nsummary = \"\"")).is_err());
}

#[test]
fn a_choice_may_be_a_table_where_its_kind_says_so() {
    let open =
        |text: &str| text.replace("values = [\"grpo\", \"sft\"]", "values = [\"grpo\", \"sft\"], tables = [\"other\"]");
    let kinds = kinds_with(|name, text| (name == "learn").then(|| open(text)));
    let read = |mode: &str| {
        let text = GOOD.replace("mode = \"grpo\"", mode);
        Spec::parse(&SourceText::new("demo.toml", &text), &kinds, &[]).map_err(|mistakes| listed(&mistakes))
    };
    let spec = read("mode = { other = { depth = 3 } }").unwrap();
    let expanded = expand(&spec, &Selection::default()).unwrap();
    let train = expanded.instances.iter().find(|it| it.name.starts_with("train")).unwrap();
    assert_eq!(train.params["mode"].to_string(), "{ other = { depth = 3 } }");
    assert!(read("mode = \"sft\"").is_ok());
    for (mode, expected) in [
        ("mode = { othr = 3 }", "`mode` takes no table with `othr`"),
        ("mode = { othr = 3 }", "did you mean `other`?"),
        ("mode = {}", "`mode` is a table of 0 keys (expected exactly one of `other`)"),
        ("mode = \"gppo\"", "did you mean `grpo`?"),
    ] {
        let found = read(mode).unwrap_err();
        assert!(found.contains(expected), "{found}");
    }
    // Without the word in the manifest a table is no choice.
    assert!(changed("mode = \"grpo\"", "mode = { other = 3 }").contains("expected choice, found table"));
    let schema = pipeline_schema(&kinds);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for (mode, fits) in [("\"sft\"", true), ("{ other = {} }", true), ("{}", false), ("{ othr = 1 }", false)] {
        let text = GOOD.replace("mode = \"grpo\"", &format!("mode = {mode}"));
        assert_eq!(validator.is_valid(&json(&text)), fits, "{mode}");
    }
}

#[test]
fn a_map_takes_the_keys_that_its_kind_names() {
    let added =
        "\n[parameters.parts]\ntype = \"map\"\noptional = true\nkeys = [\"right\", \"form.strict\", \"form.soft\"]\n";
    let kinds = kinds_with(|name, text| (name == "learn").then(|| format!("{text}{added}")));
    let with = |parts: &str| GOOD.replace("mode = \"grpo\"", &format!("mode = \"grpo\", parts = {parts}"));
    let read = |parts: &str| {
        Spec::parse(&SourceText::new("demo.toml", &with(parts)), &kinds, &[]).map_err(|mistakes| listed(&mistakes))
    };
    let schema = pipeline_schema(&kinds);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for parts in ["{}", "{ right = 1.0 }", "{ right = 1, form = { soft = true } }", "{ form = {} }"] {
        assert!(read(parts).is_ok(), "{parts}");
        assert!(validator.is_valid(&json(&with(parts))), "{parts}");
    }
    for (parts, expected) in [
        ("{ rigth = 1.0 }", "`parts` has no `rigth`"),
        ("{ rigth = 1.0 }", "did you mean `right`?"),
        ("{ form = { hard = 1 } }", "`parts.form` has no `hard`"),
    ] {
        let found = read(parts).unwrap_err();
        assert!(found.contains(expected), "{found}");
        assert!(!validator.is_valid(&json(&with(parts))), "{parts}");
    }
}

#[test]
fn a_missing_file_of_a_kind_is_said() {
    let text = "schema = 1\nrevision = 1\nsummary = \"x\"\nfiles = [\"a.txt\"]\n[parameters.f]\ntype = \"file\"\ndefault = \"b.txt\"\n";
    let manifest = KindManifest::parse("x", &SourceText::new("stages/x/stage.toml", text)).unwrap();
    assert_eq!(manifest.needed_files().collect::<Vec<_>>(), ["a.txt", "b.txt"]);
    let found = Kinds::new().insert(manifest, BTreeMap::from([("b.txt".to_owned(), KindFile::embedded(b""))]));
    let found = found.unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].position().line, found[0].position().column), (4, 10));
}

#[test]
fn files_belong_to_values_of_a_choice() {
    let text = "schema = 1\nrevision = 1\nsummary = \"x\"\n[parameters.mode]\ntype = \"choice\"\nvalues = [\"own\", \"other\"]\n\
                files = { othr = [\"a\"], own = [\"../b\", 3], other = \"c\" }\n[parameters.count]\ntype = \"int\"\nfiles = {}\n";
    let found = KindManifest::parse("odd", &SourceText::new("stages/odd/stage.toml", text)).unwrap_err();
    assert_snapshot!(listed(&found), @r"
    stages/odd/stage.toml:7:11: `othr` is none of the values; help: did you mean `other`? expected one of `own`, `other`
    stages/odd/stage.toml:7:32: this does not lie beside this `stage.toml` (expected a relative path without `..`)
    stages/odd/stage.toml:7:40: this does not lie beside this `stage.toml` (expected a relative path without `..`)
    stages/odd/stage.toml:7:52: the files of `other` are of the wrong type (expected list, found string)
    stages/odd/stage.toml:10:1: `files` means nothing for a parameter of type `int`
    ");
    let text = "schema = 1\nrevision = 1\nsummary = \"x\"\n[parameters.mode]\ntype = \"choice\"\nvalues = [\"own\"]\n\
                files = { own = [\"a.txt\"] }\n";
    let manifest = KindManifest::parse("x", &SourceText::new("stages/x/stage.toml", text)).unwrap();
    assert_eq!(manifest.needed_files().collect::<Vec<_>>(), ["a.txt"]);
    assert!(manifest.files.is_empty());
}

/// A TOML text as JSON.
fn json(text: &str) -> serde_json::Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

#[test]
fn schemas_are_schemas_and_agree_with_the_parser() {
    let pipeline = pipeline_schema(&kinds());
    let manifest = manifest_schema();
    for schema in [&pipeline, &manifest] {
        jsonschema::draft202012::meta::validate(schema).unwrap();
    }
    let pipelines = jsonschema::draft202012::new(&pipeline).unwrap();
    let manifests = jsonschema::draft202012::new(&manifest).unwrap();
    for (name, text) in KINDS {
        let errors: Vec<String> = manifests.iter_errors(&json(text)).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    let errors: Vec<String> =
        pipelines.iter_errors(&json(GOOD)).map(|it| format!("{} {it}", it.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");

    // What the parser refuses for its form, the schema refuses too.
    for (old, new) in [
        ("schema = 1", "schema = 2"),
        ("name = \"demo\"", ""),
        ("seed = 7", "sead = 7"),
        ("seed = 7", "seed = -7"),
        ("uses = \"make-model\"", "uses = \"make-modl\""),
        ("uses = \"make-model\"\n", ""),
        ("with = { size = 4 }", ""),
        ("with = { size = 4 }", "with = { size = 0 }"),
        ("with = { size = 4 }", "with = { size = \"4\" }"),
        ("with = { size = 4 }", "with = { size = 4, sise = 4 }"),
        ("with = { size = 4 }", "with = { size = 4 }\nneeds = { x = \"data\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\noutputs = { model = \"model\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\npublish = { model = \"../x\" }"),
        ("with = { size = 4 }", "with = { size = 4 }\nresources = { cpu = 1 }"),
        ("path:../data/items", "../data/items"),
        ("mode = \"grpo\"", "mode = \"grop\""),
        ("mode = \"grpo\"", "steps = 3"),
        ("per-round = [1.0, 0.8]", "per-round = [1.0, -0.8]"),
        ("per-round = [1.0, 0.8]", "per-rond = [1.0, 0.8]"),
        ("samples = \"data.eval\"", "samples = [\"data.eval\"]"),
        ("samples = \"data.eval\"", "sample = \"data.eval\""),
        ("samples = \"data.eval\"", "samples = \"data eval\""),
        ("times = 3", "times = 0"),
        ("times = 3\n", ""),
        ("next = \"train.model\"", "then = \"train.model\""),
        ("outputs = { out = \"file\" }", "outputs = { out = \"fil\" }"),
        ("outputs = { out = \"file\" }\n", ""),
        ("seeds = [1, 2]", "seeds = [1, 1]"),
        ("seeds = [1, 2]", "axes = { \"round.times\" = [1] }"),
        ("variants.off = {}", "variants.off = 3"),
    ] {
        assert_eq!(GOOD.matches(old).count(), 1, "`{old}` is there once");
        let text = GOOD.replace(old, new);
        assert!(parse(&text, &[]).is_err(), "the parser takes {old} → {new}");
        assert!(!pipelines.is_valid(&json(&text)), "the schema takes {old} → {new}");
    }
    for (old, new) in [
        ("revision = 1", "revision = 0"),
        ("summary = \"Trains.\"", ""),
        ("type = \"choice\", values = [\"grpo\", \"sft\"]", "type = \"choice\""),
        ("bind = \"round\"", "bind = \"loop\""),
        ("type = \"bool\", default = false", "type = \"bool\", min = 1"),
        ("cpus = 2", "cpu = 2"),
        ("type = \"table:metrics\"", "type = \"table:\""),
    ] {
        let text = KINDS[3].1.replace(old, new);
        assert_ne!(text, KINDS[3].1);
        assert!(KindManifest::parse("learn", &SourceText::new("x", &text)).is_err(), "the parser takes {old} → {new}");
        assert!(!manifests.is_valid(&json(&text)), "the schema takes {old} → {new}");
    }
}

/// The texts of a folder of the repository, by path.
fn shipped(pattern: &str, name: &str) -> BTreeMap<String, String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(pattern);
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let path = if name.is_empty() { path } else { path.join(name) };
        if path.extension().is_some_and(|it| it == "toml") && path.is_file() {
            let text = std::fs::read_to_string(&path).unwrap();
            found.insert(path.to_str().unwrap().to_owned(), text);
        }
    }
    found
}

#[test]
fn shipped_files_are_without_mistakes_and_fit_their_schemas() {
    let manifests = jsonschema::draft202012::new(&manifest_schema()).unwrap();
    let mut kinds = Kinds::new();
    for (path, text) in shipped("stages", "stage.toml") {
        let errors: Vec<String> = manifests.iter_errors(&json(&text)).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}");
        let folder = std::path::Path::new(&path).parent().unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let manifest = KindManifest::parse(name, &SourceText::new(&path, &text))
            .unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
        let files = manifest
            .needed_files()
            .map(|file| (file.to_owned(), KindFile::read(std::fs::read(folder.join(file)).unwrap())))
            .collect();
        kinds.insert(manifest, files).unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
    }
    let pipelines = jsonschema::draft202012::new(&pipeline_schema(&kinds)).unwrap();
    for (path, text) in shipped("pipelines", "") {
        let spec = Spec::parse(&SourceText::new(&path, &text), &kinds, &[])
            .unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
        expand(&spec, &Selection::default()).unwrap_or_else(|mistakes| panic!("{}", listed(&mistakes)));
        let errors: Vec<String> =
            pipelines.iter_errors(&json(&text)).map(|it| format!("{} {it}", it.instance_path())).collect();
        assert!(errors.is_empty(), "{path}: {errors:#?}");
    }
}

/// A cut through a text: from where, how many characters go, what comes instead.
fn cuts() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, &'static str)>> {
    let words = prop::sample::select(vec![
        "",
        "\n",
        "\"",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        "@*",
        "[*]",
        "[2]",
        "# ",
        "'''",
        "per-round",
        "train",
        "round.model",
        "ä→",
        "0",
        "-1",
        "[stages.x]\n",
        "needs = { a = \"b\" }\n",
        "times = 10000\n",
        "\u{0}",
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, words), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_text_is_too_odd(cuts in cuts()) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (at, gone, new) in cuts {
            let at = at.index(text.len());
            let end = (at + gone).min(text.len());
            text.splice(at..end, new.chars());
            if text.is_empty() {
                text.push(' ');
            }
        }
        let text: String = text.into_iter().collect();
        match parse(&text, &[]) {
            Ok(spec) => {
                let again = parse(&text, &[]).unwrap();
                prop_assert_eq!(instances(&expand(&spec, &Selection::default()).unwrap()), instances(&expand(&again, &Selection::default()).unwrap()));
            }
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    prop_assert!(text.get(mistake.span.clone()).is_some(), "{:?} lies in the text: {mistake}", mistake.span);
                }
            }
        }
    }
}
