//! How the CPU kernels use the machine: a fixed split of work over threads, vector instructions by safe dispatch, and the single call into the matmul library.

mod panels;

pub use panels::Panels;

use crate::platform;
use std::ops::Range;

/// Splits `0..n` into at most `parts` contiguous, near-equal ranges, none empty.
pub fn split(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, n.max(1));
    (0..parts).map(|i| n * i / parts..n * (i + 1) / parts).filter(|r| !r.is_empty()).collect()
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

/// How a scan is split over threads.
pub enum Parts {
    /// By lanes: each thread advances through time on its own, and reads all of W.
    Lanes(Vec<Range<usize>>),
    /// By columns: each thread reads only its columns of W, and all threads synchronize at every step.
    Columns(Vec<Range<usize>>),
}

/// Minimum lanes per thread for a split by lanes. With fewer, reading W dominates: two threads that read half of W each beat two that read all of it,
/// synchronization included (measured at B 2 and 4, H 512 and 1024: 1.2 to 1.5 times).
const LANES_EACH: usize = 4;
/// From this many values of W on, 4 MiB, it fits in no cache of one core's own. With 16 lanes a thread, half of it each made updates 1.07 to 1.2 times as fast at
/// H 1024 (rnn and lstm, 2 threads), and as fast for an lstm of H 512.
const LARGE: usize = 1 << 20;

/// Splits a scan by its sizes and the number of threads alone, so that the split is
/// constant throughout a run. Either split gives the same sums, and so the same bits.
pub fn part_scan(lanes: usize, columns: usize, gates: usize, threads: usize) -> Parts {
    let by_columns = threads > 1 && (lanes < LANES_EACH * threads || gates * columns * columns >= LARGE);
    if by_columns { Parts::Columns(split_columns(columns, threads)) } else { Parts::Lanes(split(lanes, threads)) }
}

/// Splits columns like [`split`], at multiples of 16.
pub fn split_columns(columns: usize, parts: usize) -> Vec<Range<usize>> {
    split(columns.div_ceil(16), parts).into_iter().map(|r| r.start * 16..(r.end * 16).min(columns)).collect()
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
    pulp::Arch::new().dispatch(f)
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

/// A matrix operand: row-major with leading dimension `ld`, or the transpose of that.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    /// The values, from the first on.
    pub data: &'a [f32],
    /// Elements from row to row as stored.
    pub ld: usize,
    /// Whether the operand is the transpose of what is stored.
    pub transposed: bool,
}

impl<'a> Mat<'a> {
    /// A matrix as stored.
    pub fn new(data: &'a [f32], ld: usize) -> Self {
        Mat { data, ld, transposed: false }
    }

    /// The transpose of what is stored.
    pub fn t(self) -> Self {
        Mat { transposed: !self.transposed, ..self }
    }

    /// The matrix from row `row` on.
    pub fn from_row(self, row: usize) -> Self {
        Mat { data: &self.data[if self.transposed { row } else { row * self.ld }..], ..self }
    }

    /// The operand from element `from` of the inner dimension on: its rows if it is the right one of a product, its columns if it is the left one.
    fn skip_inner(self, from: usize, rows: bool) -> Self {
        Mat { data: &self.data[if rows == self.transposed { from } else { from * self.ld }..], ..self }
    }

    /// Row and column strides; checks that `rows x cols` fits.
    fn strides(&self, rows: usize, cols: usize) -> (isize, isize) {
        let (r, c) = if self.transposed { (cols, rows) } else { (rows, cols) };
        assert!(c <= self.ld && (r - 1) * self.ld + c <= self.data.len(), "matrix {r}x{c}, ld {} in {} numbers", self.ld, self.data.len());
        if self.transposed { (1, self.ld as isize) } else { (self.ld as isize, 1) }
    }
}

/// Largest part of the inner dimension passed to the library at once. It adds up to this many products
/// in order, and more of them in parts whose length depends on the caches and the other sizes.
const INNER: usize = 512;
/// With a transposed b, the library computes results of up to this many values differently, with another order of the sum.
const SMALL: usize = 256;

/// dst (+)= a b, with dst `[rows, cols]` row-major, on the calling thread. Each row depends, to the bit, only on its row of a and on b, however many other
/// rows there are; each column only on its column of b and on a, if b is transposed.
pub fn product(dst: &mut [f32], dst_ld: usize, [rows, cols, inner]: [usize; 3], a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    if rows == 0 || cols == 0 || inner == 0 {
        return;
    }
    if rows == 1 && !a.transposed {
        // A single row would be added up in another order, so a row of zeros is added.
        let mut two = vec![0f32; 2 * inner];
        two[..inner].copy_from_slice(&a.data[..inner]);
        let mut result = vec![0f32; 2 * cols];
        result[..cols].copy_from_slice(&dst[..cols]);
        product(&mut result, cols, [2, cols, inner], Mat::new(&two, inner), b, accumulate);
        dst[..cols].copy_from_slice(&result[..cols]);
        return;
    }
    if b.transposed && !a.transposed && rows * cols <= SMALL {
        let wide = SMALL / rows + 1;
        let mut more = vec![0f32; wide * inner];
        more.chunks_exact_mut(inner).zip(b.data.chunks(b.ld)).take(cols).for_each(|(to, from)| to.copy_from_slice(&from[..inner]));
        let mut result = vec![0f32; rows * wide];
        result.chunks_exact_mut(wide).zip(dst.chunks(dst_ld)).for_each(|(to, from)| to[..cols].copy_from_slice(&from[..cols]));
        product(&mut result, wide, [rows, wide, inner], a, Mat::new(&more, inner).t(), accumulate);
        result.chunks_exact(wide).zip(dst.chunks_mut(dst_ld)).for_each(|(from, to)| to[..cols].copy_from_slice(&from[..cols]));
        return;
    }
    for from in (0..inner).step_by(INNER) {
        let part = INNER.min(inner - from);
        gemm_product(dst, dst_ld, [rows, cols, part], a.skip_inner(from, false), b.skip_inner(from, true), accumulate || from > 0);
    }
}

/// dst (+)= a b by the library, which adds along `inner` in order as long as that is at most [`INNER`].
fn gemm_product(dst: &mut [f32], dst_ld: usize, [rows, cols, inner]: [usize; 3], a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    assert!(cols <= dst_ld && (rows - 1) * dst_ld + cols <= dst.len(), "result {rows}x{cols}, ld {dst_ld} in {} numbers", dst.len());
    let (a_rs, a_cs) = a.strides(rows, inner);
    let (b_rs, b_cs) = b.strides(inner, cols);
    // SAFETY: the asserts above and in `strides` show that every element that gemm reads or writes, at row * rs + col * cs
    // for row and col below the given sizes, lies inside the three slices; dst is borrowed mutably, so it overlaps neither.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            dst.as_mut_ptr(),
            1,
            dst_ld as isize,
            accumulate,
            a.data.as_ptr(),
            a_cs,
            a_rs,
            b.data.as_ptr(),
            b_cs,
            b_rs,
            1.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
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

    /// The first and last row of a product, or column of b^T, have the same bits whatever lies between them.
    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_others() {
        let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
        let numbers = |n: usize, from: usize| (from..from + n).map(number).collect::<Vec<f32>>();
        for inner in [3, 64, 300, 700, 1500] {
            let (one, w) = (numbers(inner, 7), numbers(inner * 48, 1000));
            let bits = |count: usize, place: usize, transposed: bool| {
                let mut many = numbers(inner * count, 55);
                many[place * inner..][..inner].copy_from_slice(&one);
                let mut dst = vec![0.25; 48 * count];
                if transposed {
                    product(&mut dst, count, [48, count, inner], Mat::new(&w, inner), Mat::new(&many, inner).t(), true);
                    dst.chunks_exact(count).map(|row| row[place].to_bits()).collect::<Vec<_>>()
                } else {
                    product(&mut dst, 48, [count, 48, inner], Mat::new(&many, inner), Mat::new(&w, 48), true);
                    dst[place * 48..][..48].iter().map(|x| x.to_bits()).collect()
                }
            };
            for transposed in [false, true] {
                let alone = bits(1, 0, transposed);
                for count in [2, 3, 5, 6, 8, 16, 33, 64, 65, 257] {
                    for place in [0, count / 2, count - 1] {
                        assert!(bits(count, place, transposed) == alone, "inner {inner}, place {place} of {count}, transposed {transposed}");
                    }
                }
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
