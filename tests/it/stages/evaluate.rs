//! Tests of `evaluate`: the judgement of texts, and a tiny model that is asked.

use toolexpander::{
    base::Seed,
    stage::score_completion,
    tools::{
        Call, Sample, Style, answer_text,
        suite::{GenerateOptions, generate},
    },
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
        let nothing = score_completion(&sample, "[]");
        assert!(nothing.parsed && !nothing.matched && !nothing.correct, "{nothing:?}");
        let mut unknown = sample.gold.clone();
        unknown[0].name = "fly_to_the_moon".into();
        let unknown = score_completion(&sample, &answer_text(&unknown, Style::Python));
        assert!(unknown.parsed && !unknown.matched && !unknown.executed && !unknown.correct, "{unknown:?}");
        // One call too many: each may run, the results are not the gold's.
        let twice: Vec<Call> = sample.gold.iter().chain(&sample.gold).cloned().collect();
        let twice = score_completion(&sample, &answer_text(&twice, Style::Python));
        assert!(twice.parsed && !twice.matched && !twice.results_equal && !twice.correct, "{twice:?}");
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
