//! How a table writes times, so that future times are written alike.

use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use std::collections::BTreeSet;

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Weekday,
    WeekYear,
    Week,
    DayOfWeek,
    Quarter,
    Hour,
    /// Hour of a 12-hour clock.
    HalfHour,
    HalfOfDay,
    Minute,
    Second,
    Fraction,
    /// +01:00, +0100, +01
    Offset,
    OffsetTogether,
    OffsetHours,
}

/// A piece of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Constant text.
    Text(String),
    /// A varying field, and its text.
    Field { field: Field, text: String },
}

/// The pieces of a cell; none for a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Notation(pub(super) Vec<Piece>);

/// Fields that a column doesn't pad to two digits.
pub(super) type Narrow = BTreeSet<Field>;

impl Notation {
    /// Turns the hour into one of a 12-hour clock.
    pub(super) fn in_halves(&mut self) {
        for piece in &mut self.0 {
            if let Piece::Field { field, .. } = piece
                && *field == Field::Hour
            {
                *field = Field::HalfHour;
            }
        }
    }

    /// Adds the fields that are not zero-padded.
    pub(super) fn note_narrow(&self, narrow: &mut Narrow) {
        for piece in &self.0 {
            if let Piece::Field { field, text } = piece
                && text.len() == 1
            {
                narrow.insert(*field);
            }
        }
    }

    /// The strftime format, given the unpadded fields of the column.
    pub(super) fn format(&self, narrow: &Narrow) -> String {
        let mut format = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => format.push_str(&text.replace('%', "%%")),
                Piece::Field { field, text } => format.push_str(&directive(*field, text, is_narrow(*field, narrow))),
            }
        }
        format
    }
}

/// Months and days are padded alike; a short column may show it for only one of them.
fn is_narrow(field: Field, narrow: &Narrow) -> bool {
    let either = [Field::Month, Field::Day];
    narrow.contains(&field) || either.contains(&field) && either.iter().any(|f| narrow.contains(f))
}

fn directive(field: Field, text: &str, narrow: bool) -> String {
    let upper = text.len() > 1 && !text.chars().any(char::is_lowercase);
    let name = |short: &str, long: &str| format!("%{}{}", if upper { "^" } else { "" }, if text.len() > 3 { long } else { short });
    let number = |letter: &str| format!("%{}{letter}", if narrow { "-" } else { "" });
    match field {
        Field::Year => "%Y".to_string(),
        Field::ShortYear => "%y".to_string(),
        Field::Month => number("m"),
        Field::MonthName => name("b", "B"),
        Field::Day => number("d"),
        Field::DayOfYear => "%j".to_string(),
        Field::Weekday => name("a", "A"),
        Field::WeekYear => "%G".to_string(),
        Field::Week => number("V"),
        Field::DayOfWeek => "%u".to_string(),
        Field::Quarter => "%q".to_string(),
        Field::Hour => number("H"),
        Field::HalfHour => number("I"),
        Field::HalfOfDay => if upper { "%p" } else { "%P" }.to_string(),
        Field::Minute => number("M"),
        Field::Second => number("S"),
        Field::Fraction => format!("%{}f", text.len()),
        Field::Offset => "%:z".to_string(),
        Field::OffsetTogether => "%z".to_string(),
        Field::OffsetHours => "%:::z".to_string(),
    }
}

/// Formats a time with a strftime format; `None` if that fails.
pub(super) fn written(format: &str, at: DateTime, offset: Option<i32>) -> Option<String> {
    let mut parts = BrokenDownTime::from(at);
    // Without an offset, assumes UTC for formats that need one.
    let ahead = jiff::tz::Offset::from_seconds(offset.unwrap_or(0)).ok()?;
    parts.set_offset(Some(ahead));
    if let Ok(timestamp) = ahead.to_timestamp(at) {
        parts.set_timestamp(Some(timestamp));
    }
    parts.to_string(format).ok()
}

/// Checks that times can be written and parsed in a strftime format.
///
/// # Errors
/// A message that says what is wrong with it.
pub(crate) fn check_format(format: &str) -> std::result::Result<(), String> {
    let at = DateTime::constant(2026, 1, 31, 13, 5, 9, 0);
    let text = written(format, at, Some(0)).ok_or_else(|| "it has a part that is not known".to_string())?;
    strtime::parse(format, &text).map_err(|e| e.to_string())?;
    if text == format { Err("it names no part of a time".to_string()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::date::DateOrder;
    use super::super::time::{Moment, instant};
    use super::*;

    #[test]
    fn cells_are_written_as_they_were_read() {
        for text in [
            "1949-Feb",
            "Feb 1949",
            "FEB-49",
            "1-Feb-2019",
            "February 1, 2019",
            "2019/10/1",
            "2019-01-05 07:05",
            "2017-07-01 01-PM",
            "2017-07-01 11:59:59 pm",
            "2017-07-01T11:59:59.250Z",
            "2015-10-25 02:00:00+02:00",
            "2015-10-25 02:00:00-0330",
            "20151025T020000",
            "2019Q3",
            "Q3 2019",
            "2019-W05",
            "2019M07",
            "7/2019",
            "2019-045",
            "31.12.2019 23:59",
            "03/04/19",
            "Fri, 01 Feb 2019",
        ] {
            let reading = instant(text, DateOrder::Day).unwrap();
            let mut narrow = Narrow::new();
            reading.notation.note_narrow(&mut narrow);
            let Moment::Civil { at, offset } = reading.moment else { panic!("{text}") };
            assert_eq!(written(&reading.notation.format(&narrow), at, offset).as_deref(), Some(text));
        }
        assert!(check_format("%d/%m/%Y").is_ok() && check_format("%s").is_ok());
        for format in ["day", "%d/%E", "%", "%Y Q%q"] {
            assert!(check_format(format).is_err(), "{format}");
        }
    }
}
