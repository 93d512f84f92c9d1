//! `evaluate` whose calls run in a tool server, from the pipeline file to the scores.

use toolexpander::table::{self, ScoreRow};

use super::project::Project;

const PIPELINE: &str = r#"
schema = 1
[pipeline]
name = "served"
seed = 1

[stages.data]
uses = "prepare-data"
with = { source = "path:questions.jsonl", eval-fraction = 0.0 }

[stages.model]
uses = "init-model"
needs.samples = "data.train"
with = { template = "prompt.j2", hidden = 32, layers = 2, heads = 2, kv-heads = 1, intermediate = 64, vocab = 320, context = 256 }

[stages.sft]
uses = "sft"
needs = { model = "model", samples = "data.train" }
with = { template = "prompt.j2", steps = 150, lr = 0.01 }

[stages.scores]
uses = "evaluate"
needs = { model = "sft", samples = "data.train" }
with = { template = "prompt.j2", max-tokens = 64, max-turns = 2, tools = [{ mcp = ["sh", "server.sh"], allow = ["echo", "write"], setup = { files = { "old" = "text" } } }] }
"#;

fn project() -> Project {
    let project = Project::with(PIPELINE);
    project.write("server.sh", include_str!("../servers/shell_server.sh"));
    project.write("prompt.j2", "{% block system %}{% endblock %}{% block user %}{{ question }}{% endblock %}");
    let rows = [
        r#"{"id": "e", "question": "echo", "tools": [], "gold": [{"name": "echo", "arguments": {"text": "hello"}}]}"#,
        r#"{"id": "w", "question": "write", "tools": [], "gold": [{"name": "write", "arguments": {"path": "new", "text": "words"}}]}"#,
    ];
    project.write("questions.jsonl", &rows.join("\n"));
    project
}

#[test]
fn calls_run_in_a_tool_server_and_its_state_is_compared() {
    let project = project();
    let said = project.run(&["run", "p.toml"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(project.run(&["export", "p.toml", "scores.scores", "scores.parquet"]).code, 0);
    let bytes = std::fs::read(project.path().join("scores.parquet")).unwrap();
    let rows: Vec<ScoreRow> = table::decode(&bytes).unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert!(row.correct && row.executed && row.results_equal && row.state_equal, "{row:?}");
        assert!(row.completion.contains("[echo(") || row.completion.contains("wrote new"), "{}", row.completion);
    }
    assert!(!project.path().join("new").exists(), "what a call writes is in its private folder");
    let again = project.json(&["run", "p.toml"]);
    assert_eq!(again["executed"], 0);
}

#[test]
fn suites_that_cannot_be_used_are_named() {
    let project = project();
    let wrong = |from: &str, to: &str| {
        project.write("p.toml", &PIPELINE.replace(from, to));
        let said = project.run(&["run", "p.toml"]);
        assert_eq!(said.code, 1, "{}", said.stderr);
        said.stderr
    };
    let said = wrong("\"echo\", \"write\"", "\"ecko\"");
    assert!(said.contains("tools") && said.contains("did you mean `echo`"), "{said}");
    let said = wrong("\"sh\", \"server.sh\"", "\"no-such-program\"");
    assert!(said.contains("no-such-program"), "{said}");
    let said = wrong("mcp = [\"sh\", \"server.sh\"]", "mcpp = [\"sh\"]");
    assert!(said.contains("mcpp"), "{said}");
}
