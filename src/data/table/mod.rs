//! Tables of numbers: a CSV file with a header, of which the columns that are used are kept in memory.

mod cell;
mod looks;
mod read;

pub(crate) use looks::ask_about_tables;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

/// What is done where a cell is empty, or says NaN, NA or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
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

/// Whether changes stand in place of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
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

/// Which columns of a table are read, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Columns that are forecast.
    pub targets: Vec<String>,
    /// Columns that are read; none for all but those of series and time.
    pub features: Option<Vec<String>>,
    /// Column that tells the series that a row belongs to; none if all rows are one series.
    pub series: Option<String>,
    /// Column that tells the time of a row: it is copied beside forecasts.
    pub time: Option<String>,
    /// What is done where a cell is empty.
    pub missing: Missing,
    /// What stands between cells, an ASCII character.
    pub delimiter: char,
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
}

impl Column {
    /// Whether the number of a row is the file's own.
    pub fn known(&self, row: usize) -> bool {
        self.filled.binary_search(&(row as u32)).is_err()
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
        self.name.as_ref().map_or(file.to_string(), |name| format!("series {name:?} of {file}"))
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

    /// Fills by the last number before, of the same series.
    fn fill_previous(&mut self, lines: &[u64]) -> Result<()> {
        for column in &mut self.columns {
            for group in &self.groups {
                let mut last = f64::NAN;
                for row in group.rows.clone() {
                    if column.values[row].is_nan() && last.is_nan() {
                        return Err(Error::Input(format!(
                            "{} line {}, column {:?}: it is empty, and no number stands before it{}; fill it in, or give --missing zero or mean",
                            self.name,
                            lines[row],
                            column.name,
                            group.name.as_ref().map_or(String::new(), |n| format!(" in series {n:?}"))
                        )));
                    }
                    if column.values[row].is_nan() {
                        column.values[row] = last;
                    }
                    last = column.values[row];
                }
            }
        }
        Ok(())
    }
}
