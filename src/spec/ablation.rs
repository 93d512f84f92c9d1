//! Named comparisons: variants, grids of axes, seeds.

use std::{collections::HashMap, ops::Range};

use toml::de::{DeArray, DeTable, DeValue};

use crate::{
    base::Value,
    spec::{
        frame::Frame,
        manifest::bad_name,
        model::{Ablation, AblationVariant, Change, Given, SettingValue, Stage},
        overrides::{Resolved, Target, resolve},
        reader::{Item, Report, Table, What, integer, wrong_type},
        reference::is_name,
    },
};

/// The keys of an ablation.
pub(super) const KEYS: [&str; 5] = ["baseline", "seeds", "variants", "axes", "doc"];
/// How many variants one ablation may have.
const MOST_VARIANTS: usize = 10_000;

/// Reads all ablations, sorted by name.
pub(super) fn read(report: &mut Report, frame: &Frame<'_, '_>, stages: &[Stage]) -> Vec<Ablation> {
    let mut ablations: Vec<Ablation> = frame
        .ablations
        .iter()
        .filter_map(|table| {
            let What::Named(_, name) = table.what else { return None };
            let variants = read_one(report, frame, stages, name, table);
            Some(Ablation { name: name.to_owned(), variants })
        })
        .collect();
    ablations.sort_by(|a, b| a.name.cmp(&b.name));
    // Labels of grids carry no name: where two ablations have the same one, both get theirs.
    let mut counts: HashMap<String, usize> = HashMap::new();
    for variant in ablations.iter().flat_map(|ablation| &ablation.variants) {
        *counts.entry(variant.label.clone()).or_default() += 1;
    }
    for ablation in &mut ablations {
        for variant in &mut ablation.variants {
            if counts.get(&variant.label).is_some_and(|count| *count > 1) {
                variant.label = format!("{}: {}", ablation.name, variant.label);
            }
        }
    }
    ablations
}

fn read_one(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    name: &str,
    table: &Table<'_, '_>,
) -> Vec<AblationVariant> {
    table.allow(report, &KEYS);
    table.text(report, "doc");
    let seeds = read_seeds(report, table);
    let is_there = |key: &str| table.table.contains_key(key);
    let mut variants = match (is_there("variants"), is_there("axes")) {
        (true, true) => {
            let span = table.table.get_key_value("axes").map_or(table.span.clone(), |(key, _)| key.span());
            report.add("bad-ablation", span, format!("ablation `{name}` has variants and axes")).help =
                Some("write two ablations".to_owned());
            return Vec::new();
        }
        (true, false) => read_variants(report, frame, stages, name, table),
        (false, true) => read_axes(report, frame, stages, name, table),
        (false, false) => {
            if is_there("seeds") {
                vec![AblationVariant { label: String::new(), changes: Vec::new() }]
            } else {
                let message = format!("ablation `{name}` compares nothing");
                report.add("missing-key", table.span.clone(), message).label =
                    Some("expected `variants`, `axes` or `seeds`".to_owned());
                return Vec::new();
            }
        }
    };
    move_baseline_first(report, name, table, &mut variants);
    if !seeds.is_empty() {
        variants = variants
            .iter()
            .flat_map(|variant| {
                seeds.iter().map(|seed| {
                    let gap = if variant.label.is_empty() { "" } else { " " };
                    let mut changes = variant.changes.clone();
                    changes.push(Change::Seed(*seed));
                    AblationVariant { label: format!("{}{gap}seed={seed}", variant.label), changes }
                })
            })
            .collect();
    }
    variants
}

fn read_seeds(report: &mut Report, table: &Table<'_, '_>) -> Vec<u64> {
    let Some(item) = table.get("seeds") else { return Vec::new() };
    let DeValue::Array(items) = item.get_ref() else {
        wrong_type(report, format!("`seeds` of {} is of the wrong type", table.what), item, "list of ints");
        return Vec::new();
    };
    if items.is_empty() {
        report.add("out-of-range", item.span(), format!("`seeds` of {} is empty", table.what)).label =
            Some("expected at least one seed".to_owned());
    }
    let mut seeds = Vec::with_capacity(items.len());
    for item in items.iter() {
        match integer(item.get_ref()).and_then(|seed| u64::try_from(seed).ok()) {
            Some(seed) if seeds.contains(&seed) => {
                report.add("duplicate-seed", item.span(), format!("seed {seed} is listed twice"));
            }
            Some(seed) => seeds.push(seed),
            None if item.get_ref().is_integer() => {
                report.add("out-of-range", item.span(), "a seed is out of range".to_owned()).label =
                    Some("expected at least 0".to_owned());
            }
            None => wrong_type(report, "a seed is of the wrong type".to_owned(), item, "int"),
        }
    }
    seeds
}

fn read_variants(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    ablation: &str,
    table: &Table<'_, '_>,
) -> Vec<AblationVariant> {
    let Some((variants, span)) = table.table(report, "variants") else { return Vec::new() };
    if variants.is_empty() {
        report.add("missing-key", span, format!("ablation `{ablation}` has no variants"));
    }
    let mut found = Vec::with_capacity(variants.len());
    for (key, item) in variants {
        let name = key.get_ref().as_ref();
        if !is_name(name) {
            bad_name(report, "a variant", name, key.span());
        }
        let DeValue::Table(table) = item.get_ref() else {
            wrong_type(report, format!("variant `{name}` is of the wrong type"), item, "table of `path = value`");
            continue;
        };
        let mut changes = Vec::new();
        each_path(report, frame, stages, "", table, &mut |report, _, _, target, item| {
            changes.extend(target.change(report, frame, stages, item, None));
        });
        found.push(AblationVariant { label: format!("{ablation}={name}"), changes });
    }
    found.sort_by(|a, b| a.label.cmp(&b.label));
    found
}

/// One axis of a grid: the label's part and the change, for each value.
struct Axis {
    path: String,
    values: Vec<(String, Change)>,
}

fn read_axes(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    ablation: &str,
    table: &Table<'_, '_>,
) -> Vec<AblationVariant> {
    let Some((axes, span)) = table.table(report, "axes") else { return Vec::new() };
    if axes.is_empty() {
        report.add("missing-key", span.clone(), format!("ablation `{ablation}` has no axes"));
    }
    let mut found: Vec<Axis> = Vec::with_capacity(axes.len());
    each_path(report, frame, stages, "", axes, &mut |report, path, span, target, item| {
        let DeValue::Array(items) = item.get_ref() else {
            let message = format!("axis `{path}` is of the wrong type");
            wrong_type(report, message, item, "a list of values");
            return;
        };
        if items.is_empty() {
            report.add("out-of-range", span, format!("axis `{path}` has no values"));
        }
        let values = axis_values(report, frame, stages, target, items);
        found.push(Axis { path: path.to_owned(), values });
    });
    found.sort_by(|a, b| (last_part(&a.path), &a.path).cmp(&(last_part(&b.path), &b.path)));
    let count = found.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()));
    if count.is_none_or(|count| count > MOST_VARIANTS) {
        let message = format!("ablation `{ablation}` has more than {MOST_VARIANTS} variants");
        report.add("out-of-range", span, message);
        return Vec::new();
    }
    let mut variants = vec![AblationVariant { label: String::new(), changes: Vec::new() }];
    for axis in &found {
        let is_shared = found.iter().filter(|other| last_part(&other.path) == last_part(&axis.path)).count() > 1;
        let name = if is_shared { &axis.path } else { last_part(&axis.path) };
        variants = variants
            .iter()
            .flat_map(|variant| {
                axis.values.iter().map(move |(value, change)| {
                    let gap = if variant.label.is_empty() { "" } else { " " };
                    let mut changes = variant.changes.clone();
                    changes.push(change.clone());
                    AblationVariant { label: format!("{}{gap}{name}={value}", variant.label), changes }
                })
            })
            .collect();
    }
    variants
}

fn axis_values(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    target: Target<'_>,
    items: &DeArray<'_>,
) -> Vec<(String, Change)> {
    let mut values: Vec<(String, Change)> = Vec::with_capacity(items.len());
    for item in items.iter() {
        let Some(change) = target.change(report, frame, stages, item, None) else { continue };
        let label = label(&change);
        if values.iter().any(|(other, _)| *other == label) {
            report.add("duplicate-value", item.span(), format!("{label} is listed twice"));
        } else {
            values.push((label, change));
        }
    }
    values
}

/// Returns what the value is called in a label.
fn label(change: &Change) -> String {
    let given = |given: &Given| match given {
        Given::Plain(Value::Text(text)) => text.clone(),
        Given::Plain(value) => value.to_string(),
        Given::File(path) => path.to_string(),
        Given::SourcePath(path) => format!("path:{path}"),
        Given::KindFile(file) => file.digest().short(),
    };
    match change {
        Change::Seed(seed) => seed.to_string(),
        Change::Times { times, .. } => times.to_string(),
        Change::Setting { setting, .. } => match &setting.value {
            SettingValue::Fixed(value) => given(value),
            SettingValue::PerRound(values) => format!("[{}]", values.iter().map(given).collect::<Vec<_>>().join(", ")),
            SettingValue::Round => "round".to_owned(),
        },
    }
}

fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// What is called for each parameter path: with the path, its place, what it names, and what it is set to.
type Found<'f> = dyn FnMut(&mut Report, &str, Range<usize>, Target<'_>, &Item<'_>) + 'f;

/// Calls `found` for each parameter path of a table. Paths may be written in quotes, or as dotted keys, which TOML makes
/// nested tables of.
fn each_path(
    report: &mut Report,
    frame: &Frame<'_, '_>,
    stages: &[Stage],
    prefix: &str,
    table: &DeTable<'_>,
    found: &mut Found<'_>,
) {
    for (key, item) in table {
        let path = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match resolve(report, frame, stages, &path, key.span()) {
            Resolved::Target(target) => found(report, &path, key.span(), target, item),
            Resolved::Prefix => match item.get_ref() {
                DeValue::Table(inner) => each_path(report, frame, stages, &path, inner, found),
                _ => {
                    report.add("bad-path", key.span(), format!("`{path}` names no parameter")).label =
                        Some("expected `stage.param`, `loop.stage.param`, `loop.times` or `seed`".to_owned());
                }
            },
            Resolved::Unknown => {}
        }
    }
}

/// Moves the variant that `baseline` names to the front.
fn move_baseline_first(report: &mut Report, name: &str, table: &Table<'_, '_>, variants: &mut [AblationVariant]) {
    let is_named = table.table.contains_key("variants");
    let word = |variant: &AblationVariant| match is_named {
        true => variant.label[name.len() + 1..].to_owned(),
        false => variant.label.clone(),
    };
    let Some((baseline, span)) = table.text(report, "baseline") else {
        // Without it the order of names would decide; the values of axes have an order of their own.
        if is_named && variants.len() > 1 && !table.table.contains_key("baseline") {
            let message = format!("ablation `{name}` does not say which variant the others are compared with");
            report.add("missing-key", table.span.clone(), message).label =
                Some(format!("expected `baseline = \"{}\"` or another variant", word(&variants[0])));
        }
        return;
    };
    match variants.iter().position(|variant| word(variant) == baseline) {
        Some(index) => variants[..=index].rotate_right(1),
        None if variants.is_empty() => {}
        None => {
            let words: Vec<String> = variants.iter().map(word).collect();
            let message = format!("ablation `{name}` has no variant `{baseline}`");
            report.unknown("unknown-variant", span, message, baseline, words.iter().map(String::as_str));
        }
    }
}
