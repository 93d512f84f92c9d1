//! Python's `==`: `1 == 1.0 == True`, dicts without order, lists never equal to tuples.

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use super::{dict::PyDict, value::PyValue};

impl PartialEq for PyValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) | (Self::Ellipsis, Self::Ellipsis) => true,
            (Self::Str(left), Self::Str(right)) => left == right,
            (Self::Bytes(left), Self::Bytes(right)) => left == right,
            (Self::List(left), Self::List(right)) | (Self::Tuple(left), Self::Tuple(right)) => left == right,
            (Self::Dict(left), Self::Dict(right)) => left == right,
            (Self::Set(left), Self::Set(right)) => {
                left.len() == right.len() && left.iter().all(|item| right.contains(item))
            }
            _ => match (Numeric::of(self), Numeric::of(other)) {
                (Some(left), Some(right)) => left.equals(right),
                _ => false,
            },
        }
    }
}

impl PartialEq for PyDict {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key).is_some_and(|twin| value == twin))
    }
}

/// A number of any of Python's types.
#[derive(Clone, Copy)]
enum Numeric<'a> {
    Small(i64),
    Big(&'a BigInt),
    Real(f64),
    Complex(f64, f64),
}

impl<'a> Numeric<'a> {
    fn of(value: &'a PyValue) -> Option<Self> {
        Some(match value {
            PyValue::Bool(truth) => Self::Small(i64::from(*truth)),
            PyValue::Int(whole) => Self::Small(*whole),
            PyValue::Big(whole) => Self::Big(whole),
            PyValue::Float(number) => Self::Real(*number),
            PyValue::Complex(real, imaginary) => Self::Complex(*real, *imaginary),
            _ => return None,
        })
    }

    /// Compares exactly: a float equals an integer only if it *is* that integer.
    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Small(left), Self::Small(right)) => left == right,
            (Self::Big(left), Self::Big(right)) => left == right,
            (Self::Small(_), Self::Big(_)) | (Self::Big(_), Self::Small(_)) => false,
            (Self::Real(left), Self::Real(right)) => left == right,
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "checked in both ways")]
            (Self::Small(whole), Self::Real(number)) | (Self::Real(number), Self::Small(whole)) => {
                (-9.3e18..9.3e18).contains(&number)
                    && number as i128 == i128::from(whole)
                    && number as i128 as f64 == number
            }
            (Self::Big(whole), Self::Real(number)) | (Self::Real(number), Self::Big(whole)) => {
                number.fract() == 0.0 && BigInt::from_f64(number).is_some_and(|number| number == *whole)
            }
            (Self::Complex(real, imaginary), Self::Complex(other_real, other_imaginary)) => {
                real == other_real && imaginary == other_imaginary
            }
            (Self::Complex(real, imaginary), other) | (other, Self::Complex(real, imaginary)) => {
                imaginary == 0.0 && Self::Real(real).equals(other)
            }
        }
    }
}
