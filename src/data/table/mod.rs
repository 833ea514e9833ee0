//! Numeric tables: a CSV file with a header, whose used columns are kept in memory.

mod cell;
mod chosen;
mod clock;
mod date;
mod detection;
mod frame;
mod lines;
mod notation;
mod read;
mod sequences;
mod time;
mod timeline;

pub use date::DateOrder;
pub(crate) use detection::ask_about_tables;
pub use frame::{Cells, Frame};
pub(crate) use notation::check_format;
pub use sequences::{SequenceSpec, SequenceTable};

use super::numbers::Values;
use crate::error::{Error, Result, quoted};
use crate::setting::choices;
use clock::Clock;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// What to do with cells that are empty, or say NaN, NA or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Refuse the table.
    #[default]
    Refuse,
    /// Repeat the previous value of the same series.
    Previous,
    /// Use 0.
    Zero,
    /// Use the mean of the training part.
    Mean,
}

choices!(Missing { Refuse = "refuse", Previous = "previous", Zero = "zero", Mean = "mean" });

/// Whether changes replace values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// Values are read and forecast.
    #[default]
    None,
    /// Values are read; changes of the targets from the last known row are forecast.
    Targets,
    /// Changes of the features from the previous row are read too.
    All,
    /// Changes from the values one season before are read, and forecast: what the seasonal naive forecast leaves.
    Season,
}

choices!(Difference { None = "none", Targets = "targets", All = "all", Season = "season" });

/// Which rows a value is standardised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScaleBy {
    /// Those of all series.
    #[default]
    All,
    /// Those of its own series, so that series of any size are alike.
    Series,
}

choices!(ScaleBy { All = "all", Series = "series" });

/// Which columns of a table are read, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnSpec {
    /// Columns that are forecast.
    pub targets: Vec<String>,
    /// Columns that are read; `None` for all but ignored ones and those of series and time.
    pub features: Option<Vec<String>>,
    /// Columns to ignore if `features` is `None`.
    pub ignored: Vec<String>,
    /// Column that names the series of a row; `None` if all rows are one series.
    pub series: Option<String>,
    /// Column with the time of a row, which is copied beside forecasts.
    pub time: Option<String>,
    /// Time format as in strftime; `None` to detect it.
    pub time_format: Option<String>,
    /// Which part of a date comes first, if the column of time doesn't tell.
    pub date_order: Option<DateOrder>,
    /// What to do with empty cells.
    pub missing: Missing,
    /// Delimiter, an ASCII character; `None` to detect it.
    pub delimiter: Option<char>,
    /// Decimal mark, a point or a comma; `None` to detect it.
    pub decimal: Option<char>,
    /// Decimal mark to use if nothing in the table tells.
    pub usual_decimal: Option<char>,
    /// Whether a model determines the columns, so that flags can't.
    pub by_model: bool,
}

/// A numeric column. The rows of a series are contiguous.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in the header.
    pub name: String,
    /// Its values; NaN for missing ones not yet filled with [`Missing::Mean`].
    pub values: Values,
    /// The rows whose cell was empty, in order.
    pub filled: Vec<u32>,
    /// The last known value up to each row of its series, and before the first known one, that one. Empty if no cell was empty; NaN if a series has no value.
    pub carried: Vec<f64>,
}

impl Column {
    /// Whether the value of a row comes from the file.
    pub fn known(&self, row: usize) -> bool {
        self.filled.is_empty() || self.filled.binary_search(&(row as u32)).is_err()
    }

    /// The last known value up to a row of its series, whatever filled the empty cells:
    /// the naive forecast, the base of changes, and the target where no value is known.
    pub fn last_known(&self, row: usize) -> f64 {
        self.carried.get(row).map_or_else(|| self.values.at(row), |x| if x.is_nan() { self.values.at(row) } else { *x })
    }

    /// The value of a row, if it comes from the file.
    pub fn get(&self, row: usize) -> Option<f64> {
        Some(self.values.at(row)).filter(|_| self.known(row))
    }

    /// The values of some rows that come from the file.
    pub fn known_of(&self, rows: Range<usize>) -> impl Iterator<Item = f64> + Clone + '_ {
        rows.filter_map(|row| self.get(row))
    }
}

/// The rows of one series, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name in the column of series; `None` if the table is one series.
    pub name: Option<String>,
    /// Its rows.
    pub rows: Range<usize>,
}

impl Group {
    /// Its name in a message about a file.
    pub(super) fn of(&self, file: &str) -> String {
        self.name.as_ref().map_or(file.to_string(), |name| format!("series {} of {file}", quoted(name)))
    }
}

/// The used columns of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// The path of the file, or another name.
    pub name: String,
    /// Its path, if it is a file.
    pub path: Option<PathBuf>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Their checksum.
    pub checksum: String,
    /// The columns: features first, then those that are only forecast.
    pub columns: Vec<Column>,
    /// Number of features.
    pub features: usize,
    /// Indices of the targets.
    pub targets: Vec<usize>,
    /// The series.
    pub groups: Vec<Group>,
    /// The time of each row as text; empty without a column of time.
    pub times: Vec<String>,
    /// Which part of a date comes first, if it had to be detected.
    pub date_order: Option<DateOrder>,
    /// Its delimiter.
    pub delimiter: char,
    /// Its decimal mark.
    pub decimal: char,
    /// Notes on what was detected, one line each.
    pub notes: Vec<String>,
    /// For each series, the clock that continues its times.
    clocks: Vec<Option<Clock>>,
}

impl Sheet {
    /// Number of rows of all series.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len())
    }

    /// The series that a row belongs to.
    pub fn group(&self, row: usize) -> &Group {
        &self.groups[self.groups.partition_point(|g| g.rows.end <= row).min(self.groups.len() - 1)]
    }

    /// A target column.
    pub fn target(&self, index: usize) -> &Column {
        &self.columns[self.targets[index]]
    }

    /// Names of the features.
    pub fn feature_names(&self) -> Vec<String> {
        self.columns[..self.features].iter().map(|c| c.name.clone()).collect()
    }

    /// The times of the `count` rows after the last of a series, as the file would write them; `None` if time steps are uneven, or there is no column of time.
    pub fn times_to_come(&self, group: usize, count: usize) -> Option<Vec<String>> {
        let clock = self.clocks.get(group)?.as_ref()?;
        (1..=count as i64).map(|n| clock.after(n)).collect()
    }

    /// The table without some of its series.
    #[must_use]
    pub fn without(mut self, left_out: &[bool]) -> Self {
        if !left_out.contains(&true) {
            return self;
        }
        let kept = |g: &(usize, &Group)| !left_out[g.0];
        let rows: Vec<usize> = self.groups.iter().enumerate().filter(kept).flat_map(|g| g.1.rows.clone()).collect();
        for column in &mut self.columns {
            column.values = column.values.taken(&rows);
            column.filled =
                (0u32..).zip(&rows).filter(|(_, old)| !column.filled.is_empty() && column.filled.binary_search(&(**old as u32)).is_ok()).map(|r| r.0).collect();
            if !column.carried.is_empty() {
                column.carried = rows.iter().map(|r| column.carried[*r]).collect();
            }
        }
        if !self.times.is_empty() {
            self.times = rows.iter().map(|r| std::mem::take(&mut self.times[*r])).collect();
        }
        let mut start = 0;
        let (mut groups, mut clocks) = (Vec::new(), Vec::new());
        for (i, group) in self.groups.into_iter().enumerate().filter(|g| !left_out[g.0]) {
            let rows = start..start + group.rows.len();
            start = rows.end;
            groups.push(Group { name: group.name, rows });
            clocks.extend(self.clocks.get_mut(i).map(Option::take));
        }
        (self.groups, self.clocks) = (groups, clocks);
        self
    }

    /// Computes the last known value up to each row, and fills empty cells if requested.
    fn carry(&mut self, lines: &[u64], missing: Missing) -> Result<()> {
        for column in self.columns.iter_mut().filter(|c| !c.filled.is_empty()) {
            let values = column.values.own();
            column.carried = values.clone();
            for group in &self.groups {
                let rows = group.rows.clone();
                let first = rows.clone().find(|r| !values[*r].is_nan());
                if missing == Missing::Previous && first != Some(rows.start) {
                    return Err(Error::Input(format!(
                        "{} line {}, column {}: it is empty, and no number stands before it{}; fill it in, or give `missing` zero or mean",
                        self.name,
                        lines.get(rows.start).copied().unwrap_or(rows.start as u64 + 1),
                        quoted(&column.name),
                        group.name.as_ref().map_or(String::new(), |n| format!(" in series {}", quoted(n)))
                    )));
                }
                let mut last = first.map_or(f64::NAN, |r| values[r]);
                for row in rows {
                    last = if values[row].is_nan() { last } else { values[row] };
                    column.carried[row] = last;
                }
            }
            let fill = |(x, carried): (&mut f64, &f64)| {
                if x.is_nan() {
                    *x = match missing {
                        Missing::Zero => 0.0,
                        Missing::Previous => *carried,
                        // The mean of the training part is not known here.
                        Missing::Mean | Missing::Refuse => f64::NAN,
                    };
                }
            };
            values.iter_mut().zip(&column.carried).for_each(fill);
        }
        Ok(())
    }
}
