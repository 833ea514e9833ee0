//! Runs on texts with labels: what their configuration says of a table.

use super::RunConfig;
use crate::data::{Codec, Columns, Labelled};
use crate::error::{Error, Result};

impl RunConfig {
    /// The columns of labels and texts; none where no labels are predicted.
    pub fn columns(&self) -> Option<Columns<'_>> {
        self.label_column.as_deref().map(|label| Columns { label, text: self.text_column.as_deref() })
    }

    /// Whether the model goes on with the text that it reads, and so can write one.
    pub fn writes_text(&self) -> bool {
        self.data_kind() == super::DataKind::Text
    }

    /// Opens the table and notes what tells it from others; none where no labels are predicted.
    ///
    /// # Errors
    /// If it can't be read, or has symbols or labels that `known` lacks.
    pub fn open_labelled(&mut self, known: Option<&Codec>) -> Result<Option<Labelled>> {
        let Some(columns) = self.columns() else { return Ok(None) };
        let text = self.raw_text()?;
        let labelled = Labelled::read(&text, columns, self.kind(), known)?;
        self.text.clone_from(&text.path);
        (self.text_checksum, self.text_bytes) = (text.checksum()?, text.len());
        Ok(Some(labelled))
    }

    /// Opens the table again.
    ///
    /// # Errors
    /// If it is gone, or has changed.
    pub fn find_labelled(&mut self, known: Option<&Codec>) -> Result<Option<Labelled>> {
        let Some(columns) = self.columns() else { return Ok(None) };
        let text = self.find_raw_text()?;
        let labelled = Labelled::read(&text, columns, self.kind(), known)?;
        self.text.clone_from(&text.path);
        Ok(Some(labelled))
    }

    /// What only goes together where labels are predicted.
    ///
    /// # Errors
    /// [`Error::Usage`] for the first value that is not possible.
    pub(super) fn check_labels(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Usage(what.to_string()));
        if self.label_column.is_none() {
            return match self.text_column {
                Some(_) => wrong("--text-column belongs to --label-column; give that too"),
                None => Ok(()),
            };
        }
        if self.task.is_some() || self.separator.is_some() || self.target.is_some() {
            return wrong("--label-column reads a table, one sequence a line; leave out --task, --separator and --target");
        }
        if self.text.is_none() && self.text_checksum.is_empty() {
            return wrong("--label-column needs a file of lines with labels; give its path");
        }
        Ok(())
    }
}
