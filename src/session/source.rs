//! Finds the model that is named: the folder of a run, or a file.

use crate::data::SyntheticTask;
use crate::error::{Error, Result};
use crate::run::{BEST, Chosen, DataKind, RunConfig};
use crate::store::Model;
use std::path::{Path, PathBuf};

/// A model in the folder of a run, or in a file.
pub struct Source {
    /// The model's file.
    pub file: PathBuf,
    /// Whether it is the best of its run without having been requested.
    pub best_by_default: bool,
    /// The separator of sequences in training; none for a stream, or if unknown.
    pub separator: Option<String>,
    /// The task that it was trained on instead of a text.
    pub task: Option<SyntheticTask>,
    /// For a run, its settings.
    pub config: Option<RunConfig>,
    /// For a run, the path of its text or table.
    pub text: Option<PathBuf>,
    /// The held-out share of it.
    pub val_fraction: f64,
    /// For a run on labels, the columns of labels and texts.
    pub columns: Option<(String, Option<String>)>,
}

impl Source {
    /// Finds the model of a run, or a file.
    ///
    /// # Errors
    /// If it is not there.
    pub fn find(path: &Path, which: Chosen) -> Result<Self> {
        if path.is_file() {
            let flag = match which {
                Chosen::Best => "best",
                Chosen::Last => "last_model",
                Chosen::Default => "",
            };
            if !flag.is_empty() {
                return Err(Error::Usage(format!("`{flag}` chooses among the models of a run; {} is a file", path.display())));
            }
            let trained_on = Model::load(path)?.trained_on;
            let (separator, task) = (trained_on.separator().map(String::from), trained_on.task());
            let file = path.to_path_buf();
            return Ok(Source { file, best_by_default: false, separator, task, text: None, config: None, val_fraction: 0.0, columns: None });
        }
        if !path.is_dir() {
            let there = Path::new("runs").join(path);
            let hint = if there.is_dir() { format!("; did you mean {}?", there.display()) } else { String::new() };
            return Err(Error::Input(format!("{} is not there; give the folder of a run, or a model file{hint}", path.display())));
        }
        let config = path.join("config.toml");
        let config = if config.is_file() { Some(RunConfig::load(&config)?) } else { None };
        let file = which.file(path, config.as_ref().map_or(DataKind::Text, RunConfig::data_kind));
        if !file.exists() {
            let why = if which == Chosen::Best { "no validation has been made yet" } else { "it is not the folder of a run, or nothing has been saved yet" };
            return Err(Error::Input(format!("{} is not there: {why}", file.display())));
        }
        // A folder made by `import` has none.
        let Some(config) = config else { return Self::find(&file, Chosen::Default) };
        let config = Some(config);
        let task = config.as_ref().and_then(|c| c.task);
        let text = config.as_ref().and_then(|c| c.text.clone());
        let val_fraction = config.as_ref().map_or(0.0, |c| c.training.val_fraction);
        let columns = config.as_ref().and_then(|c| Some((c.label_column.clone()?, c.text_column.clone())));
        let separator = config.as_ref().and_then(|c| c.separator.clone());
        Ok(Source { columns, best_by_default: which == Chosen::Default && file.ends_with(BEST), file, separator, task, text, config, val_fraction })
    }

    /// Reads the model.
    ///
    /// # Errors
    /// If the file is not a complete model.
    pub fn load(&self) -> Result<Model> {
        Model::load(&self.file)
    }
}
