//! Tests of what scores come to.

use toolexpander::{
    stage::breakdown::breakdown,
    table::{BreakdownRow, ScoreRow},
};

fn row(id: &str, attempt: i32, category: &str, tools: &[&str], error_type: &str) -> ScoreRow {
    let correct = error_type.is_empty();
    ScoreRow {
        sample_id: id.into(),
        attempt,
        category: category.into(),
        gold_tools: serde_json::to_string(tools).unwrap(),
        completion: String::new(),
        calls: String::new(),
        parsed: error_type != "unparsable",
        matched: correct,
        executed: false,
        results_equal: false,
        state_equal: false,
        correct,
        error_type: error_type.into(),
        error: String::new(),
        finish: "stop".into(),
        prompt_tokens: 100,
        completion_tokens: if correct { 10 } else { 20 },
    }
}

fn find<'a>(rows: &'a [BreakdownRow], name: &str, measure: &str) -> &'a BreakdownRow {
    rows.iter().find(|row| row.name == name && row.measure == measure).unwrap_or_else(|| panic!("{name} {measure}"))
}

#[test]
fn groups_have_counts_intervals_and_errors_with_examples() {
    let scores: Vec<ScoreRow> = [
        ("a", "simple", &["pay"][..], ""),
        ("b", "simple", &["pay"], "value"),
        ("c", "simple", &["move"], "value"),
        ("d", "parallel", &["move", "pay"], "wrong-count"),
        ("e", "parallel", &["move"], "value"),
        ("f", "parallel", &["move"], "value"),
        ("g", "irrelevance", &[], "unparsable"),
    ]
    .into_iter()
    .map(|(id, category, tools, error)| row(id, 0, category, tools, error))
    .collect();
    let rows = breakdown(&scores);
    let groups: Vec<_> = rows.iter().map(|row| (row.scope.as_str(), row.name.as_str())).collect();
    let mut kept = groups.clone();
    kept.dedup();
    let expected = [
        ("all", ""),
        ("category", "irrelevance"),
        ("category", "parallel"),
        ("category", "simple"),
        ("tool", "(none)"),
        ("tool", "move"),
        ("tool", "pay"),
    ];
    assert_eq!(kept, expected);
    let correct = find(&rows, "", "correct");
    assert_eq!((correct.count, correct.total), (1.0, 7));
    assert!(
        (correct.value - 1.0 / 7.0).abs() < 1e-12 && correct.ci_low < correct.value && correct.value < correct.ci_high
    );
    assert_eq!((find(&rows, "pay", "correct").count, find(&rows, "pay", "correct").total), (1.0, 3));
    // The commonest error comes first, with three samples of four; equals by name.
    let errors: Vec<_> = rows.iter().filter(|row| row.scope == "all" && row.measure.starts_with("error:")).collect();
    let seen: Vec<_> = errors.iter().map(|row| (row.measure.as_str(), row.count, row.examples.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("error:value", 4.0, r#"["b","c","e"]"#),
            ("error:unparsable", 1.0, r#"["g"]"#),
            ("error:wrong-count", 1.0, r#"["d"]"#),
        ]
    );
    let tokens = find(&rows, "simple", "completion-tokens");
    assert_eq!((tokens.count, tokens.total, tokens.ci_low.is_nan()), (50.0, 3, true));
    assert!((tokens.value - 50.0 / 3.0).abs() < 1e-12);
    assert!(!rows.iter().any(|row| row.measure.starts_with("pass")));
}

#[test]
fn chances_of_attempts_are_means_over_samples() {
    // Of four attempts at `a` two are right, at `b` none.
    let scores: Vec<ScoreRow> = (0..4)
        .flat_map(|attempt| {
            let error = if attempt < 2 { "" } else { "value" };
            [row("a", attempt, "x", &["f"], error), row("b", attempt, "x", &["f"], "value")]
        })
        .collect();
    let rows = breakdown(&scores);
    let value = |measure: &str| find(&rows, "", measure).value;
    assert_eq!((value("correct"), value("pass@1"), value("pass^1")), (0.25, 0.25, 0.25));
    // Of the 6 pairs of attempts at `a` 5 have a right one, and 1 has two.
    assert!((value("pass@2") - 5.0 / 12.0).abs() < 1e-12 && (value("pass^2") - 1.0 / 12.0).abs() < 1e-12);
    assert_eq!((value("pass@4"), value("pass^4")), (0.5, 0.0));
    // Eight answers to two samples are worth two samples: 1.96² / (2 + 1.96²) and more.
    let correct = find(&rows, "", "correct");
    assert!(correct.total == 8 && correct.ci_high > 0.7, "{correct:?}");
}

#[test]
fn no_scores_come_to_nothing() {
    let rows = breakdown(&[]);
    assert!(rows.iter().all(|row| row.total == 0 && row.value.is_nan() && row.ci_low.is_nan()), "{rows:?}");
}
