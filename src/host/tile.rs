//! The product of a few rows and a packed matrix by vector instructions of any width: the innermost loop of all products on the CPU.
//!
//! The right operand lies in panels of up to three vectors of columns, step after step of the inner dimension. A strip of up to 8 rows of the left operand
//! (4 with 16 registers) times a panel is summed up in registers. Every result is a sum in the order of the inner dimension, in parts of [`INNER`],
//! whatever the other rows and columns are and however they are split.

use super::Mat;
use super::shared::{Window, fetch};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Vectors in a row of a panel, at most.
const VECTORS: usize = 3;
/// Steps of the inner dimension that are summed up at a time: that part of a panel stays in a cache of 128 KiB while all rows pass by.
pub(super) const INNER: usize = 512;
/// Steps by which a panel is fetched in advance. Measured: 4 to 16 are equal, 64 is slower.
const AHEAD: usize = 8;
/// Rows of a strip, at most.
const ROWS: usize = 8;
/// Values of a vector, at most.
const LANES: usize = 16;

/// The columns of panel after panel, for vectors of `lanes`: they are dealt out evenly.
pub(super) fn panels(cols: usize, lanes: usize) -> impl Iterator<Item = Range<usize>> {
    let vectors = cols.div_ceil(lanes);
    let count = vectors.div_ceil(VECTORS);
    (0..count).map(move |p| vectors * p / count * lanes..vectors * (p + 1) / count * lanes)
}

/// The rows of strip after strip, dealt out evenly, with so many vector registers.
pub(super) fn strips(rows: usize, registers: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(if registers > 16 { ROWS } else { ROWS / 2 });
    (0..count).map(move |s| rows * s / count..rows * (s + 1) / count)
}

/// The left operand.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// As stored, not transposed.
    Rows(Mat<'a>),
    /// Strip after strip, each step after step of the inner dimension.
    Strips(&'a [f32]),
}

/// The right operand.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    /// As stored, not transposed.
    Rows(Mat<'a>),
    /// Panel after panel, each step after step, filled up with zeros.
    Panels(&'a [f32]),
}

/// dst (+)= left right
pub(super) struct Multiply<'a, 'b> {
    pub dst: Window<'a>,
    pub inner: usize,
    pub left: Left<'b>,
    pub right: Right<'b>,
    pub accumulate: bool,
}

impl WithSimd for Multiply<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, cols) = (self.dst.rows(), self.dst.width());
        for panel in panels(cols, S::F32_LANES) {
            for k in (0..self.inner).step_by(INNER) {
                let steps = INNER.min(self.inner - k);
                let columns = panel.start..panel.end.min(cols);
                if let (Right::Rows(b), true) = (self.right, columns.len() < panel.len()) {
                    // The last vector has fewer values: a copy has zeros.
                    let mut tail = [0f32; INNER * LANES];
                    let whole = columns.len() / S::F32_LANES * S::F32_LANES;
                    let rest = columns.start + whole..columns.end;
                    for (to, step) in tail.chunks_exact_mut(S::F32_LANES).zip(k..k + steps) {
                        to[..rest.len()].copy_from_slice(&b.data[step * b.ld..][rest.clone()]);
                    }
                    if whole > 0 {
                        let part = Part { rows, cols: columns.start..rest.start, k, steps, b: &b.data[k * b.ld + columns.start..], stride: b.ld, next: &[] };
                        self.part(simd, part, whole);
                    }
                    let part = Part { rows, cols: rest, k, steps, b: &tail, stride: S::F32_LANES, next: &[] };
                    self.part(simd, part, S::F32_LANES);
                    continue;
                }
                let (b, stride, next) = match self.right {
                    Right::Rows(b) => (&b.data[k * b.ld + panel.start..], b.ld, &[][..]),
                    Right::Panels(all) => {
                        let b = &all[panel.start * self.inner + k * panel.len()..];
                        (b, panel.len(), b.get(steps * panel.len()..).unwrap_or_default())
                    }
                };
                self.part(simd, Part { rows, cols: columns, k, steps, b, stride, next }, panel.len());
            }
        }
    }
}

/// The rows of a product times some steps of a panel.
struct Part<'a> {
    rows: usize,
    cols: Range<usize>,
    k: usize,
    steps: usize,
    b: &'a [f32],
    stride: usize,
    /// What will be read next, of a panel.
    next: &'a [f32],
}

impl Multiply<'_, '_> {
    #[inline(always)]
    fn part<S: Simd>(&mut self, simd: S, part: Part<'_>, width: usize) {
        let Part { rows, cols, k, steps, b, stride, next } = part;
        // Every strip fetches its share.
        let share = (steps * width).div_ceil(strips(rows, S::REGISTER_COUNT).count()).next_multiple_of(LANES);
        for (i, strip) in strips(rows, S::REGISTER_COUNT).enumerate() {
            let left = match self.left {
                Left::Rows(a) => Left::Rows(Mat::new(&a.data[strip.start * a.ld + k..], a.ld)),
                Left::Strips(all) => Left::Strips(&all[strip.start * self.inner + k * strip.len()..]),
            };
            let next = next.get(i * share..).unwrap_or_default();
            let tile = Tile { left, b, stride, next, steps, accumulate: self.accumulate || k > 0 };
            let count = strip.len();
            let dst = self.dst.part(strip, cols.clone());
            match width / S::F32_LANES {
                1 => tile.rows::<S, 1>(simd, dst, count),
                2 => tile.rows::<S, 2>(simd, dst, count),
                _ => tile.rows::<S, VECTORS>(simd, dst, count),
            }
        }
    }
}

/// A strip times a panel.
struct Tile<'a> {
    left: Left<'a>,
    b: &'a [f32],
    stride: usize,
    next: &'a [f32],
    steps: usize,
    accumulate: bool,
}

impl Tile<'_> {
    #[inline(always)]
    fn rows<S: Simd, const COLS: usize>(self, simd: S, dst: Window<'_>, rows: usize) {
        match rows {
            1 => self.sums::<S, 1, COLS>(simd, dst),
            2 => self.sums::<S, 2, COLS>(simd, dst),
            3 => self.sums::<S, 3, COLS>(simd, dst),
            4 => self.sums::<S, 4, COLS>(simd, dst),
            5 if S::REGISTER_COUNT > 16 => self.sums::<S, 5, COLS>(simd, dst),
            6 if S::REGISTER_COUNT > 16 => self.sums::<S, 6, COLS>(simd, dst),
            7 if S::REGISTER_COUNT > 16 => self.sums::<S, 7, COLS>(simd, dst),
            _ if S::REGISTER_COUNT > 16 => self.sums::<S, ROWS, COLS>(simd, dst),
            _ => unreachable!("strips of at most 4 rows"),
        }
    }

    /// The inner loops have no closures: those would not be compiled for the vector instructions.
    #[inline(always)]
    fn sums<S: Simd, const ROWS: usize, const COLS: usize>(self, simd: S, dst: Window<'_>) {
        let mut sums = [[simd.splat_f32s(0.0); COLS]; ROWS];
        let Tile { b, stride, steps, next, .. } = self;
        assert!(steps > 0 && b.len() >= (steps - 1) * stride + COLS * S::F32_LANES);
        match self.left {
            Left::Rows(a) => {
                let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &a.data[r * a.ld..][..steps]);
                for k in 0..steps {
                    let b = panel_row::<S, COLS>(simd, b, stride, next, k);
                    for (sums, a) in sums.iter_mut().zip(rows) {
                        add(simd, sums, a[k], b);
                    }
                }
            }
            Left::Strips(a) => {
                let a = &a.as_chunks::<ROWS>().0[..steps];
                for (k, a) in a.iter().enumerate() {
                    let b = panel_row::<S, COLS>(simd, b, stride, next, k);
                    for (sums, x) in sums.iter_mut().zip(*a) {
                        add(simd, sums, x, b);
                    }
                }
            }
        }
        self.store(simd, dst, sums);
    }

    #[inline(always)]
    fn store<S: Simd, const ROWS: usize, const COLS: usize>(&self, simd: S, mut dst: Window<'_>, sums: [[S::f32s; COLS]; ROWS]) {
        for (r, sums) in sums.into_iter().enumerate() {
            let to = dst.row(r);
            if to.len() == COLS * S::F32_LANES {
                for (to, sum) in S::as_mut_simd_f32s(to).0.iter_mut().zip(sums) {
                    *to = if self.accumulate { simd.add_f32s(*to, sum) } else { sum };
                }
                continue;
            }
            for (to, sum) in to.chunks_mut(S::F32_LANES).zip(sums) {
                let sum = if self.accumulate { simd.add_f32s(simd.partial_load_f32s(to), sum) } else { sum };
                simd.partial_store_f32s(to, sum);
            }
        }
    }
}

/// Row k of a panel. Fetches the row some steps on, and a line of what comes next.
#[inline(always)]
fn panel_row<S: Simd, const COLS: usize>(simd: S, b: &[f32], stride: usize, next: &[f32], k: usize) -> [S::f32s; COLS] {
    let row = &b[k * stride..][..COLS * S::F32_LANES];
    for line in (0..row.len()).step_by(LANES) {
        fetch::<true>(row, AHEAD * stride + line);
    }
    fetch::<false>(next, LANES * k);
    let mut vectors = [simd.splat_f32s(0.0); COLS];
    vectors.copy_from_slice(S::as_simd_f32s(row).0);
    vectors
}

/// sums += x b
#[inline(always)]
fn add<S: Simd, const COLS: usize>(simd: S, sums: &mut [S::f32s; COLS], x: f32, b: [S::f32s; COLS]) {
    let x = simd.splat_f32s(x);
    for (sum, b) in sums.iter_mut().zip(b) {
        *sum = simd.mul_add_e_f32s(x, b, *sum);
    }
}
