//! Words that are no names, so that the grammars decide what they are. In order: they are searched by halves.

use super::super::code::Grammar;

/// In both languages.
pub(super) const BOTH: &[&str] = &[
    "_",
    "as",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "default",
    "do",
    "else",
    "enum",
    "exports",
    "extends",
    "false",
    "finally",
    "for",
    "goto",
    "if",
    "implements",
    "import",
    "instanceof",
    "new",
    "non",
    "null",
    "package",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// In Java alone.
pub(super) const JAVA: &[&str] = &[
    "abstract",
    "assert",
    "boolean",
    "byte",
    "char",
    "double",
    "final",
    "float",
    "int",
    "interface",
    "long",
    "module",
    "native",
    "open",
    "opens",
    "permits",
    "private",
    "protected",
    "provides",
    "public",
    "record",
    "requires",
    "sealed",
    "short",
    "strictfp",
    "synchronized",
    "throws",
    "to",
    "transient",
    "transitive",
    "uses",
    "volatile",
    "when",
];

/// In JavaScript alone.
pub(super) const JAVASCRIPT: &[&str] = &[
    "async",
    "await",
    "debugger",
    "delete",
    "export",
    "from",
    "function",
    "get",
    "in",
    "let",
    "of",
    "set",
    "target",
    "typeof",
    "undefined",
];

/// Whether a word is no name in this language.
pub(super) fn is_reserved(word: &str, grammar: Grammar) -> bool {
    let own = match grammar {
        Grammar::Java => JAVA,
        Grammar::JavaScript => JAVASCRIPT,
    };
    [BOTH, own].iter().any(|words| words.binary_search(&word).is_ok())
}
