//! Servers that others wrote, as they are installed.
//!
//! They are looked for in the folder that `TOOL_SERVERS` names, made like this:
//!
//! ```sh
//! mkdir tool-servers && cd tool-servers
//! npm install @modelcontextprotocol/server-filesystem @modelcontextprotocol/server-everything @modelcontextprotocol/server-memory
//! python3 -m venv .venv && .venv/bin/pip install mcp-server-time mcp-server-git mcp-server-sqlite 'mcp<2'
//! export TOOL_SERVERS=$PWD; cd -; cargo test --release third_party -- --ignored
//! ```

use std::sync::Arc;

use serde_json::{Value, json};
use toolexpander::{
    sandbox::{Policy, Sandbox},
    servers::{FailureKind, Launcher, Servers, Setup, SuiteSpec, Trace},
    tools::Call,
};

use super::support::{call, shell_server};

fn opened(suite: Value) -> Servers {
    opened_all(json!([suite]))
}

fn opened_all(suites: Value) -> Servers {
    let folder = std::env::var("TOOL_SERVERS").expect("TOOL_SERVERS names the folder with the installed servers");
    // Node reserves more memory than it uses.
    let limits = Policy { memory_bytes: 2 << 30, ..Policy::new("/", "/") };
    let launcher = Launcher::new(Arc::new(Sandbox::new(env!("CARGO_BIN_EXE_pipeline"))), limits, folder);
    let suites: Vec<SuiteSpec> = serde_json::from_value(suites).unwrap();
    Servers::open(&suites, &launcher, 2).unwrap()
}

fn run(servers: &Servers, calls: &[Call]) -> Trace {
    servers.run(calls, &Setup::default()).unwrap()
}

/// Runs calls twice: both times the same must come out, and nothing of the first time may be left at the second.
fn run_twice(servers: &Servers, calls: &[Call]) -> Trace {
    let (first, second) = (run(servers, calls), run(servers, calls));
    assert_eq!(first.end.differences(&second.end, 9), Vec::<String>::new());
    for (index, (left, right)) in first.outcomes.iter().zip(&second.outcomes).enumerate() {
        assert!(left.same_result(right), "call {index}: {left:?} and {right:?}");
    }
    second
}

fn texts(trace: &Trace) -> Vec<&str> {
    trace.outcomes.iter().map(|outcome| outcome.text.as_str()).collect()
}

#[test]
#[ignore = "needs npm servers"]
fn filesystem() {
    let servers = opened(json!({
        "mcp": ["npx", "@modelcontextprotocol/server-filesystem", "{workdir}"],
        "setup": { "files": { "notes/a.txt": "one\ntwo\n" } },
    }));
    let trace = run_twice(
        &servers,
        &[
            call("read_text_file", json!({ "path": "/workspace/notes/a.txt" })),
            call("write_file", json!({ "path": "/workspace/b.txt", "content": "new" })),
            call("move_file", json!({ "source": "/workspace/notes/a.txt", "destination": "/workspace/c.txt" })),
            call("read_text_file", json!({ "path": "/etc/passwd" })),
            call("write_file", json!({ "path": "/workspace/d.txt" })),
            Call::new("list_allowed_directories", []),
        ],
    );
    let failures: Vec<_> = trace.outcomes.iter().map(|outcome| outcome.failure).collect();
    assert_eq!(
        failures,
        [None, None, None, Some(FailureKind::Tool), Some(FailureKind::Refused), None],
        "{:?}",
        texts(&trace)
    );
    assert_eq!(trace.outcomes[0].text, "one\ntwo\n");
    assert!(trace.outcomes[5].text.ends_with("/workspace"), "{}", trace.outcomes[5].text);
    let lines = run(&servers, &[]).end.differences(&trace.end, 9);
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
#[ignore = "needs npm servers"]
fn everything() {
    let servers = opened(json!({ "mcp": ["npx", "-y", "@modelcontextprotocol/server-everything"], "state": "none" }));
    let trace = run_twice(
        &servers,
        &[
            call("echo", json!({ "message": "hi" })),
            call("get-sum", json!({ "a": 2, "b": 3 })),
            call("get-structured-content", json!({ "location": "New York" })),
            call("get-tiny-image", json!({})),
            call("get-sum", json!({ "a": "x" })),
        ],
    );
    let texts = texts(&trace);
    assert_eq!(texts[..2], ["Echo: hi", "The sum of 2 and 3 is 5."]);
    assert!(trace.outcomes[2].structured.is_some(), "{}", texts[2]);
    assert!(texts[3].contains("[image image/png, "), "{}", texts[3]);
    assert_eq!(trace.outcomes[4].failure, Some(FailureKind::Refused));
}

#[test]
#[ignore = "needs npm servers"]
fn memory() {
    let servers = opened(json!({
        "mcp": ["npx", "@modelcontextprotocol/server-memory"],
        "env": { "MEMORY_FILE_PATH": "{workdir}/memory.json" },
        "compare": [{ "json": "memory.json" }, { "tree": "." }],
    }));
    let entity = json!({ "name": "Ada", "entityType": "person", "observations": ["writes programs"] });
    let trace = run_twice(
        &servers,
        &[
            call("create_entities", json!({ "entities": [entity] })),
            call("add_observations", json!({ "observations": [{ "entityName": "Ada", "contents": ["likes maths"] }] })),
            call("read_graph", json!({})),
        ],
    );
    assert!(trace.outcomes.iter().all(|outcome| outcome.succeeded()), "{:?}", texts(&trace));
    let end = serde_json::to_value(&trace.end).unwrap();
    assert_eq!(end["json memory.json"]["json"]["observations"], json!(["writes programs", "likes maths"]));
    assert_eq!(end["tree ."]["tree"], json!({}));
}

#[test]
#[ignore = "needs PyPI servers"]
fn time() {
    let servers = opened(json!({ "mcp": ["uvx", "mcp-server-time"], "state": "none" }));
    let trace = run(
        &servers,
        &[
            call(
                "convert_time",
                json!({ "source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo" }),
            ),
            call(
                "convert_time",
                json!({ "source_timezone": "Nowhere/Land", "time": "12:00", "target_timezone": "Asia/Tokyo" }),
            ),
        ],
    );
    assert_eq!(trace.outcomes[0].value()["target"]["timezone"], "Asia/Tokyo");
    assert_eq!(trace.outcomes[1].failure, Some(FailureKind::Tool));
}

#[test]
#[ignore = "needs PyPI servers"]
fn git() {
    // Two suites in one folder: one writes, the other commits.
    let servers = opened_all(json!([
        { "mcp": shell_server(&[]), "allow": ["write"], "compare": [{ "tree": "repo" }] },
        {
            "mcp": ["uvx", "mcp-server-git", "--repository", "{workdir}/repo"],
            "setup": { "files": { "repo/a.txt": "one\n" }, "git": ["repo"] },
            "compare": [{ "git": "repo" }],
        },
    ]));
    let repo = "/workspace/repo";
    let trace = run_twice(
        &servers,
        &[
            call("git_create_branch", json!({ "repo_path": repo, "branch_name": "topic" })),
            call("git_checkout", json!({ "repo_path": repo, "branch_name": "topic" })),
            call("write", json!({ "path": "/workspace/repo/b.txt", "text": "new" })),
            call("git_add", json!({ "repo_path": repo, "files": ["b.txt"] })),
            call("git_status", json!({ "repo_path": repo })),
        ],
    );
    assert!(trace.outcomes.iter().all(|outcome| outcome.succeeded()), "{:?}", texts(&trace));
    let lines = run(&servers, &[]).end.differences(&trace.end, 9);
    assert_eq!(lines[0], "git repo: HEAD is refs/heads/topic, not refs/heads/main");
    assert_eq!(lines[2], "git repo: `b.txt` should not be staged");
    // What a commit says holds its date, but the state does not.
    let mut calls = vec![call("write", json!({ "path": "/workspace/repo/b.txt", "text": "new" }))];
    calls.push(call("git_add", json!({ "repo_path": repo, "files": ["b.txt"] })));
    calls.push(call("git_commit", json!({ "repo_path": repo, "message": "add b" })));
    let (first, second) = (run(&servers, &calls), run(&servers, &calls));
    assert_eq!(first.end.differences(&second.end, 9), Vec::<String>::new());
    let lines = run(&servers, &[]).end.differences(&first.end, 9);
    assert!(lines[0].starts_with("git repo: refs/heads/main is at ") && lines[0].contains("(add b)"), "{lines:?}");
}

#[test]
#[ignore = "needs PyPI servers"]
fn sqlite() {
    let servers = opened(json!({
        "mcp": ["uvx", "mcp-server-sqlite", "--db-path", "{workdir}/shop.db"],
        "setup": { "sqlite": { "shop.db": "CREATE TABLE items(name TEXT, price REAL); INSERT INTO items VALUES ('milk', 1.5);" } },
        "compare": [{ "sqlite": "shop.db" }],
    }));
    let trace = run_twice(
        &servers,
        &[
            call("write_query", json!({ "query": "INSERT INTO items VALUES ('bread', 2)" })),
            call("read_query", json!({ "query": "SELECT count(*) AS n FROM items" })),
            call("read_query", json!({ "query": "DROP TABLE items" })),
        ],
    );
    assert_eq!(trace.outcomes[1].text, "[{'n': 2}]");
    let lines = run(&servers, &[]).end.differences(&trace.end, 9);
    assert_eq!(lines, [r#"sqlite shop.db: table items: row should not be there: ["bread",2.0]"#]);
}
