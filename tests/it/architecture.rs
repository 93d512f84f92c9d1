//! Holds the code to the picture in `docs/ARCHITECTURE.md`: who may import whom, and which floor may touch the world.

use std::{collections::BTreeMap, fs, path::Path};

/// Module → modules it may name. A module may always name itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("record", &["base"]),
    ("table", &["base"]),
    ("spec", &["base"]),
    ("plan", &["base", "record", "spec"]),
    ("schedule", &["base", "spec"]),
    ("store", &["base", "record", "table"]),
    ("tools", &["base"]),
    ("sandbox", &["base"]),
    ("servers", &["base", "sandbox", "tools"]),
    ("prompt", &["base", "tools"]),
    ("lm", &["base"]),
    ("rl", &["base", "lm"]),
    ("stage", &["base", "record", "table", "tools", "sandbox", "servers", "prompt", "lm", "rl"]),
    ("engine", &["base", "record", "table", "spec", "plan", "schedule", "store", "stage"]),
    ("report", &["base", "record", "table", "plan", "spec"]),
    ("cli", &["base", "record", "table", "spec", "plan", "schedule", "store", "stage", "engine", "report", "sandbox"]),
];

/// What pure floors must not name.
const WORLD: &[&str] =
    &["std::fs", "fs_err", "std::process", "std::env", "std::thread", "SystemTime", "Instant::now", "candle_"];

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file is readable");
            found.push((path.display().to_string(), text));
        }
    }
}

fn modules() -> BTreeMap<String, Vec<(String, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    fs::read_dir(&root)
        .expect("src is readable")
        .map(|entry| entry.expect("an entry is readable").path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let mut found = Vec::new();
            sources(&path, &mut found);
            (path.file_name().expect("a folder has a name").to_string_lossy().into_owned(), found)
        })
        .collect()
}

/// The names of modules that a line of code mentions as `crate::NAME`, also inside `use crate::{…}` groups.
fn mentioned(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (index, _) in code.match_indices("crate::") {
        if code[..index].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            continue;
        }
        let rest = &code[index + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut word)),
                    ' ' | '\n' if depth == 0 => {}
                    letter => {
                        if depth == 0 {
                            if letter == ':' {
                                if !word.is_empty() {
                                    names.push(std::mem::take(&mut word));
                                }
                                word.push('!');
                            } else {
                                word.push(letter);
                            }
                        }
                    }
                }
            }
            names.push(word);
        } else {
            names.push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
        }
    }
    names.into_iter().filter(|name| !name.is_empty() && !name.starts_with('!')).collect()
}

#[test]
fn modules_import_only_from_the_floors_below() {
    let modules = modules();
    let mut wrong = Vec::new();
    for (module, files) in &modules {
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| name == module)
            .unwrap_or_else(|| panic!("src/{module} is on no floor: add it to the table and to docs/ARCHITECTURE.md"));
        for (path, text) in files {
            for name in mentioned(text) {
                if modules.contains_key(&name) && name != *module && !allowed.contains(&name.as_str()) {
                    wrong.push(format!("{path}: `{module}` must not import `{name}`"));
                }
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_floors_do_not_touch_the_world() {
    let modules = modules();
    let mut wrong = Vec::new();
    for module in ["base", "record", "table", "spec", "plan", "schedule", "tools", "prompt", "rl", "report"] {
        for (path, text) in modules.get(module).into_iter().flatten() {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                for word in WORLD {
                    if line.contains(word) {
                        wrong.push(format!("{path}:{}: `{word}` on a pure floor", number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_sees_groups_and_paths() {
    let text = "use crate::{\n    base::{Digest, Value},\n    store::Store,\n};\nfn f() { crate::lm::load(); }\n// crate::cli\n\
                use crate::{engine, plan::{Graph, Key}, report};";
    assert_eq!(mentioned(text), ["base", "store", "lm", "engine", "plan", "report"]);
}
