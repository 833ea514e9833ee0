//! Weighted softmax cross-entropy over logits `[V, rows]`: `loss[r]` = w_r (log sum_v exp(z_v) - z_target), z = logits + b_y; and
//! d_logits = w_r / N (softmax(z) - onehot) in place.

use super::slices;
use crate::arena::View;
use crate::host;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, linear_grid, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "loss",
    source: include_str!("../../shaders/loss.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("targets"), read("params"), write("logits"), write("loss")],
    args: Args::LIST,
    // 8 row blocks by strands of symbols. Wide subgroups mean hardware, where memory latency is high: many strands.
    constants: |_, variant| vec![("STRANDS", if variant.width >= 32 { 32.0 } else { 1.0 })],
    grid: |args, _| linear_grid(Args::of(args).rows.div_ceil(32)),
    cpu,
    // Logits are read and, with a gradient, written; about 8 operations per logit.
    work: |args| {
        let Args { rows, vocab, gradient, .. } = Args::of(args);
        let logits = f64::from(rows) * f64::from(vocab);
        Work { flops: 8.0 * logits, bytes: 4.0 * logits * f64::from(1 + gradient) }
    },
};

args! {
    rows: u32,
    vocab: u32,
    ld: u32,
    targets_offset: u32,
    weights_offset: u32,
    bias: u32,
    bias_offset: u32,
    inverse_n: f32,
    gradient: u32,
    loss_offset: u32,
}

/// The operands of the loss.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// `[rows, 1]` of u32.
    pub targets: View,
    /// `[rows, 1]`, in the same slot as the targets.
    pub weights: View,
    /// b_y, `[1, V]`.
    pub bias: Option<View>,
    /// Slot of the parameters, bound even without a bias.
    pub params: crate::arena::Slot,
    /// `[V, rows]`.
    pub logits: View,
    /// `[rows, 1]`.
    pub loss: View,
    /// 1/N as the bits of an f32.
    pub inverse_n: Word,
    /// Whether d_logits overwrites the logits. If not, the logits are left with meaningless values.
    pub gradient: bool,
}

/// Records the loss and, if requested, d_logits.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    assert!(o.targets.rows == o.loss.rows && o.weights.rows == o.loss.rows && o.targets.slot == o.weights.slot, "{label}: shapes");
    assert!(o.logits.offset == Word::from(0), "{label}: the logits begin their slot");
    assert!(o.logits.ld.is_multiple_of(4), "{label}: rows of logits are padded");
    let vocab = o.logits.rows.constant().expect("the vocabulary is a constant");
    assert!(o.bias.is_none_or(|b| b.cols == Word::from(vocab) && b.slot == o.params), "{label}: bias");
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![o.targets.slot, o.params, o.logits.slot, o.loss.slot],
        args: Words {
            rows: o.loss.rows,
            vocab: vocab.into(),
            ld: o.logits.ld.into(),
            targets_offset: o.targets.offset,
            weights_offset: o.weights.offset,
            bias: u32::from(o.bias.is_some()).into(),
            bias_offset: o.bias.map_or(0.into(), |b| b.offset),
            inverse_n: o.inverse_n,
            gradient: u32::from(o.gradient).into(),
            loss_offset: o.loss.offset,
        }
        .into(),
        variant,
        repeat: Repeat::Once,
    });
}

/// Rows processed together: their logits for all symbols stay in the L1 cache.
const BLOCK: usize = 64;

fn cpu(call: &mut Call<'_, '_>) {
    let Args { rows, vocab, ld, targets_offset, weights_offset, bias, bias_offset, inverse_n, gradient, loss_offset } = Args::of(call.args);
    let ([targets, params], [logits, loss]) = slices(call.bound);
    let (rows, vocab, ld) = (rows as usize, vocab as usize, ld as usize);
    let padded = rows.next_multiple_of(4);
    let weights = &targets[weights_offset as usize..][..rows];
    let targets: &[u32] = &bytemuck::cast_slice(targets)[targets_offset as usize..][..rows];
    let bias = (bias != 0).then(|| &params[bias_offset as usize..][..vocab]);
    let ranges: Vec<_> = host::split(padded.div_ceil(BLOCK), call.threads).into_iter().map(|r| r.start * BLOCK..(r.end * BLOCK).min(padded)).collect();
    let loss_parts = host::cut_blocks(&mut loss[loss_offset as usize..][..padded], padded, 1, &ranges);
    let logit_parts = host::cut_blocks(&mut logits[..vocab * ld], ld, 1, &ranges);
    let tasks = ranges.into_iter().zip(logit_parts).zip(loss_parts).map(|((range, mut z), mut loss)| {
        move || {
            let mut block = Block { top: [0.0; BLOCK], sum: [0.0; BLOCK], bias, scale: inverse_n, gradient: gradient != 0 };
            for from in (0..range.len()).step_by(BLOCK) {
                let part = from..(from + BLOCK).min(range.len());
                let live = range.start + from..(range.start + part.end).min(rows);
                block.run(&mut z, part.clone(), &targets[live.clone()], &weights[live], &mut loss[0][part]);
            }
        }
    });
    host::parallel(tasks.collect::<Vec<_>>());
}

struct Block<'a> {
    top: [f32; BLOCK],
    sum: [f32; BLOCK],
    bias: Option<&'a [f32]>,
    scale: f32,
    gradient: bool,
}

impl Block<'_> {
    /// Processes rows `part` of `z` (one slice per symbol) together, to fill the vector units; rows beyond the targets are padding.
    fn run(&mut self, z: &mut [&mut [f32]], part: std::ops::Range<usize>, targets: &[u32], weights: &[f32], loss: &mut [f32]) {
        host::vectorized(
            #[inline(always)]
            || {
                let n = part.len();
                self.top[..n].fill(f32::NEG_INFINITY);
                self.sum[..n].fill(0.0);
                for (v, z) in z.iter_mut().enumerate() {
                    let b = self.bias.map_or(0.0, |b| b[v]);
                    for (z, top) in z[part.clone()].iter_mut().zip(&mut self.top) {
                        *z += b;
                        *top = if *z > *top { *z } else { *top };
                    }
                }
                for (r, (&t, &w)) in targets.iter().zip(weights).enumerate() {
                    loss[r] = if w == 0.0 { 0.0 } else { self.top[r] - z[t as usize][part.start + r] };
                }
                for z in z.iter_mut() {
                    for ((z, top), sum) in z[part.clone()].iter_mut().zip(&self.top).zip(&mut self.sum) {
                        *z = host::exp(*z - top);
                        *sum += *z;
                    }
                }
                self.close(z, part.clone(), targets, weights, loss);
            },
        );
    }

    /// Computes the loss and d_logits from exp(z - top) and its sum.
    #[inline(always)]
    fn close(&mut self, z: &mut [&mut [f32]], part: std::ops::Range<usize>, targets: &[u32], weights: &[f32], loss: &mut [f32]) {
        let live = targets.len();
        for (r, w) in weights.iter().enumerate() {
            if *w != 0.0 {
                loss[r] = w * (self.sum[r].ln() + loss[r]);
            }
        }
        loss[live..].fill(0.0);
        if !self.gradient {
            return;
        }
        let mut factor = [0f32; BLOCK];
        for (r, w) in weights.iter().enumerate() {
            // Not a product with 0: the other factor may be NaN.
            factor[r] = if *w == 0.0 { 0.0 } else { w * self.scale / self.sum[r] };
        }
        for z in z.iter_mut() {
            for (z, f) in z[part.clone()].iter_mut().zip(&factor) {
                *z = if *f == 0.0 { 0.0 } else { *z * f };
            }
        }
        for (r, (&t, w)) in targets.iter().zip(weights).enumerate() {
            if *w != 0.0 {
                z[t as usize][part.start + r] -= w * self.scale;
            }
        }
    }
}
