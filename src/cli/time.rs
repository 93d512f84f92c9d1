//! Dates for people.

/// Returns seconds since the epoch as a local date and time, to the second.
pub(super) fn local(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a date within the next million years")]
    let whole = seconds as i64;
    jiff::Timestamp::from_second(whole).map_or_else(
        |_| whole.to_string(),
        |timestamp| timestamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
