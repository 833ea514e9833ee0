//! delta_t = g_t phi'(a_t) with g_t = d_h_t + carry_t, carry_{t-1} = keep_t xi_t (delta_t W_hh^T), for a whole segment in one
//! dispatch, last step first; delta overwrites d_h.

use super::scan_forward::{constants, grid};
use super::{Activation, from_vec4, from_vec4_mut, slices, words};
use crate::arena::View;
use crate::host::{self, Mat, Parts};
use crate::kernel::{Call, Kernel, Loads, Var, Variant, Word, Work, read, write};
use crate::recording::{Dispatch, Recording, Repeat};
use std::ops::Range;

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

/// The same in [`Loads::Held`].
pub static HELD: Kernel = Kernel {
    name: "scan_backward_held",
    source: concat!(include_str!("../../shaders/phi.wgsl"), include_str!("../../shaders/scan_backward_held.wgsl")),
    ..KERNEL
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
    /// `[S*B, H]`: d_h before, delta after.
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

/// Records the scan as one dispatch.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    let ld = o.w_t.ld;
    assert!(o.h.ld == ld && o.delta.ld == ld && o.carry.ld == ld && o.keep.slot == o.xi.slot, "{label}: shapes");
    assert!(o.delta.rows == o.keep.rows && o.delta.rows == o.xi.rows && o.carry.rows == Word::from(o.lanes), "{label}: shapes");
    let kernel = if matches!(variant.loads, Loads::Held(_)) { &HELD } else { &KERNEL };
    recording.push(Dispatch {
        kernel,
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
    let delta = &mut from_vec4_mut(delta, delta_offset)[..steps * block];
    match host::part_scan(lanes, n, call.threads) {
        Parts::Lanes(ranges) => scan.over_lanes(delta, carry, steps, &ranges),
        Parts::Columns(ranges) => scan.over_columns(delta, carry, steps, &ranges),
    }
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
    /// Each thread walks through time with lanes of its own.
    fn over_lanes(&self, delta: &mut [f32], carry: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let block = self.lanes * self.n;
        let deltas = host::cut_blocks(delta, block, self.n, ranges);
        let carries = host::cut_blocks(carry, block, self.n, ranges);
        host::parallel(ranges.iter().zip(deltas).zip(carries).map(|((range, mut delta), mut carry)| {
            move || {
                for t in (0..steps).rev() {
                    self.delta(t, range.clone(), delta[t], carry[0]);
                    self.carry(t, range.clone(), delta[t], carry[0]);
                }
            }
        }));
    }

    /// Each thread makes columns of its own, of carry_t and then delta_t; all wait for each other between two steps, and at the end
    /// make the carry that flows out.
    fn over_columns(&self, delta: &mut [f32], carry: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let (n, block) = (self.n, self.lanes * self.n);
        // Of each thread: its columns of the carry.
        let mut rooms: Vec<Vec<f32>> = ranges.iter().map(|r| carry.chunks_exact(n).flat_map(|row| row[r.clone()].iter().copied()).collect()).collect();
        for after in (0..=steps).rev() {
            let (before, behind) = delta.split_at_mut(after * block);
            let now = if after > 0 { &mut before[(after - 1) * block..] } else { &mut *carry };
            let (parts, behind) = (host::cut_blocks(now, n, 1, ranges), &*behind);
            host::parallel(ranges.iter().zip(parts).zip(&mut rooms).map(|((cols, mut rows), room)| {
                move || {
                    if after < steps {
                        self.flow(after, 0..self.lanes, &behind[..block], cols.clone(), room);
                    }
                    for (lane, (row, carry)) in rows.iter_mut().zip(room.chunks_exact(cols.len())).enumerate() {
                        if after == 0 {
                            row.copy_from_slice(carry);
                        } else {
                            self.slope(((after - 1) * self.lanes + lane) * n + cols.start, row, carry);
                        }
                    }
                }
            }));
        }
    }

    /// delta_t of the lanes in `range`, over their d_h_t, from the carry that flows into step t.
    pub(super) fn delta(&self, t: usize, range: Range<usize>, delta: &mut [f32], carry: &[f32]) {
        self.slope((t * self.lanes + range.start) * self.n, delta, carry);
    }

    /// carry_{t-1} of the lanes in `range` from their delta_t.
    pub(super) fn carry(&self, t: usize, range: Range<usize>, delta: &[f32], carry: &mut [f32]) {
        self.flow(t, range, delta, 0..self.n, carry);
    }

    /// (d_h + carry) phi', over d_h, of numbers that follow each other from `first` on.
    fn slope(&self, first: usize, delta: &mut [f32], carry: &[f32]) {
        host::vectorized(
            #[inline(always)]
            || delta.iter_mut().zip(carry).for_each(|(d, c)| *d += c),
        );
        self.activation.apply_slope(delta, &self.h[first..][..delta.len()]);
    }

    /// Columns `cols` of carry_{t-1} from all of delta_t, of the lanes in `range`.
    fn flow(&self, t: usize, range: Range<usize>, delta: &[f32], cols: Range<usize>, carry: &mut [f32]) {
        let (width, first) = (cols.len(), t * self.lanes + range.start);
        let w_t = Mat::new(&self.w_t[cols.start..], self.n);
        host::product(carry, width, [range.len(), width, self.n], Mat::new(delta, self.n), w_t, false);
        for (row, at) in carry.chunks_exact_mut(width).zip(first..) {
            match self.keep[at] * self.xi[at] {
                1.0 => {}
                0.0 => row.fill(0.0),
                weight => row.iter_mut().for_each(|c| *c *= weight),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scan over lanes and one over columns, of one part and of several, make the same bits.
    #[test]
    fn lanes_and_columns_make_the_same_bits() {
        let number = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0 - 0.5;
        let numbers = |n: usize, from: usize| (from..from + n).map(number).collect::<Vec<f32>>();
        for (lanes, n) in [(1, 20), (3, 132), (8, 600)] {
            let (steps, block) = (5, lanes * n);
            let (h, w_t) = (numbers(steps * block, 1), numbers(n * n, 7_000));
            let edges = |cut: f32| (0..steps * lanes).map(|i| if i % 7 == 4 { cut } else { 1.0 }).collect::<Vec<f32>>();
            let (keep, xi) = (edges(0.0), edges(1.5));
            let scan = Scan { lanes, n, activation: Activation::Tanh, h: &h, w_t: &w_t, keep: &keep, xi: &xi };
            let run = |walk: &dyn Fn(&mut [f32], &mut [f32])| {
                let (mut delta, mut carry) = (numbers(steps * block, 500), numbers(block, 99));
                walk(&mut delta, &mut carry);
                delta.into_iter().chain(carry).map(f32::to_bits).collect::<Vec<u32>>()
            };
            let alone = run(&|d, c| scan.over_lanes(d, c, steps, &host::split(lanes, 1)));
            assert!(run(&|d, c| scan.over_lanes(d, c, steps, &host::split(lanes, 3))) == alone, "lanes {lanes}, n {n}");
            for parts in 1..=3 {
                assert!(run(&|d, c| scan.over_columns(d, c, steps, &host::split_columns(n, parts))) == alone, "lanes {lanes}, n {n}, parts {parts}");
            }
        }
    }
}
