//! Numeric series as a model reads and forecasts them: columns, horizon, scaling.

use super::SegmentInputs;
use super::inputs::{Cell, Grid};
use super::season::detected;
use super::table::{Column, ColumnSpec, DateOrder, Difference, Group, Missing, ScaleBy, Sheet};
use crate::error::{Error, Result, quoted};
use crate::model::record::InputLayout;
use crate::model::{Quantiles, RegressionLoss};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Largest distance from the training mean that a value may have, in standard deviations.
const FARTHEST: f64 = 1e15;
/// Upper bound of means and deviations of 32-bit values, or of their changes.
const LARGEST: f64 = 1e39;
/// Divisor of a column that never changed in training: whatever its later values, they are read as 0, since nothing was learned about them.
const UNSEEN: f64 = f32::MAX as f64;

/// The mean that is subtracted from values, and the deviation that they are then divided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Mean of the training part.
    pub mean: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

impl Scale {
    /// The scale of some values, in two passes in f64; `None` if they differ by no more than the rounding of values as large as `size`, or if there are none.
    fn of(numbers: impl Iterator<Item = f64> + Clone, size: f64) -> Option<Self> {
        let count = numbers.clone().count() as f64;
        let mean = numbers.clone().sum::<f64>() / count;
        let (lo, hi) = extremes(numbers.clone());
        // Squares of very small values would vanish.
        let unit = if hi - lo < 1e-100 { hi - lo } else { 1.0 };
        let deviation = unit * (numbers.map(|x| ((x - mean) / unit).powi(2)).sum::<f64>() / count).sqrt();
        Some(Scale { mean, deviation }).filter(|s| hi - lo > 8.0 * f64::EPSILON * size && s.deviation.is_normal())
    }

    /// The scale of some values as large as `size`; values that are all equal are read as 0, whatever others follow.
    pub(super) fn or_unseen(numbers: impl Iterator<Item = f64> + Clone, size: f64) -> Self {
        Self::of(numbers.clone(), size).unwrap_or_else(|| Scale { mean: numbers.clone().next().unwrap_or(0.0), deviation: UNSEEN })
    }

    pub(crate) fn apply(&self, x: f64) -> f32 {
        ((x - self.mean) / self.deviation) as f32
    }

    /// Whether it is one that training finds.
    pub(crate) fn is_sound(&self) -> bool {
        self.mean.abs() < LARGEST && self.deviation.is_normal() && self.deviation > 0.0 && self.deviation < LARGEST
    }

    /// The value that was scaled to `x`.
    pub fn invert(&self, x: f64) -> f64 {
        x * self.deviation + self.mean
    }
}

fn extremes(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(x), hi.max(x)))
}

/// How series are read and forecast: what a model saves of its training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Columns that are read.
    pub features: Vec<String>,
    /// Columns that are forecast.
    pub targets: Vec<String>,
    /// N: each step forecasts the next N rows.
    pub horizon: u32,
    /// Which changes are read and forecast in place of values.
    pub difference: Difference,
    /// Rows per season; `None` if there is none.
    pub season: Option<u32>,
    /// Column that names the series of a row.
    pub series: Option<String>,
    /// Column with the time of a row.
    pub time: Option<String>,
    /// How empty cells are filled.
    pub missing: Missing,
    /// Delimiter of cells.
    pub delimiter: char,
    /// Decimal mark; another table may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// Time format, if given by the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_format: Option<String>,
    /// Which part of a date comes first, if it had to be detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_order: Option<DateOrder>,
    /// Loss that training minimizes.
    pub loss: RegressionLoss,
    /// The levels of quantiles that are forecast; `None` for single values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
    /// Which rows values are standardised by; `inputs`, `outputs` and `means` are of values that are standardised so.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scale: ScaleBy,
    /// Scale of each feature.
    pub inputs: Vec<Scale>,
    /// Scale of each output: `[N, targets]`.
    pub outputs: Vec<Scale>,
    /// Training mean of each used column, features first: what [`Missing::Mean`] fills in.
    pub means: Vec<f64>,
}

/// The user's choices for a [`Series`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesSpec {
    /// The columns.
    pub asked: ColumnSpec,
    /// N: rows ahead.
    pub horizon: u32,
    /// Which changes are read and forecast in place of values.
    pub difference: Difference,
    /// Rows per season; `None` to detect it.
    pub season: Option<u32>,
    /// Loss that training minimizes.
    pub loss: RegressionLoss,
    /// The levels of quantiles to forecast; `None` for single values.
    pub quantiles: Option<Quantiles>,
    /// Which rows values are standardised by.
    pub scale: ScaleBy,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Series {
    /// Whether the changes of features are read.
    fn reads_changes(&self) -> bool {
        self.lag() > 0
    }

    /// The distance to the row that changes of features are from; 0 if values are read.
    fn lag(&self) -> usize {
        match self.difference {
            Difference::None | Difference::Targets => 0,
            Difference::All => 1,
            Difference::Season => self.season.map_or(1, |m| m as usize),
        }
    }

    /// Whether the changes of targets are forecast.
    fn forecasts_changes(&self) -> bool {
        self.difference != Difference::None
    }

    /// The columns of another table that this reads. The delimiter is detected again.
    pub fn asked(&self) -> ColumnSpec {
        ColumnSpec {
            targets: self.targets.clone(),
            features: Some(self.features.clone()),
            series: self.series.clone(),
            time: self.time.clone(),
            time_format: self.time_format.clone(),
            date_order: self.date_order,
            missing: self.missing,
            usual_decimal: self.decimal,
            by_model: true,
            ..ColumnSpec::default()
        }
    }

    /// Number of values that a step forecasts.
    pub fn width(&self) -> usize {
        self.outputs.len() * self.each()
    }

    /// Number of quantiles of a forecast, else 1.
    fn each(&self) -> usize {
        self.quantiles.map_or(1, |levels| levels.count())
    }

    /// Validates metadata read from a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it is inconsistent.
    pub fn checked(self) -> Result<Self> {
        let scales = self.inputs.iter().chain(&self.outputs);
        let sound = scales.clone().all(Scale::is_sound);
        let extra = self.targets.iter().filter(|t| !self.features.contains(t)).count();
        let sizes = !self.features.is_empty()
            && !self.targets.is_empty()
            && self.inputs.len() == self.features.len()
            && self.outputs.len() == self.targets.len() * self.horizon as usize
            && self.means.len() == self.features.len() + extra
            && self.means.iter().all(|m| m.abs() < LARGEST);
        if sound && sizes && self.delimiter.is_ascii() && self.season != Some(0) {
            return Ok(self);
        }
        Err(Error::Input("its metadata \"series\" is not that of a model of this program: columns, horizon and statistics do not fit".to_string()))
    }
}

/// A table as a model reads it: step p reads row p and forecasts the targets of rows p + 1 to p + N.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its values.
    pub sheet: Sheet,
    /// How they are read and forecast.
    pub series: Series,
    /// For each series, the first row of the held-out tail; its end if nothing is held out.
    pub held: Vec<usize>,
    /// The scale of each column in each series, by its rows before the held-out tail; empty if all series share theirs.
    own: Vec<Vec<Scale>>,
}

impl Table {
    /// A table to train on. Its tail is held out: `fraction` of the rows of each series, and at least N.
    ///
    /// # Errors
    /// [`Error::Input`] if a series is too short, a used column is constant, or held-out values are far outside the training range.
    pub fn fit(sheet: Sheet, wanted: &SeriesSpec, fraction: f64) -> Result<Self> {
        let (sheet, held) = hold_out(sheet, wanted.horizon, fraction)?;
        let SeriesSpec { asked, horizon, difference, season, loss, quantiles, scale } = wanted;
        let training: Vec<Range<usize>> = sheet.groups.iter().zip(&held).map(|(g, h)| g.rows.start..*h).collect();
        let series = Series {
            features: sheet.feature_names(),
            targets: asked.targets.clone(),
            horizon: *horizon,
            difference: *difference,
            season: season.or_else(|| detected(&sheet, &training)),
            series: asked.series.clone(),
            time: asked.time.clone(),
            missing: asked.missing,
            delimiter: sheet.delimiter,
            decimal: Some(sheet.decimal).filter(|c| *c != '.' || asked.decimal.is_some()),
            time_format: asked.time_format.clone(),
            date_order: sheet.date_order,
            loss: *loss,
            quantiles: *quantiles,
            scale: *scale,
            inputs: Vec::new(),
            outputs: Vec::new(),
            means: means(&sheet, &training)?,
        };
        if series.difference == Difference::Season && series.season.is_none() {
            let name = &sheet.name;
            return Err(Error::setting("difference", format!("`difference` season: {name} has no season that could be found; give its rows by `season`")));
        }
        let mut table = Table::filled(sheet, series, held);
        table.series.inputs = (0..table.sheet.features).map(|i| table.input_scale(i, &training)).collect();
        let width = *horizon as usize * asked.targets.len();
        table.series.outputs = (0..width).map(|i| table.output_scale(i, &training)).collect::<Result<_>>()?;
        table.check_range()?;
        table.note_constants(&training);
        Ok(table)
    }

    /// A table read the way a model was trained; `fraction` as in [`Table::fit`].
    ///
    /// # Errors
    /// [`Error::Input`] if a series is too short.
    pub fn with(sheet: Sheet, series: Series, fraction: f64) -> Result<Self> {
        let (sheet, held) = hold_out(sheet, series.horizon, fraction)?;
        let table = Table::filled(sheet, series, held);
        table.check_range()?;
        Ok(table)
    }

    /// A table without held-out rows, so that its series may be arbitrarily short.
    ///
    /// # Errors
    /// [`Error::Input`] if a value is far outside the range of the training data.
    pub fn to_forecast(sheet: Sheet, series: Series) -> Result<Self> {
        let held = sheet.groups.iter().map(|g| g.rows.end).collect();
        let table = Table::filled(sheet, series, held);
        table.check_range()?;
        Ok(table)
    }

    /// Refuses values that are scaled to more than [`FARTHEST`]: they or their squares would overflow 32 bits.
    fn check_range(&self) -> Result<()> {
        if !self.own.is_empty() {
            return self.check_own_range();
        }
        let inputs = self.sheet.columns.iter().zip(&self.series.inputs).map(|(c, s)| (c, s, self.series.reads_changes()));
        let targets = self.series.targets.len();
        let outputs = self.series.outputs.iter().enumerate().map(|(i, s)| (self.sheet.target(i % targets), s, self.series.forecasts_changes()));
        let extremes: Vec<(f64, f64)> = self.sheet.columns.iter().map(|c| extremes(c.values.iter())).collect();
        for (column, scale, changes) in inputs.chain(outputs) {
            let at = self.sheet.columns.iter().position(|c| c.name == column.name).unwrap_or(0);
            let (lo, hi) = extremes[at];
            let (far, most) = if changes { (hi - lo, 2.0 * FARTHEST) } else { ((hi - scale.mean).max(scale.mean - lo), FARTHEST) };
            if far / scale.deviation > most {
                let outer = if hi - scale.mean > scale.mean - lo { hi } else { lo };
                return Err(Error::Input(format!(
                    "{}: column {} holds {outer:e}, more than {FARTHEST:e} standard deviations ({:e}) from what is trained on; mend or remove that row",
                    self.sheet.name,
                    quoted(&column.name),
                    scale.deviation
                )));
            }
        }
        Ok(())
    }

    /// As [`Table::check_range`], where series have their own scales.
    fn check_own_range(&self) -> Result<()> {
        for (group, own) in self.sheet.groups.iter().zip(&self.own) {
            for (column, scale) in self.sheet.columns.iter().zip(own) {
                let far = group.rows.clone().map(|row| column.values.at(row)).find(|x| ((x - scale.mean) / scale.deviation).abs() > FARTHEST);
                if let Some(x) = far {
                    return Err(Error::Input(format!(
                        "{}: column {} holds {x:e}, more than {FARTHEST:e} standard deviations ({:e}) from the other rows of its series; mend or remove that row",
                        group.of(&self.sheet.name),
                        quoted(&column.name),
                        scale.deviation
                    )));
                }
            }
        }
        Ok(())
    }

    fn filled(mut sheet: Sheet, series: Series, held: Vec<usize>) -> Self {
        for (column, mean) in sheet.columns.iter_mut().zip(&series.means) {
            if !column.filled.is_empty() {
                column.values.own().iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = *mean);
            }
        }
        let mut table = Table { sheet, series, held, own: Vec::new() };
        table.scale_each();
        table
    }

    /// Holds out the rows of each series from these on; series with scales of their own are standardised by the rows before.
    pub fn hold_from(&mut self, rows: Vec<usize>) {
        self.held = rows;
        self.scale_each();
    }

    /// Finds the scale of each series by its rows before the held-out tail, or if these are less than 2, by all of them.
    fn scale_each(&mut self) {
        if self.series.scale == ScaleBy::All {
            return;
        }
        let one = |(group, held): (&Group, &usize)| {
            let rows = if *held >= group.rows.start + 2 { group.rows.start..*held } else { group.rows.clone() };
            self.sheet.columns.iter().map(|column| own_scale(column, rows.clone())).collect()
        };
        self.own = self.sheet.groups.iter().zip(&self.held).map(one).collect();
    }

    /// The scale of a column in the series that a row belongs to, if series have their own.
    fn own(&self, column: usize, row: usize) -> Option<&Scale> {
        if self.own.is_empty() {
            return None;
        }
        let g = self.sheet.groups.partition_point(|g| g.rows.end <= row).min(self.own.len() - 1);
        self.own[g].get(column)
    }

    /// A value of a column, or a change of it, in the scale of its series.
    fn in_own(&self, column: usize, row: usize, x: f64, change: bool) -> f64 {
        self.own(column, row).map_or(x, |own| if change { x / own.deviation } else { (x - own.mean) / own.deviation })
    }

    /// The standard deviation of a target in the series that a row belongs to, where series have their own; else 1.
    pub fn unit(&self, target: usize, row: usize) -> f64 {
        self.own(self.sheet.targets[target], row).map_or(1.0, |own| own.deviation)
    }

    /// What the forecast of a target `ahead` rows after row p is a change from; 0 if values are forecast.
    fn base(&self, p: usize, ahead: usize, target: usize) -> f64 {
        match self.series.difference {
            Difference::None => 0.0,
            Difference::Season => self.seasonal(p, ahead, target).unwrap_or_else(|| self.sheet.target(target).last_known(p)),
            Difference::Targets | Difference::All => self.sheet.target(target).last_known(p),
        }
    }

    /// The value of a target one season before the row that is `ahead` rows after p, or the nearest whole number of seasons at which it is known by then.
    pub fn seasonal(&self, p: usize, ahead: usize, target: usize) -> Option<f64> {
        let season = self.series.season? as usize;
        let nearest = (p + ahead).checked_sub(season * ahead.div_ceil(season))?;
        let start = self.sheet.group(p).rows.start;
        // The filling of an empty cell was not available for a forecast.
        (start..=nearest).rev().step_by(season).find_map(|row| self.sheet.target(target).get(row))
    }

    /// The value or change that step p reads of a column, unscaled.
    fn as_read(&self, i: usize, p: usize) -> f64 {
        let (column, lag) = (&self.sheet.columns[i], self.series.lag());
        let x = if lag > 0 { column.last_known(p) - column.last_known(p - lag) } else { column.values.at(p) };
        self.in_own(i, p, x, lag > 0)
    }

    fn input_scale(&self, i: usize, training: &[Range<usize>]) -> Scale {
        let column = &self.sheet.columns[i];
        let rows = training.iter().flat_map(|r| r.start + self.series.lag()..r.end);
        let numbers = rows.map(|p| self.as_read(i, p));
        Scale::or_unseen(numbers, self.size(column, training))
    }

    /// The largest absolute value of a column in some rows, which determines the rounding of its changes.
    fn size(&self, column: &Column, training: &[Range<usize>]) -> f64 {
        if !self.own.is_empty() {
            return 1.0;
        }
        let (lo, hi) = extremes(training.iter().flat_map(|r| r.clone().map(|row| column.values.at(row))));
        lo.abs().max(hi.abs())
    }

    fn output_scale(&self, i: usize, training: &[Range<usize>]) -> Result<Scale> {
        let (h, j) = (i / self.series.targets.len() + 1, i % self.series.targets.len());
        let column = self.sheet.target(j);
        let size = self.size(column, training);
        let scale = if self.series.forecasts_changes() {
            let change = |p: usize| self.in_own(self.sheet.targets[j], p, column.last_known(p + h) - self.base(p, h, j), true);
            let changes = training.iter().flat_map(|r| r.start..r.end.saturating_sub(h).max(r.start)).map(change);
            // A straight line is scaled by its constant change.
            let always = changes.clone().next().filter(|c| c.abs() > 8.0 * f64::EPSILON * size);
            Scale::of(changes, size).or(always.map(|c| Scale { mean: c, deviation: c.abs() }))
        } else {
            let own = |row: usize| column.get(row).map(|x| self.in_own(self.sheet.targets[j], row, x, false));
            Scale::of(training.iter().flat_map(|r| r.clone().filter_map(own)), size)
        };
        scale.ok_or_else(|| {
            let name = quoted(&column.name);
            Error::Input(format!("{}: column {name} is the same in every row of the training part: there is nothing to forecast", self.sheet.name))
        })
    }

    /// Notes which columns never change in training.
    fn note_constants(&mut self, training: &[Range<usize>]) {
        let straight = |column: &Column| {
            let changes = || training.iter().flat_map(|r| r.start + 1..r.end).map(|p| column.last_known(p) - column.last_known(p - 1));
            self.series.forecasts_changes().then(|| changes().next().filter(|_| Scale::of(changes(), self.size(column, training)).is_none())).flatten()
        };
        let mut notes = Vec::new();
        for (i, (column, scale)) in self.sheet.columns.iter().zip(self.series.inputs.iter().map(Some).chain(std::iter::repeat(None))).enumerate() {
            let name = quoted(&column.name);
            if let Some(change) = Some(column).filter(|_| self.sheet.targets.contains(&i)).and_then(straight) {
                notes.push(format!("column {name} changes by {change} from every row of the training part to the next; so it is forecast"));
            } else if let Some(scale) = scale.filter(|s| s.deviation == UNSEEN) {
                let what = if self.series.reads_changes() { "changes by" } else { "is" };
                notes.push(format!(
                    "column {name} {what} {} in every row of the training part: nothing can be learned from it, and it is read as 0",
                    scale.mean
                ));
            }
        }
        self.sheet.notes.extend(notes);
    }

    /// Splits `steps` of series `g` into pieces of at most `most`, each with the number of steps, at most `warm_up`, that are read before it.
    pub fn pieces(&self, g: usize, steps: Range<usize>, most: usize, warm_up: usize) -> Vec<(Range<usize>, usize)> {
        let start = self.sheet.groups[g].rows.start;
        let piece = |first: usize| {
            let from = first.saturating_sub(warm_up).max(start);
            (from..(first + most).min(steps.end), first - from)
        };
        steps.clone().step_by(most).map(piece).collect()
    }

    /// Number of updates with windows of 64 steps that read as many steps as are held out.
    pub fn held_updates(&self, lanes: u32) -> u64 {
        let steps: usize = (0..self.sheet.groups.len()).map(|g| self.held_out(g).len()).sum();
        steps as u64 / (64 * u64::from(lanes))
    }

    /// Default number of lanes: few enough that each is long, or that an epoch has several updates.
    pub fn lanes(&self) -> u32 {
        let steps: usize = (0..self.sheet.groups.len()).map(|g| self.training(g).len()).sum();
        let pieces = if self.sheet.groups.len() == 1 { steps / 256 } else { steps / 2048 };
        pieces.clamp(1, 32) as u32
    }

    /// N: rows ahead.
    pub fn horizon(&self) -> usize {
        self.series.horizon as usize
    }

    /// Rows of all series.
    pub fn rows(&self) -> usize {
        self.sheet.rows()
    }

    /// Writes the inputs of step p: `[features]`.
    pub fn read(&self, p: usize, out: &mut [f32]) {
        let lag = self.series.lag();
        let first = lag > 0 && p < self.sheet.group(p).rows.start + lag;
        for (i, (o, scale)) in out.iter_mut().zip(&self.series.inputs).enumerate() {
            *o = match self.series.reads_changes() {
                // The first rows have no predecessor.
                true if first => 0.0,
                _ => scale.apply(self.as_read(i, p)),
            };
        }
    }

    /// Writes the targets of step p: `[N, targets]`, each as often as it has quantiles.
    ///
    /// # Panics
    /// If fewer than N rows follow.
    pub fn want(&self, p: usize, out: &mut [f32]) {
        let targets = self.series.targets.len();
        for (i, (o, scale)) in out.chunks_mut(self.series.each()).zip(&self.series.outputs).enumerate() {
            let column = self.sheet.target(i % targets);
            let changes = self.series.forecasts_changes();
            let x = column.last_known(p + 1 + i / targets) - self.base(p, 1 + i / targets, i % targets);
            o.fill(scale.apply(self.in_own(self.sheet.targets[i % targets], p, x, changes)));
        }
    }

    /// The inputs of one step of several lanes, each of which reads a row, or is idle; `goes_on` tells whether a lane continues from its state.
    pub fn step(&self, places: &InputLayout, rows: &[Option<usize>], goes_on: impl Fn(usize) -> bool) -> SegmentInputs {
        let mut grid = Grid::new(places, 0..1, rows.len() as u32);
        let mut read = vec![0.0; self.series.features.len()];
        for (b, row) in (0..).zip(rows) {
            let Some(row) = *row else { continue };
            self.read(row, &mut read);
            grid.read(0, b, &read);
            grid.set(0, b, Cell { keep: f32::from(u8::from(goes_on(b as usize))), xi: 0.0, weight: 0.0 });
        }
        grid.finish()
    }

    /// Fills in what some steps of a lane read and forecast; the first reads row `from`. Targets beyond the table are left out.
    pub(super) fn fill(&self, grid: &mut Grid<'_>, (steps, lane): (Range<u32>, u32), from: usize) {
        let (mut read, mut want) = (vec![0.0; self.series.features.len()], vec![0.0; self.series.width()]);
        for (p, t) in (from..).zip(steps) {
            self.read(p, &mut read);
            grid.read(t, lane, &read);
            if p + self.horizon() < self.rows() {
                self.want(p, &mut want);
                grid.want(t, lane, &want);
            }
        }
    }

    /// Training steps of series `g`: none of their targets is held out.
    pub fn training(&self, g: usize) -> Range<usize> {
        self.sheet.groups[g].rows.start..self.held[g] - self.horizon()
    }

    /// Held-out steps of series `g`: all of their targets are held out. Empty if nothing is.
    pub fn held_out(&self, g: usize) -> Range<usize> {
        let rows = &self.sheet.groups[g].rows;
        if self.held[g] == rows.end { rows.end..rows.end } else { self.held[g].saturating_sub(1).max(rows.start)..rows.end - self.horizon() }
    }

    /// Converts the outputs of step p to forecasts in the units of the targets: `[N, targets]`, or `[N, targets, quantiles]`, which rise with their level:
    /// quantiles that cross are sorted.
    pub fn forecast(&self, p: usize, outputs: &[f32]) -> Vec<f64> {
        let targets = self.series.targets.len();
        let mut found = Vec::with_capacity(outputs.len());
        for (i, (own, scale)) in outputs.chunks(self.series.each()).zip(&self.series.outputs).enumerate() {
            let start = found.len();
            let (unit, mean) = (self.unit(i % targets, p), self.own(self.sheet.targets[i % targets], p).map_or(0.0, |s| s.mean));
            let mean = if self.series.forecasts_changes() { 0.0 } else { mean };
            let base = self.base(p, i / targets + 1, i % targets);
            found.extend(own.iter().map(|o| scale.invert(f64::from(*o)) * unit + mean + base));
            found[start..].sort_by(f64::total_cmp);
        }
        found
    }
}

/// The scale of a column over some rows of a series. Values that are all equal are measured by their own size.
fn own_scale(column: &Column, rows: Range<usize>) -> Scale {
    let values = rows.map(|row| column.last_known(row)).filter(|x| x.is_finite());
    let size = values.clone().fold(0.0f64, |size, x| size.max(x.abs()));
    let first = values.clone().next().unwrap_or(0.0);
    Scale::of(values, size).unwrap_or(Scale { mean: first, deviation: if size > 0.0 { size } else { 1.0 } })
}

/// Training means of the columns.
fn means(sheet: &Sheet, training: &[Range<usize>]) -> Result<Vec<f64>> {
    let mean = |column: &Column| {
        let known = || training.iter().flat_map(|r| column.known_of(r.clone()));
        let count = known().count();
        if count == 0 {
            return Err(Error::Input(format!("{}: column {} has no number in the training part; leave it out by `ignore`", sheet.name, quoted(&column.name))));
        }
        Ok(known().sum::<f64>() / count as f64)
    };
    sheet.columns.iter().map(mean).collect()
}

/// Number of rows held out of a series of `rows`.
fn held_of(rows: usize, horizon: usize, fraction: f64) -> usize {
    if fraction == 0.0 { 0 } else { ((rows as f64 * fraction).floor() as usize).max(horizon) }
}

/// The first held-out row of each series. Drops series that are too short, unless all are.
fn hold_out(mut sheet: Sheet, horizon: u32, fraction: f64) -> Result<(Sheet, Vec<usize>)> {
    let horizon = horizon as usize;
    let fits = |rows: usize| held_of(rows, horizon, fraction) + horizon < rows;
    let short: Vec<bool> = sheet.groups.iter().map(|g| !fits(g.rows.len())).collect();
    let first = sheet.groups.iter().zip(&short).find(|s| *s.1).map(|s| s.0);
    if let Some(first) = first {
        let needed = least(fits, first.rows.len());
        let held = if fraction > 0.0 { format!(" with {fraction} of it held out") } else { String::new() };
        let rows = if first.rows.len() == 1 { "1 row".to_string() } else { format!("{} rows", first.rows.len()) };
        let what = format!("{} has {rows}; forecasts of {horizon} ahead{held} need {needed}", first.of(&sheet.name));
        let count = short.iter().filter(|s| **s).count();
        if count == short.len() {
            return Err(Error::Input(format!("{what}; give more rows, or train with a lower `horizon`")));
        }
        let others = if count == 1 { "is left out".to_string() } else { format!("and {} more series are left out", count - 1) };
        sheet.notes.push(format!("{what}; it {others}"));
        sheet = sheet.without(&short);
    }
    let held = |g: &Group| g.rows.end - held_of(g.rows.len(), horizon, fraction);
    let held = sheet.groups.iter().map(held).collect();
    Ok((sheet, held))
}

/// The fewest rows that fit, by bisection, given that `rows` do not and `fits` is monotonic.
fn least(fits: impl Fn(usize) -> bool, rows: usize) -> usize {
    let (mut few, mut needed) = (rows, rows + 1);
    while !fits(needed) && needed < usize::MAX / 4 {
        (few, needed) = (needed, needed * 2);
    }
    while needed - few > 1 {
        let between = few + (needed - few) / 2;
        (few, needed) = if fits(between) { (few, between) } else { (between, needed) };
    }
    needed
}
