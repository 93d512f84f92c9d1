//! One safetensors file: read tensor by tensor into `f32`, written with deterministic bytes.
//!
//! The header is read by hand, so that a damaged or hostile file is refused with the figures that are wrong, and before
//! anything of the size that it claims is allocated. Format: 8 bytes little-endian header length, a JSON header, the data
//! (<https://github.com/huggingface/safetensors#format>).

use std::{collections::BTreeMap, io::Write, os::unix::fs::FileExt};

use camino::{Utf8Path, Utf8PathBuf};
use half::{bf16, f16};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lm::{Dtype, LmError, Parameter};

/// The longest header that is read, in bytes: the limit of the reference implementation.
const HEADER_LIMIT: u64 = 100_000_000;

/// Bytes converted at a time.
const CHUNK: usize = 1 << 20;

/// An open safetensors file with a sound header.
pub(crate) struct TensorFile {
    path: Utf8PathBuf,
    file: fs_err::File,
    data_start: u64,
    tensors: BTreeMap<String, Entry>,
}

/// Where and how a tensor is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    /// From and to, relative to the start of the data.
    data_offsets: (u64, u64),
}

impl TensorFile {
    /// Opens a file and checks its header.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, LmError> {
        let damaged = |reason: String| LmError::Format { path: path.to_owned(), format: "safetensors", reason };
        let file = fs_err::File::open(path).map_err(LmError::io("read", path))?;
        let length = file.metadata().map_err(LmError::io("read", path))?.len();
        if length < 8 {
            return Err(damaged(format!("it has {length} bytes; the header's length alone takes 8")));
        }
        let mut prefix = [0; 8];
        file.file().read_exact_at(&mut prefix, 0).map_err(LmError::io("read", path))?;
        let header_length = u64::from_le_bytes(prefix);
        if header_length > HEADER_LIMIT {
            return Err(damaged(format!("its header claims {header_length} bytes; at most {HEADER_LIMIT} are read")));
        }
        if header_length > length - 8 {
            let found = length - 8;
            return Err(damaged(format!("its header claims {header_length} bytes, but only {found} follow")));
        }
        let mut header = vec![0; header_length as usize];
        file.file().read_exact_at(&mut header, 8).map_err(LmError::io("read", path))?;
        let tensors = read_header(&header).map_err(damaged)?;
        let data_start = 8 + header_length;
        check_offsets(&tensors, length - data_start).map_err(damaged)?;
        Ok(Self { path: path.to_owned(), file, data_start, tensors })
    }

    /// Returns the names of the tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Reads the tensor `name` of the given shape.
    pub(crate) fn read(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, LmError> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(LmError::MissingTensor {
                path: self.path.clone(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
            });
        };
        if entry.shape != expected {
            return Err(LmError::TensorShape {
                path: self.path.clone(),
                tensor: name.to_owned(),
                expected: expected.to_vec(),
                found: entry.shape.clone(),
            });
        }
        let width = match entry.dtype.as_str() {
            "F32" => 4,
            "F16" | "BF16" => 2,
            other => {
                return Err(LmError::TensorType {
                    path: self.path.clone(),
                    tensor: name.to_owned(),
                    found: other.to_owned(),
                    expected: "F32, F16 or BF16",
                });
            }
        };
        let (start, end) = entry.data_offsets;
        let mut data = Vec::with_capacity((end - start) as usize / width);
        let mut bytes = vec![0; CHUNK];
        let mut at = start;
        while at < end {
            let bytes = &mut bytes[..CHUNK.min((end - at) as usize)];
            let offset = self.data_start + at;
            self.file.file().read_exact_at(bytes, offset).map_err(LmError::io("read", &self.path))?;
            match entry.dtype.as_str() {
                "F32" => data.extend(pieces(bytes).map(f32::from_le_bytes)),
                "F16" => data.extend(pieces(bytes).map(|piece| f16::from_le_bytes(piece).to_f32())),
                _ => data.extend(pieces(bytes).map(|piece| bf16::from_le_bytes(piece).to_f32())),
            }
            at += bytes.len() as u64;
        }
        Ok(data)
    }
}

/// Cuts bytes into arrays of `N`.
fn pieces<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

/// Reads the header's JSON, `__metadata__` left out.
fn read_header(header: &[u8]) -> Result<BTreeMap<String, Entry>, String> {
    let values: BTreeMap<String, Value> =
        serde_json::from_slice(header).map_err(|error| format!("its header is no JSON object: {error}"))?;
    values
        .into_iter()
        .filter(|(name, _)| name != "__metadata__")
        .map(|(name, value)| match serde_json::from_value(value) {
            Ok(entry) => Ok((name, entry)),
            Err(error) => Err(format!("its header's entry for `{name}` is malformed: {error}")),
        })
        .collect()
}

/// Checks that the tensors fill the data from start to end without gap or overlap, each as large as its shape says.
fn check_offsets(tensors: &BTreeMap<String, Entry>, length: u64) -> Result<(), String> {
    let mut sorted: Vec<(&String, &Entry)> = tensors.iter().collect();
    sorted.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut at = 0;
    for (name, entry) in sorted {
        let (start, end) = entry.data_offsets;
        if start != at || end < start {
            return Err(format!("the tensor `{name}` lies at bytes {start} to {end}; expected a start at {at}"));
        }
        let elements = entry.shape.iter().try_fold(1_u64, |product, size| product.checked_mul(*size as u64));
        let width = match entry.dtype.as_str() {
            "F64" | "I64" | "U64" => Some(8),
            "F32" | "I32" | "U32" => Some(4),
            "F16" | "BF16" | "I16" | "U16" => Some(2),
            "I8" | "U8" | "BOOL" => Some(1),
            // An element type that is not read: refused if it is asked for.
            _ => None,
        };
        if let Some(width) = width {
            let needed = elements.and_then(|elements| elements.checked_mul(width));
            if needed != Some(end - start) {
                let needed = needed.map_or("more than 2^64".to_owned(), |bytes| bytes.to_string());
                let (dtype, shape, found) = (&entry.dtype, &entry.shape, end - start);
                return Err(format!(
                    "the tensor `{name}` ({dtype} {shape:?}) takes {needed} bytes but is given {found}"
                ));
            }
        }
        at = end;
    }
    if at > length {
        return Err(format!("its tensors take {at} bytes, but only {length} follow the header: it was cut short"));
    }
    if at < length {
        return Err(format!("its tensors take {at} bytes, but {length} follow the header"));
    }
    Ok(())
}

/// Writes parameters, rounded to the nearest of `dtype` (ties to even), under the given names and in the given order, with
/// transformers' `{"format": "pt"}`. Equal parameters give equal bytes.
pub(crate) fn write<'a>(
    parameters: impl Iterator<Item = (String, &'a Parameter)> + Clone,
    dtype: Dtype,
    path: &Utf8Path,
) -> Result<(), LmError> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut at = 0;
    for (name, parameter) in parameters.clone() {
        let end = at + parameter.data.len() * dtype.bytes();
        let entry = json!({ "dtype": dtype.safetensors(), "shape": parameter.shape, "data_offsets": [at, end] });
        header.insert(name, entry);
        at = end;
    }
    let mut header = Value::Object(header).to_string();
    // Aligns the data to 8 bytes, as the reference implementation does.
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));

    let error = LmError::io("write", path);
    let write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::with_capacity(CHUNK, fs_err::File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(header.as_bytes())?;
        let mut bytes = Vec::with_capacity(CHUNK);
        for (_, parameter) in parameters {
            for values in parameter.data.chunks(CHUNK / 4) {
                bytes.clear();
                match dtype {
                    Dtype::F32 => bytes.extend(values.iter().flat_map(|value| value.to_le_bytes())),
                    Dtype::Bf16 => {
                        bytes.extend(values.iter().flat_map(|value| bf16::from_f32(*value).to_bits().to_le_bytes()));
                    }
                }
                file.write_all(&bytes)?;
            }
        }
        file.flush()
    };
    write().map_err(error)
}
