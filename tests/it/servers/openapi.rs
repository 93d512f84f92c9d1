//! OpenAPI documents as tools, and calls as requests to a real service on this machine.

use serde_json::{Value, json};
use toolexpander::{
    servers::{
        FailureKind, Servers, Setup, SuiteSpec,
        openapi::{Document, DocumentError},
    },
    tools::Call,
};

use super::{
    http,
    support::{call, launcher},
};

fn suite(more: Value) -> (tempfile::TempDir, SuiteSpec) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.json");
    std::fs::write(&path, http::document("/elsewhere").to_string()).unwrap();
    let mut text = json!({ "openapi": path, "base-url": format!("{}/v1", http::start()) });
    text.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (folder, serde_json::from_value(text).unwrap())
}

fn opened(more: Value) -> Servers {
    let (_folder, suite) = suite(more);
    Servers::open(&[suite], &launcher(), 2).unwrap()
}

#[test]
fn operations_are_tools_with_plain_schemas() {
    let servers = opened(json!({}));
    let names: Vec<&str> = servers.tools().iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["listNotes", "addNote", "getNote", "deleteNote", "get_trace", "large", "away", "never"]);
    assert_eq!(servers.tools()[0].description, "Lists notes.");
    let limit = servers.tools()[0].property("limit").unwrap();
    assert_eq!(limit, &json!({ "type": "integer", "exclusiveMinimum": 0 }));
    // The reference is in its place, its recursion a definition; what only answers have and what only OpenAPI knows is gone.
    let inner = json!({ "type": "object", "required": ["text"], "properties": {
        "text": { "type": ["string", "null"] },
        "replies": { "type": "array", "items": { "$ref": "#/$defs/Note" } },
    } });
    let expected = json!({
        "type": "object",
        "properties": { "body": inner },
        "additionalProperties": false,
        "required": ["body"],
        "$defs": { "Note": inner },
    });
    assert_eq!(servers.tools()[1].parameters, expected);
    assert_eq!(servers.tools()[2].required().collect::<Vec<_>>(), ["id"]);
}

#[test]
fn calls_are_requests() {
    let servers = opened(json!({ "headers": { "X-Other": "1" } }));
    let mut episode = servers.episode(&Setup::default()).unwrap();
    let mut made = |name: &str, arguments: Value| {
        let outcome = episode.call(&call(name, arguments));
        (outcome.failure, outcome.value())
    };
    assert_eq!(
        made("addNote", json!({ "body": { "text": "milk", "replies": [{ "text": null }] } })),
        (None, json!({ "id": "n1" }))
    );
    assert_eq!(
        made("getNote", json!({ "id": "n1" })),
        (None, json!({ "text": "milk", "replies": [{ "text": null }] }))
    );
    let listed = made("listNotes", json!({ "tag": ["a b", "c&d"], "limit": 3 }));
    assert_eq!(listed, (None, json!({ "query": "tag=a%20b&tag=c%26d&limit=3", "ids": ["n1"] })));
    assert_eq!(
        made("get_trace", json!({ "X-Trace": "t-1" })).1["trace"].as_str().unwrap().to_ascii_lowercase(),
        "x-trace: t-1"
    );
    assert_eq!(made("deleteNote", json!({ "id": "n1" })).0, None);
    let (failure, value) = made("getNote", json!({ "id": "../n1" }));
    assert_eq!(failure, Some(FailureKind::Tool));
    assert_eq!(value, json!({ "error": "no note ..%2Fn1" }));
    // What never becomes a request.
    assert_eq!(made("getNote", json!({ "id": ".." })).0, Some(FailureKind::Refused));
    assert_eq!(made("get_trace", json!({ "X-Trace": "a\r\nX-Evil: 1" })).0, Some(FailureKind::Refused));
    assert_eq!(made("listNotes", json!({ "limit": 0 })).0, Some(FailureKind::Refused));
    assert_eq!(made("addNote", json!({ "body": { "replies": [] } })).0, Some(FailureKind::Refused));
}

#[test]
fn answers_are_bounded_and_redirects_not_followed() {
    let servers = opened(json!({ "call-timeout-seconds": 0.5 }));
    let mut episode = servers.episode(&Setup::default()).unwrap();
    let outcome = episode.call(&Call::new("large", []));
    assert_eq!(outcome.failure, Some(FailureKind::Server), "{}", outcome.text);
    let outcome = episode.call(&Call::new("away", []));
    assert_eq!((outcome.failure, outcome.text.as_str()), (Some(FailureKind::Tool), "HTTP 302 Found: "));
    let outcome = episode.call(&Call::new("never", []));
    assert_eq!(outcome.failure, Some(FailureKind::Timeout), "{}", outcome.text);
    assert!(outcome.text.ends_with("gave no answer within 0.5 s"), "{}", outcome.text);
}

#[test]
fn a_service_is_reset_and_its_state_compared() {
    let servers = opened(json!({ "reset": "/reset", "compare": [{ "http": "/state" }], "allow": ["addNote"] }));
    assert_eq!(servers.tools().len(), 1);
    let add = |text: &str| call("addNote", json!({ "body": { "text": text } }));
    let first = servers.run(&[add("a")], &Setup::default()).unwrap();
    let second = servers.run(&[add("a")], &Setup::default()).unwrap();
    assert_eq!(first.end, second.end);
    let third = servers.run(&[add("b")], &Setup::default()).unwrap();
    assert_eq!(first.end.differences(&third.end, 9), [r#"http /state: at `/n1/text`: is "b", not "a""#]);
    let outcome = servers.episode(&Setup::default()).unwrap().call(&Call::new("listNotes", []));
    assert_eq!(outcome.failure, Some(FailureKind::Refused));
}

#[test]
fn a_document_can_be_fetched_from_this_machine_only() {
    let address = http::start();
    let suite = |text: Value| serde_json::from_value::<SuiteSpec>(text).unwrap();
    let fetched = suite(json!({ "openapi": format!("{address}/openapi.json"), "base-url": address }));
    assert_eq!(Servers::open(&[fetched], &launcher(), 1).unwrap().tools().len(), 8);
    let error = |text: Value| {
        let error = Servers::open(&[suite(text)], &launcher(), 1).unwrap_err();
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    };
    let remote = "a service elsewhere needs `allow-remote = true`";
    let message = error(json!({ "openapi": "https://api.example.com/openapi.json" }));
    assert!(message.contains(remote), "{message}");
    let message = error(json!({ "openapi": format!("{address}/openapi.json"), "base-url": "http://10.0.0.1" }));
    assert!(message.contains(remote), "{message}");
    // The document names no host.
    let message = error(json!({ "openapi": format!("{address}/openapi.json") }));
    assert!(message.contains("`/v1` is no address of a service"), "{message}");
}

#[test]
fn documents_that_cannot_be_used_say_why() {
    let read = |document: Value| Document::read(document.to_string().as_bytes()).unwrap_err();
    assert!(matches!(Document::read(b"openapi: 3.0.0\n").unwrap_err(), DocumentError::NoJson { .. }));
    assert_eq!(
        read(json!({ "swagger": "2.0" })).to_string(),
        "the document says `openapi: nothing`: expected 3.0 or 3.1"
    );
    let with =
        |operation: Value| read(json!({ "openapi": "3.1.0", "paths": { "/a/{b}": { "get": operation } } })).to_string();
    let cannot = "the operation `GET /a/{b}` of the OpenAPI document cannot be used: ";
    assert_eq!(with(json!({})), format!("{cannot}the path names `{{b}}`, which is no parameter"));
    let outside = json!({ "parameters": [{ "$ref": "other.json#/x" }] });
    assert_eq!(with(outside), format!("{cannot}the reference `other.json#/x` leads out of the document"));
    let form = json!({ "requestBody": { "required": true, "content": { "multipart/form-data": {} } } });
    assert_eq!(with(form), format!("{cannot}its body is not JSON"));
    let cookie = json!({ "parameters": [{ "name": "c", "in": "cookie", "required": true }] });
    assert_eq!(with(cookie), format!("{cannot}the parameter `c` goes into cookie"));
    let twice = json!({ "openapi": "3.1.0", "paths": { "/a": { "get": { "operationId": "x" }, "put": { "operationId": "x" } } } });
    assert_eq!(read(twice), DocumentError::Twice { name: "x".to_owned() });
}
