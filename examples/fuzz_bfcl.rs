//! Random and mutated model outputs through BFCL's decoder and checker: `cargo run --release --example fuzz_bfcl -- FILE
//! [COUNT] [SEED]`.
//!
//! FILE has the form that `oracle bfcl` reads; its outputs are mutated. Nothing may panic, and the last line of standard
//! output is JSON: how many ran, the slowest (with its case), how many took more than 10 ms.

#[path = "oracle/packed.rs"]
mod packed;
#[path = "oracle/bfcl_row.rs"]
mod row;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use anyhow::Context;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use toolexpander::tools::bfcl::{Fair, Prepared};

const LIMIT: Duration = Duration::from_millis(10);

/// What mutations insert.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "=",
    "+",
    "-",
    "*",
    "**",
    "//",
    "%",
    "<<",
    "~",
    "\\",
    "\n",
    "\t",
    "#",
    "0",
    "007",
    "1_0",
    "0x1f",
    "1e5",
    "1.5j",
    "...",
    "'''",
    "\"\"\"",
    "f'{x}'",
    "f'{x!r:{y}}'",
    "b'a'",
    "'\\x4'",
    "'\\ud800'",
    "not ",
    "lambda x: x",
    "x if y else z",
    "for x in y",
    "await x",
    "yield",
    "*x",
    "**x",
    "g(1)",
    "g(k=1)",
    "x[1:2]",
    "{1: 2}",
    "10**10**9",
    "1<<10**9",
    "'x'*10**9",
    "[[0]*999]*999",
    "9**9**9",
    "1e999",
    "((((((((",
    "[[[[[[[[",
    "{{{{{{{{",
    "--------",
    "é",
    "，",
    "\u{a0}",
    "\u{feff}",
    "\u{1F600}",
    "\0",
    "print x",
    "a:=1",
    "new int[]{1}",
    "() -> x",
    "x => x",
    "`${x}`",
    "<functions>",
    "</functions>",
    "<function name=\"f\">",
    "&amp;",
    "&#65;",
    "<![CDATA[",
    "<TOOLCALL>",
    "</TOOLCALL>",
    "{\"function\": \"f\", \"parameters\": {}}",
    "null",
    "true",
    "NaN",
];

fn mutate(random: &mut StdRng, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=letters.len());
        match random.random_range(0..6) {
            0 | 1 => {
                let piece = PIECES.choose(random).copied().unwrap_or_default();
                letters.splice(at..at, piece.chars());
            }
            2 => {
                let end = (at + random.random_range(1..20)).min(letters.len());
                letters.drain(at..end);
            }
            3 => letters.truncate(at),
            4 => {
                let times = random.random_range(1..200);
                let piece = PIECES.choose(random).copied().unwrap_or_default().repeat(times);
                letters.splice(at..at, piece.chars());
            }
            _ => {
                let end = (at + random.random_range(1..60)).min(letters.len());
                let copy = letters[at..end].to_vec();
                let to = random.random_range(0..=letters.len());
                letters.splice(to..to, copy);
            }
        }
    }
    letters.into_iter().collect()
}

fn noise(random: &mut StdRng) -> String {
    (0..random.random_range(0..60))
        .map(|_| {
            if random.random_bool(0.7) {
                PIECES.choose(random).copied().unwrap_or_default().to_owned()
            } else {
                char::from_u32(random.random_range(0..0x3000)).map(String::from).unwrap_or_default()
            }
        })
        .collect()
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = arguments.first().context("usage: fuzz_bfcl FILE [COUNT] [SEED]")?;
    let number =
        |place: usize, default: u64| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, seed) = (number(1, 1_000_000), number(2, 0));
    let text = packed::read(file)?;
    let mut cases = Vec::new();
    // Every ninth row: all kinds, little memory.
    for line in text.lines().step_by(9) {
        let row: Value = serde_json::from_str(line)?;
        let entry = row::entry(&row)?;
        let answer = row["model_output"].as_str().unwrap_or_default().to_owned();
        cases.push((Prepared::new(&entry), Fair::new(&entry), answer));
    }
    let mut random = StdRng::seed_from_u64(seed);
    let (mut slowest, mut slow, mut right) = (Vec::new(), 0_u64, 0_u64);
    for turn in 0..count {
        let (prepared, fair, answer) = cases.choose(&mut random).context("the file has rows")?;
        let text = if random.random_bool(0.1) { noise(&mut random) } else { mutate(&mut random, answer) };
        let start = Instant::now();
        let verdict = prepared.judge(&text);
        let taken = start.elapsed();
        right += u64::from(verdict.valid);
        if turn % 16 == 0 {
            fair.judge(&text);
        }
        slow += u64::from(taken > LIMIT);
        if slowest.last().is_none_or(|(least, _)| taken > *least) {
            slowest.push((taken, text));
            slowest.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
            slowest.truncate(8);
        }
    }
    let peak = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("unknown", str::trim).to_owned();
    let mut out = io::stdout().lock();
    for (taken, text) in &slowest {
        let text: String = text.chars().take(200).collect();
        writeln!(out, "{:.3} ms: {text:?}", taken.as_secs_f64() * 1e3)?;
    }
    let slowest = slowest.first().map_or(0.0, |(taken, _)| taken.as_secs_f64() * 1e3);
    let line = json!({
        "ran": count,
        "seed": seed,
        "right": right,
        "slowest_ms": slowest,
        "over_10_ms": slow,
        "peak_memory": peak,
    });
    writeln!(out, "{line}")?;
    Ok(())
}
