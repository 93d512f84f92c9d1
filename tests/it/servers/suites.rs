//! Suites as stages use them: descriptions, fresh state, warm servers, replaced servers.

use std::{collections::BTreeSet, sync::Arc, thread};

use serde_json::{Value, json};
use toolexpander::{
    servers::{Expectation, FailureKind, Servers, Setup, SuiteSpec},
    tools::Call,
};

use super::support::{call, launcher, shell_server, shell_suite};

fn opened(more: Value) -> Servers {
    Servers::open(&[shell_suite(more)], &launcher(), 2).unwrap()
}

fn text(servers: &Servers, name: &str) -> String {
    servers.episode(&Setup::default()).unwrap().call(&Call::new(name, [])).text
}

fn write(path: &str, text: &str) -> Call {
    call("write", json!({ "path": path, "text": text }))
}

#[test]
fn descriptions_are_read_and_written() {
    let read = |text: &str| toml::from_str::<SuiteSpec>(text);
    let spec = read(
        "mcp = [\"npx\", \"server\", \"{workdir}\"]\nallow = [\"a\"]\nstate = \"process\"\nsetup.files.\"x/y.txt\" = \"hi\"\ncompare = [{ json = \"m.json\" }]\n",
    );
    let spec = spec.unwrap();
    assert_eq!(serde_json::from_value::<SuiteSpec>(serde_json::to_value(&spec).unwrap()).unwrap(), spec);
    for (text, expected) in [
        ("", "a tool suite has either `mcp = [\"program\", …]` or `openapi = \"file or URL\"`"),
        ("mcp = [\"a\"]\nopenapi = \"b\"", "a tool suite has either"),
        ("mcp = []", "`mcp` is empty"),
        ("mcp = [\"a\"]\nbase-url = \"x\"", "`base-url` goes with `openapi`"),
        ("openapi = \"a\"\nstate = \"none\"", "`state` goes with `mcp`"),
        ("mcp = [\"a\"]\nallow = []", "`allow` is empty"),
        ("mcp = [\"a\"]\nallwo = [\"b\"]", "unknown field `allwo`"),
        ("mcp = [\"a\"]\nstate = \"forever\"", "unknown variant `forever`"),
        ("mcp = [\"a\"]\ncall-timeout-seconds = 0", "`call-timeout-seconds` is 0"),
        ("mcp = [\"a\"]\nsetup.files.\"../x\" = \"\"", "`../x` must be a path inside the private folder"),
        ("mcp = [\"a\"]\ncompare = [{ sqlite = \"/etc/x.db\" }]", "`/etc/x.db` must be a path inside"),
        ("mcp = [\"a\"]\ncompare = [{ sqlite = \"a\", json = \"b\" }]", "exactly one of"),
        ("mcp = [\"a\"]\nstate = \"none\"\nsetup.files.x = \"\"", "`setup` has no folder to look at"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_folder_is_fresh_for_each_episode_and_the_server_stays() {
    let servers = opened(json!({ "setup": { "files": { "a.txt": "start" } } }));
    let run = |calls: &[Call], setup: &Setup| servers.run(calls, setup).unwrap();
    let start = run(&[], &Setup::default());
    let read = call("read", json!({ "path": "a.txt" }));
    let changed = run(&[write("a.txt", "changed"), write("b.txt", "new"), read.clone()], &Setup::default());
    assert_eq!(changed.outcomes[2].text, "changed");
    let again = run(std::slice::from_ref(&read), &Setup::default());
    assert_eq!(again.outcomes[0].text, "start");
    assert_eq!(again.end, start.end);
    // A sample's own files come on top.
    let own: Setup = serde_json::from_value(json!({ "files": { "a.txt": "own" } })).unwrap();
    assert_eq!(run(&[read], &own).outcomes[0].text, "own");
    // One server did it all: its memory goes on.
    assert_eq!(text(&servers, "count"), "1");
    assert_eq!(text(&servers, "count"), "2");
}

#[test]
fn memory_is_fresh_where_a_suite_says_so() {
    let servers = opened(json!({ "state": "process" }));
    for _ in 0..4 {
        let mut episode = servers.episode(&Setup::default()).unwrap();
        assert_eq!(episode.call(&Call::new("count", [])).text, "1");
        assert_eq!(episode.call(&Call::new("count", [])).text, "2");
    }
}

#[test]
fn servers_that_keep_nothing_are_shared() {
    let servers = opened(json!({ "state": "none" }));
    assert_eq!(text(&servers, "count"), "1");
    assert_eq!(text(&servers, "count"), "2");
    let own: Setup = serde_json::from_value(json!({ "files": { "a.txt": "own" } })).unwrap();
    assert!(servers.episode(&own).unwrap_err().to_string().contains("failed to set up"));
}

#[test]
fn models_see_one_folder_name() {
    let servers = opened(json!({}));
    assert_eq!(servers.tools()[1].description, "Writes a file below /workspace.");
    let trace = servers
        .run(&[write("/workspace/x.txt", "hi"), call("read", json!({ "path": "x.txt" }))], &Setup::default())
        .unwrap();
    assert_eq!(trace.outcomes[0].text, "wrote /workspace/x.txt");
    assert_eq!(trace.outcomes[1].text, "hi");
}

#[test]
fn failures_are_told_apart_and_servers_replaced() {
    let servers = opened(json!({ "call-timeout-seconds": 0.5 }));
    let mut episode = servers.episode(&Setup::default()).unwrap();
    assert!(episode.call(&write("kept.txt", "x")).succeeded());
    for (name, expected) in [
        ("fail", FailureKind::Tool),
        ("refuse", FailureKind::Protocol),
        ("die", FailureKind::Server),
        ("lie", FailureKind::Server),
        ("broken", FailureKind::Server),
        ("hang", FailureKind::Timeout),
        ("nothing", FailureKind::Refused),
        ("echo", FailureKind::Refused),
    ] {
        let outcome = episode.call(&Call::new(name, []));
        assert_eq!(outcome.failure, Some(expected), "{name}: {}", outcome.text);
    }
    // The next call finds a new server in the same folder.
    assert_eq!(episode.call(&call("read", json!({ "path": "kept.txt" }))).text, "x");
    assert_eq!(episode.call(&Call::new("count", [])).text, "1");
}

#[test]
fn a_server_cannot_write_outside_its_folder() {
    let servers = opened(json!({}));
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("escaped");
    let mut episode = servers.episode(&Setup::default()).unwrap();
    let outcome = episode.call(&write(path.to_str().unwrap(), "x"));
    assert_eq!(outcome.failure, Some(FailureKind::Tool), "{}", outcome.text);
    // Where there are namespaces this lands in a private `/tmp`.
    let name = format!("escaped-{}", std::process::id());
    episode.call(&write(&format!("/workspace/../../{name}"), "x"));
    assert!(!path.exists() && !std::env::temp_dir().join(name).exists());
}

#[test]
fn episodes_run_side_by_side_and_do_not_meet() {
    let servers = Arc::new(opened(json!({})));
    let threads: Vec<_> = (0..4)
        .map(|number: i32| {
            let servers = Arc::clone(&servers);
            thread::spawn(move || {
                for round in 0..5 {
                    let word = format!("{number}-{round}");
                    let trace =
                        servers.run(&[write("a", &word), call("read", json!({ "path": "a" }))], &Setup::default());
                    assert_eq!(trace.unwrap().outcomes[1].text, word);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn suites_share_a_folder_and_names_are_kept_apart() {
    let prefixed = || shell_suite(json!({ "prefix": "second_", "allow": ["read"] }));
    let servers =
        Servers::open(&[shell_suite(json!({ "allow": ["write", "read"] })), prefixed()], &launcher(), 1).unwrap();
    let names: BTreeSet<&str> = servers.tools().iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["write", "read", "second_read"]));
    let trace =
        servers.run(&[write("a", "shared"), call("second_read", json!({ "path": "a" }))], &Setup::default()).unwrap();
    assert_eq!(trace.outcomes[1].text, "shared");
    let error = Servers::open(&[prefixed(), prefixed()], &launcher(), 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "two suites have a tool named `second_read`: give one of them a `prefix`, or leave the tool out with `allow`"
    );
    let error = Servers::open(&[shell_suite(json!({ "allow": ["raed"] }))], &launcher(), 1).unwrap_err().to_string();
    assert!(
        error
            .starts_with("`allow` names `raed`, but the suite has no such tool (did you mean `read`?); it has: echo, "),
        "{error}"
    );
    let error =
        Servers::open(&[serde_json::from_value(json!({ "mcp": shell_server(&["die"]) })).unwrap()], &launcher(), 1);
    assert!(error.unwrap_err().to_string().contains("its stderr ends: no such database"));
}

#[test]
fn traces_are_compared_with_expectations() {
    let servers = opened(json!({}));
    let gold = servers.run(&[write("a", "1"), Call::new("structured", [])], &Setup::default()).unwrap();
    let expectation: Expectation =
        serde_json::from_value(serde_json::to_value(Expectation::of(&gold)).unwrap()).unwrap();
    let same = servers.run(&[write("a", "1"), Call::new("structured", [])], &Setup::default()).unwrap();
    let comparison = expectation.compare(&same, 9);
    assert!(comparison.results_equal && comparison.state_equal, "{comparison:?}");
    let other = servers.run(&[write("b", "1"), Call::new("fail", [])], &Setup::default()).unwrap();
    let comparison = expectation.compare(&other, 9);
    assert!(!comparison.results_equal && !comparison.state_equal);
    assert_eq!(comparison.differences[0], "call 1 gives `wrote b`, not `wrote a`");
    assert_eq!(comparison.differences[1], "call 2 gives a failure (Tool): it did not work, not ``");
    assert!(comparison.differences[2].starts_with("tree .: `a` is missing: a file of 1 bytes ("), "{comparison:?}");
}
