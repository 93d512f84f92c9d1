//! The parameter `device`: training and sampling with the engine in candle tensors, near the native one; on the processor,
//! and on a GPU where the program is built for CUDA.

use toolexpander::{
    lm::LanguageModel,
    table::{MetricRow, RolloutRow, ScoreRow},
};

use super::{
    harness::{Outcome, StageRun},
    model_support::{questions, sft, trained, with_model},
};

const DEVICES: &[&str] = if cfg!(feature = "cuda") { &["candle-cpu", "cuda"] } else { &["candle-cpu"] };

fn reinforced() -> StageRun {
    let graded = "graded = 1.0\nformat = 0\ncorrectness = 0\nbonus = 0".parse::<toml::Table>().unwrap();
    with_model("grpo", trained())
        .table("samples", "data", &questions(8))
        .param("max-tokens", 16)
        .param("rewards", graded)
        .param("lr", 1e-3)
        .param("steps", 2)
}

fn metrics(outcome: &Outcome) -> Vec<MetricRow> {
    outcome.table("metrics")
}

fn weights(outcome: &Outcome) -> Vec<f32> {
    let model = LanguageModel::load(outcome.path("model")).unwrap();
    model.weights.parameters.into_iter().flat_map(|parameter| parameter.data).collect()
}

/// Asserts that training moved the weights the same way.
fn same_way(found: &Outcome, expected: &Outcome) {
    let before = LanguageModel::load(trained()).unwrap();
    let before: Vec<f32> = before.weights.parameters.into_iter().flat_map(|parameter| parameter.data).collect();
    let way = |outcome: &Outcome| -> Vec<f64> {
        weights(outcome).iter().zip(&before).map(|(after, before)| f64::from(after - before)).collect()
    };
    let (found, expected) = (way(found), way(expected));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(&found, &expected) / (dot(&found, &found) * dot(&expected, &expected)).sqrt();
    assert!(cosine > 0.999, "the cosine of the ways is {cosine}");
}

fn near(found: &[MetricRow], expected: &[MetricRow]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let numbers = |row: &MetricRow| [row.loss, row.kl, row.entropy, row.grad_norm, row.clip_low, row.clip_high];
        for (found, expected) in numbers(found).into_iter().zip(numbers(expected)) {
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(0.1), "{found} instead of {expected}");
        }
        assert_eq!((found.tokens, found.live_groups, found.lr), (expected.tokens, expected.live_groups, expected.lr));
    }
}

#[test]
fn grpo_gives_the_native_engines_metrics() {
    for kl_beta in [0.0, 0.05] {
        let native = reinforced().param("kl-beta", kl_beta).run().unwrap();
        assert_eq!(native.fact("device"), None);
        for device in DEVICES {
            let outcome = reinforced().param("kl-beta", kl_beta).param("device", *device).run().unwrap();
            assert_eq!(outcome.fact("device"), Some(*device));
            near(&metrics(&outcome), &metrics(&native));
            let texts = |outcome: &Outcome| -> Vec<(String, f32)> {
                let rows: Vec<RolloutRow> = outcome.table("rollouts");
                rows.into_iter().map(|row| (row.completion, row.reward)).collect()
            };
            assert_eq!(texts(&outcome), texts(&native));
            same_way(&outcome, &native);
        }
    }
}

#[test]
fn sft_goes_on_after_a_kill_and_learns_through_an_adapter() {
    let long = || sft(trained(), 30).param("steps", 60).param("batch-size", 30).param("answer-style", "json");
    let lora = || sft(trained(), 12).param("steps", 3).param("lora", "rank = 4".parse::<toml::Table>().unwrap());
    for device in DEVICES {
        let whole = long().param("device", *device).run().unwrap();
        let resumed = long().param("device", *device).killed_after(50).run().unwrap();
        assert!(resumed.log().contains("going on after step"), "no checkpoint was used: {}", resumed.log());
        same_way(&whole, &resumed);
        near(&metrics(&long().run().unwrap())[..1], &metrics(&whole)[..1]);
        let [found, expected] = [lora().param("device", *device), lora()].map(|stage| stage.run().unwrap());
        near(&metrics(&found), &metrics(&expected));
        same_way(&found, &expected);
    }
}

#[test]
fn rollout_and_evaluate_give_the_native_engines_answers() {
    let stage =
        |kind: &str| with_model(kind, trained()).table("samples", "data", &questions(9)).param("max-tokens", 16);
    for device in DEVICES {
        let run = |kind: &str| [stage(kind), stage(kind).param("device", *device)].map(|stage| stage.run().unwrap());
        let [expected, found] = run("rollout").map(|outcome| outcome.table::<RolloutRow>("rollouts"));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found.log_prob - expected.log_prob).abs() < 1e-3, "{found:?} instead of {expected:?}");
            assert_eq!(RolloutRow { log_prob: expected.log_prob, ..found.clone() }, *expected);
        }
        let [expected, found] = run("evaluate").map(|outcome| outcome.table::<ScoreRow>("scores"));
        assert_eq!(found, expected);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (stage, expected) in [
        (reinforced().param("device", "candle-cpu").param("moments", "bf16"), "a device keeps moments in f32"),
        (reinforced().param("device", "tpu"), "expected one of `cpu`, `candle-cpu`, `cuda`"),
        (
            reinforced().param("device", "candle-cpu").param("engine", "trl"),
            "TRL computes where `launch` puts it: leave `device` out",
        ),
        (
            with_model("rollout", trained())
                .table("samples", "data", &questions(2))
                .param("device", "candle-cpu")
                .param("backend", "openai = \"http://127.0.0.1:9\"".parse::<toml::Table>().unwrap()),
            "a server computes where it runs",
        ),
    ] {
        let message = stage.fails();
        assert!(message.contains(expected), "{message}");
    }
    #[cfg(not(feature = "cuda"))]
    for stage in [reinforced(), with_model("evaluate", trained()).table("samples", "data", &questions(2))] {
        let message = stage.param("device", "cuda").fails();
        let expected = "built without CUDA; build it with `cargo build --release --features cuda`";
        assert!(message.contains("parameter `device`") && message.contains(expected), "{message}");
    }
}
