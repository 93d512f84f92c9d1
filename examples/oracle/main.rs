//! Checks formulas and judges against files of golden results: `cargo run --release --example oracle -- KIND FILE`.
//!
//! A file ending in `.gz` is unpacked. The last line of standard output is one JSON object: `{"kind", "matched", "total",
//! "mismatches": [first 20 ids]}`. The exit code is 0 if everything matched, 1 if not, 2 for a wrong call.

mod bfcl;
mod grpo;

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

/// A row's id, and what does not match.
type Rows = Vec<(String, Result<(), String>)>;

/// What the kinds are called and what checks them.
const KINDS: &[(&str, fn(&str) -> anyhow::Result<Rows>)] = &[("grpo", grpo_rows), ("bfcl", bfcl::check)];

fn grpo_rows(text: &str) -> anyhow::Result<Rows> {
    grpo::check(text).map_err(anyhow::Error::msg)
}

fn read(file: &str) -> io::Result<String> {
    let bytes = fs_err::read(file)?;
    let mut text = String::new();
    if file.ends_with(".gz") {
        flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text)?;
    } else {
        bytes.as_slice().read_to_string(&mut text)?;
    }
    Ok(text)
}

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut out, mut talk) = (io::stdout().lock(), io::stderr().lock());
    let known = || KINDS.iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(", ");
    let [kind, file] = arguments.as_slice() else {
        writeln!(talk, "usage: oracle KIND FILE, with KIND one of: {}", known())?;
        return Ok(ExitCode::from(2));
    };
    let Some((_, check)) = KINDS.iter().find(|(name, _)| name == kind) else {
        writeln!(talk, "unknown kind `{kind}`, expected one of: {}", known())?;
        return Ok(ExitCode::from(2));
    };
    let results = match read(file).map_err(anyhow::Error::from).and_then(|text| check(&text)) {
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
