//! The end of a run: its figures, forecasts, text and report.

use super::{Said, Say};
use crate::analysis::planned::Planned;
use crate::analysis::recorded::Recorded;
use crate::error::{Error, Result};
use crate::files;
use crate::forecast::Outcome;
use crate::report;
use crate::run::{End, Run, RunConfig};
use serde_json::Value;
use std::path::Path;

/// What a run has come to.
pub struct Finished {
    /// The figures: what summary.json holds.
    pub summary: Value,
    /// The forecasts of the held-out tail of series, unless the run was interrupted.
    pub forecast: Option<Outcome>,
    /// The text by the best model, if it writes any.
    pub text: String,
    /// Whether the summary and the report could be saved.
    pub saved: Result<()>,
}

/// Forecasts, samples, and writes the summary and the report; `repeat` gives the command that repeats a run. `between` hears of the forecast before the text is sampled.
///
/// # Errors
/// If the device fails.
pub fn finish(run: &mut Run, end: End, mut summary: Value, repeat: Repeat, between: &mut dyn FnMut(&Run, Option<&Outcome>), say: Say<'_>) -> Result<Finished> {
    let forecast = match if end == End::Interrupted { Ok(None) } else { run.forecast() } {
        Err(Error::Interrupted) => None,
        found => found?,
    };
    if let Some(outcome) = &forecast {
        outcome.score.extend(&mut summary);
    }
    between(run, forecast.as_ref());
    let mut saved = run.save_summary(&summary);
    let text = if end == End::Interrupted || !run.config().writes_text() { String::new() } else { sample(run, &mut summary, say)? };
    saved = saved.and_then(|()| run.save_summary(&summary)).and_then(|()| write_report(run.folder().path(), repeat));
    Ok(Finished { summary, forecast, text, saved })
}

/// The keys that differ from their defaults, and the command that repeats a run.
pub type Repeat = fn(&RunConfig) -> (Vec<String>, String);

/// The text at the end, by the best model; recorded in the summary.
fn sample(run: &mut Run, summary: &mut Value, say: Say<'_>) -> Result<String> {
    let length = run.config().sample as usize;
    let (text, update) = run.best_text(length).or_else(|e| {
        say(Said::Warning(&format!("{e}; the sample is of the last model")));
        run.text(length).map(|text| (text, run.trainer.updates()))
    })?;
    (summary["sample"], summary["sample_update"]) = (text.clone().into(), update.into());
    Ok(text)
}

/// Writes `plan.json`: the planner's decisions for a run, which its report shows.
///
/// # Errors
/// If it can't be written.
pub fn write_plan(run: &Run) -> Result<()> {
    let (task, passes) = run.trainer.task();
    let planned = Planned::of(&run.trainer.engine.plan, &task, run.trainer.settings().truncation, passes, run.device())?;
    let planned = planned.in_groups(run.trainer.settings().groups(), &run.trainer.engine.config);
    let json = serde_json::to_string(&planned).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
    files::replace(&run.folder().file("plan.json"), format!("{json}\n").as_bytes())
}

/// Writes the page of a run into its folder.
///
/// # Errors
/// If it can't be written.
pub fn write_report(folder: &Path, repeat: Repeat) -> Result<()> {
    let recorded = Recorded::load(folder, repeat)?;
    files::replace(&folder.join("report.html"), report::run::html(&recorded).as_bytes())
}
