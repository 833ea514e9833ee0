//! The time steps of a series, and the times of future rows.

use super::notation::written;
use super::time::Moment;
use jiff::civil::{DateTime, Weekday};
use jiff::{SignedDuration, Span};

const HOUR: i128 = 3_600_000_000_000;
const DAY: i128 = 24 * HOUR;

/// The step from one row to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// In units of the last digit of the column's numbers.
    Number(i128),
    /// In nanoseconds.
    Elapsed(i128),
    /// Whole months, on the same day of each, or on the last.
    Months { count: i32, last: bool },
    /// Monday to Friday, skipping weekends.
    Weekdays,
}

/// Continues the times of a series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clock {
    step: Step,
    last: Moment,
    /// For dates: their notation.
    format: String,
    /// For numbers: digits after the point, and the minimum number of digits before it.
    decimals: u32,
    width: usize,
    /// Names of months are in lower case.
    small: bool,
}

impl Clock {
    /// The clock of a series with these times, in order; `None` if their steps are uneven, or its last cell is not written in the notation `format`.
    pub(super) fn of(moments: &[Moment], last_cell: &str, format: &str) -> Option<Self> {
        let last = *moments.last()?;
        let decimals = last_cell.split_once('.').map_or(0, |c| c.1.trim().len() as u32);
        let digits = last_cell.trim().split('.').next().unwrap_or_default();
        let small = last_cell.chars().any(char::is_alphabetic) && !last_cell.chars().any(char::is_uppercase);
        let width = if digits.starts_with('0') { digits.len() } else { 0 };
        let step = match last {
            Moment::Number { .. } => Step::Number(even(&numbers(moments, decimals)?)?),
            Moment::Civil { .. } => of_dates(moments)?,
        };
        let clock = Clock { step, last, format: format.to_string(), decimals, width, small };
        (clock.after(0).as_deref() == Some(last_cell)).then_some(clock)
    }

    /// The time `rows` rows after the last.
    pub(super) fn after(&self, rows: i64) -> Option<String> {
        let text = match (self.step, self.last) {
            (Step::Number(step), Moment::Number { .. }) => {
                return self.number(numbers(&[self.last], self.decimals)?[0].checked_add(step.checked_mul(rows.into())?)?);
            }
            (step, Moment::Civil { at, offset }) => written(&self.format, moved(at, step, rows)?, offset)?,
            _ => return None,
        };
        Some(if self.small { text.to_lowercase() } else { text })
    }

    fn number(&self, n: i128) -> Option<String> {
        let unit = 10u128.checked_pow(self.decimals)?;
        let (whole, rest) = (n.unsigned_abs() / unit, n.unsigned_abs() % unit);
        let fraction = if self.decimals > 0 { format!(".{rest:0width$}", width = self.decimals as usize) } else { String::new() };
        Some(format!("{}{whole:0width$}{fraction}", if n < 0 { "-" } else { "" }, width = self.width))
    }
}

/// Numbers as multiples of 10^-decimals.
fn numbers(moments: &[Moment], decimals: u32) -> Option<Vec<i128>> {
    let one = |m: &Moment| match m {
        Moment::Number { mantissa, decimals: own } => mantissa.checked_mul(10i128.checked_pow(decimals.checked_sub(*own)?)?),
        Moment::Civil { .. } => None,
    };
    moments.iter().map(one).collect()
}

/// The difference between successive numbers, if it is constant.
fn even(numbers: &[i128]) -> Option<i128> {
    let mut steps = numbers.windows(2).map(|w| w[1] - w[0]);
    let first = steps.next()?;
    steps.all(|s| s == first).then_some(first)
}

fn of_dates(moments: &[Moment]) -> Option<Step> {
    let dates: Vec<DateTime> = moments.iter().filter_map(|m| if let Moment::Civil { at, .. } = m { Some(*at) } else { None }).collect();
    if dates.len() < 2 {
        return None;
    }
    let months: Vec<i128> = dates.iter().map(|d| i128::from(d.year()) * 12 + i128::from(d.month())).collect();
    let same_time = dates.iter().all(|d| d.time() == dates[0].time());
    if let Some(count) = even(&months).filter(|n| *n > 0 && same_time) {
        let last = dates.iter().all(|d| d.day() == d.days_in_month());
        if last || dates.iter().all(|d| d.day() == dates[0].day()) {
            return Some(Step::Months { count: count as i32, last });
        }
    }
    let instants: Vec<i128> = moments.iter().filter_map(nanoseconds).collect();
    let local: Vec<i128> = dates.iter().map(|d| d.duration_since(DateTime::default()).as_nanos()).collect();
    if let Some(step) = even(&instants).or_else(|| even(&local)) {
        return Some(Step::Elapsed(step));
    }
    let weekend = |d: &DateTime| matches!(d.weekday(), Weekday::Saturday | Weekday::Sunday);
    let to_next = |w: &[i128], from: &DateTime| w[1] - w[0] == if from.weekday() == Weekday::Friday { 3 * DAY } else { DAY };
    if same_time && !dates.iter().any(weekend) && local.windows(2).zip(&dates).all(|(w, d)| to_next(w, d)) {
        return Some(Step::Weekdays);
    }
    summer_time(&local).map(Step::Elapsed)
}

/// The step of local times that is constant except for an hour skipped each spring and repeated each autumn.
fn summer_time(local: &[i128]) -> Option<i128> {
    let mut steps: Vec<i128> = local.windows(2).map(|w| w[1] - w[0]).collect();
    let odd = |steps: &[i128], step: i128| steps.iter().filter(|s| **s != step).count();
    let step = *steps.select_nth_unstable(local.len().saturating_sub(1) / 2).1;
    let shifted = steps.iter().all(|s| *s == step || *s == step + HOUR || *s == step - HOUR);
    let years = (local.last()? - local.first()?) / (365 * DAY);
    (shifted && step > 0 && step <= HOUR && odd(&steps, step) as i128 <= 2 * (years + 1)).then_some(step)
}

/// Nanoseconds since a fixed instant; UTC if the cell has an offset.
pub(super) fn nanoseconds(moment: &Moment) -> Option<i128> {
    match moment {
        Moment::Civil { at, offset } => Some(at.duration_since(DateTime::default()).as_nanos() - i128::from(offset.unwrap_or(0)) * 1_000_000_000),
        Moment::Number { .. } => None,
    }
}

fn moved(at: DateTime, step: Step, rows: i64) -> Option<DateTime> {
    match step {
        Step::Elapsed(nanos) => {
            let all = nanos.checked_mul(rows.into())?;
            let duration = SignedDuration::new(i64::try_from(all.div_euclid(1_000_000_000)).ok()?, all.rem_euclid(1_000_000_000) as i32);
            at.checked_add(duration).ok()
        }
        Step::Months { count, last } => {
            let at = at.checked_add(Span::new().try_months(i64::from(count).checked_mul(rows)?).ok()?).ok()?;
            Some(if last { at.last_of_month() } else { at })
        }
        Step::Weekdays => {
            let from = i64::from(at.weekday().to_monday_zero_offset());
            let days = (from + rows).div_euclid(5) * 7 + (from + rows).rem_euclid(5) - from;
            at.checked_add(Span::new().try_days(days).ok()?).ok()
        }
        Step::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::date::DateOrder;
    use super::super::notation::Narrow;
    use super::super::time::instant;
    use super::*;

    fn coming(cells: &[&str]) -> Option<Vec<String>> {
        let readings: Vec<_> = cells.iter().map(|c| instant(c, DateOrder::Day).unwrap()).collect();
        let mut narrow = Narrow::new();
        readings.iter().for_each(|r| r.notation.note_narrow(&mut narrow));
        let format = readings.last().unwrap().notation.format(&narrow);
        let moments: Vec<Moment> = readings.iter().map(|r| r.moment).collect();
        let clock = Clock::of(&moments, cells.last().unwrap(), &format)?;
        (1..=2).map(|n| clock.after(n)).collect()
    }

    #[test]
    fn times_go_on_as_they_came() {
        for (cells, next) in [
            (&["1", "2", "3"][..], ["4", "5"]),
            (&["7", "5"], ["3", "1"]),
            (&["098", "099"], ["100", "101"]),
            (&["0.0", "0.5"], ["1.0", "1.5"]),
            (&["20240102093000001", "20240102093000002"], ["20240102093000003", "20240102093000004"]),
            (&["2019-12-30", "2019-12-31"], ["2020-01-01", "2020-01-02"]),
            (&["2019-12-17", "2019-12-24"], ["2019-12-31", "2020-01-07"]),
            (&["2019/9/29", "2019/9/30"], ["2019/10/1", "2019/10/2"]),
            (&["2020-01-31", "2020-02-29", "2020-03-31"], ["2020-04-30", "2020-05-31"]),
            (&["1949-Nov", "1949-Dec"], ["1950-Jan", "1950-Feb"]),
            (&["2019Q2", "2019Q3"], ["2019Q4", "2020Q1"]),
            (&["2019-W51", "2019-W52"], ["2020-W01", "2020-W02"]),
            (&["1.1.2018", "1.1.2019"], ["1.1.2020", "1.1.2021"]),
            (&["2019-08-01", "2019-08-02", "2019-08-05"], ["2019-08-06", "2019-08-07"]),
            (&["2017-07-01 11-AM", "2017-07-01 12-PM"], ["2017-07-01 01-PM", "2017-07-01 02-PM"]),
            (&["2015-10-25 02:00:00+02:00", "2015-10-25 02:00:00+01:00"], ["2015-10-25 03:00:00+01:00", "2015-10-25 04:00:00+01:00"]),
            (&["2015-10-25 01:00", "2015-10-25 02:00", "2015-10-25 02:00", "2015-10-25 03:00"], ["2015-10-25 04:00", "2015-10-25 05:00"]),
            (&["30nov2019", "31dec2019"], ["31jan2020", "29feb2020"]),
        ] {
            assert_eq!(coming(cells), Some(next.map(String::from).to_vec()), "{cells:?}");
        }
        for cells in [&["1", "2", "4"][..], &["2019-01-01"], &["2019-01-01", "2019-01-02", "2019-01-05"], &["2019-01-01 12:00", "2019-01-01 24:00"]] {
            assert_eq!(coming(cells), None, "{cells:?}");
        }
    }
}
