//! Parsing Java and JavaScript with the grammars of the official decoder.
//!
//! Parsing only: nothing of the code is run. The parsers are kept per thread, because making one costs more than most
//! answers.

use std::cell::RefCell;

use tree_sitter::{Node, ParseOptions, ParseState, Parser, Tree};
use tree_sitter_language::LanguageFn;

use crate::tools::python::{Call, CallsError, PyDict, PyValue};

use super::Decoded;

/// Longer sources that are not plain are refused: the search for a repair of wrong code takes milliseconds per kilobyte.
/// BFCL's Java and JavaScript answers have up to 400 bytes; plain ones are read at any length.
const MAX_BYTES: usize = 768;

/// Code with more lambdas is refused: each doubles the ways in which wrong code may be read.
const MAX_LAMBDAS: usize = 64;

/// How often the parser may ask whether to go on, each time after a hundred of its steps, before the code is refused: a bound
/// in work, not in time, so that a verdict does not depend on the machine.
const MOST_LOOKS: usize = 40;

/// CPython's recursion limit ends the official walk at about as many levels.
pub(super) const MAX_DEPTH: usize = 900;

/// What the official decoder says of wrong Java.
pub(super) const JAVA_WORDS: &str = "Error parsing java the source code.";

/// And of wrong JavaScript.
pub(super) const JAVASCRIPT_WORDS: &str = "Error js parsing the source code.";

thread_local! {
    static JAVA: RefCell<Option<Parser>> = const { RefCell::new(None) };
    static JAVASCRIPT: RefCell<Option<Parser>> = const { RefCell::new(None) };
}

/// The grammars.
#[derive(Clone, Copy)]
pub(super) enum Grammar {
    Java,
    JavaScript,
}

/// Parses a source.
pub(super) fn parse(source: &str, grammar: Grammar) -> Result<Tree, CallsError> {
    if source.len() > MAX_BYTES {
        return Err(CallsError::new("ValueError", format!("the code is longer than {MAX_BYTES} bytes")));
    }
    if source.matches("=>").count() + source.matches("->").count() > MAX_LAMBDAS {
        return Err(CallsError::new("ValueError", format!("the code has more than {MAX_LAMBDAS} lambdas")));
    }
    let (kept, language, words): (_, LanguageFn, _) = match grammar {
        Grammar::Java => (&JAVA, tree_sitter_java::LANGUAGE, JAVA_WORDS),
        Grammar::JavaScript => (&JAVASCRIPT, tree_sitter_javascript::LANGUAGE, JAVASCRIPT_WORDS),
    };
    let tree = kept.with_borrow_mut(|kept| {
        if kept.is_none() {
            let mut parser = Parser::new();
            parser.set_language(&language.into()).ok()?;
            *kept = Some(parser);
        }
        let parser = kept.as_mut()?;
        let mut looks = 0;
        let mut gives_up = |_: &ParseState| {
            looks += 1;
            looks > MOST_LOOKS
        };
        let options = ParseOptions::new().progress_callback(&mut gives_up);
        let mut text = |from: usize, _| source.as_bytes().get(from..).unwrap_or_default();
        let tree = parser.parse_with_options(&mut text, None, Some(options));
        if tree.is_none() {
            parser.reset();
        }
        tree
    });
    let tree = tree.ok_or_else(|| CallsError::new("ValueError", "the code takes too long to read"))?;
    if tree.root_node().has_error() && has_error_node(&tree) {
        return Err(CallsError::new("SyntaxError", words));
    }
    Ok(tree)
}

/// Whether a part was not understood. Parts that are only missing are no errors officially.
fn has_error_node(tree: &Tree) -> bool {
    let mut cursor = tree.walk();
    loop {
        if cursor.node().is_error() {
            return true;
        }
        if cursor.node().has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return false;
            }
        }
    }
}

/// The children of a node.
pub(super) fn children<'t>(node: Node<'t>) -> Vec<Node<'t>> {
    node.children(&mut node.walk()).collect()
}

/// Named arguments, in order. Those without a name share the name `None`; a name may stand once.
#[derive(Default)]
pub(super) struct Arguments {
    entries: PyDict,
    repeated: bool,
}

impl Arguments {
    pub fn add(&mut self, name: Option<&str>, value: String) {
        let key = name.map_or(PyValue::None, PyValue::from);
        self.repeated |= self.entries.get(&key).is_some();
        self.entries.insert(key, PyValue::Str(value));
    }

    pub fn call(self, name: String) -> Result<Decoded, CallsError> {
        if self.repeated {
            let message = "Error: Multiple arguments with the same name are not supported.";
            return Err(CallsError::new("Exception", message));
        }
        Ok(Decoded::Calls(vec![Call { name, arguments: self.entries }]))
    }
}
