//! Named points at which a test may make the store fail or die.

use std::{fmt, io, sync::Arc};

macro_rules! fault_points {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        /// A step of writing, after which a crash must leave nothing or the whole.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultPoint {
            $($(#[$meta])* $name,)*
        }

        impl FaultPoint {
            /// Every point.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the name that a point goes by: `blob-placed`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

fault_points! {
    /// `take_in`: an output was hashed, nothing moved yet.
    OutputHashed = "output-hashed",
    /// `take_in`: a copy of an output was written to `tmp/`.
    OutputCopied = "output-copied",
    /// `take_in`: a blob got its name.
    BlobPlaced = "blob-placed",
    /// `commit`: a batch begins.
    BatchBegun = "batch-begun",
    /// `commit`: a manifest was written to `tmp/`.
    ManifestWritten = "manifest-written",
    /// `commit`: blobs, their folders and the manifests' bytes are durable.
    BlobsDurable = "blobs-durable",
    /// `commit`: the blobs were made read-only for everybody.
    BlobsSealed = "blobs-sealed",
    /// `commit`: the index knows the results.
    IndexWritten = "index-written",
    /// `commit`: a manifest got its name.
    ManifestPlaced = "manifest-placed",
    /// `commit`: the manifests' names are durable.
    ResultsDurable = "results-durable",
    /// `gc`: the dead manifests are gone, their blobs not yet.
    DeadResultsRemoved = "dead-results-removed",
    /// `gc`: a dead blob is gone.
    DeadBlobRemoved = "dead-blob-removed",
    /// `verify`: a damaged blob was set aside, the results that name it not yet dropped.
    BlobQuarantined = "blob-quarantined",
}

/// What to do at fault points: nothing, unless a test says otherwise.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

type Hook = dyn Fn(FaultPoint) -> io::Result<()> + Send + Sync;

impl Faults {
    /// Calls `hook` at every point; an error makes the step fail with it, and the hook may end the process.
    pub fn new(hook: impl Fn(FaultPoint) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(super) fn at(&self, point: FaultPoint) -> io::Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(hook) => hook(point),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Faults(hook)" } else { "Faults(none)" })
    }
}
