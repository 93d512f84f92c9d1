//! References resolved: what each input comes from, and whether it fits.

use std::{collections::HashMap, ops::Range};

use toml::de::DeValue;

use crate::{
    base::{ArtifactType, Diagnostic},
    spec::{
        InputPort,
        body::STAGE_KEYS,
        frame::{Draft, Frame, Named},
        manifest::{bad_name, names},
        model::{Ablation, Across, Carry, Change, Index, Need, Origin, Stage, Target},
        reader::{Item, Report, Table, What, is_broken, is_misspelt, wrong_type},
        reference::{self, Iteration, Reference, is_name},
    },
};

/// The keys of a carried artifact.
pub(super) const CARRY_KEYS: [&str; 2] = ["first", "next"];

/// Everything that references are resolved against.
pub(super) struct Wiring<'a, 't, 'i> {
    pub(super) frame: &'a Frame<'t, 'i>,
    pub(super) stages: &'a [Stage],
    pub(super) ablations: &'a [Ablation],
    /// The type of each loop's carried artifacts, where known.
    carried: Vec<Vec<(&'t str, Option<ArtifactType>)>>,
    /// How often each loop runs at least, over all variants.
    least_times: Vec<u32>,
}

/// Who refers.
#[derive(Clone, Copy)]
struct Consumer<'a> {
    owner: Option<usize>,
    /// What it takes; `None`: anything.
    wanted: Option<&'a ArtifactType>,
    many: bool,
    /// How to speak of it: `this input takes`.
    takes: &'a str,
}

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

impl<'a, 't, 'i> Wiring<'a, 't, 'i> {
    pub(super) fn new(frame: &'a Frame<'t, 'i>, stages: &'a [Stage], ablations: &'a [Ablation], times: &[u32]) -> Self {
        let mut least_times = times.to_vec();
        for change in ablations.iter().flat_map(|it| &it.variants).flat_map(|it| &it.changes) {
            if let Change::Times { owner, times } = change {
                least_times[*owner] = least_times[*owner].min(*times);
            }
        }
        Self { frame, stages, ablations, carried: Vec::new(), least_times }
    }

    /// Reads the carried artifacts of every loop; remembers their types for references to them.
    pub(super) fn carries(&mut self, report: &mut Report) -> Vec<Vec<Carry>> {
        // What an artifact is must be known before references to it are read: `next` is a stage of the loop, so it says.
        let mut drafts = Vec::with_capacity(self.frame.loops.len());
        for (owner, draft) in self.frame.loops.iter().enumerate() {
            let mut nexts = Vec::new();
            let mut types = Vec::new();
            if let Some((carry, _)) = draft.table.table(report, "carry") {
                for (key, item) in carry {
                    let name = key.get_ref().as_ref();
                    if !is_name(name) {
                        bad_name(report, "a carried artifact", name, key.span());
                    }
                    let DeValue::Table(table) = item.get_ref() else {
                        let message = format!("carried artifact `{name}` is of the wrong type");
                        wrong_type(report, message, item, "{ first = \"STAGE\", next = \"STAGE\" }");
                        types.push((name, None));
                        continue;
                    };
                    let table = Table { table, what: What::Named("carried artifact", name), span: key.span() };
                    table.allow(report, &CARRY_KEYS);
                    table.missing(report, "first", &CARRY_KEYS, "\"STAGE\"");
                    table.missing(report, "next", &CARRY_KEYS, "\"STAGE\"");
                    let next = self.carry_next(report, owner, &table);
                    types.push((name, next.as_ref().and_then(|next| self.type_of(&next.target))));
                    nexts.push((name, table, next));
                }
            }
            self.carried.push(types);
            drafts.push(nexts);
        }
        let mut carries = Vec::with_capacity(drafts.len());
        for (owner, nexts) in drafts.into_iter().enumerate() {
            let mut read = Vec::with_capacity(nexts.len());
            for (name, table, next) in nexts {
                let wanted = next.as_ref().and_then(|next| self.type_of(&next.target));
                let first = self.carry_first(report, owner, &table, wanted.as_ref());
                match (first, next) {
                    (Some(first), Some(next)) => read.push(Carry { first, next }),
                    // What it is, is open: references to it cannot be checked.
                    _ => self.carried[owner].iter_mut().filter(|(it, _)| *it == name).for_each(|(_, it)| *it = None),
                }
            }
            carries.push(read);
        }
        carries
    }

    fn carry_next(&self, report: &mut Report, owner: usize, table: &Table<'_, '_>) -> Option<Origin> {
        let (text, span) = table.text(report, "next")?;
        let reference = parse(report, text, span.clone())?;
        let owner_name = self.frame.loops[owner].name;
        let is_inside = match self.frame.names.get(reference.name) {
            _ if self.frame.ambiguous.contains(reference.name) => true,
            Some(Named::Stage(stage)) => self.frame.drafts[*stage].owner == Some(owner),
            Some(Named::Loop(_)) => false,
            None => true,
        };
        if !is_inside || reference.across.is_some() {
            let message = format!("`next` is no stage of loop `{owner_name}`, so it would never change");
            let members = self.frame.drafts.iter().filter(|it| it.owner == Some(owner)).map(|it| it.name);
            report.unknown("bad-carry", span, message, reference.name, members);
            return None;
        }
        self.resolve(report, &reference, span, Consumer { owner: Some(owner), wanted: None, many: false, takes: "" })
    }

    fn carry_first(
        &self,
        report: &mut Report,
        owner: usize,
        table: &Table<'_, '_>,
        wanted: Option<&ArtifactType>,
    ) -> Option<Origin> {
        let (text, span) = table.text(report, "first")?;
        let reference = parse(report, text, span.clone())?;
        let is_inside = match self.frame.names.get(reference.name) {
            _ if self.frame.ambiguous.contains(reference.name) => false,
            Some(Named::Stage(stage)) => self.frame.drafts[*stage].owner == Some(owner),
            Some(Named::Loop(other)) => *other == owner,
            None => false,
        };
        if is_inside || reference.across.is_some() {
            let message =
                format!("`first` comes from inside loop `{}`, before it has begun", self.frame.loops[owner].name);
            report.add("bad-carry", span, message).label = Some("expected a stage outside the loop".to_owned());
            return None;
        }
        self.resolve(report, &reference, span, Consumer { owner: None, wanted, many: false, takes: "`next` is" })
    }

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

    /// Returns what a reference refers to; reports what is wrong with it.
    fn resolve(
        &self,
        report: &mut Report,
        reference: &Reference<'_>,
        span: Range<usize>,
        consumer: Consumer<'_>,
    ) -> Option<Origin> {
        if self.frame.ambiguous.contains(reference.name) {
            return None;
        }
        let Some(named) = self.frame.names.get(reference.name) else {
            let message = format!("this pipeline has no stage `{}`", reference.name);
            report.unknown("unknown-stage", span, message, reference.name, self.frame.known_names());
            return None;
        };
        let (target, index) = match named {
            Named::Loop(owner) => (self.carry(report, *owner, reference, &span, consumer)?, Index::Plain),
            Named::Stage(stage) => {
                let index = self.index(report, *stage, reference, &span, consumer)?;
                (self.output(report, *stage, reference, &span, consumer)?, index)
            }
        };
        let across = self.across(report, &target, reference, &span, consumer)?;
        let label = match target {
            Target::Output { .. } => reference.name.to_owned(),
            Target::Carry { .. } => format!("{}.{}", reference.name, reference.port.unwrap_or_default()),
        };
        Some(Origin { target, index, across, label, span: report.place(span) })
    }

    fn carry(
        &self,
        report: &mut Report,
        owner: usize,
        reference: &Reference<'_>,
        span: &Range<usize>,
        consumer: Consumer<'_>,
    ) -> Option<Target> {
        let name = reference.name;
        let Some(carried) = self.carried.get(owner) else {
            let message = format!("`{name}` is a loop, not a stage");
            report.add("bad-carry", span.clone(), message);
            return None;
        };
        let known: Vec<&str> = carried.iter().map(|(name, _)| *name).collect();
        let Some(port) = reference.port else {
            let message = format!("`{name}` is a loop: which of its carried artifacts?");
            let diagnostic = report.add("unknown-port", span.clone(), message);
            diagnostic.help = known.first().map(|carry| format!("write `{name}.{carry}`"));
            return None;
        };
        let Some(carry) = known.iter().position(|it| *it == port) else {
            let message = format!("loop `{name}` carries no `{port}`");
            let is_member = self.frame.drafts.iter().any(|it| it.owner == Some(owner) && it.name == port);
            if is_member {
                report.add("unknown-port", span.clone(), message).help =
                    Some(format!("stages in loops are named without the loop: write `{port}`"));
            } else {
                report.unknown("unknown-port", span.clone(), message, port, known);
            }
            return None;
        };
        if reference.index.is_some() {
            let message = "a carried artifact has no iterations to choose from".to_owned();
            report.add("bad-iteration", span.clone(), message).help =
                Some("name the stage that makes it: `stage[2]`".to_owned());
            return None;
        }
        let found = carried[carry].1.as_ref()?;
        fits(report, reference, found, consumer, span)?;
        Some(Target::Carry { owner, carry })
    }

    fn index(
        &self,
        report: &mut Report,
        stage: usize,
        reference: &Reference<'_>,
        span: &Range<usize>,
        consumer: Consumer<'_>,
    ) -> Option<Index> {
        let Some(iteration) = reference.index else { return Some(Index::Plain) };
        let name = reference.name;
        let Some(owner) = self.stages[stage].owner else {
            let message = format!("stage `{name}` stands in no loop, so it has no iterations");
            report.add("bad-iteration", span.clone(), message).help = Some(format!("write `{name}`"));
            return None;
        };
        let loop_name = self.frame.loops[owner].name;
        if consumer.owner == Some(owner) {
            let message = format!("inside loop `{loop_name}`, `{name}` means the same iteration");
            report.add("bad-iteration", span.clone(), message).help =
                Some("to use an earlier iteration, carry its artifact".to_owned());
            return None;
        }
        match iteration {
            Iteration::All if !consumer.many => {
                let message = format!("`{name}[*]` is many artifacts, but this input takes one");
                report.add("not-many", span.clone(), message).help = Some(format!("write `{name}[1]` or `{name}`"));
                None
            }
            Iteration::All => Some(Index::All),
            Iteration::One(number) => {
                let least = self.least_times[owner];
                if number > least {
                    let message = format!("loop `{loop_name}` runs {least} times, so there is no `{name}[{number}]`");
                    report.add("bad-iteration", span.clone(), message).help =
                        Some(format!("write `{name}` for the last iteration"));
                    return None;
                }
                Some(Index::One(number))
            }
        }
    }

    fn output(
        &self,
        report: &mut Report,
        stage: usize,
        reference: &Reference<'_>,
        span: &Range<usize>,
        consumer: Consumer<'_>,
    ) -> Option<Target> {
        self.frame.drafts[stage].kind.as_ref()?;
        let outputs = &self.stages[stage].outputs;
        let name = reference.name;
        if let Some(port) = reference.port {
            let Some(found) = outputs.get(port) else {
                // An output whose type could not be read is reported where it stands.
                if !self.is_written_output(stage, port) {
                    let message = format!("stage `{name}` has no output `{port}`");
                    report.unknown("unknown-port", span.clone(), message, port, names(outputs));
                }
                return None;
            };
            fits(report, reference, found, consumer, span)?;
            return Some(Target::Output { stage, port: port.to_owned() });
        }
        let mut fitting = outputs.iter().filter(|(_, it)| consumer.wanted.is_none_or(|wanted| it.feeds(wanted)));
        match (fitting.next(), fitting.next()) {
            (Some((port, _)), None) => Some(Target::Output { stage, port: port.clone() }),
            (Some(_), Some(_)) => {
                let fits = |it: &ArtifactType| consumer.wanted.is_none_or(|wanted| it.feeds(wanted));
                let ports: Vec<String> =
                    outputs.iter().filter(|(_, it)| fits(it)).map(|(port, _)| format!("`{name}.{port}`")).collect();
                let message = format!("stage `{name}` has several outputs that fit");
                report.add("ambiguous-port", span.clone(), message).help =
                    Some(format!("expected one of {}", ports.join(", ")));
                None
            }
            (None, _) if outputs.len() == 1 => {
                outputs.values().try_for_each(|found| fits(report, reference, found, consumer, span));
                None
            }
            (None, _) if outputs.is_empty() => {
                let is_reported = self.frame.drafts[stage]
                    .table
                    .get("outputs")
                    .is_none_or(|it| it.get_ref().as_table().is_none_or(|table| !table.is_empty()));
                if !is_reported || !self.stages[stage].kind.manifest.is_command() {
                    report.add("unknown-port", span.clone(), format!("stage `{name}` has no outputs"));
                }
                None
            }
            (None, _) => {
                let wanted = consumer.wanted.map(ToString::to_string).unwrap_or_default();
                let message = format!("no output of stage `{name}` is a `{wanted}`");
                let list: Vec<String> = outputs.iter().map(|(port, it)| format!("`{name}.{port}` ({it})")).collect();
                report.add("wrong-port-type", span.clone(), message).help = Some(format!("it has {}", list.join(", ")));
                None
            }
        }
    }

    fn is_written_output(&self, stage: usize, port: &str) -> bool {
        let outputs = self.frame.drafts[stage].table.get("outputs").and_then(|item| item.get_ref().as_table());
        outputs.is_some_and(|outputs| outputs.contains_key(port))
    }

    fn across(
        &self,
        report: &mut Report,
        target: &Target,
        reference: &Reference<'_>,
        span: &Range<usize>,
        consumer: Consumer<'_>,
    ) -> Option<Across> {
        let Some(word) = reference.across else { return Some(Across::Own) };
        let name = reference.name;
        if let Some(owner) = consumer.owner {
            let message =
                format!("`@` looks across variants, which a stage in loop `{}` cannot", self.frame.loops[owner].name);
            report.add("bad-global", span.clone(), message).help = Some("move the stage out of the loop".to_owned());
            return None;
        }
        if let Target::Output { stage, .. } = target
            && self.stages[*stage].global
        {
            let message = format!("stage `{name}` looks across variants itself, so there is only one of it");
            report.add("bad-global", span.clone(), message).help = Some(format!("write `{name}`"));
            return None;
        }
        if word == "*" {
            if !consumer.many {
                let message = format!("`{name}@*` is many artifacts, but this input takes one");
                report.add("not-many", span.clone(), message).help =
                    Some("name one variant after the `@`, or leave it out for the baseline".to_owned());
                return None;
            }
            return Some(Across::All);
        }
        let labels = || self.ablations.iter().flat_map(|it| &it.variants).map(|it| it.label.as_str());
        if labels().any(|label| label == word) {
            return Some(Across::One(word.to_owned()));
        }
        // Without the variants that could not be read, any label may be right.
        if self.ablations.iter().all(|ablation| !ablation.variants.is_empty()) {
            let message = format!("this pipeline has no variant `{word}`");
            report.unknown("unknown-variant", span.clone(), message, word, labels().chain(["*"]));
        }
        None
    }

    fn type_of(&self, target: &Target) -> Option<ArtifactType> {
        match target {
            Target::Output { stage, port } => self.stages[*stage].outputs.get(port).cloned(),
            Target::Carry { owner, carry } => self.carried[*owner][*carry].1.clone(),
        }
    }
}

fn parse<'r>(report: &mut Report, text: &'r str, span: Range<usize>) -> Option<Reference<'r>> {
    match reference::parse(text) {
        Ok(reference) => Some(reference),
        Err(label) => {
            report.add("bad-reference", span, format!("`{text}` is no reference")).label = Some(label.to_owned());
            None
        }
    }
}

/// Reports an artifact of the wrong type.
fn fits(
    report: &mut Report,
    reference: &Reference<'_>,
    found: &ArtifactType,
    consumer: Consumer<'_>,
    span: &Range<usize>,
) -> Option<()> {
    let Some(wanted) = consumer.wanted.filter(|wanted| !found.feeds(wanted)) else { return Some(()) };
    let port = reference.port.map(|port| format!(".{port}")).unwrap_or_default();
    let message = format!("`{}{port}` is a `{found}`, but {} a `{wanted}`", reference.name, consumer.takes);
    report.add("wrong-port-type", span.clone(), message).label = Some(format!("expected `{wanted}`"));
    None
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
