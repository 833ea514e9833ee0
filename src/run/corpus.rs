//! The data a run is trained on: a text, the sequences of a task, lines with labels, or a table of numbers.

use super::{DataKind, Given, RunConfig};
use crate::data::{Codec, ask_about_tables};
use crate::error::{Error, Result};
use crate::store::Model;
use crate::trainer::Corpus;
use std::sync::Arc;

/// Fewest updates between validations of series, unless stated.
const VALIDATED: u64 = 25;

impl RunConfig {
    /// Opens the data and records what identifies it. If `free`, also sets the number of lanes that suits a table of numbers, or the learning rate that suits
    /// lines of that length.
    ///
    /// # Errors
    /// If it can't be read, or the model reads another kind of data.
    pub fn open_corpus(&mut self, model: Option<&Model>, free: bool) -> Result<Corpus> {
        self.corpus_of(None, model, free)
    }

    /// The corpus of what is given in memory, else of the file.
    pub(super) fn corpus_of(&mut self, given: Option<&Given>, model: Option<&Model>, free: bool) -> Result<Corpus> {
        let series = model.filter(|_| self.target.is_some()).map(|m| m.codec.series()).transpose()?;
        // A model to continue from has its own.
        self.difference = self.difference.or(series.map(|s| s.difference));
        if let Some(wanted) = self.wanted()? {
            let table = Arc::new(self.open_table(&wanted, series, given)?);
            if free {
                // As many as the groups can share.
                let groups = self.training.groups();
                self.training.batch = (table.lanes() / groups * groups).max(groups);
            }
            if self.val_every.is_none() && self.training.val_fraction > 0.0 {
                self.val_every = Some(VALIDATED.max(table.held_updates(self.training.batch)));
            }
            return Corpus::of_table(table, &self.training);
        }
        reads_text(model)?;
        if let Some(corpus) = given.map_or(Ok(None), |given| self.labelled_of(given, model))? {
            return Ok(corpus);
        }
        if let Some(columns) = self.sequences()? {
            return self.corpus_of_labels(&self.raw_text()?, &columns, model.map(|m| &m.codec), free);
        }
        model.map_or(Ok(()), |m| m.codec.text().map(drop))?;
        // A model, or a flag, makes it clear that symbols are read.
        let asked_for =
            self.table_as_text || self.separator.is_some() || self.bytes || self.tokens.is_some() || self.task.is_some() || model.is_some() || given.is_some();
        let known = model.and_then(|m| m.codec.vocabulary());
        let symbols = match given {
            Some(given) => self.given_text(given, known)?,
            None => {
                ask_about_tables(&self.raw_text()?, asked_for, true)?;
                self.open_text(known)?
            }
        };
        let symbols = Arc::new(symbols);
        let corpus = Corpus::new(symbols, self.layout(), &self.training)?;
        if self.data_kind() == DataKind::Text {
            self.settle_validation(&corpus)?;
        }
        Ok(corpus)
    }

    /// Opens the data again.
    ///
    /// # Errors
    /// If it is gone or has changed.
    pub fn find_corpus(&mut self, model: Option<&Model>) -> Result<Corpus> {
        if let Some(wanted) = self.wanted()? {
            let series = model.map(|m| m.codec.series()).transpose()?;
            let table = self.find_table(&wanted, series)?;
            return Corpus::of_table(Arc::new(table), &self.training);
        }
        if let Some(columns) = self.sequences()? {
            return self.corpus_of_labels(&self.find_raw_text()?, &columns, model.map(|m| &m.codec), false);
        }
        let symbols = Arc::new(self.find_text(model.and_then(|m| m.codec.vocabulary()))?);
        self.text.clone_from(&symbols.text().path);
        Corpus::new(symbols, self.layout(), &self.training)
    }
}

fn reads_text(model: Option<&Model>) -> Result<()> {
    match model.map(|m| &m.codec) {
        Some(Codec::Series(series)) => Err(Error::Usage(format!(
            "the model of `from` forecasts numeric series; give a CSV file with the columns {}, and `target` {}",
            series.features.join(", "),
            series.targets.join(",")
        ))),
        _ => Ok(()),
    }
}
