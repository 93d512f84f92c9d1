//! The whole of reading a pipeline file, step by step.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use crate::{
    base::{Diagnostic, SourceText},
    spec::{
        Kinds, Override, Spec, ablation, body, document,
        frame::{self, Frame},
        layout::Layout,
        model::{Ablation, AblationVariant, Change, Loop, Setting, Stage},
        needs,
        reader::Report,
        wiring::Wiring,
    },
};

impl Spec {
    /// Reads a pipeline file, with changes from the command line applied.
    ///
    /// # Errors
    /// Every mistake of the file and of the changes, in the order of the text.
    pub fn parse(source: &SourceText, kinds: &Kinds, sets: &[Override]) -> Result<Self, Vec<Diagnostic>> {
        let mut report = Report::new(source);
        let mut patched = String::new();
        let Some(table) = document::document(&mut report, source.text(), &mut patched) else {
            return Err(report.finish());
        };
        let frame = frame::read(&mut report, &table, kinds);
        let mut seed = frame.seed;
        let mut times: Vec<u32> = frame.loops.iter().map(|it| it.times).collect();
        let mut stages: Vec<Stage> = frame.drafts.iter().map(|draft| body::read(&mut report, draft, kinds)).collect();
        let changes: Vec<Change> = sets.iter().filter_map(|set| set.change(&mut report, &frame, &stages)).collect();
        for change in changes {
            match change {
                Change::Seed(value) => seed = value,
                Change::Times { owner, times: value } => times[owner] = value,
                Change::Setting { stage, setting } => replace(&mut stages[stage].settings, setting),
            }
        }
        for (draft, stage) in frame.drafts.iter().zip(&stages) {
            body::check_required(&mut report, draft, stage);
        }
        body::check_published(&mut report, &frame.drafts, &stages);
        let ablations = ablation::read(&mut report, &frame, &stages);
        for (draft, stage) in frame.drafts.iter().zip(&mut stages) {
            stage.global = needs::is_global(draft, &ablations);
        }

        let mut wiring = Wiring::new(&frame, &stages, &ablations, &times);
        let carries = wiring.carries(&mut report);
        let needs: Vec<_> = (0..stages.len()).map(|index| wiring.needs(&mut report, index)).collect();
        let is_carried = carries.iter().zip(&frame.loops).all(|(read, draft)| {
            let written = draft.table.get("carry").and_then(|it| it.get_ref().as_table()).map_or(0, |it| it.len());
            read.len() == written
        });
        for (stage, needs) in stages.iter_mut().zip(needs) {
            stage.needs = needs;
        }
        let loops: Vec<Loop> = times.into_iter().zip(carries).map(|(times, carries)| Loop { times, carries }).collect();
        if is_carried {
            check_cycles(&mut report, &frame, &stages, &loops, &ablations);
        }
        if !report.is_empty() {
            return Err(report.finish());
        }
        let name = frame.name;
        let stages = stages.into_iter().map(Arc::new).collect();
        Ok(Self { source: source.clone(), name, seed, stages, loops, ablations })
    }
}

/// Sets a parameter, which may have been absent.
fn replace(settings: &mut Vec<Setting>, setting: Setting) {
    match settings.binary_search_by(|it| it.name.cmp(&setting.name)) {
        Ok(index) => settings[index] = setting,
        Err(index) => settings.insert(index, setting),
    }
}

/// Reports stages that need themselves. Variants differ only in how often loops run, so those that do are looked at too.
fn check_cycles(report: &mut Report, frame: &Frame<'_, '_>, stages: &[Stage], loops: &[Loop], ablations: &[Ablation]) {
    let changes_times =
        |variant: &&AblationVariant| variant.changes.iter().any(|it| matches!(it, Change::Times { .. }));
    let variants = ablations
        .iter()
        .flat_map(|ablation| ablation.variants.iter().filter(changes_times).map(move |it| (ablation, it)));
    let mut seen: HashSet<BTreeSet<usize>> = HashSet::new();
    for variant in std::iter::once(None).chain(variants.map(Some)) {
        let layout = Layout::new(stages.iter().collect(), loops, 0, variant.as_slice());
        let Err(cycles) = layout.order() else { continue };
        for cycle in cycles {
            let members: BTreeSet<usize> = cycle.iter().map(|slot| layout.slots[*slot].stage).collect();
            if !seen.iter().any(|other| !other.is_disjoint(&members)) {
                report_cycle(report, frame, stages, &layout, &cycle, &members);
                seen.insert(members);
            }
        }
    }
}

fn report_cycle(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    layout: &Layout<'_>,
    cycle: &[usize],
    members: &BTreeSet<usize>,
) {
    let Some(start) = members.first() else { return };
    let mut cycle: Vec<usize> = cycle.to_vec();
    let turn = cycle.iter().position(|slot| layout.slots[*slot].stage == *start).unwrap_or(0);
    cycle.rotate_left(turn);
    let name = |slot: usize| {
        let slot = layout.slots[slot];
        let stage = &stages[slot.stage];
        if stage.owner.is_some() { format!("{}[{}]", stage.name, slot.iteration) } else { stage.name.clone() }
    };
    let mut words: Vec<String> = cycle.iter().map(|slot| format!("`{}`", name(*slot))).collect();
    words.push(words[0].clone());
    // Point at the need of the first stage that leads on along the cycle.
    let next = cycle[1 % cycle.len()];
    let mut sources = Vec::new();
    let slot = layout.slots[cycle[0]];
    let origin = stages[*start].needs.iter().flat_map(|need| &need.sources).find(|origin| {
        sources.clear();
        layout.trace(slot, origin, &mut sources);
        sources.iter().any(|source| source.slot == next)
    });
    let span =
        origin.map_or_else(|| report.place(frame.drafts[*start].table.span.clone()), |origin| origin.span.clone());
    report.push(Diagnostic {
        code: "cycle",
        message: format!("stages need each other in a circle: {}", words.join(" → ")),
        source: report.source().clone(),
        span,
        label: None,
        help: Some("→ reads `needs`: break the circle at one of them".to_owned()),
    });
}
