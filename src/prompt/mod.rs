//! Prompt templates: a sample → the messages that a model is shown.
//!
//! One file holds the system text and the question's text as two Jinja blocks, `system` and `user`. Templates see the
//! question and the tools, never the answer, and cannot read files or run for long. Turning messages into tokens (the
//! model's own chat template) happens elsewhere.

mod error;
mod filters;
mod template;

pub use error::PromptError;
pub use template::Template;

pub use crate::tools::answer_text;
