//! Sandboxed tool calls per second with warm servers, two episodes at a time.
//!
//! `cargo bench --bench tool_calls` measures the shell server of the tests; with `TOOL_SERVERS=FOLDER` (made as
//! `tests/it/servers/third_party.rs` says) also servers in Node and Python. Each figure is of whole calls: the check of the
//! arguments, the request, the tool's work, the answer. The second column begins an episode with a fresh folder for every 10 calls.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and fails where it cannot go on"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use toolexpander::{
    sandbox::{Policy, Sandbox},
    servers::{Launcher, Servers, Setup},
    tools::Call,
};

const THREADS: usize = 2;
const TIME: Duration = Duration::from_secs(2);

fn measure(servers: &Servers, call: &Call, calls_per_episode: usize) -> f64 {
    let begin = Instant::now();
    let made: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut made = 0;
                    while begin.elapsed() < TIME {
                        let mut episode = servers.episode(&Setup::default()).unwrap();
                        for _ in 0..calls_per_episode {
                            if begin.elapsed() >= TIME {
                                break;
                            }
                            let outcome = episode.call(call);
                            assert!(outcome.succeeded(), "{}", outcome.text);
                            made += 1;
                        }
                    }
                    made
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are small")]
    let made = made as f64;
    made / begin.elapsed().as_secs_f64()
}

fn main() {
    let root = env!("CARGO_MANIFEST_DIR");
    let call = |name: &str, arguments: Value| Call {
        name: name.to_owned(),
        arguments: arguments.as_object().unwrap().clone(),
    };
    let shell = format!("{root}/tests/it/servers/shell_server.sh");
    let mut suites = vec![("shell: echo", json!({ "mcp": ["sh", shell] }), call("echo", json!({ "text": "hi" })))];
    let folder = std::env::var("TOOL_SERVERS").ok();
    if folder.is_some() {
        let server = |name: &str| format!("@modelcontextprotocol/server-{name}");
        let zones = json!({ "source_timezone": "Europe/Berlin", "time": "12:00", "target_timezone": "Asia/Tokyo" });
        suites.extend([
            (
                "node: filesystem read_text_file",
                json!({ "mcp": ["npx", server("filesystem"), "{workdir}"], "setup": { "files": { "a.txt": "one" } } }),
                call("read_text_file", json!({ "path": "/workspace/a.txt" })),
            ),
            (
                "node: everything echo",
                json!({ "mcp": ["npx", server("everything")], "state": "none" }),
                call("echo", json!({ "message": "hi" })),
            ),
            (
                "python: time convert_time",
                json!({ "mcp": ["uvx", "mcp-server-time"], "state": "none" }),
                call("convert_time", zones),
            ),
            (
                "python: sqlite read_query",
                json!({
                    "mcp": ["uvx", "mcp-server-sqlite", "--db-path", "{workdir}/a.db"],
                    "setup": { "sqlite": { "a.db": "CREATE TABLE t(x); INSERT INTO t VALUES (1);" } },
                }),
                call("read_query", json!({ "query": "SELECT x FROM t" })),
            ),
        ]);
    }
    let limits = Policy { memory_bytes: 2 << 30, cpu: Duration::from_secs(60), ..Policy::new("/", "/") };
    let launcher = Launcher::new(
        Arc::new(Sandbox::new(env!("CARGO_BIN_EXE_pipeline"))),
        limits,
        folder.unwrap_or_else(|| root.to_owned()),
    );
    for (name, suite, call) in suites {
        let servers = Servers::open(&[serde_json::from_value(suite).unwrap()], &launcher, THREADS).unwrap();
        measure(&servers, &call, 1);
        let (long, short) = (measure(&servers, &call, usize::MAX), measure(&servers, &call, 10));
        println!("{name:34} {long:8.0} calls/s {short:8.0} calls/s with a fresh folder for every 10");
    }
}
