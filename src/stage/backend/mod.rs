//! Completions from an OpenAI-compatible server: vLLM, SGLang, llama.cpp.
//!
//! [`Backend`] is the `backend` parameter of a kind, checked; [`ask`] puts many prompts to the server, so many at once,
//! and hands back each answer as it comes. One POST to `/v1/completions` asks for one completion, with a seed of its own,
//! so a completion does not depend on which others are asked for. What the server makes of a seed is its own business:
//! outputs are recorded, not bit-reproducible. Nothing here knows samples, tables or checkpoints; `training::completions`
//! calls it. The value of an API key lives in [`Secret`](secret::Secret) only.

mod answer;
mod ask;
mod client;
mod error;
mod gate;
mod parameters;
mod request;
mod retry;
mod secret;

pub(in crate::stage) use answer::{Answer, Talk};
pub(in crate::stage) use ask::{Heard, Wanted, ask};
pub(in crate::stage) use parameters::{Backend, PromptForm};
