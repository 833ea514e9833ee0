//! h_t = phi(pre_t + hp_t W_hh + b_h) with hp_t = keep_t h_{t-1}. Either one dispatch per segment, or S + 1: the first copies the incoming state, and
//! dispatch i computes h of step i - 1.

use super::{Sizes, form, source};
use crate::arena::{Slot, View};
use crate::host::{self, Mat, Parts};
use crate::kernel::{Call, Capabilities, Kernel, Var, Variant, Word, args, read, write};
use crate::kernels::{Activation, from_vec4, from_vec4_mut, slices};
use crate::recording::{Dispatch, Recording};
use std::ops::Range;

/// The kernel.
pub static KERNEL: Kernel = Kernel {
    name: "scan_forward",
    source: source!("forward", "scan_forward"),
    tiled: true,
    bindings: &[read("pre"), read("w"), read("keep"), write("states"), write("h")],
    args: Args::LIST,
    constants: |args, variant| Args::of(args).sizes().constants(variant),
    grid: |args, variant| Args::of(args).sizes().grid(variant),
    cpu,
    work: |args| {
        let sizes = Args::of(args).sizes();
        sizes.work(sizes.steps, 2.0)
    },
};

/// The same scan in the form [`crate::kernel::Loads::Held`].
pub static HELD: Kernel = Kernel { name: "scan_forward_held", source: source!("forward", "scan_forward_held"), ..KERNEL };

/// One step of the scan: [`crate::kernel::Loads::Sliced`].
pub static STEP: Kernel =
    Kernel { name: "step_forward", source: source!("forward", "step_forward"), cpu: cpu_step, work: |args| Args::of(args).sizes().work(1, 3.0), ..KERNEL };

args! {
    index: u32,
    steps: u32,
    lanes: u32,
    hidden4: u32,
    phi: u32,
    pre_offset: u32,
    w_offset: u32,
    bias: u32,
    bias_offset: u32,
    keep_offset: u32,
    state_in: u32,
    state_out: u32,
    h_offset: u32,
}

impl Args {
    fn sizes(&self) -> Sizes {
        let Args { steps, lanes, hidden4, .. } = *self;
        Sizes { steps, lanes, hidden4 }
    }
}

/// The operands of a forward scan over S steps of B lanes.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// a_t without its recurrent part: `[S*B, H]`.
    pub pre: View,
    /// W_hh `[H, H]`.
    pub w: View,
    /// b_h `[1, H]`, in the same slot as W_hh.
    pub bias: Option<View>,
    /// `[S*B, 1]`, 0 where a new sequence begins.
    pub keep: View,
    /// Slot of the states `[B, H]`.
    pub states: Slot,
    /// Offset of the incoming state, in elements.
    pub state_in: Word,
    /// Offset of the outgoing state, in elements.
    pub state_out: Word,
    /// `[(S+1)*B, H]`: block 0 receives the incoming state.
    pub h: View,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: Activation,
}

/// Records the scan in the form that suits the device.
pub fn record(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: Operands) {
    record_as(recording, label, capabilities.scan_variant(o.w.ld, o.lanes), o);
}

/// Records the scan in a given form.
pub fn record_as(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    let ld = o.w.ld;
    assert!(o.pre.ld == ld && o.h.ld == ld && o.w.rows == o.w.cols && o.pre.cols == o.w.cols, "{label}: shapes");
    assert!(o.bias.is_none_or(|b| b.slot == o.w.slot && b.cols == o.w.cols) && o.keep.rows == o.pre.rows, "{label}: shapes");
    let (kernel, repeat) = form(variant, [&KERNEL, &HELD, &STEP]);
    recording.push(Dispatch {
        kernel,
        label: label.to_string(),
        bindings: vec![o.pre.slot, o.w.slot, o.keep.slot, o.states, o.h.slot],
        args: Words {
            index: Word::var(Var::Index),
            steps: Word::var(Var::Steps),
            lanes: o.lanes.into(),
            hidden4: Word::from(ld).quarter(),
            phi: (o.activation as u32).into(),
            pre_offset: o.pre.offset.quarter(),
            w_offset: o.w.offset.quarter(),
            bias: u32::from(o.bias.is_some()).into(),
            bias_offset: o.bias.map_or(0.into(), |b| b.offset.quarter()),
            keep_offset: o.keep.offset,
            state_in: o.state_in.quarter(),
            state_out: o.state_out.quarter(),
            h_offset: o.h.offset.quarter(),
        }
        .into(),
        variant,
        repeat,
    });
}

fn cpu(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let (reads, [states, h]) = slices(call.bound);
    let (scan, steps) = (Scan::of(&args, reads), args.steps as usize);
    let block = scan.block();
    let h = &mut from_vec4_mut(h, args.h_offset)[..(steps + 1) * block];
    h[..block].copy_from_slice(&from_vec4(states, args.state_in)[..block]);
    match host::part_scan(scan.lanes, scan.n, call.threads) {
        Parts::Lanes(ranges) => scan.over_lanes(h, steps, &ranges),
        Parts::Columns(ranges) => scan.over_columns(h, steps, &ranges),
    }
    from_vec4_mut(states, args.state_out)[..block].copy_from_slice(&h[steps * block..]);
}

fn cpu_step(call: &mut Call<'_, '_>) {
    let args = Args::of(call.args);
    let (reads, [states, h]) = slices(call.bound);
    let (scan, steps) = (Scan::of(&args, reads), args.steps as usize);
    let (n, block) = (scan.n, scan.block());
    let h = &mut from_vec4_mut(h, args.h_offset)[..(steps + 1) * block];
    if args.index == 0 {
        return h[..block].copy_from_slice(&from_vec4(states, args.state_in)[..block]);
    }
    let t = args.index as usize - 1;
    let (before, now) = h[t * block..(t + 2) * block].split_at_mut(block);
    let before = &*before;
    let mut rest = &mut *now;
    host::parallel(host::split(scan.lanes, call.threads).into_iter().map(|range| {
        let part = host::take(&mut rest, range.len() * n);
        let (scan, before) = (&scan, &before[range.start * n..range.end * n]);
        move || scan.step(t, range, before, part, &mut vec![0f32; before.len()])
    }));
    if t + 1 == steps {
        from_vec4_mut(states, args.state_out)[..block].copy_from_slice(now);
    }
}

/// What all steps of a scan share.
struct Scan<'a> {
    lanes: usize,
    n: usize,
    activation: Activation,
    pre: &'a [f32],
    w: &'a [f32],
    bias: Option<&'a [f32]>,
    keep: &'a [f32],
}

impl<'a> Scan<'a> {
    fn of(args: &Args, [pre, w, keep]: [&'a [f32]; 3]) -> Self {
        let (steps, lanes, n) = (args.steps as usize, args.lanes as usize, args.hidden4 as usize * 4);
        Scan {
            lanes,
            n,
            activation: Activation::from_word(args.phi),
            pre: &from_vec4(pre, args.pre_offset)[..steps * lanes * n],
            w: &from_vec4(w, args.w_offset)[..n * n],
            bias: (args.bias != 0).then(|| &from_vec4(w, args.bias_offset)[..n]),
            keep: &keep[args.keep_offset as usize..][..steps * lanes],
        }
    }

    /// Values per state.
    fn block(&self) -> usize {
        self.lanes * self.n
    }

    /// Each thread runs through time on its own lanes, which are independent.
    fn over_lanes(&self, h: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let parts = host::cut_blocks(h, self.block(), self.n, ranges);
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

    /// Each thread computes its own columns of every step, in its own buffer; threads wait for each other between steps.
    fn over_columns(&self, h: &mut [f32], steps: usize, ranges: &[Range<usize>]) {
        let (block, mut hp) = (self.block(), vec![0f32; self.block()]);
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

    /// One step of the lanes in `range`: `before` is their h_{t-1}, `now` becomes h_t; `hp` is scratch space for keep_t h_{t-1}.
    fn step(&self, t: usize, range: Range<usize>, before: &[f32], now: &mut [f32], hp: &mut [f32]) {
        let (n, first) = (self.n, t * self.lanes + range.start);
        for (row, pre) in now.chunks_exact_mut(n).zip(self.pre[first * n..].chunks_exact(n)) {
            self.begin(row, pre, 0..n);
        }
        let from = self.kept(t, range.clone(), before, hp);
        host::product(now, n, [range.len(), n, n], Mat::new(from, n), Mat::new(self.w, n), true);
        self.activation.apply(now);
    }

    /// Sets columns `cols` of a row to a_t without its recurrent part.
    fn begin(&self, row: &mut [f32], pre: &[f32], cols: Range<usize>) {
        match self.bias {
            Some(bias) => host::vectorized(
                #[inline(always)]
                || row.iter_mut().zip(pre).zip(&bias[cols]).for_each(|((x, p), b)| *x = p + b),
            ),
            None => row.copy_from_slice(pre),
        }
    }

    /// keep_t h_{t-1} of the lanes in `range`: h_{t-1} itself if no lane is reset, else a copy in `hp`.
    fn kept<'b>(&self, t: usize, range: Range<usize>, before: &'b [f32], hp: &'b mut [f32]) -> &'b [f32] {
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
    use super::super::tests::{edges, numbers, same_bits};
    use super::*;

    #[test]
    fn lanes_and_columns_make_the_same_bits() {
        for (lanes, n) in [(1, 20), (3, 132), (8, 600)] {
            let (steps, block) = (5, lanes * n);
            let (pre, w, bias, keep) = (numbers(steps * block, 1), numbers(n * n, 7_000), numbers(n, 90_000), edges(steps * lanes, 0.0));
            let scan = Scan { lanes, n, activation: Activation::Tanh, pre: &pre, w: &w, bias: Some(&bias), keep: &keep };
            let run = |walk: &dyn Fn(&mut [f32])| {
                let mut h = numbers((steps + 1) * block, 500);
                walk(&mut h);
                h
            };
            same_bits([lanes, n], &|ranges| run(&|h| scan.over_lanes(h, steps, ranges)), &|ranges| run(&|h| scan.over_columns(h, steps, ranges)));
        }
    }
}
