//! Tool-N1's reward against scores that its own code gave.

use serde::Deserialize;
use toolexpander::tools::{Call, reward::tool_n1::binary};

#[derive(Deserialize)]
struct Row {
    id: String,
    gold: Vec<Call>,
    text: String,
    score: Option<f64>,
}

#[test]
fn scores_equal_the_original_and_are_0_where_it_raises() {
    let rows = include_str!("../../fixtures/tools/tool_n1_reward.jsonl").lines();
    let rows: Vec<Row> = rows.map(|line| serde_json::from_str(line).unwrap()).collect();
    let different: Vec<String> = rows
        .iter()
        .map(|row| (row, binary(&row.gold, &row.text)))
        .filter(|(row, ours)| *ours != row.score.unwrap_or(0.0))
        .map(|(row, ours)| format!("{}: {ours}, not {:?}", row.id, row.score))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    let ones = rows.iter().filter(|row| row.score == Some(1.0)).count();
    assert!(rows.len() >= 200 && ones >= 20, "{ones} of {} are right", rows.len());
}
