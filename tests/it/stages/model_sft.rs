//! `sft`: the loss falls; threads and kills change no bit; what breaks is named.

use toolexpander::{lm::LanguageModel, table::MetricRow};

use super::{
    harness::{Outcome, StageRun},
    model_support::{demonstrated, init, questions, sft, with_model},
};

fn bytes(outcome: &Outcome) -> (String, Vec<u8>) {
    (outcome.folder_digest("model").to_string(), outcome.bytes("metrics"))
}

#[test]
fn the_loss_falls_and_the_rates_follow_the_schedule() {
    let random = init().run().unwrap();
    let outcome = sft(random.path("model"), 12)
        .param("steps", 40)
        .param("warm-up", 2)
        .param("schedule", "exponential")
        .param("step-decay", 0.99)
        .run()
        .unwrap();
    let metrics: Vec<MetricRow> = outcome.table("metrics");
    assert_eq!(metrics.iter().map(|row| row.step).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert!(metrics[39].loss < 0.5 * metrics[0].loss, "{} to {}", metrics[0].loss, metrics[39].loss);
    assert!((metrics[0].lr - 5e-3).abs() < 1e-12 && (metrics[1].lr - 1e-2).abs() < 1e-12);
    assert!((metrics[39].lr - 1e-2 * 0.99f64.powi(37)).abs() < 1e-12);
    assert!(metrics.iter().all(|row| row.tokens > 0 && row.reward_mean.is_nan() && row.grad_norm > 0.0));
    // A random model spreads its probability evenly: about ln(vocabulary) a token.
    let vocabulary = LanguageModel::load(random.path("model")).unwrap().config.vocab_size as f32;
    assert!((metrics[0].loss - vocabulary.ln()).abs() < 0.1, "{}", metrics[0].loss);
}

#[test]
fn threads_do_not_change_a_bit() {
    let random = init().run().unwrap();
    let run = |threads| bytes(&sft(random.path("model"), 12).param("steps", 6).threads(threads).run().unwrap());
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}

#[test]
fn a_killed_training_goes_on_to_the_same_bits() {
    let random = init().run().unwrap();
    let long = || sft(random.path("model"), 30).param("steps", 60).param("batch-size", 30);
    let whole = long().run().unwrap();
    let resumed = long().killed_after(50).run().unwrap();
    assert!(resumed.log().contains("going on after step"), "no checkpoint was used: {}", resumed.log());
    assert!(bytes(&whole) == bytes(&resumed));
}

#[test]
fn epochs_see_every_sample_and_demonstrations_are_shown() {
    let random = init().run().unwrap();
    let run = |samples: &[_]| {
        let stage = with_model("sft", random.path("model")).table("samples", "data", samples);
        stage.param("epochs", 2).param("batch-size", 4).run().unwrap()
    };
    let plain = run(&questions(6));
    assert_eq!(plain.table::<MetricRow>("metrics").len(), 3);
    // The answers are the same, so are the tokens trained on; what is read before them is not.
    let shown = run(&demonstrated(&questions(6)));
    let tokens = |outcome: &Outcome| -> Vec<i64> {
        outcome.table::<MetricRow>("metrics").iter().map(|row| row.tokens).collect()
    };
    assert_eq!(tokens(&plain), tokens(&shown));
    assert_ne!(plain.folder_digest("model"), shown.folder_digest("model"));
    let dropped = with_model("sft", random.path("model"))
        .table("samples", "data", &demonstrated(&questions(6)))
        .param("demonstrations", false);
    let dropped = dropped.param("epochs", 2).param("batch-size", 4).run().unwrap();
    assert_eq!(plain.folder_digest("model"), dropped.folder_digest("model"));
}

#[test]
fn a_training_that_breaks_down_names_step_and_seed() {
    let random = init().run().unwrap();
    let message =
        sft(random.path("model"), 12).param("steps", 5).param("lr", 1e38).param("schedule", "constant").fails();
    assert!(message.contains("seed 7") && message.contains("optimiser step 2"), "{message}");
    assert!(message.contains("lower `lr`"), "{message}");
}

#[test]
fn long_prompts_are_an_error_or_skipped_and_counted() {
    let random = init().run().unwrap();
    let mut rows = questions(4);
    rows[2].messages = serde_json::json!([{ "role": "user", "content": "open ".repeat(200) }]).to_string();
    let run = || -> StageRun { with_model("sft", random.path("model")).table("samples", "data", &rows) };
    let message = run().fails();
    assert!(message.contains("sample `q2`") && message.contains("the model holds 128"), "{message}");
    let outcome = run().param("long-prompts", "skip").run().unwrap();
    assert!(outcome.log().contains("1 of 4 samples are left out"), "{}", outcome.log());
    let message = sft(random.path("model"), 0).fails();
    assert!(message.contains("input `samples`"), "{message}");
}

/// If these digests change, bump `revision` in stages/sft/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let random = init().run().unwrap();
    let outcome = sft(random.path("model"), 12).param("steps", 5).run().unwrap();
    insta::assert_snapshot!(outcome.folder_digest("model"), @"926b8de01a75436e573ccb830e2bfab7c937aa43251b1e9da89bf20fc8bab3cf");
    insta::assert_snapshot!(toolexpander::base::Digest::of(&outcome.bytes("metrics")), @"55869825e5fc73f056442cbb3f3b2c291b92fe63fbead4f3e4e4d052447f1f9e");
}
