//! `retrograd train --resume`: continues a run.

use super::say;
use super::start::start;
use super::tell;
use super::train_flags::Args;
use crate::device::{Device, DeviceSpec, ExecutionConfig};
use crate::error::{Error, Result};
use crate::optimizer::Schedule;
use crate::phrase::counted;
use crate::run::{Folder, Run, RunConfig, START, Stated, is_free};
use crate::store::{Checkpoint, Model};
use crate::trainer::Goal;
use std::path::Path;

/// Opens the run in a folder; none if there is nothing left to do.
pub(super) fn resume(args: &Args, path: &Path) -> Result<Option<Run>> {
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
    let extended = apply(args, &mut config, checkpoint.as_ref(), path)?;
    let model = config.from.is_some().then(|| Model::load(&folder.file(START))).transpose()?;
    let Some(mut checkpoint) = checkpoint else {
        if folder.file("model.safetensors").exists() {
            return Err(Error::Input(format!("{} has a model but no checkpoint.safetensors: it cannot go on; begin again with another --out", path.display())));
        }
        args.note("there is no checkpoint yet: beginning again");
        let corpus = config.find_corpus(model.as_ref())?;
        return start(args, folder, config, corpus, model.as_ref()).map(Some);
    };
    if Run::finished(&config, &checkpoint) && !extended {
        if args.text.is_some() {
            config.find_corpus(model.as_ref())?;
        }
        args.note(&format!(
            "{} is finished: {}; give more --updates (or --epochs) to go on",
            path.display(),
            counted(checkpoint.counters.updates, "update", "updates")
        ));
        let text = summary(&folder, checkpoint.counters.updates);
        if args.json
            && let Some(text) = &text
        {
            say(text);
        }
        // Killed before its summary was written: it ends once more.
        if text.is_some() || !args.json {
            return Ok(None);
        }
    }
    if extended && checkpoint.progress.stopped_early {
        (checkpoint.progress.stopped_early, checkpoint.progress.since_best) = (false, 0);
        // Before the new goal is saved: killed between the two, the run does not count as finished.
        checkpoint.save(&file)?;
    }
    let corpus = config.find_corpus(model.as_ref())?;
    let (device, line) = open_again(config.device, &checkpoint.choices, args.settings.has("device"))?;
    args.note(&line);
    if device.choices() != checkpoint.choices {
        args.note(&format!(
            "note: the run was on {}; from here on bits may differ from those of a run that was not interrupted",
            checkpoint.choices.description
        ));
    }
    let metrics = std::fs::metadata(folder.file("metrics.jsonl")).map_or(0, |m| m.len());
    if metrics < checkpoint.progress.metrics_bytes {
        tell("warning: metrics.jsonl is shorter than it was when the checkpoint was made; what is missing stays so");
    }
    args.note(&format!("going on after update {}", checkpoint.counters.updates));
    Run::resume(folder, config, device, corpus, &checkpoint).map(Some)
}

/// Opens the device that a run was on. If it is not there now, the user must choose its replacement.
fn open_again(wish: DeviceSpec, before: &ExecutionConfig, stated: bool) -> Result<(Device, String)> {
    let gone = |found: &str| Error::Device(format!("the run was on {}, which is not there now: {found}; go on elsewhere with --device", before.description));
    let opened = Device::open_again(wish, Some(before)).map_err(|e| match e {
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

/// Applies the flags that may change; the others must match the run. Returns whether the goal was extended.
fn apply(args: &Args, config: &mut RunConfig, checkpoint: Option<&Checkpoint>, path: &Path) -> Result<bool> {
    let stated = args.stated()?;
    let mut asked = RunConfig::default();
    asked.put_all(&stated)?;
    let (free, fixed): (Stated, Stated) = stated.into_iter().partition(|(key, _)| is_free(key));
    let fixed: Vec<String> = fixed.into_keys().collect();
    if let Some([key, here, there]) = asked.differences(config, &fixed).first() {
        let flag = match (key.as_str(), here.as_str()) {
            ("separator", _) if args.lines => "--lines".to_string(),
            ("separator", _) if args.stream => "--stream".to_string(),
            ("table-as-text", _) => "--text".to_string(),
            (_, "true") => format!("--{key}"),
            _ => format!("--{key} {here}"),
        };
        return Err(Error::Usage(format!(
            "{flag} contradicts the run in {}, whose {key} is {there}; leave it out, or begin another run with --out",
            path.display()
        )));
    }
    if let Some(task) = config.task.filter(|_| args.text.is_some()) {
        return Err(Error::Usage(format!("the run in {} is trained on the task {task}, not on a text; leave the text out", path.display())));
    }
    if args.settings.has("tokens") && config.tokens.is_none() {
        return Err(Error::Usage(format!("the run in {} was not started with --tokens; leave it out", path.display())));
    }
    let before = config.goal();
    if args.settings.has("updates") || args.settings.has("epochs") {
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
        return Err(Error::Usage(format!("--{what} {goal} is less than the {done} that the run in {} has done; give more to go on", path.display())));
    }
    if config.goal() != before && config.training.schedule != Schedule::Constant {
        args.note(&format!("note: the schedule {} now ends with the new goal", config.training.schedule));
    }
    Ok(config.goal() != before && goal > done)
}
