//! `pipeline diff`: two results, or two runs stage by stage.

use std::{collections::BTreeMap, fmt::Write as _};

use camino::Utf8PathBuf;
use serde_json::json;

use crate::{
    base::{Digest, RunId},
    cli::{
        Failure,
        args::DiffArguments,
        output,
        project::Project,
        selector::{self, Named},
    },
    record::{ResultManifest, RunEvent},
    store::Store,
};

/// One thing in which two sides differ.
struct Difference {
    what: String,
    left: Option<String>,
    right: Option<String>,
}

pub(super) fn run(arguments: &DiffArguments, store: Option<&Utf8PathBuf>) -> Result<(), Failure> {
    let store = Project::here(store)?.open_store_to_read()?;
    let sides = (selector::named(&store, &arguments.left)?, selector::named(&store, &arguments.right)?);
    let differences = match sides {
        (Named::Result(left), Named::Result(right)) => {
            between(&leaves(&manifest(&store, &left)?), &leaves(&manifest(&store, &right)?))
        }
        (Named::Run(left), Named::Run(right)) => between(&keys(&store, &left)?, &keys(&store, &right)?),
        _ => {
            return Err(Failure::usage("a run can be compared with a run, a result with a result"));
        }
    };
    if arguments.json {
        let list: Vec<_> = differences
            .iter()
            .map(|difference| json!({ "what": difference.what, "left": difference.left, "right": difference.right }))
            .collect();
        return output::answer_json(&json!({ "schema_version": 1, "differences": list }));
    }
    let mut text = String::new();
    for Difference { what, left, right } in &differences {
        let show = |side: &Option<String>| side.clone().unwrap_or_else(|| "(absent)".to_owned());
        let _ = writeln!(text, "{what}: {} → {}", show(left), show(right));
    }
    if differences.is_empty() {
        text.push_str("no difference\n");
    }
    output::answer(&text)
}

fn manifest(store: &Store, key: &Digest) -> Result<ResultManifest, Failure> {
    let manifest = store.manifest(key).map_err(|error| Failure::store(&error))?;
    manifest.map(|manifest| (*manifest).clone()).ok_or_else(|| Failure::usage(format!("the result {key} is gone")))
}

/// What a result was made of and what came out.
fn leaves(manifest: &ResultManifest) -> BTreeMap<String, String> {
    let made_of = manifest.ingredients.iter().map(|leaf| (leaf.leaf.clone(), leaf.value.clone()));
    let outputs = manifest.outputs.iter().map(|(port, output)| (format!("output.{port}"), output.digest.to_string()));
    made_of.chain(outputs).collect()
}

/// The keys of a run's stages.
fn keys(store: &Store, run: &RunId) -> Result<BTreeMap<String, String>, Failure> {
    let journal = store.journal(run).map_err(|error| Failure::store(&error))?;
    let ended = journal.into_iter().filter_map(|line| match line.event {
        RunEvent::StageEnded { report } => Some(report),
        _ => None,
    });
    Ok(ended.filter_map(|report| Some((report.id, report.key?.short()))).collect())
}

fn between(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> Vec<Difference> {
    let names: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names
        .into_iter()
        .filter(|name| left.get(*name) != right.get(*name))
        .map(|name| Difference { what: name.clone(), left: left.get(name).cloned(), right: right.get(name).cloned() })
        .collect()
}
