//! out = x^T for a padded matrix.

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "transpose",
    source: include_str!("../../shaders/transpose.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("x"), write("out")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| {
        let Args { rows4, cols4, .. } = Args::of(args);
        linear_grid((rows4 * cols4).div_ceil(64))
    },
    cpu,
    work: |args| {
        let Args { rows4, cols4, .. } = Args::of(args);
        Work { flops: 0.0, bytes: 2.0 * 64.0 * f64::from(rows4) * f64::from(cols4) }
    },
};

args! {
    rows4: u32,
    cols4: u32,
    x_offset: u32,
    out_offset: u32,
}

/// Records out `[c, r]` = the transpose of x `[r, c]`, padding included: x is stored with rows and columns padded to multiples of 4.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, x: View, out: View) {
    let rows = x.rows.constant().expect("the rows of a parameter are a constant").next_multiple_of(4);
    assert!(out.ld == rows && out.cols == x.rows && out.rows == x.cols, "{label}: shapes");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![x.slot, out.slot],
        args: Words { rows4: (rows / 4).into(), cols4: Word::from(x.ld).quarter(), x_offset: x.offset.quarter(), out_offset: out.offset.quarter() }.into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows4, cols4, x_offset, out_offset } = Args::of(call.args);
    let ([x], [out]) = slices(call.bound);
    let (rows, cols) = (rows4 as usize * 4, cols4 as usize * 4);
    let x = &from_vec4(x, x_offset)[..rows * cols];
    let mut rest = &mut from_vec4_mut(out, out_offset)[..rows * cols];
    // Blocks of 16 columns: 16 lines of the result stay in the L1 cache while the rows of x stream past.
    let tasks = host::split(cols.div_ceil(16), call.threads).into_iter().map(|range| {
        let columns = range.start * 16..(range.end * 16).min(cols);
        let part = host::take(&mut rest, columns.len() * rows);
        move || {
            for from in columns.clone().step_by(16) {
                let to = (from + 16).min(columns.end);
                for (r, row) in x.chunks_exact(cols).enumerate() {
                    for (c, v) in (from - columns.start..).zip(&row[from..to]) {
                        part[c * rows + r] = *v;
                    }
                }
            }
        }
    });
    host::parallel(tasks);
}
