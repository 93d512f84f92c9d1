//! Arguments against schemas, both hostile.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use toolexpander::{
    servers::check::{ArgumentCheck, Checks, Refusal},
    tools::ToolSpec,
};

use super::support::call;

fn tool(name: &str, parameters: Value) -> ToolSpec {
    ToolSpec { name: name.to_owned(), description: String::new(), parameters }
}

fn refusal(schema: Value, arguments: Value) -> String {
    let check = ArgumentCheck::new(&schema).unwrap();
    check.check("t", arguments.as_object().unwrap()).unwrap_err().to_string()
}

#[test]
fn only_listed_tools_with_matching_arguments_pass() {
    let schema = json!({
        "type": "object",
        "properties": { "path": { "type": "string" }, "count": { "type": "integer", "minimum": 1 } },
        "required": ["path"],
        "additionalProperties": false,
    });
    let checks = Checks::new([&tool("read_file", schema), &tool("list", Value::Null)]).unwrap();
    checks.check(&call("read_file", json!({ "path": "a", "count": 2 }))).unwrap();
    checks.check(&call("list", json!({ "anything": 1 }))).unwrap();
    let refused = |name: &str, arguments: Value| checks.check(&call(name, arguments)).unwrap_err().to_string();
    assert_eq!(refused("read_fil", json!({})), "there is no tool `read_fil`; did you mean `read_file`?");
    assert_eq!(refused("rm", json!({})), "there is no tool `rm`");
    insta::assert_snapshot!(refused("read_file", json!({ "count": 2 })), @r#"the arguments of `read_file` do not match its schema: "path" is a required property"#);
    insta::assert_snapshot!(refused("read_file", json!({ "path": "a", "count": "2" })), @r#"the arguments of `read_file` do not match its schema: at `/count`: "2" is not of type "integer""#);
    insta::assert_snapshot!(refused("read_file", json!({ "path": "a", "mode": 7 })), @"the arguments of `read_file` do not match its schema: Additional properties are not allowed ('mode' was unexpected)");
}

#[test]
fn large_arguments_are_not_looked_at() {
    let message = refusal(json!({}), json!({ "a": "x".repeat(70_000) }));
    assert_eq!(message, "the arguments of `t` are too large: more than 65536 bytes of JSON");
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(
        refusal(json!({}), json!({ "a": deep })),
        "the arguments of `t` are too large: they are nested deeper than 32 levels"
    );
}

#[test]
fn schemas_that_cannot_be_bounded_are_no_tools() {
    let refused = |schema: Value| ArgumentCheck::new(&schema).unwrap_err();
    assert_eq!(
        refused(json!({ "$ref": "http://example.com/schema" })),
        "`$ref` names `http://example.com/schema`, which is not in it"
    );
    assert_eq!(refused(json!({ "$ref": "#/$defs/none" })), "`$ref` names `#/$defs/none`, which is not in it");
    assert_eq!(refused(json!({ "$dynamicRef": "#x" })), "it uses `$dynamicRef`");
    assert!(refused(json!({ "type": "objekt" })).contains("objekt"));
    let deep = (0..100).fold(json!({}), |inner, _| json!({ "not": inner }));
    assert_eq!(refused(deep), "it is nested deeper than 64 levels");
    let error = Checks::new([&tool("odd", json!({ "pattern": 5 }))]).unwrap_err().to_string();
    assert!(error.starts_with("the JSON Schema of the tool `odd` cannot be checked: "), "{error}");
}

#[test]
fn references_multiply_no_work() {
    // Looks at the same value 2^40 times.
    let mut definitions = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        definitions.insert(format!("d{level}"), json!({ "anyOf": [next, next] }));
    }
    definitions.insert("d40".to_owned(), json!({ "type": "string" }));
    let schema = json!({ "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": definitions });
    assert_eq!(
        refusal(schema, json!({ "a": 1 })),
        "the arguments of `t` are too large: checking them takes too much work"
    );
    // Never ends.
    let endless = json!({ "allOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/b" }] }, "b": { "$ref": "#/$defs/a" } } });
    assert_eq!(
        refusal(endless, json!({})),
        "the arguments of `t` are too large: the schema refers to itself without an end"
    );
    // Doubles with each level of the value.
    let twice = json!({ "anyOf": [
        { "properties": { "a": { "$ref": "#" } }, "required": ["b"] },
        { "properties": { "a": { "$ref": "#" } }, "required": ["c"] },
    ] });
    let deep = (0..30).fold(json!(1), |inner, _| json!({ "a": inner }));
    assert!(refusal(twice, deep).ends_with("checking them takes too much work"));
    // A tree of its own kind is fine.
    let tree = json!({ "properties": { "children": { "type": "array", "items": { "$ref": "#" } } }, "required": ["children"] });
    let check = ArgumentCheck::new(&tree).unwrap();
    let value = json!({ "children": [{ "children": [] }, { "children": [{ "children": [] }] }] });
    check.check("t", value.as_object().unwrap()).unwrap();
}

#[test]
fn long_chains_of_references_overflow_no_stack() {
    let mut definitions = serde_json::Map::new();
    for level in 0..250 {
        definitions.insert(format!("d{level}"), json!({ "allOf": [{ "$ref": format!("#/$defs/d{}", level + 1) }] }));
    }
    definitions.insert("d250".to_owned(), json!({ "type": "string" }));
    let schema = json!({ "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": definitions });
    assert!(refusal(schema, json!({ "a": 1 })).ends_with("checking them takes too much work"));
}

#[test]
fn patterns_do_not_go_back_for_long() {
    let schema = json!({ "properties": { "a": { "pattern": "^(a+)+(?=b)$" } } });
    let message = refusal(schema, json!({ "a": "a".repeat(5_000) }));
    assert!(message.starts_with("the arguments of `t` do not match its schema"), "{message}");
}

/// What the fuzz target `schema_check` does, on schemas and arguments made of parts that matter.
#[test]
fn no_schema_and_no_arguments_do_harm() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut slowest = Duration::ZERO;
    let mut passed = 0;
    for _ in 0..5_000 {
        let schema = random_schema(&mut random, 4);
        let Ok(check) = ArgumentCheck::new(&schema) else { continue };
        let arguments = json!({ "a": random_value(&mut random, 4), "b": random_value(&mut random, 2) });
        let begin = Instant::now();
        match check.check("t", arguments.as_object().unwrap()) {
            Ok(()) | Err(Refusal::Mismatch { .. }) => passed += 1,
            Err(_) => {}
        }
        slowest = slowest.max(begin.elapsed());
    }
    assert!(passed > 1_000, "only {passed} were looked at");
    println!("slowest check: {slowest:?}");
}

fn random_schema(random: &mut ChaCha8Rng, depth: u32) -> Value {
    let inner = |random: &mut ChaCha8Rng| if depth == 0 { json!(true) } else { random_schema(random, depth - 1) };
    let name = |random: &mut ChaCha8Rng| ["a", "b", "c"][random.random_range(0..3)];
    let mut schema = serde_json::Map::new();
    for _ in 0..random.random_range(1..4) {
        let (key, value) = match random.random_range(0..18) {
            0 => ("type", json!(["string", "integer", "object", "array", "null"][random.random_range(0..5)])),
            1 => ("properties", json!({ name(random): inner(random), name(random): inner(random) })),
            2 => ("required", json!([name(random)])),
            3 => ("items", inner(random)),
            4 => ("anyOf", json!([inner(random), inner(random)])),
            5 => ("oneOf", json!([inner(random), inner(random)])),
            6 => ("allOf", json!([inner(random)])),
            7 => ("not", inner(random)),
            8 => ("$ref", json!(["#", "#/$defs/x", "#/properties/a", "#/nowhere"][random.random_range(0..4)])),
            9 => ("$defs", json!({ "x": inner(random) })),
            10 => ("additionalProperties", inner(random)),
            11 => ("unevaluatedProperties", json!(false)),
            12 => ("pattern", json!(["^(a|aa)+$", "(a*)*b", "[", "\\p{L}{1,99}"][random.random_range(0..4)])),
            13 => ("enum", json!([1, "a", null, { "a": 1 }])),
            14 => ("minimum", json!(random.random_range(-5.0..5.0))),
            15 => ("uniqueItems", json!(true)),
            16 => ("patternProperties", json!({ "^a": inner(random) })),
            _ => ("if", inner(random)),
        };
        schema.insert(key.to_owned(), value);
    }
    Value::Object(schema)
}

fn random_value(random: &mut ChaCha8Rng, depth: u32) -> Value {
    match random.random_range(0..if depth == 0 { 4 } else { 7 }) {
        0 => json!(random.random_range(-3..10)),
        1 => json!("a".repeat(random.random_range(0..200))),
        2 => Value::Null,
        3 => json!(random.random::<f64>()),
        4 => (0..random.random_range(0..4)).map(|_| random_value(random, depth - 1)).collect(),
        _ => json!({ "a": random_value(random, depth - 1), "b": random_value(random, depth - 1) }),
    }
}
