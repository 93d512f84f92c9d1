//! Tests of `mine-hard`.

use toolexpander::{
    base::Digest,
    table::{HardRow, RolloutRow, SampleRow},
};

use super::harness::{StageRun, sample};

fn rollout(sample: &str, index: i32, correct: bool) -> RolloutRow {
    RolloutRow {
        sample_id: sample.to_owned(),
        rollout_index: index,
        completion: "[f(value=1)]".into(),
        finish: "stop".into(),
        prompt_tokens: 20,
        completion_tokens: 8,
        log_prob: -3.5,
        format: 1.0,
        correctness: if correct { 3.0 } else { -1.0 },
        execution: 0.0,
        bonus: 0.0,
        reward: if correct { 4.0 } else { 0.0 },
        correct,
        demonstrated: false,
    }
}

/// `a` is never right in four, `b` once, `c` three times.
fn run() -> StageRun {
    let rights = [("a", 0), ("b", 1), ("c", 3)];
    let samples: Vec<_> = rights.iter().map(|(id, _)| sample(id, &format!("question {id}"), "f")).collect();
    // Rows in any order: the rollout index counts.
    let mut rollouts = Vec::new();
    for index in (0..4).rev() {
        rollouts.extend(rights.iter().map(|(id, right)| rollout(id, index, index < *right)));
    }
    StageRun::new("mine-hard").table("samples", "data.train", &samples).table("rollouts", "rollout", &rollouts)
}

#[test]
fn samples_that_were_never_solved_are_hard() {
    let outcome = run().param("group-size", 4).run().unwrap();
    let hard: Vec<HardRow> = outcome.table("hard");
    let seen: Vec<_> = hard.iter().map(|row| (row.sample_id.as_str(), row.rollouts, row.correct, row.hard)).collect();
    assert_eq!(seen, [("a", 4, 0, true), ("b", 4, 1, false), ("c", 4, 3, false)]);
    assert_eq!(hard.iter().map(|row| row.mean_reward).collect::<Vec<_>>(), [0.0, 1.0, 3.0]);
    let kept: Vec<SampleRow> = outcome.table("samples");
    assert_eq!(kept.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn only_the_first_group_size_rollouts_count_and_max_correct_is_inclusive() {
    // Rollout 0 of `b` and 0 to 2 of `c` are right.
    let outcome = run().param("group-size", 2).param("max-correct", 1).run().unwrap();
    let hard: Vec<HardRow> = outcome.table("hard");
    let seen: Vec<_> = hard.iter().map(|row| (row.correct, row.hard)).collect();
    assert_eq!(seen, [(0, true), (1, true), (2, false)]);
}

#[test]
fn too_few_rollouts_and_strangers_are_errors() {
    insta::assert_snapshot!(run().fails(), @"input `rollouts`, sample `a`: has 4 rollouts, 10 are needed; make the rollout stage's `group-size` at least that of this stage");
    let samples = [sample("a", "q", "f")];
    let strangers = [rollout("z", 0, true)];
    let run = StageRun::new("mine-hard").table("samples", "s", &samples).table("rollouts", "r", &strangers);
    insta::assert_snapshot!(run.fails(), @"input `rollouts`, sample `z`: is not among the samples; connect `samples` to the table that was rolled out");
    let twice = [rollout("a", 0, true), rollout("a", 0, false)];
    let run = StageRun::new("mine-hard").table("samples", "s", &samples).table("rollouts", "r", &twice);
    insta::assert_snapshot!(run.fails(), @"input `rollouts`, sample `a`: has two rollouts with index 0; number the rollouts of a sample 0, 1, 2, …");
}

#[test]
fn a_sample_that_was_not_rolled_out_can_count_as_not_hard() {
    let samples = [sample("a", "q", "f"), sample("b", "r", "f")];
    let run = || {
        let run = StageRun::new("mine-hard").param("group-size", 1).table("samples", "s", &samples);
        run.table("rollouts", "r", &[rollout("a", 0, false)])
    };
    assert!(run().fails().contains("sample `b`: has 0 rollouts, 1 are needed"));
    let hard: Vec<HardRow> = run().param("unrolled", "not-hard").run().unwrap().table("hard");
    assert_eq!(hard.iter().map(|row| (row.rollouts, row.hard)).collect::<Vec<_>>(), [(1, true), (0, false)]);
}

#[test]
fn a_damaged_input_table_is_an_error_that_names_it() {
    let samples = [sample("a", "q", "f")];
    let run = StageRun::new("mine-hard").table("samples", "data.train", &samples);
    let run = run.input("rollouts", "rollout[2]", "table:rollouts".parse().unwrap(), b"PAR1 and then nothing");
    insta::assert_snapshot!(run.fails(), @"port `rollouts`, input `rollout[2]` (TMP/in/rollouts-0): the `rollouts` table is not readable as Parquet: Parquet error: Invalid Parquet file. Corrupt footer; the file is truncated, damaged or of another format");
}

/// If this digest changes, bump `revision` in stages/mine-hard/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = run().param("group-size", 4).run().unwrap();
    insta::assert_snapshot!(Digest::of(&outcome.bytes("hard")), @"af0bb7ca51e82b9e2840d0e492a64c8741a454998a492b6ce61a3cca8d5c5578");
    insta::assert_snapshot!(Digest::of(&outcome.bytes("samples")), @"00b807c9d8052e37f8ecf1c73c47126d2aed97f40be3e6a91fd9d0b87fc6c766");
}
