//! Key locks.

use crate::base::Digest;

/// The lock of one key: released when dropped, and by the kernel when its process dies.
#[derive(Debug)]
pub struct KeyLock {
    key: Digest,
}

impl KeyLock {
    /// Returns the key.
    pub fn key(&self) -> &Digest {
        &self.key
    }
}
