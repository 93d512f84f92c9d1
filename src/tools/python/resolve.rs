//! From Python source to calls, as BFCL's decoder does it, quirks included; and Python's literals.
//!
//! The quirks: arguments by place are dropped; any unary operator negates its constant; a bare name is its own text; a
//! binary operation is computed; a nested call without keywords is its source text, with keywords a dict of it.
//!
//! Source: `bfcl-eval` 2026.3.23, `model_handler/utils.py` (`ast_parse` and what it calls); CPython 3.11's
//! `ast.literal_eval`.

use std::fmt;

use super::{
    arithmetic::{Budget, Refusal, evaluate, negate},
    ast::{Binary, Expr, Id, Tree, Unary},
    dict::PyDict,
    error::SyntaxError,
    parse::parse,
    plain,
    unparse::unparse,
    value::PyValue,
};

/// A call as the decoder returns it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The dotted name; empty where something else than a name is called.
    pub name: String,
    /// The keyword arguments in order. `**x` has the key `None`.
    pub arguments: PyDict,
}

impl Call {
    /// Returns the official form: a dict of one entry.
    pub fn to_python(&self) -> PyValue {
        let entry = (PyValue::from(self.name.as_str()), PyValue::Dict(self.arguments.clone()));
        PyValue::Dict(std::iter::once(entry).collect())
    }
}

/// Why a source holds no calls: the exception that the official decoder raises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallsError {
    /// The exception's class.
    pub exception: &'static str,
    /// The text of `str(exception)`.
    pub message: String,
}

impl CallsError {
    pub(crate) fn new(exception: &'static str, message: impl Into<String>) -> Self {
        Self { exception, message: message.into() }
    }

    fn unsupported(class: &str) -> Self {
        let module = if class == "NoneType" { "" } else { "ast." };
        Self::new("Exception", format!("Unsupported AST type: <class '{module}{class}'>"))
    }
}

impl fmt::Display for CallsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for CallsError {}

impl From<Box<SyntaxError>> for CallsError {
    fn from(error: Box<SyntaxError>) -> Self {
        let exception = match error.line {
            Some(_) if error.message.contains("indent") => "IndentationError",
            Some(_) => "SyntaxError",
            None if error.message.contains("null bytes") => "SyntaxError",
            None => "RecursionError",
        };
        Self::new(exception, error.to_string())
    }
}

impl From<Refusal> for CallsError {
    fn from(Refusal(message): Refusal) -> Self {
        let exception = match () {
            () if message.starts_with("name '") => "NameError",
            () if message.contains("zero") || message == "float modulo" => "ZeroDivisionError",
            () if message.starts_with("maximum recursion") => "RecursionError",
            () if message.contains("too large") || message.starts_with("(34") => "OverflowError",
            () => "TypeError",
        };
        Self::new(exception, message)
    }
}

/// Returns the calls of a source: one call, or a list, tuple or set of calls.
///
/// # Errors
///
/// If the official decoder raises an exception.
pub fn calls(source: &str) -> Result<Vec<Call>, CallsError> {
    match plain::calls(source) {
        Some(plain::Found::Calls(calls)) => Ok(calls),
        Some(plain::Found::SomethingElse) => Err(CallsError::new("AssertionError", "")),
        None => calls_of_tree(source),
    }
}

/// Like [`calls`], without the short cut for plain sources.
pub(super) fn calls_of_tree(source: &str) -> Result<Vec<Call>, CallsError> {
    each_call(source, |resolver, id| resolver.call(id))
}

/// Like [`calls`], each with the values that it passes by place, which the official decoder drops.
///
/// # Errors
///
/// As [`calls`], and for values by place that the decoder has no value for.
pub fn calls_with_places(source: &str) -> Result<Vec<(Call, Vec<PyValue>)>, CallsError> {
    each_call(source, |resolver, id| {
        let call = resolver.call(id)?;
        let Expr::Call { arguments, .. } = resolver.tree.expr(id) else { return Ok((call, Vec::new())) };
        Ok((call, resolver.values(arguments)?))
    })
}

fn each_call<T>(
    source: &str,
    mut resolve: impl FnMut(&mut Resolver<'_>, Id) -> Result<T, CallsError>,
) -> Result<Vec<T>, CallsError> {
    let tree = parse(source)?;
    let mut resolver = Resolver { tree: &tree, budget: Budget::default() };
    match tree.expr(tree.root) {
        Expr::Call { .. } => Ok(vec![resolve(&mut resolver, tree.root)?]),
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => items
            .iter()
            .map(|item| match tree.expr(*item) {
                Expr::Call { .. } => resolve(&mut resolver, *item),
                _ => Err(CallsError::new("AssertionError", "")),
            })
            .collect(),
        other => Err(CallsError::new("AttributeError", format!("'{}' object has no attribute 'elts'", other.class()))),
    }
}

struct Resolver<'t> {
    tree: &'t Tree,
    budget: Budget,
}

impl Resolver<'_> {
    fn call(&mut self, id: Id) -> Result<Call, CallsError> {
        let Expr::Call { function, keywords, .. } = self.tree.expr(id) else {
            return Err(CallsError::new("AssertionError", ""));
        };
        let mut parts = Vec::new();
        let mut part = *function;
        while let Expr::Attribute(value, name) = self.tree.expr(part) {
            parts.push(name.as_str());
            part = *value;
        }
        if let Expr::Name(name) = self.tree.expr(part) {
            parts.push(name);
        }
        parts.reverse();
        let mut arguments = PyDict::with_capacity(keywords.len());
        for (name, value) in keywords {
            let value = self.value(*value)?;
            arguments.insert(name.as_deref().map_or(PyValue::None, PyValue::from), value);
        }
        Ok(Call { name: parts.join("."), arguments })
    }

    fn values(&mut self, ids: &[Id]) -> Result<Vec<PyValue>, CallsError> {
        ids.iter().map(|id| self.value(*id)).collect()
    }

    fn source(&self, id: Id) -> Result<String, CallsError> {
        unparse(self.tree, id).map_err(|message| {
            let exception = if message.starts_with("maximum") { "RecursionError" } else { "ValueError" };
            CallsError::new(exception, message)
        })
    }

    fn value(&mut self, id: Id) -> Result<PyValue, CallsError> {
        let tree = self.tree;
        Ok(match tree.expr(id) {
            Expr::Constant(PyValue::Ellipsis, _) => PyValue::from("..."),
            Expr::Constant(value, _) => value.clone(),
            Expr::Unary(_, operand) => return self.negated(*operand),
            Expr::List(items) => PyValue::List(self.values(items)?),
            Expr::Tuple(items) => PyValue::Tuple(self.values(items)?),
            Expr::Dict(entries) => {
                let mut dict = PyDict::with_capacity(entries.len());
                for (key, value) in entries {
                    let key = key.ok_or_else(|| CallsError::unsupported("NoneType"))?;
                    let key = self.value(key)?;
                    let value = self.value(*value)?;
                    insert(&mut dict, key, value)?;
                }
                PyValue::Dict(dict)
            }
            Expr::Binary(..) => {
                // The official decoder writes the expression first, which has a limit of its own.
                self.source(id)?;
                evaluate(tree, id, &mut self.budget)?
            }
            Expr::Name(name) => PyValue::from(name.as_str()),
            Expr::Call { keywords, .. } if keywords.is_empty() => PyValue::Str(self.source(id)?),
            Expr::Call { .. } => self.call(id)?.to_python(),
            Expr::Lambda(_, body) => {
                let message = format!("'{}' object is not subscriptable", tree.expr(*body).class());
                return Err(CallsError::new("TypeError", message));
            }
            Expr::Subscript(value, index) => {
                let value = self.source(*value)?;
                PyValue::Str(format!("{value}[{}]", self.source(*index)?))
            }
            other => return Err(CallsError::unsupported(other.class())),
        })
    }

    fn negated(&self, operand: Id) -> Result<PyValue, CallsError> {
        let inner = match self.tree.expr(operand) {
            Expr::Constant(value, _) => return Ok(negate(value)?),
            Expr::Attribute(inner, _)
            | Expr::Subscript(inner, _)
            | Expr::Starred(inner)
            | Expr::Walrus(_, inner)
            | Expr::Await(inner)
            | Expr::YieldFrom(inner) => self.tree.expr(*inner).class(),
            Expr::Yield(inner) => inner.map_or("NoneType", |inner| self.tree.expr(inner).class()),
            other => {
                let message = format!("'{}' object has no attribute 'value'", other.class());
                return Err(CallsError::new("AttributeError", message));
            }
        };
        Err(CallsError::new("TypeError", format!("bad operand type for unary -: '{inner}'")))
    }
}

fn insert(dict: &mut PyDict, key: PyValue, value: PyValue) -> Result<(), CallsError> {
    if !key.is_hashable() {
        return Err(CallsError::new("TypeError", format!("unhashable type: '{}'", unhashable(&key))));
    }
    dict.insert(key, value);
    Ok(())
}

/// The type that `hash` complains of.
fn unhashable(value: &PyValue) -> &'static str {
    match value {
        PyValue::Tuple(items) => items.iter().find(|item| !item.is_hashable()).map_or("tuple", unhashable),
        other => other.type_name(),
    }
}

/// Why a text is no literal of Python.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LiteralError {
    /// The text is no expression.
    #[error(transparent)]
    Syntax(#[from] Box<SyntaxError>),
    /// The expression is no literal.
    #[error("malformed node or string on line {line}: <ast.{class} object>")]
    Malformed {
        /// The node's class.
        class: &'static str,
        /// The node's line.
        line: usize,
    },
    /// A key of a dict or an element of a set can not be one.
    #[error("unhashable type: '{0}'")]
    Unhashable(&'static str),
}

/// Returns `ast.literal_eval(source)`.
///
/// # Errors
///
/// If CPython raises an exception.
pub fn literal(source: &str) -> Result<PyValue, LiteralError> {
    let tree = parse(source.trim_start_matches([' ', '\t']))?;
    constant(&tree, tree.root)
}

fn malformed(tree: &Tree, id: Id) -> LiteralError {
    LiteralError::Malformed { class: tree.expr(id).class(), line: 1 }
}

fn constant(tree: &Tree, id: Id) -> Result<PyValue, LiteralError> {
    let all = |items: &[Id]| items.iter().map(|item| constant(tree, *item)).collect::<Result<Vec<_>, _>>();
    Ok(match tree.expr(id) {
        Expr::Constant(value, _) => value.clone(),
        Expr::Tuple(items) => PyValue::Tuple(all(items)?),
        Expr::List(items) => PyValue::List(all(items)?),
        Expr::Set(items) => {
            let mut distinct = PyDict::new();
            for item in all(items)? {
                if !item.is_hashable() {
                    return Err(LiteralError::Unhashable(unhashable(&item)));
                }
                distinct.insert(item, PyValue::None);
            }
            PyValue::Set(distinct.iter().map(|(key, _)| key.clone()).collect())
        }
        Expr::Call { function, arguments, keywords }
            if arguments.is_empty()
                && keywords.is_empty()
                && matches!(tree.expr(*function), Expr::Name(name) if name == "set") =>
        {
            PyValue::Set(Vec::new())
        }
        Expr::Dict(entries) => {
            let mut dict = PyDict::new();
            for (key, value) in entries {
                let key = constant(tree, key.ok_or_else(|| malformed(tree, id))?)?;
                let value = constant(tree, *value)?;
                if !key.is_hashable() {
                    return Err(LiteralError::Unhashable(unhashable(&key)));
                }
                dict.insert(key, value);
            }
            PyValue::Dict(dict)
        }
        Expr::Binary(left, operator @ (Binary::Add | Binary::Subtract), right) => {
            let left = signed(tree, *left)?;
            let (Some(real), PyValue::Complex(_, imaginary)) = (left.to_float(), unsigned(tree, *right)?) else {
                return Err(malformed(tree, id));
            };
            PyValue::Complex(real, if *operator == Binary::Add { imaginary } else { -imaginary })
        }
        _ => return signed(tree, id),
    })
}

fn unsigned(tree: &Tree, id: Id) -> Result<PyValue, LiteralError> {
    match tree.expr(id) {
        Expr::Constant(value @ (PyValue::Int(_) | PyValue::Big(_) | PyValue::Float(_) | PyValue::Complex(..)), _) => {
            Ok(value.clone())
        }
        _ => Err(malformed(tree, id)),
    }
}

fn signed(tree: &Tree, id: Id) -> Result<PyValue, LiteralError> {
    match tree.expr(id) {
        Expr::Unary(Unary::Plus, operand) => unsigned(tree, *operand),
        Expr::Unary(Unary::Minus, operand) => negate(&unsigned(tree, *operand)?).map_err(|_| malformed(tree, id)),
        _ => unsigned(tree, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::python::repr;

    fn decoded(source: &str) -> String {
        match calls(source) {
            Ok(calls) => repr(&calls.iter().map(Call::to_python).collect()),
            Err(error) => format!("{}: {error}", error.exception),
        }
    }

    #[test]
    fn the_quirks_of_the_decoder_are_kept() {
        let cases = [
            ("f(1, a=2)", "[{'f': {'a': 2}}]"),
            ("[a.b.c(x=+5, y=~5, z=not True)]", "[{'a.b.c': {'x': -5, 'y': -5, 'z': -1}}]"),
            ("[f(a=true, b=null, c=...)]", "[{'f': {'a': 'true', 'b': 'null', 'c': '...'}}]"),
            ("[f(a=g(1, 'x'), b=g(k=1))]", "[{'f': {'a': \"g(1, 'x')\", 'b': {'g': {'k': 1}}}}]"),
            ("[f(a=x[1:2], b=(1,), **c)]", "[{'f': {'a': 'x[1:2]', 'b': (1,), None: 'c'}}]"),
            (
                "[f(a=2**70 - 1, b=7 // -2, c=1 / 3)]",
                "[{'f': {'a': 1180591620717411303423, 'b': -4, 'c': 0.3333333333333333}}]",
            ),
            ("[f(a=1, a=2)]", "[{'f': {'a': 2}}]"),
            ("[g()(a=1)]", "[{'': {'a': 1}}]"),
            ("[1]", "AssertionError: "),
            ("[f(a=x+1)]", "NameError: name 'x' is not defined"),
            ("[f(a=-x)]", "AttributeError: 'Name' object has no attribute 'value'"),
            ("[f(a={1})]", "Exception: Unsupported AST type: <class 'ast.Set'>"),
            ("[f(a=lambda: x)]", "TypeError: 'Name' object is not subscriptable"),
            (
                "[f(a=1]",
                "SyntaxError: closing parenthesis ']' does not match opening parenthesis '(' (<unknown>, line 1)",
            ),
            ("[f(a=1) g(b=2)]", "SyntaxError: invalid syntax. Perhaps you forgot a comma? (<unknown>, line 1)"),
            ("[f(a=1)", "SyntaxError: '[' was never closed (<unknown>, line 1)"),
        ];
        for (source, expected) in cases {
            assert_eq!(decoded(source), expected, "{source}");
        }
    }

    #[test]
    fn arithmetic_is_bounded() {
        for source in ["f(a=10**10**9)", "f(a=1<<10**9)", "f(a='x'*10**9)", "f(a=[[0]*1000]*1000)"] {
            assert!(decoded(source).starts_with("TypeError: "), "{source}");
        }
        let deep = format!("f(a={}1)", "-".repeat(100_000));
        assert!(decoded(&deep).starts_with("RecursionError"));
        let wide = format!("f(a=1{})", "+1".repeat(100_000));
        assert!(decoded(&wide).starts_with("RecursionError"));
    }

    #[test]
    fn literals_are_read() {
        let read = |source| literal(source).map(|value| repr(&value)).map_err(|error| error.to_string());
        assert_eq!(read(" [1, 'a', {'b': (2.0,)}, {3}, -4]").as_deref(), Ok("[1, 'a', {'b': (2.0,)}, {3}, -4]"));
        assert_eq!(read("1+2j").as_deref(), Ok("(1+2j)"));
        assert!(read("f(1)").is_err() && read("1+1").is_err());
    }
}
