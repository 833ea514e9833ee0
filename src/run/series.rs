//! Runs on numeric series: how their configuration describes a table.

use super::{Chosen, Given, Run, RunConfig};
use crate::data::{ColumnSpec, Difference, Series, SeriesSpec, Sheet, Table, cells, check_format};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::files;
use crate::forecast::{Forecasts, Outcome};
use crate::model::Quantiles;
use crate::store::Model;
use std::sync::atomic::Ordering;

/// Settings of numeric series that tables of sequences with labels share.
pub(super) const OF_NUMBERS: [&str; 5] = ["features", "ignore", "missing", "delimiter", "decimal"];

/// Most rows to forecast ahead.
const FARTHEST_AHEAD: u32 = 10_000;

impl RunConfig {
    /// The specification of the table; none if symbols are trained on.
    ///
    /// # Errors
    /// [`Error::Usage`] if a list of columns can't be read.
    pub fn wanted(&self) -> Result<Option<SeriesSpec>> {
        let Some(target) = &self.target else { return Ok(None) };
        let asked = ColumnSpec {
            targets: names("target", target)?,
            features: self.features.as_ref().map(|f| names("features", f)).transpose()?,
            ignored: self.ignore.as_ref().map(|i| names("ignore", i)).transpose()?.unwrap_or_default(),
            series: self.series.clone(),
            time: self.time.clone(),
            time_format: self.time_format.clone(),
            missing: self.missing.unwrap_or_default(),
            delimiter: self.delimiter,
            decimal: self.decimal,
            ..ColumnSpec::default()
        };
        let horizon = self.horizon.unwrap_or(1);
        let (loss, quantiles) = (self.loss.unwrap_or_default(), self.quantiles);
        Ok(Some(SeriesSpec {
            asked,
            horizon,
            difference: self.difference.unwrap_or_default(),
            season: self.season,
            loss,
            quantiles,
            scale: self.scale.unwrap_or_default(),
        }))
    }

    /// Opens the table and records what identifies it. It is read as `series` says, or else as `wanted`. If `difference` is not given, the one that suits
    /// the table is chosen and recorded too.
    ///
    /// # Errors
    /// If it can't be read, or lacks what is wanted.
    pub fn open_table(&mut self, wanted: &SeriesSpec, series: Option<&Series>, given: Option<&Given>) -> Result<Table> {
        let text = if given.is_some() { None } else { Some(self.raw_text()?) };
        let sheet = |asked: &ColumnSpec| match (given, &text) {
            (Some(Given::Frame(frame)), _) => Sheet::of(frame, asked),
            (None, Some(text)) => Sheet::read(text, asked),
            _ => Err(Error::Usage("a table is needed here, and something else is given".to_string())),
        };
        let mut table = self.table(&sheet, wanted, series)?;
        if self.difference.is_none() {
            let difference = series.map_or_else(|| table.suited_difference(), |s| s.difference);
            if difference != wanted.difference {
                table = self.table(&sheet, &SeriesSpec { difference, ..wanted.clone() }, series)?;
            }
            self.difference = Some(difference);
        }
        self.text = text.and_then(|t| t.path);
        (self.text_checksum, self.text_bytes) = (table.sheet.checksum.clone(), table.sheet.bytes);
        Ok(table)
    }

    /// Opens the table again.
    ///
    /// # Errors
    /// If it is gone or has changed.
    pub fn find_table(&mut self, wanted: &SeriesSpec, series: Option<&Series>) -> Result<Table> {
        let text = self.find_raw_text()?;
        let table = self.table(&|asked| Sheet::read(&text, asked), wanted, series)?;
        self.text.clone_from(&text.path);
        Ok(table)
    }

    fn table(&self, sheet: &dyn Fn(&ColumnSpec) -> Result<Sheet>, wanted: &SeriesSpec, series: Option<&Series>) -> Result<Table> {
        let Some(series) = series else { return Table::fit(sheet(&wanted.asked)?, wanted, self.training.val_fraction) };
        let asked = ColumnSpec { date_order: series.date_order, usual_decimal: series.decimal, ..wanted.asked.clone() };
        let sheet = sheet(&asked)?;
        let features = sheet.feature_names();
        let differs = |what: &str, here: String, there: String| {
            Err(Error::Usage(format!("{what} {here} here, but {there} in the model of `from`; begin with a model of the same columns and horizon")))
        };
        if features != series.features {
            return differs("the columns that are read are", features.join(", "), series.features.join(", "));
        }
        if wanted.asked.targets != series.targets {
            return differs("`target` is", wanted.asked.targets.join(", "), series.targets.join(", "));
        }
        if (wanted.horizon, wanted.difference) != (series.horizon, series.difference) {
            let shown = |h: u32, d: Difference| format!("{h}, `difference` {}", format!("{d:?}").to_lowercase());
            return differs("`horizon` is", shown(wanted.horizon, wanted.difference), shown(series.horizon, series.difference));
        }
        if wanted.scale != series.scale {
            return differs("`scale` is", wanted.scale.to_string(), series.scale.to_string());
        }
        if wanted.quantiles != series.quantiles {
            let shown = |levels: Option<Quantiles>| levels.map_or("not given".to_string(), |l| l.to_string());
            return differs("`quantiles` is", shown(wanted.quantiles), shown(series.quantiles));
        }
        if wanted.loss != series.loss {
            return differs("`loss` is", format!("{:?}", wanted.loss).to_lowercase(), format!("{:?}", series.loss).to_lowercase());
        }
        let series = Series {
            series: wanted.asked.series.clone(),
            time: wanted.asked.time.clone(),
            time_format: wanted.asked.time_format.clone(),
            date_order: sheet.date_order.or(series.date_order),
            missing: wanted.asked.missing,
            delimiter: sheet.delimiter,
            season: wanted.season.or(series.season),
            ..series.clone()
        };
        Table::with(sheet, series, self.training.val_fraction)
    }

    /// Checks that the settings of series go together.
    ///
    /// # Errors
    /// [`Error::Usage`] for the first invalid value.
    pub(super) fn check_series(&self) -> Result<()> {
        let wrong = |setting: &'static str, what: &str| Err(Error::setting(setting, what));
        if self.target.is_none() {
            let shared = |name: &str| self.label_column.is_some() && OF_NUMBERS.contains(&name);
            let alone = RunConfig::FIELDS.iter().map(|f| &f.setting).find(|s| s.section == "Series" && !shared(s.name) && self.get(&s.key()).is_some());
            return alone.map_or(Ok(()), |s| wrong(s.name, &format!("`{}` is about numeric series; name the columns to forecast by `target`", s.name)));
        }
        if self.task.is_some() || self.separator.is_some() || self.bytes {
            return wrong("target", "`target` reads a CSV file; leave out `task`, `separator` and `bytes`");
        }
        if self.training.embed.is_some() {
            return wrong("embed", "`embed` is for symbols, and `target` reads numbers; leave it out");
        }
        if self.text.is_none() && self.text_checksum.is_empty() {
            return wrong("target", "`target` needs a CSV file; give its path");
        }
        if self.decimal.is_some() && self.decimal == self.delimiter {
            return wrong("decimal", "`decimal` and `delimiter` are the same character; one of them is wrong");
        }
        if self.ignore.is_some() && self.features.is_some() {
            return wrong("ignore", "`features` names all columns that are read; leave `ignore` out");
        }
        if self.quantiles.is_some() && self.loss.is_some() {
            return wrong("quantiles", "`quantiles` have a loss of their own, the pinball loss; leave `loss` out");
        }
        if self.time_format.is_some() && self.time.is_none() {
            return wrong("time_format", "`time_format` says how the column of `time` is written; name that column by `time`");
        }
        Ok(())
    }
}

impl Run {
    /// Scores the best model by validation on the held-out tail of its series, and writes the result to `forecast.json` too. None for a text, or if
    /// nothing is held out.
    ///
    /// # Errors
    /// If the device fails, the run is interrupted, or the file can't be written.
    pub fn forecast(&mut self) -> Result<Option<Outcome>> {
        let Some(table) = self.trainer.content().table().cloned() else { return Ok(None) };
        if !self.trainer.validates() {
            return Ok(None);
        }
        // The model that `eval` and `predict` take, so that the results agree.
        let best = self.progress().best_loss.map(|_| Chosen::Default.file(self.folder().path(), self.config().data_kind()));
        let model = match best.filter(|file| file.is_file()) {
            Some(file) => Model::load(&file)?,
            None => self.model()?,
        };
        let first: Vec<usize> = (0..table.held.len()).map(|g| table.held_out(g).start).collect();
        // Steps one after another are too little work for a GPU.
        let interrupt = self.trainer.interrupt();
        let check = || if interrupt.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) };
        let forecasts = Forecasts::of(&Device::Cpu { threads: 1 }, model.config, &model.parameters, &table, &first, check)?;
        let outcome = Outcome::of(&table, &forecasts, &table.held);
        let json = serde_json::to_string(&outcome).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
        files::replace(&self.folder().file("forecast.json"), format!("{json}\n").as_bytes())?;
        Ok(Some(outcome))
    }
}

/// Checks the bounds of the horizon.
pub(super) fn ahead(rows: &u32) -> std::result::Result<(), String> {
    if (1..=FARTHEST_AHEAD).contains(rows) { Ok(()) } else { Err(format!("expected a whole number from 1 to {FARTHEST_AHEAD}")) }
}

/// Checks a delimiter of cells.
pub(super) fn apart(c: &char) -> std::result::Result<(), String> {
    let fits = c.is_ascii() && !c.is_ascii_alphanumeric() && !"\"\r\n".contains(*c);
    if fits { Ok(()) } else { Err("expected one ASCII character that is no letter, digit or quote, such as ; or \\t".to_string()) }
}

/// Checks a decimal mark.
pub(super) fn fraction_mark(c: &char) -> std::result::Result<(), String> {
    if ".,".contains(*c) { Ok(()) } else { Err("expected . or ,".to_string()) }
}

/// Checks a notation of times.
#[allow(clippy::ptr_arg)] // a function of the setting's own type
pub(super) fn strftime(format: &String) -> std::result::Result<(), String> {
    check_format(format).map_err(|e| format!("expected a notation of strftime, such as %d/%m/%Y %H:%M; {e}"))
}

/// Comma-separated names; those that contain a comma are quoted.
pub(super) fn names(setting: &'static str, text: &str) -> Result<Vec<String>> {
    let mut reader = cells::reader(text, b',', true);
    let mut record = cells::Record::new();
    let read = reader.read_record(&mut record).map_err(|e| Error::setting(setting, format!("`{setting}` {text:?} is no list of columns: {e}")))?;
    let names: Vec<String> = record.iter().map(|n| n.trim().to_string()).collect();
    match names.iter().find(|n| n.is_empty()) {
        None if read => Ok(names),
        _ => Err(Error::setting(setting, format!("`{setting}` {text:?} names no column, or one without a name; give names of columns, apart by commas"))),
    }
}
