//! Tables of numbers: a CSV file with a header, of which the columns that are used are kept in memory.

mod cell;
mod chosen;
mod clock;
mod date;
mod detection;
mod lines;
mod notation;
mod read;
mod time;
mod timeline;

pub use date::DateOrder;
pub(crate) use detection::ask_about_tables;
pub(crate) use notation::check_format;

use crate::error::{Error, Result, quoted};
use crate::setting::choices;
use clock::Clock;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// What is done where a cell is empty, or says NaN, NA or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// The table is refused.
    #[default]
    Refuse,
    /// The value of the row before, of the same series, is taken.
    Previous,
    /// 0 is taken.
    Zero,
    /// The mean of the training part is taken.
    Mean,
}

choices!(Missing { Refuse = "refuse", Previous = "previous", Zero = "zero", Mean = "mean" });

/// Whether changes stand in place of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Difference {
    /// Values are read and forecast.
    #[default]
    None,
    /// Values are read, changes of the targets from the last row known forecast.
    Targets,
    /// Changes are read too: of the features from the row before.
    All,
}

choices!(Difference { None = "none", Targets = "targets", All = "all" });

/// Which columns of a table are read, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnSpec {
    /// Columns that are forecast.
    pub targets: Vec<String>,
    /// Columns that are read; none for all but those of series and time and those that are ignored.
    pub features: Option<Vec<String>>,
    /// Columns that are left out where `features` names none.
    pub ignored: Vec<String>,
    /// Column that tells the series that a row belongs to; none if all rows are one series.
    pub series: Option<String>,
    /// Column that tells the time of a row: it is copied beside forecasts.
    pub time: Option<String>,
    /// How times are written, as strftime has it; none to find that.
    pub time_format: Option<String>,
    /// Which number of a date comes first, where nothing in the column of time tells.
    pub date_order: Option<DateOrder>,
    /// What is done where a cell is empty.
    pub missing: Missing,
    /// What stands between cells, an ASCII character; none to find that.
    pub delimiter: Option<char>,
    /// What stands before a fraction, a point or a comma; none to find that.
    pub decimal: Option<char>,
    /// And where nothing in the table tells.
    pub usual_decimal: Option<char>,
    /// Whether a model says which columns are read, so that no flag can.
    pub by_model: bool,
}

/// A column of numbers; row by row, the rows of one series after those of another.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in the header.
    pub name: String,
    /// Its numbers; NaN where [`Missing::Mean`] has not yet been filled in.
    pub values: Vec<f64>,
    /// The rows whose cell was empty, in order.
    pub filled: Vec<u32>,
    /// The last number known up to each row of its series, before the first that one; empty if no cell was, and NaN where a series has none.
    pub carried: Vec<f64>,
}

impl Column {
    /// Whether the number of a row is the file's own.
    pub fn known(&self, row: usize) -> bool {
        self.filled.is_empty() || self.filled.binary_search(&(row as u32)).is_err()
    }

    /// The last number known up to a row of its series, whatever empty cells were filled with: what a forecast without a model says, what changes are
    /// counted from, and what is wanted where nothing is known.
    pub fn last_known(&self, row: usize) -> f64 {
        self.carried.get(row).map_or(self.values[row], |x| if x.is_nan() { self.values[row] } else { *x })
    }

    /// The number of a row, if the file has it.
    pub fn get(&self, row: usize) -> Option<f64> {
        Some(self.values[row]).filter(|_| self.known(row))
    }

    /// Of some rows, the numbers that the file has.
    pub fn known_of(&self, rows: Range<usize>) -> impl Iterator<Item = f64> + Clone + '_ {
        rows.filter_map(|row| self.get(row))
    }
}

/// The rows of one series, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What the column of series says; none if the table is one series.
    pub name: Option<String>,
    /// Its rows.
    pub rows: Range<usize>,
}

impl Group {
    /// How it is called in a message about a file.
    pub(super) fn of(&self, file: &str) -> String {
        self.name.as_ref().map_or(file.to_string(), |name| format!("series {} of {file}", quoted(name)))
    }
}

/// The columns of a table that are used.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// The path of the file, or what else it is called.
    pub name: String,
    /// Its path, if it is a file.
    pub path: Option<PathBuf>,
    /// Its bytes.
    pub bytes: u64,
    /// Their checksum.
    pub checksum: String,
    /// The columns that are read, then those that are only forecast.
    pub columns: Vec<Column>,
    /// How many are read: the first of them.
    pub features: usize,
    /// Which of them are forecast.
    pub targets: Vec<usize>,
    /// Series by series.
    pub groups: Vec<Group>,
    /// What the column of time says of each row; empty without one.
    pub times: Vec<String>,
    /// Which number of a date comes first, if that had to be found.
    pub date_order: Option<DateOrder>,
    /// What stands between its cells.
    pub delimiter: char,
    /// What stands before a fraction in it.
    pub decimal: char,
    /// What was found and decided while it was read, a line each.
    pub notes: Vec<String>,
    /// Of each series, what its times go on with.
    clocks: Vec<Option<Clock>>,
}

impl Sheet {
    /// Rows of all series.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len())
    }

    /// The series that a row belongs to.
    pub fn group(&self, row: usize) -> &Group {
        &self.groups[self.groups.partition_point(|g| g.rows.end <= row).min(self.groups.len() - 1)]
    }

    /// A column that is forecast.
    pub fn target(&self, index: usize) -> &Column {
        &self.columns[self.targets[index]]
    }

    /// Names of the columns that are read.
    pub fn feature_names(&self) -> Vec<String> {
        self.columns[..self.features].iter().map(|c| c.name.clone()).collect()
    }

    /// What the column of time would say of the `count` rows after the last of a series, as the file writes it; none where the steps of time are not
    /// even, or there is no such column.
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
            column.values = rows.iter().map(|r| column.values[*r]).collect();
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

    /// Notes the last number known up to each row, and fills with it where that is asked for.
    fn carry(&mut self, lines: &[u64], missing: Missing) -> Result<()> {
        for column in self.columns.iter_mut().filter(|c| !c.filled.is_empty()) {
            column.carried = column.values.clone();
            for group in &self.groups {
                let rows = group.rows.clone();
                let first = rows.clone().find(|r| !column.values[*r].is_nan());
                if missing == Missing::Previous && first != Some(rows.start) {
                    return Err(Error::Input(format!(
                        "{} line {}, column {}: it is empty, and no number stands before it{}; fill it in, or give `missing` zero or mean",
                        self.name,
                        lines[rows.start],
                        quoted(&column.name),
                        group.name.as_ref().map_or(String::new(), |n| format!(" in series {}", quoted(n)))
                    )));
                }
                let mut last = first.map_or(f64::NAN, |r| column.values[r]);
                for row in rows {
                    last = if column.values[row].is_nan() { last } else { column.values[row] };
                    column.carried[row] = last;
                }
            }
            let fill = |(x, carried): (&mut f64, &f64)| {
                if x.is_nan() {
                    *x = match missing {
                        Missing::Zero => 0.0,
                        Missing::Previous => *carried,
                        // The mean is that of the training part, which is not known here.
                        Missing::Mean | Missing::Refuse => f64::NAN,
                    };
                }
            };
            column.values.iter_mut().zip(&column.carried).for_each(fill);
        }
        Ok(())
    }
}
