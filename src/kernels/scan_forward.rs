//! h_t = phi(pre_t + hp_t W_hh + b_h) with hp_t = keep_t h_{t-1}, for a whole segment in one dispatch.

use super::{Activation, from_vec4, from_vec4_mut, slices, step_forward, words};
use crate::arena::{Slot, View};
use crate::host::{self, Mat};
use crate::kernel::{Call, Capabilities, Constant, Kernel, Var, Variant, Word, Work, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "scan_forward",
    source: concat!(include_str!("../../shaders/phi.wgsl"), include_str!("../../shaders/scan_forward.wgsl")),
    tiled: true,
    bindings: &[read("pre"), read("w"), read("keep"), write("states"), write("h")],
    args: &["steps", "lanes", "hidden4", "phi", "pre_offset", "w_offset", "bias", "bias_offset", "keep_offset", "state_in", "state_out", "h_offset"],
    constants,
    grid,
    cpu,
    work,
};

/// The operands of a forward scan over S steps of B lanes.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// a_t without its recurrent part: `[S*B, H]`.
    pub pre: View,
    /// W_hh `[H, H]`.
    pub w: View,
    /// b_h `[1, H]`, in the slot of W_hh.
    pub bias: Option<View>,
    /// `[S*B, 1]`, 0 where a new sequence begins.
    pub keep: View,
    /// Slot of the states `[B, H]`.
    pub states: Slot,
    /// Element of the state that flows in.
    pub state_in: Word,
    /// Element of the state that flows out.
    pub state_out: Word,
    /// `[(S+1)*B, H]`: block 0 receives the state that flows in.
    pub h: View,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: Activation,
}

/// Records the scan; one dispatch per step where no workgroup memory holds its rows.
pub fn record(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: Operands) {
    let ld = o.w.ld;
    assert!(o.pre.ld == ld && o.h.ld == ld && o.w.rows == o.w.cols && o.pre.cols == o.w.cols, "{label}: shapes");
    assert!(o.bias.is_none_or(|b| b.slot == o.w.slot && b.cols == o.w.cols) && o.keep.rows == o.pre.rows, "{label}: shapes");
    let Some(variant) = capabilities.scan_variant(ld, o.lanes) else {
        return step_forward::record(recording, label, capabilities.matmul_variant(o.lanes, ld), o);
    };
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![o.pre.slot, o.w.slot, o.keep.slot, o.states, o.h.slot],
        args: vec![
            Word::var(Var::Steps),
            o.lanes.into(),
            Word::from(ld).quarter(),
            (o.activation as u32).into(),
            o.pre.offset.quarter(),
            o.w.offset.quarter(),
            u32::from(o.bias.is_some()).into(),
            o.bias.map_or(0.into(), |b| b.offset.quarter()),
            o.keep.offset,
            o.state_in.quarter(),
            o.state_out.quarter(),
            o.h.offset.quarter(),
        ],
        variant,
        repeat: Repeat::Once,
    });
}

pub(super) fn constants(args: &[u32], variant: Variant) -> Vec<Constant> {
    vec![("WIDTH", f64::from(variant.width)), ("HIDDEN4", f64::from(args[2]))]
}

pub(super) fn grid(args: &[u32], variant: Variant) -> [u32; 3] {
    if args[0] == 0 { [0, 0, 0] } else { [args[1].div_ceil(variant.tile.rows()), 1, 1] }
}

fn work(args: &[u32]) -> Work {
    let [steps, lanes, h] = [args[0], args[1], args[2] * 4].map(f64::from);
    Work { flops: 2.0 * steps * lanes * h * h, bytes: 4.0 * (2.0 * steps * lanes * h + h * h) }
}

fn cpu(call: &mut Call<'_, '_>) {
    let [steps, lanes, hidden4, phi, pre_offset, w_offset, bias, bias_offset, keep_offset, state_in, state_out, h_offset] = words(call.args);
    let ([pre, w, keep], [states, h]) = slices(call.bound);
    let (steps, lanes, n) = (steps as usize, lanes as usize, hidden4 as usize * 4);
    let block = lanes * n;
    let h = &mut from_vec4_mut(h, h_offset)[..(steps + 1) * block];
    h[..block].copy_from_slice(&from_vec4(states, state_in)[..block]);
    let scan = Scan {
        lanes,
        n,
        activation: Activation::from_word(phi),
        pre: &from_vec4(pre, pre_offset)[..steps * block],
        w: &from_vec4(w, w_offset)[..n * n],
        bias: (bias != 0).then(|| &from_vec4(w, bias_offset)[..n]),
        keep: &keep[keep_offset as usize..][..steps * lanes],
    };
    // Lanes don't depend on each other: each thread walks through time with its own.
    let ranges = host::split(lanes, call.threads);
    let parts = host::cut_blocks(h, block, n, &ranges);
    host::parallel(ranges.iter().zip(parts).map(|(range, mut h)| {
        let (scan, range) = (&scan, range.clone());
        move || {
            let mut hp = vec![0f32; range.len() * n];
            for t in 0..steps {
                let (before, now) = h.split_at_mut(t + 1);
                scan.step(t, range.clone(), &*before[t], &mut *now[0], &mut hp);
            }
        }
    }));
    from_vec4_mut(states, state_out)[..block].copy_from_slice(&h[steps * block..]);
}

/// What the steps of a scan have in common.
pub(super) struct Scan<'a> {
    pub lanes: usize,
    pub n: usize,
    pub activation: Activation,
    pub pre: &'a [f32],
    pub w: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub keep: &'a [f32],
}

impl Scan<'_> {
    /// One step of the lanes in `range`: `before` is their h_{t-1}, `now` becomes h_t; `hp` is room for keep_t h_{t-1}.
    pub(super) fn step(&self, t: usize, range: std::ops::Range<usize>, before: &[f32], now: &mut [f32], hp: &mut [f32]) {
        let (n, first) = (self.n, t * self.lanes + range.start);
        now.copy_from_slice(&self.pre[first * n..][..now.len()]);
        if let Some(bias) = self.bias {
            now.chunks_exact_mut(n).for_each(|row| row.iter_mut().zip(bias).for_each(|(x, b)| *x += b));
        }
        let keep = &self.keep[first..first + range.len()];
        let mut from = before;
        if keep.contains(&0.0) {
            hp.copy_from_slice(before);
            hp.chunks_exact_mut(n).zip(keep).filter(|(_, k)| **k == 0.0).for_each(|(row, _)| row.fill(0.0));
            from = hp;
        }
        host::product(now, n, [range.len(), n, n], Mat::new(from, n), Mat::new(self.w, n), true);
        self.activation.apply(now);
    }
}
