//! How the CPU kernels use the machine: a fixed split of work over threads, vector instructions by safe dispatch, and products.

mod product;
mod shared;
mod tile;

pub use product::{Mat, Panels, panel_columns, product};
pub use shared::{Blocks, Order, Places, Relay, Window, fetch};

use crate::platform;
use std::ops::Range;

/// Splits `0..n` into at most `parts` contiguous, near-equal ranges, none empty.
pub fn split(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, n.max(1));
    (0..parts).map(|i| n * i / parts..n * (i + 1) / parts).filter(|r| !r.is_empty()).collect()
}

/// Like [`split`], at multiples of `unit`.
pub fn in_units(n: usize, unit: usize, parts: usize) -> Vec<Range<usize>> {
    split(n.div_ceil(unit), parts).into_iter().map(|r| r.start * unit..(r.end * unit).min(n)).collect()
}

/// Splits the first `len` values off `data`, or all there are.
pub fn take<'a>(data: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let at = len.min(data.len());
    let (head, tail) = std::mem::take(data).split_at_mut(at);
    *data = tail;
    head
}

/// Runs the tasks on the current thread pool and waits for all.
pub fn parallel<F: FnOnce() + Send>(tasks: impl IntoIterator<Item = F>) {
    platform::run_all(tasks.into_iter().collect());
}

/// Splits every block of `width` elements of `data` at the ends of `ranges` (in units of `unit` elements): element `[i][b]` is the part of block b that
/// belongs to range i. The last block may be shorter, if what it lacks is in no range.
pub fn cut_blocks<'a>(data: &'a mut [f32], width: usize, unit: usize, ranges: &[Range<usize>]) -> Vec<Vec<&'a mut [f32]>> {
    let mut parts: Vec<Vec<&mut [f32]>> = ranges.iter().map(|_| Vec::with_capacity(data.len() / width)).collect();
    for block in data.chunks_mut(width) {
        let mut rest = block;
        for (range, part) in ranges.iter().zip(&mut parts) {
            part.push(take(&mut rest, range.len() * unit));
        }
    }
    parts
}

/// How a scan is split over threads: in teams, each with its own lanes; and each member of a team has its own columns. Members synchronize at every step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teams {
    /// By team.
    pub lanes: Vec<Range<usize>>,
    /// By member.
    pub columns: Vec<Range<usize>>,
    /// Whether there is a core for every member.
    pub may_spin: bool,
}

/// Cycles that members spend to wait for each other once, about 1.5 us.
const BARRIER: usize = 4_000;

/// Splits a scan so that a step takes the fewest cycles, by a simple account of its product: the rows of a strip times a vector of W take half a cycle each, or
/// as long as it takes to load the vector: 2 cycles from a core's own cache, 6 from beyond it, but only for the first of the strips. Every split gives the same
/// sums, and so the same bits.
pub fn split_scan(lanes: usize, columns: usize, gates: usize, threads: usize) -> Teams {
    let (cache, vectors) = (platform::cache_bytes(), columns.div_ceil(16));
    let cycles = |p: usize, q: usize| {
        let (rows, own) = (lanes.div_ceil(p), gates * vectors.div_ceil(q) * columns);
        let load = if own * 64 > cache { 6 } else { 2 };
        let strips = split(rows, rows.div_ceil(8)).into_iter().enumerate();
        let strip = |(i, strip): (usize, Range<usize>)| strip.len().max(2 * if i == 0 { load } else { 2 });
        own * strips.map(strip).sum::<usize>() / 2 + if q > 1 { BARRIER } else { 0 }
    };
    let teams = (1..=threads.min(lanes)).flat_map(|p| (1..=(threads / p).min(vectors)).map(move |q| (p, q)));
    let (p, q) = teams.min_by_key(|&(p, q)| cycles(p, q)).unwrap_or((1, 1));
    Teams { lanes: split(lanes, p), columns: in_units(columns, 16, q), may_spin: threads <= platform::cores() }
}

/// Runs the tasks all at the same time, on as many threads of the current pool, and waits for all.
pub fn together<F: FnOnce() + Send>(tasks: impl IntoIterator<Item = F>) {
    platform::run_together(tasks.into_iter().collect());
}

/// The vector instructions of this processor that change how sums are made.
pub fn vector_units() -> String {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let found =
        [("avx512f", std::is_x86_feature_detected!("avx512f")), ("avx2", std::is_x86_feature_detected!("avx2")), ("fma", std::is_x86_feature_detected!("fma"))];
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let found: [(&str, bool); 0] = [];
    let names: Vec<&str> = found.into_iter().filter(|f| f.1).map(|f| f.0).collect();
    format!("{} {}", std::env::consts::ARCH, names.join(" "))
}

/// Runs `f` compiled for the widest vector instructions of this processor.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    arch().dispatch(f)
}

/// The widest vector instructions of this processor, or fewer if the environment variable RETROGRAD_SIMD says so: `none`, or `avx2`.
fn arch() -> pulp::Arch {
    static ARCH: std::sync::OnceLock<pulp::Arch> = std::sync::OnceLock::new();
    *ARCH.get_or_init(|| match std::env::var("RETROGRAD_SIMD").as_deref() {
        Ok("none") => pulp::Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(pulp::Arch::Scalar, pulp::Arch::V3),
        _ => pulp::Arch::new(),
    })
}

/// 1.5 * 2^23 plus the exponent bias: adding it to a value of moderate size leaves the nearest integer, biased, in the low bits.
const ROUND: f32 = INTEGER + 127.0;
/// 1.5 * 2^23.
const INTEGER: f32 = 12_582_912.0;

/// tanh with an error below 1.5 units in the last place everywhere; odd; NaN stays NaN. Below 0.55 a polynomial in x^2, above it 1 - 2u / (1 + u) with u =
/// exp(-2 |x|) = 2^n exp(2r), |2r| <= ln 2 / 2. Returns 1 where tanh rounds to 1 in f32.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let mut near = 0.016_437_58f32;
    for c in [-0.052_671_812, 0.133_207_25, -0.333_329_47] {
        near = near.mul_add(z, c);
    }
    let near = (near * z).mul_add(a, a);
    // Unlike min(), one instruction. A NaN takes the polynomial branch.
    let t = if a < 10.0 { a } else { 10.0 };
    let biased = t.mul_add(-2.0 * std::f32::consts::LOG2_E, ROUND);
    let r = (biased - ROUND).mul_add(-0.5 * std::f32::consts::LN_2, -t);
    let mut e = 0.088_598_78f32;
    for c in [0.267_975_54, 0.666_688_14, 1.333_314_4, 1.999_999_8, 2.0, 1.0] {
        e = e.mul_add(r, c);
    }
    let u = e * f32::from_bits(biased.to_bits() << 23);
    let far = (u / (1.0 + u)).mul_add(-2.0, 1.0);
    (if a >= 0.55 { far } else { near }).copysign(x)
}

/// The logistic function 1 / (1 + exp(-x)) with an error below 2 units in the last place everywhere; NaN stays NaN. With e = exp(-|x|), it is 1 / (1 + e) or
/// e / (1 + e). The scale 2^n of e is applied in two halves: results may be subnormal.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    // Unlike min(), this passes NaN on.
    let a = if x.abs() > 104.0 { 104.0 } else { x.abs() };
    let biased = a * -std::f32::consts::LOG2_E + INTEGER;
    let n = biased - INTEGER;
    let r = n.mul_add(-1.428_606_8e-6, n.mul_add(-0.693_145_75, -a));
    let mut q = 1.394_649_7e-3f32;
    for c in [8.366_611e-3, 4.166_628e-2, 0.166_665_43, 0.5] {
        q = q.mul_add(r, c);
    }
    let e = (q * r).mul_add(r, r) + 1.0;
    // Not `n as i32`, which checks for NaN and keeps the loop from being vectorized.
    let whole = (biased.to_bits() as i32).wrapping_sub(INTEGER.to_bits() as i32);
    let half = whole >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let e = e * power(half) * power(whole.wrapping_sub(half));
    // The division, corrected by its remainder and by what the sum has lost.
    let (top, sum) = (if x < 0.0 { e } else { 1.0 }, 1.0 + e);
    let (lost, inverse) = (e - (sum - 1.0), 1.0 / sum);
    let s = top * inverse;
    ((-s).mul_add(sum, top) - s * lost).mul_add(inverse, s)
}

/// exp for -87 <= x <= 88 with an error below 1.1 units in the last place; outside, its value at the nearer end. NaN stays NaN.
/// exp(x) = 2^n exp(r) with |r| <= ln 2 / 2; ln 2 is split in two, so that r is exact to its last bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let biased = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = biased - ROUND;
    let r = n.mul_add(-1.428_606_8e-6, n.mul_add(-0.693_145_75, x));
    let mut q = 1.394_649_7e-3f32;
    for c in [8.366_611e-3, 4.166_628e-2, 0.166_665_43, 0.5] {
        q = q.mul_add(r, c);
    }
    let scale = f32::from_bits(biased.to_bits() << 23);
    (q * r).mul_add(r, r).mul_add(scale, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_covers_everything_once_in_order() {
        for n in 0..20 {
            for parts in 1..6 {
                let all: Vec<usize> = split(n, parts).into_iter().flatten().collect();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
            }
        }
    }

    /// Error in units in the last place of the f32 nearest to the exact value.
    fn ulps(got: f32, exact: f64) -> f64 {
        let exponent = ((exact.abs().to_bits() >> 52) as i32 - 1023).max(-126);
        (f64::from(got) - exact).abs() / 2f64.powi(exponent - 23)
    }

    /// Every 499th of all f32 from 0 to infinity, and their negatives.
    #[test]
    fn tanh_is_within_one_and_a_half_units_of_f64() {
        let mut samples: Vec<f32> = (0..f32::INFINITY.to_bits()).step_by(499).map(f32::from_bits).collect();
        samples.extend([f32::MIN_POSITIVE, f32::from_bits(1), 0.55, 0.549_999_95, 9.010_913, 10.0, f32::MAX, f32::INFINITY]);
        let mut got = samples.clone();
        vectorized(
            #[inline(always)]
            || got.iter_mut().for_each(|x| *x = tanh(*x)),
        );
        for (&x, &y) in samples.iter().zip(&got) {
            let e = ulps(y, f64::from(x).tanh());
            assert!(e < 1.5, "tanh({x:e}) = {y:e}, {e} units off");
            assert_eq!(tanh(-x).to_bits(), (-y).to_bits(), "tanh({x:e})");
        }
        assert!(tanh(f32::NAN).is_nan() && tanh(-f32::NAN).is_nan());
        assert_eq!([0.0f32, -0.0, f32::INFINITY, f32::NEG_INFINITY].map(|x| tanh(x).to_bits()), [0.0f32, -0.0, 1.0, -1.0].map(f32::to_bits));
    }

    /// Every 499th of all f32 from 0 to infinity, and their negatives, and densely where the result is neither 0 nor 1.
    #[test]
    fn sigmoid_is_within_two_units_of_f64() {
        let mut samples: Vec<f32> = (0..f32::INFINITY.to_bits()).step_by(499).map(f32::from_bits).collect();
        samples.extend((0..1_100_000).map(|i| i as f32 * 1e-4));
        samples.extend([f32::MIN_POSITIVE, 87.3, 88.7, 103.9, 104.0, 105.0, f32::MAX, f32::INFINITY]);
        for sign in [1.0, -1.0] {
            let mut got: Vec<f32> = samples.iter().map(|x| x * sign).collect();
            vectorized(
                #[inline(always)]
                || got.iter_mut().for_each(|x| *x = sigmoid(*x)),
            );
            for (&x, &y) in samples.iter().zip(&got) {
                let exact = 1.0 / (1.0 + (-f64::from(x * sign)).exp());
                let e = ulps(y, exact);
                assert!(e < 2.0, "sigmoid({:e}) = {y:e}, {e} units off", x * sign);
            }
        }
        assert!(sigmoid(f32::NAN).is_nan() && sigmoid(-f32::NAN).is_nan());
        assert_eq!([0.0f32, -0.0, f32::INFINITY, f32::NEG_INFINITY].map(sigmoid), [0.5, 0.5, 1.0, 0.0]);
    }

    #[test]
    fn exp_is_within_little_more_than_one_unit_of_f64() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let e = ulps(exp(x), f64::from(x).exp());
            assert!(e < 1.1, "exp({x}), {e} units off");
        }
        assert!(exp(f32::NAN).is_nan());
        assert_eq!([exp(0.0), exp(-0.0), exp(-1e30), exp(f32::INFINITY)], [1.0, 1.0, exp(-87.0), exp(88.0)]);
    }
}
