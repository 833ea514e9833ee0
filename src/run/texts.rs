//! Runs on texts and tasks: finding the symbols that their configuration names.

use super::RunConfig;
use crate::data::{Kind, Set, Symbols, Text, Tokenizer, Vocabulary};
use crate::error::{Error, Result};
use crate::files;

/// What a file is to the one that a run was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kin {
    /// The same bytes.
    Same,
    /// The same bytes, and more after them.
    Grown,
    /// Another file.
    Other,
}

impl RunConfig {
    /// What a file is to the one that this run was trained on, by checksum, wherever it lies.
    pub(crate) fn kin(&self, bytes: &[u8]) -> Kin {
        let begins = |bytes: &[u8]| files::checksum([bytes]) == self.text_checksum;
        match usize::try_from(self.text_bytes).ok().and_then(|n| bytes.get(..n)) {
            Some(first) if begins(first) => {
                if first.len() == bytes.len() {
                    Kin::Same
                } else {
                    Kin::Grown
                }
            }
            _ => Kin::Other,
        }
    }

    /// That a file is not the one that this run was trained on.
    pub(crate) fn not_the_same(&self, text: &Text) -> String {
        format!(
            "{} is not the file that this run was trained on: it has {} bytes, checksum {}; the run's had {}, {}",
            text.name,
            text.bytes().len(),
            text.checksum(),
            self.text_bytes,
            self.text_checksum
        )
    }

    /// Opens the text, or makes that of the task, and notes what tells it from others; its symbols are those of a vocabulary, or its own.
    ///
    /// # Errors
    /// If it can't be read or made, or has symbols that the vocabulary lacks.
    pub fn open_text(&mut self, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
        let symbols = match self.generated() {
            Some(symbols) => fitting(symbols?, vocabulary)?,
            None => {
                // Before the text, which may be long.
                let tokens = self.tokenizer()?;
                self.tokens_checksum = tokens.as_ref().map(|t| files::checksum([t.json().as_bytes()]));
                self.symbols(self.raw_text()?, tokens.map(Vocabulary::tokens).as_ref().or(vocabulary))?
            }
        };
        self.text.clone_from(&symbols.text().path);
        self.text_checksum = symbols.text().checksum();
        self.text_bytes = symbols.text().bytes().len() as u64;
        Ok(symbols)
    }

    /// Opens the text again, see [`RunConfig::open_text`].
    ///
    /// # Errors
    /// If it is gone, or has changed.
    pub fn find_text(&self, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
        if let Some(symbols) = self.generated() {
            return symbols.and_then(|s| if s.text().checksum() == self.text_checksum { Ok(s) } else { Err(self.other_sequences()) });
        }
        let tokens = self.tokenizer()?;
        if let (Some(found), Some(path)) = (&tokens, &self.tokens)
            && self.tokens_checksum.as_ref().is_some_and(|known| *known != files::checksum([found.json().as_bytes()]))
        {
            return Err(Error::Input(format!(
                "{} is not the tokenizer that this run was trained with: its checksum is another; give the path of the right one by --tokens",
                path.display()
            )));
        }
        self.symbols(self.find_raw_text()?, tokens.map(Vocabulary::tokens).as_ref().or(vocabulary))
    }

    /// The text, if it is still what it was.
    pub(super) fn find_raw_text(&self) -> Result<Text> {
        let text = self.raw_text().map_err(|e| Error::Input(format!("{e}; if the text has moved, give its new path before --resume")))?;
        if text.checksum() != self.text_checksum {
            return Err(Error::Input(format!(
                "{} is not the text that this run was trained on: it has {} bytes, checksum {}; the run's had {}, {}; give the path of the right one before --resume",
                text.name,
                text.bytes().len(),
                text.checksum(),
                self.text_bytes,
                self.text_checksum
            )));
        }
        Ok(text)
    }

    fn symbols(&self, text: Text, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
        match vocabulary {
            Some(v) => Symbols::separated(text, v.clone(), self.separator.as_deref()),
            None => Symbols::new(text, self.kind()),
        }
    }

    /// The tokenizer that is named, if one is.
    fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        self.tokens.as_deref().map(Tokenizer::open).transpose()
    }

    fn generated(&self) -> Option<Result<Symbols>> {
        self.task.map(|task| task.symbols(self.seed, Set::Run, self.examples.unwrap_or(0)))
    }

    fn other_sequences(&self) -> Error {
        let task = self.task.map(String::from).unwrap_or_default();
        Error::Input(format!(
            "the sequences of task {task}, seed {}, are not those that this run was trained on (checksum {}): another version of the program has begun it; go on with that",
            self.seed, self.text_checksum
        ))
    }

    /// The text as it is there now, whatever it was.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn raw_text(&self) -> Result<Text> {
        self.text.as_deref().map_or_else(|| Ok(Text::embedded()), Text::open)
    }

    pub(super) fn kind(&self) -> Kind {
        if self.bytes { Kind::Bytes } else { Kind::Characters }
    }
}

/// The symbols of a task, if a model's vocabulary is theirs.
fn fitting(symbols: Symbols, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
    match vocabulary.filter(|v| *v != symbols.vocabulary()) {
        Some(v) => Err(Error::Usage(format!(
            "{} has {} symbols of its own, the model of --from has {} others; begin with a model of the same task",
            symbols.text().name,
            symbols.vocabulary().len(),
            v.len()
        ))),
        None => Ok(symbols),
    }
}
