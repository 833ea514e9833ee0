//! The start of a run.

use super::{Asked, Prepared, Said, Say, together};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::evaluate::EvalSet;
use crate::files;
use crate::plan::Bytes;
use crate::ranks::{self, Ranks};
use crate::run::{Folder, Run, RunConfig, START};
use crate::store::Model;
use crate::trainer::{Corpus, Trainer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Begins a run, in a folder of its own.
///
/// # Errors
/// If a setting is not possible, the data can't be read, the folder exists, or the device refuses; nothing is left then.
pub fn begin(asked: &Asked<'_>, say: Say<'_>) -> Result<Run> {
    let ranks = ranks::here()?;
    together::tell(&ranks, begin_by(&ranks, asked, say), |_| true)
}

fn begin_by(ranks: &Arc<Ranks>, asked: &Asked<'_>, say: Say<'_>) -> Result<Run> {
    let mut prepared = Prepared::of(asked, say)?;
    prepared.join(ranks.count())?;
    together::check(&prepared.config, ranks, asked)?;
    let (known, tokenizer) = (prepared.config.text_checksum.clone(), prepared.config.tokens_checksum.clone());
    let corpus = prepared.open(asked.given)?;
    let Prepared { config, model, .. } = prepared;
    if asked.given.is_none() && !known.is_empty() && known != config.text_checksum {
        say(Said::Warning(&format!("{} is not the text that the configuration was written for: its checksum is another", corpus.content.name())));
    }
    if tokenizer.is_some() && tokenizer != config.tokens_checksum {
        say(Said::Warning("the tokenizer is not the one that the configuration was written for: its checksum is another"));
    }
    if let Some(symbols) = corpus.content.symbols() {
        symbols.notes().iter().for_each(|note| say(Said::Note(note)));
    }
    for note in &corpus.notes {
        say(note.strip_prefix("warning: ").map_or(Said::Note(note), Said::Warning));
    }
    let piped = config.text.is_none() && config.task.is_none() && asked.given.is_none() && asked.states("text");
    if piped {
        let name = corpus.content.name();
        say(Said::Note(&format!("note: {name} is kept nowhere: to go on with the run later, give the text again before `resume`")));
    }
    // Refuses what must be refused before anything is created.
    let folder = match asked.out {
        Some(path) => Folder::create(path)?,
        None => {
            let task = config.task.map(|t| PathBuf::from(t.to_string()));
            let piped = piped.then_some(Path::new("piped"));
            Folder::create_new(&run_name(task.as_deref().or(piped).or(config.text.as_deref())))?
        }
    };
    if let (Some(model), Some(path)) = (&model, &config.from) {
        model.save(&folder.file(START))?;
        say(Said::Note(&format!("beginning with the weights of {}", path.display())));
    }
    start(ranks, folder, config, corpus, model.as_ref(), say)
}

/// Begins a run in its folder. From now on it can be resumed if it is killed; if it can't begin, it leaves nothing.
///
/// # Errors
/// If the folder can't be written, or the device refuses.
pub fn start(ranks: &Arc<Ranks>, folder: Folder, config: RunConfig, corpus: Corpus, model: Option<&Model>, say: Say<'_>) -> Result<Run> {
    config.save(&folder.file("config.toml"))?;
    if let Some(numbers) = corpus.validation.as_ref().filter(|_| config.training.split_seed.is_some()).and_then(EvalSet::numbers) {
        let lines: String = numbers.iter().map(|n| format!("{n}\n")).collect();
        files::replace(&folder.file("held_out.txt"), lines.as_bytes())?;
    }
    let (device, line) = Device::open_among(config.device, None, together::place(ranks, config.training.groups()))?;
    say(Said::Note(&line));
    let (settings, taken) = Run::settings(&config, &device, &corpus)?;
    let trainer = match model {
        Some(model) => Trainer::with_plan(&device, corpus, settings, None, &model.parameters),
        None => Trainer::new(&device, corpus, settings),
    };
    let mut trainer = trainer.map_err(|e| match e {
        Error::Setting { setting: "memory_budget", message } => {
            let beyond = if taken > 0 { format!("; beyond that, `monitor` takes {} of `memory_budget`", Bytes(taken)) } else { String::new() };
            Error::setting("memory_budget", format!("{message}{beyond}"))
        }
        e => e,
    })?;
    together::invite(ranks, &mut trainer, &device, &config, model)?;
    Run::begin(folder, config, device, trainer)
}

/// The name of a run, after its text or task.
pub fn run_name(text: Option<&Path>) -> String {
    let stem = text.map_or(Some("embedded".into()), |t| t.file_stem().map(|s| s.to_string_lossy()));
    stem.map(|s| s.replace(|c: char| !c.is_alphanumeric() && !"-_.".contains(c), "-").trim_start_matches('.').to_string())
        .filter(|s| !s.is_empty())
        .unwrap_or("run".to_string())
}
