//! The clock, as the store reads it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch.
pub(super) fn now_ns() -> i128 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        Err(_) => 0,
    }
}

/// Seconds since the epoch.
#[expect(clippy::cast_precision_loss, reason = "a time in seconds, good to less than a microsecond")]
pub(super) fn now_seconds() -> f64 {
    (now_ns() / 1_000) as f64 / 1e6
}
