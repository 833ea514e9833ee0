//! The forward scan: the cell's step from x_t W_xh + b and hp_t W_hh, with hp_t = keep_t h_{t-1}. Either one dispatch per segment, or S + 1: the first copies
//! the incoming state, and dispatch i computes step i - 1.

use super::{Kernels, Sizes, Weights, blocks, blocks_mut, by_member, form, kept, members, source, text, weights};
use crate::arena::{Slot, View};
use crate::cells::{Activation, Cell, Forward, Spec};
use crate::host::{self, Blocks, Mat, Order, Places, Relay, Teams};
use crate::kernel::{Binding, Call, Capabilities, CellText, Kernel, Var, Variant, Word, Work, args, linear_grid, no_constants, read, write};
use crate::kernels::{from_vec4, from_vec4_mut, slices};
use crate::recording::{Dispatch, Recording, Repeat};
use std::ops::Range;

const BINDINGS: [Binding; 6] = [write("gates"), read("w"), read("keep"), write("states"), write("h"), write("c")];

const fn columns(spec: &Spec) -> u32 {
    spec.gates
}

macro_rules! kernels {
    ($cell:expr, $name:literal) => {{
        const fn kernel(name: &'static str, source: &'static str, text: fn(&Spec) -> String) -> Kernel {
            Kernel {
                name,
                source,
                cell: Some(CellText { cell: $cell, text, columns }),
                tiled: true,
                bindings: BINDINGS.split_at(5 + $cell.spec().states as usize - 1).0,
                args: Args::LIST,
                constants: |args, variant| Args::of(args).sizes().constants(variant),
                grid: |args, variant| Args::of(args).sizes().grid(variant),
                cpu,
                work: |args| {
                    let sizes = Args::of(args).sizes();
                    sizes.work(sizes.steps, 1.0)
                },
            }
        }
        [
            kernel(concat!("scan_forward_", $name), source!("forward", "scan_forward"), text::forward),
            kernel(concat!("scan_forward_held_", $name), source!("forward", "scan_forward_held"), text::forward_held),
            Kernel {
                cpu: cpu_step,
                work: |args| Args::of(args).sizes().work(1, 2.0),
                ..kernel(concat!("step_forward_", $name), source!("forward", "step_forward"), text::forward_step)
            },
            Kernel {
                tiled: false,
                constants: no_constants,
                grid: |args, _| {
                    let Args { steps, lanes, hidden4, .. } = Args::of(args);
                    if steps == 0 { [0, 0, 0] } else { linear_grid((lanes * hidden4).div_ceil(64)) }
                },
                cpu: cpu_gates,
                work: |args| {
                    let sizes = Args::of(args).sizes();
                    Work { flops: 0.0, ..sizes.work(sizes.steps, 2.0) }
                },
                ..kernel(concat!("gates_", $name), source!("forward", "gates"), text::forward)
            },
        ]
    }};
}

/// The kernels.
pub static KERNELS: Kernels<4> = [kernels!(Cell::Rnn, "rnn"), kernels!(Cell::Gru, "gru"), kernels!(Cell::Lstm, "lstm")];

args! {
    index: u32,
    steps: u32,
    lanes: u32,
    hidden4: u32,
    cell: u32,
    phi: u32,
    gates_offset: u32,
    w_offset: u32,
    bias: u32,
    bias_offset: u32,
    keep_offset: u32,
    state_in: u32,
    state_out: u32,
    h_offset: u32,
    c_offset: u32,
}

impl Args {
    fn sizes(&self) -> Sizes {
        let (cell, Args { steps, lanes, hidden4, .. }) = (Cell::from_word(self.cell), *self);
        Sizes { cell, steps, lanes, hidden4, columns: cell.spec().gates }
    }
}

/// The operands of a forward scan over S steps of B lanes.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// The cell.
    pub cell: Cell,
    /// Rows of gates, `[S*B, blocks H]`: x_t W_xh in the first G blocks, replaced by the activations if the cell keeps them; else undefined afterwards.
    pub gates: View,
    /// W_hh `[H, G H]`.
    pub w: View,
    /// b_h `[1, blocks H]`, in the same slot as W_hh.
    pub bias: Option<View>,
    /// `[S*B, 1]`, 0 where a new sequence begins.
    pub keep: View,
    /// Slot of the states `[B, N H]`.
    pub states: Slot,
    /// Offset of the incoming state, in elements.
    pub state_in: Word,
    /// Offset of the outgoing state, in elements.
    pub state_out: Word,
    /// `[(S+1)*B, H]`: block 0 receives the incoming state.
    pub h: View,
    /// As h, for a cell with c.
    pub c: Option<View>,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: Activation,
}

/// Records the scan in the form that suits the device.
pub fn record(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: Operands) {
    let spec = o.cell.spec();
    record_as(recording, label, capabilities.scan_variant(o.h.ld, o.lanes, spec.gates, 1), o);
}

/// Records the scan in a given form.
pub fn record_as(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    let (spec, ld) = (o.cell.spec(), o.h.ld);
    assert!(o.w.ld == spec.gates * ld && o.gates.ld == spec.blocks() * ld && o.gates.rows == o.keep.rows, "{label}: shapes");
    assert!(o.c.is_some() == (spec.states == 2) && o.c.is_none_or(|c| c.ld == ld), "{label}: c");
    assert!(o.bias.is_none_or(|b| b.slot == o.w.slot && b.ld == o.gates.ld), "{label}: bias");
    let [whole, held, step, _] = &KERNELS[o.cell as usize];
    push(recording, label, variant, form(variant, [whole, held, step]), o);
}

/// Records the computation of the activations of all steps, and c, from rows of gates that hold x_t W_xh and hp_t W_hh, h, and c at the start; see
/// [`crate::model::record::GateStorage`].
pub fn record_gates(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    push(recording, label, variant, (&KERNELS[o.cell as usize][3], Repeat::Once), o);
}

fn push(recording: &mut Recording, label: &str, variant: Variant, (kernel, repeat): (&'static Kernel, Repeat), o: Operands) {
    let ld = o.h.ld;
    recording.push(Dispatch {
        kernel,
        label: label.to_string(),
        bindings: [o.gates.slot, o.w.slot, o.keep.slot, o.states, o.h.slot].into_iter().chain(o.c.map(|c| c.slot)).collect(),
        args: Words {
            index: Word::var(Var::Index),
            steps: Word::var(Var::Steps),
            lanes: o.lanes.into(),
            hidden4: Word::from(ld).quarter(),
            cell: (o.cell as u32).into(),
            phi: (o.activation as u32).into(),
            gates_offset: o.gates.offset.quarter(),
            w_offset: o.w.offset.quarter(),
            bias: u32::from(o.bias.is_some()).into(),
            bias_offset: o.bias.map_or(0.into(), |b| b.offset.quarter()),
            keep_offset: o.keep.offset,
            state_in: o.state_in.quarter(),
            state_out: o.state_out.quarter(),
            h_offset: o.h.offset.quarter(),
            c_offset: o.c.map_or(0.into(), |c| c.offset.quarter()),
        }
        .into(),
        variant,
        repeat,
    });
}

/// What a call writes: rows of gates, h and c of its segment, and the states.
struct Written<'a> {
    gates: &'a mut [f32],
    h: &'a mut [f32],
    c: &'a mut [f32],
    states: &'a mut [f32],
}

/// Splits the bindings of a call.
fn bound<'a>(call: &'a mut Call<'_, '_>, args: &Args) -> (Scan<'a>, Written<'a>) {
    let spec = Cell::from_word(args.cell).spec();
    let ([w, keep], [gates, states, h], c): (_, [&mut [f32]; 3], _) = if spec.states == 2 {
        let (reads, [gates, states, h, c]) = slices(call.bound);
        (reads, [gates, states, h], c)
    } else {
        let (reads, writes) = slices(call.bound);
        (reads, writes, Default::default())
    };
    let scan = Scan::of(args, [w, keep]);
    let (steps, block) = (args.steps as usize, scan.block());
    let c = if c.is_empty() { c } else { &mut from_vec4_mut(c, args.c_offset)[..(steps + 1) * block] };
    let gates = &mut from_vec4_mut(gates, args.gates_offset)[..steps * scan.lanes * scan.row()];
    (scan, Written { gates, h: &mut from_vec4_mut(h, args.h_offset)[..(steps + 1) * block], c, states })
}

impl Written<'_> {
    /// Copies the incoming state to block 0 of h and c.
    fn take_state(&mut self, offset: u32, n: usize, block: usize) {
        let parts: Vec<&mut [f32]> = [&mut *self.h, &mut *self.c].into_iter().filter(|x| !x.is_empty()).collect();
        let states = &from_vec4(self.states, offset)[..parts.len() * block];
        let count = parts.len();
        for (i, part) in parts.into_iter().enumerate() {
            part[..block].chunks_exact_mut(n).zip(states.chunks_exact(n).skip(i).step_by(count)).for_each(|(to, from)| to.copy_from_slice(from));
        }
    }

    /// Copies block `t` of h and c to the outgoing state.
    fn give_state(&mut self, offset: u32, n: usize, block: usize, t: usize) {
        let parts: Vec<&[f32]> = [&*self.h, &*self.c].into_iter().filter(|x| !x.is_empty()).collect();
        let states = &mut from_vec4_mut(self.states, offset)[..parts.len() * block];
        let count = parts.len();
        for (i, part) in parts.into_iter().enumerate() {
            states.chunks_exact_mut(n).skip(i).step_by(count).zip(part[t * block..].chunks_exact(n)).for_each(|(to, from)| to.copy_from_slice(from));
        }
    }
}

fn cpu(call: &mut Call<'_, '_>) {
    let (args, threads) = (Args::of(call.args), call.threads);
    let (scan, mut to) = bound(call, &args);
    let (steps, n, block) = (args.steps as usize, scan.n, scan.block());
    to.take_state(args.state_in, n, block);
    scan.run(&mut to, 0..steps, &scan.teams(threads));
    to.give_state(args.state_out, n, block, steps);
}

fn cpu_step(call: &mut Call<'_, '_>) {
    let (args, threads) = (Args::of(call.args), call.threads);
    let (scan, mut to) = bound(call, &args);
    let (n, block) = (scan.n, scan.block());
    if args.index == 0 {
        return to.take_state(args.state_in, n, block);
    }
    let t = args.index as usize - 1;
    scan.run(&mut to, t..t + 1, &scan.teams(threads));
    if args.index == args.steps {
        to.give_state(args.state_out, n, block, t + 1);
    }
}

fn cpu_gates(call: &mut Call<'_, '_>) {
    let (args, threads) = (Args::of(call.args), call.threads);
    let (scan, to) = bound(call, &args);
    let (n, block, steps, ranges) = (scan.n, scan.block(), args.steps as usize, host::split(scan.lanes, threads));
    let gates = host::cut_blocks(to.gates, scan.lanes * scan.row(), scan.row(), &ranges);
    let (h, c) = (&*to.h, host::cut_blocks(to.c, block, n, &ranges));
    host::parallel(ranges.iter().zip(gates).zip(c).map(|((range, mut gates), mut c)| {
        let scan = &scan;
        move || {
            let mut unused = vec![0f32; n];
            for t in 0..steps {
                for (i, gates) in gates[t].chunks_exact_mut(scan.row()).enumerate() {
                    let (row, own) = (t * scan.lanes + range.start + i, i * n..(i + 1) * n);
                    let hp = kept(scan.keep[row], &h[row * n..][..n], &scan.zeros);
                    let there = (t + 1).min(c.len());
                    let (before, now) = c.split_at_mut(there);
                    let cp = before.last().map_or(&[][..], |c| kept(scan.keep[row], &c[own.clone()], &scan.zeros));
                    let c = now.first_mut().map_or(&mut [][..], |c| &mut c[own]);
                    scan.turn(gates.chunks_exact_mut(n), 0..n, [hp, cp], [&mut unused, c]);
                }
            }
        }
    }));
}

/// What all steps of a scan share.
struct Scan<'a> {
    spec: &'static Spec,
    lanes: usize,
    n: usize,
    activation: Activation,
    w: &'a [f32],
    /// `[blocks H]`.
    bias: std::borrow::Cow<'a, [f32]>,
    keep: &'a [f32],
    zeros: Vec<f32>,
}

/// What a thread computes: its units of its lanes.
struct Member<'a> {
    lanes: Range<usize>,
    units: Range<usize>,
    /// By block, then by step.
    gates: Vec<Blocks<'a>>,
    h: Relay<'a>,
    c: Option<Blocks<'a>>,
    w: &'a Weights<'a>,
}

impl<'a> Scan<'a> {
    fn of(args: &Args, [w, keep]: [&'a [f32]; 2]) -> Self {
        let (steps, lanes, n) = (args.steps as usize, args.lanes as usize, args.hidden4 as usize * 4);
        let spec = Cell::from_word(args.cell).spec();
        let blocks = spec.blocks() as usize;
        Scan {
            spec,
            lanes,
            n,
            activation: Activation::from_word(args.phi),
            w: &from_vec4(w, args.w_offset)[..n * n * spec.gates as usize],
            bias: if args.bias != 0 { from_vec4(w, args.bias_offset)[..n * blocks].into() } else { vec![0.0; n * blocks].into() },
            keep: &keep[args.keep_offset as usize..][..steps * lanes],
            zeros: vec![0.0; n],
        }
    }

    /// Values per h of a step.
    fn block(&self) -> usize {
        self.lanes * self.n
    }

    /// Values in a row of gates.
    fn row(&self) -> usize {
        self.spec.blocks() as usize * self.n
    }

    fn teams(&self, threads: usize) -> Teams {
        host::split_scan(self.lanes, self.n, self.spec.gates as usize, threads)
    }

    /// Makes some steps. Threads that share lanes wait for each other after every step.
    fn run(&self, to: &mut Written<'_>, steps: Range<usize>, teams: &Teams) {
        let (n, row, block, count) = (self.n, self.row(), self.block(), self.spec.gates as usize);
        let w = weights(self.w, [n, count, n], teams, steps.len());
        let at = |count: usize, ld: usize| Places { count, stride: self.lanes * ld, ld };
        let gates = by_member(&mut to.gates[steps.start * self.lanes * row..], at(steps.len(), row), n, teams);
        let states = steps.start * block..(steps.end + 1) * block;
        let h = &mut to.h[states.clone()];
        let h = Relay::teams(h, at(steps.len() + 1, n), Order::Forward, 1, [&teams.lanes, &teams.columns], teams.may_spin);
        let c = to.c.get_mut(states).map_or(Vec::new(), |c| Blocks::split(c, at(steps.len() + 1, n), &teams.lanes, &teams.columns));
        let mut c = c.into_iter();
        host::together(members(teams).zip(gates).zip(h).map(|(((lanes, i, units), gates), h)| {
            let member = Member { lanes, units, gates, h, c: c.next(), w: &w[i] };
            move || self.walk(member, steps.start)
        }));
    }

    /// The steps of one thread.
    fn walk(&self, mut own: Member<'_>, first: usize) {
        let (n, count, before) = (self.n, self.spec.gates as usize, self.spec.before_hidden() as usize);
        let mut hp = vec![0f32; own.lanes.len() * n];
        for t in 0..own.gates[0].count() {
            let (last, next) = own.h.split();
            let Some(mut h) = next else { return };
            let from = self.kept(first + t, own.lanes.clone(), last, &mut hp);
            let mut gates: Vec<_> = own.gates.iter_mut().map(|gates| gates.block(t)).collect();
            let mut c = own.c.as_mut().map(|c| c.pair(t));
            for (i, (block, units)) in own.w.columns.iter().enumerate() {
                let block = before + block;
                own.w.panels.product(i, gates[block].part(0..own.lanes.len(), units.clone()), Mat::new(from, n), block < count);
            }
            for (i, from) in from.chunks_exact(n).enumerate() {
                let keep = self.keep[(first + t) * self.lanes + own.lanes.start + i];
                let (cp, c) = c.as_mut().map_or(Default::default(), |[cp, c]| (kept(keep, cp.row(i), &self.zeros), c.row(i)));
                self.turn(gates.iter_mut().map(|g| g.row(i)), own.units.clone(), [&from[own.units.clone()], cp], [h.row(i), c]);
            }
            own.h.advance();
        }
    }

    /// The cell's step for units `cols` of a lane.
    fn turn<'b>(&self, gates: impl Iterator<Item = &'b mut [f32]>, cols: Range<usize>, [hp, cp]: [&[f32]; 2], [h, c]: [&mut [f32]; 2]) {
        let bias = blocks(self.bias.chunks_exact(self.n).map(|b| &b[cols.clone()]));
        (self.spec.forward)(Forward { activation: self.activation, gates: blocks_mut(gates), bias, hp, cp, h, c });
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
    fn any_split_over_threads_makes_the_same_bits() {
        for (cell, lanes, n) in Cell::ALL.into_iter().flat_map(|cell| [(1, 20), (3, 132), (8, 600)].map(|(lanes, n)| (cell, lanes, n))) {
            let spec = cell.spec();
            let (steps, block, gates) = (5, lanes * n, spec.blocks() as usize);
            let (w, bias, keep) = (numbers(n * n * spec.gates as usize, 7_000), numbers(gates * n, 90_000), edges(steps * lanes, 0.0));
            let scan = Scan { spec, lanes, n, activation: Activation::Tanh, w: &w, bias: bias.into(), keep: &keep, zeros: vec![0.0; n] };
            let run = |walk: &dyn Fn(&mut Written<'_>)| {
                let (mut pre, mut h) = (numbers(steps * block * gates, 1), numbers((steps + 1) * block, 500));
                let mut c = if spec.states == 2 { numbers((steps + 1) * block, 300) } else { Vec::new() };
                walk(&mut Written { gates: &mut pre, h: &mut h, c: &mut c, states: &mut [] });
                [pre, h, c].concat()
            };
            same_bits([lanes, n], &|teams| run(&|to| scan.run(to, 0..steps, teams)));
        }
    }
}
