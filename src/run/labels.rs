//! Runs on lines with labels: how their configuration describes a table.

use super::series::{OF_NUMBERS, names};
use super::{DataKind, RunConfig};
use crate::corpus::Corpus;
use crate::data::{Codec, Columns, Labelled, LabelledRows, Missing, NumberRows, SequenceSpec, SequenceTable, Text};
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

    /// How a table of sequences of numbers with labels is read; none if no labels are predicted.
    ///
    /// # Errors
    /// [`Error::Setting`] if a list of columns can't be read.
    pub fn sequences(&self) -> Result<Option<SequenceSpec>> {
        let Some(label) = &self.label_column else { return Ok(None) };
        Ok(Some(SequenceSpec {
            label: Some(label.clone()),
            known: None,
            sequence: self.sequence_column.clone(),
            features: self.features.as_ref().map(|f| names("features", f)).transpose()?,
            ignored: self.ignore.as_ref().map(|i| names("ignore", i)).transpose()?.unwrap_or_default(),
            header: self.header.map(|h| h == Answer::Yes),
            missing: self.missing.unwrap_or_default(),
            delimiter: self.delimiter,
            decimal: self.decimal,
        }))
    }

    /// Whether a table of labels holds sequences of numbers: a setting says so, or its cells do.
    fn holds_numbers(&self, text: &Text, spec: &SequenceSpec) -> Result<bool> {
        if self.text_column.is_some() {
            return Ok(false);
        }
        Ok(self.reads_numbers().is_some() || SequenceTable::fits(text, spec)?)
    }

    /// A stated setting that a table of texts does not have.
    fn reads_numbers(&self) -> Option<&'static str> {
        let given = |name: &&&str| self.get(&name.replace('_', "-")).is_some();
        ["sequence_column"].iter().chain(&OF_NUMBERS).find(given).copied()
    }

    /// The corpus of a table of labels, of texts or of sequences of numbers. If `free`, also sets the learning rate that suits sequences of that length.
    ///
    /// # Errors
    /// If it can't be read, or has symbols, columns or labels that the model lacks.
    pub(super) fn corpus_of_labels(&mut self, text: &Text, columns: &SequenceSpec, known: Option<&Codec>, free: bool) -> Result<Corpus> {
        let numbers = match known {
            Some(codec) => matches!(codec, Codec::LabelledRows { .. }),
            None => self.holds_numbers(text, columns)?,
        };
        let (mut corpus, longest, unit) = if numbers {
            let mut table = SequenceTable::read(text, columns)?;
            let (names, notes, longest) = (std::mem::take(&mut table.labels), std::mem::take(&mut table.notes), table.lengths().1);
            let labelled = LabelledRows::new(NumberRows::of(&text.name, table)?, &names, known)?;
            self.settle_updates(names.len());
            self.settle_rate(longest, free);
            let mut corpus = Corpus::of_labelled_rows(labelled, &self.training)?;
            corpus.notes.splice(0..0, notes);
            (corpus, longest, "steps")
        } else {
            let header = self.header.map(|h| h == Answer::Yes);
            let texts = Columns { label: columns.label.as_deref().unwrap_or_default(), text: self.text_column.as_deref(), header };
            let labelled = Labelled::read(text, texts, self.kind(), known)?;
            self.settle_updates(labelled.parts.len());
            let longest = labelled.longest();
            self.settle_rate(longest, free);
            (Corpus::of_labelled(labelled, &self.training)?, longest, "symbols")
        };
        if free && longest > LONG {
            corpus.notes.push(format!("note: sequences of up to {longest} {unit} want a low learning rate: `lr` {}", self.training.lr));
        }
        self.text.clone_from(&text.path);
        (self.text_checksum, self.text_bytes) = (text.checksum()?, text.len());
        self.settle_validation(&corpus)?;
        self.weighted(corpus)
    }

    /// The corpus with the weights of its classes.
    pub(super) fn weighted(&self, corpus: Corpus) -> Result<Corpus> {
        match &self.class_weights {
            Some(weights) => corpus.with_class_weights(weights),
            None => Ok(corpus),
        }
    }

    /// The learning rate for sequences longer than the default is meant for, if `free` to choose it.
    fn settle_rate(&mut self, longest: u64, free: bool) {
        if free && longest > LONG {
            let rate = self.training.lr * LONG as f64 / longest as f64;
            // Two digits are enough, and are read back exactly.
            self.training.lr = format!("{rate:.1e}").parse().unwrap_or(rate);
        }
    }

    /// The goal of a run on `count` sequences with labels, if none is stated.
    pub(super) fn settle_updates(&mut self, count: usize) {
        if self.training.updates.is_none() && self.training.epochs.is_none() {
            let updates = (PASSES * count as u64).div_ceil(u64::from(self.training.batch));
            self.training.updates = Some(updates.clamp(UPDATES[0], UPDATES[1]));
        }
    }

    /// Checks that the settings of labels go together.
    ///
    /// # Errors
    /// [`Error::Usage`] for the first invalid value.
    pub(super) fn check_labels(&self) -> Result<()> {
        let wrong = |setting: &'static str, what: &str| Err(Error::setting(setting, what));
        if self.label_column.is_none() {
            if self.sequence_column.is_some() || self.class_weights.is_some() {
                let setting = if self.sequence_column.is_some() { "sequence_column" } else { "class_weights" };
                return wrong(setting, &format!("`{setting}` is about labels; name their column by `label_column`, or leave it out"));
            }
            return match (&self.text_column, self.header) {
                (Some(_), _) => wrong("text_column", "`text_column` belongs to `label_column`; give that too"),
                (_, Some(_)) => wrong("header", "`header` is about a table of labels; give `label_column` too, or leave it out"),
                (None, None) => Ok(()),
            };
        }
        if self.task.is_some() || self.separator.is_some() || self.target.is_some() {
            return wrong("label_column", "`label_column` reads a table, one sequence a line; leave out `task`, `separator` and `target`");
        }
        if let (Some(_), Some(setting)) = (&self.text_column, self.reads_numbers()) {
            return wrong("text_column", &format!("`text_column` names texts, and `{setting}` is about sequences of numbers; leave one of them out"));
        }
        if self.reads_numbers().is_some() && self.bytes {
            return wrong("bytes", "`bytes` reads texts as bytes, and these are numbers; leave it out");
        }
        if self.reads_numbers().is_some() && self.missing == Some(Missing::Mean) {
            return wrong("missing", "`missing` mean is for series; fill empty steps of sequences with labels by previous or zero");
        }
        if self.text.is_none() && self.text_checksum.is_empty() {
            return wrong("label_column", "`label_column` needs a file of lines with labels; give its path");
        }
        Ok(())
    }
}
