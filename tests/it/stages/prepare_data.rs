//! Tests of `prepare-data` on excerpts of BFCL's and ToolRL's real files (tests/fixtures/data, with its NOTICE).

use std::{collections::BTreeMap, fmt::Write as _, fs};

use camino::Utf8PathBuf;
use toolexpander::{
    base::Digest,
    stage::samples,
    table::{ReportRow, SampleRow},
    tools::{self, Sample, answer_text, judge, parse, render::Style},
};

use super::harness::{Outcome, StageRun};

fn fixture(name: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data").join(name)
}

fn prepare(source: impl AsRef<camino::Utf8Path>) -> StageRun {
    StageRun::new("prepare-data").path("source", source)
}

fn report(outcome: &Outcome) -> BTreeMap<String, f64> {
    outcome.table::<ReportRow>("report").into_iter().map(|row| (row.name, row.value)).collect()
}

/// Returns all samples, training before evaluation, typed.
fn all(outcome: &Outcome) -> Vec<Sample> {
    let rows = outcome.table::<SampleRow>("train").into_iter().chain(outcome.table::<SampleRow>("eval"));
    rows.map(|row| samples::from_row(&row).unwrap()).collect()
}

fn find<'a>(samples: &'a [Sample], id: &str) -> &'a Sample {
    samples.iter().find(|sample| sample.id == id).unwrap_or_else(|| panic!("no sample {id}"))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.0.path().join("data")).unwrap();
        for (name, text) in files {
            let path = folder.0.path().join("data").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.0.path().join("data")).unwrap()
    }
}

fn line(id: &str, question: &str) -> String {
    format!(
        r#"{{"id":"{id}","question":"{question}","tools":[{{"name":"f","parameters":{{"type":"object"}}}}],"gold":[{{"name":"f","arguments":{{"x":1}}}}]}}"#
    )
}

#[test]
fn bfcl_questions_get_their_accepted_answers_and_one_gold_answer() {
    let outcome = prepare(fixture("bfcl")).run().unwrap();
    let counts = report(&outcome);
    assert_eq!((counts["read"], counts["other-categories"], counts["bad-rows"]), (61.0, 2.0, 0.0), "{counts:?}");
    let samples = all(&outcome);
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let accounted = samples.len() as f64
        + counts["leaks"]
        + counts["duplicates"]
        + counts["other-categories"]
        + counts["gold-rejected"];
    assert_eq!(accounted, counts["read"]);
    let simple = find(&samples, "simple_python_0");
    assert_eq!(simple.tools[0].parameters["type"], "object");
    assert_eq!(simple.tools[0].parameters["properties"]["base"]["type"], "integer");
    let text = answer_text(&simple.gold, Style::Python);
    insta::assert_snapshot!(text, @r#"[calculate_triangle_area(base=10, height=5, unit="units")]"#);
    insta::assert_snapshot!(serde_json::to_string(&simple.answer).unwrap(), @r#"[{"name":"calculate_triangle_area","arguments":{"base":[10],"height":[5],"unit":["units",""]}}]"#);
    assert!(find(&samples, "parallel_0").gold.len() > 1);
    assert!(samples.iter().any(|sample| sample.category == "irrelevance" && sample.answer.is_empty()));
    let languages: Vec<_> = ["simple_java_0", "simple_javascript_0", "multiple_0"]
        .into_iter()
        .map(|id| find(&samples, id).language.as_str())
        .collect();
    assert_eq!(languages, ["java", "javascript", "python"]);
}

/// Every accepted-answer list of the excerpt gives a gold answer that survives rendering and parsing.
#[test]
fn gold_answers_are_calls_of_listed_tools_that_render_and_parse() {
    let samples = all(&prepare(fixture("bfcl")).param("eval-fraction", 0.0).run().unwrap());
    for sample in samples.iter().filter(|sample| !sample.gold.is_empty()) {
        for (call, expected) in sample.gold.iter().zip(&sample.answer) {
            let tool = sample.tool(&call.name).unwrap_or_else(|| panic!("{}: {}", sample.id, call.name));
            assert!(tool.required().all(|name| call.arguments.contains_key(name)), "{}: {call}", sample.id);
            assert!(call.arguments.keys().all(|name| expected.arguments.contains_key(name)), "{}", sample.id);
        }
        let text = answer_text(&sample.gold, Style::Json);
        assert_eq!(parse::calls(&text).calls.unwrap(), sample.gold, "{}", sample.id);
    }
}

#[test]
fn a_system_message_of_the_question_is_kept_before_the_question() {
    let samples = all(&prepare(fixture("bfcl")).param("categories", vec!["live_simple"]).run().unwrap());
    assert!(samples.iter().all(|sample| sample.category == "live_simple"));
    assert!(samples.iter().flat_map(|sample| &sample.messages).all(|message| message.role != "system"));
    assert!(samples.iter().any(|sample| sample.messages[0].content.contains("\n\n")));
}

fn official(format: &str, categories: Vec<&str>) -> StageRun {
    let folder = Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bfcl/run/data");
    prepare(folder).param("prompt-format", format).param("eval-fraction", 1.0).param("categories", categories)
}

#[test]
fn official_prompts_come_as_system_messages_and_the_set_stays_whole() {
    let outcome = official("official", vec![]).run().unwrap();
    let counts = report(&outcome);
    assert_eq!(counts["eval"], counts["read"], "{counts:?}");
    assert!(counts["eval.live_relevance"] > 0.0 && !counts.contains_key("eval.multi_turn_base"), "{counts:?}");
    let samples = all(&outcome);
    for sample in &samples {
        let [system, .., user] = sample.messages.as_slice() else { panic!("{} has too few messages", sample.id) };
        assert!(system.role == "system" && user.role == "user", "{}", sample.id);
        assert!(system.content.starts_with("You are an expert in composing functions."), "{}", sample.id);
        // Some questions of `live_irrelevance` offer no function.
        for tool in &sample.tools {
            assert!(system.content.contains(&format!("\"name\": \"{}\"", tool.name)), "{}", sample.id);
        }
    }
    let java = samples.iter().find(|sample| sample.category == "simple_java").unwrap();
    assert!(java.messages[0].content.contains("is in Java 8 SDK syntax."));
    let relevance = samples.iter().find(|sample| sample.category == "live_relevance").unwrap();
    assert!(tools::judge(relevance, "[f(x=1)]").correct && !tools::judge(relevance, "[]").correct);
    let other = official(
        "ret_fmt=json&tool_call_tag=True&func_doc_fmt=xml&prompt_fmt=plaintext&style=classic",
        vec!["multiple"],
    );
    let samples = all(&other.run().unwrap());
    assert!(samples.iter().all(|sample| sample.messages[0].content.contains("<TOOLCALL>```json")));
}

#[test]
fn official_prompts_are_bfcls_own() {
    let error = official("oficial", vec![]).fails();
    assert!(error.contains("parameter `prompt-format`: `oficial` is no prompt format: expected `official`"), "{error}");
    let error = official("official", vec!["multi_turn_base"]).fails();
    assert!(error.contains("`multi_turn_base` is no single-turn category of BFCL"), "{error}");
    let error = official("official", vec!["format_sensitivity"]).fails();
    assert!(error.contains("there is no file `BFCL_v4_format_sensitivity.json`"), "{error}");
    let error = prepare(fixture("rlla")).param("prompt-format", "official").fails();
    assert!(error.contains("only BFCL has prompts of its own, the source is read as `toolrl`"), "{error}");
}

#[test]
fn toolrl_rows_of_all_shapes_are_read() {
    let outcome = prepare(fixture("rlla")).param("eval-fraction", 0.0).run().unwrap();
    let counts = report(&outcome);
    assert_eq!((counts["read"], counts["bad-rows"]), (17.0, 0.0), "{counts:?}");
    let samples = all(&outcome);
    assert!(samples.iter().all(|sample| !sample.tools.is_empty()));
    assert!(samples.iter().all(|sample| sample.category == "response" || !sample.gold.is_empty()));
    assert!(samples.iter().filter(|sample| sample.category == "response").count() >= 3);
    for sample in &samples {
        // Tags of the dialogue do not leak into messages; a dialogue that ends with an observation stays one text.
        let users = sample.messages.iter().filter(|message| message.role == "user");
        let tagged = users.into_iter().any(|message| message.content.contains("<user>"));
        assert_eq!(tagged, sample.question().trim_end().ends_with("</obs>"), "{}", sample.id);
        // A called tool is a listed one; its required parameters are given.
        for call in &sample.gold {
            assert!(sample.tool(&call.name).is_some(), "{}: {call}", sample.id);
        }
    }
    assert!(samples.iter().any(|sample| sample.messages.iter().any(|message| message.role == "tool")));
    let level3 = samples.iter().find(|sample| sample.id.starts_with("api_bank_L3")).unwrap();
    insta::assert_snapshot!(serde_json::to_string(&level3.tools).unwrap(), @r#"[{"name":"UserPosts","description":"API to retrieve the post IDs for a specific user.","parameters":{"type":"object","properties":{"user_id":{"type":"integer","description":"User's ID."}},"required":[]}}]"#);
}

#[test]
fn the_split_depends_on_the_id_alone() {
    let rows: Vec<String> = (0..200).map(|index| line(&format!("q{index}"), &format!("question {index}"))).collect();
    let more: Vec<String> =
        (0..300).rev().map(|index| line(&format!("q{index}"), &format!("question {index}"))).collect();
    let folders = [Folder::new(&[("a.jsonl", &rows.join("\n"))]), Folder::new(&[("a.jsonl", &more.join("\n"))])];
    let sides = folders.each_ref().map(|folder| {
        let outcome = prepare(folder.path()).run().unwrap();
        let eval: Vec<String> = outcome.table::<SampleRow>("eval").into_iter().map(|row| row.id).collect();
        (report(&outcome), eval)
    });
    assert!((25.0..60.0).contains(&sides[0].0["eval"]), "{:?}", sides[0].0);
    assert!(sides[0].1.iter().all(|id| sides[1].1.contains(id)));
    let everything = prepare(folders[0].path()).param("eval-fraction", 1.0).run().unwrap();
    assert_eq!(report(&everything)["train"], 0.0);
}

#[test]
fn duplicates_and_leaks_are_dropped_and_counted() {
    // q0 and again: the same question of the same tools. Where the ids of one question fall on both sides, it leaks.
    let mut rows: Vec<String> =
        (0..60).map(|index| line(&format!("q{index}"), &format!("question {index}?"))).collect();
    rows.push(line("again", "Question  0"));
    rows.extend(
        (0..60).map(|index| line(&format!("r{index}"), &format!("question {index}")).replace("\"f\"", "\"g\"")),
    );
    let folder = Folder::new(&[("a.jsonl", &rows.join("\n"))]);
    let outcome = prepare(folder.path()).run().unwrap();
    let counts = report(&outcome);
    assert_eq!(counts["duplicates"], 1.0);
    assert!(counts["leaks"] > 5.0, "{counts:?}");
    assert_eq!(counts["train"] + counts["eval"] + counts["leaks"] + 1.0, 121.0);
    let questions = |port: &str| -> Vec<String> {
        let rows = outcome.table::<SampleRow>(port);
        rows.iter().map(|row| row.messages.to_lowercase().replace('?', "")).collect()
    };
    let eval = questions("eval");
    assert!(questions("train").iter().all(|question| !eval.contains(question)));
}

#[test]
fn limits_keep_nested_subsets() {
    let ids = |limit: i64, by: &str| -> Vec<String> {
        let run = prepare(fixture("bfcl")).param("eval-fraction", 0.0).param("categories", vec!["simple_python"]);
        let outcome = run.param("limit", limit).param("limit-by", by).run().unwrap();
        assert_eq!(report(&outcome)["over-limit"], 30.0 - 1.0 * outcome.table::<SampleRow>("train").len() as f64);
        outcome.table::<SampleRow>("train").into_iter().map(|row| row.id).collect()
    };
    for by in ["hash", "order", "shortest"] {
        let (few, many) = (ids(4, by), ids(9, by));
        assert_eq!((few.len(), many.len()), (4, 9));
        assert!(few.iter().all(|id| many.contains(id)), "{by}");
    }
    assert_eq!(ids(2, "order"), ["simple_python_0", "simple_python_2"]);
    let run = prepare(fixture("bfcl")).param("max-question-chars", 80).param("max-tools-chars", 400);
    let outcome = run.run().unwrap();
    assert!(report(&outcome)["too-long"] > 0.0);
    assert!(all(&outcome).iter().all(|sample| sample.question().chars().count() <= 80));
}

#[test]
fn bad_rows_are_errors_with_their_place_or_skipped_and_counted() {
    let rows = [
        line("a", "one").as_str(),
        "{not json}",
        r#"{"id":"b","question":"two","tools":[]}"#,
        r#"{"id":"c","question":"three","tools":[],"gold":[],"anwser":[]}"#,
        &line("d", "four"),
    ]
    .join("\n");
    let folder = Folder::new(&[("rows.jsonl", &rows)]);
    insta::assert_snapshot!(prepare(folder.path()).fails(), @r#"rows.jsonl:2:2: is not JSON: key must be a string; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them (2 more rows are bad)"#);
    let outcome = prepare(folder.path()).param("on-bad-row", "skip").run().unwrap();
    assert_eq!(report(&outcome)["bad-rows"], 3.0);
    insta::assert_snapshot!(outcome.log(), @r#"
path:data: 1 files, read as `jsonl`
skipped rows.jsonl:2:2: is not JSON: key must be a string
skipped rows.jsonl:3: needs `answer` or `gold` (an empty list: no call is right)
skipped rows.jsonl:4: unknown field `anwser`, expected one of `id`, `category`, `question`, `messages`, `tools`, `answer`, `gold`, `environment`, `language`
5 read, 0 other-categories, 3 bad-rows, 0 too-long, 0 gold-rejected, 0 duplicates, 0 leaks, 0 over-limit, 1 train, 1 eval
"#);
    let twice = Folder::new(&[("rows.jsonl", &format!("{}\n{}", line("a", "one"), line("a", "two")))]);
    insta::assert_snapshot!(prepare(twice.path()).fails(), @"sample `a`: two rows have this id; give every row its own `id`: the split depends on it");
}

#[test]
fn broken_bfcl_files_are_errors_with_their_place() {
    let question = r#"{"id": "simple_python_7", "question": [[{"role": "user", "content": "q"}]], "function": [{"name": "f", "parameters": {"type": "dict"}}]}"#;
    let name = "BFCL_v4_simple_python.json";
    let answers = "possible_answer/BFCL_v4_simple_python.json";
    let fails = |files: &[(&str, &str)]| prepare(Folder::new(files).path()).fails();
    insta::assert_snapshot!(fails(&[(name, question)]), @r#"BFCL_v4_simple_python.json:1: has no accepted answer: there is no file of this name in `possible_answer/` beside it; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them"#);
    insta::assert_snapshot!(fails(&[(name, question), (answers, r#"{"id": "simple_python_8", "ground_truth": []}"#)]), @r#"BFCL_v4_simple_python.json:1: has no accepted answer: `possible_answer/` has no row `simple_python_7`; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them"#);
    let truth = r#"{"id": "simple_python_7", "ground_truth": [{"f": {"x": 1}}]}"#;
    insta::assert_snapshot!(fails(&[(name, question), (answers, truth)]), @r#"possible_answer/BFCL_v4_simple_python.json:1: `ground_truth`: invalid type: integer `1`, expected a sequence; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them"#);
    let turns = question.replace("\"q\"}]]", "\"q\"}], [{\"role\": \"user\", \"content\": \"r\"}]]");
    let truth = r#"{"id": "simple_python_7", "ground_truth": [{"f": {"x": [1]}}]}"#;
    insta::assert_snapshot!(fails(&[(name, &turns), (answers, truth)]), @r#"BFCL_v4_simple_python.json:1: has 2 turns, one is expected; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them"#);
}

#[test]
fn broken_toolrl_rows_are_errors_with_their_place() {
    let text = fs::read_to_string(fixture("rlla/sft_rows.jsonl")).unwrap();
    let fails = |from: &str, to: &str| {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        prepare(Folder::new(&[("sft.jsonl", &changed)]).path()).fails()
    };
    insta::assert_snapshot!(fails("\\nParameters: {", "\\nParameters: {{"), @r#"sft.jsonl:1: the parameters of the tool `search_for_region` are neither JSON nor a Python literal; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them (5 more rows are bad)"#);
    insta::assert_snapshot!(fails("\\nDescription: ", "\\n"), @r#"sft.jsonl:1: its system text lists a tool that has no `Description: ` line; correct the row, or set `on-bad-row = "skip"` to leave such rows out and count them (5 more rows are bad)"#);
    insta::assert_snapshot!(fails("</tool_call>", "").split(';').next().unwrap(), @"sft.jsonl:1: its answer has a <tool_call> that is not closed");
    insta::assert_snapshot!(fails("\"output\"", "\"outputs\"").split(';').next().unwrap(), @"source: its format is not recognised by file names or first row");
}

#[test]
fn mistaken_parameters_are_errors() {
    let bfcl = || prepare(fixture("bfcl"));
    insta::assert_snapshot!(bfcl().param("categories", vec!["simple_pyhton"]).fails(), @"parameter `categories`: `simple_pyhton` is no category of BFCL; expected some of: simple_python, simple_java, simple_javascript, multiple, parallel, parallel_multiple, irrelevance, live_simple, live_multiple, live_parallel, live_parallel_multiple, live_irrelevance, simple; did you mean `simple_python`?");
    insta::assert_snapshot!(bfcl().param("categories", vec!["multi_turn_base"]).fails(), @"parameter `categories`: `multi_turn_base` has several turns or needs its own tools, which this stage does not read; expected some of: simple_python, simple_java, simple_javascript, multiple, parallel, parallel_multiple, irrelevance, live_simple, live_multiple, live_parallel, live_parallel_multiple, live_irrelevance, simple");
    insta::assert_snapshot!(bfcl().param("member", "BFCL_v4_simple.json").fails(), @"path:bfcl: does not hold `BFCL_v4_simple.json`; it holds, among others: BFCL_v4_live_simple.json, BFCL_v4_multiple.json, BFCL_v4_simple_java.json, BFCL_v4_parallel.json, BFCL_v4_simple_python.json");
    insta::assert_snapshot!(bfcl().param("max-question-chars", 1).fails(), @"source: no sample is left (61 read, 2 other-categories, 0 bad-rows, 59 too-long, 0 gold-rejected, 0 duplicates, 0 leaks, 0 over-limit, 0 train, 0 eval); loosen `categories`, `max-question-chars` or `max-tools-chars`");
    insta::assert_snapshot!(prepare(Folder::new(&[("readme.md", "")]).path()).fails(), @"path:data: holds no `.json` or `.jsonl` file; point `source` or `member` at the folder with the data");
    insta::assert_snapshot!(prepare(Folder::new(&[("a.jsonl", r#"{"text":"hello"}"#)]).path()).fails(), @"source: its format is not recognised by file names or first row; set `format` to `bfcl`, `toolrl`, `jsonl` or `api-bank`");
}

/// If one of these digests changes, bump `revision` in stages/prepare-data/stage.toml.
#[test]
fn output_bytes_are_golden_whatever_the_thread_count() {
    let mut digests = String::new();
    for (source, port) in [("bfcl", "train"), ("bfcl", "eval"), ("bfcl", "report"), ("rlla", "train")] {
        let runs = [1, 5].map(|threads| prepare(fixture(source)).threads(threads).run().unwrap().bytes(port));
        assert_eq!(runs[0], runs[1]);
        writeln!(digests, "{source} {port} {}", Digest::of(&runs[0])).unwrap();
    }
    insta::assert_snapshot!(digests, @r#"
bfcl train 85179d22bf6e685841d1a3b77286fb4094f4b673363a24e42aa87c0710e3bf3d
bfcl eval 2777938f9abc63f37f286a4f9fd972daf33752523632c7df6fb5ab32c50fe7be
bfcl report 025ca534eac495c7c09760404ccee7e394b2197e5d0ed72c017f5c3cc8f5a62a
rlla train 21818978d6ea5425b6488aad65571ac36484df7d807c4b147ae454e0485e8bfa
"#);
}

#[test]
fn a_suites_questions_are_generated_alike_every_time() {
    let suite = |source: &str| StageRun::new("prepare-data").param("source", source);
    let outcome = suite("suite:household?count=60&seed=3").run().unwrap();
    let samples = all(&outcome);
    assert!(samples.len() > 40 && samples.iter().all(|sample| sample.environment.is_some() && !sample.gold.is_empty()));
    for sample in &samples {
        let judged = toolexpander::tools::execution::judge(&sample.gold, sample);
        assert!(judged.right(), "{}: {:?}", sample.id, judged.error);
    }
    let again = suite("suite:household?count=60&seed=3").seed(99).run().unwrap();
    assert_eq!(outcome.bytes("train"), again.bytes("train"));
    let other = suite("suite:household?count=60&seed=4").run().unwrap();
    assert_ne!(outcome.bytes("train"), other.bytes("train"));
    let bank = suite("suite:household?count=20&domains=bank&level=full").run().unwrap();
    assert!(all(&bank).iter().all(|sample| sample.id.contains("full")));
    insta::assert_snapshot!(suite("suite:houshold").fails(), @"parameter `source`: `suite:houshold`: there is no suite `houshold`; known: `household`, `api-bank`");
    insta::assert_snapshot!(suite("suite:household?count=many").fails(), @"parameter `source`: `suite:household?count=many`: `count` is `many`: expected a whole number");
    insta::assert_snapshot!(suite("suite:household?cuont=3").fails(), @"parameter `source`: `suite:household?cuont=3`: unknown field `cuont`, expected one of `level`, `domains`, `min-tools`, `max-tools`, `two-call-share`, `no-call-share`");
    insta::assert_snapshot!(suite("suite:household?count").fails(), @"parameter `source`: `suite:household?count`: `count` is no option: expected `KEY=VALUE`");
}

#[test]
fn a_sample_that_rejects_its_own_gold_answer_is_dropped_or_kept_and_counted() {
    let right = line("a", "one");
    let wrong =
        line("b", "two").replace("\"gold\"", "\"answer\":[{\"name\":\"f\",\"arguments\":{\"x\":[2]}}],\"gold\"");
    let folder = Folder::new(&[("rows.jsonl", &format!("{right}\n{wrong}"))]);
    let outcome = prepare(folder.path()).run().unwrap();
    assert_eq!((report(&outcome)["gold-rejected"], all(&outcome).len()), (1.0, 1));
    insta::assert_snapshot!(outcome.log().lines().nth(1).unwrap(), @"sample `b`: its own gold answer is not accepted: the argument `x` is `1`, expected `2`");
    let outcome = prepare(folder.path()).param("rejected-gold", "keep").run().unwrap();
    assert_eq!((report(&outcome)["gold-rejected"], all(&outcome).len()), (1.0, 2));
}

#[test]
fn files_beside_bfcls_questions_are_not_read() {
    let question = fs::read_to_string(fixture("bfcl/BFCL_v4_irrelevance.json")).unwrap();
    let folder = Folder::new(&[("BFCL_v4_irrelevance.json", &question), ("docs/api.json", "{\"name\": \"cd\"}")]);
    let outcome = prepare(folder.path()).run().unwrap();
    assert_eq!(report(&outcome)["read"], 5.0);
}

fn dialogues() -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/api_bank/dialogues")
}

#[test]
fn api_bank_dialogues_become_one_executable_sample_a_call() {
    let outcome = prepare(dialogues()).run().unwrap();
    let counts = report(&outcome);
    // The recorded search of `DeleteMeeting-level-3-2` found `ModifyMeeting`, and the dialogue goes on with `DeleteMeeting`.
    assert_eq!((counts["read"], counts["bad-rows"], counts["gold-rejected"]), (14.0, 0.0, 1.0), "{counts:?}");
    assert!(outcome.log().contains("DeleteMeeting-level-3-2-9"));
    let samples = all(&outcome);
    let meeting = find(&samples, "AddMeeting-level-1-1-13");
    let names: Vec<&str> = meeting.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!((meeting.category.as_str(), names), ("level-1", vec!["AddMeeting", "GetUserToken"]));
    let last: Vec<String> =
        meeting.messages.iter().rev().take(4).map(|message| format!("{}: {}", message.role, message.content)).collect();
    insta::assert_snapshot!(last.join("\n"), @r#"
    user: It is the year 2023. Make the one call that comes next.
    assistant: Okay, I have your token now.
    tool: {"token": "a9s8d7f6g5h4j3k2l1"}
    assistant: [GetUserToken(username="JohnDoe", password="pass123")]
    "#);
    let text = answer_text(&meeting.gold, Style::Python);
    insta::assert_snapshot!(text, @r#"[AddMeeting(token="a9s8d7f6g5h4j3k2l1", meeting_topic="project updates", start_time="2022-12-15 14:00:00", end_time="2022-12-15 16:00:00", location="conference room", attendees=["John Smith", "Jane Doe", "Adam Lee"])]"#);
    assert!(judge(meeting, &text).correct);
    assert!(!judge(meeting, &text.replace("16:00", "17:00")).correct);
    // Level 2 lists what was found so far, and the year is said to who spoke last.
    let tools = |id: &str| find(&samples, id).tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>();
    assert_eq!(tools("BookHotel-level-3-1-2"), ["ToolSearcher"]);
    assert_eq!(tools("BookHotel-level-3-1-4"), ["BookHotel", "ToolSearcher"]);
    assert_eq!(find(&samples, "BookHotel-level-3-1-4").category, "level-2");
}

#[test]
fn api_bank_can_be_judged_as_others_judge_it() {
    let official = prepare(dialogues()).param("format", "api-bank-official").run().unwrap();
    let counts = report(&official);
    assert_eq!((counts["read"], counts["gold-rejected"]), (14.0, 9.0), "{counts:?}");
    let toolrl = prepare(fixture("rlla")).param("member", "api_bank_L3.jsonl").param("format", "api-bank-toolrl");
    let samples = all(&toolrl.run().unwrap());
    assert!(samples.iter().all(|sample| sample.category == "level-3"));
    let text = answer_text(&samples[0].gold, Style::Toolrl);
    let judged = judge(&samples[0], &text);
    assert!(judged.correct, "{:?}", judged.error);
    assert!(
        judge(
            &samples[0],
            &format!(
                "<tool_call>\n{{\"name\": \"f\", \"parameters\": {{}}}}\n{}",
                text.split_once("<tool_call>\n").unwrap().1
            )
        )
        .correct
    );
    assert!(!judge(&samples[0], &answer_text(&samples[0].gold, Style::Python)).correct);
}

#[test]
fn dialogues_with_strange_turns_are_named() {
    let folder = Folder::new(&[(
        "a.jsonl",
        "{\"role\": \"User\", \"text\": \"hi\"}\n{\"role\": \"Robot\", \"text\": \"hi\"}\n",
    )]);
    let error = prepare(folder.path()).fails();
    assert!(error.contains("a.jsonl:2") && error.contains("`role` is `Robot`"), "{error}");
}
