//! What stands at the places of a stream, and what is read and predicted there.

use super::inputs::Grid;
use super::{Symbols, Table};
use crate::error::Result;
use std::ops::Range;
use std::sync::Arc;

/// What is trained on, place by place.
#[derive(Clone)]
pub enum Content {
    /// Symbols: each step reads one.
    Symbols(Arc<Symbols>),
    /// Rows of numbers: each step reads one, and forecasts those after it.
    Table(Arc<Table>),
}

/// What steps are to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// What stands so many places further on.
    Ahead(u32),
    /// This class.
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
    /// Where it comes from, for messages.
    pub fn name(&self) -> &str {
        match self {
            Content::Symbols(symbols) => &symbols.text().name,
            Content::Table(table) => &table.sheet.name,
        }
    }

    /// What stands at a place is called this: characters, bytes, rows.
    pub fn unit(&self) -> &'static str {
        match self {
            Content::Symbols(symbols) => symbols.unit(),
            Content::Table(_) => "rows",
        }
    }

    /// Places.
    pub fn len(&self) -> u64 {
        match self {
            Content::Symbols(symbols) => symbols.len(),
            Content::Table(table) => table.rows() as u64,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Places from the one that a step of a stream reads to the last one that it predicts.
    pub fn ahead(&self) -> u32 {
        match self {
            Content::Symbols(_) => 1,
            Content::Table(table) => table.series.horizon,
        }
    }

    /// The symbols, where there are any.
    pub fn symbols(&self) -> Option<&Arc<Symbols>> {
        match self {
            Content::Symbols(symbols) => Some(symbols),
            Content::Table(_) => None,
        }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Arc<Table>> {
        match self {
            Content::Symbols(_) => None,
            Content::Table(table) => Some(table),
        }
    }

    /// Puts into a grid what some steps of a lane read and predict: the first reads place `from`, the others those after it. Place -1 holds `before`, as the
    /// place after the last does.
    pub(super) fn fill(&self, grid: &mut Grid<'_>, (steps, lane): (Range<u32>, u32), from: i64, before: u32, target: Target) -> Result<()> {
        match self {
            Content::Symbols(symbols) => {
                let ahead = if let Target::Ahead(n) = target { n as usize } else { 0 };
                let mut read = vec![before; steps.len() + ahead];
                let known = usize::from(from < 0);
                let first = (from + known as i64) as u64;
                // What the end of the text stands for is the separator, as `before` is.
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
        }
    }
}
