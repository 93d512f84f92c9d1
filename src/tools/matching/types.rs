//! What a parameter's schema says about the type of its value.

use serde_json::Value;

/// The types that schemas name: JSON Schema's, BFCL's for Python, and the whole-number, number, text, list and map types
/// among its Java and JavaScript names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    /// Any number.
    Number,
    Truth,
    List,
    Map,
    Null,
    /// No type is asked for, or one that is not known.
    Any,
}

impl Kind {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "string" | "str" | "String" | "char" => Self::Text,
            "integer" | "int" | "long" | "short" | "byte" | "Bigint" => Self::Whole,
            "float" | "number" | "double" => Self::Number,
            "boolean" | "bool" | "Boolean" => Self::Truth,
            "array" | "tuple" | "list" | "Array" | "ArrayList" => Self::List,
            "dict" | "object" | "HashMap" => Self::Map,
            "null" => Self::Null,
            _ => Self::Any,
        }
    }

    /// Returns the types that a schema allows; none named: any.
    pub(super) fn of_schema(schema: &Value) -> Vec<Self> {
        match schema.get("type") {
            Some(Value::String(name)) => vec![Self::named(name)],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(Self::named).collect(),
            _ => vec![Self::Any],
        }
    }

    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Truth,
            Value::Number(number) if number.is_f64() => Self::Number,
            Value::Number(_) => Self::Whole,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Map,
        }
    }

    /// Returns whether a value is of this type: a truth value is no number, 5.0 is no whole number, 5 is a number.
    pub(super) fn admits(self, value: &Value) -> bool {
        match (self, Self::of_value(value)) {
            (Self::Any, _) | (Self::Number, Self::Whole) => true,
            (wanted, found) => wanted == found,
        }
    }

    /// Like [`Self::admits`] without the leniency for whole numbers: elements of lists get none.
    pub(super) fn admits_exactly(self, value: &Value) -> bool {
        self == Self::Any || self == Self::of_value(value)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Whole => "a whole number",
            Self::Number => "a number",
            Self::Truth => "a truth value",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Null => "null",
            Self::Any => "any value",
        }
    }
}
