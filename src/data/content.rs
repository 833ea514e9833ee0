//! The content of a stream, and what each step reads and predicts of it.

use super::inputs::Grid;
use super::{NumberRows, Symbols, Table};
use crate::error::Result;
use std::ops::Range;
use std::sync::Arc;

/// A stream of training data.
#[derive(Clone)]
pub enum Content {
    /// Symbols: each step reads one.
    Symbols(Arc<Symbols>),
    /// Rows of values: each step reads one and forecasts those after it.
    Table(Arc<Table>),
    /// Finite sequences of rows of values: each step reads one.
    Rows(Arc<NumberRows>),
}

/// The target of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The symbol n positions further on.
    Ahead(u32),
    /// A class.
    Class(u32),
}

impl From<Arc<Symbols>> for Content {
    fn from(symbols: Arc<Symbols>) -> Self {
        Content::Symbols(symbols)
    }
}

impl From<Arc<Table>> for Content {
    fn from(table: Arc<Table>) -> Self {
        Content::Table(table)
    }
}

impl Content {
    /// Name of the source, for messages.
    pub fn name(&self) -> &str {
        match self {
            Content::Symbols(symbols) => &symbols.text().name,
            Content::Table(table) => &table.sheet.name,
            Content::Rows(rows) => &rows.name,
        }
    }

    /// What its positions are called: characters, bytes, rows.
    pub fn unit(&self) -> &'static str {
        match self {
            Content::Symbols(symbols) => symbols.unit(),
            Content::Table(_) | Content::Rows(_) => "rows",
        }
    }

    /// Number of positions.
    pub fn len(&self) -> u64 {
        match self {
            Content::Symbols(symbols) => symbols.len(),
            Content::Table(table) => table.rows() as u64,
            Content::Rows(rows) => rows.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Distance from the position that a step of a stream reads to the last one that it predicts.
    pub fn ahead(&self) -> u32 {
        match self {
            Content::Symbols(_) | Content::Rows(_) => 1,
            Content::Table(table) => table.series.horizon,
        }
    }

    /// The symbols, if it has any.
    pub fn symbols(&self) -> Option<&Arc<Symbols>> {
        match self {
            Content::Symbols(symbols) => Some(symbols),
            Content::Table(_) | Content::Rows(_) => None,
        }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Arc<Table>> {
        match self {
            Content::Symbols(_) | Content::Rows(_) => None,
            Content::Table(table) => Some(table),
        }
    }

    /// Fills in what some steps of a lane read and predict. The first step reads position `from`, the
    /// others those after it. Position -1 holds `before`, and so does the position after the last.
    pub(super) fn fill(&self, grid: &mut Grid<'_>, (steps, lane): (Range<u32>, u32), from: i64, before: u32, target: Target) -> Result<()> {
        match self {
            Content::Symbols(symbols) => {
                let ahead = if let Target::Ahead(n) = target { n as usize } else { 0 };
                let mut read = vec![before; steps.len() + ahead];
                let known = usize::from(from < 0);
                let first = (from + known as i64) as u64;
                // The end of the text stands for the separator, as `before` does.
                let there = (symbols.len().saturating_sub(first) as usize).min(read.len() - known);
                symbols.read(first, &mut read[known..known + there])?;
                for (i, t) in steps.enumerate() {
                    grid.token(t, lane, read[i]);
                    grid.target(t, lane, if let Target::Class(class) = target { class } else { read[i + ahead] });
                }
                Ok(())
            }
            Content::Table(table) => {
                table.fill(grid, (steps, lane), from as usize);
                Ok(())
            }
            Content::Rows(rows) => {
                rows.fill(grid, (steps, lane), from as u64, target);
                Ok(())
            }
        }
    }
}
