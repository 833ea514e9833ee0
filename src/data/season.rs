//! The season of series: the lag at which they are most similar to themselves.

use super::table::Sheet;
use std::f64::consts::TAU;
use std::ops::Range;

/// Rows examined: the last ones of a series, and of all series together; and the number of series, spread evenly. All at most.
const ROWS: usize = 20_000;
const ALL_ROWS: usize = 100_000;
const SERIES: usize = 64;
/// Number of lags in blocks of rows, at most; longer seasons are found in longer blocks.
const LAGS: usize = 400;
/// Least lag in blocks of several rows; shorter seasons are found in shorter blocks.
const LEAST_BLOCKS: usize = 4;
/// Least autocorrelation at a season, however many rows there are.
const LEAST: f64 = 0.1;
/// Fraction of the highest peak that the first must reach: multiples of a season peak as high as the season, by chance higher.
const NEARLY: f64 = 0.8;
/// Fraction of a peak by which the autocorrelation falls on both sides: if it hardly does, values merely resemble their neighbours.
const FALL: f64 = 0.3;
/// Fraction of a peak that must recur at two and three times its lag.
const AGAIN: f64 = 0.5;
/// Number of times that the search for a season moves on, at most.
const CLIMBS: usize = 8;
/// Seasons of calendars and clocks, preferred to neighbours that explain no more.
const USUAL: [usize; 20] = [4, 5, 7, 12, 24, 26, 30, 48, 52, 60, 96, 144, 168, 288, 336, 365, 672, 720, 1440, 8760];

/// A series; empty cells are NaN.
type Series = Vec<f64>;

/// The season of the targets in the `training` rows of each series, if there is one.
///
/// Means of blocks of 1, 2, 4, ... rows, and their changes, remove trends, slow swings and noise shorter than a block.
/// An autocorrelation that is left at some lag is a season or chance, whose size is known. Of the seasons found, takes
/// the one at which values are closest to those one season later, or a shorter one that is nearly as good.
pub(super) fn detected(sheet: &Sheet, training: &[Range<usize>]) -> Option<u32> {
    let count = (training.len() * sheet.targets.len()).max(1);
    let most = (ALL_ROWS / count.min(SERIES)).min(ROWS);
    let mut all: Vec<Series> = Vec::new();
    for i in 0..count.min(SERIES) {
        let i = i * count / count.min(SERIES);
        let (rows, target) = (&training[i / sheet.targets.len()], sheet.target(i % sheet.targets.len()));
        let rows = rows.end.saturating_sub(most).max(rows.start)..rows.end;
        all.extend(standardised(rows.map(|r| target.get(r).unwrap_or(f64::NAN)).collect()));
    }
    of(&all)
}

fn of(all: &[Series]) -> Option<u32> {
    let longest = all.iter().map(Vec::len).max()?;
    let mut found: Vec<usize> = Vec::new();
    let mut block = 1;
    while longest / block >= 3 * LEAST_BLOCKS {
        for lag in peaks(all, block) {
            let refined = refined(all, lag, block);
            if !found.contains(&refined) && 3 * refined <= longest {
                found.push(refined);
            }
        }
        block *= 2;
    }
    found.sort_unstable();
    let longest = *found.last()?;
    let good: Vec<f64> = found.iter().map(|season| likeness(all, *season, longest)).collect();
    let best = good.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let first = good.iter().position(|g| *g >= if best > 0.0 { NEARLY * best } else { best })?;
    u32::try_from(found[first]).ok()
}

/// Standardizes a series to mean 0 and deviation 1; `None` if it is constant but for rounding, or empty.
fn standardised(values: Series) -> Option<Series> {
    let known = || values.iter().filter(|x| !x.is_nan());
    let count = known().count() as f64;
    let mean = known().sum::<f64>() / count;
    let (most, size) = known().fold((0.0f64, 0.0f64), |(most, size), x| (most.max((x - mean).abs()), size.max(x.abs())));
    if count < 2.0 || most <= 1e-9 * size || !most.is_normal() {
        return None;
    }
    let deviation = (known().map(|x| ((x - mean) / most).powi(2)).sum::<f64>() / count).sqrt();
    Some(values.iter().map(|x| (x - mean) / most / deviation).collect())
}

/// Standardized changes from block to block, 0 where unknown, and a mask of the known ones if there are gaps. Empty if the series is a straight line.
fn changes(values: &[f64], block: usize) -> (Vec<f64>, Option<Vec<f64>>) {
    let mean = |rows: &[f64]| {
        let known = || rows.iter().filter(|x| !x.is_nan());
        known().sum::<f64>() / known().count() as f64
    };
    let means: Vec<f64> = values.chunks_exact(block).map(mean).collect();
    let changes: Vec<f64> = means.windows(2).map(|w| w[1] - w[0]).collect();
    let Some(mut changes) = standardised(changes).filter(|_| !straight(&means)) else { return (Vec::new(), None) };
    let gaps = changes.iter().any(|x| x.is_nan());
    let known = gaps.then(|| changes.iter().map(|x| f64::from(u8::from(!x.is_nan()))).collect());
    changes.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = 0.0);
    (changes, known)
}

/// Whether values change by equal steps, but for rounding.
fn straight(numbers: &[f64]) -> bool {
    let known = || numbers.windows(2).map(|w| w[1] - w[0]).filter(|x| !x.is_nan());
    let (lo, hi) = known().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), x| (lo.min(x), hi.max(x)));
    let size = numbers.iter().filter(|x| !x.is_nan()).fold(0.0f64, |size, x| size.max(x.abs()));
    hi - lo <= 1e-9 * size
}

/// The sum of products of a series with itself `lag` later, and their number.
fn product(x: &[f64], known: Option<&Vec<f64>>, lag: usize) -> (f64, f64) {
    if lag >= x.len() {
        return (0.0, 0.0);
    }
    let count = known.map_or((x.len() - lag) as f64, |k| dot(k, &k[lag..]));
    (dot(x, &x[lag..]), count)
}

/// The dot product, in several sums that vector units add in parallel.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f64>() + rest
}

/// The first high peaks of the autocorrelation of block changes, as lags in blocks.
fn peaks(all: &[Series], block: usize) -> Vec<usize> {
    let series: Vec<(Vec<f64>, Option<Vec<f64>>)> = all.iter().map(|s| changes(s, block)).filter(|c| !c.0.is_empty()).collect();
    // A season must occur at least three times.
    let reach = |s: &(Vec<f64>, Option<Vec<f64>>)| (s.0.len() + 1) / 3;
    let lags = series.iter().map(reach).max().unwrap_or(0).min(LAGS);
    // By series and lag, from lag 0 to half a season after the longest.
    let most = lags + lags / 2 + 1;
    let products: Vec<Vec<(f64, f64)>> = series.iter().map(|s| (0..=most).map(|lag| product(&s.0, s.1.as_ref(), lag)).collect()).collect();
    // The autocorrelation at `lag` over the series that are long enough for another, and the number of pairs.
    let at = |lag: usize, enough_for: usize| {
        let long = series.iter().zip(&products).filter(|(s, _)| reach(s) >= enough_for.min(lags));
        let (sum, pairs) = long.fold((0.0, 0.0), |(sum, pairs), (_, p)| (sum + p[lag].0, pairs + p[lag].1));
        (sum / pairs, pairs)
    };
    let tests = (lags * 8) as f64;
    let chance = |pairs: f64| ((2.0 * tests.ln()).sqrt() + 0.8) / pairs.sqrt();
    let least = if block == 1 { 2 } else { LEAST_BLOCKS };
    let mut peaks = Vec::new();
    for lag in least..=lags {
        let [(before, _), (r, pairs), (after, _)] = [lag - 1, lag, lag + 1].map(|l| at(l, lag));
        if r <= before || r < after || r < chance(pairs).max(LEAST) {
            continue;
        }
        let lowest = |lags: Range<usize>| lags.map(|l| at(l, lag).0).fold(f64::INFINITY, f64::min);
        let fallen = lowest(1..lag).max(lowest(lag + 1..lag + lag / 2 + 2)) <= (1.0 - FALL) * r;
        // A season recurs.
        if fallen && (2..=3).map(|n| n * lag).filter(|l| *l <= most).all(|l| at(l, lag).0 >= AGAIN * r) {
            peaks.push((lag, r));
        }
    }
    let Some(highest) = peaks.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))) else { return Vec::new() };
    // Compared over the same series, so that long, less noisy ones do not hide what all have.
    let nearly = NEARLY * highest.1;
    let first = |least: f64| peaks.iter().map(|p| p.0).find(|lag| at(*lag, highest.0).0 >= least);
    // Also takes a peak that may be lower by chance alone.
    let mut lags: Vec<usize> = [nearly - 2.0 / at(highest.0, highest.0).1.sqrt(), nearly].into_iter().filter_map(first).collect();
    lags.dedup();
    lags
}

/// The season near a lag in blocks whose sine waves explain the most variance.
fn refined(all: &[Series], lag: usize, block: usize) -> usize {
    let mut near = lag * block;
    for _ in 0..CLIMBS {
        let reach = if block == 1 { (near / 20).max(usize::from(near >= 10)) } else { block };
        let long: Vec<Vec<f64>> = all.iter().filter(|s| s.len() >= 3 * near).map(|s| without_swings(s, near)).collect();
        let candidates: Vec<usize> = (near.saturating_sub(reach).max(2)..=near + reach).collect();
        let power: Vec<f64> = candidates.iter().map(|season| long.iter().map(|s| explained(s, *season)).sum()).collect();
        let best = (0..candidates.len()).max_by(|a, b| power[*a].total_cmp(&power[*b])).unwrap_or(0);
        if reach > 0 && (best == 0 || best + 1 == candidates.len()) && candidates[best] != near {
            // The best season may lie beyond.
            near = candidates[best];
            continue;
        }
        // Prefers a usual season if chance or too few seasons may be why it is not the best.
        let usual = (0..candidates.len()).filter(|i| USUAL.contains(&candidates[*i]) && power[*i] > (0.97 * power[best]).min(power[best] - 4.0));
        return usual.min_by_key(|i| i.abs_diff(best)).map_or(candidates[best], |i| candidates[i]);
    }
    near
}

/// Subtracts from a series its mean over one season around each row; 0 where unknown.
fn without_swings(values: &[f64], season: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u32)];
    for x in values {
        let (sum, count) = sums[sums.len() - 1];
        sums.push(if x.is_nan() { (sum, count) } else { (sum + x, count + 1) });
    }
    let mean = |i: usize| {
        let (from, to) = (i.saturating_sub(season / 2), (i + season.div_ceil(2)).min(values.len()));
        (sums[to].0 - sums[from].0) / f64::from(sums[to].1 - sums[from].1)
    };
    let flat: Series = values.iter().enumerate().map(|(i, x)| x - mean(i)).collect();
    standardised(flat).unwrap_or_default().iter().map(|x| if x.is_nan() { 0.0 } else { *x }).collect()
}

/// The sum of squares explained by a season's sine wave and its overtones.
fn explained(values: &[f64], season: usize) -> f64 {
    let wave = |overtone: usize| {
        // A phasor that turns by one step per row.
        let (step_im, step_re) = (TAU * overtone as f64 / season as f64).sin_cos();
        let (mut re, mut im) = (1.0, 0.0);
        let (mut sum_re, mut sum_im) = (0.0, 0.0);
        for x in values {
            (sum_re, sum_im) = (sum_re + x * re, sum_im + x * im);
            (re, im) = (re * step_re - im * step_im, re * step_im + im * step_re);
        }
        2.0 * (sum_re * sum_re + sum_im * sum_im) / (values.len().max(1) as f64)
    };
    (1..=(season / 2).clamp(1, 4)).map(wave).sum()
}

/// Similarity of values to those one season before, from 1 (equal) to 0 (no more than
/// to any other), over the series that are at least three times as long as `longest`.
fn likeness(all: &[Series], season: usize, longest: usize) -> f64 {
    let mut sums = (0.0, 0.0);
    for series in all.iter().filter(|s| s.len() >= 3 * longest) {
        let pairs = series.iter().zip(&series[season..]).filter(|(a, b)| !a.is_nan() && !b.is_nan());
        sums = pairs.fold(sums, |(sum, count), (a, b)| (sum + (a - b) * (a - b), count + 1.0));
    }
    1.0 - sums.0 / sums.1 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    fn season(f: impl Fn(f64) -> f64, n: usize) -> Option<u32> {
        of(&standardised((0..n).map(|i| f(i as f64)).collect()).into_iter().collect::<Vec<_>>())
    }

    fn wave(i: f64, period: f64) -> f64 {
        (i * TAU / period).sin()
    }

    /// Roughly normal noise of deviation 1.
    fn noise(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
    }

    #[test]
    fn seasons_are_found_under_trends() {
        assert_eq!(season(|i| wave(i, 12.0), 240), Some(12));
        assert_eq!(season(|i| 0.5 * i + wave(i, 12.0), 240), Some(12));
        assert_eq!(season(|i| wave(i, 24.0) + 0.7 * wave(i, 168.0), 2000), Some(24), "the shorter of two, if it explains nearly as much");
        assert_eq!(season(|i| wave(i, 24.0) + 2.0 * wave(i, 168.0), 2000), Some(168));
        assert_eq!(season(|i| f64::from(u8::from((i as u32).is_multiple_of(7))), 700), Some(7));
        // Small compared to a slow swing.
        assert_eq!(season(|i| 20.0 * wave(i, 3000.0) + wave(i, 24.0), 2500), Some(24));
        assert_eq!(season(|i| (i + wave(i, 12.0) * i / 3.0) * (i / 60.0).exp(), 144), Some(12), "months that swing more as they grow");
        assert_eq!(season(|i| 0.02 * i + [3.0, 1.0, 4.0, 2.0][i as usize % 4], 60), Some(4));
    }

    #[test]
    fn seasons_are_found_under_noise() {
        for seed in 0..5 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut noisy = |n: usize, f: &dyn Fn(f64) -> f64| {
                let values: Vec<f64> = (0..n).map(|i| f(i as f64) + noise(&mut rng)).collect();
                season(|i| values[i as usize], n)
            };
            assert_eq!(noisy(3650, &|i| 2.0 * wave(i, 365.0)), Some(365), "{seed}");
            assert_eq!(noisy(2000, &|i| 2.0 * wave(i, 24.0)), Some(24), "{seed}");
            assert_eq!(noisy(400, &|i| 3.0 * wave(i, 7.0)), Some(7), "{seed}");
            assert_eq!(noisy(8000, &|i| 2.0 * wave(i, 1440.0)), Some(1440), "beyond a thousand rows, {seed}");
        }
    }

    /// Many short series of different lengths and levels.
    #[test]
    fn seasons_are_found_over_many_series() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut many = |count: usize, period: f64, n: &dyn Fn(usize) -> usize, loud: f64| {
            let one = |k: usize, rng: &mut ChaCha8Rng| (0..n(k)).map(|i| loud * wave((i + k) as f64, period) + noise(rng)).collect::<Series>();
            of(&(0..count).filter_map(|k| standardised(one(k, &mut rng))).collect::<Vec<_>>())
        };
        assert_eq!(many(60, 4.0, &|_| 40, 1.0), Some(4));
        assert_eq!(many(40, 7.0, &|k| 30 + 3 * k, 1.0), Some(7));
        assert_eq!(many(5, 12.0, &|k| 60 * (k + 1), 1.5), Some(12));
    }

    #[test]
    fn where_there_is_none_none_is_found() {
        assert_eq!(season(|i| 3.0 * i, 200), None);
        assert_eq!(season(|i| 0.1 * i, 200), None);
        assert_eq!(season(|i| (i / 40.0).exp(), 200), None);
        assert_eq!(season(|i| i, 3), None);
        let mut found = Vec::new();
        for seed in 0..40 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let n = [60, 144, 400, 2000][seed as usize % 4];
            let plain: Vec<f64> = (0..n).map(|_| noise(&mut rng)).collect();
            let walk: Vec<f64> = plain
                .iter()
                .scan(0.0, |sum, x| {
                    Some({
                        *sum += x;
                        *sum
                    })
                })
                .collect();
            let slow: Vec<f64> = plain
                .iter()
                .scan(0.0, |last, x| {
                    Some({
                        *last = 0.9 * *last + x;
                        *last
                    })
                })
                .collect();
            for (what, values) in [("noise", &plain), ("a random walk", &walk), ("an autoregression", &slow)] {
                found.extend(season(|i| values[i as usize], n).map(|s| (what, n, seed, s)));
            }
        }
        assert!(found.len() <= 2, "of 120: {found:?}");
    }

    /// Empty cells have no effect, whatever fills them.
    #[test]
    fn gaps_hide_no_season() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let values: Series = (0..800).map(|i| if rng.random::<f64>() < 0.3 { f64::NAN } else { wave(f64::from(i), 24.0) + 0.2 * noise(&mut rng) }).collect();
        assert_eq!(of(&standardised(values).into_iter().collect::<Vec<_>>()), Some(24));
    }
}
