//! `max-turns`: rollouts that call tools, read what they return and go on; training on them.

use std::sync::OnceLock;

use camino::Utf8Path;
use toolexpander::{
    base::Seed,
    stage::samples,
    table::{MetricRow, RolloutRow, SampleRow},
    tools::suite::{GenerateOptions, generate},
};

use super::{
    harness::{Outcome, StageRun},
    model_support::{init, questions, sft, with_model},
};

/// Questions whose tools are in no world, so that every call returns an error to read.
fn worldly(count: usize) -> Vec<SampleRow> {
    let world = samples::to_row(&generate(Seed(3), 1, &GenerateOptions::default()).unwrap()[0]).environment;
    questions(count).into_iter().map(|row| SampleRow { environment: world.clone(), ..row }).collect()
}

/// A model that writes calls and has room to read.
fn talker() -> &'static Utf8Path {
    static MODEL: OnceLock<Outcome> = OnceLock::new();
    let model = MODEL.get_or_init(|| {
        let random = init().param("context", 600).run().unwrap();
        sft(random.path("model"), 30).param("steps", 300).run().unwrap()
    });
    model.path("model")
}

fn roll(turns: i64) -> StageRun {
    roll_of(6, turns)
}

fn roll_of(count: usize, turns: i64) -> StageRun {
    let run = with_model("rollout", talker()).table("samples", "data", &worldly(count)).param("max-tokens", 16);
    run.param("group-size", 3).param("max-turns", turns).param("max-trajectory-tokens", 500)
}

fn rows(run: StageRun) -> Vec<RolloutRow> {
    run.run().unwrap().table("rollouts")
}

#[test]
fn a_rollout_reads_what_its_calls_return() {
    let once = rows(roll(1));
    let plain = with_model("rollout", talker()).table("samples", "data", &worldly(6)).param("max-tokens", 16);
    assert_eq!(once, rows(plain.param("group-size", 3)), "one turn is an answer as ever");
    let thrice = rows(roll(3));
    let longer = thrice.iter().zip(&once).filter(|(thrice, once)| thrice.completion_tokens > once.completion_tokens);
    assert!(longer.count() > 3, "some conversations go on");
    for (thrice, once) in thrice.iter().zip(&once) {
        assert!(thrice.completion.starts_with(&once.completion), "the first turn is the same");
        assert!(thrice.completion_tokens <= 500);
    }
    let told = thrice.iter().find(|row| row.completion.contains("error")).expect("an error is read");
    assert!(told.completion.contains("tool"), "{}", told.completion);
}

#[test]
fn threads_and_kills_do_not_change_a_bit() {
    let roll = || roll_of(60, 3);
    let whole = roll().run().unwrap();
    assert!(whole.bytes("rollouts") == roll().threads(1).run().unwrap().bytes("rollouts"));
    let resumed = roll().killed_after(100).run().unwrap();
    assert!(resumed.log().contains("were completed by an earlier attempt"), "{}", resumed.log());
    assert!(whole.bytes("rollouts") == resumed.bytes("rollouts"));
}

#[test]
fn what_is_read_is_not_trained_on() {
    let run = |turns: i64| {
        let run = with_model("grpo", talker()).table("samples", "data", &worldly(6)).param("max-tokens", 16);
        let run = run.param("group-size", 4).param("prompts-per-step", 3).param("steps", 2).param("max-turns", turns);
        run.param("max-trajectory-tokens", 500).run().unwrap()
    };
    let outcome = run(3);
    let (metrics, rollouts): (Vec<MetricRow>, Vec<RolloutRow>) = (outcome.table("metrics"), outcome.table("rollouts"));
    let trained: i64 = metrics.iter().map(|row| row.tokens).sum();
    let worked: i64 = rollouts.iter().map(|row| i64::from(row.completion_tokens)).sum();
    let most = 3 * 16 * rollouts.len() as i64;
    assert!(trained > 0 && trained < most && trained < worked, "{trained} of {worked}");
    assert!(worked > most, "more is read than drawn: {worked}");
    assert!(metrics.iter().all(|row| row.loss.is_finite() && row.entropy.is_finite()));
    assert!(outcome.bytes("rollouts") == run(3).bytes("rollouts"));
}

#[test]
fn turns_need_this_process() {
    let run = roll(2).param("backend", toml::toml! { openai = "http://127.0.0.1:9" });
    let error = run.run().err().unwrap().to_string();
    assert!(error.contains("max-turns"), "{error}");
}
