//! The start of a run.

use super::train_flags::Args;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::EvalSet;
use crate::files;
use crate::plan::Bytes;
use crate::run::{Folder, Run, RunConfig};
use crate::store::Model;
use crate::trainer::{Corpus, Trainer};
use std::path::Path;

/// Begins a run. From now on it can be resumed if it is killed; if it can't begin, it leaves nothing.
pub(super) fn start(args: &Args, folder: Folder, config: RunConfig, corpus: Corpus, model: Option<&Model>) -> Result<Run> {
    config.save(&folder.file("config.toml"))?;
    if let Some(numbers) = corpus.validation.as_ref().filter(|_| config.training.split_seed.is_some()).and_then(EvalSet::numbers) {
        let lines: String = numbers.iter().map(|n| format!("{n}\n")).collect();
        files::replace(&folder.file("held_out.txt"), lines.as_bytes())?;
    }
    let (device, line) = Device::open(config.device)?;
    args.note(&line);
    let (settings, taken) = Run::settings(&config, &device, &corpus)?;
    let trainer = match model {
        Some(model) => Trainer::with_plan(&device, corpus, settings, None, &model.parameters),
        None => Trainer::new(&device, corpus, settings),
    };
    let trainer = trainer.map_err(|e| match e {
        Error::Setting { setting: "memory_budget", message } => {
            let beyond = if taken > 0 { format!("; beyond that, `monitor` takes {} of `memory_budget`", Bytes(taken)) } else { String::new() };
            Error::setting("memory_budget", format!("{message}{beyond}"))
        }
        e => e,
    })?;
    Run::begin(folder, config, device, trainer)
}

/// The name of a run, after its text or task.
pub(super) fn run_name(text: Option<&Path>) -> String {
    let stem = text.map_or(Some("embedded".into()), |t| t.file_stem().map(|s| s.to_string_lossy()));
    stem.map(|s| s.replace(|c: char| !c.is_alphanumeric() && !"-_.".contains(c), "-").trim_start_matches('.').to_string())
        .filter(|s| !s.is_empty())
        .unwrap_or("run".to_string())
}
