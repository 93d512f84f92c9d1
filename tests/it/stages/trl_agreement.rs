//! Both engines of `grpo` on the same completions, with the real TRL: losses, gradients and weights agree.
//!
//! `TRL_PYTHON=/path/to/venv/bin/python cargo test --release trl_agreement -- --ignored --nocapture`, where that Python has
//! `pip install trl==1.16.0 peft`. `TRL_CASE=KL` takes only the cases with that in their name.
//!
//! The native engine trains first. Its completions, as tokens, are given to the TRL engine in place of sampling
//! (`tests/fixtures/trl/replay.py`), and everything else is that engine's own. The model's tokens are bytes, so that the text
//! in the table of rollouts says exactly which tokens were drawn.

use std::{collections::BTreeMap, fs, sync::OnceLock};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use toolexpander::{
    base::ArtifactType,
    lm::LanguageModel,
    table::{MetricRow, RolloutRow},
};

use super::{
    harness::{Outcome, StageRun},
    model_support::{TEMPLATE, init, questions},
};

const REPLAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/trl/replay.py");
const GROUP: usize = 4;

fn python() -> String {
    std::env::var("TRL_PYTHON").expect("TRL_PYTHON is a Python with TRL")
}

/// A tiny model whose tokens are bytes, which writes calls of which some are right.
fn model() -> &'static Utf8Path {
    static MODEL: OnceLock<Outcome> = OnceLock::new();
    let trained = MODEL.get_or_init(|| {
        let random = init()
            .param("vocab", 259)
            .param("extra-tokens", toml::Value::Array(Vec::new()))
            .param("context", 512)
            .run()
            .unwrap();
        let sft = StageRun::new("sft").path("template", TEMPLATE);
        let sft = sft.input_at("model", "model", ArtifactType::Model, random.path("model"));
        sft.table("samples", "data", &questions(12)).param("lr", 1e-2).param("steps", 300).run().unwrap()
    });
    trained.path("model")
}

fn grpo(case: &toml::Table) -> StageRun {
    let graded = toml::Table::from_iter(
        [("graded", 1.0), ("format", 0.0), ("correctness", 0.0), ("bonus", 0.0)]
            .map(|(name, it)| (name.to_owned(), it.into())),
    );
    let mut stage = StageRun::new("grpo")
        .path("template", TEMPLATE)
        .input_at("model", "model", ArtifactType::Model, model())
        .table("samples", "data", &questions(12))
        .param("rewards", graded)
        .param("max-tokens", 24)
        .param("steps", 8)
        .param("prompts-per-step", 4)
        .param("group-size", i64::try_from(GROUP).unwrap())
        // Rare tokens out of the way: bytes that are no text, special tokens. Log-probabilities are those of all tokens.
        .param("top-k", 8)
        .param("lr", 1e-3);
    for (name, value) in case {
        stage = stage.param(name, value.clone());
    }
    stage
}

fn with_trl(stage: StageRun, launch: &[&str], args: serde_json::Value) -> StageRun {
    let trl = json!({ "launch": launch, "args": args });
    stage.param("engine", "trl").param("trl", toml::Table::try_from(trl).unwrap())
}

/// Writes the completions of a native run as the tokens that they are.
fn completions(rows: &[RolloutRow]) -> (tempfile::TempDir, Utf8PathBuf) {
    let tokenizer = LanguageModel::load(model()).unwrap().tokenizer;
    let end = tokenizer.token_id("<|im_end|>").unwrap();
    let tokens = |row: &RolloutRow| {
        let mut tokens = tokenizer.encode(&row.completion, false).unwrap();
        if row.finish == "stop" {
            tokens.push(end);
        }
        assert_eq!(tokens.len(), usize::try_from(row.completion_tokens).unwrap(), "not bytes: {row:?}");
        tokens
    };
    let lines: Vec<String> = rows
        .chunks(GROUP)
        .map(|group| serde_json::to_string(&group.iter().map(tokens).collect::<Vec<_>>()).unwrap())
        .collect();
    let keep = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(keep.path().join("completions.jsonl")).unwrap();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    (keep, path)
}

fn weights(folder: &Utf8Path) -> Vec<f32> {
    let parameters = LanguageModel::load(folder).unwrap().weights.parameters;
    parameters.into_iter().flat_map(|parameter| parameter.data).collect()
}

/// How far two trained models are from one another: the largest difference of a weight, and the norm of all differences
/// against the norm of what the training has changed.
fn distance(native: &Outcome, trl: &Outcome) -> (f64, f64) {
    let (before, native, trl) = (weights(model()), weights(native.path("model")), weights(trl.path("model")));
    let (mut most, mut apart, mut moved) = (0.0_f64, 0.0, 0.0);
    for ((before, native), trl) in before.iter().zip(&native).zip(&trl) {
        let difference = f64::from(native - trl);
        most = most.max(difference.abs());
        apart += difference * difference;
        moved += f64::from(native - before).powi(2);
    }
    (most, (apart / moved).sqrt())
}

/// Name, parameters, completions at once, processes.
fn cases() -> Vec<(&'static str, toml::Table, i64, usize)> {
    let table = |value: serde_json::Value| toml::Table::try_from(value).unwrap();
    vec![
        ("dapo", table(json!({ "weight-decay": 0.1, "warm-up": 2, "round": 2 })), 16, 1),
        (
            "dapo in parts, decaying",
            table(json!({ "step-decay": 0.9, "temperature": 0.8, "max-grad-norm": 0.5 })),
            4,
            1,
        ),
        (
            "grpo, clipped, KL",
            table(
                json!({ "loss-type": "grpo", "inner-steps": 3, "kl-beta": 0.05, "clip-low": 0.01, "clip-high": 0.02 }),
            ),
            8,
            1,
        ),
        ("dapo, two processes", table(json!({ "weight-decay": 0.1, "inner-steps": 2 })), 4, 2),
        (
            "dr_grpo, unscaled",
            table(json!({ "loss-type": "dr_grpo", "scale-rewards": "none", "inner-steps": 2 })),
            16,
            1,
        ),
        (
            "sequence ratios",
            table(
                json!({ "ratio-level": "sequence", "inner-steps": 2, "clip-low": 3e-3, "clip-high": 4e-3, "scale-rewards": "batch" }),
            ),
            16,
            1,
        ),
        ("cispo", table(json!({ "loss-type": "cispo", "inner-steps": 2, "clip-high": 1.01 })), 8, 1),
        ("vespo", table(json!({ "loss-type": "vespo", "inner-steps": 2 })), 8, 1),
        ("sapo", table(json!({ "loss-type": "sapo", "inner-steps": 2 })), 8, 1),
    ]
}

/// Largest differences of the columns of both metrics; of values above 1, relative.
fn differences(native: &[MetricRow], trl: &[MetricRow]) -> BTreeMap<&'static str, f64> {
    let mut most = BTreeMap::new();
    assert_eq!(native.len(), trl.len());
    for (native, trl) in native.iter().zip(trl) {
        assert_eq!((native.step, native.live_groups, native.dead_groups), (trl.step, trl.live_groups, trl.dead_groups));
        assert_eq!(
            (native.tokens, native.reward_mean, native.reward_std),
            (trl.tokens, trl.reward_mean, trl.reward_std)
        );
        assert_eq!((native.round, native.correct_rate), (trl.round, trl.correct_rate));
        for (name, native, trl) in [
            ("loss", native.loss, trl.loss),
            ("kl", native.kl, trl.kl),
            ("entropy", native.entropy, trl.entropy),
            ("clip_low", native.clip_low, trl.clip_low),
            ("clip_high", native.clip_high, trl.clip_high),
            (
                "grad_norm, relative",
                native.grad_norm / trl.grad_norm.max(1e-9),
                trl.grad_norm / trl.grad_norm.max(1e-9),
            ),
        ] {
            let difference = f64::from((native - trl).abs() / trl.abs().max(1.0));
            let place: &mut f64 = most.entry(name).or_default();
            *place = place.max(difference);
        }
        assert!((native.lr - trl.lr).abs() < 1e-12 * native.lr.max(1e-9), "{} {}", native.lr, trl.lr);
    }
    most
}

#[test]
#[ignore = "needs Python with TRL: see above"]
fn the_same_completions_give_the_same_losses_and_weights() {
    let python = python();
    let wanted = std::env::var("TRL_CASE").unwrap_or_default();
    for (name, case, at_once, processes) in cases().into_iter().filter(|(name, ..)| name.contains(&wanted)) {
        let native = grpo(&case).run().unwrap();
        let rows: Vec<RolloutRow> = native.table("rollouts");
        let (_keep, path) = completions(&rows);
        let processes = processes.to_string();
        let mut launch = vec![python.as_str()];
        if processes != "1" {
            launch.extend(["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", &processes]);
        }
        launch.extend([REPLAY, path.as_str()]);
        let stage = with_trl(grpo(&case), &launch, json!({ "per_device_train_batch_size": at_once }));
        let trl = stage.run_as_process().unwrap();
        assert_eq!(trl.fact("trl-processes"), Some(processes.as_str()));
        let replayed: Vec<RolloutRow> = trl.table("rollouts");
        let mut log_prob = 0.0_f32;
        for (row, replayed) in rows.iter().zip(&replayed) {
            log_prob = log_prob.max((row.log_prob - replayed.log_prob).abs());
            assert_eq!(*row, RolloutRow { log_prob: row.log_prob, ..replayed.clone() }, "{name}");
        }
        let found = differences(&native.table::<MetricRow>("metrics"), &trl.table::<MetricRow>("metrics"));
        let (most, share) = distance(&native, &trl);
        println!("{name}: log_prob {log_prob:.1e}, weights {most:.1e}, {share:.1e} of the change; {found:?}");
        assert!(log_prob < 1e-3, "{name}: log-probabilities of completions differ by {log_prob}");
        for (column, limit) in [
            ("loss", 1e-5),
            ("kl", 1e-4),
            ("entropy", 1e-4),
            ("grad_norm, relative", 1e-3),
            ("clip_low", 1e-2),
            ("clip_high", 1e-2),
        ] {
            assert!(found[column] < limit, "{name}: {column} differs by {}", found[column]);
        }
        assert!(most < 2e-5 && share < 2e-4, "{name}: weights differ by {most}, {share} of the change");
    }
}

fn sampled(python: &str) -> StageRun {
    with_trl(grpo(&toml::Table::new()).param("steps", 40), &[python], json!({})).param("prompts-per-step", 2)
}

fn bytes(outcome: &Outcome) -> (String, Vec<u8>, Vec<u8>) {
    (outcome.folder_digest("model").to_string(), outcome.bytes("metrics"), outcome.bytes("rollouts"))
}

#[test]
#[ignore = "needs Python with TRL: see above"]
fn a_killed_training_goes_on_to_the_same_bits_on_one_cpu() {
    let python = python();
    let whole = sampled(&python).threads(1).run_as_process().unwrap();
    let rows: Vec<RolloutRow> = whole.table("rollouts");
    assert_eq!(rows.len(), 40 * 2 * GROUP);
    assert!(rows.iter().all(|row| row.completion_tokens > 0 && row.log_prob < 0.0));
    assert!(rows.iter().any(|row| row.finish == "stop"));
    for fact in ["trl-version", "trl-torch-version", "trl-transformers-version", "trl-python-version"] {
        assert!(whole.fact(fact).is_some_and(|version| version.contains('.')), "{fact}");
    }
    let stage = sampled(&python).threads(1);
    let events = stage.scratch().join("trl/events.jsonl");
    let updates = || fs::read_to_string(&events).unwrap_or_default().matches("\"update\":").count();
    stage.killed_as_process(|| updates() >= 4);
    // The processes below it are dead, too: nobody tells anything any more.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let told = updates();
    assert!(told < 40, "it was done before it was killed");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(updates(), told);
    let resumed = stage.run_as_process().unwrap();
    assert!(resumed.log().contains("going on after update"), "{}", resumed.log());
    assert!(bytes(&whole) == bytes(&resumed));
}

#[test]
#[ignore = "needs Python with TRL: see above"]
fn adapters_and_other_references_are_trained_with() {
    let python = python();
    let run = |stage: StageRun| with_trl(stage.param("steps", 3), &[&python], json!({})).run_as_process().unwrap();
    let lora = toml::Table::try_from(json!({ "rank": 4, "targets": ["q_proj", "up_proj"] })).unwrap();
    let adapted = run(grpo(&toml::Table::new()).param("lora", lora).param("kl-beta", 0.1));
    let names = |model: &LanguageModel| -> Vec<(String, Vec<f32>)> {
        let parameters = &model.weights.parameters;
        parameters.iter().map(|parameter| (parameter.name.clone(), parameter.data.clone())).collect()
    };
    let (before, after) = (LanguageModel::load(model()).unwrap(), LanguageModel::load(adapted.path("model")).unwrap());
    for ((name, before), (_, after)) in names(&before).into_iter().zip(names(&after)) {
        assert_eq!(before != after, name.contains("q_proj") || name.contains("up_proj"), "{name}");
    }
    assert_eq!(adapted.table::<MetricRow>("metrics")[0].kl, 0.0);
    let settings = fs::read_to_string(adapted.path("adapter").join("adapter_config.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    assert_eq!((&settings["r"], &settings["base_model_name_or_path"]), (&json!(4), &json!(null)));
    assert_eq!(settings["target_modules"], json!(["q_proj", "up_proj"]));
    assert!(adapted.path("adapter").join("adapter_model.safetensors").is_file());
    // Against another model the divergence is there from the first step.
    let other = adapted.path("model");
    let stage = grpo(&toml::Table::new()).param("kl-beta", 0.1).param("recompute", true);
    let held = run(stage.input_at("reference", "reference", ArtifactType::Model, other));
    assert!(held.table::<MetricRow>("metrics")[0].kl > 0.0);
}

#[test]
#[ignore = "needs Python with TRL: see above"]
fn what_python_refuses_says_what_to_do() {
    let python = python();
    let fails = |launch: &[&str], args: serde_json::Value| {
        with_trl(grpo(&toml::Table::new()), launch, args).run_as_process().err().expect("it fails")
    };
    let message = fails(&[&python], json!({ "per_device_train_batch": 4 }));
    assert!(message.contains("did you mean `per_device_train_batch_size`?"), "{message}");
    let message = fails(&[&python], json!({ "per_device_train_batch_size": 5 }));
    assert!(message.contains("does not divide") && message.contains("1, 2, 4, 8, 16"), "{message}");
    let message = fails(&[&python], json!({ "fp16": true, "bf16": true }));
    assert!(message.contains("parameter `trl`: GRPOConfig does not take"), "{message}");
    let message = fails(&[&python, "-S"], json!({}));
    assert!(message.contains("pip install trl==1.16.0"), "{message}");
}
