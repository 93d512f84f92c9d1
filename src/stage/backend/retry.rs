//! How long to wait before an attempt is made again.

use std::time::Duration;

/// The waits before the second attempt, the third, …; the last repeats.
const SCHEDULE: [Duration; 7] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
];
/// The longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// Returns the wait after the failed attempt `attempt`, counted from 0: what the server asked for, up to a minute, or a
/// half to the whole of the schedule's, as `jitter` in 0 … 1 has it, so that many clients do not come back at once.
pub(super) fn wait(attempt: u32, jitter: f64, asked: Option<Duration>) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST_ASKED);
    }
    let whole = SCHEDULE[usize::try_from(attempt).unwrap_or(usize::MAX).min(SCHEDULE.len() - 1)];
    whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

/// Whether a server that answers so may answer otherwise when asked again.
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// Reads a `Retry-After` header: seconds. A date is no number, and the schedule holds.
pub(super) fn asked(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether a request that came to no answer is worth making again.
pub(super) fn is_passing(error: &ureq::Error) -> bool {
    !matches!(
        error,
        ureq::Error::Http(_)
            | ureq::Error::BadUri(_)
            | ureq::Error::InvalidProxyUrl
            | ureq::Error::RequireHttpsOnly(_)
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::TlsRequired
            | ureq::Error::BodyExceedsLimit(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let waits: Vec<u128> = (0..9).map(|attempt| wait(attempt, 1.0, None).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(wait(1, 0.0, None).as_millis(), 500);
        assert_eq!(wait(u32::MAX, 0.5, None).as_millis(), 22_500);
    }

    #[test]
    fn servers_are_heeded_for_a_minute() {
        assert_eq!(wait(6, 1.0, asked(Some("0"))), Duration::ZERO);
        assert_eq!(wait(0, 0.0, asked(Some(" 7 "))).as_secs(), 7);
        assert_eq!(wait(0, 0.0, asked(Some("86400"))).as_secs(), 60);
        assert_eq!(asked(Some("Sun, 06 Nov 1994 08:49:37 GMT")), None);
        assert_eq!(asked(None), None);
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let again: Vec<u16> = (100..600).filter(|status| may_pass(*status)).collect();
        let expected: Vec<u16> = [408, 429].into_iter().chain(500..600).collect();
        assert_eq!(again, expected);
    }
}
