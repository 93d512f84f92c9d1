//! `store-dtype` and `moments`: weights on disk and AdamW's moments in bf16.

use half::bf16;
use serde_json::Value;
use toolexpander::{lm::LanguageModel, table::MetricRow};

use super::{
    harness::{Outcome, StageRun},
    model_support::{init, questions, sft, trained, with_model},
};

fn reinforced(steps: i64) -> StageRun {
    let graded = "graded = 1.0\nformat = 0\ncorrectness = 0\nbonus = 0".parse::<toml::Table>().unwrap();
    with_model("grpo", trained())
        .table("samples", "data", &questions(12))
        .param("max-tokens", 16)
        .param("rewards", graded)
        .param("lr", 5e-3)
        .param("steps", steps)
}

fn tuned(steps: i64) -> StageRun {
    sft(trained(), 30).param("steps", steps).param("answer-style", "json").param("lr", 5e-3)
}

fn model(outcome: &Outcome) -> LanguageModel {
    LanguageModel::load(outcome.path("model")).unwrap()
}

fn bytes(outcome: &Outcome) -> (String, Vec<u8>) {
    (outcome.folder_digest("model").to_string(), outcome.bytes("metrics"))
}

#[test]
fn weights_in_bf16_are_the_nearest_to_those_in_f32() {
    for stage in [init, || StageRun::new("import-model").path("source", trained()), || tuned(2), || reinforced(1)] {
        let (full, half) = (stage().run().unwrap(), stage().param("store-dtype", "bf16").run().unwrap());
        let (exact, rounded) = (model(&full), model(&half));
        assert_eq!((&exact.config, exact.tokenizer.eos.clone()), (&rounded.config, rounded.tokenizer.eos.clone()));
        for (exact, rounded) in exact.weights.parameters.iter().zip(&rounded.weights.parameters) {
            let nearest: Vec<f32> = exact.data.iter().map(|value| bf16::from_f32(*value).to_f32()).collect();
            assert!(nearest == rounded.data, "{}", exact.name);
        }
        let size = |outcome: &Outcome| fs_err::metadata(outcome.path("model").join("model.safetensors")).unwrap().len();
        let saved = size(&full) - size(&half);
        assert!(saved.abs_diff(2 * exact.weights.count() as u64) < 512, "but for the header: {saved}");
        let dtype = |outcome: &Outcome| {
            let text = fs_err::read_to_string(outcome.path("model").join("config.json")).unwrap();
            serde_json::from_str::<Value>(&text).unwrap()["torch_dtype"].as_str().unwrap().to_owned()
        };
        assert_eq!((dtype(&full), dtype(&half)), ("float32".to_owned(), "bfloat16".to_owned()));
        // What is said is what happens without saying it.
        let said = stage().param("store-dtype", "f32").run().unwrap();
        assert_eq!(full.folder_digest("model"), said.folder_digest("model"));
    }
    let message = tuned(1).param("store-dtype", "f16").fails();
    assert!(message.contains("parameter `store-dtype`") && message.contains("`f32` or `bf16`"), "{message}");
}

#[test]
fn training_with_bf16_moments_follows_that_with_f32() {
    for (stage, tolerance) in [((|| tuned(40)) as fn() -> StageRun, 0.05), (|| reinforced(6), 0.3)] {
        let (full, half) = (stage().run().unwrap(), stage().param("moments", "bf16").run().unwrap());
        assert_ne!(full.folder_digest("model"), half.folder_digest("model"));
        let said = stage().param("moments", "f32").run().unwrap();
        assert!(bytes(&full) == bytes(&said));
        let rows = |outcome: &Outcome| outcome.table::<MetricRow>("metrics");
        let (full, half) = (rows(&full), rows(&half));
        // The first loss and gradient come before any moment.
        assert_eq!((full[0].loss, full[0].grad_norm), (half[0].loss, half[0].grad_norm));
        for (full, half) in full.iter().zip(&half) {
            assert!((full.loss - half.loss).abs() < tolerance, "step {}: {} and {}", full.step, full.loss, half.loss);
        }
    }
}

#[test]
fn threads_and_kills_do_not_change_a_bit() {
    let halved = |stage: StageRun| stage.param("moments", "bf16");
    for (short, long, steps) in [
        ((|| tuned(6)) as fn() -> StageRun, (|| tuned(60).param("batch-size", 30)) as fn() -> StageRun, 50),
        (|| reinforced(3), || reinforced(40).param("prompts-per-step", 12).param("inner-steps", 2), 35),
    ] {
        assert!(bytes(&halved(short()).run().unwrap()) == bytes(&halved(short()).threads(1).run().unwrap()));
        let whole = halved(long()).run().unwrap();
        let resumed = halved(long()).killed_after(steps).run().unwrap();
        assert!(resumed.log().contains("going on after step"), "no checkpoint was used: {}", resumed.log());
        assert!(bytes(&whole) == bytes(&resumed));
    }
}

#[test]
fn a_refusal_counts_them_and_names_them() {
    let message = tuned(1).memory_gb(1e-4).fails();
    assert!(!message.contains("moments"), "nothing fits: {message}");
    // Between what the training takes with f32 and with bf16.
    let count = 4 * LanguageModel::load(trained()).unwrap().weights.count() as u64;
    // The least memory that is not refused, to a kilobyte.
    let least = |stage: fn() -> StageRun| {
        let (mut refused, mut fits) = (1e-4, 0.05);
        while fits - refused > 1e-6 {
            let middle = f64::midpoint(refused, fits);
            let is_refused = stage().memory_gb(middle).run().is_err();
            *(if is_refused { &mut refused } else { &mut fits }) = middle;
        }
        fits
    };
    let (full, half) = (least(|| tuned(1)), least(|| tuned(1).param("moments", "bf16")));
    assert!(((full - half) * 1e9 - count as f64).abs() <= 2e3, "{full} {half} {count}");
    let message = tuned(1).memory_gb(half).fails();
    assert!(message.contains("keep AdamW's moments in half the room (`moments = \"bf16\"`)"), "{message}");
}

/// If this digest changes, bump `revision` in stages/{sft,grpo}/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let outcome = tuned(5).param("moments", "bf16").param("store-dtype", "bf16").run().unwrap();
    insta::assert_snapshot!(outcome.folder_digest("model"), @"637f2c28eb0a56cdd004bcba12d65cb6a8cb36cfe3a317fc26d457429f17afe8");
}
