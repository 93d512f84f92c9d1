//! Values as Python has them: what the decoder makes of model text and what the checker compares.
//!
//! Only data: nothing here runs anything. Half surrogates, which Python's texts may hold and Rust's may not, live in the
//! last 2,048 code points of the private planes (see [`half_surrogate`]).

use num_bigint::BigInt;
use serde_json::Value;

use super::dict::PyDict;

/// A value of Python.
#[derive(Clone, Debug, Default)]
pub enum PyValue {
    /// `None`.
    #[default]
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int` that fits 64 bits.
    Int(i64),
    /// Any other `int`; never one that fits 64 bits.
    Big(Box<BigInt>),
    /// A `float`.
    Float(f64),
    /// A `complex`: real and imaginary part.
    Complex(f64, f64),
    /// A `str`.
    Str(String),
    /// A `bytes`.
    Bytes(Vec<u8>),
    /// A `list`.
    List(Vec<PyValue>),
    /// A `tuple`.
    Tuple(Vec<PyValue>),
    /// A `dict`.
    Dict(PyDict),
    /// A `set` in the order that it was written in (CPython's own order depends on hashes).
    Set(Vec<PyValue>),
    /// `Ellipsis`.
    Ellipsis,
}

impl PyValue {
    /// Returns an `int` of any size.
    pub fn integer(value: BigInt) -> Self {
        i64::try_from(&value).map_or_else(|_| Self::Big(Box::new(value)), Self::Int)
    }

    /// Returns a `dict`.
    pub fn dict(entries: PyDict) -> Self {
        Self::Dict(entries)
    }

    /// Returns what `type(value).__name__` is.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Big(_) => "int",
            Self::Float(_) => "float",
            Self::Complex(..) => "complex",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Set(_) => "set",
            Self::Ellipsis => "ellipsis",
        }
    }

    /// Returns the text of a `str`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the elements of a `list`.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the entries of a `dict`.
    pub const fn as_dict(&self) -> Option<&PyDict> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns `float(value)` of an `int` or `float`; `None` for other types and for what is too large.
    pub(crate) fn to_float(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "rounded as Python rounds")]
            Self::Int(whole) => Some(*whole as f64),
            Self::Big(whole) => num_traits::ToPrimitive::to_f64(whole.as_ref()).filter(|number| number.is_finite()),
            _ => None,
        }
    }

    /// Returns whether `bool(value)` is true.
    pub fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(truth) => *truth,
            Self::Int(whole) => *whole != 0,
            Self::Big(_) | Self::Ellipsis => true,
            Self::Float(number) => *number != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => !items.is_empty(),
            Self::Dict(entries) => !entries.is_empty(),
        }
    }

    /// Returns whether the value may be the key of a `dict`.
    pub fn is_hashable(&self) -> bool {
        match self {
            Self::List(_) | Self::Dict(_) | Self::Set(_) => false,
            Self::Tuple(items) => items.iter().all(Self::is_hashable),
            _ => true,
        }
    }

    /// Returns the value as JSON where `json.dumps` and reading back would: tuples become lists, keys texts. `None` for
    /// what JSON has no form for.
    pub fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::None => Value::Null,
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(whole) => Value::from(*whole),
            Self::Big(whole) => Value::from(u64::try_from(whole.as_ref()).ok()?),
            Self::Float(number) => Value::from(serde_json::Number::from_f64(*number)?),
            Self::Str(text) => Value::String(text.clone()),
            Self::List(items) | Self::Tuple(items) => {
                Value::Array(items.iter().map(Self::to_json).collect::<Option<_>>()?)
            }
            Self::Dict(entries) => {
                let mut map = serde_json::Map::new();
                for (key, value) in entries.iter() {
                    map.insert(key.json_key()?, value.to_json()?);
                }
                Value::Object(map)
            }
            Self::Complex(..) | Self::Bytes(_) | Self::Set(_) | Self::Ellipsis => return None,
        })
    }
}

/// Returns the character that stands for a half surrogate (`0xD800..=0xDFFF`).
pub(crate) fn half_surrogate(code: u32) -> char {
    char::from_u32(0x10_F800 + (code & 0x7FF)).expect("the last private plane ends at U+10FFFF")
}

/// Returns the half surrogate that a character stands for.
pub(crate) fn as_half_surrogate(character: char) -> Option<u32> {
    (character as u32).checked_sub(0x10_F800).map(|offset| 0xD800 + offset)
}

impl From<bool> for PyValue {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for PyValue {
    fn from(whole: i64) -> Self {
        Self::Int(whole)
    }
}

impl From<f64> for PyValue {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<&str> for PyValue {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for PyValue {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl FromIterator<PyValue> for PyValue {
    fn from_iter<I: IntoIterator<Item = PyValue>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

/// What `json.loads` makes of it.
impl From<&Value> for PyValue {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::None,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Self::Int(whole),
                (None, Some(whole)) => Self::Big(Box::new(whole.into())),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Str(text.clone()),
            Value::Array(items) => items.iter().map(Self::from).collect(),
            Value::Object(entries) => {
                Self::Dict(entries.iter().map(|(key, value)| (Self::from(key.as_str()), Self::from(value))).collect())
            }
        }
    }
}
