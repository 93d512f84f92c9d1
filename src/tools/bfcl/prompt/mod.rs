//! The prompts of BFCL's prompt mode: what a model without a tool-calling format of its own is shown.
//!
//! The texts are the official ones, byte for byte, since another wording is another benchmark: `texts.json`, with its
//! NOTICE. Everything else follows what `bfcl-eval` 2026.3.23 does (`model_handler/utils.py`, `utils.py`).
//!
//! Pure: documents and messages in, messages out.

mod docs;
mod hints;
mod literal;
mod texts;

use serde_json::Value;

pub use self::hints::with_hints;
use super::{DocFormat, Format, Language};
use crate::tools::Message;

/// Returns the system prompt that offers `functions`, documents with their language hints, in a format.
pub fn system_prompt(format: &Format, functions: &[Value]) -> String {
    texts::system_prompt(format, &documents(format.func_doc_fmt, functions))
}

/// Returns the documents of functions as a prompt shows them.
pub fn documents(format: DocFormat, functions: &[Value]) -> String {
    match format {
        DocFormat::Json => literal::indented(functions),
        DocFormat::Python => docs::python(functions),
        DocFormat::Xml => docs::xml(functions),
    }
}

/// Returns the messages of a conversation's first turn with the system prompt before them. A system message that the
/// question begins with becomes the end of ours.
pub fn messages(format: &Format, functions: &[Value], question: &[Message]) -> Vec<Message> {
    let mut system = system_prompt(format, functions);
    let mut rest = question;
    if let [first, others @ ..] = question
        && first.role == "system"
    {
        system.push_str("\n\n");
        system.push_str(&first.content);
        rest = others;
    }
    let mut messages = vec![Message::new("system", system)];
    messages.extend_from_slice(rest);
    messages
}

/// Returns what a multi-turn question with withheld functions says in the turn that brings them.
pub fn additional_functions(functions: &[Value]) -> String {
    texts::additional_functions(&literal::repr(&Value::Array(functions.to_vec())))
}

/// Returns the documents that prompts of an entry show: with hints in its language.
///
/// `repeated` says that the entry is one of format sensitivity, whose hints the official loader gives twice, the second
/// time as for Python.
pub fn shown_functions(functions: &[Value], language: Language, repeated: bool) -> Vec<Value> {
    let hinted = with_hints(functions, language);
    if repeated { with_hints(&hinted, Language::Python) } else { hinted }
}
