//! Reading `stages/KIND/stage.toml`.

use std::{collections::BTreeMap, ops::Range};

use toml::de::{DeTable, DeValue};

use crate::{
    base::{ArtifactType, Diagnostic, SourceText, Value},
    spec::{
        COMMAND_KIND, FILE_FORMAT, InputPort, KindManifest, OutputPort, Parameter, ParameterType, Piece, Resources,
        command::{among, check_arguments},
        document, params,
        reader::{self, Report, Table, What},
        reference::is_name,
    },
};

/// The keys of a `stage.toml`.
pub(super) const KEYS: [&str; 11] = [
    "schema",
    "revision",
    "summary",
    "seeded",
    "numerics",
    "resources",
    "files",
    "command",
    "inputs",
    "outputs",
    "parameters",
];
/// The keys of an input port.
pub(super) const INPUT_KEYS: [&str; 5] = ["type", "doc", "optional", "many", "labelled"];
/// The keys of an output port.
pub(super) const OUTPUT_KEYS: [&str; 3] = ["type", "doc", "when"];
/// The keys of a parameter.
pub(super) const PARAMETER_KEYS: [&str; 12] =
    ["type", "default", "optional", "min", "max", "values", "tables", "keys", "unit", "doc", "bind", "files"];
/// The types of parameters.
pub(super) const PARAMETER_TYPES: [&str; 9] =
    ["bool", "int", "float", "string", "choice", "list", "map", "file", "source"];
/// The keys of `resources`.
pub(super) const RESOURCE_KEYS: [&str; 3] = ["cpus", "memory-gb", "gpus"];

impl KindManifest {
    /// Reads the `stage.toml` of the kind `name`.
    ///
    /// # Errors
    /// Every mistake of the file, in the order of the text.
    pub fn parse(name: &str, source: &SourceText) -> Result<Self, Vec<Diagnostic>> {
        let mut report = Report::new(source);
        let mut patched = String::new();
        let manifest = document::document(&mut report, source.text(), &mut patched)
            .map(|table| read(&mut report, name, source, &table));
        match manifest {
            Some(manifest) if report.is_empty() => Ok(manifest),
            _ => Err(report.finish()),
        }
    }
}

/// Reports a `schema` that this build does not read.
pub(super) fn check_schema(report: &mut Report, root: &Table<'_, '_>, known: &[&str]) {
    root.missing(report, "schema", known, "1");
    let Some(version) = root.int(report, "schema", 0..=i64::MAX) else { return };
    if version != FILE_FORMAT {
        let span = root.get("schema").map_or(0..0, |item| item.span());
        let message = format!("this file is of format {version}, which this build does not read");
        let diagnostic = report.add("unknown-format", span, message);
        diagnostic.label = Some(format!("expected {FILE_FORMAT}"));
        if version > FILE_FORMAT {
            diagnostic.help = Some("a newer build of `pipeline` may".to_owned());
        }
    }
}

fn read(report: &mut Report, name: &str, source: &SourceText, table: &DeTable<'_>) -> KindManifest {
    let root = Table { table, what: What::Plain("this kind"), span: 0..0 };
    root.allow(report, &KEYS);
    check_schema(report, &root, &KEYS);
    if !is_name(name) || name == COMMAND_KIND {
        let message = format!("a kind cannot be called `{name}`");
        report.add("bad-name", 0..0, message).help = Some("rename its folder".to_owned());
    }
    root.missing(report, "revision", &KEYS, "1");
    root.missing(report, "summary", &KEYS, "\"what it does\"");
    let revision = root.int(report, "revision", 1..=i64::from(u32::MAX)).and_then(|it| u32::try_from(it).ok());
    let mut file_spans: Vec<(String, Range<usize>)> = Vec::new();
    for (path, span) in root.texts(report, "files").unwrap_or_default() {
        if file_spans.iter().any(|(other, _)| other == path) {
            report.add("duplicate-file", span, format!("`{path}` is listed twice"));
        } else if is_inner_path(path) {
            file_spans.push((path.to_owned(), span));
        } else {
            let message = format!("`{path}` does not lie beside this `stage.toml`");
            report.add("bad-path", span, message).label = Some("expected a relative path without `..`".to_owned());
        }
    }
    let files: Vec<String> = file_spans.iter().map(|(path, _)| path.clone()).collect();

    let inputs = ports(report, &root, "inputs", |report, port| {
        port.allow(report, &INPUT_KEYS);
        Some(InputPort {
            artifact_type: artifact_type(report, port)?,
            doc: doc(report, port),
            optional: port.bool(report, "optional").unwrap_or(false),
            many: port.bool(report, "many").unwrap_or(false),
            labelled: port.bool(report, "labelled").unwrap_or(false),
        })
    });
    let mut conditions: Vec<(String, Range<usize>)> = Vec::new();
    let outputs = ports(report, &root, "outputs", |report, port| {
        port.allow(report, &OUTPUT_KEYS);
        let when = port.text(report, "when");
        if let Some((word, span)) = &when {
            conditions.push(((*word).to_owned(), span.clone()));
        }
        Some(OutputPort {
            artifact_type: artifact_type(report, port)?,
            doc: doc(report, port),
            when: when.map(|(word, _)| word.to_owned()),
        })
    });
    let parameters = ports(report, &root, "parameters", |report, table| {
        let What::Named(_, name) = table.what else { return None };
        if files.iter().any(|file| file == name) {
            let message = format!("`{name}` is a parameter and a file");
            report.add("duplicate-key", table.span.clone(), message).help = Some("rename one of them".to_owned());
        }
        let mut parameter = parameter(report, name, table)?;
        parameter.files = choice_files(report, table, &parameter.parameter_type, &mut file_spans);
        if let (ParameterType::File, Some(Value::Text(path)), Some(item)) =
            (&parameter.parameter_type, &parameter.default, table.get("default"))
        {
            if is_inner_path(path) {
                file_spans.push((path.clone(), item.span()));
            } else {
                let message = format!("`{path}` does not lie beside this `stage.toml`");
                report.add("bad-path", item.span(), message).label =
                    Some("expected a relative path without `..`".to_owned());
            }
        }
        Some(parameter)
    });
    for (word, span) in conditions {
        check_condition(report, &root, &parameters, &word, span);
    }

    let mut manifest = KindManifest {
        name: name.to_owned(),
        revision: revision.unwrap_or(1),
        summary: root.text(report, "summary").map(|(text, _)| text.to_owned()).unwrap_or_default(),
        seeded: root.bool(report, "seeded").unwrap_or(false),
        numerics: root.bool(report, "numerics").unwrap_or(false),
        resources: resources(report, &root, Resources::default()),
        files,
        command: None,
        inputs,
        outputs,
        parameters,
        source: source.clone(),
        file_spans,
    };
    if let Some(arguments) = root.texts(report, "command") {
        check_arguments(report, &root, &arguments, |piece| match piece {
            Piece::Input(port) => among(manifest.inputs.contains_key(port), || names(&manifest.inputs)),
            Piece::Output(port) => among(manifest.outputs.contains_key(port), || names(&manifest.outputs)),
            Piece::Param(name) => among(manifest.parameters.contains_key(name), || names(&manifest.parameters)),
            Piece::File(name) => {
                let mut known: Vec<&str> = manifest.files.iter().map(String::as_str).collect();
                known.extend(manifest.parameters.iter().filter(|(_, it)| is_file(it)).map(|(name, _)| name.as_str()));
                among(known.contains(&name.as_str()), || known)
            }
            Piece::Seed => among(manifest.seeded, Vec::new),
            Piece::Text(_) => Ok(()),
        });
        manifest.command = Some(arguments.into_iter().map(|(text, _)| text.to_owned()).collect());
    }
    manifest
}

/// Reads the files that the values of a choice bring along.
fn choice_files(
    report: &mut Report,
    table: &Table<'_, '_>,
    parameter_type: &ParameterType,
    file_spans: &mut Vec<(String, Range<usize>)>,
) -> BTreeMap<String, Vec<String>> {
    let ParameterType::Choice(values) = parameter_type else { return BTreeMap::new() };
    let Some((by_value, span)) = table.table(report, "files") else { return BTreeMap::new() };
    let by_value = Table { table: by_value, what: What::Plain("`files`"), span };
    let mut found = BTreeMap::new();
    for (value, item) in by_value.table {
        let word = value.get_ref().as_ref();
        if !values.iter().any(|value| value == word) {
            let message = format!("`{word}` is none of the values");
            report.unknown("bad-choice", value.span(), message, word, values.iter().map(String::as_str));
            continue;
        }
        let DeValue::Array(paths) = item.get_ref() else {
            reader::wrong_type(report, format!("the files of `{word}` are of the wrong type"), item, "list");
            continue;
        };
        let mut files = Vec::new();
        for path in paths.iter() {
            match path.get_ref().as_str().filter(|path| is_inner_path(path)) {
                Some(text) => {
                    files.push(text.to_owned());
                    file_spans.push((text.to_owned(), path.span()));
                }
                None => {
                    let message = "this does not lie beside this `stage.toml`".to_owned();
                    report.add("bad-path", path.span(), message).label =
                        Some("expected a relative path without `..`".to_owned());
                }
            }
        }
        found.insert(word.to_owned(), files);
    }
    found
}

/// Reports a condition of an output that is no parameter, or one that always has a value.
fn check_condition(
    report: &mut Report,
    root: &Table<'_, '_>,
    parameters: &BTreeMap<String, Parameter>,
    word: &str,
    span: Range<usize>,
) {
    match parameters.get(word) {
        Some(parameter) if parameter.optional && parameter.default.is_none() => {}
        Some(_) => {
            let message = format!("parameter `{word}` always has a value, so it is no condition");
            report.add("bad-condition", span, message).label =
                Some("expected a parameter with `optional = true` and no default".to_owned());
        }
        None => {
            let written = root.get("parameters").and_then(|item| item.get_ref().as_table());
            // One that could not be read is reported where it stands.
            if !written.is_some_and(|written| written.contains_key(word)) {
                let message = format!("this kind has no parameter `{word}`");
                report.unknown("unknown-parameter", span, message, word, names(parameters));
            }
        }
    }
}

fn is_file(parameter: &Parameter) -> bool {
    matches!(parameter.parameter_type, ParameterType::File | ParameterType::Source)
}

/// Returns the keys of a map as words.
pub(super) fn names<T>(map: &BTreeMap<String, T>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

/// Returns whether `path` stays inside the folder that it is relative to.
pub(super) fn is_inner_path(path: &str) -> bool {
    use camino::{Utf8Component, Utf8Path};
    let mut inner = Utf8Path::new(path).components().peekable();
    inner.peek().is_some() && inner.all(|it| matches!(it, Utf8Component::Normal(_) | Utf8Component::CurDir))
}

/// Reads the tables inside the table `key`.
fn ports<T>(
    report: &mut Report,
    root: &Table<'_, '_>,
    key: &'static str,
    mut read: impl FnMut(&mut Report, &Table<'_, '_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let noun = match key {
        "inputs" => "input",
        "outputs" => "output",
        _ => "parameter",
    };
    let mut found = BTreeMap::new();
    let Some((table, _)) = root.table(report, key) else { return found };
    for (name, item) in table {
        let word = name.get_ref().as_ref();
        if !is_name(word) {
            let article = if noun == "parameter" { "a" } else { "an" };
            bad_name(report, &format!("{article} {noun}"), word, name.span());
        }
        let DeValue::Table(table) = item.get_ref() else {
            reader::wrong_type(report, format!("{noun} `{word}` is of the wrong type"), item, "table");
            continue;
        };
        let table = Table { table, what: What::Named(noun, word), span: name.span() };
        if let Some(value) = read(report, &table) {
            found.insert(word.to_owned(), value);
        }
    }
    found
}

/// Reports a name that cannot be one.
pub(super) fn bad_name(report: &mut Report, noun: &str, word: &str, span: Range<usize>) {
    let message = format!("`{word}` cannot be the name of {noun}");
    report.add("bad-name", span, message).label = Some("expected letters, digits, `-` and `_`".to_owned());
}

fn artifact_type(report: &mut Report, port: &Table<'_, '_>) -> Option<ArtifactType> {
    port.missing(report, "type", &INPUT_KEYS, "\"table:SCHEMA\"");
    let (text, span) = port.text(report, "type")?;
    parse_type(report, text, span)
}

/// Reads an artifact type.
pub(super) fn parse_type(report: &mut Report, text: &str, span: Range<usize>) -> Option<ArtifactType> {
    match text.parse() {
        Ok(artifact_type) => Some(artifact_type),
        Err(_) => {
            let message = format!("`{text}` is no artifact type");
            report.unknown("bad-type", span, message, text, ["table:SCHEMA", "model", "file", "folder"]);
            None
        }
    }
}

fn doc(report: &mut Report, table: &Table<'_, '_>) -> String {
    table.text(report, "doc").map(|(text, _)| text.to_owned()).unwrap_or_default()
}

/// Reads `resources`, on top of what holds without it.
pub(super) fn resources(report: &mut Report, parent: &Table<'_, '_>, default: Resources) -> Resources {
    let Some((table, span)) = parent.table(report, "resources") else { return default };
    let what = match parent.what {
        What::Named(noun, name) => What::Part("resources", noun, name),
        _ => What::Plain("`resources`"),
    };
    let table = Table { table, what, span };
    table.allow(report, &RESOURCE_KEYS);
    let mut whole =
        |key, default| table.int(report, key, 0..=1_000_000).and_then(|it| u32::try_from(it).ok()).unwrap_or(default);
    let (cpus, gpus) = (whole("cpus", default.cpus), whole("gpus", default.gpus));
    Resources { cpus, gpus, memory_gb: table.amount(report, "memory-gb").unwrap_or(default.memory_gb) }
}

fn parameter(report: &mut Report, name: &str, table: &Table<'_, '_>) -> Option<Parameter> {
    table.allow(report, &PARAMETER_KEYS);
    table.missing(report, "type", &PARAMETER_KEYS, "\"int\"");
    let (word, span) = table.text(report, "type")?;
    let mut texts = |key| -> Vec<String> {
        table.texts(report, key).unwrap_or_default().into_iter().map(|(text, _)| text.to_owned()).collect()
    };
    let (values, tables, keys) = (texts("values"), texts("tables"), texts("keys"));
    let parameter_type = match word {
        "bool" => ParameterType::Bool,
        "int" => ParameterType::Int,
        "float" => ParameterType::Float,
        "string" => ParameterType::Text,
        "choice" => {
            if values.is_empty() && table.get("values").is_none_or(|it| it.get_ref().is_array()) {
                let message = format!("parameter `{name}` is a choice without values");
                report.add("missing-key", span.clone(), message).label = Some("expected `values = […]`".to_owned());
            }
            ParameterType::Choice(values)
        }
        "list" => ParameterType::List,
        "map" => ParameterType::Map,
        "file" => ParameterType::File,
        "source" => ParameterType::Source,
        _ => {
            let message = format!("`{word}` is no parameter type");
            report.unknown("bad-type", span, message, word, PARAMETER_TYPES);
            return None;
        }
    };
    let is_number = matches!(parameter_type, ParameterType::Int | ParameterType::Float);
    for (key, fits) in [
        ("min", is_number),
        ("max", is_number),
        ("values", matches!(parameter_type, ParameterType::Choice(_))),
        ("tables", matches!(parameter_type, ParameterType::Choice(_))),
        ("keys", parameter_type == ParameterType::Map),
        ("bind", parameter_type == ParameterType::Int),
        ("files", matches!(parameter_type, ParameterType::Choice(_))),
    ] {
        if let (Some((key, _)), false) = (table.table.get_key_value(key), fits) {
            let message = format!("`{}` means nothing for a parameter of type `{word}`", key.get_ref());
            report.add("unknown-key", key.span(), message);
        }
    }
    let mut parameter = Parameter {
        parameter_type,
        tables,
        keys,
        default: None,
        optional: table.bool(report, "optional").unwrap_or(false),
        min: table.number(report, "min"),
        max: table.number(report, "max"),
        unit: table.text(report, "unit").map(|(text, _)| text.to_owned()),
        doc: doc(report, table),
        bind_round: false,
        files: BTreeMap::new(),
    };
    if let Some((word, span)) = table.text(report, "bind") {
        parameter.bind_round = word == "round";
        if !parameter.bind_round {
            let message = format!("a parameter cannot be bound to `{word}`");
            report.unknown("bad-choice", span, message, word, ["round"]);
        }
    }
    if let Some(item) = table.get("default") {
        parameter.default = params::typed(report, "default", &parameter, item);
    }
    Some(parameter)
}
