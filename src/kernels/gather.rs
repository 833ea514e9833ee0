//! `out[r]` = `w[token_r]`: the rows of W_xh that one-hot tokens select.

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "gather",
    source: include_str!("../../shaders/gather.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("tokens"), read("w"), write("out")],
    args: Args::LIST,
    constants: no_constants,
    grid: |args, _| {
        let Args { rows, cols4, .. } = Args::of(args);
        linear_grid(cols4.div_ceil(32) * rows.div_ceil(8))
    },
    cpu,
    work: |args| {
        let Args { rows, cols4, .. } = Args::of(args);
        Work { flops: 0.0, bytes: 8.0 * 4.0 * f64::from(rows) * f64::from(cols4) }
    },
};

args! {
    rows: u32,
    cols4: u32,
    tokens_offset: u32,
    w_offset: u32,
    out_offset: u32,
    out_ld: u32,
}

/// Records out = `w[tokens]`; tokens `[rows, 1]` of u32, w `[V, n]`, out `[rows, n]`.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, tokens: View, w: View, out: View) {
    assert!(w.cols == out.cols && w.ld <= out.ld && tokens.rows == out.rows, "{label}: shapes");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![tokens.slot, w.slot, out.slot],
        args: Words {
            rows: out.rows,
            cols4: Word::from(w.ld).quarter(),
            tokens_offset: tokens.offset,
            w_offset: w.offset.quarter(),
            out_offset: out.offset.quarter(),
            out_ld: Word::from(out.ld).quarter(),
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, cols4, tokens_offset, w_offset, out_offset, out_ld } = Args::of(call.args);
    let ([tokens, w], [out]) = slices(call.bound);
    let (rows, n, ld) = (rows as usize, cols4 as usize * 4, out_ld as usize * 4);
    let tokens: &[u32] = &bytemuck::cast_slice(tokens)[tokens_offset as usize..][..rows];
    let w = from_vec4(w, w_offset);
    let mut rest = &mut from_vec4_mut(out, out_offset)[..rows.saturating_sub(1) * ld + n];
    let tasks = host::split(rows, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * ld);
        move || {
            for (row, &token) in part.chunks_mut(ld).zip(&tokens[range]) {
                row[..n].copy_from_slice(&w[token as usize * n..][..n]);
            }
        }
    });
    host::parallel(tasks);
}
