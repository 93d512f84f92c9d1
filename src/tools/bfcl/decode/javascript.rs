//! A call in JavaScript: `name(parameter = value, …)`. Values stay source text; quotes around a whole value are removed.
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/parser/js_parser.py`.

use tree_sitter::Node;

use super::{
    Decoded,
    code::{Arguments, Grammar, JAVASCRIPT_WORDS as WORDS, children, parse},
    plain,
};
use crate::tools::python::{CallsError, PyValue};

/// Decodes the first statement that is a call.
pub(super) fn decode(source: &str) -> Result<Decoded, CallsError> {
    match plain::read(source, Grammar::JavaScript) {
        Some(plain::Found::Call(call)) => Ok(Decoded::Calls(vec![call])),
        // No statement that is a call.
        Some(plain::Found::Several | plain::Found::Nothing) => Ok(Decoded::Other(PyValue::None)),
        Some(plain::Found::Broken) => Err(CallsError::new("SyntaxError", WORDS)),
        None => decode_by_grammar(source),
    }
}

/// Like [`decode`], without the short cut.
pub(super) fn decode_by_grammar(source: &str) -> Result<Decoded, CallsError> {
    let tree = parse(source, Grammar::JavaScript)?;
    let root = tree.root_node();
    let statements = children(root).into_iter().filter(|child| child.kind() == "expression_statement");
    let call = statements.flat_map(children).find(|child| child.kind() == "call_expression");
    match call.filter(|_| root.kind() == "program") {
        Some(call) => decode_call(source, call),
        None => Ok(Decoded::Other(PyValue::None)),
    }
}

fn decode_call(source: &str, call: Node<'_>) -> Result<Decoded, CallsError> {
    let text = |node: Option<Node<'_>>| node.map_or("", |node| &source[node.byte_range()]);
    let mut arguments = Arguments::default();
    for child in call.child(1).map(children).unwrap_or_default() {
        match child.kind() {
            "assignment_expression" => {
                let value = text(child.child(2));
                arguments.add(Some(text(child.child(0))), unquoted(value).to_owned());
            }
            "identifier" | "true" => arguments.add(None, text(Some(child)).to_owned()),
            _ => {}
        }
    }
    arguments.call(text(call.child(0)).to_owned())
}

/// Removes the quotes of a text that starts and ends with the same; one quote alone is both.
fn unquoted(value: &str) -> &str {
    let quoted = |quote: char| value.starts_with(quote) && value.ends_with(quote);
    if quoted('"') || quoted('\'') { super::without_ends(value) } else { value }
}
