//! References resolved: what they name, and whether it fits where they stand.

use std::{collections::BTreeMap, ops::Range};

use crate::{
    base::ArtifactType,
    spec::{
        body::report_lacking,
        frame::{Frame, Named},
        manifest::names,
        model::{Ablation, Across, Change, Index, Origin, Stage, Target},
        reader::Report,
        reference::{self, Iteration, Reference},
    },
};

/// Everything that references are resolved against.
pub(super) struct Wiring<'a, 't, 'i> {
    pub(super) frame: &'a Frame<'t, 'i>,
    pub(super) stages: &'a [Stage],
    pub(super) ablations: &'a [Ablation],
    /// The type of each loop's carried artifacts, where known.
    pub(super) carried: Vec<Vec<(&'t str, Option<ArtifactType>)>>,
    /// How often each loop runs at least, over all variants.
    least_times: Vec<u32>,
}

/// Who refers.
#[derive(Clone, Copy)]
pub(super) struct Consumer<'a> {
    /// The loop that it stands in.
    pub(super) owner: Option<usize>,
    /// What it takes; `None`: anything.
    pub(super) wanted: Option<&'a ArtifactType>,
    /// Whether it takes many.
    pub(super) many: bool,
    /// How to speak of it: `this input takes`.
    pub(super) takes: &'a str,
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

    /// Returns what a reference refers to; reports what is wrong with it.
    pub(super) fn resolve(
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
            if let Some(name) = self.stages[stage].lacks(port)
                && !self.is_given_by(stage, name, reference.across)
            {
                report_lacking(report, &self.stages[stage], port, name, span.clone());
                return None;
            }
            return Some(Target::Output { stage, port: port.to_owned() });
        }
        // Only a name means an output that may not exist: what a reference means does not depend on parameters.
        let outputs: BTreeMap<&String, &ArtifactType> =
            outputs.iter().filter(|(port, _)| self.stages[stage].condition(port).is_none()).collect();
        let mut fitting = outputs.iter().filter(|(_, it)| consumer.wanted.is_none_or(|wanted| it.feeds(wanted)));
        match (fitting.next(), fitting.next()) {
            (Some((port, _)), None) => Some(Target::Output { stage, port: (*port).clone() }),
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
                outputs.values().copied().try_for_each(|found| fits(report, reference, found, consumer, span));
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

    /// Returns whether the variant that a reference names, if it names one, gives a parameter that the stage does not.
    fn is_given_by(&self, stage: usize, name: &str, across: Option<&str>) -> bool {
        let gives = |change: &Change| match change {
            Change::Setting { stage: changed, setting } => *changed == stage && setting.name == name,
            _ => false,
        };
        let mut variants = self.ablations.iter().flat_map(|it| &it.variants);
        variants.any(|variant| across == Some(variant.label.as_str()) && variant.changes.iter().any(gives))
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

    pub(super) fn type_of(&self, target: &Target) -> Option<ArtifactType> {
        match target {
            Target::Output { stage, port } => self.stages[*stage].outputs.get(port).cloned(),
            Target::Carry { owner, carry } => self.carried[*owner][*carry].1.clone(),
        }
    }
}

/// Reads a reference; reports a text that is none.
pub(super) fn parse<'r>(report: &mut Report, text: &'r str, span: Range<usize>) -> Option<Reference<'r>> {
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
