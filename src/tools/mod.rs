//! Tool calls: parsing, matching, executing, rewarding.
//!
//! Plain values in, plain values out: this room knows calls, tools and samples, and no table, file, model or clock.
//! Stages turn table rows into [`Sample`]s and judge completions with [`judge`] and [`reward::score`].

pub mod bfcl;
mod call;
pub mod equality;
pub mod execution;
pub mod grammar;
mod judgement;
pub mod matching;
pub mod parse;
pub mod python;
pub mod render;
pub mod reward;
mod sample;
pub mod suite;

pub use call::{Call, ExpectedCall, ToolSpec};
pub use judgement::{Judgement, judge};
pub use render::{Style, answer_text, answer_text_with};
pub use sample::{Environment, Language, LanguageError, Message, Sample};
