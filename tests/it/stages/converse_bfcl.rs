//! Tests of `converse-bfcl` in conversations of the class `TradingBot` (tests/fixtures/bfcl/run/data), with the benchmark's own
//! code.

use std::{collections::BTreeMap, fs};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use toolexpander::{
    base::ArtifactType,
    table::{ReportRow, ScoreRow},
};

use super::{
    backend_server::{Reply, Request, Server},
    harness::{Outcome, StageRun},
    model_support::init,
};

const CATEGORIES: [&str; 4] =
    ["multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context"];

fn data() -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bfcl/run/data")
}

/// A random model that holds `context` tokens.
fn model(context: i64) -> Outcome {
    init().param("context", context).run().unwrap()
}

fn converse(model: &Utf8Path) -> StageRun {
    let run = StageRun::new("converse-bfcl").input_at("model", "model", ArtifactType::Model, model);
    run.path("source", data()).param("max-tokens", 8)
}

fn asking(server: &Server, model: &Utf8Path) -> StageRun {
    let mut backend = toml::Table::new();
    backend.insert("concurrency".to_owned(), 3.into());
    backend.insert("openai".to_owned(), server.address.as_str().into());
    converse(model).param("backend", backend)
}

fn rows(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(data().join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answers(outcome: &Outcome) -> BTreeMap<String, Value> {
    let text = String::from_utf8(outcome.bytes("answers")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row)).collect()
}

/// Answers with the gold calls of whatever turn it is asked in: first the calls, then, having read what they return, a word.
fn gold() -> impl Fn(&Request) -> Reply + Send + Sync {
    let known: Vec<(Value, Value)> = CATEGORIES
        .iter()
        .flat_map(|category| {
            let file = format!("BFCL_v4_{category}.json");
            rows(&file).into_iter().zip(rows(&format!("possible_answer/{file}")))
        })
        .collect();
    move |request| {
        let prompt = request.body["prompt"].as_str().unwrap();
        let said: Vec<&str> = prompt.split("<|im_start|>").filter(|part| !part.is_empty()).collect();
        let [.., last, _] = said.as_slice() else { panic!("{prompt}") };
        if last.starts_with("tool\n") {
            return Reply::completion("Done.");
        }
        let asked: Vec<&str> = said.iter().filter_map(|part| part.strip_prefix("user\n")).collect();
        let first = asked[0].trim_end().trim_end_matches("<|im_end|>");
        // The same question is asked in several categories, with other turns after it.
        let fits = |(question, answer): &&(Value, Value)| {
            let turns = question["question"].as_array().unwrap();
            let withheld = question["missed_function"].as_object();
            turns[0][0]["content"] == first
                && answer["ground_truth"].as_array().unwrap().len() >= asked.len()
                && turns.iter().zip(&asked).all(|(turn, asked)| match turn[0]["content"].as_str() {
                    Some(text) => asked.starts_with(text),
                    None => withheld.is_some() && asked.contains("I have updated some more functions"),
                })
        };
        let (_, answer) = known.iter().find(fits).unwrap_or_else(|| panic!("no question fits {asked:#?}"));
        let calls = answer["ground_truth"][asked.len() - 1].as_array().unwrap();
        let calls: Vec<&str> = calls.iter().map(|call| call.as_str().unwrap()).collect();
        Reply::completion(&format!("[{}]", calls.join(", ")))
    }
}

#[test]
fn a_model_that_knows_everything_is_right() {
    let (server, model) = (Server::start(gold()), model(100_000));
    let run = asking(&server, model.path("model")).param("categories", vec!["multi_turn_base"]);
    // Officially some gold calls lose arguments that they give by place.
    let outcome = run.param("mode", "fair").run_as_process().unwrap();
    let found = answers(&outcome);
    assert_eq!(found.len(), 3);
    for row in found.values() {
        let (turns, log) = (row["result"].as_array().unwrap(), row["inference_log"].as_array().unwrap());
        assert_eq!(turns.len(), log.len());
        for turn in turns {
            assert!(turn[0] == "[]" || turn[1] == "Done.", "{turn}");
        }
        assert_eq!(log[0]["step_0"][0]["content"], turns[0][0]);
        assert_eq!(log[0]["step_0"][2]["role"], "tool", "{log:#?}");
        let counts =
            [&row["input_token_count"], &row["output_token_count"]].map(|counts| counts[0][1].as_u64().unwrap());
        assert!(counts[0] > 1000 && counts[1] == 2, "{counts:?}");
    }
    // The tools' results were read, and nothing was asked beside the steps.
    let steps: usize = found
        .values()
        .flat_map(|row| row["result"].as_array().unwrap())
        .map(|turn| turn.as_array().unwrap().len())
        .sum();
    assert_eq!(server.requests().len(), steps);
    let scored = StageRun::new("score-bfcl").path("source", data()).param("partial", true).param("python", "python3");
    let scored = scored.input("answers", "answers", ArtifactType::File, &outcome.bytes("answers"));
    let scored = scored.param("model", "oracle").param("mode", "fair").run_as_process().unwrap();
    let scores = scored.table::<ScoreRow>("scores");
    assert!(scores.iter().all(|row| row.correct && row.executed), "{scores:#?}");
    let counts: BTreeMap<String, f64> =
        scored.table::<ReportRow>("report").into_iter().map(|row| (row.name, row.value)).collect();
    assert_eq!(counts["fair.multi_turn_base.accuracy"], 1.0);
}

#[test]
fn withheld_functions_are_shown_in_their_turn() {
    let (server, model) = (Server::start(|_| Reply::completion("Hm.")), model(100_000));
    let run = asking(&server, model.path("model")).param("categories", vec!["multi_turn_miss_func"]).param("limit", 1);
    let outcome = run.run_as_process().unwrap();
    let question = &rows("BFCL_v4_multi_turn_miss_func.json")[0];
    let (turn, names) = question["missed_function"].as_object().unwrap().iter().next().unwrap();
    let (turn, name): (usize, _) = (turn.parse().unwrap(), names[0].as_str().unwrap());
    let shown = format!("'name': '{name}'");
    let mut prompts: Vec<String> =
        server.requests().iter().map(|request| request.body["prompt"].as_str().unwrap().to_owned()).collect();
    prompts.sort_by_key(String::len);
    assert_eq!(prompts.len(), question["question"].as_array().unwrap().len());
    let shows: Vec<bool> = prompts.iter().map(|prompt| prompt.contains(&shown)).collect();
    assert_eq!(shows, (0..prompts.len()).map(|place| place >= turn).collect::<Vec<_>>(), "turn {turn}");
    let (_, row) = answers(&outcome).pop_first().unwrap();
    assert_eq!(row["result"], serde_json::json!(vec![["Hm."]; prompts.len()]));
}

#[test]
fn a_killed_attempt_goes_on_with_the_conversations_that_have_not_ended() {
    let (server, model) = (Server::start(gold()), model(100_000));
    let run =
        asking(&server, model.path("model")).param("categories", vec!["multi_turn_base", "multi_turn_long_context"]);
    run.killed_as_process(|| run.scratch().join("checkpoint").exists());
    let before = server.requests().len();
    let outcome = run.run_as_process().unwrap();
    assert!(outcome.log().contains("conversations were held by an earlier attempt"), "{}", outcome.log());
    let again = server.requests().len() - before;
    let whole =
        asking(&server, model.path("model")).param("categories", vec!["multi_turn_base", "multi_turn_long_context"]);
    let whole = whole.run_as_process().unwrap();
    let all = server.requests().len() - before - again;
    assert!(again < all, "{again} of {all} requests were made again");
    assert_eq!(answers(&outcome), answers(&whole));
}

/// A random model says nothing that can be run: its conversations are those of the benchmark's user alone.
#[test]
fn conversations_with_a_model_in_this_process_are_the_same_bits_whatever_shares_them() {
    let model = model(100_000);
    let categories = vec!["multi_turn_base", "multi_turn_miss_func"];
    let of = |model: &Outcome| converse(model.path("model")).param("categories", categories.clone()).param("limit", 2);
    let run = || of(&model).param("temperature", 1.0);
    let outcome = run().run_as_process().unwrap();
    let found = answers(&outcome);
    assert_eq!(found.len(), 4);
    for (id, row) in &found {
        let turns = row["result"].as_array().unwrap_or_else(|| panic!("{id}: {row}"));
        assert!(turns.len() > 1 && turns.iter().all(|turn| turn.as_array().unwrap().len() == 1), "{id}: {turns:?}");
        let read: Vec<u64> = serde_json::from_value(row["input_token_count"].clone())
            .map(|turns: Vec<Vec<u64>>| turns.into_iter().flatten().collect())
            .unwrap();
        assert!(
            read.is_sorted_by(|one, two| one + 8 < *two),
            "each turn reads the question and what was said: {read:?}"
        );
    }
    assert!(outcome.log().contains("4 conversations were held to their end"), "{}", outcome.log());
    let other = run().threads(1).memory_gb(0.01).run_as_process().unwrap();
    assert!(outcome.bytes("answers") == other.bytes("answers"));
    assert!(outcome.bytes("answers") != run().param("sampling-seed", 1).run_as_process().unwrap().bytes("answers"));

    // A model with room for the first question and little more.
    let longest = found.values().map(|row| row["input_token_count"][0][0].as_i64().unwrap()).max().unwrap();
    let small = self::model(longest + 20);
    let outcome = of(&small).run_as_process().unwrap();
    let ended = answers(&outcome);
    let errors: Vec<&str> = ended.values().filter_map(|row| row["result"].as_str()).collect();
    let expected =
        format!("Error during inference: the conversation has outgrown the model's context of {} tokens", longest + 20);
    assert!(!errors.is_empty() && errors.iter().all(|error| *error == expected), "{errors:?}");
    let smaller = self::model(longest);
    let error = of(&smaller).run_as_process().err().unwrap();
    assert!(error.contains(&format!("begins with {longest} tokens, the model holds {longest}")), "{error}");
    let wrong = of(&smaller).param("long-prompts", "wrong").run_as_process();
    assert!(answers(&wrong.unwrap()).values().any(|row| row["result"].is_string()));
}

#[test]
fn other_categories_are_refused() {
    let model = model(128);
    let run = |name: &str| converse(model.path("model")).param("categories", vec![name]).fails();
    insta::assert_snapshot!(run("simple_java"), @"parameter `categories`: `simple_java` is no category of several turns; expected some of: multi_turn_base, multi_turn_miss_func, multi_turn_miss_param, multi_turn_long_context");
}
