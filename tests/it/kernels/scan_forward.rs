//! h_t = phi(pre_t + keep_t h_{t-1} W_hh + b_h) over the steps of a segment, in one dispatch and in one per step.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::{Slot, View};
use retrograd::cpu;
use retrograd::kernel::{Capabilities, Loads, Tile, Values, Var, Variant, Word};
use retrograd::kernels::Activation;
use retrograd::kernels::scan::forward::{Operands, record, record_as};
use retrograd::recording::Recording;

/// One scan of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan {
    pub(super) lanes: u32,
    pub(super) hidden: u32,
    pub(super) steps: u32,
    pub(super) activation: Activation,
    /// Forward: whether there is a bias. Backward: whether a carry flows in.
    pub(super) extra: bool,
    /// Whether some lanes are broken, and repaired by a reset.
    pub(super) broken: bool,
}

/// Sizes of scans: all 1; odd ones; one lane past the largest tile; whole tiles.
pub(super) const SIZES: [[u32; 3]; 4] = [[1, 1, 1], [3, 37, 7], [17, 37, 2], [16, 64, 3]];
/// Sizes for the kernels with one dispatch per step, where columns may exceed a workgroup's.
pub(super) const STEP_SIZES: [[u32; 3]; 4] = [[1, 1, 1], [3, 37, 7], [17, 131, 2], [16, 64, 3]];

/// Sizes for the kernels that hold weights: slices of one block, of unequal numbers of blocks, and fewer lanes than a tile.
pub(super) const HELD_SIZES: [[u32; 3]; 4] = [[1, 1, 1], [3, 37, 7], [17, 131, 2], [16, 64, 3]];

/// Every activation, with and without the extra, over the given sizes, and broken lanes.
pub(super) fn cases(sizes: &[[u32; 3]], run: &dyn Fn(Scan)) {
    for (i, &[lanes, hidden, steps]) in sizes.iter().enumerate() {
        for activation in [Activation::Tanh, Activation::Relu, Activation::Identity] {
            for extra in [false, true] {
                // All combinations at the odd sizes, a few at the others.
                if i == 1 || extra == (activation != Activation::Relu) {
                    run(Scan { lanes, hidden, steps, activation, extra, broken: false });
                }
            }
            if i == 1 {
                run(Scan { lanes, hidden, steps, activation, extra: true, broken: true });
            }
        }
    }
}

#[test]
pub(super) fn scan_forward() {
    cases(&SIZES, &|scan| {
        forward(scan, Forms::Scan(scan.hidden.next_multiple_of(4)), &|r, caps, operands| record(r, "h", caps, operands));
    });
}

#[test]
pub(super) fn scan_forward_held() {
    cases(&HELD_SIZES, &|scan| {
        forward(scan, Forms::Held(scan.hidden.next_multiple_of(4), scan.lanes), &|r, caps, operands| record(r, "h", caps, operands));
    });
}

#[test]
pub(super) fn step_forward() {
    cases(&STEP_SIZES, &|scan| {
        forward(scan, Forms::Step, &|r, caps, operands| record_as(r, "h", caps.matmul, operands));
    });
}

/// Inputs of a scan.
struct Inputs {
    pre: Matrix,
    w: Matrix,
    bias: Option<Matrix>,
    keep: Matrix,
    state: Matrix,
    out: Matrix,
    h: Matrix,
}

impl Inputs {
    fn new(case: &mut Case, s: Scan) -> Self {
        let (n, ld) = (s.lanes, s.hidden.next_multiple_of(4));
        let room = (s.steps + 2) * n;
        let slot = case.slot("pre", 4 + room * ld);
        let pre = case.matrix_at(slot, 4, [s.steps * n, s.hidden, ld]);
        let (w, slot) = weights(case, s.hidden);
        let bias = s.extra.then(|| case.matrix_at(slot, 20 + ld * ld, [1, s.hidden, ld]));
        let keep = edges(case, "keep", room);
        let slot = case.slot("states", 16 + 3 * n * ld);
        let state = case.matrix_at(slot, 8, [n, s.hidden, ld]);
        let out = case.blank_at(slot, 8 + 2 * n * ld, [n, s.hidden, ld]);
        let slot = case.slot("h", 12 + (room + n) * ld);
        let h = case.blank_at(slot, 12, [(s.steps + 1) * n, s.hidden, ld]);
        Inputs { pre, w, bias, keep, state, out, h }
    }

    fn operands(&self, s: Scan) -> Operands {
        let rows = Word::scaled(Var::Steps, s.lanes);
        let state = s.lanes * self.state.ld;
        Operands {
            pre: self.pre.view().with_rows(rows),
            w: self.w.view(),
            bias: self.bias.as_ref().map(Matrix::view),
            keep: self.keep.view().with_rows(rows),
            states: self.state.slot,
            state_in: Word::scaled(Var::From, state).plus(8),
            state_out: Word::scaled(Var::From, state).plus(8 + 2 * state),
            h: View { rows, ..self.h.view() },
            lanes: s.lanes,
            activation: s.activation,
        }
    }
}

/// W_hh `[H, H]` at element 8 of a slot with space for a bias after it; like those of every parameter, its rows are padded in number too.
pub(super) fn weights(case: &mut Case, hidden: u32) -> (Matrix, Slot) {
    let ld = hidden.next_multiple_of(4);
    let slot = case.slot("w", 8 + ld * ld + 12 + ld + 7);
    for i in 0..ld * ld {
        case.put(slot, 8 + i, 0.0);
    }
    let mut w = case.matrix_at(slot, 8, [hidden, hidden, ld]);
    case.scale(&mut w, 1.7 / (hidden as f32).sqrt());
    (w, slot)
}

/// One value per row, initially 1, at an odd offset in a slot of its own.
pub(super) fn edges(case: &mut Case, name: &str, rows: u32) -> Matrix {
    let slot = case.slot(name, rows + 6);
    let mut m = case.blank_at(slot, 3, [rows, 1, 1]);
    (0..rows).for_each(|r| case.set(&mut m, r, 0, 1.0));
    m
}

fn forward(s: Scan, forms: Forms, record: &dyn Fn(&mut Recording, &Capabilities, Operands)) {
    let mut case = Case::new(u64::from(s.lanes * 100 + s.hidden + s.steps));
    let mut i = Inputs::new(&mut case, s);
    resets(&mut case, &mut i.keep, s);
    if s.broken {
        break_lanes(&mut case, &mut i);
    }
    let h = oracle(s, &i);
    let want = |r: u32, c: u32| {
        let x = h[(r * s.hidden + c) as usize];
        if x.is_nan() { Want::Nan } else { Want::Near(x) }
    };
    case.expect_each(&i.h, want);
    case.expect_each(&i.out, |b, c| want(s.steps * s.lanes + b, c));
    for b in 0..s.lanes {
        for c in 0..s.hidden {
            let x = i.state.at(b, c);
            case.want(i.h.slot, i.h.index(b, c), if x.is_nan() { Want::Nan } else { Want::Bits((x as f32).to_bits()) });
        }
    }
    if s.broken {
        // NaN times a zero of the padding is NaN.
        let row = 4 * s.lanes + 1;
        (s.hidden..i.h.ld).for_each(|c| case.want(i.h.slot, i.h.index(row, c), Want::Free));
    }
    let values = Values::default().with(Var::Steps, s.steps);
    check(&format!("{s:?}"), &case, forms, &values, &|r, caps| record(r, caps, i.operands(s)));
}

/// Zeros of `keep` at the first step, in the middle and at the last, different in each lane.
pub(super) fn resets(case: &mut Case, keep: &mut Matrix, s: Scan) {
    for t in 0..s.steps {
        for b in (0..s.lanes).filter(|b| (t + 2 * b) % 5 == 4) {
            case.set(keep, t * s.lanes + b, 0, 0.0);
        }
    }
}

/// Lane 0 starts from a NaN state but is reset. Lane 1 gets a NaN at step 2, is NaN at step 3, and is reset at step 4.
fn break_lanes(case: &mut Case, i: &mut Inputs) {
    let lanes = i.state.rows;
    for c in 0..i.state.cols {
        case.set(&mut i.state, 0, c, f32::NAN);
    }
    case.set(&mut i.keep, 0, 0, 0.0);
    case.set(&mut i.pre, 2 * lanes + 1, 5, f32::NAN);
    for (t, keep) in (1..6).zip([1.0, 0.0, 1.0, 0.0, 1.0]) {
        case.set(&mut i.keep, t * lanes + 1, 0, keep);
    }
}

/// h of blocks 0 to S, `[(S+1)*B, H]`.
fn oracle(s: Scan, i: &Inputs) -> Vec<f64> {
    let (n, hidden) = (s.lanes, s.hidden);
    let mut h: Vec<f64> = (0..n * hidden).map(|k| i.state.at(k / hidden, k % hidden)).collect();
    for t in 0..s.steps {
        for b in 0..n {
            let row = t * n + b;
            for c in 0..hidden {
                let mut a = i.pre.at(row, c) + i.bias.as_ref().map_or(0.0, |bias| bias.at(0, c));
                if i.keep.at(row, 0) != 0.0 {
                    a += (0..hidden).map(|j| h[(row * hidden + j) as usize] * i.w.at(j, c)).sum::<f64>();
                }
                h.push(phi(s.activation, a));
            }
        }
    }
    h
}

fn phi(activation: Activation, a: f64) -> f64 {
    match activation {
        Activation::Tanh => a.tanh(),
        Activation::Relu if a < 0.0 => 0.0,
        Activation::Relu | Activation::Identity => a,
    }
}

/// tanh far from 0 is 1, and never NaN.
#[test]
fn tanh_saturates() {
    let s = Scan { lanes: 1, hidden: 37, steps: 2, activation: Activation::Tanh, extra: false, broken: false };
    let mut case = Case::new(3);
    let mut i = Inputs::new(&mut case, s);
    for (c, x) in (0..).zip([8.0, 9.0, 9.2, 20.0, 90.0, 1e4, 1e30, 3e38]) {
        case.set(&mut i.pre, 0, c, x);
        case.set(&mut i.pre, 1, c + 8, -x);
    }
    let h = oracle(s, &i);
    case.expect(&i.h, |r, c| h[(r * 37 + c) as usize]);
    case.expect(&i.out, |_, c| h[(2 * 37 + c) as usize]);
    let values = Values::default().with(Var::Steps, 2);
    check("large numbers", &case, Forms::Scan(40), &values, &|r, caps| record(r, "h", caps, i.operands(s)));
    check("large numbers", &case, Forms::Step, &values, &|r, caps| record_as(r, "h", caps.matmul, i.operands(s)));
}

/// A scan takes the largest tile that fits its adapter, up to the chosen one, and one dispatch per step if none fits.
#[test]
fn a_scan_takes_the_tile_that_fits() {
    let caps = Capabilities { workgroup_bytes: 16384, workgroup_invocations: 256, ..cpu::capabilities() };
    let tile = |hidden, caps: Capabilities| Some(caps.scan_variant(hidden, 16)).filter(|v| !matches!(v.loads, Loads::Sliced(_))).map(|v| v.tile);
    assert_eq!(
        [128, 256, 260, 512, 516, 1024].map(|h| tile(h, caps)),
        [Some(Tile::T16x16), Some(Tile::T16x16), Some(Tile::T8x8), Some(Tile::T8x8), Some(Tile::T4x16), Some(Tile::T4x16)]
    );
    assert_eq!(tile(1028, caps), None);
    assert_eq!(caps.scan_variant(40, 16), Variant { tile: Tile::T16x16, loads: Loads::Each, width: 3 });
    assert_eq!(tile(40, Capabilities { scan: Tile::T8x8, ..caps }), Some(Tile::T8x8));
    assert_eq!(tile(40, Capabilities { workgroup_invocations: 2, ..caps }), None);

    let s = Scan { lanes: 3, hidden: 37, steps: 7, activation: Activation::Tanh, extra: true, broken: false };
    let i = Inputs::new(&mut Case::new(1), s);
    let kernel = |workgroup_bytes| {
        let mut recording = Recording::new("scan");
        record(&mut recording, "h", &Capabilities { workgroup_bytes, ..caps }, i.operands(s));
        (recording.dispatches[0].kernel.name, recording.dispatch_count(7))
    };
    assert_eq!([kernel(160), kernel(159)], [("scan_forward", 1), ("step_forward", 8)]);
}
