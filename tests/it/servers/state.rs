//! End states: what counts, what does not, and what a difference reads like.

use serde_json::{Value, json};
use toolexpander::{
    servers::{Servers, Setup, state::EndState},
    tools::Call,
};

use super::support::{call, launcher, shell_suite};

/// Runs calls with a setup and compares.
fn end(compare: &Value, setup: &Value, calls: &[Call]) -> EndState {
    let suite = shell_suite(json!({ "compare": compare, "setup": setup }));
    Servers::open(&[suite], &launcher(), 1).unwrap().run(calls, &Setup::default()).unwrap().end
}

fn write(path: &str, text: &str) -> Call {
    call("write", json!({ "path": path, "text": text }))
}

#[test]
fn trees_compare_by_paths_kinds_and_contents() {
    let compare = json!([{ "tree": ".", "exclude": ["log.txt"] }]);
    let setup = json!({ "files": { "a.txt": "one", "b/c.txt": "two" }, "folders": ["d"] });
    let start = end(&compare, &setup, &[]);
    assert!(start.differences(&end(&compare, &setup, &[write("log.txt", "noise")]), 9).is_empty());
    let changed = end(&compare, &setup, &[write("a.txt", "uno!"), write("d/new", "")]);
    let lines = start.differences(&changed, 9);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("tree .: `a.txt` is a file of 4 bytes ("), "{}", lines[0]);
    assert!(lines[1].starts_with("tree .: `d/new` should not be there: a file of 0 bytes ("), "{}", lines[1]);
    assert_eq!(changed.differences(&start, 1).last().unwrap(), "… and 1 more");
    // A state is a plain value.
    let text = serde_json::to_string(&start).unwrap();
    assert_eq!(serde_json::from_str::<EndState>(&text).unwrap(), start);
}

#[test]
fn sqlite_files_compare_by_schema_and_rows() {
    let compare = json!([{ "sqlite": "shop.db" }]);
    let with = |script: &str| end(&compare, &json!({ "sqlite": { "shop.db": script } }), &[]);
    let table = "CREATE TABLE t(id INTEGER PRIMARY KEY, price, note TEXT);";
    let left = with(&format!("{table} INSERT INTO t VALUES (1, 2, 'a'), (2, 0.5, NULL), (3, x'00ff', 'c');"));
    // Another order of writing, a deleted row, white space in the schema: equal.
    let spaced = table.replace(", ", ",\n   ");
    let rows = "INSERT INTO t VALUES (9, 9, 'x'), (3, x'00ff', 'c'), (2, 0.5, NULL), (1, 2.0, 'a'); DELETE FROM t WHERE id = 9;";
    let same = with(&format!("{spaced} {rows}"));
    assert_eq!(left.differences(&same, 9), Vec::<String>::new());
    let other = with(&format!(
        "{table} CREATE INDEX i ON t(price); INSERT INTO t VALUES (1, 3, 'a'), (2, 0.5, NULL), (3, x'00ff', 'c');"
    ));
    assert_eq!(
        left.differences(&other, 9),
        [
            "sqlite shop.db: index i should not be there",
            r#"sqlite shop.db: table t: row missing: [1,2,"a"]"#,
            r#"sqlite shop.db: table t: row should not be there: [1,3,"a"]"#,
        ]
    );
}

#[test]
fn json_compares_as_python_does() {
    let compare = json!([{ "json": "state.json" }, { "tree": "." }]);
    let with = |text: &str| end(&compare, &json!({ "files": { "state.json": text } }), &[]);
    let left = with(r#"{"a": 1, "b": [true, {"c": "x"}]}"#);
    // The file's bytes do not count where its value does.
    assert_eq!(left.differences(&with(r#"{"b":[1.0,{"c":"x"}],"a":1.0}"#), 9), Vec::<String>::new());
    let lines = left.differences(&with(r#"{"a": 2, "b": [true, {"c": "y"}], "d": null}"#), 9);
    assert_eq!(
        lines,
        [
            "json state.json: at `/a`: is 2, not 1",
            r#"json state.json: at `/b/1/c`: is "y", not "x""#,
            "json state.json: `d` should not be there: null",
        ]
    );
    // One value a line, as logs are written.
    let log = with("{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(log.differences(&with("{\"a\":1}\n{\"a\":3}\n"), 9), ["json state.json: at `/1/a`: is 3, not 2"]);
    let missing = end(&compare, &json!({}), &[]);
    assert_eq!(left.differences(&missing, 9), ["json state.json: is missing"]);
}

#[test]
fn what_a_program_puts_in_the_way_is_not_followed() {
    let suite = shell_suite(json!({ "compare": [{ "tree": "." }, { "json": "state.json" }] }));
    let servers = Servers::open(&[suite], &launcher(), 1).unwrap();
    let mut episode = servers.episode(&Setup::default()).unwrap();
    let mut link = |path: &str, to: &str| {
        let outcome = episode.call(&call("link", json!({ "path": path, "text": to })));
        assert!(outcome.succeeded(), "{}", outcome.text);
        episode.end_state()
    };
    let text = serde_json::to_string(&link("etc", "/etc").unwrap()).unwrap();
    assert!(text.contains(r#""etc":{"link":{"target":"/etc"}}"#) && !text.contains("passwd"), "{text}");
    let error = link("state.json", "/etc/passwd").unwrap_err();
    assert_eq!(error.to_string(), "failed to read the end state of `json state.json`");
}

#[test]
#[ignore = "needs the program git"]
fn git_repositories_compare_without_dates() {
    let compare = json!([{ "git": "repo" }]);
    let setup = json!({ "files": { "repo/a.txt": "one" }, "git": ["repo"] });
    let left = end(&compare, &setup, &[]);
    assert_eq!(left.differences(&end(&compare, &setup, &[]), 9), Vec::<String>::new());
    let other = end(&compare, &json!({ "files": { "repo/a.txt": "two" }, "git": ["repo"] }), &[]);
    let lines = left.differences(&other, 9);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("git repo: refs/heads/main is at ") && lines[0].contains("(start)"), "{}", lines[0]);
    assert_eq!(lines[1], "git repo: another version of `a.txt` is staged");
    let none = end(&compare, &json!({}), &[]);
    assert_eq!(left.differences(&none, 9), ["git repo: is missing"]);
}
