//! Times as tables write them: what a cell says, decided over the whole column.

use super::notation::{Field, Notation, Piece};
use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
use jiff::fmt::strtime;
use serde::{Deserialize, Serialize};

/// Which of the three numbers of a date comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// Year, month, day.
    Year,
    /// Month, day, year.
    Month,
    /// Day, month, year.
    Day,
}

/// All of them, the likeliest first.
pub(super) const ORDERS: [DateOrder; 3] = [DateOrder::Year, DateOrder::Day, DateOrder::Month];

/// What a cell of a column of time says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// A number: `mantissa` times 10 to the power of minus `decimals`.
    Number { mantissa: i128, decimals: u32 },
    /// A date and a time, `offset` seconds ahead of UTC if the cell says so.
    Civil { at: DateTime, offset: Option<i32> },
}

/// A cell that was read.
pub(super) struct Reading {
    pub moment: Moment,
    pub notation: Notation,
    /// Whether another order of the date's numbers could be meant.
    pub ordered: bool,
}

/// What a cell says, the numbers of its date in some order; none if it is in no notation that is known.
pub(super) fn instant(text: &str, order: DateOrder) -> Option<Reading> {
    let text = text.trim();
    if let Some(moment) = number(text) {
        return Some(Reading { moment, notation: Notation::default(), ordered: false });
    }
    let mut cell = Cell { tokens: tokens(text), at: 0, order, ordered: false, notation: Notation::default() };
    let date = cell.date();
    let date = match date {
        Some(date) => date,
        // A time of the day alone.
        None if text.contains(':') => {
            (cell.at, cell.notation) = (0, Notation::default());
            Date::constant(1970, 1, 1)
        }
        None => return None,
    };
    let (at, offset) = cell.time(date)?;
    (cell.at == cell.tokens.len()).then_some(Reading { moment: Moment::Civil { at, offset }, notation: cell.notation, ordered: cell.ordered })
}

/// What a cell says in a notation that is given, as strftime has it.
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
        // What a notation leaves out begins with its first: the first day, the first month.
        parts.month().is_none().then(|| parts.set_month(Some(1))).transpose().ok()?;
        parts.day().is_none().then(|| parts.set_day(Some(1))).transpose().ok()?;
    }
    let time = if parts.hour().is_none() { jiff::civil::Time::midnight() } else { parts.to_time().ok()? };
    Some(Moment::Civil { at: parts.to_date().ok()?.to_datetime(time), offset })
}

/// A whole or decimal number, however many digits it has.
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

/// Dates without anything between their numbers: how many digits, and what they are.
const COMPACT: [(usize, &str); 6] = [(6, "%Y%m"), (8, "%Y%m%d"), (10, "%Y%m%d%H"), (12, "%Y%m%d%H%M"), (14, "%Y%m%d%H%M%S"), (17, "%Y%m%d%H%M%S%3f")];

/// What digits without anything between them say as a date of the years 1900 to 2100, and how that is written; none if they are none.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Digits,
    Letters,
    Between,
}

/// Runs of digits, of letters, and of what stands between them.
fn tokens(text: &str) -> Vec<(Kind, &str)> {
    let kind = |c: char| {
        if c.is_ascii_digit() {
            Kind::Digits
        } else if c.is_alphabetic() {
            Kind::Letters
        } else {
            Kind::Between
        }
    };
    let mut tokens: Vec<(Kind, &str)> = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        match tokens.last_mut() {
            Some(last) if last.0 == kind(c) => last.1 = &text[start..next],
            _ => {
                start = at;
                tokens.push((kind(c), &text[at..next]));
            }
        }
    }
    tokens
}

const MONTHS: [&str; 12] = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The number, from 0, of a name of which at least the first three letters are there.
fn named(names: &[&str], text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let text = if text == "sept" { "sep" } else { &text };
    names.iter().position(|n| *n == text || text.len() == 3 && n.starts_with(text))
}

struct Cell<'a> {
    tokens: Vec<(Kind, &'a str)>,
    /// The token that comes next.
    at: usize,
    order: DateOrder,
    ordered: bool,
    notation: Notation,
}

impl<'a> Cell<'a> {
    fn peek(&self, ahead: usize) -> Option<(Kind, &'a str)> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// Digits so many tokens ahead, of some number of places.
    fn digits(&self, ahead: usize, places: std::ops::RangeInclusive<usize>) -> Option<&'a str> {
        self.peek(ahead).filter(|t| t.0 == Kind::Digits && places.contains(&t.1.len())).map(|t| t.1)
    }

    fn letters(&self, ahead: usize) -> Option<&'a str> {
        self.peek(ahead).filter(|t| t.0 == Kind::Letters).map(|t| t.1)
    }

    fn between(&self, ahead: usize) -> Option<&'a str> {
        self.peek(ahead).filter(|t| t.0 == Kind::Between).map(|t| t.1)
    }

    /// Takes a token as a field.
    fn take(&mut self, field: Field) -> Option<i32> {
        let (_, text) = self.peek(0)?;
        self.notation.0.push(Piece::Field { field, text: text.to_string() });
        self.at += 1;
        if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { Some(0) }
    }

    /// Takes what stands between fields as it is.
    fn skip(&mut self) {
        if let Some((_, text)) = self.peek(0) {
            self.notation.0.push(Piece::Text(text.to_string()));
            self.at += 1;
        }
    }

    fn skip_between(&mut self) {
        if self.between(0).is_some() {
            self.skip();
        }
    }

    fn year(&mut self) -> Option<i16> {
        let text = self.digits(0, 2..=4)?;
        let (field, year) = match text.len() {
            4 => (Field::Year, text.parse::<i16>().ok()?),
            // As POSIX has it: 69 to 99 are of the last century.
            2 => (Field::ShortYear, text.parse::<i16>().ok().map(|y| if y < 69 { 2000 + y } else { 1900 + y })?),
            _ => return None,
        };
        self.take(field)?;
        Some(year)
    }

    fn small(&mut self, field: Field) -> Option<i8> {
        self.digits(0, 1..=2)?;
        self.take(field).map(|n| n as i8)
    }

    fn date(&mut self) -> Option<Date> {
        if self.letters(0).is_some_and(|t| named(&DAYS, t).is_some()) {
            self.take(Field::Weekday)?;
            self.skip_between();
        }
        let is = |text: Option<&str>, letter: &str| text.is_some_and(|t| t.eq_ignore_ascii_case(letter));
        let gap = usize::from(self.between(1).is_some());
        // Quarters: 2019Q1, Q1 2019, 1Q2019.
        if self.digits(0, 4..=4).is_some() && is(self.letters(1 + gap), "q") && self.digits(2 + gap, 1..=1).is_some() {
            let year = self.year()?;
            self.skip_between();
            self.skip();
            let quarter = self.take(Field::Quarter)? as i8;
            return Date::new(year, 3 * quarter - 2, 1).ok();
        }
        if is(self.letters(0), "q") && self.digits(1, 1..=1).is_some() || self.digits(0, 1..=1).is_some() && is(self.letters(1), "q") {
            let first = is(self.letters(0), "q");
            if first {
                self.skip();
            }
            let quarter = self.take(Field::Quarter)? as i8;
            if !first {
                self.skip();
            }
            self.skip_between();
            return Date::new(self.year()?, 3 * quarter - 2, 1).ok();
        }
        // Weeks: 2019-W05, 2019W05-1; and Eurostat's months: 2019M01.
        if self.digits(0, 4..=4).is_some() && is(self.letters(1 + gap), "w") && self.digits(2 + gap, 1..=3).is_some() {
            return self.week();
        }
        if self.digits(0, 4..=4).is_some() && is(self.letters(1), "m") && self.digits(2, 1..=2).is_some() {
            let year = self.year()?;
            self.skip();
            return Date::new(year, self.small(Field::Month)?, 1).ok();
        }
        let month_at = (0..3).find(|i| self.letters(*i).is_some_and(|t| named(&MONTHS, t).is_some()));
        if let Some(ahead) = month_at.filter(|i| *i == 0 || self.digits(0, 1..=4).is_some()) {
            return self.with_month_name(ahead);
        }
        // 20190131T1200
        if let Some(digits) = self.digits(0, 8..=8) {
            let (year, rest) = digits.split_at(4);
            let (month, day) = rest.split_at(2);
            for (field, text) in [(Field::Year, year), (Field::Month, month), (Field::Day, day)] {
                self.notation.0.push(Piece::Field { field, text: text.to_string() });
            }
            self.at += 1;
            return Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok();
        }
        self.of_numbers()
    }

    fn week(&mut self) -> Option<Date> {
        let year: i16 = self.digits(0, 4..=4)?.parse().ok()?;
        self.take(Field::WeekYear)?;
        self.skip_between();
        self.skip();
        let week = self.small(Field::Week)?;
        let mut day = Weekday::Monday;
        if self.between(0) == Some("-") && self.digits(1, 1..=1).is_some() {
            self.skip();
            day = Weekday::from_monday_one_offset(self.take(Field::DayOfWeek)? as i8).ok()?;
        }
        ISOWeekDate::new(year, week, day).ok().map(|w| w.date())
    }

    /// A date with the name of its month: 1949-Feb, Feb 1, 1949, 1-Feb-1949.
    fn with_month_name(&mut self, ahead: usize) -> Option<Date> {
        let month = named(&MONTHS, self.letters(ahead)?)? as i8 + 1;
        // A number behind that a clock's colon follows is an hour.
        let hour = |cell: &Self, ahead: usize| {
            cell.between(ahead + 1).is_some_and(|t| t.starts_with(':')) && cell.between(ahead - 1).is_none_or(|t| t.trim().is_empty())
        };
        let (mut year, mut day) = (None, None);
        if ahead > 0 {
            if self.digits(0, 4..=4).is_some() {
                year = self.year()
            } else {
                day = self.small(Field::Day)
            }
            self.skip_between();
        }
        self.take(Field::MonthName)?;
        let gap = usize::from(self.between(0).is_some());
        if year.is_some() {
            if self.digits(gap, 1..=2).is_some() && !(gap > 0 && hour(self, gap)) {
                self.skip_between();
                day = self.small(Field::Day);
            }
        } else if day.is_none()
            && self.digits(gap, 1..=2).is_some()
            && self.digits(gap + 2, 4..=4).is_some()
            && self.between(gap + 1).is_some_and(|t| !t.contains(':'))
        {
            self.skip_between();
            day = self.small(Field::Day);
            self.skip_between();
            year = self.year();
        } else if self.digits(gap, 2..=4).is_some() {
            self.skip_between();
            year = self.year();
        }
        Date::new(year?, month, day.unwrap_or(1)).ok()
    }

    /// A date of two or three numbers.
    fn of_numbers(&mut self) -> Option<Date> {
        let (first, between) = (self.digits(0, 1..=4)?.len(), self.between(1)?);
        let separator = ["-", "/", ".", " ", ". "].contains(&between);
        let second = self.digits(2, 1..=4)?.len();
        let third = self.between(3).filter(|b| *b == between && separator).and_then(|_| self.digits(4, 1..=4)).map(str::len);
        let third = third.filter(|_| !(between == " " && self.between(5).is_some_and(|b| b.starts_with(':'))));
        match (first, second, third) {
            (4, 1..=2, Some(1..=2)) => {
                let year = self.year()?;
                self.skip();
                let month = self.small(Field::Month)?;
                self.skip();
                Date::new(year, month, self.small(Field::Day)?).ok()
            }
            (1..=2, 1..=2, Some(2 | 4)) => self.in_order(between, third == Some(4)),
            (4, 3, None) if separator => {
                let year = self.year()?;
                self.skip();
                let day = self.take(Field::DayOfYear)?;
                Date::new(year, 1, 1).ok()?.with().day_of_year(day as i16).build().ok()
            }
            (4, 1..=2, None) if separator || between == ":" => {
                let year = self.year()?;
                self.skip();
                Date::new(year, self.small(Field::Month)?, 1).ok()
            }
            (1..=2, 4, None) if separator => {
                let month = self.small(Field::Month)?;
                self.skip();
                Date::new(self.year()?, month, 1).ok()
            }
            _ => None,
        }
    }

    /// Three numbers of which the last, or none, has four digits. Between points the day comes first everywhere.
    fn in_order(&mut self, between: &str, whole: bool) -> Option<Date> {
        let possible: &[DateOrder] = match (between.starts_with('.'), whole) {
            (true, true) => &[DateOrder::Day],
            (true, false) => &[DateOrder::Day, DateOrder::Year],
            (false, true) => &[DateOrder::Day, DateOrder::Month],
            (false, false) => &ORDERS,
        };
        self.ordered = possible.len() > 1;
        let order = if self.ordered { self.order } else { possible[0] };
        if !possible.contains(&order) {
            return None;
        }
        let (year, month, day);
        match order {
            DateOrder::Year => {
                year = self.year()?;
                self.skip();
                month = self.small(Field::Month)?;
                self.skip();
                day = self.small(Field::Day)?;
            }
            DateOrder::Month => {
                month = self.small(Field::Month)?;
                self.skip();
                day = self.small(Field::Day)?;
                self.skip();
                year = self.year()?;
            }
            DateOrder::Day => {
                day = self.small(Field::Day)?;
                self.skip();
                month = self.small(Field::Month)?;
                self.skip();
                year = self.year()?;
            }
        }
        Date::new(year, month, day).ok()
    }

    /// The time behind a date, if there is one, and what it is ahead of UTC.
    fn time(&mut self, date: Date) -> Option<(DateTime, Option<i32>)> {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        if self.at == self.tokens.len() {
            return Some((midnight, None));
        }
        if self.at > 0 {
            let t = self.letters(0).is_some_and(|t| t.eq_ignore_ascii_case("t"));
            let apart = self.between(0).is_some_and(|b| [" ", "  ", ", ", ":", "-", "_"].contains(&b));
            if !(t || apart) {
                return None;
            }
            self.skip();
        }
        let (hour, minute, second, nano) = self.clock()?;
        let hour = self.half_of_day(hour)?;
        let offset = self.offset()?;
        // The end of a day may be written as its hour 24.
        let (hour, days) = if hour == 24 && (minute, second, nano) == (0, 0, 0) { (0, 1) } else { (hour, 0) };
        let at = date.to_datetime(jiff::civil::Time::new(hour, minute, second, nano).ok()?);
        Some((at.checked_add(jiff::Span::new().days(days)).ok()?, offset))
    }

    /// Hour, minute, second and billionths of it.
    fn clock(&mut self) -> Option<(i8, i8, i8, i32)> {
        if let Some(digits) = self.digits(0, 4..=4).or(self.digits(0, 6..=6)) {
            let mut parts = [0; 3];
            for (i, (part, field)) in parts.iter_mut().zip([Field::Hour, Field::Minute, Field::Second]).enumerate().take(digits.len() / 2) {
                let text = &digits[2 * i..2 * i + 2];
                *part = text.parse().ok()?;
                self.notation.0.push(Piece::Field { field, text: text.to_string() });
            }
            self.at += 1;
            return Some((parts[0], parts[1], parts[2], 0));
        }
        let (hour, mut minute, mut second, mut nano) = (self.small(Field::Hour)?, 0, 0, 0);
        let colon = |cell: &Self| cell.between(0).is_some_and(|b| b == ":" || b == ".") && cell.digits(1, 2..=2).is_some();
        if colon(self) {
            self.skip();
            minute = self.small(Field::Minute)?;
            if colon(self) {
                self.skip();
                second = self.small(Field::Second)?;
                if self.between(0).is_some_and(|b| b == "." || b == ",") && self.digits(1, 1..=9).is_some() {
                    self.skip();
                    let digits = self.digits(0, 1..=9)?.len() as u32;
                    nano = self.take(Field::Fraction)? * 10i32.pow(9 - digits);
                }
            }
        }
        Some((hour, minute, second, nano))
    }

    /// Behind an hour of 12, AM or PM.
    fn half_of_day(&mut self, hour: i8) -> Option<i8> {
        let gap = usize::from(self.between(0).is_some_and(|b| b == " " || b == "-"));
        let Some(half) = self.letters(gap).filter(|t| t.eq_ignore_ascii_case("am") || t.eq_ignore_ascii_case("pm")) else { return Some(hour) };
        if gap > 0 {
            self.skip();
        }
        self.take(Field::HalfOfDay)?;
        self.notation.in_halves();
        let pm = half.eq_ignore_ascii_case("pm");
        (1..=12).contains(&hour).then_some(hour % 12 + if pm { 12 } else { 0 })
    }

    /// What a time is ahead of UTC; none inside if nothing is said, or a name whose offset is not known.
    fn offset(&mut self) -> Option<Option<i32>> {
        let Some((kind, text)) = self.peek(0) else { return Some(None) };
        if kind == Kind::Between && text.trim().is_empty() && self.letters(1).is_some() {
            self.skip();
            return self.offset();
        }
        if kind == Kind::Letters {
            self.skip();
            return Some(["z", "utc", "gmt"].contains(&text.to_ascii_lowercase().as_str()).then_some(0));
        }
        let sign = match text.trim_start() {
            "+" => 1,
            "-" | "\u{2212}" => -1,
            _ => return None,
        };
        if text.len() > text.trim_start().len() {
            self.notation.0.push(Piece::Text(text[..text.len() - text.trim_start().len()].to_string()));
        }
        self.at += 1;
        let digits = self.digits(0, 1..=4)?;
        self.at += 1;
        let (field, hours, minutes) = match digits.len() {
            4 => (Field::OffsetTogether, &digits[..2], &digits[2..]),
            _ if self.between(0) == Some(":") => {
                let minutes = self.digits(1, 2..=2)?;
                self.at += 2;
                (Field::Offset, digits, minutes)
            }
            _ => (Field::OffsetHours, digits, "0"),
        };
        self.notation.0.push(Piece::Field { field, text: String::new() });
        let seconds = 3600 * hours.parse::<i32>().ok()? + 60 * minutes.parse::<i32>().ok()?;
        (seconds < 26 * 3600).then_some(Some(sign * seconds))
    }
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
