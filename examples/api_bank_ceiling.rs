//! What the recorded calls of API-Bank score by the rules that answers are judged by:
//! `cargo run --release --example api_bank_ceiling -- FOLDER`, with a folder of dialogues (`level-*/*.jsonl`).
//!
//! Talk: each recorded call that is not accepted, or accepted only after a repair. Answer: one JSON object a mode, with
//! how many calls are right, and the ids (`FILE:LINE`, lines from 0) of those that are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value, json};
use toolexpander::tools::api_bank::{Comparison, Recorded, is_offline};

fn main() -> io::Result<ExitCode> {
    let (mut out, mut talk) = (io::stdout().lock(), io::stderr().lock());
    let Some(folder) = std::env::args().nth(1) else {
        writeln!(talk, "usage: api_bank_ceiling FOLDER")?;
        return Ok(ExitCode::from(2));
    };
    let mut files = Vec::new();
    dialogues(Path::new(&folder), &mut files)?;
    let (mut total, mut elsewhere) = (0, 0);
    let (mut wrong_official, mut wrong_fair, mut defects) = (Vec::new(), Vec::new(), Vec::new());
    let (mut elsewhere_wrong, mut repairs) = (Vec::new(), BTreeMap::new());
    for file in files {
        let name = file.strip_prefix(&folder).unwrap_or(&file).display().to_string();
        let mut earlier: Vec<Recorded> = Vec::new();
        for (line, text) in fs_err::read_to_string(&file)?.lines().enumerate() {
            let turn: Value = serde_json::from_str(text)?;
            if turn["role"] != "API" {
                continue;
            }
            let gold: Recorded = serde_json::from_value(turn)?;
            let found = Comparison::of(&as_official(&gold), &earlier, &gold);
            let id = format!("{name}:{line}");
            if is_offline(&gold.name) {
                total += 1;
                if !found.official.correct {
                    wrong_official.push(id.clone());
                }
                if !found.fair.correct {
                    wrong_fair.push(id.clone());
                }
                if let Some(difference) = found.difference() {
                    let (official, fair) = (found.official.correct, found.fair.correct);
                    writeln!(talk, "{id} {}: official {official}, fair {fair}: {difference}", gold.name)?;
                    *repairs.entry(difference.split(" (").next().unwrap_or_default().to_owned()).or_insert(0) += 1;
                }
                if let Some(defect) = &found.fair.defect {
                    writeln!(talk, "{id} {}: {defect}", gold.name)?;
                    defects.push(id);
                }
            } else {
                elsewhere += 1;
                if !found.fair.correct {
                    writeln!(talk, "{id} {}: {:?}", gold.name, found.fair.reason)?;
                    elsewhere_wrong.push(id);
                }
            }
            earlier.push(gold);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of calls")]
    let share = |wrong: usize| (total - wrong) as f64 / total as f64;
    let line = json!({
        "mode": "official",
        "total": total,
        "correct": total - wrong_official.len(),
        "share": share(wrong_official.len()),
        "wrong": wrong_official,
    });
    writeln!(out, "{line}")?;
    // The second share counts only calls that still give their recorded results.
    let line = json!({
        "mode": "fair",
        "total": total,
        "correct": total - wrong_fair.len(),
        "share": share(wrong_fair.len()),
        "share_as_recorded": share(wrong_fair.iter().chain(&defects).collect::<BTreeSet<_>>().len()),
        "wrong": wrong_fair,
        "defective": defects,
        "repairs": repairs,
    });
    writeln!(out, "{line}")?;
    let correct = elsewhere - elsewhere_wrong.len();
    let line = json!({ "mode": "not-run", "total": elsewhere, "correct": correct, "wrong": elsewhere_wrong });
    writeln!(out, "{line}")?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the `.jsonl` files below a folder, in path order.
fn dialogues(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs_err::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            dialogues(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes a recorded call as the official prompt shows calls: every value as a text in single quotes.
fn as_official(gold: &Recorded) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let arguments: Vec<String> =
        gold.arguments.iter().map(|(name, value)| format!("{name}='{}'", text(value))).collect();
    format!("[{}({})]", gold.name, arguments.join(", "))
}
