//! `max-turns`: rollouts that call tools, read what they return and go on; training on them.

use std::{collections::BTreeSet, sync::OnceLock};

use camino::Utf8Path;
use toolexpander::{
    base::Seed,
    stage::samples,
    table::{MetricRow, RolloutRow, SampleRow, ScoreRow},
    tools::{
        Sample, Style, answer_text,
        suite::{GenerateOptions, generate},
    },
};

use super::{
    backend_server::{Reply, Server},
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

/// A server whose model knows the gold calls, and ends when it has read what they return.
#[test]
fn a_servers_model_reads_what_its_calls_return() {
    let samples = generate(Seed(3), 5, &GenerateOptions::default()).unwrap();
    let rows: Vec<SampleRow> = samples.iter().map(samples::to_row).collect();
    let server = Server::start(move |request| {
        let prompt = request.body["prompt"].as_str().unwrap();
        if prompt.contains("<|im_start|>tool\n") {
            assert!(prompt.ends_with("<|im_end|>\n<|im_start|>assistant\n"), "{prompt}");
            return Reply::completion("Done.");
        }
        let asked = |sample: &&Sample| sample.messages.iter().all(|message| prompt.contains(&message.content));
        Reply::completion(&answer_text(&samples.iter().find(asked).unwrap().gold, Style::Python))
    });
    let mut backend = toml::Table::new();
    backend.insert("openai".to_owned(), server.address.as_str().into());
    let model = init().param("context", 4000).run().unwrap();
    let ask = |kind: &str, turns: i64| {
        let run =
            with_model(kind, model.path("model")).table("samples", "data", &rows).param("backend", backend.clone());
        run.param("max-tokens", 40).param("max-turns", turns)
    };
    let outcome = ask("evaluate", 3).run().unwrap();
    let scores: Vec<ScoreRow> = outcome.table("scores");
    assert!(scores.iter().all(|row| row.correct && row.results_equal && row.state_equal), "{scores:#?}");
    assert_eq!(server.requests().len(), 2 * rows.len());
    assert_eq!(outcome.fact("backend-model"), Some("served"));
    for row in &scores {
        assert!(row.completion.ends_with("Done.") && row.finish == "stop", "{row:?}");
        // Two turns of two tokens each, and what was read between them.
        assert!(row.completion_tokens > 4, "{row:?}");
    }
    // Without room for what is read, the conversation ends there; what ran counts all the same.
    let outcome = ask("evaluate", 3).param("max-trajectory-tokens", 3).run().unwrap();
    let short: Vec<ScoreRow> = outcome.table("scores");
    assert!(short.iter().all(|row| row.correct && row.finish == "length"), "{short:#?}");
    assert_eq!(server.requests().len(), 3 * rows.len());

    let before = server.requests().len();
    let rollouts: Vec<RolloutRow> = ask("rollout", 2).param("group-size", 2).run().unwrap().table("rollouts");
    assert!(rollouts.len() == 2 * rows.len() && rollouts.iter().all(|row| row.correct && row.log_prob == -3.0));
    let seeds: BTreeSet<u64> =
        server.requests()[before..].iter().map(|request| request.body["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds.len(), 4 * rows.len(), "every turn of every rollout draws from a stream of its own");
}
