//! The start of a training by several processes: rank 0 begins or opens the run, and tells the others what they need to do their part.

use super::Asked;
use crate::device::{Device, Place};
use crate::error::{Error, Result};
use crate::files;
use crate::host;
use crate::ranks::{self, Packed, Ranks, Unpacked};
use crate::run::{RunConfig, is_free};
use crate::store::{Checkpoint, Model};
use crate::trainer::Trainer;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What must be the same on all ranks: a name, and what it is.
type Identity = Vec<(&'static str, String)>;

/// Checks that all ranks are the same program, on processors alike, with the same settings. All ranks call it, first of all.
///
/// # Errors
/// `own`, if it is one on any rank; [`Error::Usage`] if a rank differs.
pub fn meet(asked: Result<&Asked<'_>>, resumes: bool) -> Result<()> {
    let ranks = ranks::here()?;
    if !ranks.several() {
        return asked.map(drop);
    }
    ranks.renew();
    let identity = asked.and_then(|asked| identity(asked, resumes));
    let text = |identity: Identity| identity.into_iter().map(|(name, what)| format!("{name}\t{what}\n")).collect::<String>().into_bytes();
    let all = ranks.share(identity.map(text))?;
    let lines = |i: usize| String::from_utf8_lossy(&all[i]).into_owned();
    let first = lines(0);
    for rank in 1..all.len() {
        let other = lines(rank);
        let differs = first.lines().zip(other.lines()).find(|(a, b)| a != b);
        if let Some(((name, here), (_, there))) = differs.and_then(|(a, b)| Some((a.split_once('\t')?, b.split_once('\t')?))) {
            return Err(Error::Usage(format!(
                "{} has another {name} than rank 0: {there}, not {here}; start the same program with the same settings everywhere",
                ranks.name(rank as u32)
            )));
        }
    }
    Ok(())
}

fn identity(asked: &Asked<'_>, resumes: bool) -> Result<Identity> {
    let program = std::env::current_exe().ok().and_then(|path| files::read(&path).ok()).map_or(String::new(), |bytes| files::checksum([bytes.as_slice()]));
    // Where its text lies may differ; its checksum is compared later.
    let fixed: Vec<String> = asked.stated.iter().filter(|(key, _)| !is_free(key)).map(|(key, value)| format!("{key}={value:?}")).collect();
    let file = asked.file.map(files::read).transpose()?.map_or(String::new(), |bytes| files::checksum([bytes.as_slice()]));
    Ok(vec![
        ("program", format!("version {}, checksum {program}", env!("CARGO_PKG_VERSION"))),
        ("processor", host::vector_units()),
        ("settings", format!("{}{}", fixed.join(" "), if resumes { ", resumed" } else { "" })),
        ("file of settings", file),
    ])
}

/// The place of this process, for its device.
pub(super) fn place(ranks: &Ranks, groups: u32) -> Place {
    Place { local: ranks.local(), groups, machines: ranks.machines() }
}

/// Checks what only one process can do.
///
/// # Errors
/// [`Error::Usage`] for the first of it.
pub(super) fn check(config: &RunConfig, ranks: &Ranks, asked: &Asked<'_>) -> Result<()> {
    if !ranks.several() {
        return Ok(());
    }
    if asked.stated.get("text").is_some_and(|text| text.as_ref().and_then(|t| t.as_str()) == Some("-")) {
        return Err(Error::Usage("a text through a pipe reaches the first of several processes alone; give the path of a file".to_string()));
    }
    if config.monitor.is_some() {
        return Err(Error::setting("monitor", "`monitor` looks at the gradient in one process; leave it out where several train together"));
    }
    Ok(())
}

/// Rank 0 tells the others what a run begins or goes on with, and waits until all are ready.
pub(super) fn invite(ranks: &Arc<Ranks>, trainer: &mut Trainer, device: &Device, config: &RunConfig, model: Option<&Model>) -> Result<()> {
    ranks.wait_at_most(config.rank_timeout);
    if ranks.several() {
        let start = Checkpoint {
            config: trainer.engine.config,
            plan: trainer.engine.plan,
            choices: device.choices(),
            groups: config.training.groups(),
            ranks: ranks.count(),
            counters: trainer.counters(),
            progress: Default::default(),
            settings: config.toml()?,
            parameters: trainer.engine.parameters()?,
            memory: trainer.memory()?,
        };
        let (start, model) = (start.to_bytes()?, model.map(Model::to_bytes).unwrap_or_default());
        let mut packed = Packed::default();
        packed.count(start.len());
        packed.0.extend(start);
        packed.0.extend(model);
        ranks.from_first(Some(Ok(packed.0)))?;
        ranks.agree(Ok(()))?;
    }
    trainer.share(ranks.clone())
}

/// Tells the others that a run can't begin, or that there is nothing to do.
pub(super) fn tell<T>(ranks: &Ranks, done: Result<T>, goes: impl Fn(&T) -> bool) -> Result<T> {
    if ranks.several() && !ranks.is_invited() {
        match &done {
            Err(e) => drop(ranks.from_first(Some(Err(e.clone())))),
            Ok(run) if !goes(run) => drop(ranks.from_first(Some(Ok(Vec::new())))),
            Ok(_) => {}
        }
    }
    done
}

/// Trains on another rank than the first, which writes all files and says all there is to say. Returns the exit code, the same as that of the first.
///
/// # Errors
/// If ranks can't be reached.
pub fn follow(asked: &Asked<'_>, interrupt: Arc<AtomicBool>, detect_anomalies: bool) -> Result<u8> {
    let ranks = ranks::here()?;
    let start = match ranks.from_first(None) {
        Err(e) => return Ok(e.exit_code()),
        Ok(bytes) if bytes.is_empty() => return Ok(0),
        Ok(bytes) => bytes,
    };
    let built = build(asked, &ranks, &start);
    let outcome = ranks.agree(built.as_ref().map(drop).map_err(Clone::clone));
    let mut trainer = match (outcome, built) {
        (Ok(()), Ok(trainer)) => trainer,
        (Err(e), _) | (_, Err(e)) => return Ok(e.exit_code()),
    };
    trainer.set_interrupt(interrupt);
    if detect_anomalies {
        trainer.engine.detect_anomalies();
    }
    trainer.follow()
}

/// A trainer like that of rank 0.
fn build(asked: &Asked<'_>, ranks: &Arc<Ranks>, bytes: &[u8]) -> Result<Trainer> {
    let mut unpacked = Unpacked(bytes);
    let length = unpacked.count();
    let (start, model) = unpacked.0.split_at(length.min(unpacked.0.len()));
    let start = Checkpoint::from_bytes(start)?;
    let model = if model.is_empty() { None } else { Some(Model::from_bytes(model)?) };
    let mut config = RunConfig::parse(&start.settings)?;
    if let Some(Some(text)) = asked.stated.get("text") {
        config.text = text.as_str().map(PathBuf::from);
    }
    ranks.wait_at_most(config.rank_timeout);
    let corpus = match asked.given {
        Some(given) => config.find_given(given, model.as_ref())?,
        None => config.find_corpus(model.as_ref())?,
    };
    let (device, _) = Device::open_among(config.device, Some(&start.choices), place(ranks, start.groups))?;
    let choices = device.choices();
    if choices != start.choices {
        return Err(Error::Usage(format!(
            "it would compute on {}, and rank 0 on {}, whose last bits differ; give all ranks the same kind of device and the same driver",
            choices.description, start.choices.description
        )));
    }
    let mut trainer = Trainer::with_plan(&device, corpus, config.training, Some(start.plan), &start.parameters)?;
    trainer.share(ranks.clone())?;
    trainer.restore(start.counters, &start.memory)?;
    Ok(trainer)
}
