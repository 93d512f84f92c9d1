//! `constrain = { json-schema = … }`: what a model of random weights writes, the schema allows.

use serde_json::{Value, json};
use toolexpander::table::RolloutRow;

use super::{
    harness::StageRun,
    model_support::{init, questions, with_model},
};

fn schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["tool", "arguments", "tags"],
        "properties": {
            "tool": { "enum": ["open", "close", "it's \"locked\""] },
            "arguments": {
                "type": "object",
                "additionalProperties": false,
                "required": ["value"],
                "properties": {
                    "value": { "type": "integer", "minimum": -3, "maximum": 117 },
                    "certain": { "type": "boolean" },
                    "why": { "type": "string", "maxLength": 6 },
                },
            },
            "tags": { "type": "array", "minItems": 1, "maxItems": 3, "items": { "$ref": "#/$defs/tag" } },
        },
        "$defs": { "tag": { "type": "string", "pattern": "^[a-c]{1,2}$" } },
    })
}

fn table(schema: &Value) -> toml::Value {
    toml::Value::Table(toml::Table::from_iter([("json-schema".to_owned(), toml::Value::try_from(schema).unwrap())]))
}

fn held(stage: StageRun, schema: toml::Value) -> StageRun {
    let stage = stage.table("samples", "data", &questions(5)).param("constrain", schema);
    stage.param("max-tokens", 200).param("temperature", 1.0)
}

#[test]
fn completions_of_random_weights_are_instances_of_the_schema() {
    let random = init().param("context", 512).run().unwrap();
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let orders = |rows: &[RolloutRow]| -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| {
                let value: Value = serde_json::from_str(&row.completion).unwrap_or_else(|it| panic!("{it}: {row:?}"));
                assert!(validator.is_valid(&value), "{value}");
                assert_eq!(row.finish, "stop", "nothing in the schema is endless: {row:?}");
                assert!(!row.completion.contains(['\n', '\t']));
                value.as_object().unwrap().keys().cloned().collect()
            })
            .collect()
    };
    let roll = |schema| held(with_model("rollout", random.path("model")), schema).param("group-size", 8);
    let outcome = roll(table(&schema())).run().unwrap();
    let rows: Vec<RolloutRow> = outcome.table("rollouts");
    assert_eq!(rows.len(), 40);
    // A table's keys are sorted, and completions keep to the order of `properties`.
    assert!(orders(&rows).iter().all(|keys| keys == &["arguments", "tags", "tool"]));
    let values = rows.iter().map(|row| serde_json::from_str::<Value>(&row.completion).unwrap()["arguments"].clone());
    let (mut numbers, mut optional) = (std::collections::BTreeSet::new(), 0);
    for arguments in values {
        // `-0` is an integer that is read as a float.
        numbers.insert(arguments["value"].as_f64().unwrap() as i64);
        optional += usize::from(arguments.get("why").is_some());
    }
    assert!(numbers.len() > 10 && optional > 0 && optional < 40, "{numbers:?} {optional}");

    // A text of JSON keeps its order; threads do not count.
    let text =
        || roll(toml::Value::Table([("json-schema".to_owned(), schema().to_string().into())].into_iter().collect()));
    let outcome = text().run().unwrap();
    assert!(orders(&outcome.table("rollouts")).iter().all(|keys| keys == &["tool", "arguments", "tags"]));
    assert!(outcome.bytes("rollouts") == text().threads(1).run().unwrap().bytes("rollouts"));

    let evaluated = held(with_model("evaluate", random.path("model")), table(&schema())).run().unwrap();
    assert!(evaluated.events.iter().any(|event| format!("{event:?}").contains("Progress")));
}

#[test]
fn a_schema_that_cannot_be_held_to_is_refused_with_why() {
    let random = init().run().unwrap();
    for (schema, expected) in [
        (json!({ "type": "integr" }), "integr"),
        (json!({ "type": "string", "not": { "const": "x" } }), "not"),
        (json!({ "type": "integer", "minimum": 4, "maximum": 3 }), "minimum (4) is greater than maximum (3)"),
        (json!({ "$ref": "#/$defs/gone" }), "gone"),
        (json!({ "type": "string", "pattern": "(" }), "("),
        (json!("{ \"type\": "), "is a text that is no JSON: EOF while parsing"),
        (json!(3), "is 3: expected a JSON Schema"),
    ] {
        for kind in ["rollout", "evaluate"] {
            let message = held(with_model(kind, random.path("model")), table(&schema)).fails();
            assert!(message.contains("parameter `constrain`") && message.contains("`json-schema`"), "{message}");
            assert!(message.contains(expected), "{schema}: {message}");
        }
    }
}
