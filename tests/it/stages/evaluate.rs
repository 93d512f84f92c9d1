//! Tests of `evaluate`: the judgement of texts, and a tiny model that is asked.

use toolexpander::{
    base::{Digest, Seed},
    stage::{samples, score_completion},
    table::{BreakdownRow, SampleRow, ScoreRow},
    tools::{
        Call, Sample, Style, answer_text,
        suite::{GenerateOptions, generate},
    },
};

use super::{
    harness::{Outcome, StageRun},
    model_support::{questions, trained, with_model},
};

fn household(count: usize) -> Vec<Sample> {
    generate(Seed(5), count, &GenerateOptions::default()).unwrap()
}

#[test]
fn gold_answers_are_right_in_every_style() {
    for sample in household(40) {
        for style in Style::ALL {
            let row = score_completion(&sample, &answer_text(&sample.gold, style));
            assert!(row.parsed && row.matched && row.executed && row.results_equal && row.state_equal, "{row:?}");
            assert!(row.correct && row.error.is_empty(), "{row:?}");
            assert_eq!(serde_json::from_str::<Vec<Call>>(&row.calls).unwrap(), sample.gold);
        }
    }
}

#[test]
fn wrong_answers_are_told_apart() {
    for sample in household(40) {
        let prose = score_completion(&sample, "I would be glad to help you with that.");
        assert!(!prose.parsed && !prose.executed && !prose.correct && prose.calls.is_empty(), "{prose:?}");
        assert!(!prose.error.is_empty());
        assert_eq!(prose.error_type, "no-call");
        let nothing = score_completion(&sample, "[]");
        assert!(nothing.parsed && !nothing.matched && !nothing.correct, "{nothing:?}");
        assert_eq!(nothing.error_type, "no-call");
        let mut unknown = sample.gold.clone();
        unknown[0].name = "fly_to_the_moon".into();
        let unknown = score_completion(&sample, &answer_text(&unknown, Style::Python));
        assert!(unknown.parsed && !unknown.matched && !unknown.executed && !unknown.correct, "{unknown:?}");
        assert_eq!(unknown.error_type, "wrong-name");
        // One call too many: each may run, the results are not the gold's.
        let twice: Vec<Call> = sample.gold.iter().chain(&sample.gold).cloned().collect();
        let twice = score_completion(&sample, &answer_text(&twice, Style::Python));
        assert!(twice.parsed && !twice.matched && !twice.results_equal && !twice.correct, "{twice:?}");
        assert_eq!(twice.error_type, "wrong-count");
    }
}

#[test]
fn without_a_world_matching_decides() {
    let mut sample = household(1).remove(0);
    sample.environment = None;
    let row = score_completion(&sample, &answer_text(&sample.gold, Style::Json));
    assert!(row.correct && row.matched && !row.executed, "{row:?}");
    sample.answer.clear();
    sample.gold.clear();
    assert!(score_completion(&sample, "None of the functions fits.").correct);
    assert!(!score_completion(&sample, "[open(value=1)]").correct);
}

fn evaluate(rows: &[SampleRow]) -> StageRun {
    with_model("evaluate", trained()).table("samples", "data.eval", rows).param("max-tokens", 16)
}

fn report(outcome: &Outcome, name: &str, measure: &str) -> BreakdownRow {
    let rows: Vec<BreakdownRow> = outcome.table("report");
    let found = rows.into_iter().find(|row| row.name == name && row.measure == measure);
    found.unwrap_or_else(|| panic!("no {measure} of {name}"))
}

#[test]
fn a_model_is_asked_every_question_in_order() {
    let rows = questions(9);
    let outcome = evaluate(&rows).run().unwrap();
    let scores: Vec<ScoreRow> = outcome.table("scores");
    let ids = |rows: &[SampleRow]| rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
    assert_eq!(scores.iter().map(|row| row.sample_id.clone()).collect::<Vec<_>>(), ids(&rows));
    for (row, sample) in scores.iter().zip(&rows) {
        let ScoreRow { finish, prompt_tokens, completion_tokens, error_type, .. } = row.clone();
        assert!(["stop", "length"].contains(&finish.as_str()) && prompt_tokens > 0 && completion_tokens > 0, "{row:?}");
        let judged = score_completion(&samples::from_row(sample).unwrap(), &row.completion);
        assert!(error_type == judged.error_type || error_type == "cut-off");
        assert_eq!(*row, ScoreRow { finish, prompt_tokens, completion_tokens, error_type, ..judged });
    }
    assert!(scores.iter().any(|row| row.parsed), "the model writes calls: {scores:#?}");
    let parsed = scores.iter().filter(|row| row.parsed).count();
    #[expect(clippy::cast_precision_loss, reason = "nine rows")]
    let share = parsed as f64 / 9.0;
    let row = report(&outcome, "", "parsed");
    assert_eq!((row.total, row.value, row.ci_low < share, row.ci_high >= share), (9, share, true, true));
    assert_eq!(report(&outcome, "simple", "parsed").total, 9);
    assert_eq!(report(&outcome, "lock", "correct").total, 3);
    let tokens: i32 = scores.iter().map(|row| row.completion_tokens).sum();
    assert_eq!(report(&outcome, "", "completion-tokens").count, f64::from(tokens));
}

#[test]
fn threads_neighbours_and_the_pipelines_seed_change_nothing() {
    let rows = questions(7);
    let bytes = evaluate(&rows).threads(1).run().unwrap().bytes("scores");
    assert_eq!(Digest::of(&bytes), Digest::of(&evaluate(&rows).threads(2).seed(99).run().unwrap().bytes("scores")));
    let all: Vec<ScoreRow> = evaluate(&rows).run().unwrap().table("scores");
    let few: Vec<ScoreRow> = evaluate(&rows[3..5]).run().unwrap().table("scores");
    assert_eq!(all[3..5], few);
}

#[test]
fn a_prompt_that_does_not_fit_is_an_error_or_a_wrong_answer() {
    let mut rows = questions(3);
    rows[1].messages = rows[1].messages.replace("close", &"close ".repeat(200));
    let error = evaluate(&rows).fails();
    assert!(error.contains("sample `q1`") && error.contains("the model holds 128"), "{error}");
    let scores: Vec<ScoreRow> = evaluate(&rows).param("long-prompts", "wrong").run().unwrap().table("scores");
    assert_eq!(scores.len(), 3);
    assert!(!scores[1].correct && scores[1].error.contains("too long"), "{:?}", scores[1]);
}

#[test]
fn several_attempts_have_streams_of_their_own() {
    let rows = questions(6);
    let sampled = |attempts: usize| evaluate(&rows).param("temperature", 1.0).param("attempts", attempts as i64);
    let outcome = sampled(3).run().unwrap();
    let scores: Vec<ScoreRow> = outcome.table("scores");
    let places: Vec<_> = scores.iter().map(|row| (row.sample_id.clone(), row.attempt)).collect();
    assert_eq!(places.len(), 18);
    assert_eq!(places[..4], [("q0".into(), 0), ("q0".into(), 1), ("q0".into(), 2), ("q1".into(), 0)]);
    assert!(scores.chunks(3).any(|three| three[0].completion != three[1].completion), "{scores:#?}");
    // The first attempts are what one attempt gives, whether it is asked for or not.
    let first: Vec<ScoreRow> = scores.into_iter().filter(|row| row.attempt == 0).collect();
    assert_eq!(sampled(1).run().unwrap().table::<ScoreRow>("scores"), first);
    assert_eq!(evaluate(&rows).param("temperature", 1.0).run().unwrap().table::<ScoreRow>("scores"), first);
    let chance = |measure: &str| report(&outcome, "", measure);
    assert_eq!(chance("pass@1").value, chance("pass^1").value);
    assert!((chance("pass@1").value - chance("correct").value).abs() < 1e-12);
    assert!(chance("pass@3").value >= chance("pass@2").value && chance("pass^3").value <= chance("pass^2").value);
    assert_eq!((chance("correct").total, chance("pass@2").total), (18, 6));
    insta::assert_snapshot!(evaluate(&rows).param("attempts", 2).fails(), @"parameter `attempts`: at temperature 0 all answers are the same: set `temperature`, or leave `attempts` out");
}

#[test]
fn times_are_told_and_in_no_output() {
    let outcome = evaluate(&questions(3)).run().unwrap();
    assert!(outcome.log().contains(" tokens/s"), "{}", outcome.log());
}

/// If these digests change, bump `revision` in stages/evaluate/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = evaluate(&questions(4)).run().unwrap();
    let digests = ["scores", "report"].map(|port| Digest::of(&outcome.bytes(port)).to_string());
    insta::assert_snapshot!(digests.join("\n"), @r#"
7aab036afd3c870b45c59d00a319b315f0ee1f7e0de826e30463d2a4b2016823
dc4d8c6d62d779e352fef7bf27de29ccf723c30ffa82035b5cd0448a79fc44cd
"#);
}
