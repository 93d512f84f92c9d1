//! The second pass: the inside of each stage, by the manifest of its kind.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use toml::de::{DeTable, DeValue};

use crate::{
    base::{ArtifactType, Value},
    spec::{
        Kind, Kinds, ParameterType, Piece,
        command::{among, check_arguments},
        frame::Draft,
        manifest::{bad_name, is_inner_path, names, parse_type, resources},
        model::{Given, Setting, SettingValue, Stage, StageFile},
        params::{self, Wanted},
        reader::{Report, Table, What, is_misspelt, wrong_type},
        reference::is_name,
    },
};

/// The keys of any stage.
pub(super) const STAGE_KEYS: [&str; 7] = ["uses", "needs", "with", "publish", "resources", "env", "doc"];
/// The keys of stages of the kind `command`, beside those of any stage.
pub(super) const COMMAND_KEYS: [&str; 3] = ["command", "files", "outputs"];

/// Reads everything of a stage but its needs.
pub(super) fn read(report: &mut Report, draft: &Draft<'_, '_>, kinds: &Kinds) -> Stage {
    let table = &draft.table;
    let is_command = draft.kind.as_ref().is_some_and(|kind| kind.manifest.is_command());
    allow(report, draft, is_command);
    table.text(report, "doc");
    let kind = draft.kind.clone().unwrap_or_else(|| stand_in(kinds));
    let mut stage = Stage {
        name: draft.name.to_owned(),
        owner: draft.owner,
        global: false,
        seeded: kind.manifest.seeded,
        settings: Vec::new(),
        needs: Vec::new(),
        outputs: kind.manifest.outputs.iter().map(|(port, it)| (port.clone(), it.artifact_type.clone())).collect(),
        publish: BTreeMap::new(),
        resources: resources(report, table, kind.manifest.resources),
        command: kind.manifest.command.clone(),
        files: Vec::new(),
        env: None,
        kind,
    };
    if let Some(texts) = table.texts(report, "env") {
        let mut env: Vec<String> = texts.into_iter().map(|(text, _)| text.to_owned()).collect();
        env.sort_unstable();
        env.dedup();
        stage.env = Some(env);
    }
    let with = table.table(report, "with");
    if draft.kind.is_none() {
        return stage;
    }
    if is_command {
        if let Some((with, _)) = with {
            stage.settings = free_settings(report, draft, with);
        }
        read_command(report, draft, &mut stage);
    } else {
        stage.settings = typed_settings(report, draft, &stage.kind, with);
    }
    stage.publish = publish(report, draft, &stage.outputs);
    stage
}

/// Returns what stands for a kind that is unknown, so that the rest of the file can be checked.
fn stand_in(kinds: &Kinds) -> Arc<Kind> {
    kinds.shared(super::COMMAND_KIND).expect("`command` is always among the kinds").clone()
}

fn allow(report: &mut Report, draft: &Draft<'_, '_>, is_command: bool) {
    for key in draft.table.table.keys() {
        let word = key.get_ref().as_ref();
        if STAGE_KEYS.contains(&word) || is_command && COMMAND_KEYS.contains(&word) {
            continue;
        }
        if COMMAND_KEYS.contains(&word) {
            // An unknown kind may well be a misspelt `command`.
            if let Some(kind) = &draft.kind {
                let message = format!("`{word}` stands only in stages of kind `command`, not `{}`", kind.manifest.name);
                report.add("unknown-key", key.span(), message).help =
                    Some(format!("the kind says what its {word} are: leave `{word}` out"));
            }
            continue;
        }
        let message = format!("unknown key `{word}` in {}", draft.table.what);
        let extra = if is_command { &COMMAND_KEYS[..] } else { &[] };
        let in_with = draft.kind.as_ref().is_some_and(|kind| kind.manifest.parameters.contains_key(word));
        if in_with {
            let help = format!("`{word}` is a parameter: write `with = {{ {word} = … }}`");
            report.add("unknown-key", key.span(), message).help = Some(help);
        } else {
            report.unknown("unknown-key", key.span(), message, word, STAGE_KEYS.iter().chain(extra).copied());
        }
    }
}

/// Reads the parameters of a `command` stage: anything.
fn free_settings(report: &mut Report, draft: &Draft<'_, '_>, with: &DeTable<'_>) -> Vec<Setting> {
    let mut settings = Vec::with_capacity(with.len());
    for (key, item) in with {
        let name = key.get_ref().as_ref();
        if !is_name(name) {
            bad_name(report, "a parameter", name, key.span());
        }
        let wanted = Wanted { name, parameter: None, in_loop: draft.owner.is_some() };
        if let Some(value) = params::setting(report, wanted, item) {
            settings.push(Setting { name: name.to_owned(), value, span: report.place(item.span()), source: None });
        }
    }
    settings.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    settings
}

/// Reads the parameters that a kind's manifest lists, with defaults filled in.
fn typed_settings(
    report: &mut Report,
    draft: &Draft<'_, '_>,
    kind: &Kind,
    with: Option<(&DeTable<'_>, Range<usize>)>,
) -> Vec<Setting> {
    let parameters = &kind.manifest.parameters;
    if let Some((with, _)) = &with {
        for key in with.keys() {
            let word = key.get_ref().as_ref();
            if !parameters.contains_key(word) {
                let message = format!("kind `{}` has no parameter `{word}`", kind.manifest.name);
                report.unknown("unknown-parameter", key.span(), message, word, names(parameters));
            }
        }
    }
    let in_loop = draft.owner.is_some();
    let mut settings = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        let item = with.as_ref().and_then(|(with, _)| with.get(name.as_str()));
        let (value, span) = match item {
            Some(item) => {
                let wanted = Wanted { name, parameter: Some(parameter), in_loop };
                (params::setting(report, wanted, item), item.span())
            }
            None if parameter.bind_round && in_loop => (Some(SettingValue::Round), draft.table.span.clone()),
            None => {
                let default = parameter.default.clone().map(|it| default(kind, &parameter.parameter_type, it));
                (default.map(SettingValue::Fixed), draft.table.span.clone())
            }
        };
        if let Some(value) = value {
            settings.push(Setting { name: name.clone(), value, span: report.place(span), source: None });
        }
    }
    settings
}

fn default(kind: &Kind, parameter_type: &ParameterType, value: Value) -> Given {
    match (parameter_type, value) {
        (ParameterType::File, Value::Text(path)) => match kind.files.get(&path) {
            Some(file) => Given::KindFile(file.clone()),
            None => Given::File(path.into()),
        },
        (ParameterType::Source, Value::Text(text)) => params::given_source(text),
        (_, value) => Given::Plain(value),
    }
}

/// Reports required parameters that neither the file nor the command line gives.
pub(super) fn check_required(report: &mut Report, draft: &Draft<'_, '_>, stage: &Stage) {
    let Some(kind) = &draft.kind else { return };
    let with = draft.table.get("with").and_then(|item| item.get_ref().as_table());
    for (name, parameter) in &kind.manifest.parameters {
        let is_given = with.is_some_and(|with| with.contains_key(name.as_str()))
            || stage.settings.binary_search_by(|setting| setting.name.as_str().cmp(name)).is_ok();
        if parameter.default.is_some() || parameter.optional || is_given {
            continue;
        }
        let is_unreadable = with.is_none() && draft.table.table.contains_key("with");
        if is_unreadable || is_misspelt(draft.table.table, "with", STAGE_KEYS) {
            continue;
        }
        if with.is_some_and(|with| is_misspelt(with, name, names(&kind.manifest.parameters))) {
            continue;
        }
        let message =
            format!("stage `{}` does not set `{name}`, which kind `{}` requires", stage.name, kind.manifest.name);
        let diagnostic = report.add("missing-parameter", draft.table.span.clone(), message);
        diagnostic.label = Some(format!("expected `with = {{ {name} = … }}` ({})", parameter.parameter_type.word()));
        diagnostic.help = (!parameter.doc.is_empty()).then(|| parameter.doc.clone());
    }
}

fn read_command(report: &mut Report, draft: &Draft<'_, '_>, stage: &mut Stage) {
    let table = &draft.table;
    let known: Vec<&str> = STAGE_KEYS.into_iter().chain(COMMAND_KEYS).collect();
    table.missing(report, "command", &known, "[\"PROGRAM\", \"ARGUMENT\"]");
    table.missing(report, "outputs", &known, "{ PORT = \"file\" }");
    if let Some((outputs, _)) = table.table(report, "outputs") {
        for (key, item) in outputs {
            let port = key.get_ref().as_ref();
            if !is_name(port) {
                bad_name(report, "an output", port, key.span());
            }
            match item.get_ref() {
                DeValue::String(text) => {
                    if let Some(artifact_type) = parse_type(report, text, item.span()) {
                        stage.outputs.insert(port.to_owned(), artifact_type);
                    }
                }
                _ => wrong_type(report, format!("output `{port}` is of the wrong type"), item, "string"),
            }
        }
    }
    for (path, span) in table.texts(report, "files").unwrap_or_default() {
        let at = inner_part(path);
        if at.as_str().is_empty() {
            report.add("bad-path", span, format!("`{path}` is no path of a file"));
        } else if let Some(other) = stage.files.iter().find(|file| file.at == at) {
            let message = format!("`{path}` and `{}` would both stand at `{at}` in the working directory", other.path);
            report.add("duplicate-file", span, message);
        } else {
            stage.files.push(StageFile { path: path.into(), at, span: report.place(span) });
        }
    }
    let Some(arguments) = table.texts(report, "command") else { return };
    let mut seeded = false;
    let needs = table.get("needs").and_then(|item| item.get_ref().as_table());
    let files: Vec<String> = (0..stage.files.len()).map(|index| index.to_string()).collect();
    let with = table.get("with").and_then(|item| item.get_ref().as_table());
    let outputs = table.get("outputs").and_then(|item| item.get_ref().as_table());
    // Without a table there is nothing to compare with, and its absence is reported.
    let keys = |table: Option<&'_ DeTable<'_>>, word: &str| table.is_some_and(|table| table.contains_key(word));
    check_arguments(report, table, &arguments, |piece| match piece {
        Piece::Input(port) => among(keys(needs, port), || table_keys(needs)),
        Piece::Output(port) => among(outputs.is_none() || keys(outputs, port), || names(&stage.outputs)),
        Piece::File(name) => among(files.contains(name), || files.iter().map(String::as_str).collect()),
        Piece::Param(name) => among(keys(with, name), || table_keys(with)),
        Piece::Seed => {
            seeded = true;
            Ok(())
        }
        Piece::Text(_) => Ok(()),
    });
    stage.seeded = seeded;
    stage.command = Some(arguments.into_iter().map(|(text, _)| text.to_owned()).collect());
}

fn table_keys<'t>(table: Option<&'t DeTable<'_>>) -> Vec<&'t str> {
    table.into_iter().flat_map(DeTable::keys).map(|key| key.get_ref().as_ref()).collect()
}

/// Returns where a file that is named relative to the pipeline file stands in a working directory: what is left of its path
/// without steps out of the folder.
fn inner_part(path: &str) -> Utf8PathBuf {
    let mut inner = Utf8PathBuf::new();
    let is_absolute = Utf8Path::new(path).is_absolute();
    for component in Utf8Path::new(path).components() {
        match component {
            Utf8Component::Normal(part) => inner.push(part),
            Utf8Component::ParentDir => {
                inner.pop();
            }
            _ => {}
        }
    }
    if is_absolute { inner.file_name().unwrap_or_default().into() } else { inner }
}

fn publish(
    report: &mut Report,
    draft: &Draft<'_, '_>,
    outputs: &BTreeMap<String, ArtifactType>,
) -> BTreeMap<String, Utf8PathBuf> {
    let mut published = BTreeMap::new();
    let Some((table, span)) = draft.table.table(report, "publish") else { return published };
    let table = Table { table, what: What::Part("publish", "stage", draft.name), span };
    for (key, _) in table.table {
        let port = key.get_ref().as_ref();
        if !outputs.contains_key(port) {
            // An output of a `command` stage whose type could not be read is reported where it stands.
            let written = draft.table.get("outputs").and_then(|item| item.get_ref().as_table());
            let is_command = draft.kind.as_ref().is_some_and(|kind| kind.manifest.is_command());
            if is_command && written.is_none_or(|written| written.contains_key(port)) {
                continue;
            }
            let message = format!("stage `{}` has no output `{port}`", draft.name);
            report.unknown("unknown-port", key.span(), message, port, names(outputs));
            continue;
        }
        let Some((path, span)) = table.text(report, port) else { continue };
        if is_inner_path(path) {
            published.insert(port.to_owned(), path.into());
        } else {
            let message = format!("`{path}` does not lie inside the project");
            report.add("bad-path", span, message).label = Some("expected a relative path without `..`".to_owned());
        }
    }
    published
}

/// Reports paths that two stages publish to, and published outputs that do not exist.
pub(super) fn check_published(report: &mut Report, drafts: &[Draft<'_, '_>], stages: &[Stage]) {
    let mut taken: BTreeMap<&Utf8Path, &str> = BTreeMap::new();
    for (draft, stage) in drafts.iter().zip(stages) {
        for (port, path) in &stage.publish {
            if let Some(name) = stage.lacks(port) {
                let publish = draft.table.get("publish").and_then(|item| item.get_ref().as_table());
                let key = publish.and_then(|publish| publish.get_key_value(port.as_str())).map(|(key, _)| key.span());
                report_lacking(report, stage, port, name, key.unwrap_or_else(|| draft.table.span.clone()));
            }
            if let Some(other) = taken.insert(path, &stage.name) {
                let span = draft
                    .table
                    .get("publish")
                    .and_then(|item| item.get_ref().get(port.as_str()))
                    .map_or(draft.table.span.clone(), |item| item.span());
                report.add("duplicate-publish", span, format!("`{path}` is published by `{other}` already"));
            }
        }
    }
}

/// Reports an output that does not exist because the parameter `name` is not given.
pub(super) fn report_lacking(report: &mut Report, stage: &Stage, port: &str, name: &str, span: Range<usize>) {
    let message = format!("stage `{}` has its output `{port}` only with `{name}`, which it does not set", stage.name);
    let word = stage.kind.manifest.parameters.get(name).map_or("value", |it| it.parameter_type.word());
    report.add("absent-output", span, message).help =
        Some(format!("give stage `{}` the parameter: `with = {{ {name} = … }}` ({word})", stage.name));
}
