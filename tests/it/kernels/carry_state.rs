//! Copying the last state of a window to the first of the next, or to another.

use super::case::Case;
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels;

/// Non-finite values, which break a lane.
const BROKEN: [u32; 5] = [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0x7f80_0000, 0xff80_0000];

#[test]
pub(super) fn carry_state() {
    // Layers, states per layer, lanes, columns; 265 and more columns take two passes of a workgroup.
    for [layers, states, lanes, hidden] in [[1, 2, 1, 1], [3, 4, 5, 37], [2, 3, 17, 16], [1, 2, 3, 265]] {
        for broken in [false, true] {
            carry([layers, states, lanes, hidden], broken, 0);
        }
        carry([layers, states.max(3), lanes, hidden], true, states.max(3) - 1);
    }
}

fn carry([layers, states, lanes, hidden]: [u32; 4], broken: bool, target: u32) {
    let mut case = Case::new(u64::from(lanes * hidden));
    let ld = hidden.next_multiple_of(4);
    let (state, stride) = (lanes * ld, states * lanes * ld);
    let slot = case.slot("states", layers * stride + 9);
    let mut bad = BROKEN.iter().cycle();
    for layer in 0..layers {
        // Not the very last state: what follows it does not belong to this window.
        let last = states.max(3) - 2;
        let from = case.matrix_at(slot, layer * stride + last * state, [lanes, hidden, ld]);
        let to = case.blank_at(slot, layer * stride + target * state, [lanes, hidden, ld]);
        let reset = |b: u32| broken && (b + layer).is_multiple_of(2);
        for b in (0..lanes).filter(|&b| reset(b)) {
            // At the first, last or middle element of a lane.
            let at = [0, hidden - 1, hidden / 2][((b / 2 + layer) % 3) as usize];
            case.put_bits(slot, from.index(b, at), *bad.next().expect("a cycle has no end"));
        }
        case.expect_each(&to, |b, c| if reset(b) { Want::Bits(0) } else { Want::Bits((from.at(b, c) as f32).to_bits()) });
    }
    let last = states.max(3) - 2;
    let values = Values::default().with(Var::From, last).with(Var::To, target);
    check(&format!("carry_state {layers} {states} {lanes} {hidden} {broken} to {target}"), &case, Forms::Plain, &values, &|r, caps| {
        kernels::carry_state::record(r, caps.matmul, slot, [layers, lanes, ld], stride, [Word::scaled(Var::From, state), Word::scaled(Var::To, state)]);
    });
}
