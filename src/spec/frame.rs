//! The first pass over a pipeline file: which stages, loops and ablations there are, and what kind each stage is.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use toml::de::{DeTable, DeValue};

use crate::spec::{
    Kind, Kinds,
    body::STAGE_KEYS,
    manifest::{bad_name, check_schema},
    reader::{Report, Table, What, is_misspelt, wrong_type},
    reference::is_name,
};

/// The keys of a pipeline file.
pub(super) const ROOT_KEYS: [&str; 5] = ["schema", "pipeline", "stages", "loops", "ablations"];
/// The keys of `[pipeline]`.
pub(super) const PIPELINE_KEYS: [&str; 3] = ["name", "seed", "doc"];
/// The keys of a loop.
pub(super) const LOOP_KEYS: [&str; 4] = ["times", "carry", "stages", "doc"];
/// How often a loop may run.
pub(super) const MOST_TIMES: i64 = 10_000;

/// What a name of the file stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A stage, by index.
    Stage(usize),
    /// A loop, by index.
    Loop(usize),
}

/// A stage whose inside is not read yet.
pub(super) struct Draft<'t, 'i> {
    pub(super) name: &'t str,
    pub(super) table: Table<'t, 'i>,
    pub(super) owner: Option<usize>,
    /// `None`: unknown, which is reported.
    pub(super) kind: Option<Arc<Kind>>,
}

/// A loop whose carries are not read yet.
pub(super) struct LoopDraft<'t, 'i> {
    pub(super) name: &'t str,
    pub(super) table: Table<'t, 'i>,
    pub(super) times: u32,
}

/// What the first pass finds.
pub(super) struct Frame<'t, 'i> {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) drafts: Vec<Draft<'t, 'i>>,
    pub(super) loops: Vec<LoopDraft<'t, 'i>>,
    pub(super) ablations: Vec<Table<'t, 'i>>,
    pub(super) names: HashMap<&'t str, Named>,
    /// Names that several have, which is reported: what refers to them cannot be checked.
    pub(super) ambiguous: HashSet<&'t str>,
}

impl Frame<'_, '_> {
    /// Returns the names of stages and loops, in the order of the file.
    pub(super) fn known_names(&self) -> impl Iterator<Item = &str> {
        self.drafts.iter().map(|it| it.name).chain(self.loops.iter().map(|it| it.name))
    }
}

/// Reads the frame.
pub(super) fn read<'t, 'i>(report: &mut Report, table: &'t DeTable<'i>, kinds: &Kinds) -> Frame<'t, 'i> {
    let root = Table { table, what: What::Plain("this file"), span: 0..0 };
    root.allow(report, &ROOT_KEYS);
    check_schema(report, &root, &ROOT_KEYS);
    root.missing(report, "pipeline", &ROOT_KEYS, "{ name = \"…\" }");
    let mut frame = Frame {
        name: String::new(),
        seed: 0,
        drafts: Vec::new(),
        loops: Vec::new(),
        ablations: Vec::new(),
        names: HashMap::new(),
        ambiguous: HashSet::new(),
    };
    if let Some((table, span)) = root.table(report, "pipeline") {
        let pipeline = Table { table, what: What::Plain("`pipeline`"), span };
        pipeline.allow(report, &PIPELINE_KEYS);
        pipeline.missing(report, "name", &PIPELINE_KEYS, "\"…\"");
        pipeline.text(report, "doc");
        if let Some((name, span)) = pipeline.text(report, "name") {
            if !is_name(name) {
                bad_name(report, "a pipeline", name, span);
            }
            name.clone_into(&mut frame.name);
        }
        frame.seed = pipeline.int(report, "seed", 0..=i64::MAX).unwrap_or(0).unsigned_abs();
    }
    if let Some((stages, _)) = root.table(report, "stages") {
        read_stages(report, &mut frame, stages, None, kinds);
    }
    if let Some((loops, _)) = root.table(report, "loops") {
        for table in tables(report, loops, "loop") {
            let What::Named(_, name) = table.what else { continue };
            table.allow(report, &LOOP_KEYS);
            table.text(report, "doc");
            table.missing(report, "times", &LOOP_KEYS, "3");
            let times = table.int(report, "times", 1..=MOST_TIMES).and_then(|it| u32::try_from(it).ok()).unwrap_or(1);
            let owner = frame.loops.len();
            enter(report, &mut frame, name, table.span.clone(), Named::Loop(owner));
            let stages = table.table(report, "stages");
            frame.loops.push(LoopDraft { name, table, times });
            match stages {
                Some((stages, _)) if !stages.is_empty() => read_stages(report, &mut frame, stages, Some(owner), kinds),
                Some((_, span)) => {
                    report.add("missing-key", span, format!("loop `{name}` has no stages"));
                }
                None => frame.loops[owner].table.missing(report, "stages", &LOOP_KEYS, "{ … }"),
            }
        }
    }
    let is_misspelt = |key| is_misspelt(table, key, ROOT_KEYS);
    let has_stages = table.contains_key("stages") || is_misspelt("stages");
    if frame.drafts.is_empty() && !has_stages && !table.contains_key("loops") && !is_misspelt("loops") {
        let span = root.get("pipeline").map_or(0..0, |item| item.span());
        report.add("missing-key", span, "this file has no stages".to_owned()).help =
            Some("add a table `[stages.NAME]`".to_owned());
    }
    if let Some((ablations, _)) = root.table(report, "ablations") {
        frame.ablations = tables(report, ablations, "ablation");
    }
    frame
}

fn read_stages<'t, 'i>(
    report: &mut Report,
    frame: &mut Frame<'t, 'i>,
    stages: &'t DeTable<'i>,
    owner: Option<usize>,
    kinds: &Kinds,
) {
    for table in tables(report, stages, "stage") {
        let What::Named(_, name) = table.what else { continue };
        let index = frame.drafts.len();
        enter(report, frame, name, table.span.clone(), Named::Stage(index));
        table.missing(report, "uses", &STAGE_KEYS, "\"KIND\"");
        let kind = table.text(report, "uses").and_then(|(word, span)| {
            let kind = kinds.shared(word);
            if kind.is_none() {
                report.unknown("unknown-kind", span, format!("there is no stage kind `{word}`"), word, kinds.names());
            }
            kind.cloned()
        });
        frame.drafts.push(Draft { name, table, owner, kind });
    }
}

/// Enters a name among those that references can use.
fn enter<'t>(report: &mut Report, frame: &mut Frame<'t, '_>, name: &'t str, span: Range<usize>, named: Named) {
    if frame.names.contains_key(name) {
        let message = format!("`{name}` is the name of another stage or loop already");
        report.add("duplicate-name", span, message).help =
            Some("stages and loops share one set of names, inside loops too: rename one of them".to_owned());
    } else {
        frame.names.insert(name, named);
        return;
    }
    frame.ambiguous.insert(name);
}

/// Returns the tables inside `parent`, each with its name.
fn tables<'t, 'i>(report: &mut Report, parent: &'t DeTable<'i>, noun: &'static str) -> Vec<Table<'t, 'i>> {
    let mut found = Vec::with_capacity(parent.len());
    for (key, item) in parent {
        let name = key.get_ref().as_ref();
        if !is_name(name) {
            bad_name(report, &format!("a {noun}"), name, key.span());
        }
        match item.get_ref() {
            DeValue::Table(table) => found.push(Table { table, what: What::Named(noun, name), span: key.span() }),
            _ => wrong_type(report, format!("{noun} `{name}` is of the wrong type"), item, "table"),
        }
    }
    found
}
