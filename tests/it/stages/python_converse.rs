//! Tests of `converse-bfcl` in conversations of the class `TradingBot` (tests/fixtures/bfcl/run/data), with the benchmark's own
//! code.

use std::{collections::BTreeMap, fs};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use toolexpander::{
    base::ArtifactType,
    table::{ReportRow, SampleRow, ScoreRow},
};

use super::{
    backend_server::{Reply, Request, Server},
    harness::{Outcome, StageRun, sample},
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
#[ignore = "needs python3"]
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
#[ignore = "needs python3"]
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
    assert_eq!(row["result"], json!(vec![["Hm."]; prompts.len()]));
}

#[test]
#[ignore = "needs python3"]
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
#[ignore = "needs python3"]
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
    insta::assert_snapshot!(run("simple_java"), @"parameter `categories`: `simple_java` is no category of several turns of BFCL; expected some of: multi_turn_base, multi_turn_miss_func, multi_turn_miss_param, multi_turn_long_context");
}

/// The code of a class in place of the benchmark's `TradingBot`: it takes notes, and can end its process.
const NOTES: &str = r#"
import os

class TradingBot:
    def __init__(self):
        self.notes = []

    def note(self, text="a"):
        self.notes.append(text)
        return self.notes

    def die(self):
        os._exit(3)
"#;

/// A source with the class of [`NOTES`] and a conversation of two turns for each of `asked`.
fn notes(asked: &[&str]) -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
    let write = |file: &str, text: &str| {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let said = |text: &str| json!([{ "role": "user", "content": text }]);
    let (mut questions, mut truths) = (String::new(), String::new());
    for (place, text) in asked.iter().enumerate() {
        let id = format!("multi_turn_base_{place}");
        let turns = json!([said(text), said("Go on.")]);
        let question = json!({ "id": id, "question": turns, "initial_config": {}, "involved_classes": ["TradingBot"] });
        questions.push_str(&format!("{question}\n"));
        let truth = json!({ "id": id, "ground_truth": [["note(text='a')"], ["note(text='b')"]] });
        truths.push_str(&format!("{truth}\n"));
    }
    write("BFCL_v4_multi_turn_base.json", &questions);
    write("possible_answer/BFCL_v4_multi_turn_base.json", &truths);
    let parameters = json!({ "type": "dict", "properties": { "text": { "type": "string" } }, "required": ["text"] });
    let document = json!({ "name": "note", "description": "Notes.", "parameters": parameters });
    write("multi_turn_func_doc/trading_bot.json", &format!("{document}\n"));
    write("eval_checker/multi_turn_eval/func_source_code/trading_bot.py", NOTES);
    (folder, root)
}

/// A call that ends the process ends its conversation; the worlds of others are made again as they were.
#[test]
#[ignore = "needs python3"]
fn a_call_that_loses_the_worlds_ends_its_own_conversation_only() {
    let (_folder, source) = notes(&["Take notes.", "Die.", "Take notes."]);
    let server = Server::start(|request| {
        let prompt = request.body["prompt"].as_str().unwrap();
        if prompt.contains("Die.") {
            // Others have worlds by then.
            return Reply::completion(if prompt.contains("Go on.") { "[note(text='x'), die()]" } else { "Hm." });
        }
        let results = prompt.matches("<|im_start|>tool").count();
        let turns = prompt.matches("<|im_start|>user").count();
        Reply::completion(["[note(text='a')]", "Done.", "[note(text='b')]", "Done."][results + turns - 1])
    });
    let model = model(20_000);
    let outcome = asking(&server, model.path("model")).path("source", &source).run_as_process().unwrap();
    let found = answers(&outcome);
    let ended = "Error during inference: a call ended the process that holds the worlds";
    assert_eq!(found["multi_turn_base_1"]["result"], ended);
    for id in ["multi_turn_base_0", "multi_turn_base_2"] {
        let log = &found[id]["inference_log"];
        assert_eq!(log[1]["step_0"][2]["content"], "['a', 'b']", "{log:#?}");
    }
    // Judged, such a call makes its own answer wrong and no other.
    let mut text = String::new();
    for (id, row) in &found {
        let deadly = json!({ "id": id, "result": [["[die()]"], ["Hm."]] });
        text.push_str(&format!("{}\n", if id.ends_with('1') { &deadly } else { row }));
    }
    let scored = StageRun::new("score-bfcl").path("source", &source).param("partial", true).param("python", "python3");
    let scored = scored.input("answers", "a", ArtifactType::File, text.as_bytes()).param("model", "m");
    let scores = scored.run_as_process().unwrap().table::<ScoreRow>("scores");
    let errors: Vec<&str> = scores.iter().map(|row| row.error.as_str()).collect();
    assert_eq!(errors, ["", "multi_turn:world_lost", ""]);
}

/// The classes are the source's, whatever package of the benchmark is installed.
#[test]
#[ignore = "needs python3"]
fn an_installed_package_gives_way_to_the_source() {
    let (_folder, source) = notes(&["Take notes."]);
    let installed = tempfile::tempdir().unwrap();
    let venv = Utf8Path::from_path(installed.path()).unwrap();
    let made = std::process::Command::new("python3").args(["-m", "venv", "--without-pip", venv.as_str()]).status();
    assert!(made.unwrap().success());
    let library = venv.join("lib").read_dir_utf8().unwrap().next().unwrap().unwrap().into_path();
    let package = library.join("site-packages/bfcl_eval");
    fs::create_dir_all(&package).unwrap();
    fs::write(package.join("__init__.py"), "raise ImportError('the installed one')").unwrap();
    let server = Server::start(|request| {
        let prompt = request.body["prompt"].as_str().unwrap();
        Reply::completion(if prompt.contains("<|im_start|>tool") { "Done." } else { "[note(text='a')]" })
    });
    let model = model(20_000);
    let run = asking(&server, model.path("model")).path("source", &source);
    let outcome = run.param("python", venv.join("bin/python3").as_str()).run_as_process().unwrap();
    let log = &answers(&outcome)["multi_turn_base_0"]["inference_log"];
    assert_eq!(log[0]["step_0"][2]["content"], "['a']");
    assert!(outcome.log().contains("1 classes of the benchmark run under CPython 3."), "{}", outcome.log());
}

/// A model that was taught one call reads what it returns, and says it again until it may not.
#[test]
#[ignore = "needs python3"]
fn a_model_in_this_process_reads_what_its_calls_return() {
    let (_folder, source) = notes(&["Take notes."]);
    // It is taught with the very prompt that it will be shown.
    let server = Server::start(|_| Reply::completion("Hm."));
    let random = init().param("context", 4_000).param("hidden", 32).run().unwrap();
    asking(&server, random.path("model")).path("source", &source).run_as_process().unwrap();
    let shown = server.requests()[0].body["prompt"].as_str().unwrap().to_owned();
    let system = shown.split_once("<|im_start|>system\n").unwrap().1.split_once("<|im_end|>").unwrap().0;
    let messages = json!([{ "role": "system", "content": system }, { "role": "user", "content": "Take notes." }]);
    let gold = json!([{ "name": "note", "arguments": {} }]);
    let rows = [SampleRow { messages: messages.to_string(), gold: gold.to_string(), ..sample("q", "", "note") }];
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/stages/shared/messages.j2");
    let taught = StageRun::new("sft").path("template", template).table("samples", "data", &rows);
    let taught = taught.input_at("model", "model", ArtifactType::Model, random.path("model"));
    let taught = taught.param("steps", 150).param("lr", 1e-2).run().unwrap();
    let run = |style: &str| {
        let run = converse(taught.path("model")).path("source", &source).param("max-tokens", 40).param("max-steps", 1);
        answers(&run.param("results", style).run_as_process().unwrap())["multi_turn_base_0"].clone()
    };
    let row = run("tool");
    let log = &row["inference_log"][0]["step_0"];
    assert_eq!((&log[0]["content"], &log[2]["content"]), (&"[note()]".into(), &"['a']".into()), "{row:#}");
    let [first, second] = [0, 1].map(|step| row["input_token_count"][0][step].as_u64().unwrap_or_default());
    assert!(second > first, "the result is read: {row:#}");
    assert_ne!(row["input_token_count"], run("repr")["input_token_count"]);
}
