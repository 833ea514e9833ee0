//! delta_t = g_t phi'(a_t) with g_t = d_h_t + carry_t, carry_{t-1} = keep_t xi_t (delta_t W_hh^T), last step first; delta overwrites d_h. Either one
//! dispatch per segment, or S + 1: dispatch i computes delta_t for t = S - 1 - i from delta_{t+1}, and the last one the outgoing carry.

use super::{Sizes, form, source};
use crate::arena::View;
use crate::host::{self, Mat, Parts};
use crate::kernel::{Call, Capabilities, Kernel, Var, Variant, Word, args, read, write};
use crate::kernels::{Activation, from_vec4, from_vec4_mut, slices};
use crate::recording::{Dispatch, Recording};
use std::ops::Range;

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "scan_backward",
    source: source!("backward", "scan_backward"),
    tiled: true,
    bindings: &[read("h"), read("w"), read("edges"), write("delta"), write("carry")],
    args: Args::LIST,
    constants: |args, variant| Args::of(args).sizes().constants(variant),
    grid: |args, variant| Args::of(args).sizes().grid(variant),
    cpu,
    work: |args| {
        let sizes = Args::of(args).sizes();
        sizes.work(sizes.steps, 3.0)
    },
};

/// The same scan in the form [`crate::kernel::Loads::Held`].
pub static HELD: Kernel = Kernel { name: "scan_backward_held", source: source!("backward", "scan_backward_held"), ..KERNEL };

/// One step of the scan: [`crate::kernel::Loads::Sliced`].
pub static STEP: Kernel =
    Kernel { name: "step_backward", source: source!("backward", "step_backward"), cpu: cpu_step, work: |args| Args::of(args).sizes().work(1, 3.0), ..KERNEL };

args! {
    index: u32,
    steps: u32,
    lanes: u32,
    hidden4: u32,
    phi: u32,
    h_offset: u32,
    w_offset: u32,
    keep_offset: u32,
    xi_offset: u32,
    delta_offset: u32,
    carry_offset: u32,
    carry_in: u32,
}

impl Args {
    fn sizes(&self) -> Sizes {
        let Args { steps, lanes, hidden4, .. } = *self;
        Sizes { steps, lanes, hidden4 }
    }
}

/// The operands of a backward scan over S steps of B lanes.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// `[(S+1)*B, H]`.
    pub h: View,
    /// W_hh^T `[H, H]`.
    pub w_t: View,
    /// `[S*B, 1]`.
    pub keep: View,
    /// `[S*B, 1]`, in the same slot as keep.
    pub xi: View,
    /// `[S*B, H]`: d_h before, delta after.
    pub delta: View,
    /// `[B, H]`: the incoming carry, replaced by the outgoing one.
    pub carry: View,
    /// 1 if a carry flows in.
    pub carry_in: Word,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: Activation,
}

/// Records the scan in the form that suits the device.
pub fn record(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: Operands) {
    record_as(recording, label, capabilities.scan_variant(o.w_t.ld, o.lanes), o);
}

/// Records the scan in a given form.
pub fn record_as(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    let ld = o.w_t.ld;
    assert!(o.h.ld == ld && o.delta.ld == ld && o.carry.ld == ld && o.keep.slot == o.xi.slot, "{label}: shapes");
    assert!(o.delta.rows == o.keep.rows && o.delta.rows == o.xi.rows && o.carry.rows == Word::from(o.lanes), "{label}: shapes");
    let (kernel, repeat) = form(variant, [&KERNEL, &HELD, &STEP]);
    recording.push(Dispatch {
        kernel,
        label: label.to_string(),
        bindings: vec![o.h.slot, o.w_t.slot, o.keep.slot, o.delta.slot, o.carry.slot],
        args: Words {
            index: Word::var(Var::Index),
            steps: Word::var(Var::Steps),
            lanes: o.lanes.into(),
            hidden4: Word::from(ld).quarter(),
            phi: (o.activation as u32).into(),
            h_offset: o.h.offset.quarter(),
            w_offset: o.w_t.offset.quarter(),
            keep_offset: o.keep.offset,
            xi_offset: o.xi.offset,
            delta_offset: o.delta.offset.quarter(),
            carry_offset: o.carry.offset.quarter(),
            carry_in: o.carry_in,
        }
        .into(),
        variant,
        repeat,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let (reads, [delta, carry]) = slices(call.bound);
    let (scan, steps) = (Scan::of(&args, reads), args.steps as usize);
    let delta = &mut from_vec4_mut(delta, args.delta_offset)[..steps * scan.block()];
    let carry = &mut from_vec4_mut(carry, args.carry_offset)[..scan.block()];
    if args.carry_in == 0 {
        carry.fill(0.0);
    }
    match host::part_scan(scan.lanes, scan.n, call.threads) {
        Parts::Lanes(ranges) => scan.over_lanes(delta, carry, steps, &ranges),
        Parts::Columns(ranges) => scan.over_columns(delta, carry, steps, &ranges),
    }
}

fn cpu_step(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let (reads, [delta, carry]) = slices(call.bound);
    let (scan, steps, i) = (Scan::of(&args, reads), args.steps as usize, args.index as usize);
    let (n, block) = (scan.n, scan.block());
    let delta = &mut from_vec4_mut(delta, args.delta_offset)[..steps * block];
    let carry = &mut from_vec4_mut(carry, args.carry_offset)[..block];
    if i == 0 && args.carry_in == 0 {
        carry.fill(0.0);
    }
    // `after` is t + 1. The first dispatch has no step t + 1, the last no step t.
    let after = steps - i;
    let (before, behind) = delta.split_at_mut(after * block);
    let mut now = if i < steps { &mut before[(after - 1) * block..] } else { &mut [] };
    let (mut flow, behind) = (carry, &*behind);
    host::parallel(host::split(scan.lanes, call.threads).into_iter().map(|range| {
        let now = host::take(&mut now, range.len() * n);
        let flow = host::take(&mut flow, range.len() * n);
        let scan = &scan;
        move || {
            if i > 0 {
                scan.carry(after, range.clone(), &behind[range.start * n..range.end * n], flow);
            }
            if i < steps {
                scan.delta(after - 1, range, now, flow);
            }
        }
    }));
}

/// What all steps of a scan share.
struct Scan<'a> {
    lanes: usize,
    n: usize,
    activation: Activation,
    h: &'a [f32],
    w_t: &'a [f32],
    keep: &'a [f32],
    xi: &'a [f32],
}

impl<'a> Scan<'a> {
    fn of(args: &Args, [h, w, edges]: [&'a [f32]; 3]) -> Self {
        let (steps, lanes, n) = (args.steps as usize, args.lanes as usize, args.hidden4 as usize * 4);
        let block = lanes * n;
        Scan {
            lanes,
            n,
            activation: Activation::from_word(args.phi),
            h: &from_vec4(h, args.h_offset)[block..(steps + 1) * block],
            w_t: &from_vec4(w, args.w_offset)[..n * n],
            keep: &edges[args.keep_offset as usize..][..steps * lanes],
            xi: &edges[args.xi_offset as usize..][..steps * lanes],
        }
    }

    /// Values per state.
    fn block(&self) -> usize {
        self.lanes * self.n
    }

    /// Each thread runs through time on its own lanes.
    fn over_lanes(&self, delta: &mut [f32], carry: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let block = self.block();
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

    /// Each thread computes its own columns of carry_t and then delta_t. Threads wait for each other between steps; the last pass computes the outgoing carry.
    fn over_columns(&self, delta: &mut [f32], carry: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let (n, block) = (self.n, self.block());
        // Per thread: its columns of the carry.
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

    /// Overwrites d_h_t with delta_t for the lanes in `range`, given the carry into step t.
    fn delta(&self, t: usize, range: Range<usize>, delta: &mut [f32], carry: &[f32]) {
        self.slope((t * self.lanes + range.start) * self.n, delta, carry);
    }

    /// Computes carry_{t-1} of the lanes in `range` from their delta_t.
    fn carry(&self, t: usize, range: Range<usize>, delta: &[f32], carry: &mut [f32]) {
        self.flow(t, range, delta, 0..self.n, carry);
    }

    /// Overwrites d_h with (d_h + carry) phi', for consecutive values from `first` on.
    fn slope(&self, first: usize, delta: &mut [f32], carry: &[f32]) {
        host::vectorized(
            #[inline(always)]
            || delta.iter_mut().zip(carry).for_each(|(d, c)| *d += c),
        );
        self.activation.apply_slope(delta, &self.h[first..][..delta.len()]);
    }

    /// Computes columns `cols` of carry_{t-1} for the lanes in `range`, from all of their delta_t.
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
    use super::super::tests::{edges, numbers, same_bits};
    use super::*;

    #[test]
    fn lanes_and_columns_make_the_same_bits() {
        for (lanes, n) in [(1, 20), (3, 132), (8, 600)] {
            let (steps, block) = (5, lanes * n);
            let (h, w_t, keep, xi) = (numbers(steps * block, 1), numbers(n * n, 7_000), edges(steps * lanes, 0.0), edges(steps * lanes, 1.5));
            let scan = Scan { lanes, n, activation: Activation::Tanh, h: &h, w_t: &w_t, keep: &keep, xi: &xi };
            let run = |walk: &dyn Fn(&mut [f32], &mut [f32])| {
                let (mut delta, mut carry) = (numbers(steps * block, 500), numbers(block, 99));
                walk(&mut delta, &mut carry);
                [delta, carry].concat()
            };
            same_bits([lanes, n], &|ranges| run(&|d, c| scan.over_lanes(d, c, steps, ranges)), &|ranges| run(&|d, c| scan.over_columns(d, c, steps, ranges)));
        }
    }
}
