//! Figures free of units, by which competitions compare forecasts: sMAPE, MASE, OWA and, for bands, MSIS.

use super::steps::scored;
use crate::data::Table;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The forecasts that are compared: the model's, the last value, that of a season before, and the last value with its season (naive 2).
const NAMES: [&str; 4] = ["", "naive_", "seasonal_", "naive2_"];

/// Means over targets and series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relative {
    /// By forecast: the mean of 200 |y - f| / (|y| + |f|).
    pub smape: [Option<f64>; 4],
    /// By forecast: the mean absolute error, in that of the seasonal naive forecast over the rows before.
    pub mase: [Option<f64>; 4],
    /// The mean scaled interval score of the widest band of quantiles.
    pub msis: Option<f64>,
}

/// Sums over the steps of one target of one series.
#[derive(Default)]
struct Sums {
    smape: [f64; 4],
    absolute: [f64; 4],
    interval: f64,
    count: u64,
    /// Whether there was a value a season before each row.
    seasonal: bool,
}

impl Relative {
    /// Scores the steps of a table from row `from` of each series on, whose forecasts and quantiles `forecast` returns; the rows before are the past that errors are measured by. `None` if there is none.
    pub(super) fn of<'a>(table: &Table, from: &[usize], forecast: impl Fn(usize) -> [&'a [f64]; 2]) -> Option<Self> {
        let targets = table.series.targets.len();
        let (mut smape, mut mase, mut msis) = ([const { Vec::new() }; 4], [const { Vec::new() }; 4], Vec::new());
        for (group, from) in table.sheet.groups.iter().zip(from) {
            for j in 0..targets {
                let past = Past::of(table, group.rows.start..*from, j);
                let steps = scored(group.rows.start, *from, group.rows.end, table.horizon());
                let sums = Sums::of(table, &forecast, steps, j, &past);
                let Some(step) = past.step.filter(|_| sums.count > 0) else { continue };
                let n = sums.count as f64;
                for k in (0..4).filter(|k| *k != 2 || sums.seasonal) {
                    smape[k].push(sums.smape[k] / n);
                    mase[k].push(sums.absolute[k] / n / step);
                }
                msis.push(sums.interval / n / step);
            }
        }
        let all = smape[0].len();
        let mean = |values: &Vec<f64>| (all > 0 && values.len() == all).then(|| values.iter().sum::<f64>() / all as f64).filter(|x| x.is_finite());
        let banded = table.series.quantiles.is_some_and(|levels| levels.count() > 1);
        let found = Relative { smape: smape.each_ref().map(mean), mase: mase.each_ref().map(mean), msis: mean(&msis).filter(|_| banded) };
        found.smape[0].is_some().then_some(found)
    }

    /// Both errors relative to those of naive 2, in the mean.
    pub fn owa(&self, k: usize) -> Option<f64> {
        let ratio = |of: &[Option<f64>; 4]| Some(of[k]? / of[3]?).filter(|x| x.is_finite());
        Some((ratio(&self.smape)? + ratio(&self.mase)?) / 2.0)
    }

    /// As a JSON object.
    pub(super) fn json(&self) -> Value {
        let mut object = serde_json::Map::new();
        for (k, name) in NAMES.iter().enumerate() {
            for (what, x) in [("smape", self.smape[k]), ("mase", self.mase[k]), ("owa", self.owa(k))] {
                object.insert(format!("{name}{what}"), json!(x));
            }
        }
        object.insert("msis".to_string(), json!(self.msis));
        Value::Object(object)
    }

    /// A line for a terminal.
    pub fn told(&self) -> String {
        let figures = |k: usize| {
            let of = |x: Option<f64>, digits: usize| x.map_or("-".to_string(), |x| format!("{x:.digits$}"));
            format!("{}, {}, {}", of(self.smape[k], 2), of(self.mase[k], 3), of(self.owa(k), 3))
        };
        let msis = self.msis.map_or(String::new(), |x| format!("; MSIS {x:.3}"));
        format!("\nsMAPE, MASE, OWA: {}; naive {}; seasonal naive {}; naive 2 {}{msis}", figures(0), figures(1), figures(2), figures(3))
    }
}

impl Sums {
    fn of<'a>(table: &Table, forecast: &impl Fn(usize) -> [&'a [f64]; 2], steps: std::ops::Range<usize>, j: usize, past: &Past) -> Self {
        let (column, targets) = (table.sheet.target(j), table.series.targets.len());
        let levels = table.series.quantiles.map_or(Vec::new(), |l| l.levels());
        let mut sums = Sums { seasonal: true, ..Sums::default() };
        for p in steps {
            let [found, quantiles] = forecast(p);
            for ahead in 1..=table.horizon() {
                let Some(y) = column.get(p + ahead) else { continue };
                let i = (ahead - 1) * targets + j;
                let seasonal = table.seasonal(p, ahead, j);
                sums.seasonal &= seasonal.is_some();
                let last = column.last_known(p);
                for (k, f) in [found[i], last, seasonal.unwrap_or(last), past.naive2(last, p, ahead)].into_iter().enumerate() {
                    let size = y.abs() + f.abs();
                    sums.smape[k] += if size == 0.0 { 0.0 } else { 200.0 * (y - f).abs() / size };
                    sums.absolute[k] += (y - f).abs();
                }
                if let [first, .., end] = levels[..] {
                    let own = &quantiles[i * levels.len()..][..levels.len()];
                    let (low, high) = (own[0], own[own.len() - 1]);
                    sums.interval += high - low + 2.0 / (1.0 - (end - first)) * ((low - y).max(0.0) + (y - high).max(0.0));
                }
                sums.count += 1;
            }
        }
        sums
    }
}

/// What the rows before the scored ones say of a target of a series.
struct Past {
    /// The mean absolute error of the seasonal naive forecast; `None` if there is none, or it is 0.
    step: Option<f64>,
    /// The factor of each row of a season, from the first row of the series on; empty if there is no season that stands out.
    factors: Vec<f64>,
    start: usize,
}

impl Past {
    fn of(table: &Table, rows: std::ops::Range<usize>, j: usize) -> Self {
        let (column, start) = (table.sheet.target(j), rows.start);
        let (values, season): (Vec<f64>, usize) = (rows.map(|row| column.last_known(row)).collect(), table.series.season.unwrap_or(1) as usize);
        let errors: Vec<f64> = (season..values.len()).map(|t| (values[t] - values[t - season]).abs()).collect();
        let step = errors.iter().sum::<f64>() / errors.len() as f64;
        Past { step: Some(step).filter(|s| s.is_finite() && *s > 0.0), factors: factors(&values, season), start }
    }

    /// The last value without its season, times the season of the row that is `ahead` rows after p.
    fn naive2(&self, last: f64, p: usize, ahead: usize) -> f64 {
        match self.factors.len() {
            0 => last,
            m => last / self.factors[(p - self.start) % m] * self.factors[(p + ahead - self.start) % m],
        }
    }
}

/// The factor of each row of a season, by centred moving means as R's multiplicative `decompose`; empty without a season whose autocorrelation stands out
/// at 90%, or with values that are not above 0.
fn factors(values: &[f64], season: usize) -> Vec<f64> {
    let n = values.len();
    if season < 2 || n < 3 * season || values.iter().any(|x| *x <= 0.0 || !x.is_finite()) {
        return Vec::new();
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let total: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    let correlation = |k: usize| (k..n).map(|t| (values[t] - mean) * (values[t - k] - mean)).sum::<f64>() / total;
    let limit = 1.645 / (n as f64).sqrt() * (1.0 + 2.0 * (1..season).map(|k| correlation(k).powi(2)).sum::<f64>()).sqrt();
    // A total of 0 gives NaN, which does not stand out.
    if correlation(season).abs() <= limit || total == 0.0 {
        return Vec::new();
    }
    let half = season / 2;
    let trend = |t: usize| {
        let inner = if season.is_multiple_of(2) {
            values[t - half + 1..t + half].iter().sum::<f64>() + (values[t - half] + values[t + half]) / 2.0
        } else {
            values[t - half..=t + half].iter().sum::<f64>()
        };
        inner / season as f64
    };
    let own = |k: usize| {
        let ratios: Vec<f64> = (half..n - half).filter(|t| t % season == k).map(|t| values[t] / trend(t)).collect();
        ratios.iter().sum::<f64>() / ratios.len() as f64
    };
    let found: Vec<f64> = (0..season).map(own).collect();
    let mean = found.iter().sum::<f64>() / season as f64;
    found.into_iter().map(|f| f / mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_of_a_season_are_found_and_noise_has_none() {
        // A level that grows by 1% a season, times a season of 4: the centred mean of a season is the level at its middle.
        let season = [0.8, 1.3, 1.1, 0.8];
        let values: Vec<f64> = (0..40).map(|t| 100.0 * season[t % 4]).collect();
        let found = factors(&values, 4);
        assert!(found.iter().zip(season).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        let three: Vec<f64> = (0..30).map(|t| [1.0, 2.0, 3.0][t % 3]).collect();
        assert!(factors(&three, 3).iter().zip([0.5, 1.0, 1.5]).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(factors(&[1.0; 40], 4).is_empty() && factors(&values[..11], 4).is_empty());
        let below: Vec<f64> = values.iter().map(|x| x - 100.0).collect();
        assert!(factors(&below, 4).is_empty());
        let past = Past { step: Some(1.0), factors: found, start: 0 };
        // From row 41 (a factor of 1.3) to row 43 (0.8).
        assert!((past.naive2(130.0, 41, 2) - 80.0).abs() < 1e-9);
    }
}
