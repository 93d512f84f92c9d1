//! What runs again after which change, and what a run leaves behind.

use super::project::Project;

/// Three stages in a row; each appends to a log outside its folder, so that runs can be counted.
pub(crate) const CHAIN: &str = r#"schema = 1
[pipeline]
name = "chain"

[stages.first]
uses = "command"
command = ["sh", "make.sh", "{params.text}", "{outputs.out}"]
files = ["make.sh"]
with = { text = "one" }
outputs = { out = "file" }

[stages.second]
uses = "command"
command = ["sh", "-c", "tr a-z A-Z < {inputs.in} > {outputs.out}"]
needs = { in = "first" }
outputs = { out = "file" }

[stages.third]
uses = "command"
command = ["sh", "-c", "wc -c < {inputs.in} > {outputs.out}"]
needs = { in = "second.out" }
outputs = { out = "file" }
publish = { out = "kept/size.txt" }
"#;

fn chain() -> Project {
    let project = Project::with(CHAIN);
    project.write("make.sh", "echo \"$1\" > \"$2\"\n");
    project
}

#[test]
fn a_second_run_executes_nothing() {
    let project = chain();
    assert_eq!(project.executed(&[]), 3);
    assert_eq!(project.executed(&[]), 0);
    assert_eq!(project.read("kept/size.txt").trim(), "4");
}

#[test]
fn comments_order_and_names_of_stages_run_nothing() {
    let project = chain();
    project.executed(&[]);
    let (head, rest) = CHAIN.split_once("[stages.first]").expect("the chain has a first stage");
    let (first, others) = rest.split_once("[stages.second]").expect("the chain has a second stage");
    let reordered = format!("# a comment\n{head}\n[stages.second]{others}\n[stages.first] # another\n{first}");
    project.write("p.toml", &reordered);
    assert_eq!(project.executed(&[]), 0);
    project.write("p.toml", &CHAIN.replace("first", "begin"));
    assert_eq!(project.executed(&[]), 0);
}

#[test]
fn a_parameter_runs_what_it_reaches_and_back_again_nothing() {
    let project = chain();
    assert_eq!(project.executed(&[]), 3);
    assert_eq!(project.executed(&["--set", "first.text=longer"]), 3);
    assert_eq!(project.executed(&[]), 0);
    assert_eq!(project.executed(&["--set", "first.text=longer"]), 0);
}

#[test]
fn equal_bytes_upstream_stop_the_wave() {
    let project = chain();
    project.executed(&[]);
    // Another text of the same length: the last stage's input differs, its output would not; upper case is the same.
    assert_eq!(
        project.executed(&["--set", "first.text=ONE"]),
        2,
        "`second` yields the same bytes, so `third` is a hit"
    );
}

#[test]
fn the_bytes_of_a_declared_file_count() {
    let project = chain();
    project.executed(&[]);
    project.write("make.sh", "echo \"$1\" > \"$2\" # the same output\n");
    assert_eq!(project.executed(&[]), 1, "only the stage that declares the file runs: its output is the same");
}

#[test]
fn a_deleted_published_output_comes_back_without_running() {
    let project = chain();
    project.executed(&[]);
    std::fs::remove_dir_all(project.path().join("kept")).expect("the folder is there");
    assert_eq!(project.executed(&[]), 0);
    assert_eq!(project.read("kept/size.txt").trim(), "4");
}

#[test]
fn a_failed_stage_says_why_and_the_rest_goes_on() {
    let project = Project::with(
        r#"schema = 1
[pipeline]
name = "failing"
[stages.bad]
uses = "command"
command = ["sh", "-c", "echo about to fail; echo reason 42 >&2; exit 7"]
outputs = { out = "file" }
[stages.after]
uses = "command"
command = ["cp", "{inputs.in}", "{outputs.out}"]
needs = { in = "bad" }
outputs = { out = "file" }
[stages.other]
uses = "command"
command = ["sh", "-c", "echo fine > {outputs.out}"]
outputs = { out = "file" }
"#,
    );
    let said = project.run(&["run", "p.toml"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("reason 42"), "{}", said.stderr);
    assert!(said.stderr.contains('7'), "{}", said.stderr);
    let report = project.run(&["run", "p.toml", "--json"]);
    assert_eq!(report.code, 1);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).expect("the answer is JSON");
    assert_eq!(report["status"], "failed");
    assert_eq!(report["failed"], 1);
    assert_eq!(report["skipped"], 1);
    assert_eq!(report["cached"], 1, "the other stage ran the first time");
    let log = project.run(&["log", "bad"]);
    assert!(log.stdout.contains("about to fail") && log.stdout.contains("reason 42"), "{}", log.stdout);
}

#[test]
fn explain_names_the_leaf_that_changed() {
    let project = chain();
    project.executed(&[]);
    let said = project.run(&["explain", "p.toml", "first", "--set", "first.text=other"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("param.text: \"one\" → \"other\""), "{}", said.stdout);
    let waits = project.json(&["explain", "p.toml", "third", "--set", "first.text=other"]);
    assert_eq!(waits["status"], "waits");
}

#[test]
fn plan_tells_hits_runs_and_waits() {
    let project = chain();
    let before = project.json(&["plan", "p.toml"]);
    let statuses = |report: &serde_json::Value| -> Vec<String> {
        let stages = report["stages"].as_array().expect("a plan lists stages");
        stages.iter().map(|stage| format!("{} {}", stage["name"], stage["status"]).replace('"', "")).collect()
    };
    assert_eq!(statuses(&before), ["first run", "second waits", "third waits"]);
    project.executed(&[]);
    assert_eq!(statuses(&project.json(&["plan", "p.toml"])), ["first hit", "second hit", "third hit"]);
}

#[test]
fn variants_share_what_is_equal() {
    let project = chain();
    let variants = "\n[ablations.text]\nbaseline = \"short\"\nvariants.short = {}\nvariants.shout = { \"first.text\" = \"ONE\" }\n";
    project.write("p.toml", &format!("{CHAIN}{variants}"));
    let report = project.json(&["run", "p.toml"]);
    let stages = report["stages"].as_array().expect("a report lists stages");
    assert_eq!(stages.len(), 6, "nothing is equal by its prediction");
    assert_eq!(report["executed"], 5, "`third` of both variants has the same input: it runs once");
}

#[test]
fn show_diff_export_and_pin_find_what_a_run_made() {
    let project = chain();
    project.executed(&[]);
    let shown = project.run(&["show", "p.toml", "second.out"]);
    assert_eq!(shown.stdout.trim(), "ONE", "{}", shown.stderr);
    let exported = project.run(&["export", "p.toml", "second.out", "copy.txt"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    assert_eq!(project.read("copy.txt").trim(), "ONE");
    assert_eq!(project.run(&["export", "p.toml", "second.out", "copy.txt"]).code, 2, "nothing is overwritten");
    project.executed(&["--set", "first.text=two"]);
    let changed = project.run(&["show", "p.toml", "second.out", "--set", "first.text=two"]);
    assert_eq!(changed.stdout.trim(), "TWO", "{}", changed.stderr);
    let results = project.json(&["ls", "results"]);
    let keys: Vec<String> = results["results"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|result| result["stage"] == "first")
        .map(|result| result["key"].as_str().expect("a key is text").to_owned())
        .collect();
    assert_eq!(keys.len(), 2);
    let diff = project.run(&["diff", &keys[0], &keys[1]]);
    assert!(diff.stdout.contains("param.text"), "{}", diff.stdout);
    assert_eq!(project.run(&["pin", "good", &keys[0][..16]]).code, 0);
    assert!(project.run(&["ls", "pins"]).stdout.contains(&keys[0]));
    assert_eq!(project.run(&["pin", "good", "--remove"]).code, 0);
    assert_eq!(project.run(&["verify", "--full"]).code, 0);
}

#[test]
fn only_named_stages_and_what_they_need_run() {
    let project = chain();
    assert_eq!(project.executed(&["second"]), 2);
    assert_eq!(project.executed(&[]), 1);
}

#[test]
fn flipped_bytes_are_found_and_healed() {
    let project = chain();
    project.executed(&[]);
    let report = project.json(&["run", "p.toml"]);
    let digest = report["stages"][1]["outputs"]["out"]["digest"].as_str().expect("a digest is text");
    let object = project.path().join(format!("artifacts/objects/{}/{}", &digest[..2], &digest[2..]));
    let mut permissions = std::fs::metadata(&object).expect("the blob is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&object, permissions).expect("the mode can be changed");
    std::fs::write(&object, "XXX\n").expect("the blob can be damaged");
    let found = project.run(&["verify", "--full"]);
    assert_eq!(found.code, 4, "{}", found.stdout);
    assert!(found.stdout.contains(&digest[2..]), "{}", found.stdout);
    assert_eq!(project.executed(&[]), 1, "what was damaged is made again");
    assert_eq!(project.run(&["verify", "--full"]).code, 0);
}

#[test]
fn init_writes_a_pipeline_that_runs() {
    let project = Project::new();
    let said = project.run(&["init", "new"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let ran = project.run(&["run", "new/pipelines/starter.toml", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(project.read("new/total.txt").trim(), "55", "the baseline's output is published");
    assert_eq!(project.run(&["init", "new"]).code, 0, "what exists is kept");
}

#[test]
fn sixty_four_runs_at_once_execute_each_key_once() {
    let project = chain();
    let log = project.path().join("executions.log");
    let pipeline = CHAIN
        .replace("tr a-z A-Z", "echo second >> $LOG; tr a-z A-Z")
        .replace("wc -c", "echo third >> $LOG; wc -c")
        .replace("outputs = { out = \"file\" }", "outputs = { out = \"file\" }\nenv = [\"PATH\", \"LOG\"]");
    project.write("p.toml", &pipeline);
    project.write("make.sh", "echo first >> $LOG\necho \"$1\" > \"$2\"\n");
    let children: Vec<_> = (0..64)
        .map(|_| {
            let mut command = project.command(&["run", "p.toml", "--json", "--quiet"]);
            command.env("LOG", &log).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().expect("the binary starts")
        })
        .collect();
    let mut executed = 0;
    for child in children {
        let said = super::project::Said::from(child.wait_with_output().expect("it ends"));
        assert_eq!(said.code, 0, "{}", said.stderr);
        let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("the answer is JSON");
        executed += report["executed"].as_u64().expect("the report counts executed stages");
    }
    assert_eq!(executed, 3);
    let mut lines: Vec<String> = project.read("executions.log").lines().map(ToOwned::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["first", "second", "third"]);
}

#[test]
fn the_bytes_of_a_template_count_for_its_users_only() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project::new();
    let pipeline = std::fs::read_to_string(root.join("pipelines/quickstart.toml")).expect("the file is there");
    let template = std::fs::read_to_string(root.join("stages/shared/tiny.j2")).expect("the file is there");
    project.write("p.toml", &pipeline.replace("../stages/shared/tiny.j2", "tiny.j2"));
    project.write("tiny.j2", &template);
    // Data preparation is quick; the rest is only planned.
    assert_eq!(project.executed(&["data", "shown"]), 2);
    let key = |name: &str| -> serde_json::Value {
        let report = project.json(&["plan", "p.toml"]);
        let stages = report["stages"].as_array().expect("a plan lists stages");
        stages.iter().find(|stage| stage["name"] == name).expect("the stage is there")["key"].clone()
    };
    let before = (key("data"), key("model"));
    assert!(before.1.is_string(), "the inputs of `model` are known, so its key is");
    project.write("tiny.j2", &format!("{template}{{# a comment #}}"));
    assert_eq!(key("data"), before.0, "what does not use the template keeps its key");
    assert_ne!(key("model"), before.1, "what uses it gets another");
}
