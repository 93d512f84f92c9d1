//! How people name stages, artifacts, results and runs.

use crate::{
    base::{Digest, RunId, did_you_mean},
    cli::Failure,
    plan::Graph,
    store::Store,
};

/// Returns the index of the stage called `name`: its full name (`train[2] @ kl=on`), or its name without the variant where
/// that is unambiguous.
pub(super) fn stage(graph: &Graph, name: &str) -> Result<usize, Failure> {
    let named = |wanted: &dyn Fn(usize) -> bool| (0..graph.len()).filter(|index| wanted(*index)).collect::<Vec<_>>();
    let exact = named(&|index| graph.stage(index).id.as_str() == name);
    let found = if exact.is_empty() { named(&|index| graph.stage(index).name == name) } else { exact };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let names: Vec<&str> = graph.stages().map(|stage| stage.id.as_str()).collect();
            let failure = Failure::usage(format!("this pipeline has no stage `{name}`"));
            let iterations: Vec<&&str> = names.iter().filter(|known| known.starts_with(&format!("{name}["))).collect();
            if let [first, ..] = iterations[..] {
                return Err(failure.help(format!("it runs in a loop: name an iteration, for example `{first}`")));
            }
            Err(match did_you_mean(name, names.iter().copied()) {
                Some(meant) => failure.help(format!("did you mean `{meant}`?")),
                None => failure.help(format!("stages: {}", names.join(", "))),
            })
        }
        several => {
            let names: Vec<&str> = several.iter().map(|index| graph.stage(*index).id.as_str()).collect();
            Err(Failure::usage(format!("`{name}` differs between variants"))
                .help(format!("name one: `{}`", names.join("`, `"))))
        }
    }
}

/// Returns the index of the stage and the port of the artifact called `name`: `stage.port`, `stage.port @ variant`, or
/// `stage` where it has one output.
pub(super) fn artifact(graph: &Graph, name: &str) -> Result<(usize, String), Failure> {
    let (head, variant) = name.split_once(" @ ").map_or((name, ""), |(head, variant)| (head, variant));
    let (stage_name, port) = head.split_once('.').map_or((head, None), |(stage, port)| (stage, Some(port)));
    let full = if variant.is_empty() { stage_name.to_owned() } else { format!("{stage_name} @ {variant}") };
    let index = stage(graph, &full)?;
    let ports: Vec<&str> = graph.stage(index).outputs.keys().map(String::as_str).collect();
    match port {
        Some(port) if ports.contains(&port) => Ok((index, port.to_owned())),
        None if ports.len() == 1 => Ok((index, ports[0].to_owned())),
        _ => Err(Failure::usage(match port {
            Some(port) => match graph.stage(index).kind.outputs.get(port).and_then(|port| port.when.as_ref()) {
                Some(when) => format!("`{full}` has its output `{port}` only with `{when}`, which it does not set"),
                None => format!("`{full}` has no output `{port}`"),
            },
            None => format!("`{full}` has several outputs"),
        })
        .help(format!("its outputs: {}", ports.join(", ")))),
    }
}

/// Something in the store that a person named.
pub(super) enum Named {
    /// A result, by its key.
    Result(Digest),
    /// A run.
    Run(RunId),
}

/// Returns the result or run whose key or id is, or begins with, `text`.
pub(super) fn named(store: &Store, text: &str) -> Result<Named, Failure> {
    let runs = store.runs().map_err(|error| Failure::store(&error))?;
    let mut found: Vec<Named> =
        runs.into_iter().filter(|run| run.id.as_str() == text).map(|run| Named::Run(run.id)).collect();
    if found.is_empty() {
        let runs = store.runs().map_err(|error| Failure::store(&error))?;
        let keys = store.keys().map_err(|error| Failure::store(&error))?;
        found.extend(keys.into_iter().filter(|key| key.to_string().starts_with(text)).map(Named::Result));
        found.extend(runs.into_iter().filter(|run| run.id.as_str().starts_with(text)).map(|run| Named::Run(run.id)));
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::usage(format!("no run and no result begins with `{text}`"))
            .help("`pipeline ls runs` and `pipeline ls results` list them")),
        several => Err(Failure::usage(format!("`{text}` is the beginning of {several} names")).help("give more of it")),
    }
}

/// Returns the key of the result that is, or begins with, `text`.
pub(super) fn key(store: &Store, text: &str) -> Result<Digest, Failure> {
    match named(store, text)? {
        Named::Result(key) => Ok(key),
        Named::Run(run) => {
            Err(Failure::usage(format!("`{run}` is a run, not a result")).help("`pipeline ls results` lists results"))
        }
    }
}
