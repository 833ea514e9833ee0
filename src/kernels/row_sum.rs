//! `out[r]` (+)= sum of row r of x.

use super::{from_vec4, slices};
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "row_sum",
    source: include_str!("../../shaders/row_sum.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("x"), write("out")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| {
        let Args { rows, cols, .. } = Args::of(args);
        if cols == 0 { [0, 0, 0] } else { linear_grid(rows) }
    },
    cpu,
    work: |args| {
        let Args { rows, cols, .. } = Args::of(args);
        let elements = f64::from(rows) * f64::from(cols);
        Work { flops: elements, bytes: 4.0 * elements }
    },
};

args! {
    rows: u32,
    cols: u32,
    x_offset: u32,
    x_ld: u32,
    out_offset: u32,
    accumulate: u32,
}

/// Records out (+)= row sums of x `[rows, cols]`, whose padding to a multiple of 4 is zero; out `[1, rows]`.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, x: View, out: View, accumulate: Word) {
    assert!(x.rows == out.cols, "{label}: shapes");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![x.slot, out.slot],
        args: Words { rows: x.rows, cols: x.cols, x_offset: x.offset.quarter(), x_ld: Word::from(x.ld).quarter(), out_offset: out.offset, accumulate }.into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, cols, x_offset, x_ld, out_offset, accumulate } = Args::of(call.args);
    let ([x], [out]) = slices(call.bound);
    let x = from_vec4(x, x_offset);
    let (rows, cols, ld) = (rows as usize, cols as usize, x_ld as usize * 4);
    let mut rest = &mut out[out_offset as usize..][..rows];
    let tasks = host::split(rows, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len());
        move || {
            for (out, r) in part.iter_mut().zip(range) {
                let sum = sum(&x[r * ld..][..cols]);
                *out = if accumulate != 0 { *out + sum } else { sum };
            }
        }
    });
    host::parallel(tasks);
}

/// The sum of a row, in 16 strands added up at the end.
fn sum(x: &[f32]) -> f32 {
    host::vectorized(
        #[inline(always)]
        || {
            let mut strands = [0f32; 16];
            let chunks = x.chunks_exact(16);
            let rest: f32 = chunks.remainder().iter().sum();
            for chunk in chunks {
                strands.iter_mut().zip(chunk).for_each(|(s, x)| *s += x);
            }
            strands.iter().sum::<f32>() + rest
        },
    )
}
