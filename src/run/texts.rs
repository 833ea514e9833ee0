//! Runs on texts and tasks: finding the symbols that their configuration names.

use super::{Event, Given, Run, RunConfig};
use crate::data::{Kind, Set, Symbols, Text, Tokenizer, Vocabulary};
use crate::error::{Error, Result};
use crate::files;
use crate::store::{Model, TrainedOn};

/// How a file relates to the one that a run was trained on.
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
    /// How a file relates to the one that this run was trained on, by checksum, wherever it lies.
    ///
    /// # Errors
    /// If it can't be read.
    pub(crate) fn kin(&self, text: &Text) -> Result<Kin> {
        if text.len() < self.text_bytes || text.checksum_of(self.text_bytes)? != self.text_checksum {
            return Ok(Kin::Other);
        }
        Ok(if text.len() == self.text_bytes { Kin::Same } else { Kin::Grown })
    }

    /// A message that a file is not the one that this run was trained on.
    ///
    /// # Errors
    /// If it can't be read.
    pub(crate) fn not_the_same(&self, text: &Text) -> Result<String> {
        Ok(format!(
            "{} is not the file that this run was trained on: it has {} bytes, checksum {}; the run's had {}, {}",
            text.name,
            text.len(),
            text.checksum()?,
            self.text_bytes,
            self.text_checksum
        ))
    }

    /// Opens the text, or generates that of the task, and records what identifies it. Its symbols are those of `vocabulary`, or its own.
    ///
    /// # Errors
    /// If it can't be read or generated, or has symbols that the vocabulary lacks.
    pub fn open_text(&mut self, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
        let symbols = match self.generated() {
            Some(symbols) => fitting(symbols?, vocabulary)?,
            None => {
                // First, since the text may be long.
                let tokens = self.tokenizer()?;
                self.tokens_checksum = tokens.as_ref().map(|t| files::checksum([t.json().as_bytes()]));
                self.symbols(self.raw_text()?, tokens.map(Vocabulary::tokens).as_ref().or(vocabulary))?
            }
        };
        self.text.clone_from(&symbols.text().path);
        self.text_checksum = symbols.text().checksum()?;
        self.text_bytes = symbols.text().len();
        Ok(symbols)
    }

    /// The symbols of a text in memory, in its own vocabulary, else in that of a model, else its own.
    pub(super) fn given_text(&mut self, given: &Given, known: Option<&Vocabulary>) -> Result<Symbols> {
        let text = given.text().ok_or_else(|| Error::Usage("a text is needed here, and numbers are given".to_string()))?;
        let tokens = self.tokenizer()?;
        self.tokens_checksum = tokens.as_ref().map(|t| files::checksum([t.json().as_bytes()]));
        let own = if let Given::Text { vocabulary: Some(own), .. } = given { Some(own) } else { None };
        if let Some(known) = known.filter(|known| own.is_some_and(|own| own.len() > known.len())) {
            return Err(Error::Usage(format!("the model of `from` reads the ids 0 to {}, and there are others here", known.len() - 1)));
        }
        self.symbols(text, tokens.map(Vocabulary::tokens).as_ref().or(known).or(own))
    }

    /// Opens the text again, see [`RunConfig::open_text`].
    ///
    /// # Errors
    /// If it is gone or has changed.
    pub fn find_text(&self, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
        if let Some(symbols) = self.generated() {
            let symbols = symbols?;
            return if symbols.text().checksum()? == self.text_checksum { Ok(symbols) } else { Err(self.other_sequences()) };
        }
        let tokens = self.tokenizer()?;
        if let (Some(found), Some(path)) = (&tokens, &self.tokens)
            && self.tokens_checksum.as_ref().is_some_and(|known| *known != files::checksum([found.json().as_bytes()]))
        {
            return Err(Error::Input(format!(
                "{} is not the tokenizer that this run was trained with: its checksum is another; give the path of the right one by `tokens`",
                path.display()
            )));
        }
        self.symbols(self.find_raw_text()?, tokens.map(Vocabulary::tokens).as_ref().or(vocabulary))
    }

    /// The text, if it is unchanged.
    pub(super) fn find_raw_text(&self) -> Result<Text> {
        let text = self.raw_text().map_err(|e| Error::Input(format!("{e}; if the text has moved, give its new path before `resume`")))?;
        let checksum = text.checksum()?;
        if self.text.is_none() && checksum != self.text_checksum {
            return Err(Error::Input(format!(
                "this run was trained on a text that came through a pipe ({} bytes, checksum {}), which was kept nowhere; give it again before `resume`: a path, or - to read it from standard input",
                self.text_bytes, self.text_checksum
            )));
        }
        if checksum != self.text_checksum {
            return Err(Error::Input(format!(
                "{} is not the text that this run was trained on: it has {} bytes, checksum {}; the run's had {}, {}; give the path of the right one before `resume`",
                text.name,
                text.len(),
                checksum,
                self.text_bytes,
                self.text_checksum
            )));
        }
        Ok(text)
    }

    fn symbols(&self, text: Text, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
        match vocabulary {
            Some(v) => Symbols::separated(text.or_for_unknown("give `extend_vocabulary` to add what is new"), v.clone(), self.separator.as_deref()),
            None => Symbols::new(text.or("train on its bytes with `bytes`"), self.kind()),
        }
    }

    /// The model of --from, extended by the symbols of the text that it does not know, and their number.
    ///
    /// # Errors
    /// If the text can't be read, or the model is of another kind.
    pub fn extended(&self, model: &Model) -> Result<(Model, u32)> {
        let symbols = Symbols::new(self.raw_text()?, Kind::Characters)?;
        let found = symbols.vocabulary().symbols().concat();
        model.extended(&found.chars().collect::<Vec<_>>(), self.training.init, self.training.seed)
    }

    /// The layout of the text, as a model's file stores it.
    pub fn trained_on(&self) -> TrainedOn {
        match (self.task, &self.separator) {
            (Some(task), _) => TrainedOn::Task(task),
            (None, Some(separator)) => TrainedOn::Separated(separator.clone()),
            (None, None) => TrainedOn::Stream,
        }
    }

    /// The tokenizer that is named, if any.
    fn tokenizer(&self) -> Result<Option<Tokenizer>> {
        self.tokens.as_deref().map(Tokenizer::open).transpose()
    }

    fn generated(&self) -> Option<Result<Symbols>> {
        self.task.map(|task| task.symbols(self.training.seed, Set::Run, self.examples.unwrap_or(0)))
    }

    fn other_sequences(&self) -> Error {
        let task = self.task.map(String::from).unwrap_or_default();
        Error::Input(format!(
            "the sequences of task {task}, seed {}, are not those that this run was trained on (checksum {}): another version of the program has begun it; go on with that",
            self.training.seed, self.text_checksum
        ))
    }

    /// The text as it is now, changed or not.
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

impl Run {
    /// Saves when training can't continue because its text can't be read. Returns the error to report.
    pub(super) fn without_text(&mut self, why: &str, observer: &mut dyn FnMut(Event<'_>)) -> Error {
        let saved = self.take_figures(true, observer).and_then(|()| self.folder.check()).and_then(|()| self.save());
        let folder = crate::phrase::argument(self.folder.path());
        match (saved, self.saved_at) {
            (Ok(()), Some(update)) => Error::Input(format!("{why}; saved after update {update}; then go on with `retrograd train --resume {folder}`")),
            (Err(e), Some(update)) => Error::Input(format!("{why}; {e}; the last checkpoint is of update {update}")),
            (_, None) => Error::Input(why.to_string()),
        }
    }
}

/// The symbols of a task, if they match the model's vocabulary.
fn fitting(symbols: Symbols, vocabulary: Option<&Vocabulary>) -> Result<Symbols> {
    match vocabulary.filter(|v| *v != symbols.vocabulary()) {
        Some(v) => Err(Error::Usage(format!(
            "{} has {} symbols of its own, the model of `from` has {} others; begin with a model of the same task",
            symbols.text().name,
            symbols.vocabulary().len(),
            v.len()
        ))),
        None => Ok(symbols),
    }
}
