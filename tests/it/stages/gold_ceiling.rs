//! Tests of `gold-ceiling`.

use serde_json::{Value, json};
use toolexpander::{
    base::Digest,
    stage::samples,
    table::{BreakdownRow, ComparisonRow, SampleRow, ScoreRow},
    tools::suite::{GenerateOptions, generate},
};

use super::harness::{Outcome, StageRun, sample};

/// Four samples; of `c` the gold answer is not among the accepted ones.
fn rows() -> Vec<SampleRow> {
    let mut rows: Vec<SampleRow> = ["a", "bb", "c", "dddd"].iter().map(|id| sample(id, "Do it.", "f")).collect();
    rows[2].gold = rows[2].gold.replace('1', "7");
    rows
}

fn run(style: &str) -> Outcome {
    StageRun::new("gold-ceiling").table("samples", "data", &rows()).param("style", style).run().unwrap()
}

#[test]
fn defective_samples_are_named() {
    for style in ["python", "json", "toolrl"] {
        let outcome = run(style);
        let scores: Vec<ScoreRow> = outcome.table("scores");
        assert_eq!(scores.iter().map(|row| row.correct).collect::<Vec<_>>(), [true, true, false, true]);
        let report: Vec<BreakdownRow> = outcome.table("report");
        assert_eq!((report[0].measure.as_str(), report[0].value), ("correct", 0.75));
        assert_eq!(
            String::from_utf8(outcome.bytes("defects")).unwrap(),
            "c\tvalue\tthe argument `value` is `7`, expected `1`\n"
        );
        assert_eq!(outcome.log(), "the gold answers score 75.0 %; 1 of 4 are defective: c");
    }
}

#[test]
fn generated_samples_have_no_defect() {
    let generated = generate(toolexpander::base::Seed(3), 60, &GenerateOptions::default()).unwrap();
    let rows: Vec<SampleRow> = generated.iter().map(samples::to_row).collect();
    let outcome = StageRun::new("gold-ceiling").table("samples", "data", &rows).run().unwrap();
    assert_eq!(outcome.log(), "the gold answers score 100.0 %");
    assert_eq!(outcome.bytes("defects"), b"");
}

/// Gold calls that run in a server: right, failing, refused before they run, not the same twice, and on files of the sample.
#[test]
fn gold_calls_run_in_tool_servers() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/servers/shell_server.sh");
    let served = |id: &str, name: &str, arguments: Value| {
        let accepted: Value =
            arguments.as_object().unwrap().iter().map(|(key, value)| (key.clone(), json!([value]))).collect();
        SampleRow {
            tools: "[]".into(),
            gold: json!([{ "name": name, "arguments": arguments }]).to_string(),
            answer: json!([{ "name": name, "arguments": accepted }]).to_string(),
            ..sample(id, "Do it.", "f")
        }
    };
    let own = json!({ "suite": "workdir", "state": { "files": { "own": "mine" } } }).to_string();
    let rows = [
        served("right", "echo", json!({ "text": "a" })),
        served("fails", "fail", json!({})),
        served("refused", "echo", json!({ "txt": "a" })),
        served("counts", "count", json!({})),
        SampleRow { environment: own, ..served("own", "read", json!({ "path": "own" })) },
        served("common", "read", json!({ "path": "common" })),
        served("foreign", "read", json!({ "path": "own" })),
    ];
    let tools: toml::Value = toml::from_str::<toml::Table>(&format!(
        r#"tools = [{{ mcp = ["sh", "{script}"], setup = {{ files = {{ common = "ours" }} }} }}]"#
    ))
    .unwrap()["tools"]
        .clone();
    let run = StageRun::new("gold-ceiling").table("samples", "data", &rows).param("tools", tools);
    let outcome = run.run_as_process().unwrap();
    insta::assert_snapshot!(String::from_utf8(outcome.bytes("defects")).unwrap(), @r#"
    fails	gold-fails	the gold calls fail: `fail`: it did not work
    refused	gold-fails	the gold calls fail: `echo`: the arguments of `echo` do not match its schema: "text" is a required property
    counts	results	the gold calls' results are not among the results
    foreign	gold-fails	the gold calls fail: `read`: cannot read
    "#);
    let scores: Vec<ScoreRow> = outcome.table("scores");
    let right: Vec<&str> = scores.iter().filter(|row| row.correct).map(|row| row.sample_id.as_str()).collect();
    assert_eq!(right, ["right", "own", "common"]);
}

#[test]
fn the_ceiling_is_a_row_of_a_comparison() {
    let scores: Vec<ScoreRow> = run("python").table("scores");
    let outcome = StageRun::new("compare").table("scores", "ceiling", &scores).run().unwrap();
    let rows: Vec<ComparisonRow> = outcome.table("comparison");
    assert_eq!((rows[0].label.as_str(), rows[0].correct, rows[0].samples), ("ceiling", 3, 4));
}

/// If these digests change, bump `revision` in stages/gold-ceiling/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = run("python");
    let digests = ["scores", "report", "defects"].map(|port| Digest::of(&outcome.bytes(port)).to_string());
    insta::assert_snapshot!(digests.join("\n"), @r#"
073009670cbe12f350540252756a8426173d8e0b2a15f2a46bd4b2d19bca3826
2c53a83226b15aef36651262fcb444d3f0349cb26903504e34f724fa3fcb2626
fbeca1b93f2e1759860ec79990ad4c533cd6b970f72ea72f146e2eb6035e0987
"#);
}
