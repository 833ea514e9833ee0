//! Chooses between values and changes for series, by how model-free forecasts do on the training part.

use super::series::Table;
use super::table::Difference;
use std::ops::Range;

/// Share of the training rows of a series that count as known; the rest plays the future.
const FIRST: f64 = 0.75;
/// Shorter series are ignored.
const LEAST: usize = 12;
/// Steps of a series that are evaluated, at most.
const STEPS: usize = 2000;

/// How the later rows of a series compare with its earlier ones.
struct Found {
    /// Log of the error of the last known value divided by that of the mean of the earlier rows.
    naive: f64,
    /// Share of the later rows that lie outside the range of the earlier ones.
    beyond: f64,
}

impl Table {
    /// The default difference. Over all targets and series: `All` if most later rows lie outside the range seen before, as with a trend; else `Targets` if
    /// the last known value forecasts better than the mean; else `None`. Ignores held-out rows.
    pub fn suited_difference(&self) -> Difference {
        let series = self.sheet.groups.iter().zip(&self.held).map(|(group, held)| group.rows.start..*held);
        let found: Vec<Found> = series.flat_map(|rows| (0..self.series.targets.len()).filter_map(move |j| self.looked_at(j, rows.clone()))).collect();
        let mean = |of: fn(&Found) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
        match () {
            () if mean(|f| f.beyond) > 0.5 => Difference::All,
            () if mean(|f| f.naive) < 0.0 => Difference::Targets,
            () => Difference::None,
        }
    }

    fn looked_at(&self, target: usize, rows: Range<usize>) -> Option<Found> {
        let (column, horizon) = (self.sheet.target(target), self.horizon());
        let cut = rows.start + (rows.len() as f64 * FIRST) as usize;
        let known = |rows: Range<usize>| rows.filter(|row| column.known(*row)).map(|row| column.values.at(row));
        let count = known(rows.start..cut).count();
        if rows.len() < LEAST || count == 0 {
            return None;
        }
        let mean = known(rows.start..cut).sum::<f64>() / count as f64;
        let (lo, hi) = known(rows.start..cut).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(x), hi.max(x)));
        let later: Vec<f64> = known(cut..rows.end).collect();
        let beyond = later.iter().filter(|x| **x < lo || **x > hi).count() as f64 / later.len() as f64;
        // Squares of very small values would vanish.
        let unit = if hi > lo { hi - lo } else { 1.0 };
        let steps = cut..rows.end.saturating_sub(horizon).max(cut);
        let (mut naive, mut level) = (0.0, 0.0);
        for p in steps.clone().step_by(steps.len().div_ceil(STEPS).max(1)).filter(|p| column.known(*p)) {
            for row in (p + 1..=p + horizon).filter(|row| column.known(*row)) {
                naive += ((column.values.at(row) - column.values.at(p)) / unit).powi(2);
                level += ((column.values.at(row) - mean) / unit).powi(2);
            }
        }
        let naive = 0.5 * (naive.max(f64::MIN_POSITIVE) / level.max(f64::MIN_POSITIVE)).ln();
        Some(Found { naive, beyond }).filter(|f| f.naive.is_finite() && f.beyond.is_finite())
    }
}
