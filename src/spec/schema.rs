//! JSON Schemas (draft 2020-12) of the files people write, for editors.
//!
//! They say what can be said without resolving names: keys, types, ranges, choices, and for each kind its parameters and
//! ports. What they cannot say (references, cycles, types of ports) is the business of [`Spec::parse`](super::Spec::parse).

use serde_json::{Map, Value, json};

use crate::spec::{
    COMMAND_KIND, FILE_FORMAT, KindManifest, Kinds, Parameter, ParameterType, frame::MOST_TIMES,
    manifest::PARAMETER_TYPES, params::SOURCE_PREFIXES,
};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9_-]*$";
const ARTIFACT_TYPE: &str = "^(table:.+|model|file|folder)$";
const INNER_PATH: &str = r"^(?!/)(?!(.*/)?\.\.(/|$)).+$";

/// Returns the schema of pipeline files that use `kinds`.
pub fn pipeline_schema(kinds: &Kinds) -> Value {
    let mut definitions = Map::new();
    definitions.insert("name".to_owned(), json!({ "type": "string", "pattern": NAME }));
    definitions.insert("reference".to_owned(), reference());
    definitions.insert(
        "references".to_owned(),
        json!({
            "anyOf": [{ "$ref": "#/$defs/reference" }, { "type": "array", "items": { "$ref": "#/$defs/reference" } }]
        }),
    );
    definitions.insert("artifact-type".to_owned(), artifact_type());
    definitions.insert("resources".to_owned(), resources());
    definitions.insert(
        "any-value".to_owned(),
        json!({
            "type": ["boolean", "integer", "number", "string", "array", "object"]
        }),
    );
    definitions.insert("stages".to_owned(), table_of(json!({ "$ref": "#/$defs/stage" })));
    definitions.insert("stage".to_owned(), stage(kinds));
    definitions.insert("loop".to_owned(), looped());
    definitions.insert("ablation".to_owned(), ablation());
    for kind in kinds.iter().filter(|kind| !kind.manifest.is_command()) {
        definitions.insert(format!("with-{}", kind.manifest.name), with(&kind.manifest));
    }
    json!({
        "$schema": DIALECT,
        "title": "Pipeline file",
        "description": "What to run: stages, loops over them, and ablations that compare variants.",
        "type": "object",
        "required": ["schema", "pipeline"],
        "additionalProperties": false,
        "properties": {
            "schema": { "const": FILE_FORMAT, "description": "The version of the file format." },
            "pipeline": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": { "$ref": "#/$defs/name" },
                    "seed": { "type": "integer", "minimum": 0, "default": 0, "description": "What random streams are derived from." },
                    "doc": { "type": "string" }
                }
            },
            "stages": { "$ref": "#/$defs/stages" },
            "loops": table_of(json!({ "$ref": "#/$defs/loop" })),
            "ablations": table_of(json!({ "$ref": "#/$defs/ablation" }))
        },
        "anyOf": [{ "required": ["stages"] }, { "required": ["loops"] }],
        "$defs": definitions
    })
}

/// Returns the schema of `stage.toml` files.
pub fn manifest_schema() -> Value {
    let port = |properties: Value| {
        table_of(json!({
            "type": "object",
            "required": ["type"],
            "additionalProperties": false,
            "properties": properties
        }))
    };
    let only_for = |key: &str, types: &[&str]| json!({ "if": { "required": [key] }, "then": { "properties": { "type": { "enum": types } } } });
    json!({
        "$schema": DIALECT,
        "title": "Stage kind",
        "description": "What a kind of stage takes, makes and can be told.",
        "type": "object",
        "required": ["schema", "revision", "summary"],
        "additionalProperties": false,
        "properties": {
            "schema": { "const": FILE_FORMAT, "description": "The version of the file format." },
            "revision": { "type": "integer", "minimum": 1, "description": "Raised by hand when the same inputs give other outputs." },
            "summary": { "type": "string", "description": "What it does, in one sentence." },
            "seeded": { "type": "boolean", "default": false, "description": "The seed is part of the key." },
            "numerics": { "type": "boolean", "default": false, "description": "Device kind and number type are part of the key." },
            "resources": resources(),
            "files": {
                "type": "array", "items": { "type": "string", "pattern": INNER_PATH }, "uniqueItems": true,
                "description": "Files beside stage.toml whose bytes are part of the key."
            },
            "command": command(),
            "inputs": port(json!({
                "type": artifact_type(),
                "doc": { "type": "string" },
                "optional": { "type": "boolean", "default": false },
                "many": { "type": "boolean", "default": false, "description": "It takes any number of artifacts." },
                "labelled": {
                    "type": "boolean", "default": false,
                    "description": "The outputs show the label of its one artifact, so the label is part of the key."
                }
            })),
            "outputs": port(json!({
                "type": artifact_type(),
                "doc": { "type": "string" },
                "when": {
                    "type": "string", "pattern": NAME,
                    "description": "An optional parameter: the output exists exactly if a stage gives it."
                }
            })),
            "parameters": table_of(json!({
                "type": "object",
                "required": ["type"],
                "additionalProperties": false,
                "properties": parameter_keys(),
                "allOf": [
                    only_for("min", &["int", "float"]),
                    only_for("max", &["int", "float"]),
                    only_for("bind", &["int"]),
                    only_for("values", &["choice"]),
                    only_for("files", &["choice"]),
                    only_for("tables", &["choice"]),
                    only_for("keys", &["map"]),
                    { "if": { "properties": { "type": { "const": "choice" } } }, "then": { "required": ["values"] } }
                ]
            }))
        }
    })
}

/// The keys of a parameter.
fn parameter_keys() -> Value {
    json!({
        "type": { "enum": PARAMETER_TYPES },
        "default": true,
        "optional": { "type": "boolean", "default": false },
        "min": { "type": "number" },
        "max": { "type": "number" },
        "values": { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        "tables": words("Instead of a value there may be a table with exactly one of these keys."),
        "keys": words("The keys that a map takes; `outer.inner` for a key of a map inside it. Without: any."),
        "unit": { "type": "string" },
        "doc": { "type": "string" },
        "bind": { "const": "round", "description": "It takes the iteration number in a loop." },
        "files": {
            "type": "object",
            "additionalProperties": {
                "type": "array", "items": { "type": "string", "pattern": INNER_PATH }, "uniqueItems": true
            },
            "description": "Files beside stage.toml that are part of the key where the choice has a value, by value."
        }
    })
}

/// A list of texts, not empty.
fn words(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "description": description })
}

/// A table whose keys are names.
fn table_of(item: Value) -> Value {
    json!({ "type": "object", "propertyNames": { "pattern": NAME }, "additionalProperties": item })
}

fn reference() -> Value {
    json!({
        "type": "string",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]*(\[([1-9][0-9]*|\*)\])?(\.[A-Za-z0-9][A-Za-z0-9_-]*)?(@.+)?$",
        "description": "stage, stage.port, stage[2], stage[*], loop.carry, stage@*, stage@VARIANT"
    })
}

fn artifact_type() -> Value {
    json!({ "type": "string", "pattern": ARTIFACT_TYPE, "description": "table:SCHEMA, model, file or folder" })
}

fn resources() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "cpus": { "type": "integer", "minimum": 0 },
            "memory-gb": { "type": "number", "minimum": 0 },
            "gpus": { "type": "integer", "minimum": 0 }
        }
    })
}

fn command() -> Value {
    json!({
        "type": "array", "items": { "type": "string" }, "minItems": 1,
        "description": "The program and its arguments, with {inputs.PORT}, {outputs.PORT}, {files.NAME}, {params.NAME}, {seed}."
    })
}

fn stage(kinds: &Kinds) -> Value {
    let names: Vec<&str> = kinds.names().collect();
    let by_kind: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let manifest = &kind.manifest;
            json!({
                "if": { "properties": { "uses": { "const": manifest.name } }, "required": ["uses"] },
                "then": if manifest.is_command() { command_stage() } else { kind_stage(manifest) }
            })
        })
        .collect();
    json!({
        "type": "object",
        "required": ["uses"],
        "additionalProperties": false,
        "properties": {
            "uses": { "enum": names, "description": "The kind." },
            "needs": {
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/references" },
                "description": "Where each input comes from."
            },
            "with": { "type": "object", "description": "Parameters." },
            "publish": {
                "type": "object",
                "additionalProperties": { "type": "string", "pattern": INNER_PATH },
                "description": "Outputs of which a copy is kept at a path of the project."
            },
            "resources": { "$ref": "#/$defs/resources" },
            "env": { "type": "array", "items": { "type": "string" }, "description": "Names of environment variables that it sees." },
            "doc": { "type": "string" },
            "command": command(),
            "files": { "type": "array", "items": { "type": "string", "minLength": 1 } },
            "outputs": table_of(json!({ "$ref": "#/$defs/artifact-type" }))
        },
        "allOf": by_kind
    })
}

/// What holds for a stage of the generic kind.
fn command_stage() -> Value {
    json!({
        "required": ["command", "outputs"],
        "properties": {
            "with": table_of(json!({ "$ref": "#/$defs/any-value" })),
            "needs": { "propertyNames": { "pattern": NAME } }
        },
        "description": format!("A stage of the kind `{COMMAND_KIND}`.")
    })
}

/// What holds for a stage of any other kind.
fn kind_stage(manifest: &KindManifest) -> Value {
    let ports: Map<String, Value> = manifest
        .inputs
        .iter()
        .map(|(name, port)| {
            let definition = if port.many { "references" } else { "reference" };
            let description = format!("{} ({})", port.doc, port.artifact_type);
            (name.clone(), json!({ "$ref": format!("#/$defs/{definition}"), "description": description.trim() }))
        })
        .collect();
    let needed: Vec<&String> =
        manifest.inputs.iter().filter(|(_, port)| !port.optional).map(|(name, _)| name).collect();
    let published: Map<String, Value> = manifest.outputs.keys().map(|name| (name.clone(), json!(true))).collect();
    let mut required = Vec::new();
    if !needed.is_empty() {
        required.push("needs");
    }
    if manifest.parameters.values().any(is_required) {
        required.push("with");
    }
    json!({
        "description": manifest.summary,
        "required": required,
        "properties": {
            "needs": { "properties": ports, "additionalProperties": false, "required": needed },
            "with": { "$ref": format!("#/$defs/with-{}", manifest.name) },
            "publish": { "properties": published, "additionalProperties": false },
            "command": false,
            "files": false,
            "outputs": false
        }
    })
}

fn is_required(parameter: &Parameter) -> bool {
    parameter.default.is_none() && !parameter.optional
}

/// The parameters of a kind.
fn with(manifest: &KindManifest) -> Value {
    let properties: Map<String, Value> =
        manifest.parameters.iter().map(|(name, it)| (name.clone(), parameter(it))).collect();
    let required: Vec<&String> =
        manifest.parameters.iter().filter(|(_, it)| is_required(it)).map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn parameter(parameter: &Parameter) -> Value {
    let value = value_of(parameter);
    let mut schema = Map::new();
    let unit = parameter.unit.as_ref().map(|unit| format!("[{unit}]"));
    let words: Vec<&str> =
        [Some(parameter.doc.as_str()), unit.as_deref()].into_iter().flatten().filter(|it| !it.is_empty()).collect();
    if !words.is_empty() {
        schema.insert("description".to_owned(), json!(words.join(" ")));
    }
    if let Some(default) = &parameter.default {
        schema.insert("default".to_owned(), json!(default));
    }
    let per_round = json!({
        "type": "object",
        "required": ["per-round"],
        "additionalProperties": false,
        "properties": { "per-round": { "type": "array", "minItems": 1, "items": value } }
    });
    schema.insert("anyOf".to_owned(), json!([value, per_round]));
    Value::Object(schema)
}

fn value_of(parameter: &Parameter) -> Value {
    let number = |word: &str| {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!(word));
        if let Some(min) = parameter.min {
            schema.insert("minimum".to_owned(), json!(min));
        }
        if let Some(max) = parameter.max {
            schema.insert("maximum".to_owned(), json!(max));
        }
        Value::Object(schema)
    };
    match &parameter.parameter_type {
        ParameterType::Bool => json!({ "type": "boolean" }),
        ParameterType::Int => number("integer"),
        ParameterType::Float => number("number"),
        ParameterType::Text => json!({ "type": "string" }),
        ParameterType::Choice(values) if parameter.tables.is_empty() => json!({ "enum": values }),
        ParameterType::Choice(values) => {
            let tables: Map<String, Value> = parameter.tables.iter().map(|key| (key.clone(), json!(true))).collect();
            json!({ "anyOf": [
                { "enum": values },
                { "type": "object", "properties": tables, "additionalProperties": false, "minProperties": 1, "maxProperties": 1 }
            ] })
        }
        ParameterType::List => json!({ "type": "array" }),
        ParameterType::Map if parameter.keys.is_empty() => json!({ "type": "object" }),
        ParameterType::Map => map_of(&parameter.keys),
        ParameterType::File => json!({ "type": "string", "minLength": 1 }),
        ParameterType::Source => json!({ "type": "string", "pattern": format!("^({}).+", SOURCE_PREFIXES.join("|")) }),
    }
}

/// A map that takes `keys` only; a key of a map inside it is written `outer.inner`.
fn map_of(keys: &[String]) -> Value {
    let mut properties = Map::new();
    for key in keys {
        let (head, _) = key.split_once('.').unwrap_or((key, ""));
        let inner: Vec<String> =
            keys.iter().filter_map(|key| key.strip_prefix(head)?.strip_prefix('.')).map(str::to_owned).collect();
        properties.insert(head.to_owned(), if inner.is_empty() { json!(true) } else { map_of(&inner) });
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn looped() -> Value {
    json!({
        "type": "object",
        "required": ["times", "stages"],
        "additionalProperties": false,
        "properties": {
            "times": { "type": "integer", "minimum": 1, "maximum": MOST_TIMES, "description": "How many iterations." },
            "carry": table_of(json!({
                "type": "object",
                "required": ["first", "next"],
                "additionalProperties": false,
                "properties": {
                    "first": { "$ref": "#/$defs/reference", "description": "What iteration 1 gets." },
                    "next": { "$ref": "#/$defs/reference", "description": "What later ones get: a stage of the loop." }
                }
            })),
            "stages": { "$ref": "#/$defs/stages", "minProperties": 1 },
            "doc": { "type": "string" }
        }
    })
}

fn ablation() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "baseline": { "type": "string", "description": "The variant that the others are compared with." },
            "seeds": {
                "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "integer", "minimum": 0 },
                "description": "Every variant is run with each of them."
            },
            "variants": table_of(json!({
                "type": "object",
                "additionalProperties": { "$ref": "#/$defs/any-value" },
                "description": "Parameter path = value."
            })),
            "axes": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": { "type": ["array", "object"], "minItems": 1 },
                "description": "Parameter path = list of values; every combination is a variant."
            },
            "doc": { "type": "string" }
        },
        "not": { "required": ["variants", "axes"] },
        "anyOf": [{ "required": ["variants"] }, { "required": ["axes"] }, { "required": ["seeds"] }]
    })
}
