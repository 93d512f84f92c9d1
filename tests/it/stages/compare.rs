//! Tests of `compare`.

use toolexpander::{
    base::Digest,
    table::{ComparisonRow, ScoreRow},
};

use super::harness::StageRun;

/// Scores of samples 0, 1, …, right where `right` has a `1`.
fn scores(right: &str) -> Vec<ScoreRow> {
    let row = |(index, digit): (usize, char)| ScoreRow {
        sample_id: format!("s{index}"),
        category: "simple".into(),
        completion: "[f()]".into(),
        calls: "[]".into(),
        parsed: true,
        matched: digit == '1',
        executed: digit == '1',
        results_equal: digit == '1',
        state_equal: digit == '1',
        correct: digit == '1',
        error: String::new(),
    };
    right.chars().enumerate().map(row).collect()
}

#[test]
fn variants_are_compared_with_the_baseline_on_the_same_samples() {
    let raw = scores("0000000010");
    let outcome = StageRun::new("compare")
        .table("baseline", "raw", &raw)
        .table("scores", "raw", &raw)
        .table("scores", "evaluate @ kl=off", &scores("1111110000"))
        .table("scores", "evaluate @ kl=on", &scores("1000000010"))
        .run()
        .unwrap();
    let rows: Vec<ComparisonRow> = outcome.table("comparison");
    let seen: Vec<_> = rows.iter().map(|row| (row.label.as_str(), row.variant.as_str(), row.correct)).collect();
    assert_eq!(seen, [("raw", "", 1), ("evaluate", "kl=off", 6), ("evaluate", "kl=on", 2)]);
    assert_eq!((rows[0].delta, rows[0].p_value), (0.0, 1.0));
    // 6 won, 1 lost: 2 (1 + 7) / 2^7.
    assert!((rows[1].delta - 0.5).abs() < 1e-12 && (rows[1].p_value - 0.125).abs() < 1e-12, "{:?}", rows[1]);
    assert!((rows[2].delta - 0.1).abs() < 1e-12 && (rows[2].p_value - 1.0).abs() < 1e-12);
    insta::assert_snapshot!(String::from_utf8(outcome.bytes("text")).unwrap(), @r#"
scores    variant  correct  accuracy  95 % interval   parsed  executed  delta       p
raw                 1 / 10    10.0 %   1.8 - 40.4 %  100.0 %    10.0 %   +0.0  1.0000
evaluate  kl=off    6 / 10    60.0 %  31.3 - 83.2 %  100.0 %    60.0 %  +50.0  0.1250
evaluate  kl=on     2 / 10    20.0 %   5.7 - 51.0 %  100.0 %    20.0 %  +10.0  1.0000
"#);
}

#[test]
fn without_a_baseline_there_are_no_differences() {
    let outcome = StageRun::new("compare").table("scores", "a", &scores("10")).run().unwrap();
    let rows: Vec<ComparisonRow> = outcome.table("comparison");
    assert!(rows.len() == 1 && rows[0].delta.is_nan() && rows[0].p_value.is_nan());
    assert!((rows[0].accuracy - 0.5).abs() < 1e-12);
}

#[test]
fn different_samples_are_an_error() {
    let run = StageRun::new("compare").table("baseline", "raw", &scores("101")).table("scores", "kl", &scores("10"));
    insta::assert_snapshot!(run.fails(), @"scores of `raw` and `kl`: are about different samples: `s2` is only in `raw`; evaluate all of them on the same table");
    let run = StageRun::new("compare").table("baseline", "raw", &scores("10")).table("scores", "kl", &scores("101"));
    insta::assert_snapshot!(run.fails(), @"scores of `kl` and `raw`: are about different samples: `s2` is only in `kl`; evaluate all of them on the same table");
    insta::assert_snapshot!(StageRun::new("compare").table("scores", "kl", &scores("")).fails(), @"scores of `kl`: hold no sample; evaluate on a table that has rows");
    insta::assert_snapshot!(StageRun::new("compare").fails(), @"port `scores`: nothing is connected to compare");
}

/// If these digests change, bump `revision` in stages/compare/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = StageRun::new("compare")
        .table("baseline", "raw", &scores("0010"))
        .table("scores", "evaluate @ kl=off", &scores("1110"))
        .run()
        .unwrap();
    let digests = ["comparison", "text"].map(|port| Digest::of(&outcome.bytes(port)).to_string());
    insta::assert_snapshot!(digests.join("\n"), @r#"
06dfbdcd7fd28e6ddcd68a24a2e95f3097402a1694d79050ddb9063eee90e5b4
b2f09725ec1126874859cb6783bd6c3de173da9d65daddc861ade7ba328c5b35
"#);
}
