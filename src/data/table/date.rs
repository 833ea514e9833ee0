//! Parses dates and times by the runs of digits, letters and other characters in a cell.

use super::notation::{Field, Notation, Piece};
use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
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

/// All orders, the likeliest first.
pub(super) const ORDERS: [DateOrder; 3] = [DateOrder::Year, DateOrder::Day, DateOrder::Month];

/// A parsed cell: its time, its notation, and whether the order of the date's numbers is ambiguous.
pub(super) struct Found {
    pub at: DateTime,
    /// Seconds ahead of UTC, if given.
    pub offset: Option<i32>,
    pub notation: Notation,
    pub ordered: bool,
}

/// Parses a cell; `None` if its notation is unknown.
pub(super) fn read(text: &str, order: DateOrder) -> Option<Found> {
    let mut cell = Cell { tokens: tokens(text), at: 0, order, ordered: false, notation: Notation::default() };
    let date = match cell.date() {
        Some(date) => date,
        // A time of day alone.
        None if text.contains(':') => {
            (cell.at, cell.notation) = (0, Notation::default());
            Date::constant(1970, 1, 1)
        }
        None => return None,
    };
    let (at, offset) = cell.time(date)?;
    (cell.at == cell.tokens.len()).then_some(Found { at, offset, notation: cell.notation, ordered: cell.ordered })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Digits,
    Letters,
    Between,
}

/// Splits into runs of digits, letters and other characters.
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

/// The index of a name, given in full or by its first three letters.
fn named(names: &[&str], text: &str) -> Option<usize> {
    let text = text.to_ascii_lowercase();
    let text = if text == "sept" { "sep" } else { &text };
    names.iter().position(|n| *n == text || text.len() == 3 && n.starts_with(text))
}

struct Cell<'a> {
    tokens: Vec<(Kind, &'a str)>,
    /// Index of the next token.
    at: usize,
    order: DateOrder,
    ordered: bool,
    notation: Notation,
}

impl<'a> Cell<'a> {
    fn peek(&self, ahead: usize) -> Option<(Kind, &'a str)> {
        self.tokens.get(self.at + ahead).copied()
    }

    /// The digits `ahead` tokens further on, if their number is in `places`.
    fn digits(&self, ahead: usize, places: std::ops::RangeInclusive<usize>) -> Option<&'a str> {
        self.peek(ahead).filter(|t| t.0 == Kind::Digits && places.contains(&t.1.len())).map(|t| t.1)
    }

    fn letters(&self, ahead: usize) -> Option<&'a str> {
        self.peek(ahead).filter(|t| t.0 == Kind::Letters).map(|t| t.1)
    }

    fn between(&self, ahead: usize) -> Option<&'a str> {
        self.peek(ahead).filter(|t| t.0 == Kind::Between).map(|t| t.1)
    }

    /// Consumes a token as a field.
    fn take(&mut self, field: Field) -> Option<i32> {
        let (_, text) = self.peek(0)?;
        self.notation.0.push(Piece::Field { field, text: text.to_string() });
        self.at += 1;
        if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { Some(0) }
    }

    /// Consumes a token as literal text.
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
            // As in POSIX: 69 to 99 are in the last century.
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
        // A number after it, followed by a colon, is an hour.
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

    /// Three numbers, the last of which may have four digits. With points, the day comes first everywhere.
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

    /// The time after a date, if any, and its offset from UTC.
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
        // The end of a day may be written as hour 24.
        let (hour, days) = if hour == 24 && (minute, second, nano) == (0, 0, 0) { (0, 1) } else { (hour, 0) };
        let at = date.to_datetime(jiff::civil::Time::new(hour, minute, second, nano).ok()?);
        Some((at.checked_add(jiff::Span::new().days(days)).ok()?, offset))
    }

    /// Hour, minute, second and nanoseconds.
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

    /// Applies AM or PM, if any, to a 12-hour clock hour.
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

    /// The offset from UTC in seconds; the inner `None` if there is none, or a zone name with unknown offset.
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
