//! `rollout`: one row a completion, the same bits for any thread count, scored part by part.

use toolexpander::{
    base::Digest,
    table::{RolloutRow, SampleRow},
    tools::parse,
};

use super::{
    harness::StageRun,
    model_support::{demonstrated, questions, trained, with_model},
};

fn roll(count: usize) -> StageRun {
    with_model("rollout", trained()).table("samples", "data", &questions(count)).param("max-tokens", 16)
}

#[test]
fn every_sample_gets_its_group_in_order() {
    let outcome = roll(5).param("group-size", 3).run().unwrap();
    let rows: Vec<RolloutRow> = outcome.table("rollouts");
    let keys: Vec<(String, i32)> = rows.iter().map(|row| (row.sample_id.clone(), row.rollout_index)).collect();
    let expected: Vec<(String, i32)> =
        (0..5).flat_map(|sample| (0..3).map(move |index| (format!("q{sample}"), index))).collect();
    assert_eq!(keys, expected);
    for row in &rows {
        assert!(row.completion_tokens >= 1 && row.completion_tokens <= 16 && row.prompt_tokens > 10);
        assert!(row.finish == "stop" || (row.finish == "length" && row.completion_tokens == 16), "{row:?}");
        assert!(row.log_prob < 0.0 && !row.demonstrated);
        let total = row.format + row.correctness + row.execution + row.bonus;
        assert!((row.reward - total).abs() < 1e-6, "{row:?}");
    }
    assert!(rows.iter().any(|row| row.format == 1.0), "the model writes calls: {rows:#?}");
    assert!(outcome.log().contains("rollouts are right"));
}

#[test]
fn threads_and_neighbours_do_not_change_a_bit() {
    let bytes = |threads| roll(7).threads(threads).run().unwrap().bytes("rollouts");
    assert!(bytes(1) == bytes(2));
    // A sample's rollouts do not depend on which others are rolled, nor on how many there are.
    let all: Vec<RolloutRow> = roll(7).run().unwrap().table("rollouts");
    let few: Vec<RolloutRow> = roll(2).param("group-size", 4).run().unwrap().table("rollouts");
    let same = |row: &&RolloutRow| (row.sample_id == "q0" || row.sample_id == "q1") && row.rollout_index < 4;
    assert_eq!(all.iter().filter(same).cloned().collect::<Vec<_>>(), few);
    let other: Vec<RolloutRow> = roll(7).seed(8).run().unwrap().table("rollouts");
    assert_ne!(all, other);
}

#[test]
fn a_killed_rollout_goes_on_to_the_same_bits() {
    let whole = roll(40).run().unwrap();
    let resumed = roll(40).killed_after(300).run().unwrap();
    assert!(
        resumed.log().contains("were completed by an earlier attempt"),
        "no checkpoint was used: {}",
        resumed.log()
    );
    assert!(whole.bytes("rollouts") == resumed.bytes("rollouts"));
}

/// A tool whose values end soon, so that a weak model's calls do.
fn counting(count: usize) -> Vec<SampleRow> {
    let tools = r#"[{"name":"count","description":"","parameters":{"type":"object","properties":
        {"up":{"type":"boolean"},"by":{"type":"string","enum":["one","two"]}},"required":["up","by"]}}]"#;
    let mut rows = questions(count);
    rows.iter_mut().for_each(|row| row.tools = tools.replace('\n', " "));
    rows
}

#[test]
fn constrained_completions_are_calls_of_the_samples_tools() {
    for (style, temperature) in [("python", 1.0), ("json", 1.0), ("python", 0.0)] {
        let stage = with_model("rollout", trained()).table("samples", "data", &counting(6)).param("max-tokens", 60);
        let stage = stage.param("constrain", style).param("temperature", temperature).param("group-size", 4);
        let rows: Vec<RolloutRow> = stage.run().unwrap().table("rollouts");
        let ended: Vec<&RolloutRow> = rows.iter().filter(|row| row.finish == "stop").collect();
        assert!(ended.len() >= 4, "{} of {} ended", ended.len(), rows.len());
        for row in ended {
            let calls =
                parse::calls(&row.completion).calls.unwrap_or_else(|error| panic!("{}: {error}", row.completion));
            for call in &calls {
                assert!(call.name == "count" && call.arguments["up"].is_boolean(), "{}", row.completion);
                assert!(["one", "two"].contains(&call.arguments["by"].as_str().unwrap()), "{}", row.completion);
            }
        }
    }
}

#[test]
fn greedy_rollouts_are_all_alike() {
    let rows: Vec<RolloutRow> = roll(3).param("temperature", 0.0).run().unwrap().table("rollouts");
    assert!(rows.chunks(10).all(|group| group.iter().all(|row| row.completion == group[0].completion)));
}

#[test]
fn rewards_are_weighted_and_demonstrations_noted() {
    let shown = with_model("rollout", trained())
        .table("samples", "data", &demonstrated(&questions(3)))
        .param("group-size", 2)
        .param("max-tokens", 16)
        .param(
            "rewards",
            toml::Table::from_iter([("format".to_owned(), 10.into()), ("correctness".to_owned(), 0.into())]),
        );
    let rows: Vec<RolloutRow> = shown.run().unwrap().table("rollouts");
    assert!(rows.iter().all(|row| row.demonstrated && (row.reward - 10.0 * row.format - row.bonus).abs() < 1e-6));
    let message = roll(1).param("rewards", toml::Table::from_iter([("formt".to_owned(), 1.into())])).fails();
    assert!(message.contains("formt") && message.contains("format"), "{message}");
}

#[test]
fn a_prompt_without_room_is_an_error_or_left_out() {
    let message = roll(2).param("max-tokens", 120).fails();
    assert!(message.contains("sample `q0`") && message.contains("the model holds 128"), "{message}");
    let message = roll(2).param("max-tokens", 120).param("long-prompts", "skip").fails();
    assert!(message.contains("no sample fits"), "{message}");
}

/// If this digest changes, bump `revision` in stages/rollout/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = roll(4).param("group-size", 3).run().unwrap();
    insta::assert_snapshot!(Digest::of(&outcome.bytes("rollouts")), @"096d7a117af767accbe3873e3140f06960b5a44abe1270a6f6bc421ecc00f23f");
}
