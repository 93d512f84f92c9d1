//! Tests of `stages`: every kind run in-process on real small data.

mod backend;
mod backend_llama;
mod backend_server;
mod breakdown;
mod check_contamination;
mod compare;
mod evaluate;
mod fetch;
mod gold_ceiling;
#[allow(dead_code, reason = "the harness serves every kind")]
pub mod harness;
mod inject_few_shot;
mod mine_hard;
mod model_constrain;
mod model_device;
mod model_grpo;
mod model_import;
mod model_init;
mod model_lora;
mod model_memory;
mod model_precision;
mod model_rollout;
mod model_sft;
mod model_support;
mod model_turns;
mod prepare_data;
mod python_converse;
mod python_score;
mod score_bfcl;
mod shipped;
mod trl;
mod trl_agreement;
