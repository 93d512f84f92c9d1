//! The types of numbers that are kept, on disk or in an optimiser. Everything is computed in f32.

use half::bf16;
use serde::Deserialize;

/// The type of kept numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32 bits: every bit of what was computed.
    #[default]
    F32,
    /// 16 bits, `bfloat16`: the range of f32 and 8 of its 24 bits of precision.
    Bf16,
}

impl Dtype {
    /// Returns the bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// Returns the name in `config.json`: PyTorch's.
    pub(crate) fn torch(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Returns the name in a safetensors header.
    pub(crate) fn safetensors(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::Bf16 => "BF16",
        }
    }
}

/// Numbers of one of the types, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// As the bits of `bfloat16`.
    Bf16(&'a [u16]),
}

impl Numbers<'_> {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::Bf16(bits) => bits.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns all as f32, which is exact.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(numbers) => numbers.to_vec(),
            Self::Bf16(bits) => bits.iter().map(|bits| bf16::from_bits(*bits).to_f32()).collect(),
        }
    }
}
