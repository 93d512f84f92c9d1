//! The arithmetic on constants that BFCL's decoder does: it evaluates binary operations, whatever they hold.
//!
//! Only constants and operators are known here, no names, calls or attributes, and results are small: a whole number has
//! at most [`MAX_BITS`] bits, all texts and lists of a source at most [`MAX_ITEMS`] elements. What CPython would spend hours on is refused.

use num_bigint::BigInt;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use super::{
    ast::{Binary, Comparison, Expr, Id, Tree, Unary},
    dict::PyDict,
    value::PyValue,
};

/// The largest whole number has as many bits.
const MAX_BITS: u64 = 1 << 14;

/// As many elements of texts and lists are made for one source.
const MAX_ITEMS: usize = 1 << 16;

/// Deeper expressions are refused.
const MAX_DEPTH: usize = 320;

/// Why an expression has no value; CPython's message where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub String);

type Evaluated = Result<PyValue, Refusal>;

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal(message.into()))
}

/// How many elements of texts and lists may still be made for one source.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Default for Budget {
    fn default() -> Self {
        Self(MAX_ITEMS)
    }
}

impl Budget {
    fn take(&mut self, items: usize) -> Result<(), Refusal> {
        match self.0.checked_sub(items) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => refuse(format!("results of more than {MAX_ITEMS} elements are not computed")),
        }
    }
}

/// Evaluates an expression of constants.
pub(super) fn evaluate(tree: &Tree, id: Id, budget: &mut Budget) -> Evaluated {
    Evaluator { tree, depth: 0, budget }.value(id)
}

struct Evaluator<'t> {
    tree: &'t Tree,
    depth: usize,
    budget: &'t mut Budget,
}

impl Evaluator<'_> {
    fn value(&mut self, id: Id) -> Evaluated {
        if self.depth >= MAX_DEPTH {
            return refuse("maximum recursion depth exceeded while calling a Python object");
        }
        self.depth += 1;
        let tree = self.tree;
        let value = self.bare(tree.expr(id))?;
        self.depth -= 1;
        Ok(value)
    }

    fn values(&mut self, ids: &[Id]) -> Result<Vec<PyValue>, Refusal> {
        ids.iter().map(|id| self.value(*id)).collect()
    }

    fn bare(&mut self, expr: &Expr) -> Evaluated {
        Ok(match expr {
            Expr::Constant(value, _) => value.clone(),
            Expr::Name(name) => return refuse(format!("name '{name}' is not defined")),
            Expr::List(items) => PyValue::List(self.values(items)?),
            Expr::Tuple(items) => PyValue::Tuple(self.values(items)?),
            Expr::Set(items) => {
                let mut distinct = PyDict::new();
                for item in self.values(items)? {
                    if !item.is_hashable() {
                        return refuse(format!("unhashable type: '{}'", item.type_name()));
                    }
                    distinct.insert(item, PyValue::None);
                }
                PyValue::Set(distinct.iter().map(|(key, _)| key.clone()).collect())
            }
            Expr::Dict(entries) => {
                let mut dict = PyDict::new();
                for (key, value) in entries {
                    let Some(key) = key else {
                        return refuse("unpacking is not evaluated");
                    };
                    let key = self.value(*key)?;
                    if !key.is_hashable() {
                        return refuse(format!("unhashable type: '{}'", key.type_name()));
                    }
                    let value = self.value(*value)?;
                    dict.insert(key, value);
                }
                PyValue::Dict(dict)
            }
            Expr::Unary(operator, operand) => {
                let operand = self.value(*operand)?;
                return unary(*operator, &operand);
            }
            Expr::Binary(left, operator, right) => {
                let left = self.value(*left)?;
                let right = self.value(*right)?;
                return binary(&left, *operator, &right, self.budget);
            }
            Expr::Logical(all, items) => {
                let mut last = PyValue::None;
                for item in items {
                    last = self.value(*item)?;
                    if last.is_true() != *all {
                        break;
                    }
                }
                last
            }
            Expr::Compare(first, pairs) => {
                let mut left = self.value(*first)?;
                for (operator, other) in pairs {
                    let right = self.value(*other)?;
                    if !compare(&left, *operator, &right)? {
                        return Ok(PyValue::Bool(false));
                    }
                    left = right;
                }
                PyValue::Bool(true)
            }
            Expr::Conditional(test, then, otherwise) => {
                let chosen = if self.value(*test)?.is_true() { then } else { otherwise };
                return self.value(*chosen);
            }
            Expr::Subscript(value, index) => {
                let value = self.value(*value)?;
                let index = self.value(*index)?;
                return subscript(&value, &index);
            }
            other => return refuse(format!("{} is not evaluated", other.class())),
        })
    }
}

/// Negates as the decoder does with every unary operator's constant.
pub(super) fn negate(value: &PyValue) -> Evaluated {
    unary(Unary::Minus, value)
}

fn unary(operator: Unary, operand: &PyValue) -> Evaluated {
    let sign = match operator {
        Unary::Not => return Ok(PyValue::Bool(!operand.is_true())),
        Unary::Plus => "+",
        Unary::Minus => "-",
        Unary::Invert => "~",
    };
    Ok(match (operator, operand) {
        (Unary::Minus, PyValue::Int(whole)) if *whole != i64::MIN => PyValue::Int(-whole),
        (Unary::Minus, PyValue::Float(number)) => PyValue::Float(-number),
        (Unary::Minus, PyValue::Complex(real, imaginary)) => PyValue::Complex(-real, -imaginary),
        (Unary::Plus, PyValue::Float(_) | PyValue::Complex(..)) => operand.clone(),
        _ => match whole(operand) {
            Some(whole) => PyValue::integer(match operator {
                Unary::Minus => -whole,
                Unary::Invert => -whole - 1,
                _ => whole,
            }),
            None => return refuse(format!("bad operand type for unary {sign}: '{}'", operand.type_name())),
        },
    })
}

/// The whole number that a value is: `bool` and `int`.
fn whole(value: &PyValue) -> Option<BigInt> {
    match value {
        PyValue::Bool(truth) => Some(BigInt::from(u8::from(*truth))),
        PyValue::Int(whole) => Some(BigInt::from(*whole)),
        PyValue::Big(whole) => Some(whole.as_ref().clone()),
        _ => None,
    }
}

fn real(value: &PyValue) -> Option<Result<f64, Refusal>> {
    match value {
        PyValue::Float(number) => Some(Ok(*number)),
        other => whole(other).map(|whole| to_float(&whole)),
    }
}

fn to_float(whole: &BigInt) -> Result<f64, Refusal> {
    match whole.to_f64() {
        Some(number) if number.is_finite() => Ok(number),
        _ => refuse("int too large to convert to float"),
    }
}

fn sign_of(operator: Binary) -> &'static str {
    match operator {
        Binary::Add => "+",
        Binary::Subtract => "-",
        Binary::Multiply => "*",
        Binary::MatrixMultiply => "@",
        Binary::Divide => "/",
        Binary::Modulo => "%",
        Binary::FloorDivide => "//",
        Binary::Power => "** or pow()",
        Binary::ShiftLeft => "<<",
        Binary::ShiftRight => ">>",
        Binary::Or => "|",
        Binary::Xor => "^",
        Binary::And => "&",
    }
}

fn binary(left: &PyValue, operator: Binary, right: &PyValue, budget: &mut Budget) -> Evaluated {
    if let (PyValue::Bool(left), PyValue::Bool(right)) = (left, right) {
        match operator {
            Binary::And => return Ok(PyValue::Bool(left & right)),
            Binary::Or => return Ok(PyValue::Bool(left | right)),
            Binary::Xor => return Ok(PyValue::Bool(left ^ right)),
            _ => {}
        }
    }
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return wholes(&left, operator, &right);
    }
    if let (Some(left), Some(right)) = (real(left), real(right)) {
        return match operator {
            Binary::ShiftLeft
            | Binary::ShiftRight
            | Binary::Or
            | Binary::Xor
            | Binary::And
            | Binary::MatrixMultiply => unsupported_reals(operator),
            _ => reals(left?, operator, right?),
        };
    }
    if let Some(result) = complexes(left, operator, right) {
        return result;
    }
    match (left, operator, right) {
        (PyValue::Str(one), Binary::Add, PyValue::Str(other)) => {
            budget.take(one.len() + other.len()).map(|()| PyValue::Str(format!("{one}{other}")))
        }
        (PyValue::Bytes(one), Binary::Add, PyValue::Bytes(other)) => {
            budget.take(one.len() + other.len()).map(|()| PyValue::Bytes([&one[..], other].concat()))
        }
        (PyValue::List(one), Binary::Add, PyValue::List(other)) => {
            budget.take(weight(left) + weight(right)).map(|()| PyValue::List([&one[..], other].concat()))
        }
        (PyValue::Tuple(one), Binary::Add, PyValue::Tuple(other)) => {
            budget.take(weight(left) + weight(right)).map(|()| PyValue::Tuple([&one[..], other].concat()))
        }
        (PyValue::Dict(one), Binary::Or, PyValue::Dict(other)) => {
            Ok(PyValue::Dict(one.iter().chain(other.iter()).map(|(key, value)| (key.clone(), value.clone())).collect()))
        }
        (sequence, Binary::Multiply, times) if whole(times).is_some() && is_sequence(sequence) => {
            repeat(sequence, times, budget)
        }
        (times, Binary::Multiply, sequence) if whole(times).is_some() && is_sequence(sequence) => {
            repeat(sequence, times, budget)
        }
        (PyValue::Str(_), Binary::Add, other) => {
            refuse(format!("can only concatenate str (not \"{}\") to str", other.type_name()))
        }
        (PyValue::List(_), Binary::Add, other) => {
            refuse(format!("can only concatenate list (not \"{}\") to list", other.type_name()))
        }
        (PyValue::Tuple(_), Binary::Add, other) => {
            refuse(format!("can only concatenate tuple (not \"{}\") to tuple", other.type_name()))
        }
        (PyValue::Str(_) | PyValue::Bytes(_), Binary::Modulo, _) => refuse("formatting is not evaluated"),
        _ => refuse(format!(
            "unsupported operand type(s) for {}: '{}' and '{}'",
            sign_of(operator),
            left.type_name(),
            right.type_name()
        )),
    }
}

fn unsupported_reals(operator: Binary) -> Evaluated {
    refuse(format!("unsupported operand type(s) for {}: 'float' and 'float'", sign_of(operator)))
}

const fn is_sequence(value: &PyValue) -> bool {
    matches!(value, PyValue::Str(_) | PyValue::Bytes(_) | PyValue::List(_) | PyValue::Tuple(_))
}

/// How many values a value holds at any depth.
fn weight(value: &PyValue) -> usize {
    match value {
        PyValue::Str(text) => text.len().max(1),
        PyValue::Bytes(bytes) => bytes.len().max(1),
        PyValue::List(items) | PyValue::Tuple(items) | PyValue::Set(items) => {
            1 + items.iter().map(weight).sum::<usize>()
        }
        PyValue::Dict(entries) => 1 + entries.iter().map(|(key, value)| weight(key) + weight(value)).sum::<usize>(),
        _ => 1,
    }
}

fn repeat(sequence: &PyValue, times: &PyValue, budget: &mut Budget) -> Evaluated {
    let times = whole(times).filter(|times| !times.is_negative()).unwrap_or_default();
    let times = times.to_usize().unwrap_or(usize::MAX);
    budget.take(times.saturating_mul(weight(sequence)))?;
    Ok(match sequence {
        PyValue::Str(text) => PyValue::Str(text.repeat(times)),
        PyValue::Bytes(bytes) => PyValue::Bytes(bytes.repeat(times)),
        PyValue::List(items) => PyValue::List(std::iter::repeat_n(items, times).flatten().cloned().collect()),
        PyValue::Tuple(items) => PyValue::Tuple(std::iter::repeat_n(items, times).flatten().cloned().collect()),
        _ => return refuse("only sequences are repeated"),
    })
}

fn wholes(left: &BigInt, operator: Binary, right: &BigInt) -> Evaluated {
    let fits = |bits: u64| -> Result<(), Refusal> {
        if bits > MAX_BITS {
            return refuse(format!("whole numbers of more than {MAX_BITS} bits are not computed"));
        }
        Ok(())
    };
    Ok(PyValue::integer(match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => {
            fits(left.bits() + right.bits())?;
            left * right
        }
        Binary::And => left & right,
        Binary::Or => left | right,
        Binary::Xor => left ^ right,
        Binary::Divide => {
            if right.is_zero() {
                return refuse("division by zero");
            }
            return divide(left, right);
        }
        Binary::FloorDivide | Binary::Modulo => {
            if right.is_zero() {
                return refuse(if operator == Binary::Modulo {
                    "integer modulo by zero"
                } else {
                    "integer division or modulo by zero"
                });
            }
            let remainder = ((left % right) + right) % right;
            if operator == Binary::Modulo { remainder } else { (left - &remainder) / right }
        }
        Binary::Power => {
            if right.is_negative() {
                return reals(to_float(left)?, operator, to_float(right)?);
            }
            let exponent = right.to_u64().unwrap_or(u64::MAX);
            if left.bits() > 1 {
                fits(left.bits().saturating_mul(exponent))?;
            }
            let small = left.bits() <= 1;
            // Powers of -1, 0 and 1 only depend on whether the exponent is 0 or odd.
            let exponent =
                if small && exponent > 2 { if right % 2_u8 == BigInt::zero() { 2 } else { 1 } } else { exponent };
            left.pow(u32::try_from(exponent).unwrap_or(u32::MAX))
        }
        Binary::ShiftLeft | Binary::ShiftRight => {
            if right.is_negative() {
                return refuse("negative shift count");
            }
            let count = right.to_u64().unwrap_or(u64::MAX);
            if operator == Binary::ShiftLeft {
                if left.is_zero() {
                    return Ok(PyValue::Int(0));
                }
                fits(left.bits().saturating_add(count))?;
                left << count
            } else if count > left.bits() {
                BigInt::from(if left.is_negative() { -1 } else { 0 })
            } else {
                left >> count
            }
        }
        Binary::MatrixMultiply => return refuse("unsupported operand type(s) for @: 'int' and 'int'"),
    }))
}

/// True division, rounded once: to 66 bits and the remainder first, which decide the 53 bits of the result.
fn divide(left: &BigInt, right: &BigInt) -> Evaluated {
    let exact = |whole: &BigInt| whole.to_i64().filter(|whole| whole.unsigned_abs() <= 1 << 53);
    #[expect(clippy::cast_precision_loss, reason = "at most 53 bits")]
    if let (Some(left), Some(right)) = (exact(left), exact(right)) {
        return Ok(PyValue::Float(left as f64 / right as f64));
    }
    let (numerator, denominator) = (left.abs(), right.abs());
    let shift = 66 - (numerator.bits().cast_signed() - denominator.bits().cast_signed());
    let (scaled, divisor) = if shift >= 0 {
        (numerator << shift.unsigned_abs(), denominator)
    } else {
        (numerator, denominator << shift.unsigned_abs())
    };
    let mut quotient = &scaled / &divisor;
    if !(&scaled % &divisor).is_zero() {
        // A sticky bit: never rounds to the wrong side.
        quotient |= BigInt::from(1);
    }
    let exponent = i32::try_from(-shift).unwrap_or(i32::MAX);
    let number = quotient.to_f64().unwrap_or(f64::INFINITY);
    // In two steps, so that neither factor leaves the range of floats.
    let number = number * 2_f64.powi(exponent / 2) * 2_f64.powi(exponent - exponent / 2);
    if number.is_infinite() {
        return refuse("integer division result too large for a float");
    }
    Ok(PyValue::Float(if left.is_negative() == right.is_negative() { number } else { -number }))
}

fn reals(left: f64, operator: Binary, right: f64) -> Evaluated {
    Ok(PyValue::Float(match operator {
        Binary::Add => left + right,
        Binary::Subtract => left - right,
        Binary::Multiply => left * right,
        Binary::Divide => {
            if right == 0.0 {
                return refuse("float division by zero");
            }
            left / right
        }
        Binary::Modulo => {
            if right == 0.0 {
                return refuse("float modulo");
            }
            modulo(left, right)
        }
        Binary::FloorDivide => {
            if right == 0.0 {
                return refuse("float floor division by zero");
            }
            let quotient = (left - modulo(left, right)) / right;
            let floor = quotient.floor();
            if quotient - floor > 0.5 { floor + 1.0 } else { floor }
        }
        Binary::Power => return power(left, right),
        _ => return refuse("unsupported operand type(s)"),
    }))
}

/// The remainder with the sign of the divisor.
fn modulo(left: f64, right: f64) -> f64 {
    let remainder = left % right;
    if remainder == 0.0 {
        return 0.0_f64.copysign(right);
    }
    if (remainder < 0.0) == (right < 0.0) { remainder } else { remainder + right }
}

fn power(base: f64, exponent: f64) -> Evaluated {
    if base == 0.0 && exponent < 0.0 {
        return refuse("0.0 cannot be raised to a negative power");
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        let (length, angle) = ((-base).powf(exponent), std::f64::consts::PI * exponent);
        return Ok(PyValue::Complex(length * angle.cos(), length * angle.sin()));
    }
    let result = base.powf(exponent);
    if result.is_infinite() && base.is_finite() && exponent.is_finite() {
        return refuse("(34, 'Numerical result out of range')");
    }
    Ok(PyValue::Float(result))
}

fn complexes(left: &PyValue, operator: Binary, right: &PyValue) -> Option<Evaluated> {
    let parts = |value: &PyValue| match value {
        PyValue::Complex(real, imaginary) => Some((*real, *imaginary)),
        other => real(other)?.ok().map(|number| (number, 0.0)),
    };
    let ((a, b), (c, d)) = (parts(left)?, parts(right)?);
    Some(match operator {
        Binary::Add => Ok(PyValue::Complex(a + c, b + d)),
        Binary::Subtract => Ok(PyValue::Complex(a - c, b - d)),
        Binary::Multiply => Ok(PyValue::Complex(a * c - b * d, a * d + b * c)),
        Binary::Divide => {
            if c == 0.0 && d == 0.0 {
                return Some(refuse("complex division by zero"));
            }
            // Smith's method, as CPython.
            Ok(if c.abs() >= d.abs() {
                let ratio = d / c;
                let divisor = c + d * ratio;
                PyValue::Complex((a + b * ratio) / divisor, (b - a * ratio) / divisor)
            } else {
                let ratio = c / d;
                let divisor = c * ratio + d;
                PyValue::Complex((a * ratio + b) / divisor, (b * ratio - a) / divisor)
            })
        }
        _ => refuse("complex numbers are only added, subtracted, multiplied and divided"),
    })
}

fn compare(left: &PyValue, operator: Comparison, right: &PyValue) -> Result<bool, Refusal> {
    use std::cmp::Ordering;
    let order = match (left, right) {
        (PyValue::Str(left), PyValue::Str(right)) => Some(left.cmp(right)),
        (PyValue::Bytes(left), PyValue::Bytes(right)) => Some(left.cmp(right)),
        _ => match (whole(left), whole(right)) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => match (real(left), real(right)) {
                (Some(left), Some(right)) => {
                    let (left, right) = (left?, right?);
                    if left.is_nan() || right.is_nan() {
                        return Ok(operator == Comparison::NotEqual);
                    }
                    left.partial_cmp(&right)
                }
                _ => None,
            },
        },
    };
    let (sign, holds): (&str, fn(Ordering) -> bool) = match operator {
        Comparison::Equal => return Ok(left == right),
        Comparison::NotEqual => return Ok(left != right),
        Comparison::Less => ("<", Ordering::is_lt),
        Comparison::LessEqual => ("<=", Ordering::is_le),
        Comparison::Greater => (">", Ordering::is_gt),
        Comparison::GreaterEqual => (">=", Ordering::is_ge),
        Comparison::In | Comparison::NotIn => {
            let found = match (left, right) {
                (PyValue::Str(part), PyValue::Str(text)) => text.contains(part.as_str()),
                (item, PyValue::List(items) | PyValue::Tuple(items) | PyValue::Set(items)) => items.contains(item),
                (key, PyValue::Dict(entries)) => entries.get(key).is_some(),
                (_, other) => return refuse(format!("argument of type '{}' is not iterable", other.type_name())),
            };
            return Ok(found == (operator == Comparison::In));
        }
        Comparison::Is | Comparison::IsNot => {
            let same = matches!((left, right), (PyValue::None, PyValue::None) | (PyValue::Ellipsis, PyValue::Ellipsis))
                || matches!((left, right), (PyValue::Bool(left), PyValue::Bool(right)) if left == right)
                || (left.type_name() == right.type_name() && left == right);
            return Ok(same == (operator == Comparison::Is));
        }
    };
    match order {
        Some(order) => Ok(holds(order)),
        None => refuse(format!(
            "'{sign}' not supported between instances of '{}' and '{}'",
            left.type_name(),
            right.type_name()
        )),
    }
}

fn subscript(value: &PyValue, index: &PyValue) -> Evaluated {
    if let PyValue::Dict(entries) = value {
        return match entries.get(index) {
            Some(found) => Ok(found.clone()),
            None => refuse(super::repr::repr(index)),
        };
    }
    let place = |length: usize, what: &str| -> Result<usize, Refusal> {
        let Some(index) = whole(index) else {
            return refuse(format!("{what} indices must be integers"));
        };
        let length = BigInt::from_usize(length).unwrap_or_default();
        let place = if index.is_negative() { index + &length } else { index };
        match place.to_usize() {
            Some(place) if BigInt::from(place) < length => Ok(place),
            _ => refuse(format!("{what} index out of range")),
        }
    };
    match value {
        PyValue::List(items) => Ok(items[place(items.len(), "list")?].clone()),
        PyValue::Tuple(items) => Ok(items[place(items.len(), "tuple")?].clone()),
        PyValue::Bytes(bytes) => Ok(PyValue::Int(i64::from(bytes[place(bytes.len(), "bytes")?]))),
        PyValue::Str(text) => {
            let characters: Vec<char> = text.chars().collect();
            Ok(PyValue::Str(characters[place(characters.len(), "string")?].to_string()))
        }
        other => refuse(format!("'{}' object is not subscriptable", other.type_name())),
    }
}
