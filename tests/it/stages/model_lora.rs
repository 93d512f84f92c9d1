//! `sft` and `grpo` with `lora`: only the adapted maps change, threads and kills change no bit, what is wrong is named.

use std::fs;

use candle_core::{Device, Tensor};
use serde_json::Value;
use toolexpander::{lm::LanguageModel, table::MetricRow};

use super::{
    harness::{Outcome, StageRun},
    model_support::{questions, sft, trained, with_model},
};

fn lora(stage: StageRun, text: &str) -> StageRun {
    stage.param("lora", text.parse::<toml::Table>().unwrap())
}

const ALL: &str = r#"rank = 4
alpha = 8
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]"#;

fn tuned(steps: i64) -> StageRun {
    // Answers of another form than the model has learnt.
    lora(sft(trained(), 30), ALL).param("steps", steps).param("lr", 5e-3).param("answer-style", "json")
}

fn reinforced(steps: i64) -> StageRun {
    let graded = "graded = 1.0\nformat = 0\ncorrectness = 0\nbonus = 0".parse::<toml::Table>().unwrap();
    let stage = with_model("grpo", trained())
        .table("samples", "data", &questions(12))
        .param("max-tokens", 16)
        .param("rewards", graded)
        .param("lr", 5e-3)
        .param("steps", steps);
    lora(stage, ALL)
}

fn model(outcome: &Outcome) -> LanguageModel {
    LanguageModel::load(outcome.path("model")).unwrap()
}

/// The names of the weights that differ from those of the model that came in.
fn changed(outcome: &Outcome) -> Vec<String> {
    let (before, after) = (LanguageModel::load(trained()).unwrap(), model(outcome));
    let pairs = before.weights.parameters.iter().zip(&after.weights.parameters);
    pairs.filter(|(before, after)| before.data != after.data).map(|(before, _)| before.name.clone()).collect()
}

#[test]
fn sft_moves_the_targets_only_and_the_loss_falls() {
    let outcome = tuned(60).run().unwrap();
    let metrics: Vec<MetricRow> = outcome.table("metrics");
    let mean = |rows: &[MetricRow]| rows.iter().map(|row| row.loss).sum::<f32>() / rows.len() as f32;
    let (first, last) = (mean(&metrics[..10]), mean(&metrics[50..]));
    assert!(last < 0.8 * first, "{first} to {last}");
    assert!(metrics.iter().all(|row| row.grad_norm > 0.0));
    let names = changed(&outcome);
    assert_eq!(names.len(), 14, "{names:?}");
    assert!(names.iter().all(|name| name.ends_with("_proj.weight")), "{names:?}");

    // What is not given is PEFT's choice.
    let outcome = lora(sft(trained(), 30), "rank = 2").param("steps", 2).run().unwrap();
    let expected =
        [0, 1].map(|layer| ["q", "v"].map(|map| format!("model.layers.{layer}.self_attn.{map}_proj.weight")));
    assert_eq!(changed(&outcome), expected.concat());
}

#[test]
fn grpo_learns_through_an_adapter_with_the_base_as_reference() {
    let outcome = reinforced(6).param("inner-steps", 2).param("kl-beta", 0.05).run().unwrap();
    let rows: Vec<MetricRow> = outcome.table("metrics");
    // The adapter begins as nothing: the policy is the reference until the first update.
    assert_eq!((rows[0].kl, rows[0].clip_low, rows[0].clip_high), (0.0, 0.0, 0.0));
    assert!(rows[11].kl > 0.0);
    // The sampler adapts as the trainer does: the ratio of every first update is 1 exactly.
    assert!(rows.iter().step_by(2).all(|row| (row.clip_low, row.clip_high) == (0.0, 0.0)), "{rows:#?}");
    assert_eq!(changed(&outcome).len(), 14);
}

#[test]
fn threads_and_kills_do_not_change_a_bit() {
    let bytes = |outcome: &Outcome| (outcome.folder_digest("model").to_string(), outcome.bytes("metrics"));
    assert!(bytes(&tuned(6).threads(1).run().unwrap()) == bytes(&tuned(6).run().unwrap()));
    assert!(bytes(&reinforced(3).threads(1).run().unwrap()) == bytes(&reinforced(3).run().unwrap()));

    for (long, steps) in [
        ((|| tuned(60).param("batch-size", 30)) as fn() -> StageRun, 50),
        (|| reinforced(40).param("prompts-per-step", 12).param("inner-steps", 2), 35),
    ] {
        let whole = long().run().unwrap();
        let resumed = long().killed_after(steps).run().unwrap();
        assert!(resumed.log().contains("going on after step"), "no checkpoint was used: {}", resumed.log());
        assert!(bytes(&whole) == bytes(&resumed));
        assert_eq!(whole.folder_digest("adapter"), resumed.folder_digest("adapter"));
    }
}

/// `W + (alpha / rank) B A` with the numbers of the output `adapter` is the output `model`.
#[test]
fn the_adapter_read_back_and_merged_is_the_model() {
    assert!(!sft(trained(), 30).param("steps", 1).run().unwrap().has("adapter"));
    for outcome in [tuned(3).run().unwrap(), reinforced(2).run().unwrap()] {
        let folder = outcome.path("adapter");
        let config: Value =
            serde_json::from_slice(&fs::read(folder.join("adapter_config.json")).unwrap()).expect("the config is JSON");
        let scale = config["lora_alpha"].as_f64().unwrap() / config["r"].as_f64().unwrap();
        let tensors = candle_core::safetensors::load(folder.join("adapter_model.safetensors"), &Device::Cpu).unwrap();
        let (base, merged) = (LanguageModel::load(trained()).unwrap(), model(&outcome));
        let mut seen = 0;
        for (base, merged) in base.weights.parameters.iter().zip(&merged.weights.parameters) {
            let path = format!("base_model.model.{}", base.name.strip_suffix(".weight").unwrap());
            let Some(a) = tensors.get(&format!("{path}.lora_A.weight")) else { continue };
            let b = &tensors[&format!("{path}.lora_B.weight")];
            let weight = Tensor::from_slice(&base.data, base.shape.as_slice(), &Device::Cpu).unwrap();
            let product = b.matmul(a).unwrap().affine(scale, 0.0).unwrap();
            assert!(
                product.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap() > 1e-3,
                "{path} learnt nothing"
            );
            let expected = (weight + product).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let apart = expected.iter().zip(&merged.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-6, "{path}: {apart}");
            seen += 1;
        }
        assert_eq!((seen, tensors.len()), (14, 28));
    }
}

#[test]
fn a_wrong_adapter_is_refused_with_what_is_known() {
    for (text, expected) in [
        ("rnak = 8", "unknown field `rnak`, expected one of `rank`, `alpha`, `targets`"),
        (r#"targets = ["wq"]"#, "unknown variant `wq`, expected one of `q_proj`, `k_proj`, `v_proj`, `o_proj`"),
        ("rank = 0", "`rank` is 0; give 1 or more"),
        ("alpha = -1.0", "`alpha` is -1"),
        ("targets = []", "give some of q_proj"),
    ] {
        for stage in [sft(trained(), 4), with_model("grpo", trained()).table("samples", "data", &questions(4))] {
            let message = lora(stage, text).fails();
            assert!(message.contains("parameter `lora`") && message.contains(expected), "{message}");
        }
    }
}

/// If these digests change, bump `revision` in stages/{sft,grpo}/stage.toml.
#[test]
fn output_bytes_are_golden() {
    let tuned = tuned(5).run().unwrap();
    let reinforced = reinforced(2).param("inner-steps", 2).param("kl-beta", 0.05).run().unwrap();
    let digests = [tuned.folder_digest("model"), tuned.folder_digest("adapter"), reinforced.folder_digest("model")];
    assert_eq!(
        digests.map(|digest| digest.to_string()),
        [
            "a24abc09151adae460c35599fe003e61749549a70a5b770bd50dba77ec779ad4",
            "5d3e6fc4fdd0166733d89e7578ac75399185da2f85eeb6d37d7fd7efd2939b30",
            "7592697e4fc3e0eb3eeb90d3c6553296ceab6f91dbb7819b911696019c042095",
        ]
    );
}
