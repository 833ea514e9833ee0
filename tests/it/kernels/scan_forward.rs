//! The cell's step from x_t W_xh + b and keep_t h_{t-1} W_hh over the steps of a segment, in one dispatch and in one per step; and the activations of
//! all steps again, from these products.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use super::scan::{HELD_SIZES, SIZES, STEP_SIZES, Scan, Step, Weights, cases, ones, padded, resets, step, want, whole};
use crate::compare::Want;
use retrograd::arena::View;
use retrograd::cpu;
use retrograd::kernel::{Capabilities, Loads, Tile, Values, Var, Variant, Word};
use retrograd::kernels::scan::forward::{Operands, record, record_as, record_gates};
use retrograd::model::{Activation, Cell};
use retrograd::recording::Recording;

fn in_one_dispatch(cell: Cell) {
    cases(cell, &SIZES, &|s| forward(s, Forms::Scan(s.sizes(s.gates(), 1)), &|r, caps, operands| record(r, "h", caps, operands)));
}

fn with_held_weights(cell: Cell) {
    cases(cell, &HELD_SIZES, &|s| forward(s, Forms::Held(s.sizes(s.gates(), 1)), &|r, caps, operands| record(r, "h", caps, operands)));
}

fn step_by_step(cell: Cell) {
    cases(cell, &STEP_SIZES, &|s| forward(s, Forms::Step(s.sizes(s.gates(), 1)), &|r, caps, operands| record_as(r, "h", caps.matmul, operands)));
}

#[test]
pub(super) fn scan_forward_rnn() {
    in_one_dispatch(Cell::Rnn);
}

#[test]
pub(super) fn scan_forward_gru() {
    in_one_dispatch(Cell::Gru);
}

#[test]
pub(super) fn scan_forward_lstm() {
    in_one_dispatch(Cell::Lstm);
}

#[test]
pub(super) fn scan_forward_held_rnn() {
    with_held_weights(Cell::Rnn);
}

#[test]
pub(super) fn scan_forward_held_gru() {
    with_held_weights(Cell::Gru);
}

#[test]
pub(super) fn scan_forward_held_lstm() {
    with_held_weights(Cell::Lstm);
}

#[test]
pub(super) fn step_forward_rnn() {
    step_by_step(Cell::Rnn);
}

#[test]
pub(super) fn step_forward_gru() {
    step_by_step(Cell::Gru);
}

#[test]
pub(super) fn step_forward_lstm() {
    step_by_step(Cell::Lstm);
}

/// Inputs of a scan.
struct Inputs {
    /// x_t W_xh by block, replaced by the activations.
    gates: Vec<Matrix>,
    weights: Weights,
    keep: Matrix,
    /// h, and c, that flow in and out.
    state: Vec<Matrix>,
    out: Vec<Matrix>,
    h: Matrix,
    c: Option<Matrix>,
}

impl Inputs {
    /// The first `given` blocks of the rows of gates are random; the others hold garbage.
    fn new(case: &mut Case, s: Scan, given: u32) -> Self {
        let (n, ld, blocks, states) = (s.lanes, s.ld(), s.blocks(), s.states());
        let room = (s.steps + 2) * n;
        let slot = case.slot("gates", 4 + room * blocks * ld);
        let gates = s.parts(case, slot, 4, s.steps * n, [blocks, given]);
        let weights = Weights::new(case, s);
        let keep = ones(case, "keep", room);
        let slot = case.slot("states", 16 + 3 * n * states * ld);
        let state = s.parts(case, slot, 8, n, [states; 2]);
        let out = s.parts(case, slot, 8 + 2 * n * states * ld, n, [states, 0]);
        let mut past = |name: &str| {
            let slot = case.slot(name, 12 + (room + n) * ld);
            case.blank_at(slot, 12, [(s.steps + 1) * n, s.hidden, ld])
        };
        Inputs { gates, weights, keep, state, out, h: past("h"), c: (states == 2).then(|| past("c")) }
    }

    fn operands(&self, s: Scan) -> Operands {
        let rows = Word::scaled(Var::Steps, s.lanes);
        let state = s.lanes * self.state[0].ld;
        Operands {
            cell: s.cell,
            gates: whole(&self.gates, rows),
            w: whole(&self.weights.w, s.hidden.into()),
            bias: self.weights.bias_view(),
            keep: self.keep.view().with_rows(rows),
            states: self.state[0].slot,
            state_in: Word::scaled(Var::From, state).plus(8),
            state_out: Word::scaled(Var::From, state).plus(8 + 2 * state),
            h: View { rows, ..self.h.view() },
            c: self.c.as_ref().map(|c| View { rows, ..c.view() }),
            lanes: s.lanes,
            activation: s.activation,
        }
    }
}

fn forward(s: Scan, forms: Forms, record: &dyn Fn(&mut Recording, &Capabilities, Operands)) {
    let mut case = Case::new(u64::from(s.lanes * 100 + s.hidden + s.steps));
    let mut i = Inputs::new(&mut case, s, s.gates());
    resets(&mut case, &mut i.keep, s);
    if s.broken {
        break_lanes(&mut case, &mut i);
    }
    expect(&mut case, s, &i);
    let values = Values::default().with(Var::Steps, s.steps);
    check(&format!("{s:?}"), &case, forms, &values, &|r, caps| record(r, caps, i.operands(s)));
}

/// Lane 0 starts from a state that is NaN or infinite but is reset. Lane 1 gets a NaN at step 2, is NaN at step 3, and is reset at step 4.
fn break_lanes(case: &mut Case, i: &mut Inputs) {
    let lanes = i.state[0].rows;
    for (part, x) in i.state.iter_mut().zip([f32::NAN, f32::INFINITY]) {
        (0..part.cols).for_each(|c| case.set(part, 0, c, x));
    }
    case.set(&mut i.keep, 0, 0, 0.0);
    case.set(&mut i.gates[0], 2 * lanes + 1, 5, f32::NAN);
    for (t, keep) in (1..6).zip([1.0, 0.0, 1.0, 0.0, 1.0]) {
        case.set(&mut i.keep, t * lanes + 1, 0, keep);
    }
}

/// Expects h, c, the outgoing state, and the activations of a cell that keeps them.
fn expect(case: &mut Case, s: Scan, i: &Inputs) {
    let (n, ld) = (s.lanes, s.ld());
    let steps = oracle(s, i);
    let pasts = || std::iter::once(&i.h).chain(&i.c);
    for (r, j) in (0..s.steps * n).flat_map(|r| (0..ld).map(move |j| (r, j))) {
        let Step { gates, h, c } = steps[(r * ld + j) as usize];
        for (m, x) in i.gates.iter().zip(gates) {
            case.want(m.slot, m.index(r, j), if s.cell == Cell::Rnn { Want::Free } else { want(m, j, x) });
        }
        for ((m, out), x) in pasts().zip(&i.out).zip([h, c]) {
            case.want(m.slot, m.index(n + r, j), want(m, j, x));
            if r / n + 1 == s.steps {
                case.want(out.slot, out.index(r % n, j), want(out, j, x));
            }
        }
    }
    // The incoming state is copied.
    for (m, from) in pasts().zip(&i.state) {
        for (b, j) in (0..n).flat_map(|b| (0..ld).map(move |j| (b, j))) {
            let x = padded(from, b, j);
            let bits = if j < s.hidden { Want::Bits((x as f32).to_bits()) } else { Want::Zero };
            case.want(m.slot, m.index(b, j), if x.is_nan() { Want::Nan } else { bits });
        }
    }
}

/// Every step of every unit, padding included, `[S*B, H]`.
fn oracle(s: Scan, i: &Inputs) -> Vec<Step> {
    let (n, ld) = (s.lanes, s.ld());
    let mut steps: Vec<Step> = Vec::new();
    for row in 0..s.steps * n {
        let kept = i.keep.at(row, 0) != 0.0;
        // keep_t h_{t-1} and keep_t c_{t-1}.
        let before = |part: usize, j: u32| match row.checked_sub(n) {
            _ if !kept => 0.0,
            Some(last) => [steps[(last * ld + j) as usize].h, steps[(last * ld + j) as usize].c][part],
            None => i.state.get(part).map_or(0.0, |m| padded(m, row, j)),
        };
        let sum = |b: u32, j: u32| {
            let x = if b < s.gates() { padded(&i.gates[b as usize], row, j) } else { 0.0 };
            let product = |w: &Matrix| (0..s.hidden).map(|k| before(0, k) * padded(w, k, j)).sum::<f64>();
            let of_h = b.checked_sub(s.first()).map_or(0.0, |g| product(&i.weights.w[g as usize]));
            x + of_h + i.weights.bias(b, j)
        };
        let sums = |j: u32| std::array::from_fn(|b| if (b as u32) < s.blocks() { sum(b as u32, j) } else { 0.0 });
        let new: Vec<Step> = (0..ld).map(|j| step(s, sums(j), before(0, j), before(1, j))).collect();
        steps.extend(new);
    }
    steps
}

/// tanh and the logistic function far from 0 are 1 or 0, and never NaN.
#[test]
fn far_from_0_units_saturate() {
    for cell in Cell::ALL {
        let s = Scan { cell, lanes: 1, hidden: 37, steps: 2, activation: Activation::Tanh, extra: false, probe: false, broken: false };
        let mut case = Case::new(3);
        let mut i = Inputs::new(&mut case, s, s.gates());
        for (b, block) in (0..).zip(&mut i.gates[..s.gates() as usize]) {
            for (c, x) in (5 * b..).zip([8.0, 9.0, 9.2, 20.0, 90.0, 1e4, 1e30, 3e38]) {
                case.set(block, 0, c, x);
                case.set(block, 1, c + 8, -x);
            }
        }
        expect(&mut case, s, &i);
        let values = Values::default().with(Var::Steps, 2);
        check(&format!("large numbers, {cell}"), &case, Forms::Plain, &values, &|r, caps| record(r, "h", caps, i.operands(s)));
    }
}

#[test]
pub(super) fn gates_rnn() {
    cases(Cell::Rnn, &SIZES, &gates_again);
}

#[test]
pub(super) fn gates_gru() {
    cases(Cell::Gru, &SIZES, &gates_again);
}

#[test]
pub(super) fn gates_lstm() {
    cases(Cell::Lstm, &SIZES, &gates_again);
}

/// All activations from x_t W_xh + hp_t W_hh, given h of all steps and the first c: broken lanes are broken in what is given. A cell that keeps no gates
/// has nothing to compute.
fn gates_again(s: Scan) {
    let mut case = Case::new(u64::from(s.lanes * 100 + s.hidden + s.steps));
    let mut i = Inputs::new(&mut case, s, s.blocks());
    resets(&mut case, &mut i.keep, s);
    i.h = case.matrix_at(i.h.slot, i.h.offset, [i.h.rows, s.hidden, i.h.ld]);
    if s.broken {
        break_lanes(&mut case, &mut i);
        (0..s.hidden).for_each(|j| case.set(&mut i.h, 0, j, f32::NAN));
    }
    if let Some(c) = &i.c {
        // Block 0 of c is given.
        let mut first = case.matrix_at(c.slot, c.offset, [s.lanes, s.hidden, c.ld]);
        (0..if s.broken { s.hidden } else { 0 }).for_each(|j| case.set(&mut first, 0, j, [f32::NAN, f32::INFINITY][j as usize % 2]));
        i.state[1] = first;
    }
    let mut c_before: Vec<f64> = (0..s.lanes * s.ld()).map(|at| i.state.get(1).map_or(0.0, |m| padded(m, at / s.ld(), at % s.ld()))).collect();
    for (row, j) in (0..s.steps * s.lanes).flat_map(|r| (0..s.ld()).map(move |j| (r, j))) {
        let at = (row % s.lanes * s.ld() + j) as usize;
        let kept = i.keep.at(row, 0) != 0.0;
        let sums = std::array::from_fn(|b| i.gates.get(b).map_or(0.0, |m| padded(m, row, j) + i.weights.bias(b as u32, j)));
        // h is not computed again.
        let Step { gates, c, .. } = step(s, sums, 0.0, if kept { c_before[at] } else { 0.0 });
        c_before[at] = c;
        for (m, x) in i.gates.iter().zip(gates) {
            let unchanged = Want::Bits((padded(m, row, j) as f32).to_bits());
            case.want(m.slot, m.index(row, j), if s.cell == Cell::Rnn { unchanged } else { want(m, j, x) });
        }
        if let Some(m) = &i.c {
            case.want(m.slot, m.index(s.lanes + row, j), want(m, j, c));
        }
    }
    let values = Values::default().with(Var::Steps, s.steps);
    check(&format!("gates of {s:?}"), &case, Forms::Plain, &values, &|r, caps| record_gates(r, "gates", caps.matmul, i.operands(s)));
}

/// A scan takes the largest tile that fits its adapter, up to the chosen one, and one dispatch per step if none fits.
#[test]
fn a_scan_takes_the_tile_that_fits() {
    let caps = Capabilities { workgroup_bytes: 16384, workgroup_invocations: 256, ..cpu::capabilities() };
    let in_one = |v: Variant| Some(v).filter(|v| !matches!(v.loads, Loads::Sliced(_))).map(|v| v.tile);
    let tile = |hidden, caps: Capabilities| in_one(caps.scan_variant(hidden, 16, 1, 1));
    assert_eq!(
        [128, 256, 260, 512, 516, 1024].map(|h| tile(h, caps)),
        [Some(Tile::T16x16), Some(Tile::T16x16), Some(Tile::T8x8), Some(Tile::T8x8), Some(Tile::T4x16), Some(Tile::T4x16)]
    );
    assert_eq!(tile(1028, caps), None);
    assert_eq!(caps.scan_variant(40, 16, 1, 1), Variant { tile: Tile::T16x16, loads: Loads::Each, width: 3 });
    assert_eq!(tile(40, Capabilities { scan: Tile::T8x8, ..caps }), Some(Tile::T8x8));
    assert_eq!(tile(40, Capabilities { workgroup_invocations: 2, ..caps }), None);
    // The tiles of a cell with several gates are as many times as wide.
    let gated = |hidden| in_one(caps.scan_variant(hidden, 16, 4, 1));
    assert_eq!([256, 260, 512, 516, 1024].map(gated), [Some(Tile::T16x4), Some(Tile::T8x4), Some(Tile::T8x4), Some(Tile::T4x4), Some(Tile::T4x4)]);
    assert_eq!(gated(1028), None);

    for cell in Cell::ALL {
        let s = Scan { cell, lanes: 3, hidden: 37, steps: 7, activation: Activation::Tanh, extra: true, probe: false, broken: false };
        let i = Inputs::new(&mut Case::new(1), s, s.gates());
        let kernel = |workgroup_bytes| {
            let mut recording = Recording::new("scan");
            record(&mut recording, "h", &Capabilities { workgroup_bytes, ..caps }, i.operands(s));
            (recording.dispatches[0].kernel.name, recording.dispatch_count(7))
        };
        let [whole, step] = ["scan_forward", "step_forward"].map(|name| format!("{name}_{cell}"));
        assert_eq!([kernel(160), kernel(159)], [(whole.as_str(), 1), (step.as_str(), 8)]);
    }
}
