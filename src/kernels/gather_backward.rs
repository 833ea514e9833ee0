//! `d_w[v]` (+)= sum of `delta[r]` over the rows r whose token is v.

use super::{from_vec4, from_vec4_mut, slices};
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "gather_backward",
    source: include_str!("../../shaders/gather_backward.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("starts"), read("delta"), write("out")],
    args: Args::LIST,
    constants: |_, variant| {
        let [columns, strands] = group(variant);
        vec![("COLUMNS", f64::from(columns)), ("STRANDS", f64::from(strands))]
    },
    grid: |args, variant| {
        let Args { vocab, cols4, .. } = Args::of(args);
        linear_grid(vocab * cols4.div_ceil(group(variant)[0]))
    },
    cpu,
    work: |args| {
        let Args { vocab, cols4, rows, .. } = Args::of(args);
        let [vocab, cols4, rows] = [vocab, cols4, rows].map(f64::from);
        Work { flops: 4.0 * rows * cols4, bytes: 16.0 * (rows + vocab) * cols4 }
    },
};

args! {
    vocab: u32,
    cols4: u32,
    starts_offset: u32,
    delta_offset: u32,
    delta_ld: u32,
    out_offset: u32,
    accumulate: u32,
    rows: u32,
}

/// Columns (in vec4s) and row strands of a workgroup. Wide subgroups mean hardware, where memory latency is high: many strands.
fn group(variant: Variant) -> [u32; 2] {
    if variant.width >= 32 { [8, 32] } else { [32, 1] }
}

/// The list this kernel reads: V + 1 starts, then the row numbers sorted by token, ascending within a token.
pub fn sort_by_token(tokens: &[u32], vocab: u32) -> Vec<u32> {
    let v = vocab as usize;
    let mut list = vec![0u32; v + 1 + tokens.len()];
    for &t in tokens {
        list[t as usize + 1] += 1;
    }
    for i in 0..v {
        list[i + 1] += list[i];
    }
    let mut next = list[..v].to_vec();
    for (row, &t) in tokens.iter().enumerate() {
        list[v + 1 + next[t as usize] as usize] = row as u32;
        next[t as usize] += 1;
    }
    list
}

/// Records d_w (+)= the sums; `starts` from [`sort_by_token`], delta `[rows, n]`, d_w `[V, n]`.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, starts: View, delta: View, d_w: View, accumulate: Word) {
    assert!(delta.cols == d_w.cols && delta.ld >= d_w.ld, "{label}: shapes");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![starts.slot, delta.slot, d_w.slot],
        args: Words {
            vocab: d_w.rows,
            cols4: Word::from(d_w.ld).quarter(),
            starts_offset: starts.offset,
            delta_offset: delta.offset.quarter(),
            delta_ld: Word::from(delta.ld).quarter(),
            out_offset: d_w.offset.quarter(),
            accumulate,
            rows: delta.rows,
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { vocab, cols4, starts_offset, delta_offset, delta_ld, out_offset, accumulate, .. } = Args::of(call.args);
    let ([starts, delta], [out]) = slices(call.bound);
    let (vocab, n, ld) = (vocab as usize, cols4 as usize * 4, delta_ld as usize * 4);
    let list: &[u32] = &bytemuck::cast_slice(starts)[starts_offset as usize..];
    let (starts, rows) = list.split_at(vocab + 1);
    let delta = from_vec4(delta, delta_offset);
    let mut rest = &mut from_vec4_mut(out, out_offset)[..vocab * n];
    let tasks = balanced(starts, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * n);
        move || {
            host::vectorized(
                #[inline(always)]
                || {
                    let mut sum = vec![0f32; n];
                    for (out, v) in part.chunks_exact_mut(n).zip(range) {
                        sum.fill(0.0);
                        for &r in &rows[starts[v] as usize..starts[v + 1] as usize] {
                            sum.iter_mut().zip(&delta[r as usize * ld..][..n]).for_each(|(s, d)| *s += d);
                        }
                        if accumulate != 0 {
                            out.iter_mut().zip(&sum).for_each(|(o, s)| *o += s);
                        } else {
                            out.copy_from_slice(&sum);
                        }
                    }
                },
            );
        }
    });
    host::parallel(tasks);
}

/// Ranges of tokens with about the same number of rows to add.
fn balanced(starts: &[u32], parts: usize) -> Vec<std::ops::Range<usize>> {
    let vocab = starts.len() - 1;
    let load = |v: usize| starts[v] as usize + v;
    let mut ranges = Vec::new();
    let mut from = 0;
    for i in 1..=parts {
        let goal = load(vocab) * i / parts;
        let to = if i == parts { vocab } else { (from..vocab).find(|&v| load(v) >= goal).unwrap_or(vocab) };
        if to > from {
            ranges.push(from..to);
        }
        from = to;
    }
    ranges
}
