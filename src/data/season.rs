//! The season of series: the lag at which they resemble themselves most.

use super::table::Sheet;
use std::ops::Range;

/// Longest season that is looked for.
const LONGEST: usize = 1000;
/// Rows of a series that are looked at, its last ones, and most series.
const ROWS: usize = 20_000;
const SERIES: usize = 32;
/// Least autocorrelation at a season, of long series and of short ones, whose noise resembles itself more; and how far it must rise above the lowest
/// before it.
const LEAST: [f64; 2] = [0.2, 0.3];
const RISE: f64 = 0.2;
/// Part of the highest peak that the first must have: multiples of a season are as high as the season, by chance higher.
const NEARLY: f64 = 0.8;

/// The season that the targets show in some rows of each series, if they do: the first peak of the mean autocorrelation, made flat, that is
/// nearly as high as the highest.
pub(super) fn detected(sheet: &Sheet, training: &[Range<usize>]) -> Option<u32> {
    let found = [differenced, detrended].map(|flat| peak(&mean_autocorrelation(sheet, training, flat)));
    // Either may be drowned by what the other takes off: noise, or slow swings.
    found.into_iter().flatten().max_by(|a, b| a.1.total_cmp(&b.1)).map(|p| p.0)
}

/// Over targets and series, each made flat.
fn mean_autocorrelation(sheet: &Sheet, training: &[Range<usize>], flat: fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut sums: Vec<(f64, u32)> = Vec::new();
    for rows in training.iter().take(SERIES) {
        let rows = rows.end.saturating_sub(ROWS).max(rows.start)..rows.end;
        for j in 0..sheet.targets.len() {
            let values: Vec<f64> = sheet.target(j).values[rows.clone()].iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect();
            let found = autocorrelation(&flat(&values), LONGEST);
            sums.resize(sums.len().max(found.len()), (0.0, 0));
            sums.iter_mut().zip(&found).for_each(|(s, r)| *s = (s.0 + r, s.1 + 1));
        }
    }
    sums.iter().map(|(sum, count)| sum / f64::from(*count)).collect()
}

/// Changes from row to row, less their mean.
fn differenced(values: &[f64]) -> Vec<f64> {
    let changes: Vec<f64> = values.windows(2).map(|w| w[1] - w[0]).collect();
    let mean = changes.iter().sum::<f64>() / changes.len() as f64;
    more_than_rounding(changes.iter().map(|x| x - mean).collect(), values)
}

/// Nothing, where what is left of values are the errors of their last digits.
fn more_than_rounding(left: Vec<f64>, values: &[f64]) -> Vec<f64> {
    let most = |x: &[f64]| x.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if most(&left) > 1e-9 * most(values) { left } else { Vec::new() }
}

/// The line of least squares taken off.
fn detrended(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let (middle, mean) = ((n - 1.0) / 2.0, values.iter().sum::<f64>() / n);
    let (mut up, mut wide) = (0.0, 0.0);
    for (i, x) in values.iter().enumerate() {
        let d = i as f64 - middle;
        (up, wide) = (up + d * (x - mean), wide + d * d);
    }
    let slope = if wide > 0.0 { up / wide } else { 0.0 };
    more_than_rounding(values.iter().enumerate().map(|(i, x)| x - mean - slope * (i as f64 - middle)).collect(), values)
}

/// By lag, from 0; each over the pairs that there are.
fn autocorrelation(x: &[f64], most: usize) -> Vec<f64> {
    let lags = most.min(x.len() / 3);
    let power = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    if lags == 0 || !power.is_normal() {
        return Vec::new();
    }
    let at = |lag: usize| x.iter().zip(&x[lag..]).map(|(a, b)| a * b).sum::<f64>() / (x.len() - lag) as f64 / power;
    (0..=lags).map(at).collect()
}

/// The lag of the first high peak, or of a lower one that it is a multiple of, and how far it rises above the lowest before it.
fn peak(r: &[f64]) -> Option<(u32, f64)> {
    // Lags go up to a third of the rows.
    let least = (6.0 / (3.0 * r.len() as f64).sqrt()).clamp(LEAST[0], LEAST[1]);
    let mut lowest = f64::INFINITY;
    let mut peaks = Vec::new();
    for (lag, w) in r.windows(3).enumerate() {
        lowest = lowest.min(w[0]);
        if lag > 0 && w[1] >= w[0] && w[1] > w[2] && w[1] >= least && w[1] >= lowest + RISE / 10.0 {
            peaks.push((lag as u32 + 1, w[1], w[1] - lowest));
        }
    }
    let high = || peaks.iter().filter(|p| p.2 >= RISE);
    let highest = high().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let first = high().find(|p| p.1 >= NEARLY * highest)?;
    let whole = peaks.iter().find(|p| first.0.is_multiple_of(p.0) && p.1 >= NEARLY * first.1).unwrap_or(first);
    Some((whole.0, first.2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    fn season(f: impl Fn(f64) -> f64, n: usize) -> Option<u32> {
        let values: Vec<f64> = (0..n).map(|i| f(i as f64)).collect();
        let found = [differenced, detrended].map(|flat| peak(&autocorrelation(&flat(&values), values.len() / 3)));
        found.into_iter().flatten().max_by(|a, b| a.1.total_cmp(&b.1)).map(|p| p.0)
    }

    #[test]
    fn seasons_are_found_under_trends() {
        let wave = |i: f64, period: f64| (i * std::f64::consts::TAU / period).sin();
        assert_eq!(season(|i| wave(i, 12.0), 240), Some(12));
        assert_eq!(season(|i| 0.5 * i + wave(i, 12.0), 240), Some(12));
        assert_eq!(season(|i| wave(i, 24.0) + 0.7 * wave(i, 168.0), 2000), Some(24), "the shorter of two, if it explains nearly as much");
        assert_eq!(season(|i| wave(i, 24.0) + 2.0 * wave(i, 168.0), 2000), Some(168));
        assert_eq!(season(|i| f64::from(u8::from((i as u32).is_multiple_of(7))), 700), Some(7));
        // Small beside a slow swing.
        assert_eq!(season(|i| 20.0 * wave(i, 3000.0) + wave(i, 24.0), 2500), Some(24));
    }

    #[test]
    fn where_there_is_none_none_is_found() {
        assert_eq!(season(|i| 3.0 * i, 200), None);
        assert_eq!(season(|i| (i / 40.0).exp(), 200), None);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f64> = (0..400).map(|_| rng.random()).collect();
        assert_eq!(season(|i| noise[i as usize], 400), None);
        assert_eq!(season(|i| i, 3), None);
    }
}
