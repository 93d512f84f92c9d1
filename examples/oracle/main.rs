//! Checks formulas against files of golden numbers: `cargo run --release --example oracle -- grpo FILE`.
//!
//! The last line of standard output is one JSON object: `{"kind", "matched", "total", "mismatches": [ids]}`. The exit
//! code is 0 if everything matched, 1 if not, 2 for a wrong call.

mod api_bank;
mod grpo;
mod toolrl_reward;

use std::{
    io::{self, Write},
    process::ExitCode,
};

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut out, mut talk) = (io::stdout().lock(), io::stderr().lock());
    let [kind, file] = arguments.as_slice() else {
        writeln!(talk, "usage: oracle KIND FILE, with KIND one of: api-bank, grpo")?;
        return Ok(ExitCode::from(2));
    };
    let text = fs_err::read_to_string(file)?;
    let results = match kind.as_str() {
        "api-bank" => api_bank::check(&text).map_err(|error| error.to_string()),
        "grpo" => grpo::check(&text),
        "toolrl-reward" => toolrl_reward::check(&text),
        other => {
            writeln!(talk, "unknown kind `{other}`, expected one of: api-bank, grpo")?;
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
