//! Forecasts of series, their scores, and plots of them as data.

mod part;
mod quantiles;
mod relative;
mod score;
mod steps;

pub use part::{Part, scaled, worse};
pub use quantiles::{Band, QuantileScore};
pub use relative::Relative;
pub use score::{Errors, METHODS, Method, Score, Sums, baseline};
pub use steps::scored;
pub(crate) use steps::{shown, significant};

use crate::data::{Parts, SegmentInputs, Table};
use crate::device::Device;
use crate::engine::Engine;
use crate::error::Result;
use crate::model::Config;
use crate::plan::Plan;
use crate::relay::{self, Again, Reading};
use serde::{Deserialize, Serialize};

/// Rows of a series read in one lane. A longer series is split, from its first row on, into parts of
/// this length that are read side by side. The splits must not depend on which rows are requested.
const PART: u32 = 8192;
/// Lanes, at most.
const LANES: usize = 32;
/// Rows of a plot, at most.
const DRAWN: usize = 300;

/// The forecasts of a table's steps, in the units of its targets.
pub struct Forecasts {
    /// N times the number of targets.
    width: usize,
    /// First step kept of each series.
    first: Vec<usize>,
    /// Ends of the series.
    ends: Vec<usize>,
    /// By series: `[steps, N, targets]`; of quantiles, those of level 0.5.
    values: Vec<Vec<f64>>,
    /// By series: `[steps, N, targets, quantiles]`, if there are any.
    quantiles: Vec<Vec<f64>>,
    /// Number of quantiles of each, else 1.
    each: usize,
    /// Parts that were reread so that each forecast is that of a series read in one piece.
    pub again: Again,
}

impl Forecasts {
    /// Runs a model over a table and keeps the steps of each series from `first` to its end. Their state follows from all earlier rows of the series,
    /// whichever are kept. Before every step, `check` may stop the run with an error.
    ///
    /// # Errors
    /// If the device fails, or `check` does.
    pub fn of(device: &Device, config: Config, parameters: &[f32], table: &Table, first: &[usize], check: impl Fn() -> Result<()>) -> Result<Self> {
        let width = table.series.width();
        let rows: Vec<_> = table.sheet.groups.iter().map(|g| g.rows.clone()).collect();
        let mut parts = Parts::of_table(table, &rows, PART, 1);
        parts.fit_lanes(LANES);
        let plan = Plan::with(config.dims(parts.lanes()), 1, 1, false);
        let mut engine = Engine::for_inference(device, config, plan, parameters)?;
        let reader = Reader { table, parts: &parts, width, first };
        let (found, again) = relay::read(&mut engine, &parts, |engine, reading| reader.read(engine, reading, &check))?;
        let values = rows.iter().zip(first).map(|(r, first)| Vec::with_capacity((r.end - first) * width)).collect();
        let ends = rows.iter().map(|r| r.end).collect();
        let mut all = Forecasts { width: table.series.outputs.len(), first: first.to_vec(), ends, values, quantiles: Vec::new(), each: 1, again };
        for (part, found) in parts.list().iter().zip(found) {
            let group = all.ends.partition_point(|end| *end as u64 <= part.start);
            all.values[group].extend(found.into_iter().flatten());
        }
        if let Some(levels) = table.series.quantiles {
            let middles = |all: &Vec<f64>| all.chunks(levels.count()).map(|own| own[levels.middle()]).collect();
            let middles = all.values.iter().map(middles).collect();
            (all.quantiles, all.each) = (std::mem::replace(&mut all.values, middles), levels.count());
        }
        Ok(all)
    }

    /// The forecasts of the step of row p, `[N, targets]`.
    ///
    /// # Panics
    /// If the step was not kept.
    pub fn at(&self, p: usize) -> &[f64] {
        let g = self.ends.partition_point(|end| *end <= p);
        &self.values[g][(p - self.first[g]) * self.width..][..self.width]
    }

    /// The quantiles of the step of row p, `[N, targets, quantiles]`; without any, the forecasts.
    ///
    /// # Panics
    /// If the step was not kept.
    pub fn quantiles(&self, p: usize) -> &[f64] {
        let g = self.ends.partition_point(|end| *end <= p);
        let width = self.width * self.each;
        self.quantiles.get(g).map_or_else(|| self.at(p), |all| &all[(p - self.first[g]) * width..][..width])
    }

    /// Scores them from row `from` of each series on.
    pub fn score(&self, table: &Table, from: &[usize]) -> Score {
        let quantiles = table.series.quantiles.map(|levels| QuantileScore::of(table, levels, from, |p| self.quantiles(p)));
        let mut score = Score::of(table, from, |p| self.at(p));
        score.quantiles = quantiles;
        score.relative = Relative::of(table, from, |p| [self.at(p), self.quantiles(p)]);
        score
    }
}

/// Converts outputs to forecasts, step by step.
struct Reader<'a> {
    table: &'a Table,
    parts: &'a Parts,
    /// Number of outputs.
    width: usize,
    first: &'a [usize],
}

impl Reader<'_> {
    /// For each lane, the forecasts of its part's own steps that are kept.
    fn read(&self, engine: &mut Engine, reading: &Reading<'_>, check: &impl Fn() -> Result<()>) -> Result<Vec<Vec<f64>>> {
        let lanes = reading.lanes.len();
        let mut found = vec![Vec::new(); lanes];
        for t in reading.steps.clone() {
            check()?;
            let live = |part: &usize| !self.parts.live(*part, &(t..t + 1)).is_empty();
            let rows: Vec<Option<usize>> = reading.lanes.iter().map(|part| part.filter(live).map(|part| self.parts.place(part, t) as usize)).collect();
            let goes_on: Vec<bool> = reading.lanes.iter().map(|part| part.is_some_and(|part| reading.again || self.parts.goes_on(part, t))).collect();
            let inputs: SegmentInputs = self.table.step(engine.inputs(), &rows, |b| goes_on[b]);
            let outputs = engine.step(&inputs)?;
            for (b, row) in rows.iter().enumerate().filter(|_| t >= self.parts.warm_up()) {
                let Some(p) = row.filter(|p| *p >= self.first[self.table.sheet.groups.partition_point(|g| g.rows.end <= *p)]) else { continue };
                let own: Vec<f32> = (0..self.width).map(|i| outputs[i * lanes + b]).collect();
                found[b].extend(self.table.forecast(p, &own));
            }
        }
        Ok(found)
    }
}

/// The plot of a target: its last rows and their forecasts. Non-finite values are null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// The column.
    pub target: String,
    /// The series; `None` if there is only one.
    pub series: Option<String>,
    /// Number of the first row in the series, from 1.
    pub from: usize,
    /// The times of the first and the last row, as text.
    pub times: Option<[String; 2]>,
    /// The time of each row, as text; empty without a column of time.
    #[serde(default)]
    pub row_times: Vec<String>,
    /// The actual values.
    pub truth: Vec<Option<f64>>,
    /// The forecasts of future rows, made at the last row.
    #[serde(default)]
    pub coming: Vec<Option<f64>>,
    /// Pairs of h and the forecasts of these rows made h rows before.
    pub ahead: Vec<(u32, Vec<Option<f64>>)>,
    /// For each of these, and then for the rows to come, the outermost quantiles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<Vec<Option<(f64, f64)>>>,
}

/// A score with its plots: `forecast.json` in the folder of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The score.
    pub score: Score,
    /// For the longest series, a plot of each target.
    pub drawn: Vec<Drawn>,
}

impl Outcome {
    /// Scores and plots the forecasts from row `from` of each series on.
    pub fn of(table: &Table, forecasts: &Forecasts, from: &[usize]) -> Self {
        let score = forecasts.score(table, from);
        let longest = (0..from.len()).max_by_key(|g| (table.sheet.groups[*g].rows.end - from[*g], std::cmp::Reverse(*g)));
        let drawn = longest.map_or(Vec::new(), |g| (0..score.targets.len()).map(|j| drawn(table, forecasts, g, from[g], j)).collect());
        Outcome { score, drawn }
    }
}

fn drawn(table: &Table, forecasts: &Forecasts, group: usize, from: usize, target: usize) -> Drawn {
    let group = &table.sheet.groups[group];
    let (horizon, targets, column) = (table.horizon(), table.series.targets.len(), table.sheet.target(target));
    let rows = from.max(group.rows.end.saturating_sub(DRAWN))..group.rows.end;
    let kept = scored(group.rows.start, from, group.rows.end, 0);
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    let forecast = |row: usize, h: usize| {
        let p = row.checked_sub(h).filter(|p| kept.contains(p))?;
        finite(forecasts.at(p)[(h - 1) * targets + target])
    };
    let last = group.rows.end - 1;
    let coming = |h: usize| finite(forecasts.at(last)[(h - 1) * targets + target]);
    let mut heads = vec![1, horizon];
    heads.dedup();
    let outer = |p: usize, h: usize| {
        let own = &forecasts.quantiles(p)[((h - 1) * targets + target) * forecasts.each..][..forecasts.each];
        Some((own[0], own[forecasts.each - 1])).filter(|(low, high)| low.is_finite() && high.is_finite())
    };
    let known = |row: usize, h: usize| row.checked_sub(h).filter(|p| kept.contains(p)).and_then(|p| outer(p, h));
    let mut bands: Vec<Vec<_>> = Vec::new();
    if forecasts.each > 1 {
        bands.extend(heads.iter().map(|h| rows.clone().map(|row| known(row, *h)).collect()));
        bands.push(if from < group.rows.end { (1..=horizon).map(|h| outer(last, h)).collect() } else { Vec::new() });
    }
    Drawn {
        target: column.name.clone(),
        series: group.name.clone(),
        from: rows.start - group.rows.start + 1,
        times: table.sheet.times.get(rows.clone()).and_then(|t| Some([t.first()?.clone(), t.last()?.clone()])),
        row_times: table.sheet.times.get(rows.clone()).map_or(Vec::new(), <[String]>::to_vec),
        coming: if from < group.rows.end { (1..=horizon).map(coming).collect() } else { Vec::new() },
        truth: rows.clone().map(|row| finite(column.values.at(row)).filter(|_| column.known(row))).collect(),
        ahead: heads.into_iter().map(|h| (h as u32, rows.clone().map(|row| forecast(row, h)).collect())).collect(),
        bands,
    }
}
