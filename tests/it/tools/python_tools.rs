//! `stages/shared/python_tools.py`, asked by lines of JSON as any client of the protocol would.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use toolexpander::tools::bfcl::multi_turn::world::{Outcome, Run, Worlds};

/// A server of this test's own: no sandbox, no client, only pipes.
pub struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    id: u64,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var("PIPELINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut child = Command::new(python)
            .arg("-B")
            .arg(root.join("stages/shared/python_tools.py"))
            .args(arguments)
            .env("PYTHONPATH", root.join("tests/fixtures/tools"))
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out, id: 0 }
    }

    fn line(&mut self, line: &str) -> Value {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        self.out.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let message = json!({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params});
        let answer = self.line(&message.to_string());
        assert_eq!(answer["id"], self.id);
        answer
    }

    /// Runs one step in a fresh world and returns the results.
    fn results(&mut self, calls: &[&str]) -> Vec<String> {
        let run = json!({"world": "w", "open": {"classes": ["Counter"], "label": "w"}, "steps": [calls]});
        let answer = self.ask("tools/call", &json!({"name": "world_run", "arguments": {"runs": [run]}}));
        serde_json::from_value(answer["result"]["structuredContent"]["runs"][0]["results"][0].clone()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Worlds for Server {
    type Error = Refused;

    fn run(&mut self, runs: &[Run<'_>]) -> Result<Vec<Outcome>, Refused> {
        let mut answer = self.ask("tools/call", &json!({"name": "world_run", "arguments": {"runs": runs}}));
        match answer.get("error") {
            Some(error) => Err(Refused(error.to_string())),
            None => Ok(serde_json::from_value(answer["result"]["structuredContent"]["runs"].take()).unwrap()),
        }
    }
}

#[test]
#[ignore = "needs python3"]
fn any_class_is_served() {
    let mut server = Server::start(&["counter:Counter"]);
    let greeting = server.ask("initialize", &json!({"protocolVersion": "2025-06-18"}));
    assert_eq!(greeting["result"]["protocolVersion"], "2025-06-18");
    let listed = server.ask("tools/list", &json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["world_run", "add", "forever", "forget", "note", "shout"]);
    assert_eq!(
        tools[1],
        json!({
            "name": "add",
            "description": "Adds an amount.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "amount": {"type": "integer"},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null}
                },
                "required": ["amount"],
                "additionalProperties": false
            }
        })
    );
    let mut call = |params: Value| server.ask("tools/call", &params)["result"].clone();
    let text = |text: &str, failed: bool| json!({"content": [{"type": "text", "text": text}], "isError": failed});
    assert_eq!(call(json!({"name": "add", "arguments": {"amount": 2}})), text(r#"{"total": 2}"#, false));
    assert_eq!(call(json!({"name": "add", "arguments": {"amount": 2}})), text(r#"{"total": 4}"#, false));
    assert_eq!(call(json!({"name": "shout", "arguments": {"text": "é"}})), text("É", false));
    let missing = "Error during execution: Counter.shout() missing 1 required positional argument: 'text'";
    assert_eq!(call(json!({"name": "shout"})), text(missing, true));
}

#[test]
#[ignore = "needs python3"]
fn worlds_are_apart_and_tell_their_state() {
    let mut server = Server::start(&["counter:Counter"]);
    let open = |total: i64| json!({"classes": ["Counter"], "config": {"Counter": {"total": total}}});
    let runs = json!([
        {"world": "a", "open": open(1), "steps": [["add(1)"], ["add(amount=2, note='x')", "forget([1])"]]},
        {"world": "b", "open": open(9), "observe": "digest"},
        {"world": "a", "steps": [["note('mine')"]], "observe": "state", "close": true},
        {"world": "b", "steps": [["note('own')"]]},
        {"world": "c", "open": open(0), "steps": [["note('new')"]]},
    ]);
    let answer = server.ask("tools/call", &json!({"name": "world_run", "arguments": {"runs": runs}}));
    let told = &answer["result"]["structuredContent"]["runs"];
    assert_eq!(told[0]["results"], json!([["{\"total\": 2}"], ["{\"total\": 4}", "None"]]));
    assert_eq!(told[1]["digest"].as_str().unwrap().len(), 64);
    assert_eq!(
        told[2]["state"],
        json!({"Counter": {"total": 4, "seen": [{"__tuple__": [2, "x"]}], "notes": ["common", "mine"]}})
    );
    // What the class's module holds is nobody's.
    assert_eq!(told[3]["results"], json!([["['common', 'own']"]]));
    assert_eq!(told[4]["results"], json!([["['common', 'new']"]]));
    let closed = json!({"name": "world_run", "arguments": {"runs": [{"world": "a"}]}});
    assert_eq!(server.ask("tools/call", &closed)["error"]["message"], "no world `a` is open");
}

#[test]
#[ignore = "needs python3"]
fn texts_of_calls_are_interpreted_and_never_evaluated() {
    let mut server = Server::start(&["--call-seconds", "0.2", "counter:Counter"]);
    let error = |text: &str| format!("Error during execution: {text}");
    let cases = [
        ("len('abc') + 1/2", "3.5".to_owned()),
        ("'text'", "text".to_owned()),
        ("shout(text=str(1 + 1) + shout('a'))", "2A".to_owned()),
        ("shout('see (this) add (x)')", "SEE(THIS) W_COUNTER_INSTANCE.ADD(X)".to_owned()),
        ("add(1", error("'(' was never closed (<string>, line 1)")),
        ("add(amount=1, amount=2)", error("keyword argument repeated: amount (<string>, line 1)")),
        ("nothing()", error("name 'nothing' is not defined")),
        ("Counter.add(1)", error("name 'Counter' is not defined")),
        ("exit()", error("Function call exit is not allowed.")),
        ("1/0", error("division by zero")),
        ("__import__('os').system('true')", error("`__import__` is not for calls")),
        ("open('/etc/passwd').read()", error("`open` is not for calls")),
        ("().__class__", error("the attribute `__class__` is not evaluated")),
        ("add._calls", error("name 'add' is not defined")),
        ("(lambda: 1)()", error("Lambda is not evaluated")),
        ("10**10**9", error("an integer of more than 100000 bits is not made")),
        ("'a' * 10**9", error("a sequence of more than 10000000 elements is not made")),
        ("forever()", error("the call took too long")),
    ];
    let calls: Vec<&str> = cases.iter().map(|(call, _)| *call).collect();
    let results = server.results(&calls);
    for ((call, expected), result) in cases.iter().zip(&results) {
        assert_eq!(result, expected, "{call}");
    }
}

#[test]
#[ignore = "needs python3"]
fn what_is_no_request_is_answered_with_an_error() {
    let mut server = Server::start(&["counter:Counter"]);
    assert_eq!(server.line("nonsense")["error"]["code"], -32700);
    assert_eq!(server.line("[]")["error"]["code"], -32600);
    assert_eq!(server.ask("tools/call", &json!({"name": "nothing"}))["error"]["code"], -32602);
    assert_eq!(server.ask("tools/call", &json!({"name": "world_run"}))["error"]["code"], -32602);
    assert_eq!(server.ask("resources/list", &json!({}))["error"]["code"], -32601);
}
