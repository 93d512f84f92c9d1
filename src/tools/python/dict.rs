//! A `dict`: entries in the order of insertion, keys compared as Python compares them.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use num_traits::ToPrimitive;

use super::value::PyValue;

/// As many entries are searched one by one; more get an index.
const SEARCHED: usize = 16;

/// The entries of a `dict`.
#[derive(Clone, Debug, Default)]
pub struct PyDict {
    entries: Vec<(PyValue, PyValue)>,
    /// Hash → places; only kept for large dicts.
    #[expect(clippy::box_collection, reason = "nearly all dicts are small, and every value is as large as one")]
    index: Option<Box<HashMap<u64, Vec<u32>>>>,
}

impl PyDict {
    /// Returns a dict without entries.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), index: None }
    }

    /// Returns a dict without entries that has room for some.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity), index: None }
    }

    /// Returns how many entries there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&PyValue, &PyValue)> + Clone {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &PyValue) -> Option<&PyValue> {
        match key {
            PyValue::Str(text) => self.get_str(text),
            key => self.place(key).map(|place| &self.entries[place].1),
        }
    }

    /// Returns the value of a text key.
    pub fn get_str(&self, key: &str) -> Option<&PyValue> {
        let Some(index) = &self.index else {
            return self.entries.iter().find(|(other, _)| other.as_str() == Some(key)).map(|(_, value)| value);
        };
        let places = index.get(&text_hash(key))?;
        let place = places.iter().find(|place| self.entries[**place as usize].0.as_str() == Some(key))?;
        Some(&self.entries[*place as usize].1)
    }

    /// Sets the value of a key. The first of equal keys stays, the last value wins, as in Python.
    pub fn insert(&mut self, key: PyValue, value: PyValue) {
        if let Some(place) = self.place(&key) {
            self.entries[place].1 = value;
            return;
        }
        let place = u32::try_from(self.entries.len()).expect("texts are far shorter than 4 GiB");
        if let Some(index) = &mut self.index {
            index.entry(hash(&key)).or_default().push(place);
        }
        self.entries.push((key, value));
        if self.index.is_none() && self.entries.len() > SEARCHED {
            let mut index: HashMap<u64, Vec<u32>> = HashMap::new();
            for (place, (key, _)) in (0..).zip(&self.entries) {
                index.entry(hash(key)).or_default().push(place);
            }
            self.index = Some(Box::new(index));
        }
    }

    fn place(&self, key: &PyValue) -> Option<usize> {
        let Some(index) = &self.index else {
            return self.entries.iter().position(|(other, _)| other == key);
        };
        let places = index.get(&hash(key))?;
        places.iter().map(|place| *place as usize).find(|place| self.entries[*place].0 == *key)
    }
}

impl FromIterator<(PyValue, PyValue)> for PyDict {
    fn from_iter<I: IntoIterator<Item = (PyValue, PyValue)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut dict = Self::with_capacity(entries.size_hint().0);
        for (key, value) in entries {
            dict.insert(key, value);
        }
        dict
    }
}

fn text_hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Equal values have equal hashes: numbers are hashed as floats, where equal ones fall together.
fn hash(value: &PyValue) -> u64 {
    let number = match value {
        PyValue::Str(text) => return text_hash(text),
        PyValue::Bool(truth) => f64::from(u8::from(*truth)),
        #[expect(clippy::cast_precision_loss, reason = "near neighbours may share a hash")]
        PyValue::Int(whole) => *whole as f64,
        PyValue::Big(whole) => whole.to_f64().unwrap_or(f64::INFINITY),
        PyValue::Float(number) | PyValue::Complex(number, _) => *number,
        PyValue::Bytes(bytes) => return text_hash(&String::from_utf8_lossy(bytes)),
        PyValue::Tuple(items) => {
            return items.iter().fold(items.len() as u64, |sum, item| sum.rotate_left(7) ^ hash(item));
        }
        _ => return 1,
    };
    // Zero has two signs.
    (number + 0.0).to_bits().wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
