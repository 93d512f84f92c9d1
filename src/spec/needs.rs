//! The `needs` of a stage: what each of its inputs comes from.

use std::{collections::HashMap, ops::Range};

use toml::de::DeValue;

use crate::{
    base::Diagnostic,
    spec::{
        InputPort,
        body::STAGE_KEYS,
        frame::Draft,
        manifest::{bad_name, names},
        model::{Ablation, Across, Index, Need, Origin, Target},
        reader::{Item, Report, is_broken, is_misspelt, wrong_type},
        reference::is_name,
        wiring::{Consumer, Wiring, parse},
    },
};

/// Returns whether a stage looks across variants, as far as its references are right.
pub(super) fn is_global(draft: &Draft<'_, '_>, ablations: &[Ablation]) -> bool {
    let Some(kind) = &draft.kind else { return false };
    let Some(needs) = draft.table.get("needs").and_then(|item| item.get_ref().as_table()) else { return false };
    needs.iter().any(|(port, item)| {
        let takes_many = match kind.manifest.inputs.get(port.get_ref().as_ref()) {
            Some(port) => port.many,
            None => kind.manifest.is_command(),
        };
        let across = |item: &Item<'_>| match item.get_ref().as_str().and_then(|text| text.split_once('@')) {
            Some((_, "*")) => takes_many,
            Some((_, label)) => ablations.iter().flat_map(|it| &it.variants).any(|variant| variant.label == label),
            None => false,
        };
        match item.get_ref() {
            DeValue::Array(items) => items.iter().any(across),
            _ => across(item),
        }
    })
}

impl Wiring<'_, '_, '_> {
    /// Reads the needs of one stage, sorted by port.
    pub(super) fn needs(&self, report: &mut Report, index: usize) -> Vec<Need> {
        let draft = &self.frame.drafts[index];
        let Some(kind) = &draft.kind else { return Vec::new() };
        let manifest = &kind.manifest;
        let table = draft.table.table(report, "needs");
        let mut found = Vec::new();
        for (key, item) in table.iter().flat_map(|(table, _)| *table) {
            let word = key.get_ref().as_ref();
            let port = manifest.inputs.get(word);
            if manifest.is_command() {
                if !is_name(word) {
                    bad_name(report, "an input", word, key.span());
                }
            } else if port.is_none() {
                let message = format!("kind `{}` has no input `{word}`", manifest.name);
                report.unknown("unknown-port", key.span(), message, word, names(&manifest.inputs));
                continue;
            }
            found.extend(self.need(report, index, word, port, item));
        }
        for (name, port) in &manifest.inputs {
            let is_named = table.as_ref().is_some_and(|(table, _)| {
                table.contains_key(name.as_str()) || is_misspelt(table, name, names(&manifest.inputs))
            });
            let is_broken = draft.table.table.get("needs").is_some_and(|item| !item.get_ref().is_table())
                || is_misspelt(draft.table.table, "needs", STAGE_KEYS);
            if !port.optional && !is_named && !is_broken {
                let message =
                    format!("stage `{}` does not connect `{name}`, which kind `{}` needs", draft.name, manifest.name);
                let diagnostic = report.add("missing-input", draft.table.span.clone(), message);
                diagnostic.label =
                    Some(format!("expected `needs = {{ {name} = \"STAGE\" }}` ({})", port.artifact_type));
                diagnostic.help = (!port.doc.is_empty()).then(|| port.doc.clone());
            }
        }
        found.sort_by(|a, b| a.port.cmp(&b.port));
        found
    }

    fn need(
        &self,
        report: &mut Report,
        index: usize,
        name: &str,
        port: Option<&InputPort>,
        item: &Item<'_>,
    ) -> Option<Need> {
        if is_broken(item) {
            return None;
        }
        let owner = self.stages[index].owner;
        let mut texts: Vec<(&str, Range<usize>)> = Vec::new();
        let is_list = match item.get_ref() {
            DeValue::String(text) => {
                texts.push((text, item.span()));
                false
            }
            DeValue::Array(items) => {
                for item in items.iter() {
                    match item.get_ref() {
                        DeValue::String(text) => texts.push((text, item.span())),
                        _ => wrong_type(report, format!("input `{name}` is of the wrong type"), item, "reference"),
                    }
                }
                true
            }
            _ => {
                wrong_type(report, format!("input `{name}` is of the wrong type"), item, "reference or list of them");
                return None;
            }
        };
        // A `command` stage says by its way of writing whether it takes many.
        let many = match port {
            Some(port) => port.many,
            None => is_list || texts.iter().any(|(text, _)| text.contains("[*]") || text.ends_with("@*")),
        };
        if is_list && !many {
            let message = format!("input `{name}` takes one artifact, not a list");
            report.add("not-many", item.span(), message).label = Some("expected one reference".to_owned());
            return None;
        }
        if is_list && texts.is_empty() && port.is_none_or(|port| !port.optional) {
            report.add("missing-input", item.span(), format!("input `{name}` is an empty list")).label =
                Some("expected at least one reference".to_owned());
        }
        let consumer =
            Consumer { owner, wanted: port.map(|port| &port.artifact_type), many, takes: "this input takes" };
        let mut sources = Vec::with_capacity(texts.len());
        for (text, span) in texts {
            let Some(reference) = parse(report, text, span.clone()) else { continue };
            sources.extend(self.resolve(report, &reference, span, consumer));
        }
        if many {
            label_apart(report, &mut sources);
        }
        // An empty list is the same as no need at all.
        (!sources.is_empty()).then(|| Need { port: name.to_owned(), many, sources })
    }
}

/// Gives many artifacts labels that differ; reports artifacts that are listed twice.
fn label_apart(report: &mut Report, sources: &mut [Origin]) {
    let overlaps = |a: &Origin, b: &Origin| {
        (a.index == b.index || a.index == Index::All || b.index == Index::All)
            && (a.across == b.across
                || a.across == Across::All && b.across != Across::Own
                || b.across == Across::All && a.across != Across::Own)
    };
    let port = |origin: &Origin| match &origin.target {
        Target::Output { port, .. } => port.clone(),
        Target::Carry { .. } => String::new(),
    };
    let mut clashing = vec![false; sources.len()];
    let mut by_label: HashMap<&str, Vec<usize>> = HashMap::with_capacity(sources.len());
    for (later, origin) in sources.iter().enumerate() {
        let others = by_label.entry(&origin.label).or_default();
        for &earlier in others.iter().filter(|&&earlier| overlaps(origin, &sources[earlier])) {
            if port(origin) == port(&sources[earlier]) {
                report.push(Diagnostic {
                    code: "duplicate-reference",
                    message: format!("this artifact of `{}` is listed already", origin.label),
                    source: report.source().clone(),
                    span: origin.span.clone(),
                    label: None,
                    help: Some("leave one of them out".to_owned()),
                });
            } else {
                clashing[later] = true;
                clashing[earlier] = true;
            }
        }
        others.push(later);
    }
    for (origin, clashes) in sources.iter_mut().zip(clashing) {
        if clashes {
            origin.label = format!("{}.{}", origin.label, port(origin));
        }
    }
}
