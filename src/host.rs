//! How the CPU implementations use the machine: work split over threads in a fixed way, vector instructions by safe
//! dispatch, and the one call into the matmul library.

use std::ops::Range;

/// Bytes of memory that this process may have: the machine's, or less in a container; none if unknown.
pub fn total_memory() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let all = Some(system.total_memory()).filter(|n| *n > 0)?;
    Some(system.cgroup_limits().map_or(all, |c| all.min(c.total_memory)))
}

/// Splits `0..n` into at most `parts` contiguous, near-equal ranges, none empty.
pub fn split(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, n.max(1));
    (0..parts).map(|i| n * i / parts..n * (i + 1) / parts).filter(|r| !r.is_empty()).collect()
}

/// Cuts the first `len` numbers off `data`, or all there are.
pub fn take<'a>(data: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    let at = len.min(data.len());
    let (head, tail) = std::mem::take(data).split_at_mut(at);
    *data = tail;
    head
}

/// Runs the tasks on the current thread pool and waits for all.
pub fn parallel<F: FnOnce() + Send>(tasks: impl IntoIterator<Item = F>) {
    let mut tasks: Vec<F> = tasks.into_iter().collect();
    let Some(last) = tasks.pop() else { return };
    rayon::scope(|scope| {
        for task in tasks {
            scope.spawn(|_| task());
        }
        last();
    });
}

/// Cuts every block of `width` elements of `data` at the ends of `ranges` (in units of `unit` elements): element `[i][b]` is
/// the part of block b that belongs to range i.
pub fn cut_blocks<'a>(data: &'a mut [f32], width: usize, unit: usize, ranges: &[Range<usize>]) -> Vec<Vec<&'a mut [f32]>> {
    let mut parts: Vec<Vec<&mut [f32]>> = ranges.iter().map(|_| Vec::with_capacity(data.len() / width)).collect();
    for block in data.chunks_exact_mut(width) {
        let mut rest = block;
        for (range, part) in ranges.iter().zip(&mut parts) {
            part.push(take(&mut rest, range.len() * unit));
        }
    }
    parts
}

/// Runs `f` compiled for the widest vector instructions of this processor.
#[inline(always)]
pub fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// tanh by a rational function, clamped where it is 1 in f32; NaN stays NaN.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let x = x.clamp(-9.010_913, 9.010_913);
    let y = x * x;
    let mut p = -2.760_768_5e-16;
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619e-4, 4.893_524_6e-3] {
        p = p * y + c;
    }
    let mut q = 1.198_258_4e-6;
    for c in [1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = q * y + c;
    }
    x * p / q
}

/// exp for x <= 0 or moderate x, by range reduction and a polynomial; NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let n = (x * std::f32::consts::LOG2_E).round_ties_even();
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = p * r + c;
    }
    (p * r * r + r + 1.0) * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// A matrix operand: row-major with leading dimension `ld`, or the transpose of that.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    /// The numbers, first one first.
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

    /// The operand from element `from` of the inner dimension on: its rows for the right one of a product, its columns for the left.
    fn skip_inner(self, from: usize, rows: bool) -> Self {
        Mat { data: &self.data[if rows == self.transposed { from } else { from * self.ld }..], ..self }
    }

    /// Row and column strides, after a check that `rows x cols` lies inside.
    fn strides(&self, rows: usize, cols: usize) -> (isize, isize) {
        let (r, c) = if self.transposed { (cols, rows) } else { (rows, cols) };
        assert!(c <= self.ld && (r - 1) * self.ld + c <= self.data.len(), "matrix {r}x{c}, ld {} in {} numbers", self.ld, self.data.len());
        if self.transposed { (1, self.ld as isize) } else { (self.ld as isize, 1) }
    }
}

/// Largest part of the inner size that the library is given at once: it adds the products of so many numbers in their order, and of
/// more in parts whose length depends on the caches and on the other sizes.
const INNER: usize = 512;
/// A result of so many numbers or less, of a transposed b, is made in another way, with another order of the sum.
const SMALL: usize = 256;

/// dst (+)= a b, with dst `[rows, cols]` row-major, on the calling thread. What stands in a row depends on that row of a and on b alone,
/// to the bit, however many other rows there are; and in a column, if b is a transpose, on that column of b.
pub fn product(dst: &mut [f32], dst_ld: usize, [rows, cols, inner]: [usize; 3], a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    if rows == 0 || cols == 0 || inner == 0 {
        return;
    }
    if rows == 1 && !a.transposed {
        // One row alone would be added up in another order: beside it, a row of zeros.
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

/// dst (+)= a b by the library, which adds along `inner` in the order of its numbers while that is at most [`INNER`].
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

    /// The first and the last row of a product, or column of b^T, have the same bits whatever stands between them.
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

    #[test]
    fn tanh_and_exp_are_close_to_f64() {
        for i in -100_000..=100_000 {
            let x = i as f32 * 1e-4;
            let t = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - t).abs() <= 6e-7 * t.abs().max(1e-3), "tanh({x})");
            let e = f64::from(x).exp();
            assert!((f64::from(exp(x)) - e).abs() <= 3e-7 * e, "exp({x})");
        }
        assert!(tanh(f32::NAN).is_nan() && exp(f32::NAN).is_nan());
        assert_eq!(tanh(f32::INFINITY), tanh(100.0));
    }
}
