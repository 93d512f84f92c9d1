//! A real llama.cpp server: what it says greedily is what the model in this process says.
//!
//! `python tests/fixtures/lm/llama_server.py MODEL.gguf` starts one and prints its address; then
//! `LLAMA_SERVER=http://127.0.0.1:PORT LLAMA_GGUF=MODEL.gguf cargo test --release backend_llama -- --ignored --nocapture`.

use std::time::Instant;

use camino::Utf8PathBuf;
use toolexpander::{base::ArtifactType, lm::gguf, table::RolloutRow};

use super::{
    harness::{Outcome, StageRun},
    model_support::questions,
};

/// Runs a rollout; returns how fast it was as a line.
fn timed(name: &str, run: StageRun) -> (String, Outcome, Vec<RolloutRow>) {
    let started = Instant::now();
    let outcome = run.run().unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let rows: Vec<RolloutRow> = outcome.table("rollouts");
    let tokens: i32 = rows.iter().map(|row| row.completion_tokens).sum();
    let line = format!("{name}: {tokens} tokens in {seconds:.2} s, {:.0} tokens/s", f64::from(tokens) / seconds);
    (line, outcome, rows)
}

#[test]
#[ignore = "needs a server: see above"]
fn llama_cpp_says_what_the_sampler_says() {
    let address = std::env::var("LLAMA_SERVER").expect("LLAMA_SERVER is the server's address");
    let file = Utf8PathBuf::from(std::env::var("LLAMA_GGUF").expect("LLAMA_GGUF is the file that it serves"));
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::from_path_buf(folder.path().join("model")).unwrap();
    gguf::import(&file).unwrap().save(&folder).unwrap();
    let roll = |temperature: f64, group: i64, backend: toml::Table| {
        StageRun::new("rollout")
            .input_at("model", "model", ArtifactType::Model, &folder)
            .table("samples", "data", &questions(8))
            .param("max-tokens", 32)
            .param("group-size", group)
            .param("temperature", temperature)
            .param("backend", backend)
    };
    let backend = |prompt: &str| {
        let entries = [("openai", address.as_str()), ("prompt", prompt)];
        entries.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<toml::Table>()
    };
    let (line, _, own) = timed("in-process, greedy", roll(0.0, 1, toml::Table::new()));
    println!("{line}");
    for form in ["text", "tokens"] {
        let (line, outcome, served) = timed(&format!("server, greedy, prompts as {form}"), roll(0.0, 1, backend(form)));
        println!("{line}\n  model {:?}, {:?}", outcome.fact("backend-model"), outcome.fact("backend-fingerprint"));
        let mut different = 0;
        for (own, served) in own.iter().zip(&served) {
            if own.completion != served.completion || own.finish != served.finish {
                different += 1;
                println!("  {}: in-process {:?} / server {:?}", own.sample_id, own.completion, served.completion);
            }
            if own.completion == served.completion {
                assert_eq!((&own.finish, own.completion_tokens), (&served.finish, served.completion_tokens));
                let difference = (own.log_prob - served.log_prob).abs();
                assert!(difference < 0.02, "log-probabilities: {} and {}", own.log_prob, served.log_prob);
            }
        }
        println!("  {} of {} texts are equal", own.len() - different, own.len());
        assert_eq!(different, 0, "a file in f32 gives equal texts; quantised kernels round otherwise");
    }
    let (line, _, first) = timed("server, temperature 1, groups of 2", roll(1.0, 2, backend("text")));
    let distinct: std::collections::BTreeSet<&str> = first.iter().map(|row| row.completion.as_str()).collect();
    println!("{line}\n  {} of {} texts are distinct", distinct.len(), first.len());
    assert!(distinct.len() > first.len() / 2, "every request has a seed of its own");
    let (again_line, _, again) = timed("server, the same again", roll(1.0, 2, backend("text")));
    let equal = first.iter().zip(&again).filter(|(one, two)| one.completion == two.completion).count();
    println!("{again_line}\n  {equal} of {} texts come again with the same seeds", first.len());
}
