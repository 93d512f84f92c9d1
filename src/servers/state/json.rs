//! A JSON file, or a file with a JSON value on each line.

use std::{cmp::Ordering, os::fd::BorrowedFd};

use camino::Utf8Path;
use serde_json::{Number, Value};

use super::{Probe, StateError};
use crate::servers::inside;

/// The largest file that is read.
const MOST_BYTES: u64 = 64 << 20;

pub(super) fn read(probe: &Probe, path: &Utf8Path, folder: BorrowedFd<'_>) -> Result<Value, StateError> {
    let bytes = inside::read_below(folder, path.as_std_path(), MOST_BYTES)
        .map_err(|source| StateError::Read { probe: probe.name(), source })?;
    read_json_text(&bytes).map_err(|reason| StateError::Unfit { probe: probe.name(), reason })
}

/// Reads JSON; where the whole is none, the list of its lines' values.
pub(in crate::servers) fn read_json_text(bytes: &[u8]) -> Result<Value, String> {
    let whole = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let values: Result<Vec<Value>, _> = lines.map(serde_json::from_slice).collect();
    values.map(Value::Array).map_err(|_| format!("it is no JSON: {whole}"))
}

/// Orders numbers by their value, integers exactly.
pub(in crate::servers) fn number_order(left: &Number, right: &Number) -> Ordering {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => {
            let (left, right) = (left.as_f64().unwrap_or(f64::NAN), right.as_f64().unwrap_or(f64::NAN));
            left.partial_cmp(&right).unwrap_or(Ordering::Equal)
        }
    }
}
