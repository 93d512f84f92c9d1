//! `grpo`: rewards rise, dead groups cost nothing, threads and kills change no bit, what breaks is named.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use toolexpander::{
    base::{ArtifactType, Digest},
    lm::LanguageModel,
    table::{MetricRow, RolloutRow},
};

use super::{
    harness::{Outcome, StageRun},
    model_support::{demonstrated, questions, trained, with_model},
};

fn grpo(count: usize) -> StageRun {
    let graded = toml::Table::from_iter([
        ("graded".to_owned(), toml::Value::from(1.0)),
        ("format".to_owned(), 0.into()),
        ("correctness".to_owned(), 0.into()),
        ("bonus".to_owned(), 0.into()),
    ]);
    with_model("grpo", trained())
        .table("samples", "data", &questions(count))
        .param("max-tokens", 16)
        .param("rewards", graded)
        .param("lr", 3e-3)
}

fn bytes(outcome: &Outcome) -> (String, Vec<u8>, Vec<u8>) {
    (outcome.folder_digest("model").to_string(), outcome.bytes("metrics"), outcome.bytes("rollouts"))
}

fn metrics(outcome: &Outcome) -> Vec<MetricRow> {
    outcome.table("metrics")
}

#[test]
fn rewards_rise() {
    let outcome = grpo(12).param("steps", 80).param("prompts-per-step", 6).param("lr", 2e-3).run().unwrap();
    let rows = metrics(&outcome);
    assert_eq!(rows.len(), 80);
    let mean = |rows: &[MetricRow]| rows.iter().map(|row| row.reward_mean).sum::<f32>() / rows.len() as f32;
    let (first, last) = (mean(&rows[..10]), mean(&rows[60..]));
    assert!(last > first + 0.12, "{first} to {last}");
    let rollouts: Vec<RolloutRow> = outcome.table("rollouts");
    assert_eq!(rollouts.len(), 80 * 6 * 8);
    let keys: BTreeSet<_> = rollouts.iter().map(|row| (&row.sample_id, row.rollout_index)).collect();
    assert_eq!(keys.len(), rollouts.len(), "rollouts of a sample are numbered through");
    for row in &rows {
        assert_eq!((row.live_groups + row.dead_groups, row.kl), (6, 0.0));
        // One update a batch: the policy that sampled is the one in training, so nothing is clipped.
        assert_eq!((row.clip_low, row.clip_high), (0.0, 0.0));
        assert!(row.entropy > 0.0 || row.live_groups == 0);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let run = |threads| bytes(&grpo(8).param("kl-beta", 0.05).param("inner-steps", 2).threads(threads).run().unwrap());
    assert!(run(1) == run(2));
}

#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let long = || grpo(12).param("steps", 40).param("prompts-per-step", 12).param("inner-steps", 2);
    let whole = long().run().unwrap();
    let resumed = long().killed_after(35).run().unwrap();
    assert!(resumed.log().contains("going on after step"), "no checkpoint was used: {}", resumed.log());
    assert!(bytes(&whole) == bytes(&resumed));
}

#[test]
fn later_updates_of_a_batch_leave_ratio_one_and_a_kl_term_appears() {
    let outcome = grpo(6).param("steps", 3).param("inner-steps", 4).param("kl-beta", 0.1).run().unwrap();
    let rows = metrics(&outcome);
    assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    // The reference is the policy as it came in: no divergence before the first update.
    assert_eq!((rows[0].kl, rows[0].clip_high), (0.0, 0.0));
    assert!(rows[11].kl > 0.0);
    assert!(rows.iter().any(|row| row.clip_high > 0.0 || row.clip_low > 0.0), "{rows:#?}");
    assert!(rows.chunks(4).all(|batch| batch.iter().all(|row| row.reward_mean == batch[0].reward_mean)));
    // With a KL term dead groups are trained on, too.
    assert!(rows.iter().all(|row| row.tokens >= 8 * 6));
}

#[test]
fn another_reference_can_be_given() {
    let (_keep, folder) = broken_copy(|_| ());
    let with = |stage: StageRun| metrics(&stage.param("steps", 1).param("kl-beta", 0.1).run().unwrap());
    let same = with(grpo(4).input_at("reference", "reference", ArtifactType::Model, &folder));
    assert_eq!(same[0].kl, 0.0);
    let (_keep, folder) = broken_copy(|model| {
        model.weights.parameters.iter_mut().for_each(|parameter| {
            parameter.data.iter_mut().for_each(|value| *value *= 0.9);
        });
    });
    let other = with(grpo(4).input_at("reference", "reference", ArtifactType::Model, &folder));
    assert!(other[0].kl > 0.0);
    // Without a KL term it is not even read.
    let nowhere = Utf8PathBuf::from("nowhere");
    grpo(4).param("steps", 1).input_at("reference", "reference", ArtifactType::Model, nowhere).run().unwrap();
}

#[test]
fn skipping_dead_groups_is_exact() {
    // Greedy rollouts are all alike: every group is dead, nothing is learnt, and nothing costs an update.
    let outcome = grpo(4).param("temperature", 0.01).param("top-k", 1).param("steps", 2).run().unwrap();
    let rows = metrics(&outcome);
    assert!(rows.iter().all(|row| row.live_groups == 0 && row.dead_groups == 8 && row.grad_norm == 0.0));
    let model = LanguageModel::load(outcome.path("model")).unwrap();
    assert!(model.weights == LanguageModel::load(trained()).unwrap().weights);
}

#[test]
fn the_learning_rate_decays_over_rounds_and_steps() {
    let run = |round: i64| {
        let stage = grpo(4).param("steps", 4).param("round", round).param("lr-decay", 0.5).param("step-decay", 0.9);
        metrics(&stage.param("warm-up", 2).run().unwrap())
    };
    let third = run(3);
    assert!(third.iter().all(|row| row.round == 3));
    let expected = [0.5, 1.0, 1.0, 0.9].map(|factor| 3e-3 * 0.25 * factor);
    assert!(third.iter().zip(expected).all(|(row, lr)| (row.lr - lr).abs() < 1e-15), "{third:#?}");
    // Rounds draw from streams of their own.
    assert_ne!(run(1)[0].reward_mean, third[0].reward_mean);
}

#[test]
fn demonstrations_are_taken_away_in_the_course_of_the_round() {
    let stage = with_model("grpo", trained())
        .table("samples", "data", &demonstrated(&questions(8)))
        .param("max-tokens", 8)
        .param("steps", 5)
        .param("group-size", 2)
        .param("demonstration-keep-last", 0.0);
    let outcome = stage.run().unwrap();
    let rollouts: Vec<RolloutRow> = outcome.table("rollouts");
    let shown: Vec<usize> =
        rollouts.chunks(16).map(|step| step.iter().filter(|row| row.demonstrated).count()).collect();
    assert_eq!((shown[0], shown[4]), (16, 0));
    assert!(shown.iter().all(|count| count % 2 == 0), "a group is of one prompt: {shown:?}");
    assert!(shown[1] + shown[2] + shown[3] > 0 && shown[1] + shown[2] + shown[3] < 48, "{shown:?}");
}

#[test]
fn every_loss_type_and_scale_runs() {
    for loss in ["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] {
        for (level, scale) in [("token", "batch"), ("sequence", "none")] {
            let stage = grpo(3).param("steps", 1).param("inner-steps", 2).param("loss-type", loss);
            let outcome = stage.param("ratio-level", level).param("scale-rewards", scale).run().unwrap();
            let rows = metrics(&outcome);
            assert!(rows.iter().all(|row| row.loss.is_finite() && row.grad_norm > 0.0), "{loss} {level}: {rows:?}");
        }
    }
    let message = grpo(3).param("loss-type", "ppo").fails();
    assert!(message.contains("parameter `loss-type`") && message.contains("dr_grpo"), "{message}");
}

/// Copies the trained model with a change.
fn broken_copy(change: impl FnOnce(&mut LanguageModel)) -> (tempfile::TempDir, Utf8PathBuf) {
    let keep = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(keep.path().join("model")).unwrap();
    let mut model = LanguageModel::load(trained()).unwrap();
    change(&mut model);
    model.save(&folder).unwrap();
    (keep, folder)
}

#[test]
fn numbers_that_are_no_numbers_name_step_and_seed() {
    let (_keep, folder) = broken_copy(|model| model.weights.parameters[1].data[0] = f32::NAN);
    let stage = StageRun::new("grpo")
        .path("template", super::model_support::TEMPLATE)
        .input_at("model", "model", ArtifactType::Model, &folder)
        .table("samples", "data", &questions(3));
    let message = stage.param("max-tokens", 8).fails();
    assert!(message.contains("step 1") && message.contains("seed 7"), "{message}");
    // A rate that blows the weights up: the first step learns, the second has nothing left to work with.
    let message = grpo(6).param("lr", 1e38).param("steps", 4).fails();
    assert!(message.contains("step 2") && message.contains("seed 7"), "{message}");
}

/// If these digests change, bump `revision` in stages/grpo/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = grpo(4).param("steps", 3).param("inner-steps", 2).param("kl-beta", 0.05).run().unwrap();
    insta::assert_snapshot!(outcome.folder_digest("model"), @"36d9de8cdb9ff756ea459a530955a6406110aaf66fc9d2828f9780bd30ed0527");
    insta::assert_snapshot!(Digest::of(&outcome.bytes("metrics")), @"5510c43e9295c1983036084a18fadbbbda67c3121430d9a55069e3ad41a9932d");
    insta::assert_snapshot!(Digest::of(&outcome.bytes("rollouts")), @"dc3ea2a4c187f6257747d1a7ccc0419d75f4f09048833352b6bb68ae7ff371ce");
}
