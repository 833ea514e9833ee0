//! out (+)= sum of the rows of x.

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "col_sum",
    source: include_str!("../../shaders/col_sum.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("x"), write("out")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| [Args::of(args).cols4.div_ceil(8), 1, 1],
    cpu,
    work: |args| {
        let Args { rows, cols4, .. } = Args::of(args);
        let vectors = f64::from(rows) * f64::from(cols4);
        Work { flops: 4.0 * vectors, bytes: 16.0 * vectors }
    },
};

args! {
    rows: u32,
    cols4: u32,
    x_offset: u32,
    out_offset: u32,
    accumulate: u32,
}

/// Records out (+)= column sums of x `[rows, n]`; out `[1, n]`.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, x: View, out: View, accumulate: Word) {
    assert!(x.cols == out.cols, "{label}: shapes");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![x.slot, out.slot],
        args: Words { rows: x.rows, cols4: Word::from(x.ld).quarter(), x_offset: x.offset.quarter(), out_offset: out.offset.quarter(), accumulate }.into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, cols4, x_offset, out_offset, accumulate } = Args::of(call.args);
    let ([x], [out]) = slices(call.bound);
    let n = cols4 as usize * 4;
    let x = &from_vec4(x, x_offset)[..rows as usize * n];
    let mut rest = &mut from_vec4_mut(out, out_offset)[..n];
    let tasks = host::split(n, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len());
        move || {
            host::vectorized(
                #[inline(always)]
                || {
                    let mut sum = vec![0f32; range.len()];
                    for row in x.chunks_exact(n) {
                        sum.iter_mut().zip(&row[range.clone()]).for_each(|(s, x)| *s += x);
                    }
                    for (out, s) in part.iter_mut().zip(sum) {
                        *out = if accumulate != 0 { *out + s } else { s };
                    }
                },
            );
        }
    });
    host::parallel(tasks);
}
