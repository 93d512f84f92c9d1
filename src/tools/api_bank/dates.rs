//! Dates and times as Python's `strptime` and `strftime` read and write them.
//!
//! The tools read three formats. Messages are those of Python 3.11, since an exception's text is part of a result.

use std::sync::LazyLock;

use regex::Regex;

use super::python::{strip, zero_filled};
use crate::tools::python::repr_str as quoted;

/// A format of the tools' parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `%Y-%m-%d %H:%M:%S`
    Time,
    /// `%Y-%m-%d`
    Date,
    /// `%m-%d`
    Day,
}

const MONTH_AND_DAY: &str = r"(?P<month>1[0-2]|0[1-9]|[1-9])-(?P<day>3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9])";
const CLOCK: &str =
    r"[\s\x1c-\x1f]+(?P<hour>2[0-3]|[01][0-9]|[0-9]):(?P<minute>[0-5][0-9]|[0-9]):(?P<second>6[01]|[0-5][0-9]|[0-9])";

static PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        format!("^(?P<year>[0-9]{{4}})-{MONTH_AND_DAY}{CLOCK}"),
        format!("^(?P<year>[0-9]{{4}})-{MONTH_AND_DAY}"),
        format!("^{MONTH_AND_DAY}"),
    ]
    .map(|pattern| Regex::new(&pattern).expect("the pattern is well formed"))
});

impl Format {
    fn pattern(self) -> &'static str {
        match self {
            Self::Time => "%Y-%m-%d %H:%M:%S",
            Self::Date => "%Y-%m-%d",
            Self::Day => "%m-%d",
        }
    }
}

/// A point in time, in no zone; ordered as time goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Moment {
    /// Reads a text.
    ///
    /// # Errors
    /// With Python's message where the text is of another format or no such day exists.
    pub fn parse(text: &str, format: Format) -> Result<Self, String> {
        let Some(found) = PATTERNS[format as usize].captures(text) else {
            return Err(format!("time data {} does not match format '{}'", quoted(text), format.pattern()));
        };
        let rest = &text[found.get(0).map_or(0, |whole| whole.end())..];
        if !rest.is_empty() {
            return Err(format!("unconverted data remains: {rest}"));
        }
        let part = |name: &str, otherwise: u32| {
            found.name(name).and_then(|part| part.as_str().trim().parse().ok()).unwrap_or(otherwise)
        };
        let moment = Self {
            year: part("year", 1900),
            month: part("month", 1),
            day: part("day", 1),
            hour: part("hour", 0),
            minute: part("minute", 0),
            second: part("second", 0),
        };
        if moment.year == 0 {
            return Err("year 0 is out of range".to_owned());
        }
        if moment.day > days(moment.year, moment.month) {
            return Err("day is out of range for month".to_owned());
        }
        if moment.second > 59 {
            return Err("second must be in 0..59".to_owned());
        }
        Ok(moment)
    }

    /// Writes the moment. Years have no leading zeros, as glibc's `%Y`.
    pub fn text(self, format: Format) -> String {
        let Self { year, month, day, hour, minute, second } = self;
        match format {
            Format::Time => format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            Format::Date => format!("{year}-{month:02}-{day:02}"),
            Format::Day => format!("{month:02}-{day:02}"),
        }
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads a text whose year may be short: blanks at the ends go, and where it has two dashes the year is padded to four
/// digits.
///
/// # Errors
/// Those of [`Moment::parse`].
pub(super) fn lenient(text: &str, format: Format) -> Result<Moment, String> {
    Moment::parse(&padded(text), format)
}

fn padded(text: &str) -> String {
    let text = strip(text);
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [year, rest @ ..] if rest.len() == 2 && year.chars().count() != 4 => {
            format!("{}-{}", zero_filled(year), rest.join("-"))
        }
        _ => text.to_owned(),
    }
}

/// Reads `[%Y-]%m-%d` and returns `%m-%d`.
///
/// # Errors
/// Those of [`Moment::parse`].
pub(super) fn day_of_year(text: &str) -> Result<String, String> {
    let text = padded(text);
    let moment = Moment::parse(&text, Format::Date).or_else(|_| Moment::parse(&text, Format::Day))?;
    Ok(moment.text(Format::Day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Result<String, String> {
        Moment::parse(text, Format::Time).map(|moment| moment.text(Format::Time))
    }

    #[test]
    fn times_are_read_as_python_reads_them() {
        assert_eq!(time("2023-3-1 7:05:9"), Ok("2023-03-01 07:05:09".to_owned()));
        assert_eq!(time("2023-03- 1 \t07:05:09"), Ok("2023-03-01 07:05:09".to_owned()));
        let refused =
            ["2023/03/01 07:00:00", "2023-03-01 07:00:00 ", "2023-02-29 07:00:00", "2023-03-01 07:00:61", "it's"];
        assert_eq!(
            refused.map(|text| time(text).unwrap_err()),
            [
                "time data '2023/03/01 07:00:00' does not match format '%Y-%m-%d %H:%M:%S'",
                "unconverted data remains:  ",
                "day is out of range for month",
                "second must be in 0..59",
                "time data \"it's\" does not match format '%Y-%m-%d %H:%M:%S'",
            ]
        );
        assert_eq!(Moment::parse("0000-01-01", Format::Date), Err("year 0 is out of range".to_owned()));
    }

    #[test]
    fn short_years_are_padded() {
        let date = |text| lenient(text, Format::Date).map(|moment| moment.text(Format::Date));
        assert_eq!(date(" 23-1-2 "), Ok("23-01-02".to_owned()));
        assert_eq!(date("2024-02-29"), Ok("2024-02-29".to_owned()));
        assert!(date("2-29").is_err());
        assert_eq!(day_of_year("2023-12-5"), Ok("12-05".to_owned()));
        assert_eq!(day_of_year("1-5"), Ok("01-05".to_owned()));
        assert_eq!(day_of_year("02-29"), Err("day is out of range for month".to_owned()));
    }
}
