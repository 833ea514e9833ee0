//! Finding the model that a command is given: the folder of a run, or a file.

use crate::data::Task;
use crate::error::{Error, Result};
use crate::run::RunConfig;
use crate::store::Model;
use std::path::{Path, PathBuf};

pub(super) struct Source {
    /// The model's file.
    pub file: PathBuf,
    /// What stood between sequences in training; none for a stream, or if that is not known.
    pub separator: Option<String>,
    /// The task that it was trained on in place of a text.
    pub task: Option<Task>,
    /// Of a run, the path of its text or table, and the part of that which is held out.
    pub text: Option<PathBuf>,
    pub val_fraction: f64,
    /// Of a run on labels, the columns of labels and texts.
    pub columns: Option<(String, Option<String>)>,
}

impl Source {
    pub(super) fn find(path: &Path, best: bool) -> Result<Self> {
        if path.is_file() {
            if best {
                return Err(Error::Usage(format!("--best chooses among the models of a run; {} is a file", path.display())));
            }
            let trained_on = Model::load(path)?.trained_on;
            let (separator, task) = (trained_on.separator().map(String::from), trained_on.task());
            return Ok(Source { file: path.to_path_buf(), separator, task, text: None, val_fraction: 0.0, columns: None });
        }
        if !path.is_dir() {
            let there = Path::new("runs").join(path);
            let hint = if there.is_dir() { format!("; did you mean {}?", there.display()) } else { String::new() };
            return Err(Error::Input(format!("{} is not there; give the folder of a run, or a model file{hint}", path.display())));
        }
        let file = path.join(if best { "best.safetensors" } else { "model.safetensors" });
        if !file.exists() {
            let why = if best { "no validation has been made yet" } else { "it is not the folder of a run, or nothing has been saved yet" };
            return Err(Error::Input(format!("{} is not there: {why}", file.display())));
        }
        let config = path.join("config.toml");
        // A folder of `import` has none.
        if !config.is_file() {
            return Self::find(&file, false);
        }
        let config = Some(RunConfig::load(&config)?);
        let task = config.as_ref().and_then(|c| c.task);
        let text = config.as_ref().and_then(|c| c.text.clone());
        let val_fraction = config.as_ref().map_or(0.0, |c| c.val_fraction);
        let columns = config.as_ref().and_then(|c| Some((c.label_column.clone()?, c.text_column.clone())));
        Ok(Source { columns, file, separator: config.and_then(|c| c.separator), task, text, val_fraction })
    }

    pub(super) fn load(&self) -> Result<Model> {
        Model::load(&self.file)
    }
}
