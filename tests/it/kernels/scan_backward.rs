//! The cell's step back from g_t = d_h_t + carry_t, and carry_{t-1} = keep_t xi_t (delta_t W_hh^T + the step's direct part), over the steps of a segment,
//! last first; in one dispatch and in one per step.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use super::scan::{Back, HELD_SIZES, SIZES, STEP_SIZES, Scan, back, cases, resets, want, whole};
use retrograd::arena::View;
use retrograd::cpu;
use retrograd::kernel::{Capabilities, Values, Var, Word};
use retrograd::kernels::scan::backward::{Operands, Probe, record, record_as};
use retrograd::model::{Activation, Cell};
use retrograd::recording::Recording;

fn in_one_dispatch(cell: Cell) {
    cases(cell, &SIZES, &|s| backward(s, Forms::Scan(s.sizes(1, s.gates())), &|r, caps, operands| record(r, "delta", caps, operands)));
}

fn with_held_weights(cell: Cell) {
    cases(cell, &HELD_SIZES, &|s| backward(s, Forms::Held(s.sizes(1, s.gates())), &|r, caps, operands| record(r, "delta", caps, operands)));
}

fn step_by_step(cell: Cell) {
    cases(cell, &STEP_SIZES, &|s| backward(s, Forms::Step(s.sizes(1, s.gates())), &|r, caps, operands| record_as(r, "delta", caps.matmul, operands)));
}

#[test]
pub(super) fn scan_backward_rnn() {
    in_one_dispatch(Cell::Rnn);
}

#[test]
pub(super) fn scan_backward_gru() {
    in_one_dispatch(Cell::Gru);
}

#[test]
pub(super) fn scan_backward_lstm() {
    in_one_dispatch(Cell::Lstm);
}

#[test]
pub(super) fn scan_backward_held_rnn() {
    with_held_weights(Cell::Rnn);
}

#[test]
pub(super) fn scan_backward_held_gru() {
    with_held_weights(Cell::Gru);
}

#[test]
pub(super) fn scan_backward_held_lstm() {
    with_held_weights(Cell::Lstm);
}

#[test]
pub(super) fn step_backward_rnn() {
    step_by_step(Cell::Rnn);
}

#[test]
pub(super) fn step_backward_gru() {
    step_by_step(Cell::Gru);
}

#[test]
pub(super) fn step_backward_lstm() {
    step_by_step(Cell::Lstm);
}

/// Inputs of a scan.
struct Inputs {
    /// c, or h for a cell without c: blocks 0 to S.
    past: Matrix,
    /// W_hh of each gate, transposed, one below the other.
    w_t: Vec<Matrix>,
    keep: Matrix,
    xi: Matrix,
    /// For a cell that keeps no gates the same as `delta`.
    d_h: Matrix,
    /// The activations by block, replaced by the deltas.
    delta: Vec<Matrix>,
    carry: Vec<Matrix>,
    /// Where the gradients of the states go.
    g: Vec<Matrix>,
}

impl Inputs {
    fn new(case: &mut Case, s: Scan) -> Self {
        let (n, ld, states) = (s.lanes, s.ld(), s.states());
        let (rows, room) = (s.steps * n, (s.steps + 2) * n);
        let past = past(case, s);
        let slot = case.slot("w_t", 8 + s.gates() * ld * ld + 7);
        (0..s.gates() * ld * ld).for_each(|i| case.put(slot, 8 + i, 0.0));
        let mut w_t: Vec<Matrix> = (0..s.gates()).map(|g| case.matrix_at(slot, 8 + g * ld * ld, [s.hidden, s.hidden, ld])).collect();
        w_t.iter_mut().for_each(|w| case.scale(w, 1.7 / (s.hidden as f32).sqrt()));
        let slot = case.slot("edges", 2 * room + 13);
        let mut keep = case.blank_at(slot, 3, [room, 1, 1]);
        let mut xi = case.blank_at(slot, room + 6, [room, 1, 1]);
        for r in 0..room {
            case.set(&mut keep, r, 0, 1.0);
            case.set(&mut xi, r, 0, [1.0, 1.0 / 0.7, 1.0 / 0.7, 0.0][(r / n * 3 + r % n * 2) as usize % 4]);
        }
        let slot = case.slot("delta", 16 + room * s.blocks() * ld);
        let mut delta = s.parts(case, slot, 16, rows, [s.blocks(); 2]);
        activations(case, s, &mut delta);
        let d_h = if s.cell == Cell::Rnn { delta[0].clone() } else { case.matrix("d_h", rows, s.hidden) };
        let slot = case.slot("carry", 8 + (n + 1) * states * ld);
        let carry = s.parts(case, slot, 8, n, [states, if s.extra { states } else { 0 }]);
        let slot = case.slot("g", 4 + room * states * ld);
        let g = s.parts(case, slot, 4, rows, [states, 0]);
        Inputs { past, w_t, keep, xi, d_h, delta, carry, g }
    }

    fn operands(&self, s: Scan) -> Operands {
        let rows = Word::scaled(Var::Steps, s.lanes);
        Operands {
            cell: s.cell,
            past: self.past.view().with_rows(rows),
            w_t: View { rows: (s.gates() * s.ld()).into(), ..self.w_t[0].view() },
            keep: self.keep.view().with_rows(rows),
            xi: self.xi.view().with_rows(rows),
            d_h: self.d_h.view().with_rows(rows),
            delta: whole(&self.delta, rows),
            carry: whole(&self.carry, s.lanes.into()),
            carry_in: Word::var(Var::CarryIn),
            probe: Probe { g: whole(&self.g, rows), on: s.probe },
            lanes: s.lanes,
            activation: s.activation,
        }
    }
}

/// c, or h. The plain RNN does not use block 0: it is NaN.
fn past(case: &mut Case, s: Scan) -> Matrix {
    let slot = case.slot("past", 12 + (s.steps + 3) * s.lanes * s.ld());
    let mut past = case.matrix_at(slot, 12, [(s.steps + 1) * s.lanes, s.hidden, s.ld()]);
    for (r, c) in (0..past.rows).flat_map(|r| (0..s.hidden).map(move |c| (r, c))) {
        let x = past.at(r, c) as f32;
        let x = if s.activation == Activation::Relu { x.max(0.0) } else { x };
        case.set(&mut past, r, c, if s.cell == Cell::Rnn && r < s.lanes { f32::NAN } else { x });
    }
    past
}

/// Makes values of logistic functions positive, in the padding 1/2.
fn activations(case: &mut Case, s: Scan, gates: &mut [Matrix]) {
    let positive: &[usize] = match s.cell {
        Cell::Rnn => &[],
        Cell::Gru => &[1, 2],
        Cell::Lstm => &[0, 1, 3],
    };
    for (&b, r) in positive.iter().flat_map(|b| (0..s.steps * s.lanes).map(move |r| (b, r))) {
        for c in 0..s.hidden {
            let x = gates[b].at(r, c).abs() as f32;
            case.set(&mut gates[b], r, c, x);
        }
        (s.hidden..s.ld()).for_each(|c| case.put(gates[b].slot, gates[b].index(r, c), 0.5));
    }
}

fn backward(s: Scan, forms: Forms, record: &dyn Fn(&mut Recording, &Capabilities, Operands)) {
    let mut case = Case::new(u64::from(s.lanes * 100 + s.hidden + s.steps));
    let mut i = Inputs::new(&mut case, s);
    resets(&mut case, &mut i.keep, s);
    if s.broken {
        break_lanes(&mut case, s, &mut i);
    }
    let found = oracle(s, &i);
    let width = s.hidden;
    let expect = |case: &mut Case, matrices: &[Matrix], values: &[[f64; 4]]| {
        for (b, m) in matrices.iter().enumerate() {
            case.expect_each(m, |r, c| want(m, c, values[(r * width + c) as usize][b]));
        }
    };
    expect(&mut case, &i.delta, &found.deltas);
    expect(&mut case, &i.carry, &found.carry);
    if s.probe {
        expect(&mut case, &i.g, &found.g);
    }
    let values = Values::default().with(Var::Steps, s.steps).with(Var::CarryIn, s.extra.into());
    check(&format!("{s:?}"), &case, forms, &values, &|r, caps| record(r, caps, i.operands(s)));
}

/// The gradients of two lanes are NaN at steps 4 and 0, where a cut or a reset keeps them out of earlier steps. Lane 1 is NaN after step 3, where a
/// reset keeps that out of step 4, and a cut out of step 2.
fn break_lanes(case: &mut Case, s: Scan, i: &mut Inputs) {
    let lanes = s.lanes;
    for (t, b, keep, xi) in [(4, 0, 1.0, 0.0), (4, 2, 0.0, 1.0), (0, 1, 0.0, 1.0 / 0.7), (0, 2, 1.0, 0.0), (4, 1, 0.0, 1.0), (3, 1, 1.0, 0.0)] {
        let row = t * lanes + b;
        if !(b == 1 && t > 0) {
            let x = if s.cell == Cell::Rnn { &mut i.delta[0] } else { &mut i.d_h };
            case.set(x, row, 5, f32::NAN);
        }
        case.set(&mut i.keep, row, 0, keep);
        case.set(&mut i.xi, row, 0, xi);
    }
    for c in 0..s.hidden {
        case.set(&mut i.past, 4 * lanes + 1, c, if s.cell == Cell::Lstm && c % 2 == 1 { f32::INFINITY } else { f32::NAN });
    }
    if s.cell == Cell::Rnn {
        i.d_h = i.delta[0].clone();
    }
}

/// By row and unit: the deltas by block; h and c of the outgoing carry and of the gradients of the states.
struct Found {
    deltas: Vec<[f64; 4]>,
    carry: Vec<[f64; 4]>,
    g: Vec<[f64; 4]>,
}

fn oracle(s: Scan, i: &Inputs) -> Found {
    let (n, hidden) = (s.lanes, s.hidden);
    let rows = (s.steps * n * hidden) as usize;
    let part = |p: usize, b: u32, c: u32| i.carry.get(p).filter(|_| s.extra).map_or(0.0, |m| m.at(b, c));
    let incoming = |b: u32, c: u32| [part(0, b, c), part(1, b, c), 0.0, 0.0];
    let carry = (0..n * hidden).map(|k| incoming(k / hidden, k % hidden)).collect();
    let mut found = Found { deltas: vec![[0.0; 4]; rows], carry, g: vec![[0.0; 4]; rows] };
    for (t, b) in (0..s.steps).rev().flat_map(|t| (0..n).map(move |b| (t, b))) {
        let row = t * n + b;
        let kept = i.keep.at(row, 0) != 0.0;
        let backs: Vec<Back> = (0..hidden)
            .map(|c| {
                let [flow_h, flow_c, ..] = found.carry[(b * hidden + c) as usize];
                let g = [i.d_h.at(row, c) + flow_h, flow_c];
                found.g[(row * hidden + c) as usize] = [g[0], g[1], 0.0, 0.0];
                let gates = std::array::from_fn(|k| i.delta.get(k).map_or(0.0, |m| m.at(row, c)));
                back(s, gates, [i.past.at(row + n, c), if kept { i.past.at(row, c) } else { 0.0 }], g)
            })
            .collect();
        let weight = i.keep.at(row, 0) * i.xi.at(row, 0);
        for c in 0..hidden {
            let of_gate = |(g, w): (usize, &Matrix)| (0..hidden).map(|j| backs[j as usize].deltas[s.first() as usize + g] * w.at(j, c)).sum::<f64>();
            let flow = i.w_t.iter().enumerate().map(of_gate).sum::<f64>() + backs[c as usize].h;
            found.carry[(b * hidden + c) as usize] = if weight == 0.0 { [0.0; 4] } else { [weight * flow, weight * backs[c as usize].c, 0.0, 0.0] };
            found.deltas[(row * hidden + c) as usize] = backs[c as usize].deltas;
        }
    }
    found
}

/// One dispatch per step, and one for the carry, if no workgroup memory can hold the rows.
#[test]
fn a_backward_scan_falls_back_to_steps() {
    for cell in Cell::ALL {
        let s = Scan { cell, lanes: 3, hidden: 37, steps: 7, activation: Activation::Tanh, extra: true, probe: false, broken: false };
        let i = Inputs::new(&mut Case::new(1), s);
        let kernel = |workgroup_bytes| {
            let mut recording = Recording::new("scan");
            record(&mut recording, "delta", &Capabilities { workgroup_bytes, ..cpu::capabilities() }, i.operands(s));
            (recording.dispatches[0].kernel.name, recording.dispatch_count(7))
        };
        let [whole, step] = ["scan_backward", "step_backward"].map(|name| format!("{name}_{cell}"));
        assert_eq!([kernel(160), kernel(159)], [(whole.as_str(), 1), (step.as_str(), 8)]);
    }
}
