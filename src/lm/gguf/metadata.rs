//! Typed access to a GGUF file's metadata, with errors that name the file and the key.

use camino::Utf8Path;
use candle_core::quantized::gguf_file::{Content, Value};

use crate::lm::LmError;

/// A file's metadata.
pub(super) struct Metadata<'a> {
    path: &'a Utf8Path,
    content: &'a Content,
}

impl<'a> Metadata<'a> {
    pub(super) fn new(path: &'a Utf8Path, content: &'a Content) -> Self {
        Self { path, content }
    }

    pub(super) fn path(&self) -> &'a Utf8Path {
        self.path
    }

    pub(super) fn error(&self, key: &str, found: &str, expected: &str) -> LmError {
        LmError::Config {
            origin: self.path.to_string(),
            field: key.to_owned(),
            found: found.to_owned(),
            expected: expected.to_owned(),
        }
    }

    fn value(&self, key: &str) -> Option<&'a Value> {
        self.content.metadata.get(key)
    }

    fn required<T>(&self, key: &str, value: Option<T>, expected: &str) -> Result<T, LmError> {
        value.ok_or_else(|| self.error(key, "absent", expected))
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> LmError {
        self.error(key, &format!("of type {:?}", value.value_type()), expected)
    }

    pub(super) fn optional_integer(&self, key: &str) -> Result<Option<usize>, LmError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let integer = match value {
            Value::U8(integer) => Some(u64::from(*integer)),
            Value::U16(integer) => Some(u64::from(*integer)),
            Value::U32(integer) => Some(u64::from(*integer)),
            Value::U64(integer) => Some(*integer),
            Value::I8(integer) => u64::try_from(*integer).ok(),
            Value::I16(integer) => u64::try_from(*integer).ok(),
            Value::I32(integer) => u64::try_from(*integer).ok(),
            Value::I64(integer) => u64::try_from(*integer).ok(),
            _ => None,
        };
        match integer.and_then(|integer| usize::try_from(integer).ok()) {
            Some(integer) => Ok(Some(integer)),
            None => Err(self.wrong(key, value, "expected a whole number from 0")),
        }
    }

    pub(super) fn integer(&self, key: &str) -> Result<usize, LmError> {
        let value = self.optional_integer(key)?;
        self.required(key, value, "expected a whole number")
    }

    pub(super) fn optional_float(&self, key: &str) -> Result<Option<f64>, LmError> {
        match self.value(key) {
            None => Ok(None),
            // Through the shortest decimal, so that 1e-5 kept as f32 is 1e-5 again and not 9.99999974e-6.
            Some(Value::F32(float)) => Ok(Some(float.to_string().parse().unwrap_or(f64::from(*float)))),
            Some(Value::F64(float)) => Ok(Some(*float)),
            Some(other) => Err(self.wrong(key, other, "expected a number")),
        }
    }

    pub(super) fn float(&self, key: &str) -> Result<f64, LmError> {
        let value = self.optional_float(key)?;
        self.required(key, value, "expected a number")
    }

    pub(super) fn optional_text(&self, key: &str) -> Result<Option<&'a str>, LmError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, other, "expected a text")),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str, LmError> {
        let value = self.optional_text(key)?;
        self.required(key, value, "expected a text")
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool, LmError> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(key, other, "expected true or false")),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, LmError> {
        let expected = "expected a list of texts";
        let value = self.required(key, self.value(key), expected)?;
        let Value::Array(items) = value else { return Err(self.wrong(key, value, expected)) };
        items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                other => Err(self.wrong(key, other, expected)),
            })
            .collect()
    }

    /// The kinds of tokens (`llama_token_type`), if they are given.
    pub(super) fn token_kinds(&self) -> Result<Vec<i64>, LmError> {
        let key = "tokenizer.ggml.token_type";
        let expected = "expected a list of whole numbers";
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| match item {
                    Value::I32(kind) => Ok(i64::from(*kind)),
                    Value::U32(kind) => Ok(i64::from(*kind)),
                    other => Err(self.wrong(key, other, expected)),
                })
                .collect(),
            Some(other) => Err(self.wrong(key, other, expected)),
        }
    }

    pub(super) fn token(&self, key: &str) -> Result<Option<u32>, LmError> {
        match self.optional_integer(key)? {
            None => Ok(None),
            Some(id) => match u32::try_from(id) {
                // Some converters write -1 as "none".
                Ok(u32::MAX) => Ok(None),
                Ok(id) => Ok(Some(id)),
                Err(_) => Err(self.error(key, &id.to_string(), "expected a token id")),
            },
        }
    }

    /// The tokens that end a text or a turn.
    pub(super) fn ends(&self) -> Result<Vec<u32>, LmError> {
        let mut ends = Vec::new();
        for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
            if let Some(id) = self.token(key)?
                && !ends.contains(&id)
            {
                ends.push(id);
            }
        }
        Ok(ends)
    }
}
