//! Source text of an expression, as CPython's `ast.unparse` writes it.
//!
//! f-strings are written with the first quote that fits; CPython's choice among quotes for odd nestings is not followed.

use super::{
    ast::{Binary, Comparison, Comprehended, Expr, Generator, Id, Parameters, Part, Tree, Unary},
    repr::{repr, repr_str, write_repr},
    value::PyValue,
};

/// CPython's recursion limit ends its writer at about as many levels.
const MAX_DEPTH: usize = 320;

/// How strongly parts hold together, as the writer numbers them.
mod level {
    pub const NAMED: u8 = 0;
    pub const TUPLE: u8 = 1;
    pub const YIELD: u8 = 2;
    pub const TEST: u8 = 3;
    pub const OR: u8 = 4;
    pub const AND: u8 = 5;
    pub const NOT: u8 = 6;
    pub const COMPARE: u8 = 7;
    pub const BIT_OR: u8 = 8;
    pub const BIT_XOR: u8 = 9;
    pub const BIT_AND: u8 = 10;
    pub const SHIFT: u8 = 11;
    pub const ARITHMETIC: u8 = 12;
    pub const TERM: u8 = 13;
    pub const FACTOR: u8 = 14;
    pub const POWER: u8 = 15;
    pub const AWAIT: u8 = 16;
    pub const ATOM: u8 = 17;
}

/// Why an expression is not written: it is too deep.
pub(super) const TOO_DEEP: &str = "maximum recursion depth exceeded while calling a Python object";

/// Returns the source text of an expression.
pub(super) fn unparse(tree: &Tree, id: Id) -> Result<String, &'static str> {
    let mut writer = Writer { tree, out: String::new(), depth: 0 };
    writer.write(id, level::TEST)?;
    Ok(writer.out)
}

struct Writer<'t> {
    tree: &'t Tree,
    out: String,
    depth: usize,
}

type Written = Result<(), &'static str>;

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Writes a node that stands where `outer` holds; looser ones get brackets.
    fn write(&mut self, id: Id, outer: u8) -> Written {
        if self.depth >= MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.depth += 1;
        let tree = self.tree;
        let expr = tree.expr(id);
        let own = strength(expr);
        let bracketed = own.is_some_and(|own| outer > own);
        if bracketed {
            self.push("(");
        }
        self.write_bare(expr)?;
        if bracketed {
            self.push(")");
        }
        self.depth -= 1;
        Ok(())
    }

    fn separated(&mut self, items: &[Id]) -> Written {
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.push(", ");
            }
            self.write(*item, level::TEST)?;
        }
        Ok(())
    }

    fn write_bare(&mut self, expr: &Expr) -> Written {
        match expr {
            Expr::Constant(value, unicode) => self.constant(value, *unicode),
            Expr::Name(name) => self.push(name),
            Expr::Call { function, arguments, keywords } => {
                self.write(*function, level::ATOM)?;
                self.push("(");
                self.separated(arguments)?;
                for (place, (name, value)) in keywords.iter().enumerate() {
                    if place > 0 || !arguments.is_empty() {
                        self.push(", ");
                    }
                    match name {
                        Some(name) => {
                            self.push(name);
                            self.push("=");
                        }
                        None => self.push("**"),
                    }
                    self.write(*value, level::TEST)?;
                }
                self.push(")");
            }
            Expr::Attribute(value, name) => {
                self.write(*value, level::ATOM)?;
                if matches!(
                    self.tree.expr(*value),
                    Expr::Constant(PyValue::Int(_) | PyValue::Big(_) | PyValue::Bool(_), _)
                ) {
                    self.push(" ");
                }
                self.push(".");
                self.push(name);
            }
            Expr::Subscript(value, index) => {
                self.write(*value, level::ATOM)?;
                self.push("[");
                self.index(*index)?;
                self.push("]");
            }
            Expr::Slice(lower, upper, step) => {
                self.optional(*lower)?;
                self.push(":");
                self.optional(*upper)?;
                if step.is_some() {
                    self.push(":");
                    self.optional(*step)?;
                }
            }
            Expr::Starred(value) => {
                self.push("*");
                self.write(*value, level::BIT_OR)?;
            }
            Expr::List(items) => {
                self.push("[");
                self.separated(items)?;
                self.push("]");
            }
            Expr::Tuple(items) => {
                // The empty tuple has brackets of its own, whatever is around it.
                if items.is_empty() {
                    self.push("()");
                }
                self.separated(items)?;
                if items.len() == 1 {
                    self.push(",");
                }
            }
            Expr::Set(items) => {
                self.push("{");
                self.separated(items)?;
                self.push("}");
            }
            Expr::Dict(entries) => self.dict(entries)?,
            Expr::Unary(operator, operand) => {
                let (sign, own) = match operator {
                    Unary::Not => ("not ", level::NOT),
                    Unary::Plus => ("+", level::FACTOR),
                    Unary::Minus => ("-", level::FACTOR),
                    Unary::Invert => ("~", level::FACTOR),
                };
                self.push(sign);
                self.write(*operand, own)?;
            }
            Expr::Binary(left, operator, right) => {
                let own = binary_level(*operator);
                let power = *operator == Binary::Power;
                self.write(*left, if power { own + 1 } else { own })?;
                self.push(binary_sign(*operator));
                self.write(*right, if power { own } else { own + 1 })?;
            }
            Expr::Logical(all, items) => {
                let mut own = if *all { level::AND } else { level::OR };
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        self.push(if *all { " and " } else { " or " });
                    }
                    // Each next operand is held more strongly: a quirk of the writer.
                    own = (own + 1).min(level::ATOM);
                    self.write(*item, own)?;
                }
            }
            Expr::Compare(first, pairs) => {
                self.write(*first, level::BIT_OR)?;
                for (operator, other) in pairs {
                    self.push(comparison_sign(*operator));
                    self.write(*other, level::BIT_OR)?;
                }
            }
            Expr::Conditional(test, then, otherwise) => {
                self.write(*then, level::OR)?;
                self.push(" if ");
                self.write(*test, level::OR)?;
                self.push(" else ");
                self.write(*otherwise, level::TEST)?;
            }
            Expr::Lambda(parameters, body) => {
                self.push("lambda");
                self.parameters(parameters)?;
                self.push(": ");
                self.write(*body, level::TEST)?;
            }
            Expr::Comprehension(kind, item, value, generators) => {
                self.comprehension(*kind, *item, *value, generators)?;
            }
            Expr::Walrus(target, value) => {
                self.write(*target, level::ATOM)?;
                self.push(" := ");
                self.write(*value, level::ATOM)?;
            }
            Expr::Await(value) => {
                self.push("await ");
                self.write(*value, level::ATOM)?;
            }
            Expr::Yield(value) => {
                self.push("yield");
                if let Some(value) = value {
                    self.push(" ");
                    self.write(*value, level::ATOM)?;
                }
            }
            Expr::YieldFrom(value) => {
                self.push("yield from ");
                self.write(*value, level::ATOM)?;
            }
            Expr::Formatted(parts) => self.formatted(parts)?,
        }
        Ok(())
    }

    fn constant(&mut self, value: &PyValue, unicode: bool) {
        match value {
            PyValue::Ellipsis => self.push("..."),
            PyValue::Float(_) | PyValue::Complex(..) => {
                // An infinity is written as a number that is too large.
                let text = repr(value).replace("inf", "1e309");
                self.push(&text);
            }
            other => {
                if unicode {
                    self.push("u");
                }
                write_repr(&mut self.out, other);
            }
        }
    }

    fn optional(&mut self, id: Option<Id>) -> Written {
        match id {
            Some(id) => self.write(id, level::TEST),
            None => Ok(()),
        }
    }

    fn index(&mut self, index: Id) -> Written {
        let tree = self.tree;
        if let Expr::Tuple(items) = tree.expr(index)
            && !items.is_empty()
        {
            self.separated(items)?;
            if items.len() == 1 {
                self.push(",");
            }
            return Ok(());
        }
        self.write(index, level::TEST)
    }

    fn dict(&mut self, entries: &[(Option<Id>, Id)]) -> Written {
        self.push("{");
        for (place, (key, value)) in entries.iter().enumerate() {
            if place > 0 {
                self.push(", ");
            }
            match key {
                Some(key) => {
                    self.write(*key, level::TEST)?;
                    self.push(": ");
                    self.write(*value, level::TEST)?;
                }
                None => {
                    self.push("**");
                    self.write(*value, level::BIT_OR)?;
                }
            }
        }
        self.push("}");
        Ok(())
    }

    fn parameters(&mut self, parameters: &Parameters) -> Written {
        let mut first = true;
        let mut separate = |writer: &mut Self| {
            writer.push(if first { " " } else { ", " });
            first = false;
        };
        for (place, (name, default)) in parameters.places.iter().enumerate() {
            separate(self);
            self.parameter(name, *default)?;
            if place + 1 == parameters.position_only {
                self.push(", /");
            }
        }
        if let Some(star) = &parameters.star {
            separate(self);
            self.push("*");
            self.push(star);
        }
        for (name, default) in &parameters.keyword_only {
            separate(self);
            self.parameter(name, *default)?;
        }
        if let Some(name) = &parameters.double_star {
            separate(self);
            self.push("**");
            self.push(name);
        }
        Ok(())
    }

    fn parameter(&mut self, name: &str, default: Option<Id>) -> Written {
        self.push(name);
        if default.is_some() {
            self.push("=");
        }
        self.optional(default)
    }

    fn comprehension(&mut self, kind: Comprehended, item: Id, value: Option<Id>, generators: &[Generator]) -> Written {
        let (open, close) = match kind {
            Comprehended::List => ("[", "]"),
            Comprehended::Set | Comprehended::Dict => ("{", "}"),
            Comprehended::Generator => ("(", ")"),
        };
        self.push(open);
        self.write(item, level::TEST)?;
        if let Some(value) = value {
            self.push(": ");
            self.write(value, level::TEST)?;
        }
        for generator in generators {
            self.push(if generator.asynchronous { " async for " } else { " for " });
            self.write(generator.target, level::TUPLE)?;
            self.push(" in ");
            self.write(generator.source, level::OR)?;
            for condition in &generator.conditions {
                self.push(" if ");
                self.write(*condition, level::OR)?;
            }
        }
        self.push(close);
        Ok(())
    }

    fn formatted(&mut self, parts: &[Part]) -> Written {
        let outer = std::mem::take(&mut self.out);
        self.format_parts(parts)?;
        let inner = std::mem::replace(&mut self.out, outer);
        let text = repr_str(&inner);
        self.push("f");
        if inner.contains('\'') && inner.contains('"') {
            let bare = text[1..text.len() - 1].replace("\\'", "'");
            self.push("'''");
            self.push(&bare);
            self.push("'''");
        } else {
            self.push(&text);
        }
        Ok(())
    }

    fn format_parts(&mut self, parts: &[Part]) -> Written {
        for part in parts {
            match part {
                Part::Text(text) => {
                    let text = text.replace('{', "{{").replace('}', "}}");
                    self.push(&text);
                }
                Part::Value(value, conversion, format) => {
                    self.push("{");
                    let start = self.out.len();
                    self.write(*value, level::OR)?;
                    if self.out[start..].contains('\\') {
                        return Err("Unable to avoid backslash in f-string expression part");
                    }
                    if self.out[start..].starts_with('{') {
                        self.out.insert(start, ' ');
                    }
                    if let Some(conversion) = conversion {
                        self.push("!");
                        self.out.push(*conversion);
                    }
                    if let Some(format) = format {
                        self.push(":");
                        self.format_parts(format)?;
                    }
                    self.push("}");
                }
            }
        }
        Ok(())
    }
}

/// How strongly a node's parts hold together; `None` for what never gets brackets.
fn strength(expr: &Expr) -> Option<u8> {
    Some(match expr {
        Expr::Walrus(..) => level::NAMED,
        Expr::Tuple(items) if !items.is_empty() => level::TUPLE,
        Expr::Yield(_) | Expr::YieldFrom(_) => level::YIELD,
        Expr::Conditional(..) | Expr::Lambda(..) => level::TEST,
        Expr::Logical(false, _) => level::OR,
        Expr::Logical(true, _) => level::AND,
        Expr::Unary(Unary::Not, _) => level::NOT,
        Expr::Compare(..) => level::COMPARE,
        Expr::Binary(_, operator, _) => binary_level(*operator),
        Expr::Unary(..) => level::FACTOR,
        Expr::Await(_) => level::AWAIT,
        _ => return None,
    })
}

const fn binary_level(operator: Binary) -> u8 {
    match operator {
        Binary::Or => level::BIT_OR,
        Binary::Xor => level::BIT_XOR,
        Binary::And => level::BIT_AND,
        Binary::ShiftLeft | Binary::ShiftRight => level::SHIFT,
        Binary::Add | Binary::Subtract => level::ARITHMETIC,
        Binary::Multiply | Binary::MatrixMultiply | Binary::Divide | Binary::FloorDivide | Binary::Modulo => {
            level::TERM
        }
        Binary::Power => level::POWER,
    }
}

const fn binary_sign(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => " + ",
        Binary::Subtract => " - ",
        Binary::Multiply => " * ",
        Binary::MatrixMultiply => " @ ",
        Binary::Divide => " / ",
        Binary::Modulo => " % ",
        Binary::FloorDivide => " // ",
        Binary::Power => " ** ",
        Binary::ShiftLeft => " << ",
        Binary::ShiftRight => " >> ",
        Binary::Or => " | ",
        Binary::Xor => " ^ ",
        Binary::And => " & ",
    }
}

const fn comparison_sign(operator: Comparison) -> &'static str {
    match operator {
        Comparison::Equal => " == ",
        Comparison::NotEqual => " != ",
        Comparison::Less => " < ",
        Comparison::LessEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterEqual => " >= ",
        Comparison::Is => " is ",
        Comparison::IsNot => " is not ",
        Comparison::In => " in ",
        Comparison::NotIn => " not in ",
    }
}
