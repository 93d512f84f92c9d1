//! Expressions of Python, as CPython's parser tells them apart. Nodes lie in one arena and name each other by number.

use super::value::PyValue;

/// A node's number.
pub(super) type Id = u32;

/// One expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// A constant; whether it was written with the prefix `u`.
    Constant(PyValue, bool),
    Name(String),
    Call {
        function: Id,
        arguments: Vec<Id>,
        keywords: Vec<(Option<String>, Id)>,
    },
    Attribute(Id, String),
    Subscript(Id, Id),
    Slice(Option<Id>, Option<Id>, Option<Id>),
    Starred(Id),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    /// Without a key: `**value`.
    Dict(Vec<(Option<Id>, Id)>),
    Unary(Unary, Id),
    Binary(Id, Binary, Id),
    /// Whether all must hold (`and`), else any (`or`).
    Logical(bool, Vec<Id>),
    Compare(Id, Vec<(Comparison, Id)>),
    /// Test, then, else.
    Conditional(Id, Id, Id),
    Lambda(Parameters, Id),
    Comprehension(Comprehended, Id, Option<Id>, Vec<Generator>),
    Walrus(Id, Id),
    Await(Id),
    Yield(Option<Id>),
    YieldFrom(Id),
    /// An f-string: texts and values.
    Formatted(Vec<Part>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Plus,
    Minus,
    Invert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    MatrixMultiply,
    Divide,
    Modulo,
    FloorDivide,
    Power,
    ShiftLeft,
    ShiftRight,
    Or,
    Xor,
    And,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Is,
    IsNot,
    In,
    NotIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comprehended {
    List,
    Set,
    Dict,
    Generator,
}

/// One `for … in … if …` of a comprehension.
#[derive(Clone, Debug)]
pub(super) struct Generator {
    pub asynchronous: bool,
    pub target: Id,
    pub source: Id,
    pub conditions: Vec<Id>,
}

/// The parameters of a lambda, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    /// Name and default of what may be given by place; the first `position_only` of them only so.
    pub places: Vec<(String, Option<Id>)>,
    pub position_only: usize,
    /// `*` alone is an empty name.
    pub star: Option<String>,
    pub keyword_only: Vec<(String, Option<Id>)>,
    pub double_star: Option<String>,
}

/// A part of an f-string.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    /// Value, conversion (`r`, `s`, `a`), format (an f-string of its own).
    Value(Id, Option<char>, Option<Vec<Part>>),
}

/// A node and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub expr: Expr,
    /// Its first token.
    pub first: usize,
}

/// A whole parsed expression.
#[derive(Debug)]
pub(super) struct Tree {
    pub nodes: Vec<Node>,
    pub root: Id,
}

impl Tree {
    pub fn expr(&self, id: Id) -> &Expr {
        &self.nodes[id as usize].expr
    }
}

impl Expr {
    /// Returns what CPython calls the node's class.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Constant(..) => "Constant",
            Self::Name(_) => "Name",
            Self::Call { .. } => "Call",
            Self::Attribute(..) => "Attribute",
            Self::Subscript(..) => "Subscript",
            Self::Slice(..) => "Slice",
            Self::Starred(_) => "Starred",
            Self::List(_) => "List",
            Self::Tuple(_) => "Tuple",
            Self::Set(_) => "Set",
            Self::Dict(_) => "Dict",
            Self::Unary(..) => "UnaryOp",
            Self::Binary(..) => "BinOp",
            Self::Logical(..) => "BoolOp",
            Self::Compare(..) => "Compare",
            Self::Conditional(..) => "IfExp",
            Self::Lambda(..) => "Lambda",
            Self::Comprehension(Comprehended::List, ..) => "ListComp",
            Self::Comprehension(Comprehended::Set, ..) => "SetComp",
            Self::Comprehension(Comprehended::Dict, ..) => "DictComp",
            Self::Comprehension(Comprehended::Generator, ..) => "GeneratorExp",
            Self::Walrus(..) => "NamedExpr",
            Self::Await(_) => "Await",
            Self::Yield(_) => "Yield",
            Self::YieldFrom(_) => "YieldFrom",
            Self::Formatted(_) => "JoinedStr",
        }
    }

    /// Returns what CPython's messages call the expression where it can not be assigned to.
    pub const fn described(&self) -> &'static str {
        match self {
            Self::Attribute(..) => "attribute",
            Self::Subscript(..) => "subscript",
            Self::Starred(_) => "starred",
            Self::Name(_) => "name",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Lambda(..) => "lambda",
            Self::Call { .. } => "function call",
            Self::Logical(..) | Self::Binary(..) | Self::Unary(..) => "expression",
            Self::Comprehension(Comprehended::Generator, ..) => "generator expression",
            Self::Yield(_) | Self::YieldFrom(_) => "yield expression",
            Self::Await(_) => "await expression",
            Self::Comprehension(Comprehended::List, ..) => "list comprehension",
            Self::Comprehension(Comprehended::Set, ..) => "set comprehension",
            Self::Comprehension(Comprehended::Dict, ..) => "dict comprehension",
            Self::Dict(_) => "dict literal",
            Self::Set(_) => "set display",
            Self::Formatted(_) => "f-string expression",
            Self::Constant(PyValue::None, _) => "None",
            Self::Constant(PyValue::Bool(true), _) => "True",
            Self::Constant(PyValue::Bool(false), _) => "False",
            Self::Constant(PyValue::Ellipsis, _) => "ellipsis",
            Self::Constant(..) => "literal",
            Self::Compare(..) => "comparison",
            Self::Conditional(..) => "conditional expression",
            Self::Walrus(..) => "named expression",
            Self::Slice(..) => "slice",
        }
    }

    /// Returns the expression with all numbers of nodes raised by an offset.
    pub fn renumbered(mut self, offset: Id) -> Self {
        let raise = |id: &mut Id| *id += offset;
        let raise_some = |id: &mut Option<Id>| {
            if let Some(id) = id {
                *id += offset;
            }
        };
        match &mut self {
            Self::Constant(..) | Self::Name(_) => {}
            Self::Call { function, arguments, keywords } => {
                raise(function);
                arguments.iter_mut().for_each(raise);
                keywords.iter_mut().for_each(|(_, value)| raise(value));
            }
            Self::Attribute(id, _) | Self::Starred(id) | Self::Unary(_, id) | Self::Await(id) | Self::YieldFrom(id) => {
                raise(id);
            }
            Self::Subscript(one, other) | Self::Binary(one, _, other) | Self::Walrus(one, other) => {
                raise(one);
                raise(other);
            }
            Self::Slice(lower, upper, step) => {
                raise_some(lower);
                raise_some(upper);
                raise_some(step);
            }
            Self::List(items) | Self::Tuple(items) | Self::Set(items) | Self::Logical(_, items) => {
                items.iter_mut().for_each(raise);
            }
            Self::Dict(entries) => {
                for (key, value) in entries {
                    raise_some(key);
                    raise(value);
                }
            }
            Self::Compare(first, pairs) => {
                raise(first);
                pairs.iter_mut().for_each(|(_, id)| raise(id));
            }
            Self::Conditional(test, then, otherwise) => {
                raise(test);
                raise(then);
                raise(otherwise);
            }
            Self::Lambda(parameters, body) => {
                let defaults = parameters.places.iter_mut().chain(&mut parameters.keyword_only);
                defaults.for_each(|(_, default)| raise_some(default));
                raise(body);
            }
            Self::Comprehension(_, item, value, generators) => {
                raise(item);
                raise_some(value);
                for generator in generators {
                    raise(&mut generator.target);
                    raise(&mut generator.source);
                    generator.conditions.iter_mut().for_each(raise);
                }
            }
            Self::Yield(value) => raise_some(value),
            Self::Formatted(parts) => renumber_parts(parts, offset),
        }
        self
    }
}

fn renumber_parts(parts: &mut [Part], offset: Id) {
    for part in parts {
        if let Part::Value(id, _, format) = part {
            *id += offset;
            if let Some(format) = format {
                renumber_parts(format, offset);
            }
        }
    }
}
