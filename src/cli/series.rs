//! Numeric series: flags for the format of a table, and messages about forecasts.

use super::settings::{Flags, List};
use super::tell;
use crate::data::{ColumnSpec, Missing, Series, Sheet, Text};
use crate::error::{Error, Result};
use crate::forecast::{Errors, METHODS, Method, Part, Score, scaled, significant, worse};
use crate::phrase::counted;
use crate::run::RunConfig;
use crate::session::Source;
use crate::setting::Setting;
use std::path::Path;

/// The settings for the format of a table.
pub(super) struct Written;

impl List for Written {
    fn has(setting: &Setting) -> bool {
        ["missing", "delimiter", "decimal", "time_format"].contains(&setting.name)
    }
}

/// Flags for the format of a table.
pub(super) type Reading = Flags<Written>;

impl Reading {
    /// The name of a flag that is given, if any.
    pub(super) fn given(&self) -> Option<&str> {
        self.stated.keys().next().map(String::as_str)
    }

    /// The columns that a model reads from a table of this format. A model that never met an empty cell takes the value of the row before.
    pub(super) fn of(&self, series: &Series) -> Result<ColumnSpec> {
        let own = series.asked();
        let missing = if own.missing == Missing::Refuse { Missing::Previous } else { own.missing };
        let mut stated = RunConfig::default();
        stated.put_all(&self.stated)?;
        Ok(ColumnSpec {
            missing: stated.missing.unwrap_or(missing),
            delimiter: stated.delimiter,
            decimal: stated.decimal,
            time_format: stated.time_format.or(own.time_format.clone()),
            ..own
        })
    }
}

/// Figures for a terminal.
pub(super) fn told(score: &Score) -> String {
    let season = match score.season {
        Some(n) => format!("season of {}", counted(n, "row", "rows")),
        None => "no season that all forecasts could look back to".to_string(),
    };
    let bands = score.quantiles.as_ref().map_or(String::new(), |q| q.told());
    let relative = score.relative.as_ref().map_or(String::new(), |r| r.told());
    format!("{}{} scored; {season}{relative}{bands}{}", score.table(), counted(score.steps, "step", "steps"), of_parts(&score.parts()))
}

/// Most series in a table for people, and most that a note names.
const SHOWN: usize = 8;
const NAMED: usize = 3;

/// The errors for each target of several series, if there are several, the worst relative to naive first; and their mean ratio, free of units.
fn of_parts(parts: &[Part<'_>]) -> String {
    let times = |figure: fn(&Errors) -> f64| scaled(parts, figure).map_or("-".to_string(), significant);
    if parts.len() < 2 {
        return String::new();
    }
    let what = if parts[0].series.is_some() { "series and targets" } else { "targets" };
    let mean = format!("mean over {} {what}: RMSE is {} times that of naive, MAE {} times", parts.len(), times(Errors::rmse), times(Errors::mae));
    if parts[0].series.is_none() {
        return format!("\n{mean}");
    }
    let mut order: Vec<&Part<'_>> = parts.iter().collect();
    let key = |p: &Part<'_>| p.scaled(Errors::rmse).map_or(f64::NEG_INFINITY, |x| if x.is_nan() { f64::INFINITY } else { x });
    order.sort_by(|a, b| key(b).total_cmp(&key(a)));
    order.truncate(SHOWN);
    let wide = order.iter().map(|p| p.name().chars().count()).max().unwrap_or(0);
    let left = parts.len() - order.len();
    let mut out = format!("\n{:<wide$} {:>11} {:>11} {:>11}", "worst first", "RMSE", "naive", "seasonal");
    for part in order {
        let cells = METHODS.map(|m| part.of(m).map_or("-".to_string(), |e| significant(e.rmse()))).map(|s| format!("{s:>11}")).join(" ");
        out += &format!("\n{:<wide$} {cells}", part.name());
    }
    let more = if left > 0 { format!("\n{left} more, better ones, are in --json") } else { String::new() };
    format!("{out}{more}\n{mean}")
}

/// A note if forecasts without a model are better: the targets and series concerned, the worst by name.
pub(super) fn beaten(score: &Score) -> Option<String> {
    let parts = score.parts();
    let worst = worse(&parts);
    let first = worst.first()?;
    let one = |p: &Part<'_>| {
        let method = p.better()?;
        let rmse = |m| p.of(m).map(|e| significant(e.rmse())).unwrap_or_default();
        let name = if method == Method::Naive { "naive" } else { "seasonal naive" };
        Some(format!("{} (RMSE {}, {name} {})", p.name(), rmse(Method::Model), rmse(method)))
    };
    let named: Vec<String> = worst.iter().take(NAMED).filter_map(one).collect();
    let what = if first.series.is_some() { "series and targets" } else { "targets" };
    let of = if parts.len() == 1 { String::new() } else { format!(" {} of {} {what}:", worst.len(), parts.len()) };
    let more = if worst.len() > NAMED { ", ..." } else { "" };
    Some(format!("note: a forecast without a model is better for{of} {}{more}", named.join(", ")))
}

/// The data that a command is given, or else that of the run.
pub(super) fn sheet(source: &Source, data: Option<&Path>, series: &Series, reading: &Reading, quiet: bool) -> Result<Sheet> {
    let own = source.text.as_deref();
    let path = data.or(own).ok_or_else(|| Error::Usage("no data given; give the path of a CSV file after the model".to_string()))?;
    let text = Text::open(path).map_err(|e| match e {
        Error::Input(message) if data.is_none() => Error::Input(format!("{message}; if the run's data has moved, give its new path after the run")),
        e => e,
    })?;
    let sheet = Sheet::read(&text, &reading.of(series)?)?;
    say_notes(&sheet.notes, quiet);
    Ok(sheet)
}

/// Prints the notes on a table, one per line.
pub(super) fn say_notes(notes: &[String], quiet: bool) {
    if !quiet {
        notes.iter().for_each(|n| tell(&format!("note: {n}")));
    }
}
