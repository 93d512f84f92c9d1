//! Keys: what makes two pieces of work the same.
//!
//! A key is the digest of canonical bytes of the recipe (kind, revision, command, parameters, files, output types, seed,
//! numerics) and of the inputs. The *resolved* key takes inputs by content; the *predicted* key takes them by the predicted
//! keys of their producers, so it is known before anything runs. Names of stages, labels of plain inputs, paths of files,
//! resources and published paths are in neither.

use std::collections::BTreeMap;

use crate::{
    base::{Canon, Digest, Value},
    plan::{InputEdge, PlannedStage},
    record::Ingredient,
};

/// The version of the key encoding. Raising it changes everybody's keys.
pub const KEY_FORMAT: u32 = 1;

/// Returns the key of `stage` whose inputs have the given contents, by port, in order, each with its label; and the leaves
/// that the key is made of.
pub fn resolved_key(
    stage: &PlannedStage,
    inputs: &BTreeMap<String, Vec<(String, Digest)>>,
) -> (Digest, Vec<Ingredient>) {
    let mut canon = opening("key", stage);
    canon.map(inputs.len());
    for (port, items) in inputs {
        let labelled = stage.labelled.contains(port);
        canon.text(port).list(items.len());
        for (label, digest) in items {
            input(&mut canon, labelled, label).digest(digest);
        }
    }
    (canon.finish(), ingredients(stage, inputs))
}

/// Returns the key of `stage` whose inputs' contents `digest_of` knows; `None` if it does not know one of them.
pub(super) fn key_by_content(stage: &PlannedStage, digest_of: impl Fn(&InputEdge) -> Option<Digest>) -> Option<Digest> {
    let mut canon = opening("key", stage);
    canon.map(stage.inputs.len());
    for (port, edges) in &stage.inputs {
        let labelled = stage.labelled.contains(port);
        canon.text(port).list(edges.len());
        for edge in edges {
            input(&mut canon, labelled, &edge.label).digest(&digest_of(edge)?);
        }
    }
    Some(canon.finish())
}

/// Returns the predicted key of `stage`, from its recipe and the predicted keys of its producers.
pub(super) fn predicted_key(stage: &PlannedStage, predicted_of: impl Fn(usize) -> Digest) -> Digest {
    let mut canon = opening("predicted", stage);
    canon.map(stage.inputs.len());
    for (port, edges) in &stage.inputs {
        let labelled = stage.labelled.contains(port);
        canon.text(port).list(edges.len());
        for edge in edges {
            input(&mut canon, labelled, &edge.label).digest(&predicted_of(edge.node)).text(&edge.port);
        }
    }
    canon.finish()
}

fn opening(what: &str, stage: &PlannedStage) -> Canon {
    let mut canon = Canon::new();
    canon.text(what).uint(KEY_FORMAT.into()).digest(&stage.recipe);
    canon
}

/// Writes the label of an input that the stage knows by it; a plain input has none.
fn input<'c>(canon: &'c mut Canon, labelled: bool, label: &str) -> &'c mut Canon {
    if labelled { canon.text(label) } else { canon.none() }
}

/// Returns the parameters that are in the key as values: all but `path:` sources, whose content is.
fn value_params(stage: &PlannedStage) -> impl Iterator<Item = (&String, &Value)> {
    stage.params.iter().filter(|(name, _)| !stage.files.contains_key(*name) || stage.kind.is_command())
}

/// Returns the digest of everything in the key but the inputs.
pub(super) fn recipe(stage: &PlannedStage) -> Digest {
    let mut canon = Canon::new();
    canon.text("recipe").uint(KEY_FORMAT.into()).text(&stage.kind.name).uint(stage.kind.revision.into());
    match &stage.command {
        Some(command) => {
            texts(&mut canon, command);
            texts(&mut canon, &stage.env);
        }
        None => {
            canon.none().none();
        }
    }
    canon.map(value_params(stage).count());
    for (name, value) in value_params(stage) {
        canon.text(name).value(value);
    }
    canon.map(stage.files.len());
    for (name, file) in &stage.files {
        canon.text(name).digest(&file.digest);
        match &file.at {
            Some(at) => canon.text(at.as_str()),
            None => canon.none(),
        };
    }
    canon.map(stage.outputs.len());
    for (port, artifact_type) in &stage.outputs {
        canon.text(port).text(&artifact_type.to_string());
    }
    match stage.seed {
        Some(seed) => canon.uint(seed.0),
        None => canon.none(),
    };
    match &stage.numerics {
        Some(numerics) => canon.text(&numerics.device).text(&numerics.dtype),
        None => canon.none(),
    };
    canon.finish()
}

fn texts(canon: &mut Canon, texts: &[String]) {
    canon.list(texts.len());
    for text in texts {
        canon.text(text);
    }
}

/// Returns the leaves of a key in a fixed order, for comparing two keys.
fn ingredients(stage: &PlannedStage, inputs: &BTreeMap<String, Vec<(String, Digest)>>) -> Vec<Ingredient> {
    let mut leaves = Vec::with_capacity(8 + stage.params.len() + stage.files.len() + 2 * inputs.len());
    let mut leaf = |leaf: String, value: String| leaves.push(Ingredient { leaf, value });
    leaf("format".to_owned(), KEY_FORMAT.to_string());
    leaf("kind".to_owned(), stage.kind.name.clone());
    leaf("revision".to_owned(), stage.kind.revision.to_string());
    if let Some(command) = &stage.command {
        leaf("command".to_owned(), list(command));
        leaf("env".to_owned(), list(&stage.env));
    }
    for (name, value) in value_params(stage) {
        leaf(format!("param.{name}"), value.to_string());
    }
    for (name, file) in &stage.files {
        leaf(format!("file.{name}"), file.digest.to_string());
        if let Some(at) = &file.at {
            leaf(format!("file.{name}.at"), at.to_string());
        }
    }
    for (port, items) in inputs {
        if stage.labelled.contains(port) {
            let labels: Vec<String> = items.iter().map(|(label, _)| label.clone()).collect();
            leaf(format!("input.{port}"), list(&labels));
            for (label, digest) in items {
                leaf(format!("input.{port}.{label}"), digest.to_string());
            }
        } else {
            for (_, digest) in items {
                leaf(format!("input.{port}"), digest.to_string());
            }
        }
    }
    for (port, artifact_type) in &stage.outputs {
        leaf(format!("output.{port}"), artifact_type.to_string());
    }
    if let Some(seed) = stage.seed {
        leaf("seed".to_owned(), seed.0.to_string());
    }
    if let Some(numerics) = &stage.numerics {
        leaf("numerics.device".to_owned(), numerics.device.clone());
        leaf("numerics.dtype".to_owned(), numerics.dtype.clone());
    }
    leaves
}

fn list(texts: &[String]) -> String {
    Value::List(texts.iter().cloned().map(Value::Text).collect()).to_string()
}
