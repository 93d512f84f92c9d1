//! Checks formulas against files of golden numbers: `cargo run --release --example oracle -- grpo FILE`.
//!
//! `multi-turn gold` needs no file: it judges the ground truth of multi-turn BFCL as an answer.
//!
//! The last line of standard output is one JSON object: `{"kind", "matched", "total", "mismatches": [ids]}`. The exit
//! code is 0 if everything matched, 1 if not, 2 for a wrong call.

mod grpo;
mod multi_turn;
mod python_worlds;

use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // This program starts servers in sandboxes, and is the helper that does so.
    if arguments == ["__sandbox"] {
        return toolexpander::sandbox::helper::main().map(|()| ExitCode::SUCCESS);
    }
    let (mut out, mut talk) = (io::stdout().lock(), io::stderr().lock());
    let [kind, file] = arguments.as_slice() else {
        writeln!(talk, "usage: oracle KIND FILE, with KIND one of: grpo, multi-turn")?;
        return Ok(ExitCode::from(2));
    };
    if [kind, file] == ["multi-turn", "gold"] {
        return python_worlds::write_gold(&mut out).map(|()| ExitCode::SUCCESS);
    }
    let text = fs_err::read_to_string(file)?;
    let results = match kind.as_str() {
        "grpo" => grpo::check(&text),
        "multi-turn" => multi_turn::check(&text, python_worlds::open),
        other => {
            writeln!(talk, "unknown kind `{other}`, expected one of: grpo, multi-turn")?;
            return Ok(ExitCode::from(2));
        }
    };
    let results = match results {
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
        "mismatches": mismatches,
    });
    writeln!(out, "{line}")?;
    Ok(if mismatches.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
