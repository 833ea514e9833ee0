//! The product of every step of a scan: few rows times a matrix that stays the same. The library packs that matrix anew at each product; here it is copied
//! into panels once for all steps.

use super::{Mat, parallel, split, take};
use bytemuck::{Pod, Zeroable};
use pulp::{Arch, Simd, WithSimd};

/// A line of the caches.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Columns of a panel: a multiple of both tiles, 48 columns with AVX-512 and 24 with AVX2.
const PANEL: usize = 48;
/// Vectors of a tile's row.
const VECTORS: usize = 3;
/// Rows of the inner dimension at a time: their part of a panel stays in a cache of 128 KiB while all rows of a pass by.
const INNER: usize = 512;
/// From this many products on, a copy pays: it moves about as much memory as a product or two.
const MANY: usize = 4;

/// A right operand `[inner, cols]` of many products.
pub struct Panels<'a> {
    data: Data<'a>,
    inner: usize,
    cols: usize,
}

enum Data<'a> {
    /// As it is.
    Rows(Mat<'a>),
    /// In panels of columns, each with its rows side by side: read in place, rows lie so far apart that each brings in a page, and powers of two collide in
    /// the caches.
    Panels(Vec<Line>),
}

impl<'a> Panels<'a> {
    /// Of the matrix `b` that takes part in `products` products.
    pub fn new(b: Mat<'a>, [inner, cols]: [usize; 2], products: usize, threads: usize) -> Self {
        assert!(!b.transposed, "an operand as stored");
        if products < MANY {
            return Panels { data: Data::Rows(b), inner, cols };
        }
        let count = cols.div_ceil(PANEL);
        let mut data = vec![Line([0.0; 16]); count * inner * PANEL / 16];
        let mut rest: &mut [f32] = bytemuck::cast_slice_mut(&mut data);
        parallel(split(count, threads).into_iter().map(|range| {
            let part = take(&mut rest, range.len() * inner * PANEL);
            move || {
                for (panel, from) in part.chunks_exact_mut(inner * PANEL).zip(range.clone().map(|p| p * PANEL)) {
                    let wide = PANEL.min(cols - from);
                    panel.chunks_exact_mut(PANEL).zip(b.data.chunks(b.ld)).for_each(|(to, row)| to[..wide].copy_from_slice(&row[from..][..wide]));
                }
            }
        }));
        Panels { data: Data::Panels(data), inner, cols }
    }

    /// dst (+)= a b, with dst `[rows, cols]` row-major and `a` as stored, on the calling thread. Each value is a sum in the order of the inner dimension, in
    /// parts of at most 512, whatever the other rows and columns are.
    pub fn product(&self, dst: &mut [f32], dst_ld: usize, rows: usize, a: Mat<'_>, accumulate: bool) {
        match &self.data {
            Data::Rows(b) => multiply(dst, dst_ld, [rows, self.cols, self.inner], a, *b, accumulate),
            Data::Panels(lines) => {
                let panels: &[f32] = bytemuck::cast_slice(lines);
                for (panel, from) in panels.chunks_exact(self.inner * PANEL).zip((0..).step_by(PANEL)) {
                    let wide = PANEL.min(self.cols - from);
                    multiply(&mut dst[from..], dst_ld, [rows, wide, self.inner], a, Mat::new(panel, PANEL), accumulate);
                }
            }
        }
    }
}

/// dst (+)= a b as [`Panels::product`], for a matrix in place; neither operand is transposed.
fn multiply(dst: &mut [f32], dst_ld: usize, [rows, cols, inner]: [usize; 3], a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    assert!(!a.transposed && !b.transposed, "operands as stored");
    if rows * cols * inner > 0 {
        Arch::new().dispatch(Product { dst, dst_ld, sizes: [rows, cols, inner], a, b, accumulate });
    }
}

struct Product<'a> {
    dst: &'a mut [f32],
    dst_ld: usize,
    sizes: [usize; 3],
    a: Mat<'a>,
    b: Mat<'a>,
    accumulate: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Product { dst, dst_ld, sizes: [rows, cols, inner], a, b, accumulate } = self;
        let wide = VECTORS * S::F32_LANES;
        for col in (0..cols).step_by(wide) {
            for k in (0..inner).step_by(INNER) {
                let (ks, b) = (INNER.min(inner - k), Mat::new(&b.data[k * b.ld + col..], b.ld));
                let (wide, accumulate) = (wide.min(cols - col), accumulate || k > 0);
                let mut row = 0;
                while row < rows {
                    let (to, a) = (&mut dst[row * dst_ld + col..], Mat::new(&a.data[row * a.ld + k..], a.ld));
                    let tile = Tile { dst_ld, wide, inner: ks, a, b, accumulate };
                    // A vector unit with 16 registers has room for 4 rows.
                    row += match rows - row {
                        8.. if S::REGISTER_COUNT > 16 => tile.all::<S, 8>(simd, to),
                        4.. => tile.all::<S, 4>(simd, to),
                        2.. => tile.all::<S, 2>(simd, to),
                        _ => tile.all::<S, 1>(simd, to),
                    };
                }
            }
        }
    }
}

/// A few rows of a times up to [`VECTORS`] vectors of columns of b, kept in registers.
#[derive(Clone, Copy)]
struct Tile<'a> {
    dst_ld: usize,
    wide: usize,
    inner: usize,
    a: Mat<'a>,
    b: Mat<'a>,
    accumulate: bool,
}

impl Tile<'_> {
    /// Returns the number of rows.
    #[inline(always)]
    fn all<S: Simd, const ROWS: usize>(self, simd: S, dst: &mut [f32]) -> usize {
        match self.wide.div_ceil(S::F32_LANES) {
            1 => self.some::<S, ROWS, 1>(simd, dst),
            2 => self.some::<S, ROWS, 2>(simd, dst),
            _ => self.some::<S, ROWS, VECTORS>(simd, dst),
        }
        ROWS
    }

    #[inline(always)]
    fn some<S: Simd, const ROWS: usize, const COLS: usize>(self, simd: S, dst: &mut [f32]) {
        let (lanes, zero) = (S::F32_LANES, simd.splat_f32s(0.0));
        let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &self.a.data[r * self.a.ld..][..self.inner]);
        let mut sums = [[zero; COLS]; ROWS];
        let whole = COLS * lanes;
        for k in 0..self.inner {
            let b = &self.b.data[k * self.b.ld..];
            let mut vectors = [zero; COLS];
            if self.wide == whole {
                vectors.copy_from_slice(S::as_simd_f32s(&b[..whole]).0);
            } else {
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = simd.partial_load_f32s(&b[v * lanes..self.wide.min((v + 1) * lanes)]);
                }
            }
            for (sums, row) in sums.iter_mut().zip(rows) {
                let x = simd.splat_f32s(row[k]);
                for (sum, b) in sums.iter_mut().zip(vectors) {
                    *sum = simd.mul_add_e_f32s(x, b, *sum);
                }
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            let to = &mut dst[r * self.dst_ld..][..self.wide];
            if self.wide == whole {
                for (to, sum) in S::as_mut_simd_f32s(to).0.iter_mut().zip(sums) {
                    *to = if self.accumulate { simd.add_f32s(*to, sum) } else { sum };
                }
                continue;
            }
            for (to, sum) in to.chunks_mut(lanes).zip(sums) {
                let sum = if self.accumulate { simd.add_f32s(simd.partial_load_f32s(to), sum) } else { sum };
                simd.partial_store_f32s(to, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, from: usize) -> Vec<f32> {
        (from..from + n).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5).collect()
    }

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    /// In panels or in place, with any instruction set that multiplies and adds at once, alone or among other rows and columns: the same bits, and those of
    /// a sum in f64 to rounding. What lies beside the result stays.
    #[test]
    fn every_way_to_multiply_gives_the_same_bits() {
        for (rows, cols, inner) in [(1, 4, 4), (2, 20, 20), (3, 44, 37), (7, 48, 300), (13, 333, 333), (16, 100, 513), (33, 260, 1100)] {
            let (dst_ld, a_ld) = (cols + 5, inner + 3);
            let (a, b, start) = (numbers(rows * a_ld, 9), numbers(inner * cols, 1_000), numbers(rows * dst_ld, 77));
            for accumulate in [false, true] {
                let run = |f: &dyn Fn(&mut [f32])| {
                    let mut dst = start.clone();
                    f(&mut dst);
                    dst
                };
                let (a, sizes) = (Mat::new(&a, a_ld), [rows, cols, inner]);
                let place = run(&|dst| multiply(dst, dst_ld, sizes, a, Mat::new(&b, cols), accumulate));
                for (i, (got, before)) in place.iter().zip(&start).enumerate() {
                    let (row, col) = (i / dst_ld, i % dst_ld);
                    let sum: f64 = (0..inner).map(|k| f64::from(a.data[row * a_ld + k]) * f64::from(b[k * cols + col % cols])).sum();
                    let expected = if col >= cols { f64::from(*before) } else { sum + if accumulate { f64::from(*before) } else { 0.0 } };
                    assert!((f64::from(*got) - expected).abs() <= if col < cols { 1e-5 * (inner as f64).sqrt() } else { 0.0 }, "{sizes:?}: {got}, {expected}");
                }
                let same = |what: &str, got: Vec<f32>| assert!(bits(&got) == bits(&place), "{sizes:?}, {what}");
                for (products, threads) in [(MANY - 1, 1), (MANY, 1), (MANY, 3)] {
                    let panels = Panels::new(Mat::new(&b, cols), [inner, cols], products, threads);
                    same("panels", run(&|dst| panels.product(dst, dst_ld, rows, a, accumulate)));
                }
                same(
                    "row by row",
                    run(&|dst| {
                        (0..rows).for_each(|r| multiply(&mut dst[r * dst_ld..], dst_ld, [1, cols, inner], a.from_row(r), Mat::new(&b, cols), accumulate))
                    }),
                );
                same(
                    "in two parts",
                    run(&|dst| {
                        let cut = cols / 2;
                        multiply(dst, dst_ld, [rows, cut, inner], a, Mat::new(&b, cols), accumulate);
                        multiply(&mut dst[cut..], dst_ld, [rows, cols - cut, inner], a, Mat::new(&b[cut..], cols), accumulate);
                    }),
                );
                #[cfg(target_arch = "x86_64")]
                if let Some(avx2) = pulp::x86::V3::try_new() {
                    same("AVX2", run(&|dst| Simd::vectorize(avx2, Product { dst, dst_ld, sizes, a, b: Mat::new(&b, cols), accumulate })));
                }
            }
        }
    }
}
