//! The flags of `train` that are about numeric series.

use super::model::Source;
use crate::data::{ColumnSpec, Difference, Missing, Series, Sheet, Text, check_format};
use crate::error::{Error, Result, tell};
use crate::forecast::{Errors, METHODS, Method, Part, Score, scaled, significant, worse};
use crate::model::RegressionLoss;
use crate::phrase::counted;
use crate::run::RunConfig;
use serde_json::Value;
use std::path::Path;

/// Flags that turn a CSV file into series.
#[derive(clap::Args)]
pub(super) struct Flags {
    /// Forecast these columns of a CSV file, which is then read in place of a text; names apart by commas
    #[arg(long, value_name = "COLUMNS", help_heading = "Series")]
    pub(super) target: Option<String>,
    /// Columns that are read; names apart by commas, one that holds a comma in double quotes [default: all that have a name, but those of --series,
    /// --time and --ignore; they must then be numbers]
    #[arg(long, value_name = "COLUMNS", help_heading = "Series")]
    features: Option<String>,
    /// Columns that are left out
    #[arg(long, value_name = "COLUMNS", conflicts_with = "features", help_heading = "Series")]
    ignore: Option<String>,
    /// Forecast each of the next N rows, each directly [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::run::FARTHEST_AHEAD)), help_heading = "Series")]
    horizon: Option<u32>,
    /// Column that tells which series a row belongs to, where the file holds several; each begins with a state of zero
    #[arg(long, value_name = "COLUMN", help_heading = "Series")]
    series: Option<String>,
    /// Column that tells the time of a row: not read, but copied beside forecasts. Rows must be in its order, the oldest or the newest first; numbers,
    /// and most notations of dates and times, are known
    #[arg(long, value_name = "COLUMN", help_heading = "Series")]
    time: Option<String>,
    /// Rows of a season, for the seasonal naive forecast that the model is compared with [default: looked for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Series")]
    season: Option<u32>,
    /// Forecast changes from the last row known, and read changes from the row before (all, if no value is given) or values as they are (targets).
    /// `all` is right for most series with a trend, whose values go on to where none was in training; `targets` for those without one whose next
    /// value is near the last. Errors stay in the series' own units [default: what suits the training part: all where its later rows lie beyond its
    /// earlier ones, else targets where the last value forecasts better than the mean, else none]
    #[arg(long, value_enum, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all", help_heading = "Series")]
    pub(super) difference: Option<Difference>,
    /// What is minimized: the squared error, for the mean of what may come, or the absolute error, for its median and fewer surprises by outliers
    /// [default: squared]
    #[arg(long, value_enum, help_heading = "Series")]
    loss: Option<RegressionLoss>,
    #[command(flatten)]
    reading: Reading,
}

/// Flags that say how a table is written. Each is about numeric series.
#[derive(clap::Args)]
pub(super) struct Reading {
    /// What to do with empty cells: refuse the file, take the value of the row before, zero, or the training part's mean [default: refuse; where a
    /// model is used, as it was trained, or previous]
    #[arg(long, value_enum, help_heading = "Series")]
    missing: Option<Missing>,
    /// What stands between cells: one character, or \t [default: found: , ; \t or |]
    #[arg(long, value_name = "C", value_parser = delimiter, help_heading = "Series")]
    delimiter: Option<char>,
    /// What stands before a fraction: a point or a comma; the other one, spaces and apostrophes may stand between thousands [default: found]
    #[arg(long, value_name = "C", value_parser = decimal, help_heading = "Series")]
    decimal: Option<char>,
    /// How the column of time is written, as strftime has it, such as %d/%m/%Y %H:%M [default: found]
    #[arg(long, value_name = "FORMAT", value_parser = time_format, help_heading = "Series")]
    time_format: Option<String>,
}

impl Reading {
    /// The name of a flag that is given, if one is.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("missing", self.missing.is_some()),
            ("delimiter", self.delimiter.is_some()),
            ("decimal", self.decimal.is_some()),
            ("time-format", self.time_format.is_some()),
        ];
        flags.into_iter().find(|f| f.1).map(|f| f.0)
    }

    /// What a model reads of a table that is written so. A model that never met an empty cell takes the number of the row before.
    pub(super) fn of(&self, series: &Series) -> ColumnSpec {
        let own = series.asked();
        let missing = if own.missing == Missing::Refuse { Missing::Previous } else { own.missing };
        ColumnSpec {
            missing: self.missing.unwrap_or(missing),
            delimiter: self.delimiter,
            decimal: self.decimal,
            time_format: self.time_format.clone().or(own.time_format.clone()),
            ..own
        }
    }
}

impl Flags {
    /// What they say of a run.
    pub(super) fn put(&self, config: &mut RunConfig) {
        (config.target, config.features) = (self.target.clone(), self.features.clone());
        (config.horizon, config.season, config.difference, config.loss) = (self.horizon, self.season, self.difference, self.loss);
        (config.series, config.time) = (self.series.clone(), self.time.clone());
        (config.ignore, config.missing, config.delimiter) = (self.ignore.clone(), self.reading.missing, self.reading.delimiter);
        (config.decimal, config.time_format) = (self.reading.decimal, self.reading.time_format.clone());
    }
}

/// Adds the figures of forecasts to an object.
pub(super) fn extend(object: &mut Value, score: &Score) {
    if let (Some(object), Value::Object(figures)) = (object.as_object_mut(), score.json()) {
        object.extend(figures);
    }
}

/// Figures for a terminal.
pub(super) fn told(score: &Score) -> String {
    let season = match score.season {
        Some(n) => format!("season of {}", counted(n, "row", "rows")),
        None => "no season that all forecasts could look back to".to_string(),
    };
    format!("{}{} scored; {season}{}", score.table(), counted(score.steps, "step", "steps"), of_parts(&score.parts()))
}

/// Most series that a table for people tells of, and most that a note names.
const SHOWN: usize = 8;
const NAMED: usize = 3;

/// How the model does on each target of several series, where there are several, the worst beside naive first; their mean whatever the units.
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

/// A note where forecasts without a model are better: for which targets and series, the worst by name.
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

fn delimiter(text: &str) -> std::result::Result<char, String> {
    let text = if text == "\\t" || text == "tab" { "\t" } else { text };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if crate::run::stands_between(c) => Ok(c),
        _ => Err("expected one ASCII character that is no letter, digit or quote, such as ; or \\t".to_string()),
    }
}

fn decimal(text: &str) -> std::result::Result<char, String> {
    match text {
        "." => Ok('.'),
        "," => Ok(','),
        _ => Err("expected . or ,".to_string()),
    }
}

fn time_format(text: &str) -> std::result::Result<String, String> {
    check_format(text).map(|()| text.to_string()).map_err(|e| format!("expected a notation of strftime, such as %d/%m/%Y %H:%M; {e}"))
}

/// The data that a command is given, or that of the run.
pub(super) fn sheet(source: &Source, data: Option<&Path>, series: &Series, reading: &Reading, quiet: bool) -> Result<Sheet> {
    let own = source.text.as_deref();
    let path = data.or(own).ok_or_else(|| Error::Usage("no data given; give the path of a CSV file after the model".to_string()))?;
    let text = Text::open(path).map_err(|e| match e {
        Error::Input(message) if data.is_none() => Error::Input(format!("{message}; if the run's data has moved, give its new path after the run")),
        e => e,
    })?;
    let sheet = Sheet::read(&text, &reading.of(series))?;
    say_notes(&sheet.notes, quiet);
    Ok(sheet)
}

/// What was found in a table, a line each.
pub(super) fn say_notes(notes: &[String], quiet: bool) {
    if !quiet {
        notes.iter().for_each(|n| tell(&format!("note: {n}")));
    }
}
