//! `pipeline stages`.

use std::fmt::Write as _;

use camino::Utf8PathBuf;
use serde_json::json;

use crate::{
    cli::{Failure, args::StagesArguments, output, project::Project},
    report::{Align, TextTable},
    spec::{Kind, KindManifest, Kinds},
};

pub(super) fn run(arguments: &StagesArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let kinds = Project::here(store)?.kinds()?;
    let Some(name) = &arguments.kind else { return list(&kinds, arguments.json) };
    let kind = kinds.get(name).ok_or_else(|| {
        let known: Vec<&str> = kinds.names().collect();
        let failure = Failure::usage(format!("there is no stage kind `{name}`"));
        match crate::base::did_you_mean(name, known.iter().copied()) {
            Some(meant) => failure.help(format!("did you mean `{meant}`?")),
            None => failure.help(format!("kinds: {}", known.join(", "))),
        }
    })?;
    if arguments.json { output::answer_json(&as_json(kind)) } else { output::answer(&document(&kind.manifest)) }
}

fn list(kinds: &Kinds, json: bool) -> Result<(), Failure> {
    if json {
        let kinds: Vec<_> = kinds.iter().map(as_json).collect();
        return output::answer_json(&json!({ "schema_version": 1, "kinds": kinds }));
    }
    let mut table = TextTable::new(&[("kind", Align::Left), ("what it does", Align::Left)]);
    for kind in kinds.iter() {
        table.row([&kind.manifest.name, &kind.manifest.summary]);
    }
    output::answer(&table.to_string())
}

/// How to write a stage of the generic kind.
const COMMAND: &str = include_str!("command.txt");

fn document(kind: &KindManifest) -> String {
    let mut text = format!("{} (revision {})\n{}\n", kind.name, kind.revision, kind.summary);
    let mut ports = |title: &str, table: TextTable| {
        if !table.is_empty() {
            let _ = write!(text, "\n{title}\n{table}");
        }
    };
    let heads = [("  name", Align::Left), ("type", Align::Left), ("", Align::Left)];
    let mut inputs = TextTable::new(&heads);
    for (name, port) in &kind.inputs {
        let note = match (port.optional, port.many) {
            (true, true) => " (optional, many)",
            (true, false) => " (optional)",
            (false, true) => " (many)",
            (false, false) => "",
        };
        inputs.row([format!("  {name}"), port.artifact_type.to_string(), format!("{}{note}", port.doc)]);
    }
    ports("inputs", inputs);
    let mut outputs = TextTable::new(&heads);
    for (name, port) in &kind.outputs {
        let note = port.when.as_ref().map(|name| format!(" (only with `{name}`)")).unwrap_or_default();
        outputs.row([format!("  {name}"), port.artifact_type.to_string(), format!("{}{note}", port.doc)]);
    }
    ports("outputs", outputs);
    let mut parameters =
        TextTable::new(&[("  name", Align::Left), ("type", Align::Left), ("default", Align::Left), ("", Align::Left)]);
    for (name, parameter) in &kind.parameters {
        let default = parameter.default.as_ref().map(ToString::to_string);
        let unit = parameter.unit.as_ref().map(|unit| format!(" [{unit}]")).unwrap_or_default();
        parameters.row([
            format!("  {name}"),
            parameter.parameter_type.word().to_owned(),
            default.unwrap_or_else(|| if parameter.optional { "-" } else { "required" }.to_owned()),
            format!("{}{unit}", parameter.doc),
        ]);
    }
    ports("parameters", parameters);
    if kind.is_command() {
        text.push_str(COMMAND);
    }
    text
}

fn as_json(kind: &Kind) -> serde_json::Value {
    let manifest = &kind.manifest;
    let inputs: serde_json::Map<_, _> = manifest
        .inputs
        .iter()
        .map(|(name, port)| {
            let value = json!({
                "type": port.artifact_type, "doc": port.doc, "optional": port.optional, "many": port.many,
                "labelled": port.labelled
            });
            (name.clone(), value)
        })
        .collect();
    let outputs: serde_json::Map<_, _> = manifest
        .outputs
        .iter()
        .map(|(name, port)| (name.clone(), json!({ "type": port.artifact_type, "doc": port.doc, "when": port.when })))
        .collect();
    let parameters: serde_json::Map<_, _> = manifest
        .parameters
        .iter()
        .map(|(name, parameter)| {
            let value = json!({
                "type": parameter.parameter_type.word(),
                "default": parameter.default,
                "optional": parameter.optional,
                "unit": parameter.unit,
                "doc": parameter.doc,
            });
            (name.clone(), value)
        })
        .collect();
    json!({
        "kind": manifest.name,
        "revision": manifest.revision,
        "summary": manifest.summary,
        "inputs": inputs,
        "outputs": outputs,
        "parameters": parameters,
    })
}
