//! The settings of a training, merged with those of the model that it begins with.

use super::{Asked, Said, Say, Source};
use crate::error::{Error, Result};
use crate::run::{Chosen, DataKind, Given, RunConfig};
use crate::store::Model;
use crate::trainer::{Corpus, fits};

/// Settings, checked as a whole.
pub struct Prepared {
    /// The settings.
    pub config: RunConfig,
    /// The model of `from`.
    pub model: Option<Model>,
    /// Whether the data may decide a setting that is not stated: for numeric series the number of lanes, for labels the learning rate.
    pub free: bool,
}

impl Prepared {
    /// The stated settings, else those of the file, with the model of `from`.
    ///
    /// # Errors
    /// If a setting is not possible, or the model can't be read or contradicts one.
    pub fn of(asked: &Asked<'_>, say: Say<'_>) -> Result<Self> {
        let (mut config, stated) = RunConfig::merged(asked.stated, asked.file)?;
        let states = |key: &str| stated.iter().any(|s| s == key);
        let free = match config.data_kind() {
            DataKind::Series => !states("batch"),
            DataKind::Labels => !states("lr"),
            DataKind::Text | DataKind::Task => false,
        };
        let Some(path) = config.from.clone() else { return Ok(Prepared { config, model: None, free }) };
        let source = Source::find(&path, Chosen::Default)?;
        let mut model = source.load()?;
        if config.separator.is_none() && config.writes_text() && !states("separator") {
            config.separator = source.separator;
            if let Some(separator) = &config.separator {
                config.training.split_seed = config.training.split_seed.or(Some(0));
                say(Said::Note(&format!(
                    "sequences with {separator:?} between them, as the model of `from` was trained; `stream` reads the text as one stream"
                )));
            }
        }
        if config.extend_vocabulary {
            let added;
            (model, added) = config.extended(&model)?;
            say(Said::Note(&format!("{added} new symbols: the model of `from` now knows {}", model.config.input.symbols())));
        }
        if config.tokens.is_some() {
            return Err(Error::Usage(format!("the model of `from` {} has its own symbols; leave `tokens` out", path.display())));
        }
        if config.training.split_seed.is_some() && !states("split-seed") {
            // The part that run held out was not trained on, and stays held out.
            config.training.split_seed = model.split_seed.or(config.training.split_seed);
        }
        let before = config.clone();
        config.take_architecture(&model);
        let stated: Vec<String> =
            stated.into_iter().filter(|s| ["hidden", "layers", "cell", "activation", "no-bias", "bytes", "embed"].contains(&s.as_str())).collect();
        if let Some([key, here, there]) = before.differences(&config, &stated).first() {
            return Err(Error::Usage(format!("{key} {here} contradicts the model of `from` {}, whose {key} is {there}; leave it out", path.display())));
        }
        Ok(Prepared { config, model: Some(model), free })
    }

    /// Sets the lane groups for so many processes, unless they are stated.
    ///
    /// # Errors
    /// If the groups can't be shared out.
    pub fn join(&mut self, ranks: u32) -> Result<()> {
        let settings = &mut self.config.training;
        if ranks > 1 && settings.lane_groups.is_none() {
            settings.lane_groups = Some(ranks);
        }
        fits(ranks, settings.groups())?;
        self.config.check()
    }

    /// Opens the data.
    ///
    /// # Errors
    /// If it can't be read, or does not fit.
    pub fn open(&mut self, given: Option<&Given>) -> Result<Corpus> {
        match given {
            Some(given) => self.config.open_given(given, self.model.as_ref(), self.free),
            None => self.config.open_corpus(self.model.as_ref(), self.free),
        }
    }
}
