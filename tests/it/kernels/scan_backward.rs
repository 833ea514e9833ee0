//! delta_t = (d_h_t + carry_t) phi'(a_t), carry_{t-1} = keep_t xi_t (delta_t W_hh^T), over the steps of a segment, last first; in
//! one dispatch and in one per step.

use super::case::{Case, Matrix};
use super::run::{Forms, check};
use super::scan_forward::{HELD_SIZES, SIZES, STEP_SIZES, Scan, cases, resets, weights};
use crate::compare::Want;
use retrograd::cpu;
use retrograd::kernel::{Capabilities, Values, Var, Word};
use retrograd::kernels::Activation;
use retrograd::kernels::scan::backward::{Operands, record, record_as};
use retrograd::recording::Recording;

#[test]
pub(super) fn scan_backward() {
    cases(&SIZES, &|scan| {
        backward(scan, Forms::Scan(scan.hidden.next_multiple_of(4)), &|r, caps, operands| record(r, "delta", caps, operands));
    });
}

#[test]
pub(super) fn scan_backward_held() {
    cases(&HELD_SIZES, &|scan| {
        backward(scan, Forms::Held(scan.hidden.next_multiple_of(4), scan.lanes), &|r, caps, operands| record(r, "delta", caps, operands));
    });
}

#[test]
pub(super) fn step_backward() {
    cases(&STEP_SIZES, &|scan| {
        backward(scan, Forms::Step, &|r, caps, operands| record_as(r, "delta", caps.matmul, operands));
    });
}

/// Inputs of a scan.
struct Inputs {
    h: Matrix,
    /// W_hh, not transposed: only the oracle reads it.
    w: Matrix,
    w_t: Matrix,
    keep: Matrix,
    xi: Matrix,
    delta: Matrix,
    carry: Matrix,
}

impl Inputs {
    fn new(case: &mut Case, s: Scan) -> Self {
        let (n, ld) = (s.lanes, s.hidden.next_multiple_of(4));
        let room = (s.steps + 2) * n;
        let slot = case.slot("h", 12 + (room + n) * ld);
        // Block 0 is not read: it stays garbage.
        let mut h = case.matrix_at(slot, 12 + n * ld, [s.steps * n, s.hidden, ld]);
        if s.activation == Activation::Relu {
            for (r, c) in (0..h.rows).flat_map(|r| (0..s.hidden).map(move |c| (r, c))) {
                let y = h.at(r, c).max(0.0) as f32;
                case.set(&mut h, r, c, y);
            }
        }
        let (w, _) = weights(case, s.hidden);
        let (mut w_t, _) = weights(case, s.hidden);
        for r in 0..s.hidden {
            (0..s.hidden).for_each(|c| case.set(&mut w_t, r, c, w.at(c, r) as f32));
        }
        let slot = case.slot("edges", 2 * room + 13);
        let mut keep = case.blank_at(slot, 3, [room, 1, 1]);
        let mut xi = case.blank_at(slot, room + 6, [room, 1, 1]);
        for r in 0..room {
            case.set(&mut keep, r, 0, 1.0);
            case.set(&mut xi, r, 0, [1.0, 1.0 / 0.7, 1.0 / 0.7, 0.0][(r / n * 3 + r % n * 2) as usize % 4]);
        }
        let slot = case.slot("delta", 16 + room * ld);
        let delta = case.matrix_at(slot, 16, [s.steps * n, s.hidden, ld]);
        let slot = case.slot("carry", 8 + (n + 1) * ld);
        let shape = [n, s.hidden, ld];
        let carry = if s.extra { case.matrix_at(slot, 8, shape) } else { case.blank_at(slot, 8, shape) };
        Inputs { h, w, w_t, keep, xi, delta, carry }
    }

    fn operands(&self, s: Scan) -> Operands {
        let rows = Word::scaled(Var::Steps, s.lanes);
        let mut h = self.h.view().with_rows(rows);
        h.offset = 12.into();
        Operands {
            h,
            w_t: self.w_t.view(),
            keep: self.keep.view().with_rows(rows),
            xi: self.xi.view().with_rows(rows),
            delta: self.delta.view().with_rows(rows),
            carry: self.carry.view(),
            carry_in: Word::var(Var::CarryIn),
            lanes: s.lanes,
            activation: s.activation,
        }
    }
}

fn backward(s: Scan, forms: Forms, record: &dyn Fn(&mut Recording, &Capabilities, Operands)) {
    let mut case = Case::new(u64::from(s.lanes * 100 + s.hidden + s.steps));
    let mut i = Inputs::new(&mut case, s);
    resets(&mut case, &mut i.keep, s);
    if s.broken {
        break_lanes(&mut case, &mut i);
    }
    let (delta, carry) = oracle(s, &i);
    case.expect_each(&i.delta, |r, c| {
        let x = delta[(r * s.hidden + c) as usize];
        if x.is_nan() { Want::Nan } else { Want::Near(x) }
    });
    case.expect(&i.carry, |b, c| carry[(b * s.hidden + c) as usize]);
    let values = Values::default().with(Var::Steps, s.steps).with(Var::CarryIn, s.extra.into());
    check(&format!("{s:?}"), &case, forms, &values, &|r, caps| record(r, caps, i.operands(s)));
}

/// The gradients of two lanes are NaN at steps 4 and 0, where a cut or a reset keeps them out of earlier steps.
fn break_lanes(case: &mut Case, i: &mut Inputs) {
    let lanes = i.carry.rows;
    for (t, b, keep, xi) in [(4, 0, 1.0, 0.0), (4, 2, 0.0, 1.0), (0, 1, 0.0, 1.0 / 0.7), (0, 2, 1.0, 0.0)] {
        let row = t * lanes + b;
        case.set(&mut i.delta, row, 5, f32::NAN);
        case.set(&mut i.keep, row, 0, keep);
        case.set(&mut i.xi, row, 0, xi);
    }
}

/// delta `[S*B, H]`, and the outgoing carry, `[B, H]`.
fn oracle(s: Scan, i: &Inputs) -> (Vec<f64>, Vec<f64>) {
    let (n, hidden) = (s.lanes, s.hidden);
    let mut deltas = vec![0.0; (s.steps * n * hidden) as usize];
    let mut carry: Vec<f64> = (0..n * hidden).map(|k| if s.extra { i.carry.at(k / hidden, k % hidden) } else { 0.0 }).collect();
    for t in (0..s.steps).rev() {
        for b in 0..n {
            let row = t * n + b;
            let delta: Vec<f64> = (0..hidden)
                .map(|c| {
                    let g = i.delta.at(row, c) + carry[(b * hidden + c) as usize];
                    g * slope(s.activation, i.h.at(row, c))
                })
                .collect();
            let weight = i.keep.at(row, 0) * i.xi.at(row, 0);
            for c in 0..hidden {
                let flow: f64 = (0..hidden).map(|j| delta[j as usize] * i.w.at(c, j)).sum();
                carry[(b * hidden + c) as usize] = if weight == 0.0 { 0.0 } else { weight * flow };
            }
            deltas[(row * hidden) as usize..][..hidden as usize].copy_from_slice(&delta);
        }
    }
    (deltas, carry)
}

/// phi'(a) from y = phi(a).
fn slope(activation: Activation, y: f64) -> f64 {
    match activation {
        Activation::Tanh => 1.0 - y * y,
        Activation::Relu => f64::from(u8::from(y > 0.0)),
        Activation::Identity => 1.0,
    }
}

/// One dispatch per step, and one for the carry, if no workgroup memory can hold the rows.
#[test]
fn a_backward_scan_falls_back_to_steps() {
    let s = Scan { lanes: 3, hidden: 37, steps: 7, activation: Activation::Tanh, extra: true, broken: false };
    let i = Inputs::new(&mut Case::new(1), s);
    let kernel = |workgroup_bytes| {
        let mut recording = Recording::new("scan");
        record(&mut recording, "delta", &Capabilities { workgroup_bytes, ..cpu::capabilities() }, i.operands(s));
        (recording.dispatches[0].kernel.name, recording.dispatch_count(7))
    };
    assert_eq!([kernel(160), kernel(159)], [("scan_backward", 1), ("step_backward", 8)]);
}
