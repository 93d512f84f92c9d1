//! ToolRL's reward against scores that its own code gave.

use serde::Deserialize;
use toolexpander::tools::reward::toolrl::{Score, Switches, Truth, chatml_answer, score};

#[derive(Deserialize)]
struct Row {
    id: String,
    mutation: String,
    ground_truth: String,
    response: String,
    flags: Vec<String>,
    step: u32,
    score: Option<f64>,
    format: Option<f64>,
    correctness: Option<f64>,
    length: Option<f64>,
    official_exception: Option<String>,
}

/// Returns what differs from the official scores, one line per row, and the number of rows.
fn differences(lines: &str) -> (Vec<String>, usize) {
    let mut differences = Vec::new();
    let mut rows = 0;
    for line in lines.lines() {
        let row: Row = serde_json::from_str(line).unwrap();
        rows += 1;
        let truth = Truth::from_text(&row.ground_truth);
        if row.official_exception.is_some() {
            if truth.is_ok() {
                differences.push(format!("{}: the original raises, we do not", row.id));
            }
            continue;
        }
        let switches = Switches::from_variables(&row.flags).unwrap();
        let ours = match truth {
            Ok(truth) => score(&truth, chatml_answer(&row.response), &switches, row.step),
            Err(error) => {
                differences.push(format!("{}: {error}", row.id));
                continue;
            }
        };
        let theirs = (row.format.unwrap(), row.correctness.unwrap(), row.length.unwrap(), row.score.unwrap());
        if (ours.format, ours.correctness, ours.length, ours.total()) != theirs {
            differences.push(format!("{} ({} {:?}): {ours:?}, not {theirs:?}", row.id, row.mutation, row.flags));
        }
    }
    (differences, rows)
}

#[test]
fn scores_equal_the_original_to_the_last_bit() {
    let (differences, rows) = differences(include_str!("../../fixtures/tools/toolrl_reward.jsonl"));
    assert_eq!(rows, 180);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn json_that_only_python_reads_scores_as_in_the_original() {
    let (differences, rows) = differences(include_str!("../../fixtures/tools/toolrl_python_json.jsonl"));
    assert!(rows > 400, "{rows}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn where_the_original_raises_there_is_a_diagnosis_and_a_defined_score() {
    let call = r#"{"name": "f", "parameters": {"a": 1}}"#;
    let answer = format!("<think> ok </think>\n<tool_call>\n{call}\n</tool_call>");
    let scored = |truth: &str, response: &str| {
        let (truth, diagnosis) = Truth::defined(truth);
        let Score { format, correctness, .. } = score(&truth, response, &Switches::default(), 0);
        (format, correctness, diagnosis.map(|error| error.to_string()).unwrap_or_default())
    };
    assert_eq!(scored(&answer, &answer), (1.0, 3.0, String::new()));
    // The calls are found after the thinking.
    let mention = answer.replace("ok", "I write <tool_call> tags");
    let said = "line 1 of the ground truth's tool calls is no JSON: its thinking mentions `<tool_call>`";
    assert_eq!(scored(&mention, &answer), (1.0, 3.0, said.to_owned()));
    assert_eq!(scored(&mention, &answer.replace("1}", "2}")).1, 1.0);
    // Nothing to compare with: no response is better than another, but for its form.
    let broken = answer.replace(call, "f(a=1)");
    let said = "line 1 of the ground truth's tool calls is no JSON";
    assert_eq!(scored(&broken, &answer), (1.0, 0.0, said.to_owned()));
    assert_eq!(scored(&broken, "f(a=1)"), (0.0, 0.0, said.to_owned()));
}

/// The committed rows are a part of a larger file of the same form; this compares all of such a file.
#[test]
#[ignore = "needs a file of scored pairs: set TOOLRL_PAIRS to its path"]
fn scores_equal_the_original_on_a_whole_file() {
    let path = std::env::var("TOOLRL_PAIRS").expect("TOOLRL_PAIRS names a file of JSON lines");
    let (differences, rows) = differences(&fs_err::read_to_string(path).unwrap());
    println!("{} of {rows} equal", rows - differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
