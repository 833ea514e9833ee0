//! The backward scan, last step first: the cell's step back from g_t = d_h_t + carry_t, and carry_{t-1} = keep_t xi_t (delta_t W_hh^T + the step's direct
//! part). Either one dispatch per segment, or S + 1: dispatch i handles t = S - 1 - i, and the last one computes the outgoing carry.

use super::{Kernels, Sizes, blocks_mut, form, kept, source, text};
use crate::arena::View;
use crate::cells::{Activation, Backward, Cell, Spec};
use crate::host::{self, Mat, Panels, Parts};
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
    let (scan, mut to) = bound(call, &args);
    let steps = args.steps as usize;
    if args.carry_in == 0 {
        to.carry.fill(0.0);
    }
    match host::part_scan(scan.lanes, scan.n, scan.spec.gates as usize, threads) {
        Parts::Lanes(ranges) => scan.over_lanes(&mut to, steps, &ranges, &scan.panels(steps, threads)),
        Parts::Columns(ranges) => scan.over_columns(&mut to, steps, &ranges),
    }
}

fn cpu_step(call: &mut Call<'_, '_>) {
    let (args, threads) = (Args::of(call.args), call.threads);
    let (scan, to) = bound(call, &args);
    let (steps, i) = (args.steps as usize, args.index as usize);
    if i == 0 && args.carry_in == 0 {
        to.carry.fill(0.0);
    }
    // `after` is t + 1. The first dispatch has no step t + 1, the last no step t.
    let (after, lanes, row, state) = (steps - i, scan.lanes, scan.row(), scan.state());
    let (before, behind) = to.delta.split_at_mut(after * lanes * row);
    let mut now = if i < steps { &mut before[(after - 1) * lanes * row..] } else { &mut [] };
    let mut g = if i < steps && !to.g.is_empty() { &mut to.g[(after - 1) * lanes * state..] } else { &mut [] };
    let (mut carry, behind, w_t) = (to.carry, &*behind, &scan.panels(1, threads));
    host::parallel(host::split(lanes, threads).into_iter().map(|range| {
        let now = host::take(&mut now, range.len() * row);
        let carry = host::take(&mut carry, range.len() * state);
        let g = host::take(&mut g, range.len() * state);
        let scan = &scan;
        move || {
            if i > 0 {
                scan.flow(after, range.clone(), &behind[range.start * row..range.end * row], carry, w_t);
            }
            if i < steps {
                scan.step(after - 1, range, now, carry, g);
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

    /// W_hh^T for many products.
    fn panels(&self, steps: usize, threads: usize) -> Panels<'_> {
        Panels::new(Mat::new(self.w_t, self.n), [self.spec.gates as usize * self.n, self.n], steps, threads)
    }

    /// Each thread runs through time on its own lanes.
    fn over_lanes(&self, to: &mut Written<'_>, steps: usize, ranges: &[Range<usize>], w_t: &Panels<'_>) {
        let deltas = host::cut_blocks(to.delta, self.lanes * self.row(), self.row(), ranges);
        let carries = host::cut_blocks(to.carry, self.lanes * self.state(), self.state(), ranges);
        let gs = host::cut_blocks(to.g, self.lanes * self.state(), self.state(), ranges);
        host::parallel(ranges.iter().zip(deltas).zip(carries).zip(gs).map(|(((range, mut delta), mut carry), mut g)| {
            move || {
                for t in (0..steps).rev() {
                    self.step(t, range.clone(), delta[t], carry[0], g.get_mut(t).map_or(&mut [][..], |g| &mut **g));
                    self.flow(t, range.clone(), delta[t], carry[0], w_t);
                }
            }
        }));
    }

    /// Step t back for the lanes in `range`: `delta` holds their rows of gates, `carry` what flows into the step, and then its direct parts.
    fn step(&self, t: usize, range: Range<usize>, delta: &mut [f32], carry: &mut [f32], g: &mut [f32]) {
        let (n, state) = (self.n, self.state());
        for (i, (gates, carry)) in delta.chunks_exact_mut(self.row()).zip(carry.chunks_exact_mut(state)).enumerate() {
            let (g_h, g_c) = carry.split_at_mut(n);
            let g = g.get_mut(i * state..(i + 1) * state).unwrap_or_default().chunks_exact_mut(n);
            self.turn(t, range.start + i, 0..n, gates.chunks_exact_mut(n), [g_h, g_c], g);
        }
    }

    /// The cell's step back for units `cols` of a lane.
    fn turn<'b>(
        &self,
        t: usize,
        lane: usize,
        cols: Range<usize>,
        gates: impl Iterator<Item = &'b mut [f32]>,
        [g_h, g_c]: [&mut [f32]; 2],
        g: impl Iterator<Item = &'b mut [f32]>,
    ) {
        let (n, row) = (self.n, t * self.lanes + lane);
        let gates = blocks_mut(gates);
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

    /// Each thread computes its own units of carry_t and then of the step. Threads wait for each other between steps; the last pass computes the outgoing carry.
    fn over_columns(&self, to: &mut Written<'_>, steps: usize, ranges: &[Range<usize>]) {
        let (n, rows, state) = (self.n, self.lanes * self.row(), self.lanes * self.state());
        // Per thread, its units of the carry: of h of all lanes, then of c.
        let parts = |r: &Range<usize>| {
            let part = |s: usize| to.carry.chunks_exact(self.state()).flat_map(move |lane| lane[s * n..][r.clone()].iter().copied());
            (0..self.spec.states as usize).flat_map(part).collect()
        };
        let mut rooms: Vec<Vec<f32>> = ranges.iter().map(parts).collect();
        let inner = self.spec.gates as usize * n;
        let part = |cols: &Range<usize>| Panels::new(Mat::new(&self.w_t[cols.start..], n), [inner, cols.len()], steps, ranges.len());
        let w_t: Vec<Panels<'_>> = ranges.iter().map(part).collect();
        for after in (0..=steps).rev() {
            let (before, behind) = to.delta.split_at_mut(after * rows);
            let now = if after > 0 { &mut before[(after - 1) * rows..] } else { &mut *to.carry };
            let g = if after > 0 && !to.g.is_empty() { &mut to.g[(after - 1) * state..after * state] } else { &mut [] };
            let (parts, gs, behind) = (host::cut_blocks(now, n, 1, ranges), host::cut_blocks(g, n, 1, ranges), &*behind);
            host::parallel(ranges.iter().zip(parts).zip(gs).zip(&mut rooms).zip(&w_t).map(|((((cols, parts), g), room), w_t)| {
                move || {
                    if after < steps {
                        self.column_flow(after, &behind[..rows], cols.len(), room, w_t);
                    }
                    self.columns(after, cols, parts, g, room);
                }
            }));
        }
    }

    /// Units `cols` of all lanes in step after - 1, or of the outgoing carry if there is none. `parts` are those of each lane's blocks of gates, or of
    /// its carry.
    fn columns(&self, after: usize, cols: &Range<usize>, parts: Vec<&mut [f32]>, g: Vec<&mut [f32]>, room: &mut [f32]) {
        let (width, states, blocks) = (cols.len(), self.spec.states as usize, self.spec.blocks() as usize);
        let (h, c) = room.split_at_mut(self.lanes * width);
        let mut c = c.chunks_exact_mut(width);
        let (mut parts, mut g) = (parts.into_iter(), g.into_iter());
        for (lane, g_h) in h.chunks_exact_mut(width).enumerate() {
            let g_c = c.next().unwrap_or_default();
            if after == 0 {
                parts.by_ref().take(states).zip([&*g_h, &*g_c]).for_each(|(to, from)| to.copy_from_slice(from));
            } else {
                self.turn(after - 1, lane, cols.clone(), parts.by_ref().take(blocks), [g_h, g_c], g.by_ref().take(states));
            }
        }
    }

    /// The columns of delta that W_hh^T multiplies.
    fn recurrent<'b>(&self, delta: &'b [f32]) -> Mat<'b> {
        Mat::new(&delta[self.spec.before_hidden() as usize * self.n..], self.row())
    }

    /// Completes carry_{t-1} of the lanes in `range`, which holds the direct parts, from all of their delta_t.
    fn flow(&self, t: usize, range: Range<usize>, delta: &[f32], carry: &mut [f32], w_t: &Panels<'_>) {
        let state = self.state();
        w_t.product(carry, state, range.len(), self.recurrent(delta), self.spec.direct);
        for (row, at) in carry.chunks_exact_mut(state).zip(t * self.lanes + range.start..) {
            self.weigh(at, row);
        }
    }

    /// The same for some units of all lanes.
    fn column_flow(&self, t: usize, delta: &[f32], width: usize, room: &mut [f32], w_t: &Panels<'_>) {
        w_t.product(room, width, self.lanes, self.recurrent(delta), self.spec.direct);
        for part in room.chunks_exact_mut(self.lanes * width) {
            part.chunks_exact_mut(width).zip(t * self.lanes..).for_each(|(row, at)| self.weigh(at, row));
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
    fn lanes_and_columns_make_the_same_bits() {
        for (cell, lanes, n) in Cell::ALL.into_iter().flat_map(|cell| [(1, 20), (3, 132), (8, 600)].map(|(lanes, n)| (cell, lanes, n))) {
            let spec = cell.spec();
            let (steps, block, gates) = (5, lanes * n, spec.blocks() as usize);
            let (past, w_t, d_h) = (numbers((steps + 1) * block, 1), numbers(n * n * spec.gates as usize, 7_000), numbers(steps * block, 40));
            let (keep, xi) = (edges(steps * lanes, 0.0), edges(steps * lanes, 1.5));
            let d_h = if spec.keeps_gates { &d_h[..] } else { &[] };
            let scan = Scan { spec, lanes, n, activation: Activation::Tanh, past: &past, w_t: &w_t, keep: &keep, xi: &xi, d_h, zeros: vec![0.0; n] };
            let run = |walk: &dyn Fn(&mut Written<'_>)| {
                let (mut delta, mut carry) = (numbers(steps * block * gates, 500), numbers(lanes * scan.state(), 99));
                let mut g = vec![0.0; steps * lanes * scan.state()];
                walk(&mut Written { delta: &mut delta, carry: &mut carry, g: &mut g });
                [delta, carry, g].concat()
            };
            same_bits([lanes, n], &|ranges| run(&|to| scan.over_lanes(to, steps, ranges, &scan.panels(steps, 2))), &|ranges| {
                run(&|to| scan.over_columns(to, steps, ranges))
            });
        }
    }
}
