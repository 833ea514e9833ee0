//! Scores forecasts of quantiles: how often the truth lies in a band, how wide that is, and the pinball loss.

use super::steps::{scored, significant};
use crate::data::{Scale, Table};
use crate::kernels::regression_loss::Quantiles;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The band between two levels, for one target over all horizons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// The target.
    pub target: String,
    /// The lower and the upper level.
    pub levels: [f64; 2],
    /// Values between both forecasts, or equal to one.
    inside: u64,
    /// Scored values.
    count: u64,
    /// Sum of widths.
    width: f64,
}

impl Band {
    /// The share of values that should lie in it.
    pub fn nominal(&self) -> f64 {
        self.levels[1] - self.levels[0]
    }

    /// The share of values that do.
    pub fn coverage(&self) -> f64 {
        self.inside as f64 / self.count as f64
    }

    /// Its mean width, in the units of the target.
    pub fn width(&self) -> f64 {
        self.width / self.count as f64
    }
}

/// The score of forecast quantiles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantileScore {
    /// The levels.
    pub levels: Vec<f64>,
    /// The bands between each level below 0.5 and its counterpart above, the widest first; for each target.
    pub bands: Vec<Band>,
    /// Sums of pinball losses, the mean over the levels: `[N, targets]`, and how many were added up.
    pinball: Vec<(f64, u64)>,
}

/// The pinball loss of a forecast of a quantile.
fn pinball(level: f64, forecast: f64, truth: f64) -> f64 {
    let d = forecast - truth;
    if d > 0.0 { (1.0 - level) * d } else { -level * d }
}

impl QuantileScore {
    /// Scores the steps of a table from row `from` of each series on; `forecast` returns the quantiles of a step, `[N, targets, quantiles]`. Skips rows whose cell was empty.
    pub(super) fn of<'a>(table: &Table, levels: Quantiles, from: &[usize], forecast: impl Fn(usize) -> &'a [f64]) -> Self {
        let (horizon, targets, levels) = (table.horizon(), table.series.targets.len(), levels.levels());
        let q = levels.len();
        let band =
            |j: usize, k: usize| Band { target: table.series.targets[j].clone(), levels: [levels[k], levels[q - 1 - k]], inside: 0, count: 0, width: 0.0 };
        let mut bands: Vec<Band> = (0..targets).flat_map(|j| (0..q / 2).map(move |k| (j, k))).map(|(j, k)| band(j, k)).collect();
        let mut sums = vec![(0.0, 0); horizon * targets];
        for (group, from) in table.sheet.groups.iter().zip(from) {
            for p in scored(group.rows.start, *from, group.rows.end, horizon) {
                let found = forecast(p);
                for i in 0..horizon * targets {
                    let (ahead, j) = (i / targets + 1, i % targets);
                    let Some(truth) = table.sheet.target(j).get(p + ahead) else { continue };
                    let own = &found[i * q..][..q];
                    sums[i].0 += own.iter().zip(&levels).map(|(x, level)| pinball(*level, *x, truth)).sum::<f64>() / q as f64 / table.unit(j, p);
                    sums[i].1 += 1;
                    for (k, band) in bands[j * (q / 2)..][..q / 2].iter_mut().enumerate() {
                        let (low, high) = (own[k], own[q - 1 - k]);
                        band.inside += u64::from((low..=high).contains(&truth));
                        (band.count, band.width) = (band.count + 1, band.width + (high - low));
                    }
                }
            }
        }
        QuantileScore { levels, bands, pinball: sums }
    }

    /// The mean training loss, in standard deviations of each output.
    pub(super) fn loss(&self, scales: &[Scale]) -> f64 {
        let own: Vec<f64> = self.pinball.iter().zip(scales).filter(|(p, _)| p.1 > 0).map(|((sum, n), scale)| sum / *n as f64 / scale.deviation).collect();
        own.iter().sum::<f64>() / own.len() as f64
    }

    /// As a JSON object.
    pub(super) fn json(&self) -> Value {
        let finite = |x: f64| Some(x).filter(|x| x.is_finite());
        let band = |b: &Band| json!({ "target": b.target, "low": b.levels[0], "high": b.levels[1], "nominal": b.nominal(), "coverage": finite(b.coverage()), "width": finite(b.width()) });
        json!({ "levels": self.levels, "bands": self.bands.iter().map(band).collect::<Vec<_>>() })
    }

    /// A line per band, for a terminal.
    pub fn told(&self) -> String {
        let one = |b: &Band| {
            format!(
                "\n{}: {:.1}% of the values lie in the band of {} to {} ({:.0}% should), which is {} wide in the mean",
                b.target,
                100.0 * b.coverage(),
                b.levels[0],
                b.levels[1],
                100.0 * b.nominal(),
                significant(b.width())
            )
        };
        self.bands.iter().map(one).collect()
    }
}
