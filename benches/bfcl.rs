//! Verdicts per second of BFCL's decoder and checker: `cargo bench --bench bfcl -- FILE [THREADS] [ROUNDS]`.
//!
//! FILE has the form that `oracle bfcl` reads. Entries are made ready once, outside the measured time, as an evaluation
//! does; each answer is decoded and judged from its text. Two figures: verdicts alone, and verdicts with the official
//! sentences. The last line is JSON.

#[path = "../examples/oracle/packed.rs"]
mod packed;
#[path = "../examples/oracle/bfcl_row.rs"]
mod row;

use std::{
    collections::HashMap,
    hint::black_box,
    io::{self, Write},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use serde_json::{Value, json};
use toolexpander::tools::bfcl::Prepared;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Judges all answers `rounds` times on some threads, returns verdicts per second.
fn rate(
    cases: &[(Arc<Prepared>, String)],
    threads: usize,
    rounds: usize,
    judge: impl Fn(&Prepared, &str) + Sync,
) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let judge = &judge;
            scope.spawn(move || {
                for _ in 0..rounds {
                    // Every thread takes blocks all over the file, so that the kinds of entries are spread.
                    for (prepared, text) in cases.chunks(64).skip(thread).step_by(threads).flatten() {
                        judge(prepared, text);
                    }
                }
            });
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 verdicts")]
    let verdicts = (cases.len() * rounds) as f64;
    verdicts / start.elapsed().as_secs_f64()
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut out = io::stdout().lock();
    let Some(file) = arguments.first() else {
        writeln!(out, "usage: cargo bench --bench bfcl -- FILE [THREADS] [ROUNDS]")?;
        return Ok(());
    };
    let number =
        |place: usize, default: usize| arguments.get(place).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (threads, rounds) = (number(1, 2), number(2, 20));
    let text = packed::read(file)?;
    let mut cases = Vec::new();
    let mut entries: HashMap<String, Arc<Prepared>> = HashMap::new();
    let mut kinds: Vec<(String, Vec<usize>)> = Vec::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line)?;
        let kind = format!("{} {}", row["return_format"].as_str().unwrap_or(""), row["decode_error"].is_null());
        match kinds.iter_mut().find(|(name, _)| *name == kind) {
            Some((_, places)) => places.push(cases.len()),
            None => kinds.push((kind, vec![cases.len()])),
        }
        let answer = row["model_output"].as_str().context("a model output")?.to_owned();
        let parts =
            ["category", "question_id", "entry_id", "return_format", "tool_call_tag", "function", "possible_answer"];
        let entry = parts.map(|part| row[part].to_string()).join("\n");
        let prepared = match entries.get(&entry) {
            Some(prepared) => Arc::clone(prepared),
            None => {
                let prepared = Arc::new(Prepared::new(&row::entry(&row)?));
                entries.insert(entry, Arc::clone(&prepared));
                prepared
            }
        };
        cases.push((prepared, answer));
    }
    let verdict = |prepared: &Prepared, text: &str| {
        let _ = black_box(prepared.verdict(text));
    };
    for (kind, places) in &kinds {
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            for place in places {
                verdict(&cases[*place].0, &cases[*place].1);
            }
            best = best.min(start.elapsed().as_secs_f64());
        }
        let mean = best * 1e6 / f64::from(u32::try_from(places.len())?);
        writeln!(out, "{kind:<20} (decoded) {:>6} answers {mean:8.2} µs each", places.len())?;
    }
    let plain = rate(&cases, threads, rounds, verdict);
    let worded = rate(&cases, threads, rounds, |prepared, text| {
        black_box(prepared.judge(text));
    });
    let line = json!({
        "answers": cases.len(),
        "entries": entries.len(),
        "threads": threads,
        "rounds": rounds,
        "verdicts_per_second": plain.round(),
        "with_sentences_per_second": worded.round(),
    });
    writeln!(out, "{line}")?;
    Ok(())
}
