//! Tests of `score-bfcl` on a small part of a run and what the official evaluator made of it
//! (tests/fixtures/bfcl/run, made by run.py beside it).

use std::{collections::BTreeMap, fs};

use camino::{Utf8Path, Utf8PathBuf};
use toolexpander::{
    base::ArtifactType,
    table::{ReportRow, ScoreRow},
};

use super::harness::{Outcome, StageRun};

pub fn fixture(name: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bfcl/run").join(name)
}

pub fn run() -> StageRun {
    StageRun::new("score-bfcl").path("source", fixture("data")).param("partial", true)
}

fn with_verdicts(run: StageRun) -> StageRun {
    // The verdicts on multi-turn episodes are the official ones: executing them is not this stage's business.
    run.input("verdicts", "episodes", ArtifactType::File, &fs::read(fixture("verdicts.jsonl")).unwrap())
}

/// Returns the files below a folder by path, as text.
pub fn files(folder: &Utf8Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        for entry in path.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

pub fn report(outcome: &Outcome) -> BTreeMap<String, f64> {
    outcome.table::<ReportRow>("report").into_iter().map(|row| (row.name, row.value)).collect()
}

#[test]
fn score_files_and_tables_are_the_official_ones_byte_for_byte() {
    let outcome = with_verdicts(run().path("results", fixture("result"))).run().unwrap();
    let (ours, official) = (files(&outcome.path("folder").join("score")), files(&fixture("score")));
    assert_eq!(ours.keys().collect::<Vec<_>>(), official.keys().collect::<Vec<_>>());
    for (name, text) in &official {
        for (ours, official) in ours[name].lines().zip(text.lines()) {
            assert_eq!(ours, official, "{name}");
        }
        assert_eq!(&ours[name], text, "{name}");
    }
    let results = files(&outcome.path("folder").join("result"));
    let sorted = |text: &String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for (name, text) in files(&fixture("result")) {
        assert_eq!(sorted(&results[&name]), sorted(&text), "{name}");
    }
    let scores = outcome.table::<ScoreRow>("scores");
    assert_eq!(scores.len(), results.values().map(|text| text.lines().count()).sum::<usize>());
    assert!(scores.iter().all(|row| row.correct == row.error.is_empty()));
    let counts = report(&outcome);
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let wrong = scores.iter().filter(|row| !row.correct).count() as f64;
    let mistakes = counts.iter().filter(|(name, _)| name.starts_with("mistakes."));
    assert_eq!(mistakes.map(|(_, count)| count).sum::<f64>(), wrong);
}

/// The official files stay as they are; what differs is listed with its reason.
#[test]
fn fair_verdicts_stand_beside_the_official_ones() {
    let official = run().path("results", fixture("result")).run().unwrap();
    let fair = run().path("results", fixture("result")).param("mode", "fair").run().unwrap();
    let (one, mut other) = (files(official.path("folder")), files(fair.path("folder")));
    let differences = other.remove("differences.jsonl").unwrap();
    assert_eq!(one, other);
    let correct = |outcome: &Outcome| -> BTreeMap<String, bool> {
        outcome.table::<ScoreRow>("scores").into_iter().map(|row| (row.sample_id, row.correct)).collect()
    };
    let (one, other) = (correct(&official), correct(&fair));
    let differing: Vec<&String> = one.keys().filter(|id| one[*id] != other[*id]).collect();
    let mut listed: Vec<String> = differences
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    listed.sort();
    assert!(!listed.is_empty());
    assert_eq!(listed.iter().collect::<Vec<_>>(), differing);
    let counts = report(&fair);
    let reasons = counts.iter().filter(|(name, _)| name.starts_with("fair.differences."));
    assert_eq!(reasons.map(|(_, count)| *count as usize).sum::<usize>(), listed.len());
    assert!(
        counts.contains_key("fair.summary.overall") && counts.contains_key("fair.simple_java.accuracy"),
        "{counts:?}"
    );
}

#[test]
fn episodes_without_a_verdict_are_kept_and_not_scored() {
    let outcome = run().path("results", fixture("result")).run().unwrap();
    let counts = report(&outcome);
    assert!(counts["unjudged.multi_turn_base"] > 0.0 && !counts.contains_key("multi_turn_base.samples"), "{counts:?}");
    let folder = files(outcome.path("folder"));
    assert!(folder.contains_key("result/noisy-a/multi_turn/BFCL_v4_multi_turn_base_result.json"));
    assert!(!folder.contains_key("score/noisy-a/multi_turn/BFCL_v4_multi_turn_base_score.json"));
    assert_eq!(counts["summary.multi_turn"], 0.0);
}

/// The answers as a table of `evaluate` lead to the same scores; what they cost is not known.
#[test]
fn tables_of_evaluate_are_answers_too() {
    let first = run().path("results", fixture("result")).param("categories", vec!["simple_java", "irrelevance"]).run();
    let first = first.unwrap();
    let mut rows = first.table::<ScoreRow>("scores");
    for row in &mut rows {
        row.completion = format!("<think>\nhm\n</think>\n\n{}", row.completion);
        (row.correct, row.error) = (false, String::new());
    }
    let half = rows.split_off(rows.len() / 2);
    let second = run().table("scores", "a", &rows).table("scores", "b", &half);
    let second = second.param("model", "noisy-a").param("reasoning", "split").run().unwrap();
    let (one, other) = (files(first.path("folder")), files(second.path("folder")));
    for (name, text) in one.iter().filter(|(name, _)| name.ends_with("_score.json") || name.contains("non_live")) {
        if !name.starts_with("result/") {
            assert_eq!(text, &other[name], "{name}");
        }
    }
    let overall = &other["score/data_overall.csv"];
    assert!(overall.ends_with(",N/A,N/A,,") && overall.contains(",noisy-a,,N/A,N/A,N/A,N/A,"), "{overall}");
    let line = other["result/noisy-a/non_live/BFCL_v4_irrelevance_result.json"].lines().next().unwrap();
    assert!(line.ends_with("\"reasoning_content\": \"hm\"}"), "{line}");
}

#[test]
fn mistakes_are_said() {
    let whole = || run().path("results", fixture("result"));
    // The excerpt's questions are all answered; without one answer the category is not whole.
    whole().param("partial", false).param("categories", vec!["simple_java"]).run().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8Path::from_path(folder.path()).unwrap();
    let results = files(&fixture("result"));
    let path = folder.join("other/non_live/BFCL_v4_simple_java_result.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = &results["noisy-a/non_live/BFCL_v4_simple_java_result.json"];
    let (first, rest) = text.split_once('\n').unwrap();
    fs::write(&path, rest).unwrap();
    let error = run().path("results", folder).param("partial", false).fails();
    assert!(error.contains("answers to `simple_java`: 1 of ") && error.contains("`partial = true`"), "{error}");
    fs::write(&path, format!("{first}\n{first}\n")).unwrap();
    let error = run().path("results", folder).fails();
    assert!(error.contains("twice"), "{error}");
    fs::write(&path, "{\"id\": \"simple_java_999\", \"result\": \"\"}").unwrap();
    let error = run().path("results", folder).fails();
    assert!(error.contains("answer `simple_java_999`: the benchmark's data has no such question"), "{error}");
    let error = whole().param("model", "nobody").fails();
    assert!(error.contains("the result folder has nothing of `nobody`; it has: noisy-a"), "{error}");
    let error = whole().param("categories", vec!["simple"]).fails();
    assert!(error.contains("`simple` is no category of BFCL"), "{error}");
    let error = run().param("model", "m").fails();
    assert!(error.contains("there are none to judge"), "{error}");
    let error =
        run().input("verdicts", "e", ArtifactType::File, b"{\"id\": \"multi_turn_base_0\", \"valid\": false}").fails();
    assert!(error.contains("input `e`, line 1: has no object `error`"), "{error}");
}

/// Scores a whole run; episodes are executed. `BFCL_RUN` has `result/` and its official `score/`, `BFCL_PACKAGE` is the folder
/// `bfcl_eval` of the installed package, `BFCL_PYTHON` the Python that has it.
fn whole_run() -> (Outcome, Utf8PathBuf) {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let folder = Utf8PathBuf::from(variable("BFCL_RUN"));
    let run =
        StageRun::new("score-bfcl").path("source", variable("BFCL_PACKAGE")).path("results", folder.join("result"));
    let run = run.param("python", variable("BFCL_PYTHON")).param("partial", true);
    (run.run_as_process().unwrap(), folder)
}

/// The run's official score files of most categories are kept by ids and kinds of mistakes only.
#[test]
#[ignore = "needs BFCL_RUN, BFCL_PACKAGE and BFCL_PYTHON: see whole_run"]
fn a_whole_run_is_scored_as_by_the_official_evaluator() {
    let (outcome, folder) = whole_run();
    let official = files(&folder.join("score"));
    let compact = |text: &str| -> Vec<(String, String)> {
        let line = |line: &str| {
            // Infinite numbers, which Python writes, are no JSON.
            let line = line.replace("Infinity", "0").replace("NaN", "0");
            let row: serde_json::Value = serde_json::from_str(&line).unwrap();
            let nested = row["error"]["error_type"].as_str().map(str::to_owned);
            let kind = row["error_type"].as_str().map(str::to_owned).or(nested);
            (row["id"].as_str().unwrap().to_owned(), kind.unwrap())
        };
        text.lines().skip(1).map(line).collect()
    };
    let ours = files(&outcome.path("folder").join("score"));
    let (mut whole, mut reduced) = (0, 0);
    for (name, text) in &official {
        if let Some(name) = name.strip_suffix("_score_compact.json") {
            let ours = &ours[&format!("{name}_score.json")];
            assert_eq!(ours.lines().next(), text.lines().next(), "{name}");
            assert_eq!(compact(ours), compact(text), "{name}");
            reduced += 1;
        } else {
            assert_eq!(&ours[name], text, "{name}");
            whole += 1;
        }
    }
    assert!(whole >= 6 && reduced > 0, "{whole} files are equal, {reduced} by ids and mistakes");
}

/// Every score file and table of the whole run, byte for byte.
#[test]
#[ignore = "needs BFCL_RUN, BFCL_PACKAGE and BFCL_PYTHON: see whole_run"]
fn the_official_evaluator_says_the_same_of_our_folder() {
    let (outcome, _) = whole_run();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/bfcl/official_evaluate.py");
    let mut command = std::process::Command::new(std::env::var("BFCL_PYTHON").unwrap());
    let output = command.arg(script).arg(outcome.path("folder")).arg("--partial").env("TZ", "UTC").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn episodes_need_the_classes_and_a_python() {
    let asked = |source: Utf8PathBuf, python: &str| {
        let run = run().path("source", source).path("results", fixture("result")).param("python", python);
        run.param("categories", vec!["multi_turn_base"]).fails()
    };
    let folder = tempfile::tempdir().unwrap();
    let bare = Utf8Path::from_path(folder.path()).unwrap().join("data");
    let copied = std::process::Command::new("cp").arg("-r").args([fixture("data").as_str(), bare.as_str()]).status();
    assert!(copied.unwrap().success());
    fs::remove_dir_all(bare.join("eval_checker")).unwrap();
    insta::assert_snapshot!(asked(bare, "python3"), @r#"path:data: holds no API classes (`eval_checker/multi_turn_eval/func_source_code`) to run calls in; take the package as a whole: `member = "bfcl_eval"`"#);
    let missing = asked(fixture("data"), "no-such-python");
    assert!(missing.contains("parameter `python`") && missing.contains("no-such-python"), "{missing}");
}
