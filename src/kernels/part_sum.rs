//! C (+)= the sum of the parts of a product, in their order: the second half of [`super::matmul::record_parted`].

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::{Slot, View};
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "part_sum",
    source: include_str!("../../shaders/part_sum.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("part"), write("c")],
    args: Args::LIST,
    constants: crate::kernel::no_constants,
    grid: |args, _| {
        let Args { rows, cols, inner, .. } = Args::of(args);
        if inner == 0 { [0, 0, 0] } else { linear_grid((rows * cols.div_ceil(4)).div_ceil(64)) }
    },
    cpu,
    work: |args| {
        let Args { rows, cols, parts, .. } = Args::of(args);
        let [elements, parts] = [f64::from(rows) * f64::from(cols), f64::from(parts)];
        Work { flops: elements * parts, bytes: 4.0 * elements * (parts + 1.0) }
    },
};

args! {
    rows: u32,
    cols: u32,
    inner: u32,
    parts: u32,
    stride: u32,
    c_offset: u32,
    c_ld: u32,
    accumulate: u32,
}

/// The parts that a product's inner dimension is split into: nearly equal, in whole blocks of 4. For long sums with few results, which would otherwise
/// keep few workgroups busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Number of parts.
    pub count: u32,
    /// Slot of the partial products, with the row stride of C.
    pub slot: Slot,
    /// Elements from one part to the next.
    pub stride: u32,
}

/// Records c (+)= the sum of the parts, whose row stride is `c.ld`; does nothing if the product's inner dimension is 0.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, parts: Parts, inner: Word, c: View, accumulate: Word) {
    let q = |v: u32| Word::from(v).quarter();
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![parts.slot, c.slot],
        args: Words {
            rows: c.rows,
            cols: c.cols,
            inner,
            parts: parts.count.into(),
            stride: q(parts.stride),
            c_offset: c.offset.quarter(),
            c_ld: q(c.ld),
            accumulate,
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, cols, parts, stride, c_offset, c_ld, accumulate, .. } = Args::of(call.args);
    let ([part], [c]) = slices(call.bound);
    let (rows, ld, wide) = (rows as usize, c_ld as usize * 4, cols.next_multiple_of(4) as usize);
    let mut rest = &mut from_vec4_mut(c, c_offset)[..(rows - 1) * ld + wide];
    let tasks = host::split(rows, call.threads).into_iter().map(|range| {
        let c = host::take(&mut rest, range.len() * ld);
        move || {
            for (c, r) in c.chunks_mut(ld).zip(range) {
                let of = |p: u32| &from_vec4(part, p * stride)[r * ld..][..wide];
                let mut sum = of(0).to_vec();
                for p in 1..parts {
                    sum.iter_mut().zip(of(p)).for_each(|(s, x)| *s += x);
                }
                c.iter_mut().zip(sum).for_each(|(c, s)| *c = if accumulate != 0 { *c + s } else { s });
            }
        }
    });
    host::parallel(tasks);
}
