//! The state of unfinished work in one file of the attempt's scratch folder.
//!
//! The file is whole or worthless: it is written beside its place and moved there, and it ends with a digest of all
//! before, so that one cut short by a crash of the machine is noticed and passed over. It holds small facts as JSON, tables
//! as Parquet and numbers as raw little-endian `f32` or `bf16`, so that what is resumed goes on from the very bits.

use std::io::{self, BufReader, BufWriter, Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use fs_err as fs;
use half::bf16;
use serde::{Deserialize, Serialize};

use crate::{
    base::{Digest, Hasher},
    lm::Numbers,
    stage::StageError,
};

const MAGIC: &[u8; 8] = b"TXCKPT1\n";
const NAME: &str = "checkpoint";

/// What a training, or a sampling, can go on from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::stage) struct Checkpoint {
    /// Sampling steps done.
    pub(in crate::stage) steps: u64,
    /// Optimiser updates done.
    pub(in crate::stage) updates: u64,
    /// Tokens worked through.
    pub(in crate::stage) tokens: u64,
    /// Updates that the optimiser's state has seen.
    pub(in crate::stage) optimizer_steps: u64,
    /// Tables written so far, as Parquet.
    pub(in crate::stage) tables: Vec<Vec<u8>>,
    /// Parameters and optimiser state, in the learner's order; `bf16` is widened, which is exact.
    pub(in crate::stage) tensors: Vec<Vec<f32>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    steps: u64,
    updates: u64,
    tokens: u64,
    optimizer_steps: u64,
    /// Bytes of each table.
    tables: Vec<usize>,
    /// Numbers of each tensor.
    tensors: Vec<usize>,
    /// The first tensor of those that are in `bf16`, if any are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bf16_from: Option<usize>,
}

/// The state to save, borrowed from where it lives.
#[derive(Default)]
pub(in crate::stage) struct State<'a> {
    pub(in crate::stage) steps: u64,
    pub(in crate::stage) updates: u64,
    pub(in crate::stage) tokens: u64,
    pub(in crate::stage) optimizer_steps: u64,
    pub(in crate::stage) tables: &'a [Vec<u8>],
    /// Those in `bf16` last.
    pub(in crate::stage) tensors: &'a [Numbers<'a>],
}

fn path(scratch: &Utf8Path) -> Utf8PathBuf {
    scratch.join(NAME)
}

/// Saves a state, in place of the one before.
///
/// # Errors
/// [`StageError::Io`].
pub(in crate::stage) fn save(scratch: &Utf8Path, state: &State<'_>) -> Result<(), StageError> {
    let path = path(scratch);
    let partial = scratch.join(format!("{NAME}.partial"));
    let failed = |error| StageError::io("write", &path)(error);
    fs::create_dir_all(scratch).map_err(StageError::io("create", scratch))?;
    let header = Header {
        steps: state.steps,
        updates: state.updates,
        tokens: state.tokens,
        optimizer_steps: state.optimizer_steps,
        tables: state.tables.iter().map(Vec::len).collect(),
        tensors: state.tensors.iter().map(Numbers::len).collect(),
        bf16_from: state.tensors.iter().position(|tensor| matches!(tensor, Numbers::Bf16(_))),
    };
    let header = serde_json::to_vec(&header).map_err(|error| failed(error.into()))?;
    let write = || -> io::Result<()> {
        let mut out = Digested {
            inner: BufWriter::with_capacity(1 << 20, fs::File::create(&partial)?),
            hasher: Hasher::default(),
        };
        out.write_all(MAGIC)?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        for table in state.tables {
            out.write_all(table)?;
        }
        let mut bytes = Vec::with_capacity(4 << 14);
        for tensor in state.tensors {
            match tensor {
                Numbers::F32(values) => {
                    for chunk in values.chunks(1 << 14) {
                        bytes.clear();
                        bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
                        out.write_all(&bytes)?;
                    }
                }
                Numbers::Bf16(halves) => {
                    for chunk in halves.chunks(1 << 14) {
                        bytes.clear();
                        bytes.extend(chunk.iter().flat_map(|half| half.to_le_bytes()));
                        out.write_all(&bytes)?;
                    }
                }
            }
        }
        let digest = out.hasher.finish();
        out.inner.write_all(digest.as_bytes())?;
        out.inner.flush()
    };
    write().map_err(failed)?;
    fs::rename(&partial, &path).map_err(failed)
}

/// Returns the state that an earlier attempt of the same key left; nothing if there is none or it is damaged.
///
/// # Errors
/// [`StageError::Io`] if it is there and cannot be read.
pub(in crate::stage) fn load(scratch: &Utf8Path) -> Result<Option<Checkpoint>, StageError> {
    let path = path(scratch);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StageError::io("read", &path)(error)),
    };
    match read(BufReader::with_capacity(1 << 20, file)) {
        Ok(checkpoint) => Ok(checkpoint),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(StageError::io("read", &path)(error)),
    }
}

fn read(inner: impl Read) -> io::Result<Option<Checkpoint>> {
    let mut file = Digested { inner, hasher: Hasher::default() };
    let mut start = [0; 16];
    file.read_exact(&mut start)?;
    let length = u64::from_le_bytes(start[8..].try_into().unwrap_or_default());
    if start[..8] != MAGIC[..] || length > 1 << 24 {
        return Ok(None);
    }
    let header = file.bytes(usize::try_from(length).unwrap_or(0))?;
    let Ok(header) = serde_json::from_slice::<Header>(&header) else { return Ok(None) };
    let tables = header.tables.iter().map(|length| file.bytes(*length)).collect::<io::Result<_>>()?;
    let mut tensors = Vec::with_capacity(header.tensors.len());
    for (index, length) in header.tensors.into_iter().enumerate() {
        let is_bf16 = header.bf16_from.is_some_and(|first| index >= first);
        let mut tensor = Vec::new();
        let mut left = length;
        while left > 0 {
            let count = left.min(1 << 14);
            if is_bf16 {
                let bytes = file.bytes(2 * count)?;
                tensor.extend(bytes.as_chunks().0.iter().map(|two| bf16::from_le_bytes(*two).to_f32()));
            } else {
                let bytes = file.bytes(4 * count)?;
                tensor.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)));
            }
            left -= count;
        }
        tensors.push(tensor);
    }
    let computed = file.hasher.finish();
    let mut written = [0; 32];
    file.inner.read_exact(&mut written)?;
    if Digest::from_bytes(written) != computed {
        return Ok(None);
    }
    let Header { steps, updates, tokens, optimizer_steps, .. } = header;
    Ok(Some(Checkpoint { steps, updates, tokens, optimizer_steps, tables, tensors }))
}

/// A stream whose bytes are digested as they pass.
struct Digested<S> {
    inner: S,
    hasher: Hasher,
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Digested<R> {
    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Reads so many bytes, growing as they come: a damaged length must not allocate the world.
    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = (&mut self.inner).take(count as u64).read_to_end(&mut bytes)?;
        if read < count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().join("scratch")).unwrap();
        (folder, path)
    }

    fn saved(scratch: &Utf8Path) -> Checkpoint {
        let tensors = vec![vec![1.5f32, -0.0, f32::MIN_POSITIVE], vec![], (0u16..40_000).map(f32::from).collect()];
        let state = Checkpoint {
            steps: 3,
            updates: 4,
            tokens: 5,
            optimizer_steps: 2,
            tables: vec![b"PAR1".to_vec(), vec![]],
            tensors,
        };
        let tensors: Vec<Numbers<'_>> = state.tensors.iter().map(|tensor| Numbers::F32(tensor)).collect();
        let saved =
            State { steps: 3, updates: 4, tokens: 5, optimizer_steps: 2, tables: &state.tables, tensors: &tensors };
        save(scratch, &saved).unwrap();
        state
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (_keep, scratch) = folder();
        assert_eq!(load(&scratch).unwrap(), None);
        let state = saved(&scratch);
        assert_eq!(load(&scratch).unwrap(), Some(state));
        assert!(!scratch.join("checkpoint.partial").exists());
    }

    #[test]
    fn bf16_takes_half_the_room_and_is_loaded_exactly() {
        let (_keep, scratch) = folder();
        let halves: Vec<u16> = (0..20_000).collect();
        let [full, narrow] = [Numbers::F32(&[1.5, -0.25]), Numbers::Bf16(&halves)];
        save(&scratch, &State { tensors: &[full, narrow, narrow], ..State::default() }).unwrap();
        assert!(fs::metadata(path(&scratch)).unwrap().len() < 2 * 40_000 + 500);
        let found = load(&scratch).unwrap().unwrap();
        assert_eq!(found.tensors, [full.to_f32(), narrow.to_f32(), narrow.to_f32()]);
    }

    #[test]
    fn damage_is_passed_over() {
        let (_keep, scratch) = folder();
        saved(&scratch);
        let whole = fs::read(path(&scratch)).unwrap();
        for at in [0, 9, 20, 200, whole.len() - 40, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(path(&scratch), &flipped).unwrap();
            assert_eq!(load(&scratch).unwrap(), None, "byte {at}");
            fs::write(path(&scratch), &whole[..at]).unwrap();
            assert_eq!(load(&scratch).unwrap(), None, "cut at {at}");
        }
    }
}
