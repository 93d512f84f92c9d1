//! Tests of `lm`.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod engine_device;
mod engine_lora;
mod engine_memory;
mod engine_moments;
mod engine_sampling;
mod engine_training;
mod engine_turns;
mod load_export;
mod load_families;
mod load_fixtures;
mod load_folder;
mod load_gguf;
mod load_reference;
mod load_smollm2;
mod load_tokenizer;
