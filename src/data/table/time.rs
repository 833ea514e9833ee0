//! Parses single cells of a column of time.

use super::date::{self, DateOrder};
use super::notation::Notation;
use jiff::civil::{DateTime, Weekday};
use jiff::fmt::strtime;

/// The time in a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// A number: `mantissa` times 10 to the power of minus `decimals`.
    Number { mantissa: i128, decimals: u32 },
    /// A date and time, `offset` seconds ahead of UTC if given.
    Civil { at: DateTime, offset: Option<i32> },
}

/// A parsed cell.
pub(super) struct Reading {
    pub moment: Moment,
    pub notation: Notation,
    /// Whether the order of the date's numbers is ambiguous.
    pub ordered: bool,
}

/// Parses a cell, with the numbers of its date in `order`; `None` if its notation is unknown.
pub(super) fn instant(text: &str, order: DateOrder) -> Option<Reading> {
    let text = text.trim();
    if let Some(moment) = number(text) {
        return Some(Reading { moment, notation: Notation::default(), ordered: false });
    }
    let found = date::read(text, order)?;
    Some(Reading { moment: Moment::Civil { at: found.at, offset: found.offset }, notation: found.notation, ordered: found.ordered })
}

/// Parses a cell with a strftime format.
pub(super) fn as_given(text: &str, format: &str) -> Option<Moment> {
    let mut parts = strtime::parse(format, text.trim()).ok()?;
    let offset = parts.offset().map(|o| o.seconds());
    if let Some(timestamp) = parts.timestamp() {
        return Some(Moment::Civil { at: jiff::tz::Offset::UTC.to_datetime(timestamp), offset: Some(0) });
    }
    let dated = parts.day_of_year().is_some() || parts.iso_week().is_some() || parts.sunday_based_week().is_some() || parts.monday_based_week().is_some();
    if parts.year().is_none() && parts.iso_week_year().is_none() {
        parts.set_year(Some(1970)).ok()?;
    }
    if dated && parts.day_of_year().is_none() && parts.weekday().is_none() {
        parts.set_weekday(Some(Weekday::Monday));
    }
    if !dated {
        // Missing parts default to the first month and day.
        parts.month().is_none().then(|| parts.set_month(Some(1))).transpose().ok()?;
        parts.day().is_none().then(|| parts.set_day(Some(1))).transpose().ok()?;
    }
    let time = if parts.hour().is_none() { jiff::civil::Time::midnight() } else { parts.to_time().ok()? };
    Some(Moment::Civil { at: parts.to_date().ok()?.to_datetime(time), offset })
}

/// Parses a whole or decimal number with any number of digits.
fn number(text: &str) -> Option<Moment> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match digits.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let mut decimals = fraction.len() as i32 - exponent;
    if decimals < 0 {
        (mantissa, decimals) = (mantissa.checked_mul(10i128.checked_pow(decimals.unsigned_abs())?)?, 0);
    }
    Some(Moment::Number { mantissa: if negative { -mantissa } else { mantissa }, decimals: decimals as u32 })
}

/// Dates without separators: number of digits, and format.
const COMPACT: [(usize, &str); 6] = [(6, "%Y%m"), (8, "%Y%m%d"), (10, "%Y%m%d%H"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S"), (17, "%Y%m%d%H%M%S%3f")];

/// Parses a date of the years 1900 to 2100 without separators; also returns its format. `None` if it is not such a date.
pub(super) fn compact(text: &str) -> Option<(Moment, &'static str)> {
    let text = text.trim();
    let (_, format) = COMPACT.iter().find(|c| c.0 == text.len()).filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    let field = |from: usize, to: usize| text.get(from..to).map_or(Some(0), |t| t.parse::<i32>().ok());
    let (year, month) = (field(0, 4)?, field(4, 6)?);
    let day = if text.len() < 8 { 1 } else { field(6, 8)? };
    let at = DateTime::new(year as i16, month as i8, day as i8, field(8, 10)? as i8, field(10, 12)? as i8, field(12, 14)? as i8, field(14, 17)? * 1_000_000);
    let at = at.ok().filter(|_| (1900..=2100).contains(&year))?;
    Some((Moment::Civil { at, offset: None }, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, order: DateOrder) -> Option<String> {
        let reading = instant(text, order)?;
        match reading.moment {
            Moment::Civil { at, offset } => Some(format!("{at}{}", offset.map_or(String::new(), |o| format!("{o:+}")))),
            Moment::Number { mantissa, decimals } => Some(format!("{mantissa}/{decimals}")),
        }
    }

    #[test]
    fn notations_that_are_known() {
        for (text, time) in [
            ("1949-Feb", "1949-02-01T00:00:00"),
            ("Feb 1949", "1949-02-01T00:00:00"),
            ("Feb-49", "2049-02-01T00:00:00"),
            ("Feb-71", "1971-02-01T00:00:00"),
            ("1-Feb-2019", "2019-02-01T00:00:00"),
            ("01feb2019", "2019-02-01T00:00:00"),
            ("February 1, 2019", "2019-02-01T00:00:00"),
            ("Fri, 1 Feb 2019 12:30:00 +0100", "2019-02-01T12:30:00+3600"),
            ("Sept 2019", "2019-09-01T00:00:00"),
            ("1949-Feb 12:30", "1949-02-01T12:30:00"),
            ("2019/10/1", "2019-10-01T00:00:00"),
            ("2019-1-5 7:05", "2019-01-05T07:05:00"),
            ("2017-07-01 01-PM", "2017-07-01T13:00:00"),
            ("2017-07-01 12-AM", "2017-07-01T00:00:00"),
            ("2017-07-01 11:59:59 pm", "2017-07-01T23:59:59"),
            ("2017-07-01T11:59:59.25Z", "2017-07-01T11:59:59.25+0"),
            ("2015-10-25 02:00:00+02:00", "2015-10-25T02:00:00+7200"),
            ("2015-10-25 02:00:00-0330", "2015-10-25T02:00:00-12600"),
            ("2015-10-25 02:00:00 UTC", "2015-10-25T02:00:00+0"),
            ("2015-10-25 02:00 CEST", "2015-10-25T02:00:00"),
            ("20151025T020000", "2015-10-25T02:00:00"),
            ("20151025 02:00", "2015-10-25T02:00:00"),
            ("2015-10-25 24:00", "2015-10-26T00:00:00"),
            ("25/Oct/2015:02:00:00 +0100", "2015-10-25T02:00:00+3600"),
            ("2019Q3", "2019-07-01T00:00:00"),
            ("2019-Q3", "2019-07-01T00:00:00"),
            ("Q3 2019", "2019-07-01T00:00:00"),
            ("3Q2019", "2019-07-01T00:00:00"),
            ("2019-W05", "2019-01-28T00:00:00"),
            ("2019W05-7", "2019-02-03T00:00:00"),
            ("2019M07", "2019-07-01T00:00:00"),
            ("2019-07", "2019-07-01T00:00:00"),
            ("7/2019", "2019-07-01T00:00:00"),
            ("2019-045", "2019-02-14T00:00:00"),
            ("12:30", "1970-01-01T12:30:00"),
            ("31.12.2019 23:59", "2019-12-31T23:59:00"),
            ("5", "5/0"),
            ("-1.50", "-15/1"),
            ("1.5e3", "1500/0"),
            ("20240102093000001", "20240102093000001/0"),
        ] {
            assert_eq!(said(text, DateOrder::Day).as_deref(), Some(time), "{text}");
        }
        for text in
            ["", "week 5", "2019-13-01", "2019-02-30", "31/31/2019", "2019-Q5", "2019-W54", "13-PM", "2019-01-01 25:00", "2019-01-01x", "12-Feb", "1.2.3.4"]
        {
            assert_eq!(said(text, DateOrder::Day), None, "{text}");
        }
    }

    #[test]
    fn the_order_of_the_numbers_of_a_date() {
        for (text, day, month, year) in [
            ("03/04/2019", Some("2019-04-03"), Some("2019-03-04"), None),
            ("13/04/2019", Some("2019-04-13"), None, None),
            ("03-04-05", Some("2005-04-03"), Some("2005-03-04"), Some("2003-04-05")),
            ("3.4.2019", Some("2019-04-03"), Some("2019-04-03"), Some("2019-04-03")),
            ("2019-04-03", Some("2019-04-03"), Some("2019-04-03"), Some("2019-04-03")),
        ] {
            for (order, expected) in [(DateOrder::Day, day), (DateOrder::Month, month), (DateOrder::Year, year)] {
                assert_eq!(said(text, order).as_deref().map(|t| &t[..10]), expected, "{text} {order:?}");
            }
        }
    }

    #[test]
    fn notations_that_are_given() {
        for (text, format, time) in [
            ("07.2019", "%m.%Y", Some("2019-07-01T00:00:00")),
            ("2019-05 Fri", "%G-%V %a", Some("2019-02-01T00:00:00")),
            ("1h 5m", "%Hh %Mm", Some("1970-01-01T01:05:00")),
            ("2019 045", "%Y %j", Some("2019-02-14T00:00:00")),
            ("1549000000", "%s", Some("2019-02-01T05:46:40")),
            ("2019-07-01", "%d/%m/%Y", None),
        ] {
            let found = as_given(text, format).map(|m| match m {
                Moment::Civil { at, .. } => at.to_string(),
                m => format!("{m:?}"),
            });
            assert_eq!(found.as_deref(), time, "{text} {format}");
        }
        assert!(compact("20190230").is_none() && compact("30190201").is_none() && compact("20190228").is_some() && compact("1609459200").is_none());
    }
}
