//! A call in Java: `name(parameter = value, …)`.
//!
//! Values stay source text, texts and characters without their quotes. Bodies of anonymous classes are lost, an official
//! quirk: `new HashMap<…>() {{ put("k", 1); }}` becomes `new HashMap<…>()`.
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/parser/java_parser.py`.

use tree_sitter::Node;

use super::{
    Decoded,
    code::{Arguments, Grammar, JAVA_WORDS as WORDS, MAX_DEPTH, children, parse},
    plain,
};
use crate::tools::python::{CallsError, PyDict, PyValue};

/// Decodes the first call of a source.
pub(super) fn decode(source: &str) -> Result<Decoded, CallsError> {
    match plain::read(source, Grammar::Java) {
        Some(plain::Found::Call(call)) => return Ok(Decoded::Calls(vec![call])),
        Some(plain::Found::Nothing) => return Ok(Decoded::Other(PyValue::Dict(PyDict::new()))),
        Some(plain::Found::Several | plain::Found::Broken) => return Err(CallsError::new("SyntaxError", WORDS)),
        None if has_stray_backtick(source) => return Err(CallsError::new("SyntaxError", WORDS)),
        None => {}
    }
    decode_by_grammar(source)
}

/// Whether a backtick, which begins nothing in Java, stands where no text, character or comment can hold it. Code fences do;
/// the grammar would look long for what they could mean.
fn has_stray_backtick(source: &str) -> bool {
    source.split_once('`').is_some_and(|(before, _)| !before.contains(['"', '\'', '/']))
}

/// Like [`decode`], without the short cut.
pub(super) fn decode_by_grammar(source: &str) -> Result<Decoded, CallsError> {
    first_call(source, Reader::new(source, false))
}

/// Decodes the first call of a source and loses nothing: objects and arrays keep their whole text, places are bytes.
pub(super) fn decode_whole(source: &str) -> Result<Decoded, CallsError> {
    first_call(source, Reader::new(source, true))
}

fn first_call(source: &str, reader: Reader<'_>) -> Result<Decoded, CallsError> {
    let tree = parse(source, Grammar::Java)?;
    match reader.first_call(tree.root_node(), 0)? {
        Some(decoded) => Ok(decoded),
        None => Ok(Decoded::Other(PyValue::Dict(PyDict::new()))),
    }
}

struct Reader<'a> {
    source: &'a str,
    /// Where characters begin, kept where they are not bytes.
    starts: Vec<usize>,
    /// Whether nothing is to be lost.
    whole: bool,
}

fn too_deep<T>() -> Result<T, CallsError> {
    Err(CallsError::new("RecursionError", "maximum recursion depth exceeded"))
}

impl<'a> Reader<'a> {
    fn new(source: &'a str, whole: bool) -> Self {
        let starts = if whole || source.is_ascii() {
            Vec::new()
        } else {
            source.char_indices().map(|(start, _)| start).chain([source.len()]).collect()
        };
        Self { source, starts, whole }
    }

    /// The official decoder takes places in bytes for places in characters, so texts slip where there are others than
    /// ASCII.
    fn text(&self, node: Node<'_>) -> &'a str {
        let range = node.byte_range();
        if self.starts.is_empty() {
            return &self.source[range];
        }
        let last = self.starts.len() - 1;
        &self.source[self.starts[range.start.min(last)]..self.starts[range.end.min(last)]]
    }

    fn unquoted(&self, node: Node<'_>) -> &'a str {
        super::without_ends(self.text(node))
    }

    fn first_call(&self, node: Node<'_>, depth: usize) -> Result<Option<Decoded>, CallsError> {
        if depth > MAX_DEPTH {
            return too_deep();
        }
        if node.kind() != "method_invocation" {
            for child in children(node) {
                if let Some(found) = self.first_call(child, depth + 1)? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        let method = node.child_by_field_name("name").map_or("", |name| self.text(name));
        let name = match node.child_by_field_name("object") {
            Some(object) => format!("{}.{method}", self.text(object)),
            None => method.to_owned(),
        };
        let Some(list) = node.child_by_field_name("arguments") else { return Ok(None) };
        let mut arguments = Arguments::default();
        for child in children(list) {
            match child.kind() {
                "assignment_expression" => {
                    let (Some(name), Some(value)) = (child.child(0), child.child(2)) else { continue };
                    let value = self.value(value, false, 0)?;
                    arguments.add(Some(self.text(name)), value);
                }
                "identifier" | "class_literal" | "set" => {
                    let value = self.value(child, false, 0)?;
                    arguments.add(None, value);
                }
                _ => {}
            }
        }
        arguments.call(name).map(Some)
    }

    /// The text of a value: the texts of its parts, without what stands between them.
    fn value(&self, node: Node<'_>, nested: bool, depth: usize) -> Result<String, CallsError> {
        if depth > MAX_DEPTH / 2 {
            return too_deep();
        }
        let part = |node: Option<Node<'_>>| match node {
            Some(node) => self.value(node, true, depth + 1),
            None => Err(CallsError::new("AttributeError", "'NoneType' object has no attribute 'type'")),
        };
        Ok(match node.kind() {
            "string_literal" | "character_literal" if !nested => self.unquoted(node).to_owned(),
            "string_literal" | "character_literal" | "identifier" | "class_literal" | "type_identifier"
            | "method_invocation" => self.text(node).to_owned(),
            "array_creation_expression" | "object_creation_expression" if self.whole => self.text(node).to_owned(),
            "array_creation_expression" => {
                let kind = part(node.child_by_field_name("type"))?;
                let value = part(node.child_by_field_name("value"))?;
                format!("new {kind}[]{value}")
            }
            "object_creation_expression" => {
                let kind = part(node.child_by_field_name("type"))?;
                let mut texts = Vec::new();
                if let Some(arguments) = node.child_by_field_name("arguments") {
                    for child in children(arguments) {
                        if !matches!(child.kind(), "," | "(" | ")") {
                            texts.push(part(Some(child))?);
                        }
                    }
                }
                format!("new {kind}({})", texts.join(", "))
            }
            _ if node.child_count() > 0 => {
                let mut text = String::new();
                for child in children(node) {
                    text.push_str(&part(Some(child))?);
                }
                text
            }
            _ => self.text(node).to_owned(),
        })
    }
}
