//! Closes an update: gradient norm, whether to apply it, clip factor, bias corrections, and a row of the metrics ring.

use super::slices;
use crate::arena::Slot;
use crate::kernel::{Call, Kernel, Variant, Word, Work, args, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "finish",
    source: include_str!("../../shaders/finish.wgsl"),
    cell: None,
    tiled: false,
    bindings: &[read("part"), read("loss"), write("status")],
    args: Args::LIST,
    constants: |_, _| vec![("PARTS", f64::from(super::norm::PARTS))],
    grid: |_, _| [1, 1, 1],
    cpu,
    work: |_| Work::default(),
};

args! {
    parts: u32,
    clip_norm: f32,
    ln_beta1: f32,
    ln_beta2: f32,
    inverse_n: f32,
    ring_row: u32,
}

/// Status word: updates applied. In order, the others are: skipped, applies now, clip factor, two bias corrections.
pub const APPLIED: usize = 0;
/// Status word: updates skipped because a gradient was not finite.
pub const SKIPPED: usize = 1;
pub(super) const APPLIES: usize = 2;
pub(super) const CLIP: usize = 3;
pub(super) const CORRECTION1: usize = 4;
pub(super) const CORRECTION2: usize = 5;
/// First word of the metrics ring.
pub const RING: u32 = 16;
/// Rows of the ring.
pub const RING_ROWS: u32 = 1024;
/// Words per row of the ring: loss, norm, applies, applied.
pub const RING_WORDS: u32 = 4;

/// Records the end of an update. `part` comes from [`super::norm`], `loss` is the sum of the weighted losses; a `clip_norm` of 0 disables clipping.
pub fn record(recording: &mut Recording, variant: Variant, [part, loss, status]: [Slot; 3], clip_norm: f32, betas: [f64; 2], inverse_n: Word, ring_row: Word) {
    let [ln1, ln2] = betas.map(|b| Word::f32(b.ln() as f32));
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: "finish".to_string(),
        bindings: vec![part, loss, status],
        args: Words { parts: super::norm::PARTS.into(), clip_norm: Word::f32(clip_norm), ln_beta1: ln1, ln_beta2: ln2, inverse_n, ring_row }.into(),
        variant,
        repeat: Repeat::Once,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let Args { parts, clip_norm, ln_beta1, ln_beta2, inverse_n, ring_row } = Args::of(call.args);
    let ([part, loss], [status]) = slices(call.bound);
    let status: &mut [u32] = bytemuck::cast_slice_mut(status);
    let (mut sum, mut bad) = (0f32, false);
    for pair in part.chunks_exact(2).take(parts as usize) {
        sum += pair[0];
        bad |= pair[1] != 0.0;
    }
    let applies = sum.is_finite() && !bad;
    let norm = sum.sqrt();
    status[if applies { APPLIED } else { SKIPPED }] += 1;
    status[APPLIES] = applies.into();
    status[CLIP] = if clip_norm > 0.0 { (clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0f32 }.to_bits();
    let applied = status[APPLIED] as f32;
    status[CORRECTION1] = one_minus_exp(applied * ln_beta1).to_bits();
    status[CORRECTION2] = one_minus_exp(applied * ln_beta2).to_bits();
    let norm = if applies { norm } else { f32::INFINITY };
    let row = [(loss[0] * inverse_n).to_bits(), norm.to_bits(), applies.into(), status[APPLIED]];
    status[(RING + ring_row * RING_WORDS) as usize..][..4].copy_from_slice(&row);
}

/// 1 - exp(x) for x <= 0 without cancellation near 0.
fn one_minus_exp(x: f32) -> f32 {
    -f64::from(x).exp_m1() as f32
}
