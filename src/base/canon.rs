//! Canonical bytes: the one encoding that keys are computed from.
//!
//! Every item is a tag byte followed by its content; texts and containers carry their length first, maps are written in
//! key order. So no two different values share an encoding, and the encoding depends on nothing but the value: not on a
//! JSON printer, not on map order, not on the platform. Changing it changes everybody's keys: bump `plan::KEY_FORMAT`.

use crate::base::{Digest, Value};

/// A writer of canonical bytes.
#[derive(Clone, Default)]
pub struct Canon {
    bytes: Vec<u8>,
}

impl Canon {
    /// Starts an empty encoding.
    pub fn new() -> Self {
        Self::default()
    }

    fn length(&mut self, length: usize) {
        self.bytes.extend_from_slice(&(length as u64).to_le_bytes());
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes.push(b's');
        self.length(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    /// Writes a signed integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.bytes.push(b'i');
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.bytes.push(b'u');
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Writes a number; `-0.0` is written as `0.0` and every NaN alike.
    pub fn float(&mut self, value: f64) -> &mut Self {
        let value = if value == 0.0 {
            0.0
        } else if value.is_nan() {
            f64::NAN
        } else {
            value
        };
        self.bytes.push(b'f');
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
        self
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.bytes.push(if value { b'T' } else { b'F' });
        self
    }

    /// Writes the absence of a value.
    pub fn none(&mut self) -> &mut Self {
        self.bytes.push(b'n');
        self
    }

    /// Writes a digest.
    pub fn digest(&mut self, digest: &Digest) -> &mut Self {
        self.bytes.push(b'd');
        self.bytes.extend_from_slice(digest.as_bytes());
        self
    }

    /// Opens a list of `length` items, which the caller writes next.
    pub fn list(&mut self, length: usize) -> &mut Self {
        self.bytes.push(b'l');
        self.length(length);
        self
    }

    /// Opens a map of `length` entries, which the caller writes next as key, value, in key order.
    pub fn map(&mut self, length: usize) -> &mut Self {
        self.bytes.push(b'm');
        self.length(length);
        self
    }

    /// Writes a parameter value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Bool(value) => self.bool(*value),
            Value::Int(value) => self.int(*value),
            Value::Float(value) => self.float(*value),
            Value::Text(value) => self.text(value),
            Value::List(items) => {
                self.list(items.len());
                for item in items {
                    self.value(item);
                }
                self
            }
            Value::Map(entries) => {
                self.map(entries.len());
                for (key, value) in entries {
                    self.text(key).value(value);
                }
                self
            }
        }
    }

    /// Returns the bytes written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the digest of the bytes written so far.
    pub fn finish(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}
