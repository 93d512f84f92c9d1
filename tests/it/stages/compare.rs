//! Tests of `compare`.

use toolexpander::{
    base::Digest,
    table::{CategoryRow, ComparisonRow, FlipRow, ScoreRow, SpreadRow},
};

use super::harness::StageRun;

/// Scores of samples 0, 1, …, right where `right` has a `1`.
fn scores(right: &str) -> Vec<ScoreRow> {
    let row = |(index, digit): (usize, char)| ScoreRow {
        sample_id: format!("s{index}"),
        attempt: 0,
        category: if index < 6 { "simple" } else { "parallel" }.into(),
        gold_tools: r#"["f"]"#.into(),
        completion: "[f()]".into(),
        calls: "[]".into(),
        parsed: true,
        matched: digit == '1',
        executed: digit == '1',
        results_equal: digit == '1',
        state_equal: digit == '1',
        correct: digit == '1',
        error_type: if digit == '1' { "" } else { "value" }.into(),
        error: String::new(),
        finish: "stop".into(),
        prompt_tokens: 20,
        completion_tokens: 5,
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

by category
category  scores    variant  correct  accuracy   95 % interval   delta  fixed  broken       p
parallel  raw                  1 / 4    25.0 %    4.6 - 69.9 %    +0.0      0       0  1.0000
parallel  evaluate  kl=off     0 / 4     0.0 %    0.0 - 49.0 %   -25.0      0       1  1.0000
parallel  evaluate  kl=on      1 / 4    25.0 %    4.6 - 69.9 %    +0.0      0       0  1.0000
simple    raw                  0 / 6     0.0 %    0.0 - 39.0 %    +0.0      0       0  1.0000
simple    evaluate  kl=off     6 / 6   100.0 %  61.0 - 100.0 %  +100.0      6       0  0.0312
simple    evaluate  kl=on      1 / 6    16.7 %    3.0 - 56.4 %   +16.7      1       0  1.0000

samples that flipped against the baseline
evaluate @ kl=off: 6 fixed  s0 s1 s2 s3 s4 s5
evaluate @ kl=off: 1 broken  s8
evaluate @ kl=on: 1 fixed  s0
evaluate @ kl=on: 0 broken

spread
evaluate: 2 scores, mean 40.0 %, 20.0 % (kl=on) to 60.0 % (kl=off): max delta 40.0 points, standard deviation 28.3 points
all: 3 scores, mean 30.0 %, 10.0 % (raw) to 60.0 % (evaluate @ kl=off): max delta 50.0 points, standard deviation 26.5 points
"#);
}

#[test]
fn flips_and_categories_are_paired() {
    let outcome = StageRun::new("compare")
        .table("baseline", "raw", &scores("0000000010"))
        .table("scores", "evaluate @ kl=off", &scores("1111110000"))
        .run()
        .unwrap();
    let flips: Vec<FlipRow> = outcome.table("flips");
    let seen: Vec<_> = flips.iter().map(|row| (row.sample_id.as_str(), row.change.as_str(), row.after)).collect();
    assert_eq!(seen[..2], [("s0", "fixed", 1.0), ("s1", "fixed", 1.0)]);
    assert_eq!((seen.len(), seen[6]), (7, ("s8", "broken", 0.0)));
    assert_eq!((flips[0].before_error.as_str(), flips[0].after_error.as_str()), ("value", ""));
    assert_eq!((flips[6].before_error.as_str(), flips[6].after_error.as_str()), ("", "value"));
    let rows: Vec<CategoryRow> = outcome.table("categories");
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.label.as_str(), row.category.as_str(), row.correct, row.fixed, row.broken, row.p_value))
        .collect();
    assert_eq!(seen[..2], [("raw", "parallel", 1, 0, 0, 1.0), ("raw", "simple", 0, 0, 0, 1.0)]);
    // One lost: p is 1; six won: 2 / 2^6.
    assert_eq!(seen[2..], [("evaluate", "parallel", 0, 0, 1, 1.0), ("evaluate", "simple", 6, 6, 0, 0.03125)]);
    assert!((rows[2].delta + 0.25).abs() < 1e-12 && (rows[3].delta - 1.0).abs() < 1e-12);
}

#[test]
fn several_attempts_are_compared_by_sample() {
    let attempts = |first: &str, second: &str| {
        let mut rows = scores(first);
        rows.extend(scores(second).into_iter().map(|row| ScoreRow { attempt: 1, ..row }));
        rows
    };
    let outcome = StageRun::new("compare")
        .table("baseline", "raw", &attempts("0011", "0010"))
        .table("scores", "new", &attempts("0111", "0010"))
        .table("scores", "greedy", &scores("0111"))
        .run()
        .unwrap();
    let rows: Vec<ComparisonRow> = outcome.table("comparison");
    assert_eq!((rows[0].samples, rows[0].correct, rows[1].correct, rows[2].samples), (8, 3, 4, 4));
    assert!((rows[1].delta - 0.125).abs() < 1e-12 && rows[1].p_value == 1.0, "{:?}", rows[1]);
    let flips: Vec<FlipRow> = outcome.table("flips");
    let seen: Vec<_> =
        flips.iter().map(|row| (row.label.as_str(), row.sample_id.as_str(), row.before, row.after)).collect();
    assert_eq!(seen, [("new", "s1", 0.0, 0.5), ("greedy", "s1", 0.0, 1.0), ("greedy", "s3", 0.5, 1.0)]);
    let twice = [scores("1"), scores("1")].concat();
    insta::assert_snapshot!(StageRun::new("compare").table("scores", "a", &twice).fails(), @"scores of `a`: score a sample twice; give every sample its own id");
}

#[test]
fn variants_of_a_prompt_have_a_spread() {
    let outcome = StageRun::new("compare")
        .table("scores", "evaluate @ format=json", &scores("1111"))
        .table("scores", "evaluate @ format=python", &scores("1110"))
        .table("scores", "evaluate @ format=xml", &scores("1000"))
        .table("scores", "ceiling", &scores("1111"))
        .run()
        .unwrap();
    let rows: Vec<SpreadRow> = outcome.table("spread");
    assert_eq!(rows.len(), 2);
    let SpreadRow { label, scores, mean, max_delta, deviation, worst, best, .. } = &rows[0];
    assert_eq!((label.as_str(), *scores, worst.as_str(), best.as_str()), ("evaluate", 3, "format=xml", "format=json"));
    // Of 100, 75 and 25: the mean is 66.7, the squares of the differences sum to 2916.7, the deviation is √1458.3.
    assert!((mean - 2.0 / 3.0).abs() < 1e-12 && (max_delta - 75.0).abs() < 1e-9, "{rows:?}");
    assert!((deviation - 38.188_130_791_298_67).abs() < 1e-9, "{rows:?}");
    assert_eq!((rows[1].label.as_str(), rows[1].scores, rows[1].best.as_str()), ("", 4, "evaluate @ format=json"));
    let text = String::from_utf8(outcome.bytes("text")).unwrap();
    assert!(text.contains("evaluate: 3 scores, mean 66.7 %, 25.0 % (format=xml) to 100.0 % (format=json): max delta 75.0 points, standard deviation 38.2 points"), "{text}");
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
    let digests = ["comparison", "categories", "flips", "spread", "text"]
        .map(|port| Digest::of(&outcome.bytes(port)).to_string());
    insta::assert_snapshot!(digests.join("\n"), @r#"
06dfbdcd7fd28e6ddcd68a24a2e95f3097402a1694d79050ddb9063eee90e5b4
36d2322e5f3539926852b8846497325767ec9c468f8da1b6a0a2c032bd98918d
4c1dbdbaaf5089afcff3eb546d972501aec541e7bb46d36e5ec9e5a2b9f22809
b4efdfe81201ef2f51e9121d2cb67d06f21048afb7cf22ba6840d86e417996f4
86f4408b71ecf5f2aac30dae0990f08a483e5e9e6b17e08f919660c1952bc326
"#);
}
