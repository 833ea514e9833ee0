//! The column of time: its notation and direction, detected over the whole column.

use super::Group;
use super::clock::{Clock, nanoseconds};
use super::date::DateOrder;
use super::date::ORDERS;
use super::notation::Narrow;
use super::time::{Moment, as_given, compact, instant};
use crate::error::{Error, Result, quoted};
use jiff::civil::Weekday;

const HOUR: i128 = 3_600_000_000_000;

/// The cells of a column of time; the rows of a series are contiguous.
pub(super) struct Column<'a> {
    pub file: &'a str,
    pub name: &'a str,
    pub cells: &'a [String],
    pub lines: &'a [u64],
    pub groups: &'a [Group],
    /// A strftime format, if given.
    pub format: Option<&'a str>,
    /// The order of dates to use if nothing in the column tells.
    pub order: Option<DateOrder>,
    /// Whether a model determines the columns.
    pub by_model: bool,
}

/// The result of reading the column.
pub(super) struct Timeline {
    /// For each series, whether its newest row comes first.
    pub newest_first: Vec<bool>,
    /// For each series, the clock that continues it; `None` if its steps are uneven.
    pub clocks: Vec<Option<Clock>>,
    /// The order of dates, if it had to be detected.
    pub order: Option<DateOrder>,
}

/// The cells, parsed in one order of dates.
struct Read {
    moments: Vec<Moment>,
    keys: Vec<i128>,
    /// For each series, the strftime format of its newest row.
    formats: Vec<String>,
    ordered: bool,
}

impl Column<'_> {
    /// Reads the column.
    ///
    /// # Errors
    /// [`Error::Input`] with the line, for a cell whose notation is unknown or ambiguous, and for rows out of chronological order.
    pub(super) fn read(&self) -> Result<Timeline> {
        if let Some(row) = self.cells.iter().position(|c| super::cell::missing(c)) {
            return self.wrong(row, "the cell is empty: the row has no time; fill it in, or remove the row".to_string());
        }
        let (read, order) = self.ordered()?;
        let newest_first: Vec<bool> = self.groups.iter().map(|g| newest_first(&read.keys[g.rows.clone()])).collect();
        for (group, turned) in self.groups.iter().zip(&newest_first) {
            let rows = in_time(group, *turned);
            if let Some(at) = self.first_fault(&read, &rows) {
                return self.out_of_order(&read, rows[at - 1], rows[at]);
            }
        }
        let clock = |((group, turned), format): ((&Group, &bool), &String)| {
            let rows = in_time(group, *turned);
            let moments: Vec<Moment> = rows.iter().map(|r| read.moments[*r]).collect();
            Clock::of(&moments, &self.cells[*rows.last()?], format)
        };
        let clocks = self.groups.iter().zip(&newest_first).zip(&read.formats).map(clock).collect();
        Ok(Timeline { newest_first, clocks, order })
    }

    fn wrong<T>(&self, row: usize, what: String) -> Result<T> {
        Err(Error::Input(format!("{} line {}, column {}: {what}", self.file, self.lines[row], quoted(self.name))))
    }

    /// Parses the cells in the only order of dates that the cells, or else their sequence, allow.
    fn ordered(&self) -> Result<(Read, Option<DateOrder>)> {
        if let Some(format) = self.format {
            return Ok((self.given(format)?, None));
        }
        let first = match self.with(self.order.unwrap_or(DateOrder::Day)) {
            Ok(read) if !read.ordered => return Ok((read, None)),
            other => other,
        };
        let others = ORDERS.into_iter().map(|order| (order, self.with(order)));
        let (mut possible, mut failed) = (Vec::new(), Vec::new());
        for (order, read) in others {
            match read {
                Ok(read) => possible.push((order, read)),
                Err(row) => failed.push(row),
            }
        }
        if possible.is_empty() {
            // The reading that got farthest is the intended one.
            let row = failed.into_iter().max().or(first.err()).unwrap_or(0);
            return self.wrong(
                row,
                format!("{} is in no notation of time that is known, or not in that of the rows before; mend it, or say how times are written by `time_format`, such as '%d/%m/%Y %H:%M'", quoted(&self.cells[row])),
            );
        }
        if possible.iter().all(|p| p.1.keys == possible[0].1.keys) {
            return Ok(possible.swap_remove(0)).map(|(order, read)| (read, Some(order)));
        }
        let fits: Vec<usize> = (0..possible.len()).filter(|i| self.is_in_order(&possible[*i].1)).collect();
        let preferred = self.order.and_then(|order| possible.iter().position(|p| p.0 == order));
        let chosen = match (&fits[..], preferred) {
            ([one], None) => *one,
            (_, Some(i)) => i,
            ([], None) => 0,
            _ => return self.ambiguous(&possible, &fits),
        };
        let (order, read) = possible.swap_remove(chosen);
        Ok((read, Some(order)))
    }

    fn ambiguous<T>(&self, possible: &[(DateOrder, Read)], fits: &[usize]) -> Result<T> {
        let row = (0..self.cells.len()).find(|r| fits.iter().any(|i| possible[*i].1.keys[*r] != possible[fits[0]].1.keys[*r])).unwrap_or(0);
        let ways: Vec<&str> = fits.iter().filter_map(|i| possible[*i].1.formats.first().map(String::as_str)).collect();
        self.wrong(
            row,
            format!(
                "{} can be read in {} ways, and the rows are in the order of time in each; say which by `time_format` '{}'",
                quoted(&self.cells[row]),
                ways.len(),
                ways.join("' or '")
            ),
        )
    }

    fn given(&self, format: &str) -> Result<Read> {
        let mut moments = Vec::with_capacity(self.cells.len());
        for (row, cell) in self.cells.iter().enumerate() {
            match as_given(cell, format) {
                Some(moment) => moments.push(moment),
                None => return self.wrong(row, format!("{} is not written as `time_format` '{format}' says; mend the cell or the flag", quoted(cell))),
            }
        }
        let keys = moments.iter().map(|m| nanoseconds(m).unwrap_or(0)).collect();
        Ok(Read { moments, keys, formats: vec![format.to_string(); self.groups.len()], ordered: false })
    }

    /// Parses the cells, or returns the first row that can't be parsed.
    fn with(&self, order: DateOrder) -> std::result::Result<Read, usize> {
        let (mut moments, mut ordered, mut narrow) = (Vec::with_capacity(self.cells.len()), false, Narrow::new());
        let ends: Vec<usize> = self.groups.iter().flat_map(|g| [g.rows.start, g.rows.end.saturating_sub(1)]).collect();
        let mut notations = std::collections::BTreeMap::new();
        for (row, cell) in self.cells.iter().enumerate() {
            let reading = instant(cell, order).ok_or(row)?;
            let number = |m: &Moment| matches!(m, Moment::Number { .. });
            if moments.first().is_some_and(|first| number(first) != number(&reading.moment)) {
                return Err(row);
            }
            ordered |= reading.ordered;
            reading.notation.note_narrow(&mut narrow);
            if ends.binary_search(&row).is_ok() {
                notations.insert(row, reading.notation);
            }
            moments.push(reading.moment);
        }
        if let Some((dates, format)) = self.compact(&moments) {
            let keys = dates.iter().map(|m| nanoseconds(m).unwrap_or(0)).collect();
            return Ok(Read { moments: dates, keys, formats: vec![format.to_string(); self.groups.len()], ordered: false });
        }
        let keys = keys(&moments)?;
        let format = |group: &Group| {
            let newest = if newest_first(&keys[group.rows.clone()]) { group.rows.start } else { group.rows.end - 1 };
            notations.get(&newest).map_or(String::new(), |n| n.format(&narrow))
        };
        let formats = self.groups.iter().map(format).collect();
        Ok(Read { moments, keys, formats, ordered })
    }

    /// Reads whole numbers as dates, if all of them are such: 20190131 and the like. Six-digit numbers with a constant step are not dates.
    fn compact(&self, moments: &[Moment]) -> Option<(Vec<Moment>, &'static str)> {
        let format = compact(self.cells.first()?)?.1;
        let dates: Option<Vec<Moment>> = self.cells.iter().map(|c| compact(c).filter(|d| d.1 == format).map(|d| d.0)).collect();
        let mut steps = moments.windows(2).filter_map(|w| match w {
            [Moment::Number { mantissa: a, .. }, Moment::Number { mantissa: b, .. }] => Some(b - a),
            _ => None,
        });
        if format == "%Y%m" && self.groups.len() == 1 {
            let first = steps.next()?;
            if steps.all(|s| s == first) {
                return None;
            }
        }
        Some((dates?, format))
    }

    fn is_in_order(&self, read: &Read) -> bool {
        self.groups.iter().all(|g| self.first_fault(read, &in_time(g, newest_first(&read.keys[g.rows.clone()]))).is_none())
    }

    /// The first of some rows that is not later than the previous one, except for an hour that clocks repeat in autumn.
    fn first_fault(&self, read: &Read, rows: &[usize]) -> Option<usize> {
        (1..rows.len()).find(|i| read.keys[rows[*i]] <= read.keys[rows[*i - 1]] && !repeats_an_hour(read, rows, *i))
    }

    fn out_of_order<T>(&self, read: &Read, before: usize, after: usize) -> Result<T> {
        let (a, b) = (self.lines[before].min(self.lines[after]), self.lines[before].max(self.lines[after]));
        let row = if self.lines[before] == b { before } else { after };
        let other = before + after - row;
        let series = if self.groups[0].name.is_none() && !self.by_model {
            "; where the file holds several series, name the column that tells them apart by `series`"
        } else {
            ""
        };
        if read.keys[before] == read.keys[after] {
            return self.wrong(row, format!("{} is the time of line {a} too; remove one of the rows{series}", quoted(&self.cells[row])));
        }
        self.wrong(
            row,
            format!(
                "{} after {} in line {a}: the rows of a series must follow each other in time, the oldest or the newest first; sort them by this column as a time, not as text{series}",
                quoted(&self.cells[row]),
                quoted(&self.cells[other])
            ),
        )
    }
}

/// Keys in chronological order.
fn keys(moments: &[Moment]) -> std::result::Result<Vec<i128>, usize> {
    let most = moments.iter().map(|m| if let Moment::Number { decimals, .. } = m { *decimals } else { 0 }).max().unwrap_or(0);
    let key = |(row, moment): (usize, &Moment)| match moment {
        Moment::Number { mantissa, decimals } => 10i128.checked_pow(most - decimals).and_then(|unit| mantissa.checked_mul(unit)).ok_or(row),
        moment => nanoseconds(moment).ok_or(row),
    };
    moments.iter().enumerate().map(key).collect()
}

/// The rows of a series, oldest first.
fn in_time(group: &Group, newest_first: bool) -> Vec<usize> {
    if newest_first { group.rows.clone().rev().collect() } else { group.rows.clone().collect() }
}

fn newest_first(keys: &[i128]) -> bool {
    let downs = keys.windows(2).filter(|w| w[1] < w[0]).count();
    let ups = keys.windows(2).filter(|w| w[1] > w[0]).count();
    downs > ups
}

/// Whether at row i, which is not later than the previous one, local times repeat the hour at the end of summer time, on a Sunday night.
fn repeats_an_hour(read: &Read, rows: &[usize], i: usize) -> bool {
    let Moment::Civil { at, offset: None } = read.moments[rows[i]] else { return false };
    let key = |i: usize| read.keys[rows[i]];
    let same = (0..i).rev().take_while(|j| key(*j) >= key(i)).find(|j| key(*j) == key(i));
    let Some(same) = same else { return false };
    // The step of the surrounding rows tells a repeated hour from a duplicated day.
    let step = if same + 1 < i {
        key(same + 1) - key(same)
    } else if same > 0 {
        key(same) - key(same - 1)
    } else if i + 1 < rows.len() {
        key(i + 1) - key(i)
    } else {
        return false;
    };
    at.weekday() == Weekday::Sunday && at.hour() <= 3 && key(i - 1) + step - key(same) == HOUR
}
