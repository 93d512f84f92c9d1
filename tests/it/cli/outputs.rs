//! Outputs that exist only where a parameter is given: what may refer to them, what is planned, made and shown.

use super::project::Project;

/// A kind of the project whose second output depends on the parameter `small`.
const KIND: &str = r#"schema = 1
revision = 1
summary = "Trains."
files = ["train.sh"]
command = ["sh", "train.sh"]
[outputs]
model = { type = "file" }
adapter = { type = "folder", when = "small", doc = "The small part." }
[parameters]
small = { type = "map", optional = true }
"#;

const SCRIPT: &str = r#"echo weights > "$PIPELINE_OUTPUT_MODEL"
if [ -n "$PIPELINE_OUTPUT_ADAPTER" ]; then echo "$PIPELINE_PARAM_SMALL" > "$PIPELINE_OUTPUT_ADAPTER/config"; fi
"#;

const PIPELINE: &str = r#"schema = 1
[pipeline]
name = "p"

[stages.train]
uses = "trainer"
with = { small = { rank = 2 } }
publish = { adapter = "kept/adapter" }

[stages.read]
uses = "command"
needs = { it = "train.adapter" }
command = ["sh", "-c", "cat {inputs.it}/config > {outputs.out}"]
outputs = { out = "file" }

[stages.copy]
uses = "command"
needs = { it = "train" }
command = ["cp", "{inputs.it}", "{outputs.out}"]
outputs = { out = "file" }
"#;

fn project(pipeline: &str) -> Project {
    let project = Project::with(pipeline);
    project.write("stages/trainer/stage.toml", KIND);
    project.write("stages/trainer/train.sh", SCRIPT);
    project
}

/// What is said about the mistakes of the file with some texts replaced.
fn mistakes(changes: &[(&str, &str)]) -> String {
    let text = changes.iter().fold(PIPELINE.to_owned(), |text, (old, new)| {
        assert_eq!(text.matches(old).count(), 1, "`{old}` is there once");
        text.replace(old, new)
    });
    let said = project(&text).run(&["plan", "p.toml"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    said.stderr
}

#[test]
fn an_output_is_there_where_its_parameter_is_given() {
    let project = project(PIPELINE);
    assert_eq!(project.executed(&[]), 3);
    assert_eq!(project.run(&["show", "p.toml", "read.out"]).stdout.trim(), r#"{"rank":2}"#);
    assert_eq!(project.read("kept/adapter/config").trim(), r#"{"rank":2}"#);
    // A reference without a port is never to such an output, so `train` means one thing.
    assert_eq!(project.run(&["show", "p.toml", "copy.out"]).stdout.trim(), "weights");
    assert_eq!(project.run(&["export", "p.toml", "train.adapter", "copied"]).code, 0);
    assert_eq!(project.read("copied/config").trim(), r#"{"rank":2}"#);
    let explained = project.run(&["explain", "p.toml", "train", "--set", "train.small={ rank = 4 }"]);
    assert!(explained.stdout.contains("param.small"), "{}{}", explained.stdout, explained.stderr);

    // Without the parameter: one output less, expected of nobody, and a key of its own.
    let text = PIPELINE.replace("with = { small = { rank = 2 } }\npublish = { adapter = \"kept/adapter\" }\n", "");
    let plain = text.replace("train.adapter", "train.model").replace("{inputs.it}/config", "{inputs.it}");
    project.write("p.toml", &plain);
    let report = project.json(&["run", "p.toml"]);
    let train = report["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "train").unwrap();
    assert_eq!((train["status"].as_str(), train["outputs"].as_object().unwrap().len()), (Some("executed"), 1));
    let said = project.run(&["export", "p.toml", "train.adapter", "again"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("only with `small`, which it does not set"), "{}", said.stderr);
    // From the command line, too, the parameter brings its output.
    let report = project.json(&["run", "p.toml", "--set", "train.small={ rank = 8 }"]);
    let train = report["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "train").unwrap();
    assert_eq!(train["outputs"].as_object().unwrap().keys().collect::<Vec<_>>(), ["adapter", "model"]);
}

#[test]
fn a_reference_to_an_output_that_is_not_made_is_shown_with_what_to_do() {
    let given = "with = { small = { rank = 2 } }\n";
    let published = "publish = { adapter = \"kept/adapter\" }\n";
    let said = mistakes(&[(given, ""), (published, "")]);
    for expected in [
        "stage `train` has its output `adapter` only with `small`, which it does not set",
        "p.toml:10:16",
        "with = { small = … }",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let said = mistakes(&[(given, ""), ("\"train.adapter\"", "\"train.model\"")]);
    assert!(said.contains("p.toml:7:13") && said.contains("only with `small`"), "{said}");

    // One variant gives the parameter: that is no use to the others, but a stage may take that variant's.
    let ablation =
        "\n[ablations.size]\nbaseline = \"full\"\nvariants.full = {}\nvariants.thin = { \"train.small\" = {} }\n";
    let with_variants = |needs: &str| {
        let text = PIPELINE.replace(given, "").replace(published, "").replace("\"train.adapter\"", needs);
        project(&format!("{text}{ablation}"))
    };
    let said = with_variants("\"train.adapter\"").run(&["plan", "p.toml"]);
    assert!(said.code == 3 && said.stderr.contains("only with `small`"), "{}", said.stderr);
    let named = with_variants("\"train.adapter@size=thin\"");
    let report = named.json(&["run", "p.toml"]);
    let outputs: Vec<usize> = report["stages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stage| stage["name"].as_str().unwrap().starts_with("train"))
        .map(|stage| stage["outputs"].as_object().unwrap().len())
        .collect();
    assert_eq!(outputs.iter().sum::<usize>(), 3, "one variant has two outputs: {report:#}");
}

#[test]
fn kinds_say_when_an_output_exists() {
    let project = project(PIPELINE);
    let said = project.run(&["stages", "trainer"]);
    assert!(said.stdout.contains("The small part. (only with `small`)"), "{}", said.stdout);
    let kind = project.json(&["stages", "trainer"]);
    assert_eq!((&kind["outputs"]["adapter"]["when"], &kind["outputs"]["model"]["when"]), (&"small".into(), &().into()));
    for kind in ["sft", "grpo"] {
        assert_eq!(project.json(&["stages", kind])["outputs"]["adapter"]["when"], "lora");
    }
    for (old, new, expected) in [
        ("when = \"small\"", "when = \"smal\"", "did you mean `small`?"),
        ("optional = true", "default = {}", "parameter `small` always has a value"),
        ("optional = true", "", "expected a parameter with `optional = true` and no default"),
        ("when = \"small\"", "when = 1", "string"),
    ] {
        project.write("stages/trainer/stage.toml", &KIND.replace(old, new));
        let said = project.run(&["plan", "p.toml"]);
        assert!(said.code == 3 && said.stderr.contains(expected), "{expected}\n{}", said.stderr);
    }
}
