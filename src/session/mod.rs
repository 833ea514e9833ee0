//! A training from its settings to its report, as the command line and Python run it.

mod begin;
mod compared;
mod devices;
mod finish;
mod flow;
mod prepared;
mod reader;
mod resume;
mod source;
mod together;

pub use begin::{begin, run_name, start};
pub use compared::{COMPARED, Compared, DEFAULTS as COMPARE_DEFAULTS, STRATEGIES};
pub use devices::{devices, entry, products, recurrences, with_cpu};
pub use finish::{Finished, Repeat, finish, write_plan, write_report};
pub use flow::{FRESH, default_lags, of_task};
pub use prepared::Prepared;
pub use reader::{LANES, engine};
pub use resume::{Resumed, resume};
pub use source::Source;
pub use together::{follow, meet};

use crate::run::{Given, Stated};
use std::path::Path;

/// A word to the user before training begins.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// Something that may be left out.
    Note(&'a str),
    /// Something that must be seen.
    Warning(&'a str),
}

/// What hears it.
pub type Say<'a> = &'a mut dyn FnMut(Said<'_>);

/// A training that is asked for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The stated settings, by key.
    pub stated: &'a Stated,
    /// A file with settings that are not stated.
    pub file: Option<&'a Path>,
    /// Data in memory, in place of a file.
    pub given: Option<&'a Given>,
    /// The folder of the run; `None` for a new one under runs.
    pub out: Option<&'a Path>,
}

impl Asked<'_> {
    fn states(&self, key: &str) -> bool {
        self.stated.contains_key(key)
    }
}
