//! `retrograd train`

use super::messages::{announce, closing};
use super::progress::Progress;
use super::signals::interruptible;
use super::start::{run_name, start};
use super::tell;
use super::train_flags::Args;
use super::{print_json, report, resume, say};
use crate::error::{Error, Result};
use crate::run::{End, Folder, Run, START};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

pub(super) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let interrupt = interruptible()?;
    let prepared = match &args.resume {
        Some(path) => resume::resume(args, path)?,
        None => Some(begin(args)?),
    };
    let Some(mut run) = prepared else { return Ok(()) };
    run.trainer.set_interrupt(interrupt.clone());
    announce(args, &mut run);
    if let Err(e) = report::write_plan(&run) {
        tell(&format!("warning: {e}; the report will not show the plan"));
    }
    if args.profile {
        run.profile();
    }
    if args.detect_anomaly {
        run.detect_anomalies();
    }
    let seconds_setup = start.elapsed().as_secs_f64();
    let mut progress = Progress::new(&mut run, args.quiet);
    let folder = run.folder().path().to_path_buf();
    let (mut run, end) = run.train_on(args.on_device_lost, &mut |event| progress.show(event)).inspect_err(|_| {
        // The report shows what led to the failure, which is reported anyway.
        let _ = report::write(&folder);
    })?;
    progress.finish();
    let mut summary = run.summary(end, seconds_setup)?;
    if let Some((profile, updates)) = run.take_profile() {
        summary["profile"] = crate::report::profile::json(&profile, updates);
        args.note(&crate::report::profile::table(&profile, updates));
    }
    let forecast = if end == End::Interrupted { None } else { run.forecast()? };
    if let Some(outcome) = &forecast {
        super::series::extend(&mut summary, &outcome.score);
    }
    closing(args, &run, end, forecast.as_ref());
    let mut saved = run.save_summary(&summary);
    let text = if end == End::Interrupted || !run.config().writes_text() { String::new() } else { sample(&mut run, &mut summary)? };
    saved = saved.and_then(|()| run.save_summary(&summary)).and_then(|()| report::write(run.folder().path()));
    if args.json {
        print_json(&summary)?;
    } else if !text.is_empty() {
        say(&text);
    }
    saved?;
    let learned = run.learned();
    if interrupt.load(Ordering::Relaxed) {
        learned.unwrap_or_else(|e| tell(&format!("warning: {e}")));
        return Err(Error::Interrupted);
    }
    learned
}

/// The text at the end, by the best model; recorded in the summary.
fn sample(run: &mut Run, summary: &mut serde_json::Value) -> Result<String> {
    let length = run.config().sample as usize;
    let (text, update) = run.best_text(length).or_else(|e| {
        tell(&format!("warning: {e}; the sample is of the last model"));
        run.text(length).map(|text| (text, run.trainer.updates()))
    })?;
    (summary["sample"], summary["sample_update"]) = (text.clone().into(), update.into());
    Ok(text)
}

fn begin(args: &Args) -> Result<Run> {
    let (mut config, model, free) = args.prepared()?;
    let (known, tokenizer) = (config.text_checksum.clone(), config.tokens_checksum.clone());
    let corpus = config.open_corpus(model.as_ref(), free)?;
    if !known.is_empty() && known != config.text_checksum {
        tell(&format!("warning: {} is not the text that the configuration was written for: its checksum is another", corpus.content.name()));
    }
    if tokenizer.is_some() && tokenizer != config.tokens_checksum {
        tell("warning: the tokenizer is not the one that the configuration was written for: its checksum is another");
    }
    if let Some(symbols) = corpus.content.symbols() {
        symbols.notes().iter().for_each(|note| args.note(note));
    }
    for note in &corpus.notes {
        if note.starts_with("warning") { tell(note) } else { args.note(note) }
    }
    let piped = config.text.is_none() && config.task.is_none() && args.text.is_some();
    if piped {
        args.note(&format!("note: {} is kept nowhere: to go on with the run later, give the text again before --resume", corpus.content.name()));
    }
    // Refuses what must be refused before anything is created.
    let folder = match &args.out {
        Some(path) => Folder::create(path)?,
        None => {
            let task = config.task.map(|t| PathBuf::from(t.to_string()));
            let piped = piped.then_some(Path::new("piped"));
            Folder::create_new(&run_name(task.as_deref().or(piped).or(config.text.as_deref())))?
        }
    };
    if let (Some(model), Some(path)) = (&model, &config.from) {
        model.save(&folder.file(START))?;
        args.note(&format!("beginning with the weights of {}", path.display()));
    }
    start(args, folder, config, corpus, model.as_ref())
}
