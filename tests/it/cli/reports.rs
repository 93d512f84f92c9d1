//! What evaluations and comparisons look like at the end of a run, in `show` and in `compare`.

use super::project::Project;

const CEILING: &str = r#"schema = 1
[pipeline]
name = "ceiling"
seed = 1

[stages.data]
uses = "prepare-data"
with = { source = "suite:household?count=60&seed=1&level=easy", eval-fraction = 0.5 }

[stages.ceiling]
uses = "gold-ceiling"
needs = { samples = "data.eval" }

[stages.seen]
uses = "check-contamination"
needs = { train = ["data.train"], eval = "data.eval" }
"#;

const COMPARE: &str = r#"
[stages.compare]
uses = "compare"
needs = { baseline = "ceiling@style=python", scores = "ceiling@*" }

[ablations.style]
baseline = "python"
variants.python = {}
variants.json = { "ceiling.style" = "json" }
"#;

#[test]
fn an_evaluation_that_nothing_compares_is_shown_at_the_end() {
    let project = Project::with(CEILING);
    let said = project.run(&["run", "p.toml"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines[0], "ceiling");
    assert!(lines[1].starts_with("measure") && lines[2].starts_with("correct"), "{}", said.stdout);
    assert!(said.stdout.contains("100.0 %") && said.stdout.contains("\ntool "), "{}", said.stdout);
    let shown = project.run(&["show", "p.toml", "ceiling.report"]);
    assert_eq!(format!("ceiling\n{}", shown.stdout), said.stdout);
    let rows = project.json(&["show", "p.toml", "ceiling.report"]);
    assert_eq!((&rows["table"], &rows["rows"][0]["measure"]), (&"breakdown".into(), &"correct".into()));
    assert_eq!(project.json(&["show", "p.toml", "seen.overlaps"])["table"], "overlaps");
}

#[test]
fn a_comparison_is_shown_with_what_flipped() {
    let project = Project::with(&format!("{CEILING}{COMPARE}"));
    let said = project.run(&["run", "p.toml"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.starts_with("compare\nmodel ") && !said.stdout.contains("spread"), "{}", said.stdout);
    let compared = project.run(&["compare", "p.toml"]);
    assert!(compared.stdout.starts_with(&said.stdout), "{}", compared.stdout);
    assert!(compared.stdout.contains("spread of"), "{}", compared.stdout);
    let found = project.json(&["compare", "p.toml"]);
    let comparison = &found["comparisons"][0];
    assert_eq!(comparison["rows"].as_array().unwrap().len(), 2);
    assert_eq!(comparison["flips"], serde_json::json!([]));
    assert_eq!(comparison["spread"][0]["max_delta"], 0.0);
}
