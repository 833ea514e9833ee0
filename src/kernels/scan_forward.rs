//! h_t = phi(pre_t + hp_t W_hh + b_h) with hp_t = keep_t h_{t-1}, for a whole segment in one dispatch.

use super::{Activation, from_vec4, from_vec4_mut, slices, words};
use crate::arena::{Slot, View};
use crate::host::{self, Mat, Parts};
use crate::kernel::{Call, Constant, Kernel, Loads, Var, Variant, Word, Work, read, write};
use crate::recording::{Dispatch, Recording, Repeat};
use std::ops::Range;

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

/// The same in [`Loads::Held`].
pub static HELD: Kernel = Kernel {
    name: "scan_forward_held",
    source: concat!(include_str!("../../shaders/phi.wgsl"), include_str!("../../shaders/scan_forward_held.wgsl")),
    ..KERNEL
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

/// Records the scan as one dispatch.
pub fn record(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    let ld = o.w.ld;
    assert!(o.pre.ld == ld && o.h.ld == ld && o.w.rows == o.w.cols && o.pre.cols == o.w.cols, "{label}: shapes");
    assert!(o.bias.is_none_or(|b| b.slot == o.w.slot && b.cols == o.w.cols) && o.keep.rows == o.pre.rows, "{label}: shapes");
    let kernel = if matches!(variant.loads, Loads::Held(_)) { &HELD } else { &KERNEL };
    recording.push(Dispatch {
        kernel,
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
    let mut constants = vec![("WIDTH", f64::from(variant.width)), ("HIDDEN4", f64::from(args[2]))];
    if matches!(variant.loads, Loads::Held(_)) {
        constants.push(("SLICES", f64::from(variant.width / args[2])));
    }
    constants
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
    match host::part_scan(lanes, n, call.threads) {
        Parts::Lanes(ranges) => scan.over_lanes(h, steps, &ranges),
        Parts::Columns(ranges) => scan.over_columns(h, steps, &ranges),
    }
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
    /// Each thread walks through time with lanes of its own: they don't depend on each other.
    fn over_lanes(&self, h: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let parts = host::cut_blocks(h, self.lanes * self.n, self.n, ranges);
        host::parallel(ranges.iter().zip(parts).map(|(range, mut h)| {
            let range = range.clone();
            move || {
                let mut hp = vec![0f32; range.len() * self.n];
                for t in 0..steps {
                    let (before, now) = h.split_at_mut(t + 1);
                    self.step(t, range.clone(), &*before[t], &mut *now[0], &mut hp);
                }
            }
        }));
    }

    /// Each thread makes columns of its own of every step, in room of its own, and all wait for each other between two steps.
    fn over_columns(&self, h: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let (block, mut hp) = (self.lanes * self.n, vec![0f32; self.lanes * self.n]);
        let mut rooms: Vec<Vec<f32>> = ranges.iter().map(|r| vec![0f32; self.lanes * r.len()]).collect();
        for t in 0..steps {
            let (before, now) = h[t * block..(t + 2) * block].split_at_mut(block);
            let from = self.kept(t, 0..self.lanes, before, &mut hp);
            let parts = host::cut_blocks(now, self.n, 1, ranges);
            host::parallel(ranges.iter().zip(parts).zip(&mut rooms).map(|((cols, rows), room)| {
                move || {
                    let width = cols.len();
                    for (row, pre) in room.chunks_exact_mut(width).zip(self.pre[t * block..].chunks_exact(self.n)) {
                        self.begin(row, &pre[cols.clone()], cols.clone());
                    }
                    let w = Mat::new(&self.w[cols.start..], self.n);
                    host::product(room, width, [self.lanes, width, self.n], Mat::new(from, self.n), w, true);
                    self.activation.apply(room);
                    rows.into_iter().zip(room.chunks_exact(width)).for_each(|(to, row)| to.copy_from_slice(row));
                }
            }));
        }
    }

    /// One step of the lanes in `range`: `before` is their h_{t-1}, `now` becomes h_t; `hp` is room for keep_t h_{t-1}.
    pub(super) fn step(&self, t: usize, range: Range<usize>, before: &[f32], now: &mut [f32], hp: &mut [f32]) {
        let (n, first) = (self.n, t * self.lanes + range.start);
        for (row, pre) in now.chunks_exact_mut(n).zip(self.pre[first * n..].chunks_exact(n)) {
            self.begin(row, pre, 0..n);
        }
        let from = self.kept(t, range.clone(), before, hp);
        host::product(now, n, [range.len(), n, n], Mat::new(from, n), Mat::new(self.w, n), true);
        self.activation.apply(now);
    }

    /// Columns of a row of a_t without its recurrent part.
    fn begin(&self, row: &mut [f32], pre: &[f32], cols: Range<usize>) {
        match self.bias {
            Some(bias) => host::vectorized(
                #[inline(always)]
                || row.iter_mut().zip(pre).zip(&bias[cols]).for_each(|((x, p), b)| *x = p + b),
            ),
            None => row.copy_from_slice(pre),
        }
    }

    /// keep_t h_{t-1} of the lanes in `range`: h_{t-1} itself where none begins anew, else a copy in `hp`.
    fn kept<'a>(&self, t: usize, range: Range<usize>, before: &'a [f32], hp: &'a mut [f32]) -> &'a [f32] {
        let keep = &self.keep[t * self.lanes..][range];
        if !keep.contains(&0.0) {
            return before;
        }
        hp.copy_from_slice(before);
        hp.chunks_exact_mut(self.n).zip(keep).filter(|(_, k)| **k == 0.0).for_each(|(row, _)| row.fill(0.0));
        hp
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
            let (pre, w, bias) = (numbers(steps * block, 1), numbers(n * n, 7_000), numbers(n, 90_000));
            let keep: Vec<f32> = (0..steps * lanes).map(|i| if i % 7 == 4 { 0.0 } else { 1.0 }).collect();
            let scan = Scan { lanes, n, activation: Activation::Tanh, pre: &pre, w: &w, bias: Some(&bias), keep: &keep };
            let run = |walk: &dyn Fn(&mut [f32])| {
                let mut h = numbers((steps + 1) * block, 500);
                walk(&mut h);
                h.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
            };
            let alone = run(&|h| scan.over_lanes(h, steps, &host::split(lanes, 1)));
            assert!(run(&|h| scan.over_lanes(h, steps, &host::split(lanes, 3))) == alone, "lanes {lanes}, n {n}");
            for parts in 1..=3 {
                assert!(run(&|h| scan.over_columns(h, steps, &host::split_columns(n, parts))) == alone, "lanes {lanes}, n {n}, parts {parts}");
            }
        }
    }
}
