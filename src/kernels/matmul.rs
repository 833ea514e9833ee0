//! C (+)= op(A) op(B), batched; op is the identity or the transpose; with a mask, row k of A as stored counts only where `mask[k]` != 0.

pub use super::part_sum::Parts;
use super::{from_vec4, from_vec4_mut, part_sum, slices};
use crate::arena::View;
use crate::host::{self, Mat};
use crate::kernel::{Call, Constant, Kernel, Loads, Variant, Word, Work, args, linear_grid, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "matmul",
    source: concat!(include_str!("../../shaders/matmul.wgsl"), include_str!("../../shaders/parked.wgsl")),
    cell: None,
    tiled: true,
    bindings: &[read("a"), read("b"), read("mask"), write("c")],
    args: Args::LIST,
    constants,
    grid,
    cpu,
    work,
};

args! {
    rows: u32,
    cols: u32,
    inner: u32,
    a_offset: u32,
    a_ld: u32,
    a_stride: u32,
    b_offset: u32,
    b_ld: u32,
    b_stride: u32,
    c_offset: u32,
    c_ld: u32,
    c_stride: u32,
    mask_offset: u32,
    accumulate: u32,
    batch: u32,
    form: u32,
    parts: u32,
}

/// The same product with tiles of A and B in workgroup memory: [`Loads::Staged`].
pub static STAGED: Kernel =
    Kernel { name: "matmul_staged", source: include_str!("../../shaders/matmul_staged.wgsl"), tiled: false, constants: staged_constants, ..KERNEL };

/// Which operands are transposed, and whether A's rows are masked; numbered as in the shader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A B
    Nn,
    /// A B^T
    Nt,
    /// A^T B
    Tn,
    /// A^T B over the rows of A whose mask is not 0
    TnMasked,
    /// A B with the rows of A replaced by zeros whose mask is 0
    NnMasked,
}

impl Form {
    /// Every form.
    pub const ALL: [Form; 5] = [Form::Nn, Form::Nt, Form::Tn, Form::TnMasked, Form::NnMasked];

    fn from_word(word: u32) -> Self {
        Self::ALL[word as usize]
    }

    /// Whether the inner dimension runs over the rows of A.
    pub(crate) fn transposes_a(self) -> bool {
        matches!(self, Form::Tn | Form::TnMasked)
    }

    /// Whether rows of A as stored count only where a mask is not 0.
    pub(crate) fn is_masked(self) -> bool {
        matches!(self, Form::TnMasked | Form::NnMasked)
    }
}

/// Several products of equal shape in one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StridedBatch {
    /// Number of products.
    pub count: u32,
    /// Elements from one matrix to the next in A, B and C; 0 where all products share one.
    pub strides: [u32; 3],
}

impl StridedBatch {
    /// One product.
    pub const ONE: StridedBatch = StridedBatch { count: 1, strides: [0, 0, 0] };
}

/// The operands of a product.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// Which of A and B are transposed.
    pub form: Form,
    /// A as stored.
    pub a: View,
    /// B as stored.
    pub b: View,
    /// C.
    pub c: View,
    /// One value per row of A as stored; required by masked forms, otherwise `None`.
    pub mask: Option<View>,
    /// 1: add to C, 0: replace it.
    pub accumulate: Word,
}

/// Records a product.
///
/// # Panics
/// If the shapes don't fit.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands, batch: StridedBatch) {
    record_with(recording, label, variant, o, batch, 1);
}

/// Records a product with its inner dimension split into parts, and their sum in a fixed order: two dispatches.
///
/// # Panics
/// If the shapes don't fit.
pub fn record_parted(recording: &mut Recording, label: &str, variant: Variant, o: Operands, parts: Parts) {
    let inner = if o.form.transposes_a() { o.a.rows } else { o.a.cols };
    let places = Operands { c: View { slot: parts.slot, offset: 0.into(), ..o.c }, accumulate: 0.into(), ..o };
    let batch = StridedBatch { count: parts.count, strides: [0, 0, parts.stride] };
    record_with(recording, label, variant, places, batch, parts.count);
    part_sum::record(recording, label, variant, parts, inner, o.c, o.accumulate);
}

fn record_with(recording: &mut Recording, label: &str, variant: Variant, o: Operands, batch: StridedBatch, parts: u32) {
    let (a, b) = (o.a, o.b);
    let ((rows, inner), (inner_b, cols)) = match o.form {
        Form::Nn | Form::NnMasked => ((a.rows, a.cols), (b.rows, b.cols)),
        Form::Nt => ((a.rows, a.cols), (b.cols, b.rows)),
        Form::Tn | Form::TnMasked => ((a.cols, a.rows), (b.rows, b.cols)),
    };
    let shapes = format!("{label}: {:?} a [{},{}] . b [{},{}]", o.form, a.rows, a.cols, b.rows, b.cols);
    assert!(inner == inner_b, "{shapes}: inner sizes {inner} and {inner_b} differ");
    assert!(o.c.rows == rows && o.c.cols == cols, "{shapes}: the result is [{rows},{cols}], not [{},{}]", o.c.rows, o.c.cols);
    assert_eq!(o.mask.is_some(), o.form.is_masked(), "{shapes}: mask");
    assert!(o.mask.is_none_or(|m| m.rows == a.rows), "{shapes}: the mask has another number of rows");
    let q = |v: u32| Word::from(v).quarter();
    let mask = o.mask.map_or((b.slot, Word::from(0)), |m| (m.slot, m.offset));
    recording.push(Dispatch {
        kernel: if matches!(variant.loads, Loads::Staged(_)) { &STAGED } else { &KERNEL },
        label: label.to_string(),
        bindings: vec![a.slot, b.slot, mask.0, o.c.slot],
        args: Words {
            rows,
            cols,
            inner,
            a_offset: a.offset.quarter(),
            a_ld: q(a.ld),
            a_stride: q(batch.strides[0]),
            b_offset: b.offset.quarter(),
            b_ld: q(b.ld),
            b_stride: q(batch.strides[1]),
            c_offset: o.c.offset.quarter(),
            c_ld: q(o.c.ld),
            c_stride: q(batch.strides[2]),
            mask_offset: mask.1,
            accumulate: o.accumulate,
            batch: batch.count.into(),
            form: (o.form as u32).into(),
            parts: parts.into(),
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn constants(args: &[u32], variant: Variant) -> Vec<Constant> {
    [transposed(args), vec![("WIDTH", f64::from(variant.width))]].concat()
}

fn staged_constants(args: &[u32], variant: Variant) -> Vec<Constant> {
    let (side, blocks) = (variant.width.isqrt(), variant.tile.rows() / 4);
    // Enough inner steps to give each invocation something to load, within 16 KiB of workgroup memory.
    let steps = if side * blocks == 16 && blocks == 1 { 32 } else { 16 };
    [transposed(args), [("SIDE", side), ("BLOCKS", blocks), ("STEPS", steps)].map(|(name, n)| (name, f64::from(n))).to_vec()].concat()
}

/// The overrides that say which operands are transposed.
fn transposed(args: &[u32]) -> Vec<Constant> {
    let form = Form::from_word(Args::of(args).form);
    let flag = |b: bool| f64::from(u8::from(b));
    vec![("TRANSPOSE_A", flag(form.transposes_a())), ("TRANSPOSE_B", flag(form == Form::Nt))]
}

fn grid(args: &[u32], variant: Variant) -> [u32; 3] {
    let Args { rows, cols, inner, batch, .. } = Args::of(args);
    if rows == 0 || cols == 0 || inner == 0 {
        return [0, 0, 0];
    }
    let [r, c] = variant.group();
    let groups = cols.div_ceil(c) * rows.div_ceil(r);
    let [x, y, _] = linear_grid(groups);
    [x, y, batch]
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, cols, inner, a_offset, a_ld, a_stride, b_offset, b_ld, b_stride, c_offset, c_ld, c_stride, mask_offset, accumulate, batch, form, parts } =
        Args::of(call.args);
    let ([a, b, all], [c]) = slices(call.bound);
    let form = Form::from_word(form);
    let size = |n: u32| n as usize;
    for i in 0..batch {
        let (from, inner) = part(inner, parts, i % parts);
        let (c, c_ld) = (from_vec4_mut(c, c_offset + i * c_stride), size(c_ld) * 4);
        if inner == 0 {
            let empty = c.chunks_mut(c_ld).take(if accumulate == 0 { size(rows) } else { 0 });
            empty.for_each(|row| row[..size(cols).next_multiple_of(4)].fill(0.0));
            continue;
        }
        let (a_part, b_part) = (if form.transposes_a() { from * a_ld } else { from / 4 }, if form == Form::Nt { from / 4 } else { from * b_ld });
        let (a, a_ld) = (from_vec4(a, a_offset + i / parts * a_stride + a_part), size(a_ld) * 4);
        let (b, b_ld) = (from_vec4(b, b_offset + i / parts * b_stride + b_part), size(b_ld) * 4);
        let sizes = [size(rows), size(cols), size(inner)];
        let mask = match form {
            Form::TnMasked => Some(&all[size(mask_offset + from)..][..size(inner)]),
            _ => None,
        };
        let kept: Vec<f32>;
        let a = if form == Form::NnMasked {
            kept = masked_rows(&a[..(size(rows) - 1) * a_ld + size(inner)], a_ld, &all[size(mask_offset)..][..size(rows)]);
            &kept
        } else {
            a
        };
        let a = if form.transposes_a() { Mat::new(a, a_ld).t() } else { Mat::new(a, a_ld) };
        let b = if form == Form::Nt { Mat::new(b, b_ld).t() } else { Mat::new(b, b_ld) };
        host::product(call.threads, c, c_ld, sizes, a, b, mask, accumulate != 0);
        // Padding columns of C are zero, because those of A or B are.
        let (cols, padded) = (size(cols), size(cols).next_multiple_of(4));
        if accumulate == 0 && cols < padded {
            c.chunks_mut(c_ld).take(size(rows)).for_each(|row| row[cols..padded].fill(0.0));
        }
    }
}

/// Start and length of a part of the inner dimension; the last parts may be shorter or empty.
fn part(inner: u32, parts: u32, index: u32) -> (u32, u32) {
    let from = (inner.div_ceil(4).div_ceil(parts) * 4 * index).min(inner);
    (from, (inner.div_ceil(4).div_ceil(parts) * 4).min(inner - from))
}

/// A copy of the rows, zeroed where the mask is 0.
fn masked_rows(a: &[f32], ld: usize, mask: &[f32]) -> Vec<f32> {
    let mut copy = a.to_vec();
    copy.chunks_mut(ld).zip(mask).filter(|(_, m)| **m == 0.0).for_each(|(row, _)| row.fill(0.0));
    copy
}

fn work(args: &[u32]) -> Work {
    let Args { rows, cols, inner, batch, parts, .. } = Args::of(args);
    let [m, n, k, batch, parts] = [rows, cols, inner, batch, parts].map(f64::from);
    Work { flops: 2.0 * m * n * k * batch / parts, bytes: 4.0 * ((m * k + k * n) / parts + m * n) * batch }
}
