//! The backward scan, last step first: the cell's step back from g_t = d_h_t + carry_t, and carry_{t-1} = keep_t xi_t (delta_t W_hh^T + the step's direct
//! part). Either one dispatch per segment, or S + 1: dispatch i handles t = S - 1 - i, and the last one computes the outgoing carry.

use super::{Kernels, Sizes, Weights, blocks_mut, by_member, form, kept, members, source, text, weights};
use crate::arena::View;
use crate::cells::{Activation, BLOCKS, Backward, Cell, Spec};
use crate::host::{self, Blocks, Mat, Order, Places, Relay, Teams, Window};
use crate::kernel::{Binding, Call, Capabilities, CellText, Kernel, Var, Variant, Word, args, read, write};
use crate::kernels::{from_vec4, from_vec4_mut, slices};
use crate::recording::{Dispatch, Recording};
use std::ops::Range;

const BINDINGS: [Binding; 7] = [read("past"), read("w"), read("edges"), write("delta"), write("carry"), write("g"), read("d_h")];

const fn columns(_: &Spec) -> u32 {
    1
}

macro_rules! kernels {
    ($cell:expr, $name:literal) => {{
        const fn kernel(name: &'static str, source: &'static str, text: fn(&Spec) -> String) -> Kernel {
            Kernel {
                name,
                source,
                cell: Some(CellText { cell: $cell, text, columns }),
                tiled: true,
                bindings: BINDINGS.split_at(6 + $cell.spec().keeps_gates as usize).0,
                args: Args::LIST,
                constants: |args, variant| Args::of(args).sizes().constants(variant),
                grid: |args, variant| Args::of(args).sizes().grid(variant),
                cpu,
                work: |args| {
                    let sizes = Args::of(args).sizes();
                    sizes.work(sizes.steps, 2.0)
                },
            }
        }
        [
            kernel(concat!("scan_backward_", $name), source!("backward", "scan_backward"), text::backward),
            kernel(concat!("scan_backward_held_", $name), source!("backward", "scan_backward_held"), text::backward_held),
            Kernel {
                cpu: cpu_step,
                work: |args| Args::of(args).sizes().work(1, 2.0),
                ..kernel(concat!("step_backward_", $name), source!("backward", "step_backward"), text::backward)
            },
        ]
    }};
}

/// The kernels.
pub static KERNELS: Kernels<3> = [kernels!(Cell::Rnn, "rnn"), kernels!(Cell::Gru, "gru"), kernels!(Cell::Lstm, "lstm")];

args! {
    index: u32,
    steps: u32,
    lanes: u32,
    hidden4: u32,
    cell: u32,
    phi: u32,
    past_offset: u32,
    w_offset: u32,
    keep_offset: u32,
    xi_offset: u32,
    d_h_offset: u32,
    delta_offset: u32,
    carry_offset: u32,
    carry_in: u32,
    probe: u32,
    g_offset: u32,
}

impl Args {
    fn sizes(&self) -> Sizes {
        let (cell, Args { steps, lanes, hidden4, .. }) = (Cell::from_word(self.cell), *self);
        Sizes { cell, steps, lanes, hidden4, columns: 1 }
    }
}

/// Where the gradients of the states go.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// `[S*B, N H]`: dL/dh_t, and dL/dc_t without the part through h_t; written if `on`.
    pub g: View,
    /// Whether they are written.
    pub on: bool,
}

/// The operands of a backward scan over S steps of B lanes.
#[derive(Debug, Clone, Copy)]
pub struct Operands {
    /// The cell.
    pub cell: Cell,
    /// `[(S+1)*B, H]`: c, or h for a cell without c.
    pub past: View,
    /// W_hh^T `[G H, H]`.
    pub w_t: View,
    /// `[S*B, 1]`.
    pub keep: View,
    /// `[S*B, 1]`, in the same slot as keep.
    pub xi: View,
    /// `[S*B, H]`; for a cell that keeps no gates, the same view as `delta`.
    pub d_h: View,
    /// `[S*B, blocks H]`: the activations before, delta after.
    pub delta: View,
    /// `[B, N H]`: the incoming carry, replaced by the outgoing one.
    pub carry: View,
    /// 1 if a carry flows in.
    pub carry_in: Word,
    /// Where gradients of states go.
    pub probe: Probe,
    /// B.
    pub lanes: u32,
    /// phi.
    pub activation: Activation,
}

/// Records the scan in the form that suits the device.
pub fn record(recording: &mut Recording, label: &str, capabilities: &Capabilities, o: Operands) {
    record_as(recording, label, capabilities.scan_variant(o.w_t.ld, o.lanes, 1, o.cell.spec().gates), o);
}

/// Records the scan in a given form.
pub fn record_as(recording: &mut Recording, label: &str, variant: Variant, o: Operands) {
    let (spec, ld) = (o.cell.spec(), o.w_t.ld);
    assert!(o.past.ld == ld && o.delta.ld == spec.blocks() * ld && o.carry.ld == spec.states * ld && o.keep.slot == o.xi.slot, "{label}: shapes");
    assert!(o.delta.rows == o.keep.rows && o.delta.rows == o.xi.rows && o.carry.rows == Word::from(o.lanes), "{label}: shapes");
    assert!(o.d_h.ld == ld && o.d_h.rows == o.delta.rows && (spec.keeps_gates || o.d_h == o.delta), "{label}: d_h");
    let (kernel, repeat) = form(variant, KERNELS[o.cell as usize].each_ref());
    let d_h = spec.keeps_gates.then_some(o.d_h.slot);
    recording.push(Dispatch {
        kernel,
        label: label.to_string(),
        bindings: [o.past.slot, o.w_t.slot, o.keep.slot, o.delta.slot, o.carry.slot, o.probe.g.slot].into_iter().chain(d_h).collect(),
        args: Words {
            index: Word::var(Var::Index),
            steps: Word::var(Var::Steps),
            lanes: o.lanes.into(),
            hidden4: Word::from(ld).quarter(),
            cell: (o.cell as u32).into(),
            phi: (o.activation as u32).into(),
            past_offset: o.past.offset.quarter(),
            w_offset: o.w_t.offset.quarter(),
            keep_offset: o.keep.offset,
            xi_offset: o.xi.offset,
            d_h_offset: o.d_h.offset.quarter(),
            delta_offset: o.delta.offset.quarter(),
            carry_offset: o.carry.offset.quarter(),
            carry_in: o.carry_in,
            probe: u32::from(o.probe.on).into(),
            g_offset: o.probe.g.offset.quarter(),
        }
        .into(),
        variant,
        repeat,
    });
}

/// What a call writes.
struct Written<'a> {
    delta: &'a mut [f32],
    carry: &'a mut [f32],
    /// Empty if gradients of states are not written.
    g: &'a mut [f32],
}

/// Splits the bindings of a call.
fn bound<'a>(call: &'a mut Call<'_, '_>, args: &Args) -> (Scan<'a>, Written<'a>) {
    let spec = Cell::from_word(args.cell).spec();
    let ([past, w, edges], d_h, [delta, carry, g]): ([&[f32]; 3], &[f32], _) = if spec.keeps_gates {
        let ([past, w, edges, d_h], writes) = slices(call.bound);
        ([past, w, edges], d_h, writes)
    } else {
        let (reads, writes) = slices(call.bound);
        (reads, Default::default(), writes)
    };
    let scan = Scan::of(args, [past, w, edges, d_h]);
    let rows = args.steps as usize * scan.lanes;
    let g = if args.probe == 0 { &mut [][..] } else { &mut from_vec4_mut(g, args.g_offset)[..rows * scan.state()] };
    let delta = &mut from_vec4_mut(delta, args.delta_offset)[..rows * scan.row()];
    let carry = &mut from_vec4_mut(carry, args.carry_offset)[..scan.lanes * scan.state()];
    (scan, Written { delta, carry, g })
}

fn cpu(call: &mut Call<'_, '_>) {
    let (args, threads) = (Args::of(call.args), call.threads);
    let (scan, to) = bound(call, &args);
    if args.carry_in == 0 {
        to.carry.fill(0.0);
    }
    scan.run(to, &scan.teams(threads));
}

fn cpu_step(call: &mut Call<'_, '_>) {
    let (args, threads) = (Args::of(call.args), call.threads);
    let (scan, to) = bound(call, &args);
    let (steps, i) = (args.steps as usize, args.index as usize);
    if i == 0 && args.carry_in == 0 {
        to.carry.fill(0.0);
    }
    // The first dispatch has no step t + 1, the last no step t.
    let after = steps - i;
    let part = Part { first: after.saturating_sub(1), end: steps.min(after + 1), done: usize::from(i > 0), make: 1 };
    scan.some(to, part, &scan.teams(threads));
}

/// Some steps of a scan back.
#[derive(Clone, Copy)]
struct Part {
    /// The first step, of which the last is made first.
    first: usize,
    /// The step after the last.
    end: usize,
    /// Steps that are made already: their part of the carry is not yet added.
    done: usize,
    /// Steps to make, at most. When none are left, the outgoing carry is completed.
    make: usize,
}

/// What a thread computes: its units of its lanes.
struct Member<'a> {
    lanes: Range<usize>,
    units: Range<usize>,
    /// Rows of a step's matrix are blocks of gates.
    delta: Relay<'a>,
    /// By state.
    carry: Vec<Blocks<'a>>,
    /// By state, then by step.
    g: Vec<Blocks<'a>>,
    w_t: &'a Weights<'a>,
}

/// What all steps of a scan share.
struct Scan<'a> {
    spec: &'static Spec,
    lanes: usize,
    n: usize,
    activation: Activation,
    past: &'a [f32],
    w_t: &'a [f32],
    keep: &'a [f32],
    xi: &'a [f32],
    /// Empty if d_h is where delta goes.
    d_h: &'a [f32],
    zeros: Vec<f32>,
}

impl<'a> Scan<'a> {
    fn of(args: &Args, [past, w, edges, d_h]: [&'a [f32]; 4]) -> Self {
        let (steps, lanes, n) = (args.steps as usize, args.lanes as usize, args.hidden4 as usize * 4);
        let (block, spec) = (lanes * n, Cell::from_word(args.cell).spec());
        Scan {
            spec,
            lanes,
            n,
            activation: Activation::from_word(args.phi),
            past: &from_vec4(past, args.past_offset)[..(steps + 1) * block],
            w_t: &from_vec4(w, args.w_offset)[..n * n * spec.gates as usize],
            keep: &edges[args.keep_offset as usize..][..steps * lanes],
            xi: &edges[args.xi_offset as usize..][..steps * lanes],
            d_h: if d_h.is_empty() { d_h } else { &from_vec4(d_h, args.d_h_offset)[..steps * block] },
            zeros: vec![0.0; n],
        }
    }

    /// Values in a row of gates.
    fn row(&self) -> usize {
        self.spec.blocks() as usize * self.n
    }

    /// Values in a lane's state.
    fn state(&self) -> usize {
        self.spec.states as usize * self.n
    }

    fn teams(&self, threads: usize) -> Teams {
        host::split_scan(self.lanes, self.n, self.spec.gates as usize, threads)
    }

    fn run(&self, to: Written<'_>, teams: &Teams) {
        let steps = to.delta.len() / (self.lanes * self.row());
        self.some(to, Part { first: 0, end: steps, done: 0, make: steps + 1 }, teams);
    }

    /// Makes some steps. Threads that share lanes wait for each other after every step.
    fn some(&self, to: Written<'_>, part: Part, teams: &Teams) {
        let (n, row, state, blocks) = (self.n, self.row(), self.state(), self.spec.blocks() as usize);
        let w_t = weights(self.w_t, [self.spec.gates as usize * n, 1, n], teams, part.make);
        let at = |count: usize, ld: usize| Places { count, stride: self.lanes * ld, ld };
        let steps = |width: usize| part.first * self.lanes * width..part.end * self.lanes * width;
        // Its rows are blocks of gates.
        let delta = Places { ld: n, ..at(part.end - part.first, row) };
        let rows: Vec<Range<usize>> = teams.lanes.iter().map(|r| r.start * blocks..r.end * blocks).collect();
        let delta = Relay::teams(&mut to.delta[steps(row)], delta, Order::Backward, part.done, [&rows, &teams.columns], teams.may_spin);
        let carry = by_member(to.carry, at(1, state), n, teams);
        let g = to.g.get_mut(steps(state)).map_or(Vec::new(), |g| by_member(g, at(part.end - part.first, state), n, teams));
        let mut g = g.into_iter();
        host::together(members(teams).zip(delta).zip(carry).map(|(((lanes, i, units), delta), carry)| {
            let member = Member { lanes, units, delta, carry, g: g.next().unwrap_or_default(), w_t: &w_t[i] };
            move || self.walk(member, part)
        }));
    }

    /// The steps of one thread.
    fn walk(&self, mut own: Member<'_>, part: Part) {
        let blocks = self.spec.blocks() as usize;
        for made in part.done..=part.done + part.make {
            let mut carry: Vec<_> = own.carry.iter_mut().map(|carry| carry.block(0)).collect();
            let (last, next) = own.delta.split();
            if made > 0 {
                self.flow(part.end - made, &own.lanes, last, &mut carry, own.w_t);
            }
            let Some(mut delta) = next.filter(|_| made < part.done + part.make) else { return };
            let t = part.end - 1 - made;
            let mut g: Vec<_> = own.g.iter_mut().map(|g| g.block(t - part.first)).collect();
            for i in 0..own.lanes.len() {
                let mut state = carry.iter_mut().map(|carry| carry.row(i));
                let states = [(); 2].map(|()| state.next().unwrap_or_default());
                let gates = blocks_mut(delta.rows_of(i * blocks..(i + 1) * blocks));
                self.turn(t, own.lanes.start + i, own.units.clone(), gates, states, g.iter_mut().map(|g| g.row(i)));
            }
            own.delta.advance();
        }
    }

    /// The cell's step back for units `cols` of a lane.
    fn turn<'b>(
        &self,
        t: usize,
        lane: usize,
        cols: Range<usize>,
        gates: [&mut [f32]; BLOCKS],
        [g_h, g_c]: [&mut [f32]; 2],
        g: impl Iterator<Item = &'b mut [f32]>,
    ) {
        let (n, row) = (self.n, t * self.lanes + lane);
        let d_h = if self.d_h.is_empty() { &*gates[0] } else { &self.d_h[row * n..][cols.clone()] };
        host::vectorized(
            #[inline(always)]
            || g_h.iter_mut().zip(d_h).for_each(|(g, d)| *g += d),
        );
        g.zip([&*g_h, &*g_c]).for_each(|(to, from)| to.copy_from_slice(from));
        let now = &self.past[(row + self.lanes) * n..][cols.clone()];
        let before = kept(self.keep[row], &self.past[row * n..][cols], &self.zeros);
        (self.spec.backward)(Backward { activation: self.activation, gates, now, before, g_h, g_c });
    }

    /// Completes its units of carry_{t-1}, which hold the direct parts, from all of delta_t of the lanes.
    fn flow(&self, t: usize, lanes: &Range<usize>, delta: &[f32], carry: &mut [Window<'_>], w_t: &Weights<'_>) {
        // The columns of delta that W_hh^T multiplies.
        let delta = Mat::new(&delta[self.spec.before_hidden() as usize * self.n..], self.row());
        for (i, (_, units)) in w_t.columns.iter().enumerate() {
            w_t.panels.product(i, carry[0].part(0..lanes.len(), units.clone()), delta, self.spec.direct);
        }
        for carry in carry {
            (0..lanes.len()).for_each(|i| self.weigh(t * self.lanes + lanes.start + i, carry.row(i)));
        }
    }

    /// Multiplies by the weight of the edge from a row back.
    fn weigh(&self, at: usize, row: &mut [f32]) {
        match self.keep[at] * self.xi[at] {
            1.0 => {}
            0.0 => row.fill(0.0),
            weight => row.iter_mut().for_each(|c| *c *= weight),
        }
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
            let (past, w_t, d_h) = (numbers((steps + 1) * block, 1), numbers(n * n * spec.gates as usize, 7_000), numbers(steps * block, 40));
            let (keep, xi) = (edges(steps * lanes, 0.0), edges(steps * lanes, 1.5));
            let d_h = if spec.keeps_gates { &d_h[..] } else { &[] };
            let scan = Scan { spec, lanes, n, activation: Activation::Tanh, past: &past, w_t: &w_t, keep: &keep, xi: &xi, d_h, zeros: vec![0.0; n] };
            let run = |walk: &dyn Fn(Written<'_>)| {
                let (mut delta, mut carry) = (numbers(steps * block * gates, 500), numbers(lanes * scan.state(), 99));
                let mut g = vec![0.0; steps * lanes * scan.state()];
                walk(Written { delta: &mut delta, carry: &mut carry, g: &mut g });
                [delta, carry, g].concat()
            };
            same_bits([lanes, n], &|teams| run(&|to| scan.run(to, teams)));
        }
    }
}
