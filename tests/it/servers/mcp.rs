//! One server and its client: what works, and every way in which a server can misbehave.

use std::time::Duration;

use serde_json::json;
use toolexpander::servers::{
    ServerError,
    frames::{FrameError, FrameLimits},
    mcp::{Client, Limits, Reply},
};

use super::support::{Place, call, launcher, shell_server};

fn limits() -> Limits {
    Limits { frames: FrameLimits { frame: 1 << 16, exchange: 1 << 18 }, ..Limits::default() }
}

fn started(place: &Place) -> Client {
    Client::start(&launcher(), &place.launch(shell_server(&[])), limits()).unwrap()
}

#[test]
fn tools_are_listed_and_called() {
    let place = Place::new();
    let mut client = started(&place);
    let names: Vec<&str> = client.tools().iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names[..3], ["echo", "write", "read"]);
    assert_eq!(client.tools()[0].description, "Repeats a text.");
    assert_eq!(client.tools()[0].required().collect::<Vec<_>>(), ["text"]);
    let reply = client.call(&call("echo", json!({ "text": "hello" }))).unwrap();
    assert_eq!(reply, Reply { text: "hello".to_owned(), structured: None, is_error: false });
    let reply = client.call(&call("structured", json!({}))).unwrap();
    assert_eq!(reply.structured, Some(json!({ "sum": 3.0 })));
    // What the server asks of us is refused, and the call goes on.
    assert_eq!(client.call(&call("ask", json!({}))).unwrap().text, "asked");
    assert_eq!(client.call(&call("echo", json!({ "text": "still" }))).unwrap().text, "still");
}

#[test]
fn tools_fail_and_servers_refuse_and_both_go_on() {
    let place = Place::new();
    let mut client = started(&place);
    let reply = client.call(&call("fail", json!({}))).unwrap();
    assert!(reply.is_error);
    assert_eq!(reply.text, "it did not work");
    let error = client.call(&call("refuse", json!({}))).unwrap_err();
    assert!(matches!(&error, ServerError::Protocol { code: -32602, .. }), "{error}");
    assert!(error.to_string().ends_with("refuses while `refuse` was called: not like this (code -32602)"), "{error}");
    // An error without an id is about the question that is open.
    let error = client.call(&call("puzzle", json!({}))).unwrap_err();
    assert!(matches!(&error, ServerError::Protocol { code: -32700, .. }), "{error}");
    assert!(client.is_usable());
    assert_eq!(client.call(&call("count", json!({}))).unwrap().text, "1");
}

#[test]
fn a_server_that_dies_says_how() {
    let place = Place::new();
    let mut client = started(&place);
    let error = client.call(&call("die", json!({}))).unwrap_err();
    assert!(!client.is_usable());
    let message = error.to_string();
    // The status too, unless this machine is so busy that the exit is not seen in time.
    assert!(
        message.contains("died while `die` was called (") && message.ends_with("its stderr ends: out of ideas"),
        "{message}"
    );
    // And it does not come back by itself.
    assert!(client.call(&call("count", json!({}))).is_err());
}

#[test]
fn a_server_that_hangs_is_ended() {
    let place = Place::new();
    let short = Limits { call: Duration::from_millis(300), ..limits() };
    let mut client = Client::start(&launcher(), &place.launch(shell_server(&[])), short).unwrap();
    let error = client.call(&call("hang", json!({}))).unwrap_err();
    assert!(matches!(error, ServerError::Hung { .. }), "{error}");
    assert!(error.to_string().contains("gave no answer within 0.3 s while `hang` was called"), "{error}");
    assert!(!client.is_usable());
}

#[test]
fn a_server_that_breaks_the_protocol_is_ended() {
    for (tool, expected) in [
        ("flood", "it sends more than 262144 bytes instead of an answer"),
        ("endless", "a message is longer than 65536 bytes"),
        ("lie", "it answers 4711, which was not asked"),
        ("broken", "it sends what is no message: no JSON"),
    ] {
        let place = Place::new();
        let mut client = started(&place);
        let error = client.call(&call(tool, json!({}))).unwrap_err();
        let ServerError::Broken { source, .. } = &error else { panic!("{tool}: {error}") };
        assert!(source.to_string().starts_with(expected), "{tool}: {source}");
        assert!(!client.is_usable());
    }
}

#[test]
fn an_answer_too_many_is_found_at_the_next_call() {
    let place = Place::new();
    let mut client = started(&place);
    assert_eq!(client.call(&call("twice", json!({}))).unwrap().text, "once");
    let error = client.call(&call("count", json!({}))).unwrap_err();
    assert!(matches!(&error, ServerError::Broken { source: FrameError::Unasked { .. }, .. }), "{error}");
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let failed = |command: Vec<String>, limits: Limits| {
        let place = Place::new();
        Client::start(&launcher(), &place.launch(command), limits).unwrap_err().to_string()
    };
    let message = failed(shell_server(&["die"]), limits());
    assert!(
        message.contains("died while it was greeted (") && message.ends_with("its stderr ends: no such database"),
        "{message}"
    );
    let message = failed(shell_server(&["talk"]), limits());
    assert!(message.contains("breaks the protocol while it was greeted") && message.contains("Welcome"), "{message}");
    let message = failed(shell_server(&["hang"]), Limits { start: Duration::from_millis(300), ..limits() });
    assert!(message.contains("gave no answer within 0.3 s while it was greeted"), "{message}");
    let message = failed(vec!["no-such-program-anywhere".to_owned()], limits());
    assert!(message.ends_with("there is no program `no-such-program-anywhere` on the PATH"), "{message}");
    let message = failed(vec!["npx".to_owned(), "-y".to_owned(), "@nobody/no-such-package@1.0".to_owned()], limits());
    assert!(message.contains("the npm package `@nobody/no-such-package` is not installed"), "{message}");
}

#[test]
fn the_environment_holds_nothing_of_this_machine() {
    let place = Place::new();
    let mut client = started(&place);
    let names = client.call(&call("environment", json!({}))).unwrap().text;
    let expected = ["GIT_", "HOME", "LANG", "PATH", "TMPDIR", "TZ", "PWD", "OLDPWD", "SHLVL", "_"];
    for name in names.split_whitespace() {
        assert!(expected.iter().any(|known| name.starts_with(known)), "{name} in {names}");
    }
}
