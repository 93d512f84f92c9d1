//! Answers of several turns run by `score-bfcl`, in the class `TradingBot` (tests/fixtures/bfcl/run/data) with the benchmark's own
//! code.

use std::fs;

use toolexpander::{base::ArtifactType, table::ScoreRow};

use super::score_bfcl::{files, fixture, report, run};

const MULTI_TURN: [&str; 4] =
    ["multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context"];

/// Returns the gold calls as answers in the form of `converse-bfcl`, each call's text changed by `change`.
fn gold_answers(change: impl Fn(&str) -> String) -> String {
    let mut lines = String::new();
    for category in MULTI_TURN {
        let text = fs::read_to_string(fixture(&format!("data/possible_answer/BFCL_v4_{category}.json"))).unwrap();
        for row in text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            let turns: Vec<Vec<String>> = serde_json::from_value(row["ground_truth"].clone()).unwrap();
            let turns: Vec<Vec<String>> = turns
                .iter()
                .map(|calls| {
                    vec![format!("[{}]", calls.iter().map(|call| change(call)).collect::<Vec<_>>().join(", "))]
                })
                .collect();
            lines.push_str(&serde_json::json!({ "id": row["id"], "result": turns }).to_string());
            lines.push('\n');
        }
    }
    lines
}

/// Twelve episodes of the class `TradingBot`, right and wrong in every official way.
#[test]
#[ignore = "needs python3"]
fn episodes_are_run_and_judged_as_officially() {
    let run = run().path("results", fixture("result")).param("categories", MULTI_TURN.to_vec());
    let outcome = run.param("python", "python3").run_as_process().unwrap();
    let ours = files(&outcome.path("folder").join("score"));
    let official = files(&fixture("score"));
    let official = official.iter().filter(|(name, _)| name.contains("/multi_turn/"));
    let mut mistakes = 0;
    for (name, text) in official {
        assert_eq!(ours[name], *text, "{name}");
        mistakes += text.lines().count() - 1;
    }
    assert!(mistakes >= 4, "{mistakes}");
    let scores = outcome.table::<ScoreRow>("scores");
    assert!(scores.len() == 12 && scores.iter().any(|row| row.correct), "{scores:#?}");
}

#[test]
#[ignore = "needs python3"]
fn arguments_by_place_count_in_fair_mode_only() {
    let by_place = |call: &str| {
        let mut text = String::new();
        for part in call.split_inclusive(['(', ' ']) {
            text.push_str(part.split_once('=').map_or(part, |(_, value)| value));
        }
        text
    };
    assert_eq!(by_place("f(a='x', b=2)"), "f('x', 2)");
    let scored = |text: String| {
        let run = run().input("answers", "gold", ArtifactType::File, text.as_bytes());
        let run = run.param("python", "python3").param("model", "gold").param("mode", "fair");
        run.run_as_process().unwrap()
    };
    let gold = report(&scored(gold_answers(str::to_owned)));
    let outcome = scored(gold_answers(by_place));
    let counts = report(&outcome);
    for category in MULTI_TURN {
        assert_eq!(gold[&format!("fair.{category}.accuracy")], 1.0, "{category}");
        assert_eq!(counts[&format!("fair.{category}.accuracy")], 1.0, "{category}");
        assert!(counts[&format!("{category}.accuracy")] < gold[&format!("{category}.accuracy")], "{category}");
    }
    let differences = fs::read_to_string(outcome.path("folder").join("differences.jsonl")).unwrap();
    assert!(differences.lines().count() >= 8 && differences.contains("\"reason\":\"run\""), "{differences}");
    assert_eq!(counts["fair.differences.run"] as usize, differences.lines().count());
    assert!(outcome.table::<ScoreRow>("scores").iter().all(|row| row.correct));
}

#[test]
#[ignore = "needs python3"]
fn the_ground_truth_is_a_ceiling() {
    let outcome = run().param("gold", true).param("python", "python3").param("mode", "fair").run_as_process().unwrap();
    let counts = report(&outcome);
    assert_eq!(
        counts.iter().filter(|(name, _)| name.ends_with(".samples")).map(|(_, count)| *count).sum::<f64>(),
        12.0
    );
    assert!(MULTI_TURN.iter().all(|category| counts[&format!("fair.{category}.accuracy")] == 1.0));
    insta::assert_snapshot!(outcome.log().lines().find(|line| line.contains("ground truth")).unwrap(), @"the ground truth scores 100.0 % in conversations by the official rules");
    let error = run().param("gold", true).fails();
    assert_eq!(error, "parameter `gold`: the ground truth must be run to be judged: set `python`, too");
}

#[test]
#[ignore = "needs python3"]
fn an_answer_to_no_question_is_said() {
    let text = gold_answers(str::to_owned).replace("multi_turn_base_132", "multi_turn_base_999");
    let run = run().input("answers", "gold", ArtifactType::File, text.as_bytes()).param("model", "m");
    let error = run.param("python", "python3").run_as_process().err().unwrap();
    assert!(error.contains("answer `multi_turn_base_999`: the benchmark's data has no such question"), "{error}");
}
