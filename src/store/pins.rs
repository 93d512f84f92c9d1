//! Pins.

use crate::base::Digest;

/// A name for results and blobs that garbage collection keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub note: String,
    /// Keys of results.
    pub results: Vec<Digest>,
    /// Digests of artifacts: of a file, or of a folder that some result has as an output.
    pub artifacts: Vec<Digest>,
}
