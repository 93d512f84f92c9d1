//! What a plan needs to know of the world, told by the caller.

use camino::Utf8Path;

use crate::base::Digest;

/// What a plan needs to know of the world.
pub trait Facts {
    /// Returns the content digest of a file or folder, relative to the pipeline file.
    ///
    /// # Errors
    /// Why it cannot be read, in words: `no such file`.
    fn file(&self, path: &Utf8Path) -> Result<Digest, String>;

    /// Returns what numbers are computed with.
    fn numerics(&self) -> Numerics {
        Numerics::default()
    }
}

/// What numbers are computed with: part of the keys of stages whose results depend on it. Where such a stage has a parameter
/// `device`, that is its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numerics {
    /// `cpu`, `cuda`.
    pub device: String,
    /// `f32`, `bf16`.
    pub dtype: String,
}

impl Default for Numerics {
    fn default() -> Self {
        Self { device: "cpu".to_owned(), dtype: "f32".to_owned() }
    }
}
