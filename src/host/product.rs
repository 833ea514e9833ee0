//! Products of matrices on the CPU: how they are split over threads, and operands packed for [`super::tile`].

use super::shared::{Blocks, Places, Window, fetch};
use super::tile::{INNER, Left, Multiply, Right, panels, strips};
use super::{arch, in_units, parallel, take};
use bytemuck::{Pod, Zeroable};
use pulp::{Simd, WithSimd};
use std::cell::Cell;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

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

    /// The transpose.
    pub fn t(self) -> Self {
        Mat { transposed: !self.transposed, ..self }
    }

    /// The matrix from row `row` on.
    fn starting_at(self, row: usize) -> Self {
        Mat { data: &self.data[if self.transposed { row } else { row * self.ld }..], ..self }
    }

    /// Checks that `rows x cols` fits.
    fn check(&self, rows: usize, cols: usize) {
        let (r, c) = if self.transposed { (cols, rows) } else { (rows, cols) };
        assert!(c <= self.ld && (r - 1) * self.ld + c <= self.data.len(), "matrix {r}x{c}, ld {} in {} values", self.ld, self.data.len());
    }
}

/// A line of the caches.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Values that begin at a line of the caches.
fn values(lines: &mut Vec<Line>, count: usize) -> &mut [f32] {
    if lines.len() < count.div_ceil(16) {
        lines.resize(count.div_ceil(16), Line([0.0; 16]));
    }
    &mut bytemuck::cast_slice_mut(lines)[..count]
}

thread_local! {
    /// Room for packed operands, at most 1 MiB for the right one and 128 KiB for the left one, and for 128 KiB of results.
    static ROOM: Cell<[Vec<Line>; 3]> = const { Cell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// Columns of the right operand packed at a time.
const COLUMNS: usize = 512;
/// Rows of the left operand packed at a time.
const ROWS: usize = 64;

/// dst (+)= a b, with dst `[rows, cols]` row-major, on up to `threads` threads. Where `mask` is 0, a step of the inner dimension does not count. Every value
/// of the result is a sum in the same order, whatever the other rows and columns, the threads and the instruction set are, as long as that can multiply and
/// add in one step.
pub fn product(
    threads: usize,
    dst: &mut [f32],
    dst_ld: usize,
    [rows, cols, inner]: [usize; 3],
    a: Mat<'_>,
    b: Mat<'_>,
    mask: Option<&[f32]>,
    accumulate: bool,
) {
    if rows * cols * inner == 0 {
        return;
    }
    a.check(rows, inner);
    b.check(inner, cols);
    assert!(mask.is_none_or(|mask| mask.len() >= inner), "a mask of {inner} values");
    // The transpose of the result, if less is packed then.
    let turned = packing([cols, rows, inner], b.t(), a.t()) < packing([rows, cols, inner], a, b);
    let (m, n, left, right) = if turned { (cols, rows, b.t(), a.t()) } else { (rows, cols, a, b) };
    let [p, q] = grid(threads, [m, n], left.transposed);
    let (ms, ns) = (in_units(m, 8, p), in_units(n, 16, q));
    let (dst_rows, dst_columns) = if turned { (&ns, &ms) } else { (&ms, &ns) };
    let at = Places { count: 1, stride: rows * dst_ld, ld: dst_ld };
    let parts = Blocks::split(&mut dst[..(rows - 1) * dst_ld + cols], at, dst_rows, dst_columns);
    let places = dst_rows.iter().flat_map(|r| dst_columns.iter().map(move |c| if turned { (c, r) } else { (r, c) }));
    parallel(parts.into_iter().zip(places).map(|(mut dst, (m, n))| {
        let (left, right) = (left.starting_at(m.start), right.t().starting_at(n.start).t());
        move || arch().dispatch(Part { dst: dst.block(0), turned, inner, left, right, mask, accumulate })
    }));
}

/// About how many values are moved to pack the operands. To transpose takes longer than to copy.
fn packing([rows, cols, inner]: [usize; 3], a: Mat<'_>, b: Mat<'_>) -> usize {
    inner * (cols * if b.transposed { 3 } else { 1 } + if a.transposed { rows } else { 0 })
}

/// Parts of the rows and of the columns: as many as there are threads, if there are enough; those for which a thread packs least.
fn grid(threads: usize, [rows, cols]: [usize; 2], packs_left: bool) -> [usize; 2] {
    let [most_rows, most_cols] = [rows.div_ceil(8), cols.div_ceil(16)];
    let grids = (1..=threads.min(most_rows)).map(|p| [p, (threads / p).min(most_cols)]);
    let cost = |[p, q]: &[usize; 2]| (std::cmp::Reverse(p * q), cols / q + if packs_left { rows / p } else { 0 });
    grids.min_by_key(cost).unwrap_or([1, 1])
}

/// The part of a product that a thread computes.
struct Part<'a> {
    dst: Window<'a>,
    turned: bool,
    inner: usize,
    left: Mat<'a>,
    right: Mat<'a>,
    mask: Option<&'a [f32]>,
    accumulate: bool,
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (rows, cols) = if self.turned { (self.dst.width(), self.dst.rows()) } else { (self.dst.rows(), self.dst.width()) };
        let [mut right_room, mut left_room, mut made_room] = ROOM.take();
        for k in (0..self.inner).step_by(INNER) {
            let steps = k..self.inner.min(k + INNER);
            for from in (0..cols).step_by(COLUMNS) {
                let columns = from..cols.min(from + COLUMNS);
                let right = values(&mut right_room, steps.len() * columns.len().next_multiple_of(S::F32_LANES));
                pack_right::<S>(right, self.right, steps.clone(), columns.clone());
                for from in (0..rows).step_by(ROWS) {
                    let rows = from..rows.min(from + ROWS);
                    let left = if self.left.transposed || self.mask.is_some() {
                        let to = values(&mut left_room, steps.len() * rows.len());
                        pack_left::<S>(to, self.left, steps.clone(), rows.clone(), self.mask);
                        Left::Strips(to)
                    } else {
                        Left::Rows(Mat::new(&self.left.data[rows.start * self.left.ld + k..], self.left.ld))
                    };
                    let (inner, right, accumulate) = (steps.len(), Right::Panels(right), self.accumulate || k > 0);
                    if !self.turned {
                        Multiply { dst: self.dst.part(rows, columns.clone()), inner, left, right, accumulate }.with_simd(simd);
                        continue;
                    }
                    let (some, width) = (rows.len(), columns.len());
                    let made = values(&mut made_room, some * width);
                    Multiply { dst: Window::new(made, [some, width], width), inner, left, right, accumulate: false }.with_simd(simd);
                    turn(self.dst.part(columns.clone(), rows), made, width, accumulate);
                }
            }
        }
        ROOM.set([right_room, left_room, made_room]);
    }
}

/// Writes, or adds, the columns of `made` to the rows of `dst`.
#[inline(always)]
fn turn(mut dst: Window<'_>, made: &[f32], width: usize, accumulate: bool) {
    for c in 0..dst.rows() {
        let column = made[c..].iter().step_by(width);
        for (to, x) in dst.row(c).iter_mut().zip(column) {
            *to = if accumulate { *to + x } else { *x };
        }
    }
}

/// Copies a part of the right operand into panels.
#[inline(always)]
fn pack_right<S: Simd>(to: &mut [f32], b: Mat<'_>, steps: Range<usize>, columns: Range<usize>) {
    let mut rest = to;
    for panel in panels(columns.len(), S::F32_LANES) {
        let part;
        (part, rest) = rest.split_at_mut(steps.len() * panel.len());
        let (from, wide, width) = (columns.start + panel.start, panel.end.min(columns.len()) - panel.start, panel.len());
        if !b.transposed {
            for (to, k) in part.chunks_exact_mut(width).zip(steps.clone()) {
                let row = &b.data[k * b.ld + from..][..wide];
                (0..wide).step_by(16).for_each(|i| fetch::<true>(row, 8 * b.ld + i));
                if wide == width {
                    for (to, x) in S::as_mut_simd_f32s(to).0.iter_mut().zip(S::as_simd_f32s(row).0) {
                        *to = *x;
                    }
                } else {
                    to[..wide].copy_from_slice(row);
                    to[wide..].fill(0.0);
                }
            }
            continue;
        }
        if wide < width {
            part.fill(0.0);
        }
        // 16 steps at a time: their part of the panel stays in the nearest cache.
        for (to, k) in part.chunks_mut(16 * width).zip(steps.clone().step_by(16)) {
            for c in 0..wide {
                let row = &b.data[(from + c) * b.ld + k..][..to.len() / width];
                to[c..].iter_mut().step_by(width).zip(row).for_each(|(to, x)| *to = *x);
            }
        }
    }
}

/// Copies a part of the left operand into strips, with zeros where the mask is 0.
#[inline(always)]
fn pack_left<S: Simd>(to: &mut [f32], a: Mat<'_>, steps: Range<usize>, rows: Range<usize>, mask: Option<&[f32]>) {
    let count = steps.len();
    if !a.transposed {
        for strip in strips(rows.len(), S::REGISTER_COUNT) {
            let part = &mut to[strip.start * count..strip.end * count];
            for (to, k) in part.chunks_exact_mut(strip.len()).zip(steps.clone()) {
                let counts = mask.is_none_or(|mask| mask[k] != 0.0);
                to.iter_mut().enumerate().for_each(|(r, to)| *to = if counts { a.data[(rows.start + strip.start + r) * a.ld + k] } else { 0.0 });
            }
        }
        return;
    }
    // Some steps at a time, which the nearest cache holds even if a power of two lies between them: strips share lines.
    for from in (0..count).step_by(16) {
        for strip in strips(rows.len(), S::REGISTER_COUNT) {
            let some = from..count.min(from + 16);
            let part = &mut to[strip.start * count..][some.start * strip.len()..some.end * strip.len()];
            for (to, k) in part.chunks_exact_mut(strip.len()).zip(steps.start + some.start..) {
                let from = &a.data[k * a.ld + rows.start + strip.start..][..to.len()];
                if mask.is_some_and(|mask| mask[k] == 0.0) {
                    to.fill(0.0);
                } else if let (Ok(to), Ok(from)) = (<&mut [f32; 8]>::try_from(&mut *to), <&[f32; 8]>::try_from(from)) {
                    *to = *from;
                } else {
                    to.copy_from_slice(from);
                }
            }
        }
    }
}

/// From this many products on, a packed copy pays: it moves about as much memory as a product or two.
const MANY: usize = 4;

/// Buffers that packed operands have left.
static SPARE: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// The right operands of the products of a scan's steps, few rows times matrices that stay the same: columns side by side, at most as many as a strip of rows
/// is multiplied by at once.
pub struct Panels<'a> {
    panels: Vec<Panel<'a>>,
    inner: usize,
    packed: Option<Vec<Line>>,
}

#[derive(Clone, Copy)]
struct Panel<'a> {
    b: Mat<'a>,
    cols: usize,
    /// Where it begins in the packed copy.
    start: usize,
}

/// Ranges of columns as wide as panels are.
pub fn panel_columns(cols: usize) -> Vec<Range<usize>> {
    panels(cols, lanes()).map(|p| p.start..p.end.min(cols)).collect()
}

/// Values of a vector.
fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    arch().dispatch(Lanes)
}

impl<'a> Panels<'a> {
    /// Of matrices `[inner, cols]` as stored, with columns as [`panel_columns`] gives them, that take part in `products` products each. All that are used one
    /// after another lie one after another.
    pub fn new(inner: usize, operands: impl IntoIterator<Item = (Mat<'a>, usize)>, products: usize) -> Self {
        let (lanes, mut start) = (lanes(), 0);
        let place = |(b, cols): (Mat<'a>, usize)| {
            assert!(!b.transposed && panels(cols, lanes).count() == 1, "{cols} columns as stored");
            b.check(inner, cols);
            start += inner * cols.next_multiple_of(lanes);
            Panel { b, cols, start: start - inner * cols.next_multiple_of(lanes) }
        };
        let panels: Vec<_> = operands.into_iter().map(place).collect();
        let packed = (products >= MANY).then(|| {
            let mut lines = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
            let mut rest = values(&mut lines, start);
            parallel(panels.iter().map(|&Panel { b, cols, .. }| {
                let to = take(&mut rest, inner * cols.next_multiple_of(lanes));
                move || arch().dispatch(Pack { to, b, inner, cols })
            }));
            lines
        });
        Panels { panels, inner, packed }
    }

    /// dst (+)= a b with the operand number `i`, and `a` as stored, on the calling thread, summed up as [`product`] does.
    pub fn product(&self, i: usize, dst: Window<'_>, a: Mat<'_>, accumulate: bool) {
        let Panel { b, cols, start } = self.panels[i];
        assert!(!a.transposed && dst.width() == cols, "{} columns, expected {cols}", dst.width());
        if dst.rows() == 0 {
            return;
        }
        a.check(dst.rows(), self.inner);
        let right = self.packed.as_ref().map_or(Right::Rows(b), |lines| Right::Panels(&bytemuck::cast_slice(lines)[start..]));
        arch().dispatch(Multiply { dst, inner: self.inner, left: Left::Rows(a), right, accumulate });
    }
}

impl Drop for Panels<'_> {
    fn drop(&mut self) {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).extend(self.packed.take());
    }
}

struct Pack<'a> {
    to: &'a mut [f32],
    b: Mat<'a>,
    inner: usize,
    cols: usize,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        pack_right::<S>(self.to, self.b, 0..self.inner, 0..self.cols);
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

    /// A matrix in memory, with some more values after each row.
    struct Stored(Vec<f32>, usize, bool);

    impl Stored {
        fn new(rows: usize, cols: usize, transposed: bool, from: usize) -> Self {
            let (r, c) = if transposed { (cols, rows) } else { (rows, cols) };
            Stored(numbers(r * (c + 3), from), c + 3, transposed)
        }

        fn mat(&self) -> Mat<'_> {
            Mat { data: &self.0, ld: self.1, transposed: self.2 }
        }

        fn at(&self, row: usize, col: usize) -> f64 {
            f64::from(if self.2 { self.0[col * self.1 + row] } else { self.0[row * self.1 + col] })
        }
    }

    const SIZES: [[usize; 3]; 9] =
        [[1, 4, 4], [2, 20, 20], [3, 44, 37], [7, 48, 300], [13, 333, 333], [16, 100, 513], [33, 260, 1100], [65, 530, 40], [140, 5, 600]];

    /// Every form, on any number of threads: the sums in f64 to rounding, and the same bits. What lies beside the result stays.
    #[test]
    fn products_are_right_and_the_same_however_they_are_split() {
        for [rows, cols, inner] in SIZES {
            for form in 0..16 {
                let [ta, tb, masked, accumulate] = [1, 2, 4, 8].map(|bit| form & bit != 0);
                let (a, b, ld) = (Stored::new(rows, inner, ta, 9), Stored::new(inner, cols, tb, 1_000), cols + 5);
                let (start, mask) = (numbers(rows * ld, 77), (0..inner).map(|k| f32::from(u8::from(k % 3 != 0))).collect::<Vec<_>>());
                let run = |threads: usize| {
                    let mut dst = start.clone();
                    product(threads, &mut dst, ld, [rows, cols, inner], a.mat(), b.mat(), masked.then_some(&mask[..]), accumulate);
                    dst
                };
                let alone = run(1);
                for threads in [2, 3, 16] {
                    assert!(bits(&run(threads)) == bits(&alone), "{rows} {cols} {inner}, form {form}, {threads} threads");
                }
                for (i, (got, before)) in alone.iter().zip(&start).enumerate() {
                    let (row, col) = (i / ld, i % ld);
                    if col >= cols {
                        assert_eq!(got.to_bits(), before.to_bits());
                    } else if (row * 31 + col) % 5 == 0 {
                        let counts = |k: &usize| !masked || mask[*k] != 0.0;
                        let sum: f64 = (0..inner).filter(counts).map(|k| a.at(row, k) * b.at(k, col)).sum();
                        let expected = sum + if accumulate { f64::from(*before) } else { 0.0 };
                        assert!((f64::from(*got) - expected).abs() <= 1e-5 * (inner as f64).sqrt(), "{rows} {cols} {inner}, form {form}: {got}, {expected}");
                    }
                }
            }
        }
    }

    /// Packed or in place, by rows, by columns, as part of a larger product, and with each instruction set of this machine: the same bits.
    #[test]
    fn a_step_of_a_scan_gives_the_same_bits_in_every_way() {
        for [rows, cols, inner] in SIZES {
            let (a, b, ld) = (Stored::new(rows, inner, false, 9), Stored::new(inner, cols, false, 1_000), cols + 5);
            let start = numbers(rows * ld, 77);
            let run = |f: &dyn Fn(&mut [f32])| {
                let mut dst = start.clone();
                f(&mut dst);
                bits(&dst)
            };
            let whole = run(&|dst| product(1, dst, ld, [rows, cols, inner], a.mat(), b.mat(), None, true));
            let step = |dst: &mut [f32], rows: Range<usize>, cols: Range<usize>, products: usize| {
                let panels = panel_columns(cols.len());
                let operands = panels.iter().map(|p| (Mat::new(&b.0[cols.start + p.start..], b.1), p.len()));
                let (w, mut dst) = (Panels::new(inner, operands, products), Window::new(dst, [start.len() / ld, ld], ld));
                for (i, panel) in panels.iter().enumerate() {
                    let dst = dst.part(rows.clone(), cols.start + panel.start..cols.start + panel.end);
                    w.product(i, dst, a.mat().starting_at(rows.start), true);
                }
            };
            for products in [1, MANY] {
                assert!(run(&|dst| step(dst, 0..rows, 0..cols, products)) == whole, "{rows} {cols} {inner}");
                assert!(run(&|dst| (0..rows).for_each(|r| step(dst, r..r + 1, 0..cols, products))) == whole, "{rows} {cols} {inner}: row by row");
                assert!(
                    run(&|dst| [0..cols / 3, cols / 3..cols].into_iter().for_each(|c| step(dst, 0..rows, c, products))) == whole,
                    "{rows} {cols} {inner}: parts"
                );
            }
            #[cfg(target_arch = "x86_64")]
            if let Some(avx2) = pulp::x86::V3::try_new() {
                let sizes = [rows, cols];
                let with_avx2 = run(&|dst| {
                    let mut to = vec![0.0; inner * cols.next_multiple_of(8)];
                    Simd::vectorize(avx2, Pack { to: &mut to, b: b.mat(), inner, cols });
                    let (left, right) = (Left::Rows(a.mat()), Right::Panels(&to));
                    Simd::vectorize(avx2, Multiply { dst: Window::new(dst, sizes, ld), inner, left, right, accumulate: true });
                });
                assert!(with_avx2 == whole, "{rows} {cols} {inner}: AVX2");
            }
        }
    }
}
