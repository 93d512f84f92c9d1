//! Whatever a tool server writes: frames come out or an error does, within the limits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use toolexpander::servers::frames::{FrameLimits, Frames, read_frame};

const LIMITS: FrameLimits = FrameLimits { frame: 1 << 12, exchange: 1 << 14 };

fuzz_target!(|bytes: &[u8]| {
    // The first byte says in which pieces the rest arrives.
    let Some((size, bytes)) = bytes.split_first() else { return };
    let mut frames = Frames::new(LIMITS);
    for chunk in bytes.chunks(usize::from(*size).max(1)) {
        if frames.push(chunk).is_err() {
            return;
        }
        loop {
            match frames.next_line() {
                Ok(Some(line)) => {
                    assert!(line.len() <= LIMITS.frame);
                    let _ = read_frame(line);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
