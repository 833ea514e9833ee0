//! Continues a run.

use super::{Asked, Said, Say, start, together};
use crate::device::{Device, DeviceSpec, ExecutionConfig, Place};
use crate::error::{Error, Result};
use crate::optimizer::Schedule;
use crate::phrase::counted;
use crate::ranks::{self, Ranks};
use crate::run::{Folder, Run, RunConfig, START, Stated, is_free};
use crate::store::{Checkpoint, Model};
use crate::trainer::{Corpus, Goal, fits};
use std::path::Path;
use std::sync::Arc;

/// A run that was opened again.
pub enum Resumed {
    /// It goes on.
    Goes(Box<Run>),
    /// There is nothing left to do; the text of its summary.json, if it was written.
    Finished(Option<String>),
}

/// Opens the run in a folder. With `again`, a finished run that was killed before it had written its summary ends once more.
///
/// # Errors
/// If it is not the folder of a run, the data has changed, or a setting contradicts the run.
pub fn resume(asked: &Asked<'_>, path: &Path, again: bool, say: Say<'_>) -> Result<Resumed> {
    let ranks = ranks::here()?;
    together::tell(&ranks, resume_by(&ranks, asked, path, again, say), |resumed| matches!(resumed, Resumed::Goes(_)))
}

fn resume_by(ranks: &Arc<Ranks>, asked: &Asked<'_>, path: &Path, again: bool, say: Say<'_>) -> Result<Resumed> {
    let folder = Folder::open(path)?;
    let file = folder.file("checkpoint.safetensors");
    if folder.file("snapshot.safetensors").exists() && !file.exists() {
        let (name, from) = (path.display(), crate::phrase::argument(path));
        return Err(Error::Input(format!(
            "{name} is a run of an earlier version, whose snapshot.safetensors this one does not read; begin one with its model: `retrograd train TEXT --from {from}`"
        )));
    }
    let mut config = RunConfig::load(&folder.file("config.toml"))?;
    let checkpoint = if file.exists() { Some(Checkpoint::load(&file)?) } else { None };
    let extended = apply(asked, &mut config, checkpoint.as_ref(), path, say)?;
    fits(ranks.count(), config.training.groups())?;
    together::check(&config, ranks, asked)?;
    let model = config.from.is_some().then(|| Model::load(&folder.file(START))).transpose()?;
    let Some(mut checkpoint) = checkpoint else {
        if folder.file("model.safetensors").exists() {
            return Err(Error::Input(format!("{} has a model but no checkpoint.safetensors: it cannot go on; begin again with another `out`", path.display())));
        }
        say(Said::Note("there is no checkpoint yet: beginning again"));
        let corpus = found(asked, &mut config, model.as_ref())?;
        return start(ranks, folder, config, corpus, model.as_ref(), say).map(|run| Resumed::Goes(Box::new(run)));
    };
    if Run::finished(&config, &checkpoint) && !extended {
        if asked.states("text") || asked.given.is_some() {
            found(asked, &mut config, model.as_ref())?;
        }
        say(Said::Note(&format!(
            "{} is finished: {}; give more `updates` (or `epochs`) to go on",
            path.display(),
            counted(checkpoint.counters.updates, "update", "updates")
        )));
        let text = summary(&folder, checkpoint.counters.updates);
        if text.is_some() || !again {
            return Ok(Resumed::Finished(text));
        }
    }
    if extended && checkpoint.progress.stopped_early {
        (checkpoint.progress.stopped_early, checkpoint.progress.since_best) = (false, 0);
        // Before the new goal is saved: killed between the two, the run does not count as finished.
        checkpoint.save(&file)?;
    }
    let corpus = found(asked, &mut config, model.as_ref())?;
    let (device, line) = open_again(config.device, &checkpoint.choices, asked.states("device"), together::place(ranks, config.training.groups()))?;
    say(Said::Note(&line));
    if device.choices() != checkpoint.choices {
        say(Said::Note(&format!(
            "note: the run was on {}; from here on bits may differ from those of a run that was not interrupted",
            checkpoint.choices.description
        )));
    }
    let metrics = folder.file("metrics.jsonl").metadata().map_or(0, |m| m.len());
    if metrics < checkpoint.progress.metrics_bytes {
        say(Said::Warning("metrics.jsonl is shorter than it was when the checkpoint was made; what is missing stays so"));
    }
    say(Said::Note(&format!("going on after update {}", checkpoint.counters.updates)));
    let mut run = Run::resume(folder, config, device, corpus, &checkpoint)?;
    run.join(|trainer, device, config| together::invite(ranks, trainer, device, config, model.as_ref()))?;
    Ok(Resumed::Goes(Box::new(run)))
}

/// Opens the device that a run was on. If it is not there now, the user must choose its replacement.
fn open_again(wish: DeviceSpec, before: &ExecutionConfig, stated: bool, place: Place) -> Result<(Device, String)> {
    let gone = |found: &str| Error::Device(format!("the run was on {}, which is not there now: {found}; go on elsewhere with `device`", before.description));
    let opened = Device::open_among(wish, Some(before), place).map_err(|e| match e {
        Error::Device(message) if !stated && before.variants.is_some() => gone(&message),
        e => e,
    });
    match opened {
        Ok((device, _)) if !stated && before.outclass(&device) => Err(gone(&format!("there is {device}"))),
        opened => opened,
    }
}

/// The text of `summary.json`, if it is that of a run that ended after `updates`.
fn summary(folder: &Folder, updates: u64) -> Option<String> {
    let text = String::from_utf8(crate::files::read(&folder.file("summary.json")).ok()?).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    (value["updates"] == updates && value["interrupted"] == false).then_some(text)
}

/// The data of the run.
fn found(asked: &Asked<'_>, config: &mut RunConfig, model: Option<&Model>) -> Result<Corpus> {
    match asked.given {
        Some(given) => config.find_given(given, model),
        None => config.find_corpus(model),
    }
}

/// Applies the settings that may change; the others must match the run. Returns whether the goal was extended.
fn apply(asked_for: &Asked<'_>, config: &mut RunConfig, checkpoint: Option<&Checkpoint>, path: &Path, say: Say<'_>) -> Result<bool> {
    let stated = asked_for.stated.clone();
    let no_separator = stated.get("separator").is_some_and(Option::is_none);
    let mut asked = RunConfig::default();
    asked.put_all(&stated)?;
    let (free, fixed): (Stated, Stated) = stated.into_iter().partition(|(key, _)| is_free(key));
    let fixed: Vec<String> = fixed.into_keys().collect();
    if let Some([key, here, there]) = asked.differences(config, &fixed).first() {
        let flag = match (key.as_str(), here.as_str()) {
            ("separator", _) if no_separator => "`stream`".to_string(),
            ("separator", "\\n") | (_, "true") => format!("`{}`", key.replace('-', "_")),
            _ => format!("`{}` {here}", key.replace('-', "_")),
        };
        return Err(Error::Usage(format!(
            "{flag} contradicts the run in {}, whose {key} is {there}; leave it out, or begin another run with `out`",
            path.display()
        )));
    }
    if let Some(task) = config.task.filter(|_| asked_for.states("text")) {
        return Err(Error::Usage(format!("the run in {} is trained on the task {task}, not on a text; leave the text out", path.display())));
    }
    if asked_for.states("tokens") && config.tokens.is_none() {
        return Err(Error::Usage(format!("the run in {} was not started with `tokens`; leave it out", path.display())));
    }
    let before = config.goal();
    if asked_for.states("updates") || asked_for.states("epochs") {
        (config.training.updates, config.training.epochs) = (None, None);
    }
    config.put_all(&free)?;
    config.check()?;
    let done = checkpoint.map_or((0, 0), |s| (s.counters.updates, s.counters.cursor.epoch));
    let (what, goal, done) = match config.goal() {
        Goal::Updates(n) => ("updates", n, done.0),
        Goal::Epochs(n) => ("epochs", n, done.1),
    };
    if config.goal() != before && goal < done {
        return Err(Error::Usage(format!("`{what}` {goal} is less than the {done} that the run in {} has done; give more to go on", path.display())));
    }
    if config.goal() != before && config.training.schedule != Schedule::Constant {
        say(Said::Note(&format!("note: the schedule {} now ends with the new goal", config.training.schedule)));
    }
    Ok(config.goal() != before && goal > done)
}
