//! Times one policy-gradient step: sampling a group of completions for each prompt, then forward, backward and AdamW.
//!
//!     cargo run --release --example step -- [--model FOLDER] [--prompts FILE.jsonl] [--size tiny|smollm2]
//!         [--groups 8] [--group-size 8] [--prompt-tokens 300] [--new-tokens 64] [--steps 2] [--rows 2048] [--threads N]
//!         [--dead N] [--recompute] [--lora RANK] [--device cpu|candle-cpu|cuda]
//!
//! `--dead` leaves that many groups out of training, as `grpo` does with groups of equal rewards; `--recompute` computes each layer again in the backward pass; `--lora` trains an adapter of this rank on every linear map;
//! `--device` says where all of it is computed (then `mfu` means nothing: it compares with the processor).
//! Without a model folder the weights are random, of SmolLM2-135M's shape (or of a tiny one), and so are the prompts unless
//! a file gives their text (`{"prompt_text": …}` a line; needs a model). Prints one JSON line per step: seconds of each part,
//! tokens per second, the share of the speed of plain matrix products (`gemm`, measured beside it) that the whole training
//! half reaches (`mfu`), peak memory, and the largest difference between log-probabilities when sampled and when trained.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use rand::Rng;
use toolexpander::base::Seed;
use toolexpander::lm::lora::{LoraOptions, Target};
use toolexpander::lm::sample::{Completion, PromptRequest, Sampling};
use toolexpander::lm::speed;
use toolexpander::lm::train::{AdamW, Footprint, PromptGroup, TokenGradients, Trainer};
use toolexpander::lm::{Config, Family, LanguageModel, LmError, Place, Tokenizer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Options {
    model: Option<String>,
    prompts: Option<String>,
    size: String,
    groups: usize,
    group_size: usize,
    prompt_tokens: usize,
    new_tokens: usize,
    steps: usize,
    rows: usize,
    threads: usize,
    dead: usize,
    recompute: bool,
    lora: Option<usize>,
    place: Place,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        model: None,
        prompts: None,
        size: "smollm2".to_owned(),
        groups: 8,
        group_size: 8,
        prompt_tokens: 300,
        new_tokens: 64,
        steps: 2,
        rows: Trainer::DEFAULT_ROWS,
        threads: 0,
        dead: 0,
        recompute: false,
        lora: None,
        place: Place::Cpu,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--recompute" {
            options.recompute = true;
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match &*name {
            "--model" => options.model = Some(value),
            "--prompts" => options.prompts = Some(value),
            "--size" => options.size = value,
            "--groups" => options.groups = value.parse()?,
            "--group-size" => options.group_size = value.parse()?,
            "--prompt-tokens" => options.prompt_tokens = value.parse()?,
            "--new-tokens" => options.new_tokens = value.parse()?,
            "--steps" => options.steps = value.parse()?,
            "--rows" => options.rows = value.parse()?,
            "--dead" => options.dead = value.parse()?,
            "--threads" => options.threads = value.parse()?,
            "--lora" => options.lora = Some(value.parse()?),
            "--device" => options.place = serde_json::from_value(value.into())?,
            _ => return Err(format!("unknown option {name}").into()),
        }
    }
    Ok(options)
}

/// The shape of SmolLM2-135M, or of a model to learn with in minutes.
fn config(size: &str) -> Result<Config, Box<dyn Error>> {
    let shape = |hidden, inner, layers, heads, kv_heads, head_dim, vocab_size| Config {
        family: Family::Llama,
        hidden_size: hidden,
        intermediate_size: inner,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: kv_heads,
        head_dim,
        vocab_size,
        rms_norm_eps: 1e-5,
        rope_theta: 100_000.0,
        rope_scaling: None,
        max_position_embeddings: 8192,
        tie_word_embeddings: true,
        bos_token_id: None,
        eos_token_ids: Vec::new(),
    };
    match size {
        "smollm2" => Ok(shape(576, 1536, 30, 9, 3, 64, 49_152)),
        "tiny" => Ok(shape(96, 256, 3, 3, 1, 32, 1000)),
        _ => Err(format!("unknown size {size}: tiny or smollm2").into()),
    }
}

fn prompts(options: &Options, model: &LanguageModel) -> Result<Vec<Vec<u32>>, Box<dyn Error>> {
    let Some(file) = &options.prompts else {
        let mut rng = Seed(1).rng("prompts");
        let vocabulary = model.config.vocab_size as u32;
        let mut prompt = || (0..options.prompt_tokens).map(|_| rng.random_range(0..vocabulary)).collect();
        return Ok((0..options.groups).map(|_| prompt()).collect());
    };
    let text = fs_err::read_to_string(file)?;
    text.lines()
        .take(options.groups)
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line)?;
            let text = row["prompt_text"].as_str().ok_or("a prompt lacks its prompt_text")?;
            Ok(model.tokenizer.encode(text, false)?)
        })
        .collect()
}

fn peak_memory_gb() -> Option<f64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e9)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let model = match &options.model {
        Some(folder) => LanguageModel::load(folder.as_str().into())?,
        None => LanguageModel::random(config(&options.size)?, Tokenizer::train_bpe(["a b"], 262, &[])?, Seed(1))?,
    };
    let prompts = prompts(&options, &model)?;
    let requests: Vec<PromptRequest> = prompts
        .iter()
        .enumerate()
        .map(|(index, tokens)| PromptRequest {
            id: index.to_string(),
            tokens: tokens.clone(),
            count: options.group_size,
        })
        .collect();
    // Exactly this many new tokens, as in the workload: no token ends a turn.
    let mut endless = model;
    endless.config.eos_token_ids.clear();
    endless.tokenizer.eos.clear();
    let sampling = Sampling { max_tokens: options.new_tokens, ..Sampling::default() };
    if let Some(rank) = options.lora {
        let targets = Target::ALL.to_vec();
        endless.adapt(&LoraOptions { rank, targets, ..LoraOptions::default() }, Seed(1))?;
    }
    let footprint = Footprint::new(&endless, options.recompute).bytes(options.rows);
    let trainer = Trainer::on(options.place, endless, AdamW::default())?;
    let mut trainer = trainer.rows_per_pass(options.rows).recompute(options.recompute);
    for step in 1..=options.steps {
        let plain = speed::plain_product(40);
        let begin = Instant::now();
        trainer.release_activations();
        let batch = options.groups * options.group_size;
        let mut generation = trainer.generation(&requests, &sampling, Seed(step as u64), batch)?;
        let mut sampled: Vec<Vec<Completion>> = vec![Vec::new(); requests.len()];
        // Until the first token of every completion is there.
        let mut prefill = None;
        while let Some(news) = generation.step()? {
            prefill.get_or_insert_with(|| begin.elapsed().as_secs_f64());
            for (request, completions) in news.ended {
                sampled[request] = completions;
            }
        }
        drop(generation);
        let (generation, prefill) = (begin.elapsed().as_secs_f64(), prefill.unwrap_or_default());
        let groups: Vec<PromptGroup> = prompts
            .iter()
            .zip(&sampled)
            .skip(options.dead)
            .map(|(prompt, completions)| PromptGroup {
                prompt: prompt.clone(),
                completions: completions.iter().map(|completion| completion.tokens.clone()).collect(),
            })
            .collect();
        let begin = Instant::now();
        let mut difference = 0.0f32;
        let done = trainer.accumulate::<LmError>(&groups, &mut |range, scores| {
            let pairs = scores.iter().zip(&sampled[options.dead..][range]);
            for (scored, sampled) in pairs.flat_map(|(scores, sampled)| scores.log_probs.iter().zip(sampled)) {
                for (scored, sampled) in scored.iter().zip(&sampled.log_probs) {
                    difference = difference.max((scored - sampled).abs());
                }
            }
            let slopes = |values: &Vec<Vec<f32>>| -> TokenGradients {
                let signs = values.iter().enumerate();
                signs
                    .map(|(index, values)| vec![if index % 2 == 0 { 1e-3 } else { -1e-3 }; values.len()])
                    .collect::<Vec<_>>()
                    .into()
            };
            Ok(scores.iter().map(|scores| slopes(&scores.log_probs)).collect())
        })?;
        let accumulate = begin.elapsed().as_secs_f64();
        let report = trainer.step(1e-6, Some(1.0))?;
        let training = begin.elapsed().as_secs_f64();
        let operations = speed::training_operations(trainer.model(), &groups);
        let new_tokens: usize = sampled.iter().flatten().map(|completion| completion.tokens.len()).sum();
        let tokens: usize = groups
            .iter()
            .map(|group| {
                group.completions.iter().map(|completion| group.prompt.len() + completion.len()).sum::<usize>()
            })
            .sum();
        let line = serde_json::json!({
            "kind": "step",
            "step": step,
            "threads": rayon::current_num_threads(),
            "plain_product_gflops": plain / 1e9,
            "generation_seconds": generation,
            "prefill_seconds": prefill,
            "decoded_tokens_per_second": (new_tokens - batch) as f64 / (generation - prefill),
            "training_seconds": training,
            "adamw_seconds": training - accumulate,
            "rows": done.forward_rows,
            "trained_tokens": tokens,
            "trained_tokens_per_second": tokens as f64 / training,
            "training_tflop": operations / 1e12,
            "training_gflops": operations / training / 1e9,
            "mfu": operations / training / plain,
            "grad_norm": report.grad_norm,
            "peak_memory_gb": peak_memory_gb(),
            "training_footprint_gb": footprint as f64 / 1e9,
            "log_prob_difference": difference,
        });
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}
