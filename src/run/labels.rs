//! Runs on lines with labels: how their configuration describes a table.

use super::{DataKind, RunConfig};
use crate::data::{Codec, Columns, Labelled};
use crate::error::{Error, Result};
use crate::setting::choices;
use serde::{Deserialize, Serialize};

/// An answer to a question about the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is so.
    Yes,
    /// It is not.
    No,
}

choices!(Answer { Yes = "yes", No = "no" });

/// Passes over the lines in a run without a stated goal, and the fewest and most updates that these may amount to.
const PASSES: u64 = 20;
const UPDATES: [u64; 2] = [2_000, 20_000];

/// Longest line, in symbols, for which the default learning rate is right. An update may change the growth factor of one recurrent step by about that
/// rate times --hidden, and a line raises this factor to the power of its length.
const LONG: u64 = 200;

impl RunConfig {
    /// The learning rate for lines longer than the default is meant for; none for shorter ones.
    pub(super) fn rate_of_long(&self, labelled: &Labelled) -> Option<f64> {
        let longest = labelled.longest();
        let rate = self.training.lr * LONG as f64 / longest as f64;
        // Two digits are enough, and are read back exactly.
        (longest > LONG).then(|| format!("{rate:.1e}").parse().unwrap_or(rate))
    }

    /// The columns of labels and texts; none if no labels are predicted.
    pub fn columns(&self) -> Option<Columns<'_>> {
        self.label_column.as_deref().map(|label| Columns { label, text: self.text_column.as_deref(), header: self.header.map(|h| h == Answer::Yes) })
    }

    /// Whether the model continues the text that it reads, and so can write text.
    pub fn writes_text(&self) -> bool {
        self.data_kind() == DataKind::Text
    }

    /// Whether symbols are predicted, whose losses are also given in bits.
    pub(super) fn predicts_symbols(&self) -> bool {
        matches!(self.data_kind(), DataKind::Text | DataKind::Task)
    }

    /// Whether the held-out part is chosen at random, as it is where sequences are independent of each other.
    pub fn draws_split(&self) -> bool {
        match self.data_kind() {
            DataKind::Labels => true,
            DataKind::Text => self.separator.is_some(),
            DataKind::Task | DataKind::Series => false,
        }
    }

    /// Opens the table and records what identifies it; none if no labels are predicted.
    ///
    /// # Errors
    /// If it can't be read, or has symbols or labels that `known` lacks.
    pub fn open_labelled(&mut self, known: Option<&Codec>) -> Result<Option<Labelled>> {
        let Some(columns) = self.columns() else { return Ok(None) };
        let text = self.raw_text()?;
        let labelled = Labelled::read(&text, columns, self.kind(), known)?;
        self.text.clone_from(&text.path);
        (self.text_checksum, self.text_bytes) = (text.checksum()?, text.len());
        self.settle_updates(labelled.parts.len());
        Ok(Some(labelled))
    }

    /// The goal of a run on `count` sequences with labels, if none is stated.
    pub(super) fn settle_updates(&mut self, count: usize) {
        if self.training.updates.is_none() && self.training.epochs.is_none() {
            let updates = (PASSES * count as u64).div_ceil(u64::from(self.training.batch));
            self.training.updates = Some(updates.clamp(UPDATES[0], UPDATES[1]));
        }
    }

    /// Opens the table again.
    ///
    /// # Errors
    /// If it is gone or has changed.
    pub fn find_labelled(&mut self, known: Option<&Codec>) -> Result<Option<Labelled>> {
        let Some(columns) = self.columns() else { return Ok(None) };
        let text = self.find_raw_text()?;
        let labelled = Labelled::read(&text, columns, self.kind(), known)?;
        self.text.clone_from(&text.path);
        Ok(Some(labelled))
    }

    /// Checks that the settings of labels go together.
    ///
    /// # Errors
    /// [`Error::Usage`] for the first invalid value.
    pub(super) fn check_labels(&self) -> Result<()> {
        let wrong = |setting: &'static str, what: &str| Err(Error::setting(setting, what));
        if self.label_column.is_none() {
            return match (&self.text_column, self.header) {
                (Some(_), _) => wrong("text_column", "`text_column` belongs to `label_column`; give that too"),
                (_, Some(_)) => wrong("header", "`header` is about a table of labels; give `label_column` too, or leave it out"),
                (None, None) => Ok(()),
            };
        }
        if self.task.is_some() || self.separator.is_some() || self.target.is_some() {
            return wrong("label_column", "`label_column` reads a table, one sequence a line; leave out `task`, `separator` and `target`");
        }
        if self.text.is_none() && self.text_checksum.is_empty() {
            return wrong("label_column", "`label_column` needs a file of lines with labels; give its path");
        }
        Ok(())
    }
}
