//! Language models: load, save, tokenise, sample, train.
//!
//! The families Llama, Qwen2 and Qwen3. Everything here works on plain values (`Config`, `Weights`, `Tokenizer`) in memory; files
//! are read and written by the loaders only. Nothing here knows stages, the store or the pipeline.

pub mod adamw;
mod bpe;
mod chat;
mod config;
mod constrain;
mod decode;
mod device;
mod dtype;
mod error;
mod folder;
pub mod gguf;
mod layout;
pub mod lora;
mod model;
mod native;
mod place;
mod random;
pub mod reference;
mod safetensors;
pub mod sample;
pub mod speed;
mod targets;
mod tokenizer;
pub mod train;
mod weights;

pub use chat::{ChatMessage, ChatTemplate};
pub use config::{Config, Family, Llama3RopeScaling};
pub use constrain::check_schema;
pub use dtype::{Dtype, Numbers};
pub use error::LmError;
pub use model::LanguageModel;
pub use place::Place;
pub use reference::Reference;
pub use tokenizer::Tokenizer;
pub use weights::{Parameter, Weights};
