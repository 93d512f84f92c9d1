//! Checks formulas and judges against files of golden results: `cargo run --release --example oracle -- KIND FILE`.
//!
//! A file ending in `.gz` is unpacked. The last line of standard output is one JSON object: `{"kind", "matched", "total",
//! "mismatches": [first 20 ids]}`. The exit code is 0 if everything matched, 1 if not, 2 for a wrong call.
//!
//! `multi-turn gold` needs no file: it judges the ground truth of multi-turn BFCL as an answer.

mod api_bank;
mod bfcl;
mod grpo;
mod multi_turn;
mod packed;
mod python_worlds;
mod toolrl_reward;

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// A row's id, and what does not match.
type Rows = Vec<(String, Result<(), String>)>;

/// Checks the text of a file.
type Check = fn(&str) -> anyhow::Result<Rows>;

/// What the kinds are called and what checks them.
const KINDS: &[(&str, Check)] = &[
    ("api-bank", api_bank::check),
    ("bfcl", bfcl::check),
    ("grpo", grpo_rows),
    ("multi-turn", multi_turn_rows),
    ("toolrl-reward", toolrl_rows),
];

fn grpo_rows(text: &str) -> anyhow::Result<Rows> {
    grpo::check(text).map_err(anyhow::Error::msg)
}

fn toolrl_rows(text: &str) -> anyhow::Result<Rows> {
    toolrl_reward::check(text).map_err(anyhow::Error::msg)
}

fn multi_turn_rows(text: &str) -> anyhow::Result<Rows> {
    multi_turn::check(text, python_worlds::open).map_err(anyhow::Error::msg)
}

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // This program starts servers in sandboxes, and is the helper that does so.
    if arguments == ["__sandbox"] {
        return toolexpander::sandbox::helper::main().map(|()| ExitCode::SUCCESS);
    }
    let (mut out, mut talk) = (io::stdout().lock(), io::stderr().lock());
    let known = || KINDS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ");
    let [kind, file] = arguments.as_slice() else {
        writeln!(talk, "usage: oracle KIND FILE, with KIND one of: {}", known())?;
        return Ok(ExitCode::from(2));
    };
    if [kind, file] == ["multi-turn", "gold"] {
        return python_worlds::write_gold(&mut out).map(|()| ExitCode::SUCCESS);
    }
    let Some((_, check)) = KINDS.iter().find(|(name, _)| name == kind) else {
        writeln!(talk, "unknown kind `{kind}`, expected one of: {}", known())?;
        return Ok(ExitCode::from(2));
    };
    let results = match packed::read(file).map_err(anyhow::Error::from).and_then(|text| check(&text)) {
        Ok(results) => results,
        Err(error) => {
            writeln!(talk, "{file}: {error}")?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut mismatches = Vec::new();
    for (id, result) in &results {
        if let Err(reason) = result {
            writeln!(talk, "{id}: {reason}")?;
            mismatches.push(id.as_str());
        }
    }
    let matched = results.len() - mismatches.len();
    let line = serde_json::json!({
        "kind": kind,
        "matched": matched,
        "total": results.len(),
        "mismatches": mismatches.iter().take(20).collect::<Vec<_>>(),
    });
    writeln!(out, "{line}")?;
    Ok(if mismatches.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
