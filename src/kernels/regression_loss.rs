//! Weighted mean error of outputs `[V, rows]`: `loss[r]` = w_r / V sum_v e(z_v - y_v), z = outputs + b_y, e(d) = d^2 or |d|, or the pinball loss of the levels of quantiles; and
//! d_outputs = w_r / (N V) e'(z - y) in place.

use super::slices;
use crate::arena::View;
use crate::error::{Error, Result};
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};
use crate::setting::choices;
use std::fmt;
use std::str::FromStr;

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "regression_loss",
    source: include_str!("../../shaders/regression_loss.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("targets"), read("params"), write("outputs"), write("loss")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| linear_grid(Args::of(args).rows.div_ceil(64)),
    cpu,
    work: |args| {
        let Args { rows, count, gradient, .. } = Args::of(args);
        let outputs = f64::from(rows) * f64::from(count);
        Work { flops: 4.0 * outputs, bytes: 4.0 * outputs * f64::from(2 + gradient) }
    },
};

args! {
    rows: u32,
    count: u32,
    ld: u32,
    targets_offset: u32,
    targets_ld: u32,
    weights_offset: u32,
    bias: u32,
    bias_offset: u32,
    inverse_n: f32,
    gradient: u32,
    loss_offset: u32,
    absolute: u32,
    inverse_count: f32,
    levels: u32,
    q0: f32,
    q1: f32,
    q2: f32,
    q3: f32,
    q4: f32,
    q5: f32,
    q6: f32,
    q7: f32,
    q8: f32,
}

/// Error measure of a numeric output o with target y.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegressionLoss {
    /// (o - y)^2; its optimum is the conditional mean.
    #[default]
    Squared,
    /// |o - y|; its optimum is the conditional median, which outliers move less.
    Absolute,
}

choices!(RegressionLoss { Squared = "squared", Absolute = "absolute" });

/// Most levels of quantiles.
pub const MOST_LEVELS: usize = 9;
/// Levels are counted in these parts of 1.
const PARTS: f64 = 10_000.0;

/// Levels of quantiles, rising, 0.5 among them. Output v, of those of a target at a horizon, is the quantile of level v mod their number, and its loss
/// is the pinball loss: (1 - q) d above the truth, q d below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Quantiles {
    count: u8,
    /// In ten-thousandths.
    levels: [u16; MOST_LEVELS],
}

impl Quantiles {
    /// The levels.
    pub fn levels(&self) -> Vec<f64> {
        self.levels[..self.count()].iter().map(|l| f64::from(*l) / PARTS).collect()
    }

    /// Number of levels.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The place of 0.5, the forecast that is scored as one number.
    pub fn middle(&self) -> usize {
        self.levels[..self.count()].iter().position(|l| f64::from(*l) == PARTS / 2.0).unwrap_or(0)
    }
}

impl FromStr for Quantiles {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| Err(Error::Usage(format!("{text:?} {what}; expected levels between 0 and 1 that rise, 0.5 among them, such as 0.1,0.5,0.9")));
        let mut found = Quantiles::default();
        for word in text.split(',') {
            let level = match word.trim().parse::<f64>() {
                Ok(x) if x > 0.0 && x < 1.0 => x * PARTS,
                Ok(_) => return wrong("has a level that is not between 0 and 1"),
                Err(_) => return wrong("is no list of levels"),
            };
            if (level - level.round()).abs() > 1e-6 {
                return wrong("has a level of more than 4 digits");
            }
            let (level, n) = (level.round() as u16, found.count());
            if n == MOST_LEVELS {
                return wrong("has more than 9 levels");
            }
            if n > 0 && found.levels[n - 1] >= level {
                return wrong("does not rise from level to level");
            }
            found.levels[n] = level;
            found.count += 1;
        }
        if found.levels[found.middle()] != (PARTS / 2.0) as u16 {
            return wrong("lacks 0.5, the forecast whose errors are measured");
        }
        Ok(found)
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.levels().iter().map(f64::to_string).collect::<Vec<_>>().join(","))
    }
}

impl From<Quantiles> for String {
    fn from(levels: Quantiles) -> Self {
        levels.to_string()
    }
}

impl TryFrom<String> for Quantiles {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

/// The operands.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// `[V, rows]`: the true values.
    pub targets: View,
    /// `[rows, 1]`, in the same slot as the targets.
    pub weights: View,
    /// b_y, `[1, V]`.
    pub bias: Option<View>,
    /// Slot of the parameters, bound even without a bias.
    pub params: crate::arena::Slot,
    /// `[V, rows]`.
    pub outputs: View,
    /// `[rows, 1]`.
    pub loss: View,
    /// 1/N as the bits of an f32.
    pub inverse_n: Word,
    /// Whether d_outputs overwrites the outputs; if not, they are kept.
    pub gradient: bool,
    /// The error measure.
    pub deviation: RegressionLoss,
    /// The levels of quantiles, whose pinball loss takes the place of the error measure.
    pub quantiles: Option<Quantiles>,
}

/// Records the loss and, if requested, d_outputs.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    assert!(o.targets.cols == o.loss.rows && o.weights.rows == o.loss.rows && o.targets.slot == o.weights.slot, "{label}: shapes");
    assert!(o.outputs.offset == Word::from(0), "{label}: the outputs begin their slot");
    let count = o.outputs.rows.constant().expect("the number of outputs is a constant");
    assert!(o.targets.rows == o.outputs.rows && o.bias.is_none_or(|b| b.cols == Word::from(count) && b.slot == o.params), "{label}: outputs");
    let level = |k: usize| Word::f32(o.quantiles.and_then(|q| q.levels().get(k).copied()).unwrap_or(0.0) as f32);
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![o.targets.slot, o.params, o.outputs.slot, o.loss.slot],
        args: Words {
            rows: o.loss.rows,
            count: count.into(),
            ld: o.outputs.ld.into(),
            targets_offset: o.targets.offset,
            targets_ld: o.targets.ld.into(),
            weights_offset: o.weights.offset,
            bias: u32::from(o.bias.is_some()).into(),
            bias_offset: o.bias.map_or(0.into(), |b| b.offset),
            inverse_n: o.inverse_n,
            gradient: u32::from(o.gradient).into(),
            loss_offset: o.loss.offset,
            absolute: u32::from(o.deviation == RegressionLoss::Absolute || o.quantiles.is_some()).into(),
            inverse_count: Word::f32((1.0 / f64::from(count)) as f32),
            levels: (o.quantiles.map_or(0, |q| q.count()) as u32).into(),
            q0: level(0),
            q1: level(1),
            q2: level(2),
            q3: level(3),
            q4: level(4),
            q5: level(5),
            q6: level(6),
            q7: level(7),
            q8: level(8),
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let levels = [args.q0, args.q1, args.q2, args.q3, args.q4, args.q5, args.q6, args.q7, args.q8];
    let Args {
        rows, count, ld, targets_offset, targets_ld, weights_offset, bias, bias_offset, inverse_n, gradient, loss_offset, absolute, inverse_count, ..
    } = args;
    let ([targets, params], [outputs, loss]) = slices(call.bound);
    let (rows, count, ld, targets_ld) = (rows as usize, count as usize, ld as usize, targets_ld as usize);
    let padded = rows.next_multiple_of(4);
    let weights = &targets[weights_offset as usize..][..rows];
    let targets = &targets[targets_offset as usize..];
    let bias = (bias != 0).then(|| &params[bias_offset as usize..][..count]);
    // Blocks of rows, so that neighbouring values are processed together.
    let ranges: Vec<_> = host::split(padded / 4, call.threads).into_iter().map(|r| r.start * 4..r.end * 4).collect();
    let loss_parts = host::cut_blocks(&mut loss[loss_offset as usize..][..padded], padded, 1, &ranges);
    let output_parts = host::cut_blocks(&mut outputs[..count * ld], ld, 1, &ranges);
    let tasks = ranges.into_iter().zip(output_parts).zip(loss_parts).map(|((range, mut z), mut loss)| {
        move || {
            let weight = |r: usize| weights.get(range.start + r).copied().unwrap_or(0.0);
            loss[0].fill(0.0);
            for (v, z) in z.iter_mut().enumerate() {
                let b = bias.map_or(0.0, |b| b[v]);
                let level = (args.levels != 0).then(|| levels[v % args.levels as usize]);
                let slopes = level.map_or([-1.0, 1.0], |q| [-q, 1.0 - q]);
                for (r, (z, loss)) in z.iter_mut().zip(loss[0].iter_mut()).enumerate() {
                    let w = weight(r);
                    // Not a product with 0: the other factor may be NaN.
                    let d = if w == 0.0 { 0.0 } else { *z + b - targets[v * targets_ld + range.start + r] };
                    let (value, slope) = if absolute != 0 { (d * sloped(d, slopes), sloped(d, slopes)) } else { (d * d, 2.0 * d) };
                    *loss += value;
                    if gradient != 0 {
                        *z = slope * (w * inverse_n * inverse_count);
                    }
                }
            }
            loss[0].iter_mut().enumerate().for_each(|(r, loss)| *loss *= weight(r) * inverse_count);
        }
    });
    host::parallel(tasks.collect::<Vec<_>>());
}

/// The slope below and above 0, and 0 there; NaN stays NaN.
fn sloped(d: f32, [below, above]: [f32; 2]) -> f32 {
    if d > 0.0 {
        above
    } else if d < 0.0 {
        below
    } else {
        d
    }
}
