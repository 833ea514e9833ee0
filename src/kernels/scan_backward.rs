//! delta_t = g_t phi'(a_t) with g_t = d_h_t + carry_t, carry_{t-1} = keep_t xi_t (delta_t W_hh^T), for a whole segment in one
//! dispatch, last step first; delta overwrites d_h.

use super::scan_forward::{constants, grid};
use super::{Activation, from_vec4, from_vec4_mut, slices, step_backward, words};
use crate::arena::View;
use crate::host::{self, Mat};
use crate::kernel::{Call, Capabilities, Kernel, Var, Word, Work, read, write};
use crate::recording::{Dispatch, Recording, Repeat};

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "scan_backward",
    source: concat!(include_str!("../../shaders/phi.wgsl"), include_str!("../../shaders/scan_backward.wgsl")),
    tiled: true,
    bindings: &[read("h"), read("w"), read("edges"), write("delta"), write("carry")],
    args: &["steps", "lanes", "hidden4", "phi", "h_offset", "w_offset", "keep_offset", "xi_offset", "delta_offset", "carry_offset", "carry_in"],
    constants,
    grid,
    cpu,
    work,
};

/// The operands of a backward scan over S steps of B lanes.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// `[(S+1)*B, H]`.
    pub h: View,
    /// W_hh^T `[H, H]`.
    pub w_t: View,
    /// `[S*B, 1]`.
    pub keep: View,
    /// `[S*B, 1]`, in the slot of keep.
    pub xi: View,
    /// `[S*B, H]`: d_h before, delta behind.
    pub delta: View,
    /// `[B, H]`: the carry that flows in, then the one that flows out.
    pub carry: View,
    /// 1 if a carry flows in.
    pub carry_in: Word,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: Activation,
}

/// Records the scan; one dispatch per step where no workgroup memory holds its rows.
pub fn record(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: Operands) {
    let ld = o.w_t.ld;
    assert!(o.h.ld == ld && o.delta.ld == ld && o.carry.ld == ld && o.keep.slot == o.xi.slot, "{label}: shapes");
    assert!(o.delta.rows == o.keep.rows && o.delta.rows == o.xi.rows && o.carry.rows == Word::from(o.lanes), "{label}: shapes");
    let Some(variant) = capabilities.scan_variant(ld, o.lanes) else {
        return step_backward::record(recording, label, capabilities.matmul_variant(o.lanes, ld), o);
    };
    recording.push(Dispatch {
        kernel: &KERNEL,
        label: label.to_string(),
        bindings: vec![o.h.slot, o.w_t.slot, o.keep.slot, o.delta.slot, o.carry.slot],
        args: vec![
            Word::var(Var::Steps),
            o.lanes.into(),
            Word::from(ld).quarter(),
            (o.activation as u32).into(),
            o.h.offset.quarter(),
            o.w_t.offset.quarter(),
            o.keep.offset,
            o.xi.offset,
            o.delta.offset.quarter(),
            o.carry.offset.quarter(),
            o.carry_in,
        ],
        variant,
        repeat: Repeat::Once,
    });
}

fn work(args: &[u32]) -> Work {
    let [steps, lanes, h] = [args[0], args[1], args[2] * 4].map(f64::from);
    Work { flops: 2.0 * steps * lanes * h * h, bytes: 4.0 * (3.0 * steps * lanes * h + h * h) }
}

fn cpu(call: &mut Call<'_, '_>) {
    let [steps, lanes, hidden4, phi, h_offset, w_offset, keep_offset, xi_offset, delta_offset, carry_offset, carry_in] = words(call.args);
    let ([h, w, edges], [delta, carry]) = slices(call.bound);
    let (steps, lanes, n) = (steps as usize, lanes as usize, hidden4 as usize * 4);
    let block = lanes * n;
    let carry = &mut from_vec4_mut(carry, carry_offset)[..block];
    if carry_in == 0 {
        carry.fill(0.0);
    }
    let scan = Scan {
        lanes,
        n,
        activation: Activation::from_word(phi),
        h: &from_vec4(h, h_offset)[block..(steps + 1) * block],
        w_t: &from_vec4(w, w_offset)[..n * n],
        keep: &edges[keep_offset as usize..][..steps * lanes],
        xi: &edges[xi_offset as usize..][..steps * lanes],
    };
    let ranges = host::split(lanes, call.threads);
    let deltas = host::cut_blocks(&mut from_vec4_mut(delta, delta_offset)[..steps * block], block, n, &ranges);
    let carries = host::cut_blocks(carry, block, n, &ranges);
    host::parallel(ranges.iter().zip(deltas).zip(carries).map(|((range, mut delta), mut carry)| {
        let (scan, range) = (&scan, range.clone());
        move || {
            for t in (0..steps).rev() {
                scan.delta(t, range.clone(), delta[t], carry[0]);
                scan.carry(t, range.clone(), delta[t], carry[0]);
            }
        }
    }));
}

/// What the steps of a scan have in common.
pub(super) struct Scan<'a> {
    pub lanes: usize,
    pub n: usize,
    pub activation: Activation,
    pub h: &'a [f32],
    pub w_t: &'a [f32],
    pub keep: &'a [f32],
    pub xi: &'a [f32],
}

impl Scan<'_> {
    /// delta_t of the lanes in `range`, over their d_h_t, from the carry that flows into step t.
    pub(super) fn delta(&self, t: usize, range: std::ops::Range<usize>, delta: &mut [f32], carry: &[f32]) {
        let first = (t * self.lanes + range.start) * self.n;
        host::vectorized(
            #[inline(always)]
            || delta.iter_mut().zip(carry).for_each(|(d, c)| *d += c),
        );
        self.activation.apply_slope(delta, &self.h[first..][..delta.len()]);
    }

    /// carry_{t-1} of the lanes in `range` from their delta_t.
    pub(super) fn carry(&self, t: usize, range: std::ops::Range<usize>, delta: &[f32], carry: &mut [f32]) {
        let first = t * self.lanes + range.start;
        host::product(carry, self.n, [range.len(), self.n, self.n], Mat::new(delta, self.n), Mat::new(self.w_t, self.n), false);
        for (row, at) in carry.chunks_exact_mut(self.n).zip(first..) {
            match self.keep[at] * self.xi[at] {
                1.0 => {}
                0.0 => row.fill(0.0),
                weight => row.iter_mut().for_each(|c| *c *= weight),
            }
        }
    }
}
