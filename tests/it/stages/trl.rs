//! `grpo` with `engine = "trl"`, as far as no Python is needed: what is refused, what the script is told, what becomes of what it
//! tells, the scoring process. A shell script stands in for the launcher where one has to end badly.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use camino::Utf8Path;
use serde_json::{Value, json};
use toolexpander::{
    lm::LanguageModel,
    table::{MetricRow, RolloutRow},
};

use super::{
    harness::StageRun,
    model_support::{demonstrated, questions, trained, with_model},
};

const STEPS: usize = 3;

fn native() -> StageRun {
    let graded = toml::Table::from_iter([("graded".to_owned(), toml::Value::from(1.0))]);
    with_model("grpo", trained())
        .table("samples", "data", &demonstrated(&questions(5)))
        .param("max-tokens", 8)
        .param("steps", i64::try_from(STEPS).unwrap())
        .param("prompts-per-step", 2)
        .param("group-size", 3)
        .param("demonstration-keep-last", 0.0)
        .param("rewards", graded)
        .param("warm-up", 2)
}

fn trl(launch: &[&str]) -> StageRun {
    native()
        .param("engine", "trl")
        .param("trl", toml::Table::from_iter([("launch".to_owned(), toml::Value::from(launch.to_vec()))]))
}

/// A launcher whose whole work is a shell script: `$1` is the request, `$T` its folder.
fn shell(script: &str) -> StageRun {
    trl(&["/bin/sh", "-c", &format!("T=$(dirname \"$1\"); {script}")])
}

fn told(stage: &StageRun, name: &str) -> String {
    fs::read_to_string(stage.scratch().join("trl").join(name)).unwrap()
}

#[test]
fn what_trl_cannot_do_is_refused_by_name() {
    let args = |args: Value| toml::Table::try_from(json!({ "args": args })).unwrap();
    for (name, value, expected) in [
        (
            "stop",
            toml::Value::from(vec!["\n"]),
            "parameter `stop`: TRL ends completions at the model's end of turn only",
        ),
        ("group-size", 1.into(), "parameter `group-size`: TRL compares at least 2"),
        ("loss-type", "bnpo".into(), "over the whole step it is `dapo`"),
        ("moments", "bf16".into(), "parameter `moments`: TRL's optimiser decides"),
        ("rows-per-pass", 64.into(), "per_device_train_batch_size"),
        (
            "epochs",
            1.into(),
            "parameter `steps`: TRL takes whole steps only, and the last one would have 1 of 2 prompts",
        ),
        ("trl", args(json!({ "learning_rate": 1e-5 })).into(), "`learning_rate` is not for here, `lr` decides it"),
        (
            "trl",
            args(json!({ "per-device-batch": 1 })).into(),
            "`per-device-batch` is no argument of Python's GRPOConfig",
        ),
        ("trl", toml::Table::from_iter([("lunch".to_owned(), "x".into())]).into(), "unknown field `lunch`"),
        (
            "trl",
            toml::Table::from_iter([("launch".to_owned(), Vec::<String>::new().into())]).into(),
            "names no program",
        ),
    ] {
        let mut stage = trl(&["/bin/false"]).param(name, value);
        if name == "epochs" {
            stage = stage.without("steps");
        }
        let message = stage.fails();
        assert!(message.contains(expected), "{name}: {message}");
    }
    let message = trl(&["/bin/false"]).param("kl-beta", 0.1).param("kl-estimator", "k1").fails();
    assert!(message.contains("parameter `kl-estimator`") && message.contains("engine = \"native\""), "{message}");
    // Without a KL term the estimator does not matter; without the engine `trl` does not.
    native().param("trl", toml::Table::new()).param("steps", 1).run().unwrap();
}

#[test]
fn a_launcher_that_fails_is_told_with_its_last_words() {
    let message = trl(&["no-such-python"]).fails();
    assert!(
        message.contains("there is no program `no-such-python`") && message.contains("pip install trl=="),
        "{message}"
    );
    let message = shell("echo one; echo 'No module named x' >&2; exit 3").fails();
    assert!(message.contains("`/bin/sh` ended with exit status 3"), "{message}");
    assert!(message.contains("one\nNo module named x"), "{message}");
    let message = trl(&["/bin/true"]).fails();
    assert!(message.contains("ended without having trained"), "{message}");
    let message = shell("kill -9 $$").fails();
    assert!(message.contains("killed by signal 9") && message.contains("per_device_train_batch_size"), "{message}");
}

#[test]
fn errors_that_the_script_names_say_what_to_do() {
    for (code, expected) in [
        ("package", "parameter `trl`: why"),
        ("model", "input `model`: why; train it with `engine = \"native\"`"),
        ("memory", "take fewer completions at once"),
        ("number", "seed 7: the training broke down; lower `lr`"),
        ("other", "failed to train with TRL: why"),
    ] {
        // What another process says of it afterwards does not count.
        let lines = [
            json!({ "event": "error", "code": code, "message": "why" }).to_string(),
            json!({ "event": "error", "code": "other", "message": "connection closed" }).to_string(),
        ];
        let message =
            shell(&format!("echo '{}' >>$T/events.jsonl; echo '{}' >>$T/events.jsonl; exit 1", lines[0], lines[1]))
                .fails();
        assert!(message.contains(expected), "{code}: {message}");
    }
    let message = shell("echo '{\"event\":\"update\"}' >>$T/events.jsonl; sleep 60").fails();
    assert!(message.contains("line 1") && message.contains("is no event"), "{message}");
}

/// Runs `pipeline __score` on lines; returns what it wrote to standard output and standard error.
fn scores(scoring: &Utf8Path, lines: &str) -> (String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pipeline"))
        .args(["__score", scoring.as_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn completions_are_worth_what_the_native_engine_says() {
    let stage = trl(&["/bin/false"]);
    stage.fails_once();
    let scoring = stage.scratch().join("trl").join("score.json");
    let tokenizer = LanguageModel::load(trained()).unwrap().tokenizer;
    let rows: Vec<RolloutRow> = native().run().unwrap().table("rollouts");
    let completions: Vec<Value> = rows
        .iter()
        .map(|row| {
            let sample: usize = row.sample_id[1..].parse().unwrap();
            json!({ "sample": sample, "tokens": tokenizer.encode(&row.completion, false).unwrap() })
        })
        .collect();
    let (out, _) = scores(&scoring, &format!("{}\n", json!({ "step": 0, "completions": completions })));
    let answer: Value = serde_json::from_str(&out).unwrap();
    let rewards: Vec<f64> = answer["rewards"].as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
    assert_eq!(rewards.len(), rows.len());
    assert!(rows.iter().zip(&rewards).all(|(row, reward)| (f64::from(row.reward) - reward).abs() < 1e-6));
    assert!(rewards.iter().any(|reward| *reward != rewards[0]), "{rewards:?}");

    let wrong = json!({ "step": 0, "completions": [{ "sample": 99, "tokens": [] }] });
    let (out, error) = scores(&scoring, &format!("{}\n{wrong}\n", json!({ "step": 0, "completions": [] })));
    assert_eq!(out, "{\"rewards\":[]}\n");
    assert!(error.contains("line 2") && error.contains("no sample 99 among 5"), "{error}");
    let (_, error) = scores(&scoring, "__import__('os')\n");
    assert!(error.contains("line 1 does not ask for scores"), "{error}");
}

#[test]
fn the_script_is_told_the_order_and_the_rates_of_the_native_engine() {
    let outcome = native().run().unwrap();
    let (rows, metrics): (Vec<RolloutRow>, Vec<MetricRow>) = (outcome.table("rollouts"), outcome.table("metrics"));
    let stage = trl(&["/bin/false"]);
    stage.fails_once();
    let prompts: Vec<Value> =
        told(&stage, "prompts.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(prompts.len(), STEPS * 2);
    for (prompt, group) in prompts.iter().zip(rows.chunks(3)) {
        assert_eq!(format!("q{}", prompt["sample"]), group[0].sample_id);
        // With or without demonstrations, as they are taken away.
        assert_eq!(prompt["tokens"].as_array().unwrap().len(), usize::try_from(group[0].prompt_tokens).unwrap());
    }
    let request: Value = serde_json::from_str(&told(&stage, "request.json")).unwrap();
    let rates: Vec<f64> = request["rates"].as_array().unwrap().iter().map(|rate| rate.as_f64().unwrap()).collect();
    assert_eq!(rates, metrics.iter().map(|row| row.lr).collect::<Vec<_>>());
    assert_eq!(request["config"]["epsilon_high"], json!(0.28));
    assert_eq!((&request["std_floor"], &request["scale"]), (&json!(0.1), &json!("group")));
}

/// The lines that a script would write of a training whose completions are `rows`.
fn lines(rows: &[RolloutRow]) -> Vec<String> {
    let tokenizer = LanguageModel::load(trained()).unwrap().tokenizer;
    let update = |step: usize| {
        let rollouts: Vec<Value> = rows[step * 6..(step + 1) * 6]
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let mut tokens = tokenizer.encode(&row.completion, false).unwrap();
                if row.finish == "stop" {
                    tokens.push(tokenizer.token_id("<|im_end|>").unwrap());
                }
                json!({ "row": step * 2 + index / 3, "log_probs": vec![-0.5; tokens.len()], "tokens": tokens })
            })
            .collect();
        json!({
            "event": "update", "update": step + 1, "loss": 0.25, "kl": 0.0, "entropy": 1.5, "clip_low": 0.0, "clip_high": 0.0,
            "grad_norm": 2.0, "tokens": 7.0, "lr": 1e-4, "rollouts": rollouts
        })
    };
    (0..STEPS).map(|step| update(step).to_string()).collect()
}

fn begin(updates: usize) -> String {
    json!({ "event": "begin", "updates": updates, "facts": { "trl-version": "1.16.0", "device": "cpu" } }).to_string()
}

#[test]
fn a_killed_training_goes_on_and_leaves_the_native_tables() {
    let native: Vec<RolloutRow> = native().run().unwrap().table("rollouts");
    let lines = lines(&native);
    let stage = shell("cat $T/lines >>$T/events.jsonl; cp -r $T/trained $T/model; test ! -e $T/broken");
    let folder = stage.scratch().join("trl");
    fs::create_dir(&folder).unwrap();
    fs::create_dir(folder.join("trained")).unwrap();
    fs::copy(trained().join("model.safetensors"), folder.join("trained/model.safetensors")).unwrap();
    // The first attempt dies in the middle of a line, after two updates.
    fs::write(folder.join("broken"), "").unwrap();
    fs::write(folder.join("lines"), format!("{}\n{}\n{}\n{{\"event\":\"upd", begin(0), lines[0], lines[1])).unwrap();
    assert!(stage.fails_once().contains("exit status 1"));
    // The second has a checkpoint of the first update.
    fs::remove_file(folder.join("broken")).unwrap();
    fs::remove_dir_all(folder.join("model")).unwrap();
    let rest = [begin(1), lines[1].clone(), lines[2].clone(), json!({ "event": "done" }).to_string()];
    fs::write(folder.join("lines"), rest.join("\n") + "\n").unwrap();
    let outcome = stage.run().unwrap();
    let (rows, metrics): (Vec<RolloutRow>, Vec<MetricRow>) = (outcome.table("rollouts"), outcome.table("metrics"));
    assert_eq!(rows.len(), native.len());
    for (row, native) in rows.iter().zip(&native) {
        // The completions' log-probabilities are made up.
        assert_eq!(*row, RolloutRow { log_prob: row.log_prob, ..native.clone() });
        assert!((row.log_prob + 0.5 * row.completion_tokens as f32).abs() < 1e-5);
    }
    assert_eq!(metrics.iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(metrics.iter().all(|row| (row.loss, row.entropy, row.tokens) == (0.25, 1.5, 7)));
    assert!(outcome.log().contains("going on after update 1"));
    assert_eq!((outcome.fact("trl-version"), outcome.fact("trl-device")), (Some("1.16.0"), Some("cpu")));
    // Configuration and tokenizer are the policy's own.
    let (model, policy) =
        (LanguageModel::load(outcome.path("model")).unwrap(), LanguageModel::load(trained()).unwrap());
    assert!(model.weights == policy.weights);
    let name = "tokenizer.json";
    assert_eq!(fs::read(outcome.path("model").join(name)).unwrap(), fs::read(trained().join(name)).unwrap());
}

#[test]
fn a_training_that_skips_something_is_not_taken_for_whole() {
    let native: Vec<RolloutRow> = native().run().unwrap().table("rollouts");
    let lines = lines(&native);
    let run = |told: &[&str], script: &str| {
        let stage = shell(script);
        let folder = stage.scratch().join("trl");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("lines"), told.join("\n") + "\n").unwrap();
        stage.fails()
    };
    let (begin, done) = (begin(0), json!({ "event": "done" }).to_string());
    let cat = "cat $T/lines >>$T/events.jsonl";
    let message = run(&[&begin, &lines[1]], cat);
    assert!(message.contains("the script tells of update 2, after 0 others"), "{message}");
    let message = run(&[&begin, &lines[0].replace("\"row\":1", "\"row\":0")], cat);
    assert!(message.contains("6 of 3 completions") || message.contains("0 of 3 completions"), "{message}");
    let message = run(&[&begin, &lines[0].replace("\"row\":1", "\"row\":9")], cat);
    assert!(message.contains("a completion of prompt 9 in step 1"), "{message}");
    let message = run(&[&begin, &lines[0], &done], cat);
    assert!(message.contains("ended without having trained"), "{message}");
    let message = run(&[&begin, &lines[0], &lines[1], &lines[2], &done], cat);
    assert!(message.contains("trl/model"), "{message}");
}
