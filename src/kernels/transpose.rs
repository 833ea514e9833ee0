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
    let tasks = host::in_units(cols, 16, call.threads).into_iter().map(|columns| {
        let part = host::take(&mut rest, columns.len() * rows);
        move || {
            for (to, from) in part.chunks_mut(16 * rows).zip(columns.clone().step_by(16)) {
                (0..rows).step_by(16).for_each(|row| tile(to, &x[row * cols + from..], [rows - row, to.len() / rows], [rows, cols], row));
            }
        }
    });
    host::parallel(tasks);
}

/// Writes up to 16 rows of x, up to 16 columns of each, as columns `row` and on of the result: in whole lines, since lines a power of two apart push each
/// other out of the caches.
fn tile(to: &mut [f32], x: &[f32], [rows, cols]: [usize; 2], [to_ld, ld]: [usize; 2], row: usize) {
    let (mut room, rows) = ([[0f32; 16]; 16], rows.min(16));
    for (r, x) in x.chunks(ld).take(rows).enumerate() {
        // Such far rows no processor fetches by itself.
        host::fetch::<true>(x, 16 * ld);
        x[..cols].iter().zip(&mut room).for_each(|(x, room)| room[r] = *x);
    }
    to.chunks_exact_mut(to_ld).zip(&room).for_each(|(to, room)| to[row..row + rows].copy_from_slice(&room[..rows]));
}
