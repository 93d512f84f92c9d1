//! ToolRL's reward against scores that its own code gave.

use serde::Deserialize;
use toolexpander::tools::reward::toolrl::{Switches, Truth, chatml_answer, score};

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

fn switches(flags: &[String]) -> Switches {
    let mut switches = Switches::default();
    for flag in flags {
        match flag.as_str() {
            "COARSEREWARD" => switches.coarse = true,
            "REFINEDREWARD" => switches.refined = true,
            "INTERMEDIATEREWARD" => switches.intermediate = true,
            "CORRECTMAX1" => switches.correct_max_1 = true,
            "MAX1STEP30MAX3" => switches.max_1_step_30_max_3 = true,
            "SCHEDULEREWARD" => switches.schedule_reward = true,
            "WITHLENGTH" => switches.with_length = true,
            "SCHEDULELENGTH" => switches.schedule_length = true,
            other => panic!("unknown flag {other}"),
        }
    }
    switches
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
        let ours = match truth {
            Ok(truth) => score(&truth, chatml_answer(&row.response), &switches(&row.flags), row.step),
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

/// The committed rows are a part of a larger file of the same form; this compares all of such a file.
#[test]
#[ignore = "needs a file of scored pairs: set TOOLRL_PAIRS to its path"]
fn scores_equal_the_original_on_a_whole_file() {
    let path = std::env::var("TOOLRL_PAIRS").expect("TOOLRL_PAIRS names a file of JSON lines");
    let (differences, rows) = differences(&fs_err::read_to_string(path).unwrap());
    println!("{} of {rows} equal", rows - differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
