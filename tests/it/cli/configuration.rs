//! Wrong files: every mistake at once, each with its place, and nothing runs.

use super::project::Project;

/// Ten mistakes; the comment after each names what should be said about it.
const BROKEN: &str = r#"schema = 1

[pipeline]
name = "broken"
sead = 7

[stages.data]
uses = "prepare-dat"

[stages.model]
uses = "init-model"
needs = { samples = "dta.train" }

[stages.sft]
uses = "sft"
needs = { model = "model", sample = "data.train" }
with = { epochs = "three" }

[stages.baseline]
uses = "rollout"
needs = { model = "model", samples = "model.model" }
with = { group-sise = 10, temperature = -1.0 }

[stages.ring-a]
uses = "command"
command = ["true"]
needs = { x = "ring-b.x" }
outputs = { x = "file" }

[stages.ring-b]
uses = "command"
command = ["true"]
needs = { x = "ring-a.x" }
outputs = { x = "fyle" }

[ablations.kl]
baseline = "of"
variants.off = {}
"#;

#[test]
fn ten_mistakes_are_ten_diagnostics_with_line_and_column() {
    let project = Project::with(BROKEN);
    let said = project.run(&["plan", "p.toml"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert_eq!(said.stdout, "");
    insta::assert_snapshot!(said.stderr);
}

#[test]
fn text_that_is_no_toml_is_shown_where_it_breaks() {
    let project = Project::with("schema = 1\n[pipeline\nname = \"x\"\n");
    let said = project.run(&["run", "p.toml"]);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("p.toml:2:"), "{}", said.stderr);
}

#[test]
fn a_missing_file_names_itself() {
    let said = Project::new().run(&["run", "absent.toml"]);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("absent.toml"), "{}", said.stderr);
    assert!(said.stderr.contains("help:"), "{}", said.stderr);
}

#[test]
fn a_wrong_set_is_shown_with_what_was_meant() {
    let project = Project::with(super::session::CHAIN);
    let said = project.run(&["plan", "p.toml", "--set", "fist.text=x"]);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("`first`") || said.stderr.contains("first.text"), "{}", said.stderr);
}

#[test]
fn a_missing_declared_file_is_shown_at_its_name() {
    let project = Project::with(
        "schema = 1\n[pipeline]\nname = \"x\"\n[stages.a]\nuses = \"command\"\ncommand = [\"true\"]\nfiles = [\"gone.sh\"]\noutputs = { x = \"file\" }\n",
    );
    let said = project.run(&["plan", "p.toml"]);
    assert_eq!(said.code, 3);
    assert!(said.stderr.contains("p.toml:7:10"), "{}", said.stderr);
}

#[test]
fn shipped_pipelines_and_kinds_meet_their_published_schemas() {
    let project = Project::new();
    let schema = |of: &str| -> serde_json::Value {
        serde_json::from_str(&project.run(&["schema", of]).stdout).expect("the schema is JSON")
    };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = |schema: &serde_json::Value, file: &std::path::Path| {
        let text = std::fs::read_to_string(file).expect("the file is readable");
        let value: toml::Value = toml::from_str(&text).expect("the file is TOML");
        let value = serde_json::to_value(value).expect("TOML has a JSON form");
        let validator = jsonschema::validator_for(schema).expect("the schema is valid");
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {}", file.display(), errors.join("\n"));
    };
    let pipelines = schema("pipeline");
    let mut files = 0;
    for entry in std::fs::read_dir(root.join("pipelines")).expect("pipelines is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            check(&pipelines, &path);
            files += 1;
        }
    }
    assert!(files >= 4, "only {files} pipelines were checked");
    let stages = schema("stage");
    let mut kinds = 0;
    for entry in std::fs::read_dir(root.join("stages")).expect("stages is readable") {
        let path = entry.expect("an entry is readable").path().join("stage.toml");
        if path.is_file() {
            check(&stages, &path);
            kinds += 1;
        }
    }
    assert_eq!(kinds, toolexpander::stage::BuiltinKind::ALL.len(), "every built-in kind has a manifest");
}
