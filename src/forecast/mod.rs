//! Forecasts of series: what a model says, how good that is, and pictures of it as data.

mod part;
mod score;

pub use part::{Part, scaled, worse};
pub use score::{Errors, METHODS, Method, Score, Sums, baseline, scored};
pub(crate) use score::{shown, significant};

use crate::data::{SegmentInputs, Table, WARM_UP};
use crate::device::Device;
use crate::engine::Engine;
use crate::error::Result;
use crate::model::Config;
use crate::optimizer::{Clip, Rule};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};

/// Rows of a series that are read in one lane, from its first on; of a longer one, pieces of this length are read side by side.
const PIECE: usize = 8192;
/// Most lanes.
const LANES: usize = 32;
/// Most rows of a picture.
const DRAWN: usize = 300;

/// What the steps of a table forecast, in the units of its targets.
pub struct Forecasts {
    /// N times the targets.
    width: usize,
    /// First step of each series that is kept.
    first: Vec<usize>,
    /// Ends of the series.
    ends: Vec<usize>,
    /// By series: `[steps, N, targets]`.
    values: Vec<Vec<f64>>,
}

/// Steps that a lane reads: from `start`, and keeps from `first` on.
struct Piece {
    group: usize,
    start: usize,
    first: usize,
    end: usize,
}

impl Forecasts {
    /// Runs a model over a table; of each series the steps from `first` to its end are kept. Their state is that behind all earlier rows, or of a
    /// long series behind the 256 before a piece of it; `check` is asked before every step whether to go on.
    ///
    /// # Errors
    /// If the device fails, or `check` says so.
    pub fn of(device: &Device, config: Config, parameters: &[f32], table: &Table, first: &[usize], check: impl Fn() -> Result<()>) -> Result<Self> {
        let width = table.series.width();
        let groups = &table.sheet.groups;
        let ends: Vec<usize> = groups.iter().map(|g| g.rows.end).collect();
        let values = ends.iter().zip(first).map(|(end, first)| vec![f64::NAN; (end - first) * width]).collect();
        let mut all = Forecasts { width, first: first.to_vec(), ends, values };
        let mut pieces: Vec<Piece> = (0..groups.len()).flat_map(|g| pieces(g, groups[g].rows.start, first[g], groups[g].rows.end)).collect();
        pieces.sort_by_key(|p| (p.end - p.start, p.group, p.start));
        let lanes = pieces.len().clamp(1, LANES);
        let plan = Plan::with(config.dims(lanes as u32), 1, 1, false);
        let mut engine = Engine::new(device, config, plan, &Rule::Sgd { momentum: 0.0 }.update(Clip::None))?;
        engine.set_parameters(parameters)?;
        let bias = config.tensors().iter().find(|t| t.name == "b_y").map_or(vec![0.0; width], |t| t.extract(parameters));
        for batch in pieces.chunks(lanes) {
            for t in 0..batch.iter().map(|p| p.end - p.start).max().unwrap_or(0) {
                check()?;
                let rows: Vec<Option<usize>> = (0..lanes).map(|b| batch.get(b).map(|p| p.start + t).filter(|row| *row < batch[b].end)).collect();
                let inputs: SegmentInputs = table.step(engine.inputs(), &rows, t > 0);
                let outputs = engine.step(&inputs)?;
                for (b, (row, piece)) in rows.iter().zip(batch).enumerate() {
                    let Some(p) = row.filter(|p| *p >= piece.first) else { continue };
                    let own: Vec<f32> = (0..width).map(|i| outputs[i * lanes + b] + bias[i]).collect();
                    let at = (p - all.first[piece.group]) * width;
                    all.values[piece.group][at..at + width].copy_from_slice(&table.forecast(p, &own));
                }
            }
        }
        Ok(all)
    }

    /// What the step of a row forecasts, `[N, targets]`.
    ///
    /// # Panics
    /// If it was not kept.
    pub fn at(&self, p: usize) -> &[f64] {
        let g = self.ends.partition_point(|end| *end <= p);
        &self.values[g][(p - self.first[g]) * self.width..][..self.width]
    }

    /// How good they are from row `from` of each series on.
    pub fn score(&self, table: &Table, from: &[usize]) -> Score {
        Score::of(table, from, |p| self.at(p))
    }
}

fn pieces(group: usize, start: usize, first: usize, end: usize) -> Vec<Piece> {
    if end - start <= PIECE {
        return vec![Piece { group, start, first, end }];
    }
    let piece = |first: usize| Piece { group, start: first.saturating_sub(WARM_UP as usize).max(start), first, end: (first + PIECE).min(end) };
    (first..end).step_by(PIECE).map(piece).collect()
}

/// What is drawn of a target: its last rows and their forecasts. What is not finite is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drawn {
    /// The column.
    pub target: String,
    /// The series; none if there is one.
    pub series: Option<String>,
    /// The number of its first row in the series, from 1.
    pub from: usize,
    /// What the column of time says of the first and the last row.
    pub times: Option<[String; 2]>,
    /// What the column of time says of each row; empty without one.
    #[serde(default)]
    pub row_times: Vec<String>,
    /// The rows.
    pub truth: Vec<Option<f64>>,
    /// The forecasts of the rows to come, made at the last row.
    #[serde(default)]
    pub coming: Vec<Option<f64>>,
    /// How many rows ahead, and the forecasts of the same rows made so many rows before.
    pub ahead: Vec<(u32, Vec<Option<f64>>)>,
}

/// A score with its pictures: `forecast.json` in the folder of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Figures.
    pub score: Score,
    /// Of the longest series, a picture for each target.
    pub drawn: Vec<Drawn>,
}

impl Outcome {
    /// Scores and draws the forecasts from row `from` of each series on.
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
    Drawn {
        target: column.name.clone(),
        series: group.name.clone(),
        from: rows.start - group.rows.start + 1,
        times: table.sheet.times.get(rows.clone()).and_then(|t| Some([t.first()?.clone(), t.last()?.clone()])),
        row_times: table.sheet.times.get(rows.clone()).map_or(Vec::new(), <[String]>::to_vec),
        coming: if from < group.rows.end { (1..=horizon).map(coming).collect() } else { Vec::new() },
        truth: rows.clone().map(|row| finite(column.values[row]).filter(|_| column.known(row))).collect(),
        ahead: heads.into_iter().map(|h| (h as u32, rows.clone().map(|row| forecast(row, h)).collect())).collect(),
    }
}
