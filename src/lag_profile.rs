//! The lag profile: |dL_t/dh_{t-k}| / |dL_t/dh_t| by lag k, its decay rate, and the window length that it suggests.

use crate::data::{End, Ends};
use crate::engine::{Engine, LagNorms};
use crate::error::Result;
use serde::Serialize;

/// Options of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// K: the longest lag.
    pub lags: u32,
    /// B: losses followed by one backward pass.
    pub lanes: u32,
    /// Number of backward passes.
    pub windows: u32,
    /// Steps read before the first of the lags, so that the state is typical of the text.
    pub warm_up: u32,
    /// Seed of the positions.
    pub seed: u64,
}

impl Options {
    /// Number of losses followed.
    pub fn places(&self) -> u32 {
        self.lanes * self.windows
    }
}

/// The profile of one layer. A value is NaN (null in JSON) if too few positions reach so far back, or a gradient is not finite.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Median over the positions of |dL_t/dh_{t-k}| / |dL_t/dh_t|, by lag k from 0.
    pub median: Vec<f64>,
    /// The 10th percentile.
    pub low: Vec<f64>,
    /// The 90th percentile.
    pub high: Vec<f64>,
    /// log10 of the median, even where the median underflows.
    pub log10_median: Vec<f64>,
    /// Mean over the positions of |dL_t/dh_{t-k}|, not divided.
    #[serde(skip)]
    pub mean: Vec<f64>,
    /// Factor per step of the geometric decay that best fits the median, over all but the first quarter of the lags.
    pub decay_rate: f64,
    /// Coefficient of determination of the fit to the logarithm; 1 is perfect.
    pub decay_fit: f64,
    /// Steps in which the fit halves; null if it does not decay.
    pub half_life: Option<f64>,
    /// Share of what almost stops the gradient: of (unit, position) pairs, those with phi' below 0.1; for a cell with gates, of (gate activation, position)
    /// pairs, those whose slope is below a tenth of the steepest.
    pub saturation: f64,
}

/// How the gradient changes on its way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Over the measured lags it falls below a half.
    Vanishing,
    /// It stays within a factor of 2.
    Stable,
    /// It more than doubles.
    Exploding,
}

impl Layer {
    /// The verdict on this layer.
    pub fn verdict(&self) -> Verdict {
        let change = self.decay_rate.ln() * (self.median.len() - 1) as f64;
        let two = std::f64::consts::LN_2;
        if change < -two {
            Verdict::Vanishing
        } else if change > two || !self.decay_rate.is_finite() {
            Verdict::Exploding
        } else {
            Verdict::Stable
        }
    }
}

/// The layer whose gradient decays slowest: it determines how long a window must be, and represents the model where only one layer is shown. A layer with a
/// non-finite factor comes first; of equals, the last one, next to the head.
pub fn slowest<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> usize {
    let rate = |l: &Layer| if l.decay_rate.is_nan() { f64::INFINITY } else { l.decay_rate };
    layers.into_iter().map(rate).enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(k, _)| k)
}

/// Minimum number of positions for a statistic.
const FEWEST: usize = 5;

/// Measures the profile of every layer.
///
/// # Errors
/// If the device fails, or the text can't be read.
pub fn measure(engine: &mut Engine, ends: &Ends, o: &Options) -> Result<Vec<Layer>> {
    let mut all: Vec<(LagNorms, Vec<End>)> = Vec::new();
    let mut saturated = vec![(0u64, 0u64); engine.config.layers as usize];
    for which in ends.list().chunks_exact(o.lanes as usize) {
        let steps = o.warm_up + o.lags + 1;
        engine.set_state(&zero_state(engine))?;
        let last = |t: u32| f32::from(u8::from(t + 1 == steps));
        engine.advance(0..o.warm_up, |places, range| ends.inputs(which, steps, places, range, last))?;
        let norms = engine.lag_norms(o.warm_up..steps, |places, range| ends.inputs(which, steps, places, range, last))?;
        // Of each lane at its own position in the text.
        if engine.config.cell.spec().keeps_gates {
            flat_gates(engine, &norms.gates, &mut saturated);
        } else {
            flat_units(engine, &mut saturated)?;
        }
        all.push((norms, which.to_vec()));
    }
    let layers = 0..engine.config.layers as usize;
    Ok(layers.map(|layer| summarize(layer, o.lags, &all, saturated[layer])).collect())
}

/// The state at the start of a text.
pub fn zero_state(engine: &Engine) -> Vec<Vec<f32>> {
    let size = engine.plan.extent.lanes * engine.config.state_width();
    vec![vec![0.0; size as usize]; engine.config.layers as usize]
}

/// Counts gate activations whose slope is small, and all.
fn flat_gates(engine: &Engine, gates: &[Vec<f32>], counts: &mut [(u64, u64)]) {
    let (hidden, curves) = (engine.config.hidden as usize, engine.config.cell.spec().curves);
    let padded = crate::dims::pad4(engine.config.hidden) as usize;
    for (rows, (saturated, all)) in gates.iter().zip(counts) {
        for (block, curve) in rows.chunks_exact(padded).zip(curves.iter().cycle()) {
            let Some(curve) = curve else { continue };
            *saturated += block[..hidden].iter().filter(|y| curve.is_flat(**y)).count() as u64;
            *all += hidden as u64;
        }
    }
}

/// Counts units with phi' below 0.1 in the state before the first of the lags, and all units.
fn flat_units(engine: &mut Engine, counts: &mut [(u64, u64)]) -> Result<()> {
    let hidden = engine.config.hidden as usize;
    let activation = engine.config.activation;
    for (state, (saturated, all)) in engine.state()?.iter().zip(counts) {
        for row in state.chunks_exact(crate::dims::pad4(hidden as u32) as usize) {
            *saturated += row[..hidden].iter().filter(|h| activation.is_flat(**h)).count() as u64;
            *all += hidden as u64;
        }
    }
    Ok(())
}

fn summarize(layer: usize, lags: u32, all: &[(LagNorms, Vec<End>)], (saturated, units): (u64, u64)) -> Layer {
    let mut l = Layer {
        median: Vec::new(),
        low: Vec::new(),
        high: Vec::new(),
        log10_median: Vec::new(),
        mean: Vec::new(),
        decay_rate: f64::NAN,
        decay_fit: f64::NAN,
        half_life: None,
        saturation: saturated as f64 / units as f64,
    };
    for k in 0..=lags as usize {
        let (mut ratios, mut sum, mut lost) = (Vec::new(), 0.0, 0);
        for (norms, ends) in all {
            for (lane, _) in ends.iter().enumerate().filter(|(_, e)| e.depth() >= k as u64) {
                let at = |k: usize| norms.ln[layer][k * norms.lanes as usize + lane];
                // A loss without a gradient has no ratio.
                if at(0) == f64::NEG_INFINITY {
                    continue;
                }
                let ratio = at(k) - at(0);
                lost += usize::from(ratio.is_nan());
                ratios.push(if ratio.is_nan() { f64::INFINITY } else { ratio });
                sum += at(k).exp();
            }
        }
        ratios.sort_by(f64::total_cmp);
        let enough = ratios.len() >= FEWEST;
        // Non-finite ratios sort last: a quantile that meets one is not finite either.
        let quantile = |q: f64| if enough { ratios[((ratios.len() - 1) as f64 * q).round() as usize] } else { f64::NAN };
        let [low, median, high] = [0.1, 0.5, 0.9].map(|q| Some(quantile(q)).filter(|x| *x != f64::INFINITY).unwrap_or(f64::NAN));
        for (list, ln) in [(&mut l.low, low), (&mut l.median, median), (&mut l.high, high)] {
            list.push(ln.exp());
        }
        l.log10_median.push(median / std::f64::consts::LN_10);
        l.mean.push(if enough && lost == 0 { sum / ratios.len() as f64 } else { f64::NAN });
    }
    (l.decay_rate, l.decay_fit) = decay(&l.log10_median);
    l.half_life = Some(-std::f64::consts::LN_2 / l.decay_rate.ln()).filter(|h| *h > 0.0 && h.is_finite());
    l
}

/// The factor per step of the best geometric decay, by least squares over the logarithms of the last three
/// quarters of the lags, and the fit's coefficient of determination. NaN if there are less than 2 values.
fn decay(log10: &[f64]) -> (f64, f64) {
    let points: Vec<(f64, f64)> =
        log10.iter().enumerate().skip(log10.len() / 4).filter(|(_, y)| y.is_finite()).map(|(k, y)| (k as f64, y * std::f64::consts::LN_10)).collect();
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let sum = |f: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>();
    let (xx, xy, yy) = (sum(&|p| (p.0 - mx).powi(2)), sum(&|p| (p.0 - mx) * (p.1 - my)), sum(&|p| (p.1 - my).powi(2)));
    if points.len() < 2 {
        // Dead units stop the gradient: it is zero from some lag on.
        let gone = log10.last() == Some(&f64::NEG_INFINITY);
        return (if gone { 0.0 } else { f64::NAN }, f64::NAN);
    }
    let slope = xy / xx;
    // A constant is fitted perfectly.
    let rest = (yy - slope * xy).max(0.0);
    (slope.exp(), if yy <= 1e-12 * n { 1.0 } else { 1.0 - rest / yy })
}

/// The relative bias of `regular:TAU` expected from the profile alone. A loss d steps after its window's start reaches back d lags, and all
/// d from 0 to TAU - 1 are equally frequent: so of the contribution of lag k, the share min(k, TAU) / TAU is missing. The contribution of a
/// lag is taken to be proportional to the mean of |dL_t/dh_{t-k}|, and beyond the longest lag to decay as fitted. NaN if the gradient does not decay.
pub fn estimated_bias(layers: &[Layer], tau: u32) -> f64 {
    layers.iter().map(|l| estimated_bias_of(l, f64::from(tau))).fold(0.0, |m, x| if x.is_nan() || f64::is_nan(m) { f64::NAN } else { m.max(x) })
}

fn estimated_bias_of(l: &Layer, tau: f64) -> f64 {
    let (last, beta) = (*l.mean.last().unwrap_or(&f64::NAN), l.decay_rate);
    if beta.is_nan() || beta >= 1.0 || l.mean.iter().any(|x| !x.is_finite()) {
        return f64::NAN;
    }
    let missing = |k: f64| k.min(tau) / tau;
    let (mut all, mut lost) = (0.0, 0.0);
    for (k, x) in l.mean.iter().enumerate() {
        (all, lost) = (all + x, lost + missing(k as f64) * x);
    }
    // Beyond the longest lag K: last * beta^j at lag K + j. Sums up to the window's length, then the rest, all of which is missing.
    let longest = (l.mean.len() - 1) as f64;
    let tail = last * beta / (1.0 - beta);
    let inside = (tau - longest).max(0.0).floor();
    let power = beta.powf(inside);
    // sum over j = 1..=n of (K + j) beta^j, n = inside.
    let ramp = longest * beta * (1.0 - power) / (1.0 - beta) + beta * (1.0 - (inside + 1.0) * power + inside * power * beta) / (1.0 - beta).powi(2);
    lost += last * ramp / tau + tail * power;
    lost / (all + tail)
}

/// The smallest TAU whose estimated bias is at most `tolerance`; `None` if it exceeds a million steps.
pub fn suggested_tau(layers: &[Layer], tolerance: f64) -> Option<u32> {
    const MOST: u32 = 1_000_000;
    let good = |tau: u32| estimated_bias(layers, tau) <= tolerance;
    if !good(MOST) {
        return None;
    }
    // The estimate decreases with TAU.
    let (mut bad, mut enough) = (0, MOST);
    while enough - bad > 1 {
        let middle = bad + (enough - bad) / 2;
        if good(middle) { enough = middle } else { bad = middle }
    }
    Some(enough)
}
