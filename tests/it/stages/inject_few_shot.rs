//! Tests of `inject-few-shot`.

use std::collections::BTreeMap;

use toolexpander::{
    base::Digest,
    stage::samples,
    table::{HardRow, ReportRow, SampleRow},
    tools::{Sample, parse},
};

use super::harness::{Outcome, StageRun, sample};

fn hard(id: &str, hard: bool) -> HardRow {
    HardRow { sample_id: id.into(), category: "simple".into(), rollouts: 10, correct: 0, mean_reward: 0.0, hard }
}

/// Samples named by what they ask of which tool, with the gold argument `value`; those marked with `!` are hard.
fn world() -> Vec<(SampleRow, bool)> {
    let rows = [
        ("a", "Convert 1", "convert", 1, true),
        ("b", "Convert 2", "convert", 2, false),
        ("c", "Convert 3", "convert", 3, false),
        ("d", "Convert one, please", "convert", 1, false),
        ("e", "convert 1", "convert", 9, false),
        ("f", "Pay 4", "pay", 4, false),
        ("g", "Pay 5", "pay", 5, true),
        ("h", "Read 6", "read", 6, true),
    ];
    let make = |(id, question, tool, value, hard): (&str, &str, &str, i64, bool)| {
        let mut row = sample(id, question, tool);
        row.answer = format!(r#"[{{"name":"{tool}","arguments":{{"value":[{value}]}}}}]"#);
        row.gold = format!(r#"[{{"name":"{tool}","arguments":{{"value":{value}}}}}]"#);
        (row, hard)
    };
    rows.into_iter().map(make).collect()
}

fn run(world: &[(SampleRow, bool)]) -> StageRun {
    let (rows, mined): (Vec<_>, Vec<_>) = world.iter().map(|(row, is)| (row.clone(), hard(&row.id, *is))).unzip();
    StageRun::new("inject-few-shot").table("samples", "data.train", &rows).table("hard", "mine.hard", &mined)
}

fn injected(outcome: &Outcome) -> BTreeMap<String, Sample> {
    let rows: Vec<SampleRow> = outcome.table("samples");
    rows.iter().map(|row| (row.id.clone(), samples::from_row(row).unwrap())).collect()
}

fn counts(outcome: &Outcome) -> BTreeMap<String, f64> {
    outcome.table::<ReportRow>("report").into_iter().map(|row| (row.name, row.value)).collect()
}

#[test]
fn hard_samples_get_demonstrations_of_other_samples_and_others_none() {
    let outcome = run(&world()).run().unwrap();
    let samples = injected(&outcome);
    for (row, hard) in world() {
        let after = &samples[&row.id];
        assert_eq!(after.demonstrations.len(), if hard { 2 } else { 0 }, "{}", row.id);
        assert_eq!(after.round, i32::from(hard), "{}", row.id);
        let mut plain = after.clone();
        (plain.demonstrations, plain.round) = (Vec::new(), 0);
        assert_eq!(samples::to_row(&plain), row, "nothing else changes");
    }
    // Nearest to the question stands the demonstration of the same tool.
    let shown = &samples["g"].demonstrations[1];
    assert!(shown[0].role == "user" && shown[0].content.contains("Pay 4"), "{shown:?}");
    assert_eq!((shown[1].role.as_str(), shown[1].content.as_str()), ("assistant", "[pay(value=4)]"));
    let counts = counts(&outcome);
    assert_eq!((counts["hard"], counts["injected"], counts["demonstrations"]), (3.0, 3.0, 6.0));
}

/// `d` makes the call that answers `a`, `e` asks the same question: neither may be shown to `a`, whatever the choice.
#[test]
fn a_samples_own_answer_is_never_shown() {
    for choose in ["similar", "random"] {
        for seed in 0..20 {
            let outcome = run(&world()).param("count", 8).param("choose", choose).seed(seed).run().unwrap();
            for (id, after) in injected(&outcome) {
                for demonstration in &after.demonstrations {
                    let shown = parse::calls(&demonstration[1].content).calls.unwrap();
                    assert!(shown.iter().all(|call| !after.gold.contains(call)), "{id}: {demonstration:?}");
                    let question = demonstration[0].content.to_lowercase();
                    assert!(!question.ends_with(&format!("question: {}", after.question().to_lowercase())), "{id}");
                }
            }
            // All that may be shown: b, c, f, g, h.
            assert_eq!(injected(&outcome)["a"].demonstrations.len(), 5);
        }
    }
}

#[test]
fn solved_samples_are_preferred_where_tools_are_equally_alike() {
    let rows: Vec<_> = (0..12)
        .map(|index| {
            let mut row = sample(&format!("s{index}"), &format!("Question {index}"), "convert");
            row.gold = row.gold.replace(":2}", &format!(":{index}}}")).replace(":3}", &format!(":{index}}}"));
            row.answer = row.answer.replace("[2]", &format!("[{index}]")).replace("[3]", &format!("[{index}]"));
            (row, index >= 3)
        })
        .collect();
    for seed in 0..5 {
        let outcome = run(&rows).seed(seed).run().unwrap();
        assert_eq!(counts(&outcome)["demonstrations"], 18.0);
        assert_eq!(counts(&outcome)["demonstrations-from-solved"], 18.0);
    }
}

#[test]
fn annealing_takes_demonstrations_away_for_good() {
    let world: Vec<_> = (0..300)
        .map(|index| (sample(&format!("s{index}"), &format!("Question {index}"), &format!("tool{}", index % 7)), true))
        .collect();
    let kept = |probability: f64, round: i64| -> Vec<String> {
        let outcome = run(&world).param("keep-probability", probability).param("round", round).run().unwrap();
        assert_eq!(counts(&outcome)["injected"] + counts(&outcome)["annealed-away"], 300.0);
        let samples = injected(&outcome).into_values().filter(|sample| !sample.demonstrations.is_empty());
        samples.map(|sample| sample.id).collect()
    };
    let (all, most, few) = (kept(1.0, 1), kept(0.6, 2), kept(0.2, 3));
    assert_eq!((all.len(), kept(0.0, 4).len()), (300, 0));
    assert!((150..210).contains(&most.len()) && (35..90).contains(&few.len()), "{} {}", most.len(), few.len());
    assert!(few.iter().all(|id| most.contains(id)));
}

#[test]
fn long_demonstrations_are_left_out_and_counted_where_none_is_left() {
    let outcome = run(&world()).param("max-chars", 10).run().unwrap();
    let counts = counts(&outcome);
    assert_eq!((counts["without-candidates"], counts["injected"]), (3.0, 0.0));
    assert!(injected(&outcome).values().all(|sample| sample.demonstrations.is_empty() && sample.round == 0));
}

#[test]
fn demonstrations_may_come_from_another_pool_in_another_style() {
    let pool = [sample("p", "How far is it?", "measure")];
    let outcome = run(&world()).table("pool", "data.pool", &pool).param("style", "toolrl").run().unwrap();
    let shown = &injected(&outcome)["a"].demonstrations;
    assert_eq!(shown.len(), 1);
    insta::assert_snapshot!(shown[0][1].content, @r#"
<think> I will answer with the listed tools. </think>
<tool_call>
{"name": "measure", "parameters": {"value": 1}}
</tool_call>
"#);
    assert_eq!(counts(&outcome)["with-fewer-than-count"], 3.0);
}

#[test]
fn hard_and_samples_must_belong_together() {
    let rows = [sample("a", "q", "f")];
    let run = |mined: &[HardRow]| {
        StageRun::new("inject-few-shot").table("samples", "data", &rows).table("hard", "mine", mined).fails()
    };
    insta::assert_snapshot!(run(&[]), @"sample `a`: is not in `hard`; connect `samples` to the table that was rolled out and mined");
    insta::assert_snapshot!(run(&[hard("a", true), hard("z", true)]), @"sample `z`: is in `hard` and not among the samples; connect `samples` to the table that was rolled out and mined");
}

/// If this digest changes, bump `revision` in stages/inject-few-shot/stage.toml.
#[test]
fn output_bytes_are_golden_whatever_the_thread_count() {
    let bytes = [1, 4].map(|threads| run(&world()).threads(threads).run().unwrap().bytes("samples"));
    assert_eq!(bytes[0], bytes[1]);
    insta::assert_snapshot!(Digest::of(&bytes[0]), @"a9a2e78016f36e3e89a487189395281289beb7fdf78e68c32c21f7c6a2e8cae2");
}
