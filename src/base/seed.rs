//! Random streams that depend on what they are for, never on when or where they are drawn.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::base::Canon;

/// A seed from which independent streams are derived by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// Returns the seed for the part of the work called `label`.
    #[must_use]
    pub fn derive(self, label: &str) -> Self {
        let digest = Canon::new().text("seed").uint(self.0).text(label).finish();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest.as_bytes()[..8]);
        Self(u64::from_le_bytes(bytes))
    }

    /// Returns the stream of one rollout: a function of the seed, the sample and the rollout's index only, so batch
    /// size, order and thread count do not matter. ChaCha8's output is fixed across releases and platforms.
    pub fn stream(self, sample: &str, index: u64) -> ChaCha8Rng {
        let digest = Canon::new().text("stream").uint(self.0).text(sample).uint(index).finish();
        ChaCha8Rng::from_seed(*digest.as_bytes())
    }

    /// Returns the stream for the part of the work called `label`.
    pub fn rng(self, label: &str) -> ChaCha8Rng {
        self.stream(label, 0)
    }
}
