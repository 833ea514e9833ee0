//! Data that is given in memory, in place of a file.

use super::RunConfig;
use crate::corpus::Corpus;
use crate::data::{Frame, Kind, Labelled, LabelledRows, NumberRows, Text, Vocabulary};
use crate::error::{Error, Result};
use crate::files;
use crate::store::Model;
use std::sync::Arc;

/// Data in memory.
#[derive(Clone)]
pub enum Given {
    /// A text, or symbols of a vocabulary.
    Text {
        /// Its name in messages.
        name: String,
        /// Its bytes.
        content: Arc<Vec<u8>>,
        /// Its symbols, if they are not those that occur in it.
        vocabulary: Option<Vocabulary>,
    },
    /// A table of numbers.
    Frame(Frame),
    /// Sequences of rows of numbers, with a label each.
    Rows(NumberRows, Vec<String>),
    /// Texts, with a label each.
    Lines(Vec<String>, Vec<String>),
}

impl Given {
    /// Its size in bytes, and a checksum.
    pub fn checksum(&self) -> (u64, String) {
        let of_texts = |hasher: &mut files::Hasher, texts: &[String]| {
            texts.iter().for_each(|text| {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            });
            texts.iter().map(|t| t.len() as u64).sum::<u64>()
        };
        let mut hasher = files::Hasher::default();
        match self {
            Given::Text { content, .. } => {
                hasher.update(content);
                (content.len() as u64, hasher.digits())
            }
            Given::Frame(frame) => frame.checksum(),
            Given::Rows(rows, labels) => {
                (0..rows.numbers.len()).for_each(|i| hasher.update(&rows.numbers.get(i).to_le_bytes()));
                rows.parts.iter().for_each(|p| hasher.update(&p.end.to_le_bytes()));
                of_texts(&mut hasher, labels);
                (8 * rows.numbers.len() as u64, hasher.digits())
            }
            Given::Lines(texts, labels) => (of_texts(&mut hasher, texts) + of_texts(&mut hasher, labels), hasher.digits()),
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<Text> {
        if let Given::Text { name, content, .. } = self { Some(Text::shared(name, content.clone())) } else { None }
    }
}

impl RunConfig {
    /// Opens data that is given in memory, as [`RunConfig::open_corpus`] opens a file.
    ///
    /// # Errors
    /// As there.
    pub fn open_given(&mut self, given: &Given, model: Option<&Model>, free: bool) -> Result<Corpus> {
        let kind = self.data_kind();
        let fits = match given {
            Given::Text { content, .. } if content.is_empty() => return Err(Error::Input("the text is empty; give one to learn from".to_string())),
            Given::Text { .. } => self.writes_text(),
            Given::Frame(_) => kind == super::DataKind::Series,
            Given::Rows(..) | Given::Lines(..) => kind == super::DataKind::Labels,
        };
        if !fits {
            return Err(Error::Usage("the data is not of the kind that the settings are about".to_string()));
        }
        self.text = None;
        (self.text_bytes, self.text_checksum) = given.checksum();
        self.corpus_of(Some(given), model, free)
    }

    /// Opens such data again.
    ///
    /// # Errors
    /// If it has changed.
    pub fn find_given(&mut self, given: &Given, model: Option<&Model>) -> Result<Corpus> {
        let (bytes, checksum) = given.checksum();
        if (bytes, &checksum) != (self.text_bytes, &self.text_checksum) {
            return Err(Error::Input(format!(
                "the data is not what this run was trained on: it has {bytes} bytes, checksum {checksum}; the run's had {}, {}",
                self.text_bytes, self.text_checksum
            )));
        }
        self.corpus_of(Some(given), model, false)
    }

    /// The corpus of labelled sequences in memory, if that is what is given.
    pub(super) fn labelled_of(&mut self, given: &Given, model: Option<&Model>) -> Result<Option<Corpus>> {
        let known = model.map(|m| &m.codec);
        let corpus = match given {
            Given::Rows(rows, names) => {
                let labelled = LabelledRows::new(rows.clone(), names, known)?;
                self.settle_updates(labelled.classes.len());
                Corpus::of_labelled_rows(labelled, &self.training)?
            }
            Given::Lines(texts, labels) => {
                let labelled = Labelled::of("the texts", texts, labels, if self.bytes { Kind::Bytes } else { Kind::Characters }, known)?;
                self.settle_updates(labelled.parts.len());
                Corpus::of_labelled(labelled, &self.training)?
            }
            Given::Text { .. } | Given::Frame(_) => return Ok(None),
        };
        self.settle_validation(&corpus)?;
        self.weighted(corpus).map(Some)
    }
}
