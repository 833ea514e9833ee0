//! Half precision: every half, and values on and around all of them.

use super::case::Case;
use super::run::{Forms, check};
use crate::compare::Want;
use retrograd::arena::Slot;
use retrograd::kernel::{Values, Var, Word};
use retrograd::kernels::pack::{self, Operands};

/// Bits of the infinite half, after the last finite one.
const INFINITE: u32 = 0x7c00;

/// The value of a half: a sign, 5 bits of exponent, 10 of a fraction.
fn value(half: u32) -> f64 {
    let (exponent, fraction) = ((half >> 10) & 0x1f, f64::from(half & 0x3ff));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(e as i32 - 25),
    };
    if half & 0x8000 == 0 { size } else { -size }
}

/// The nearest half, ties to even. Positive halves are ordered like their bits, so they can be searched.
fn nearest(x: f32) -> u32 {
    let (sign, size) = (u32::from(x.is_sign_negative()) << 15, f64::from(x.abs()));
    if !x.is_finite() {
        return sign | if x.is_nan() { 0x7e00 } else { INFINITE };
    }
    let (mut below, mut above) = (0, INFINITE - 1);
    if size >= value(above) {
        return sign | above;
    }
    while above - below > 1 {
        let middle = (below + above) / 2;
        if value(middle) <= size { below = middle } else { above = middle }
    }
    let (down, up) = (size - value(below), value(above) - size);
    sign | if down < up || (down == up && below % 2 == 0) { below } else { above }
}

/// Slots with space before and after the values, and the operands.
fn slots(case: &mut Case, count: u32) -> (Slot, Slot, Operands) {
    let (x, packed) = (case.slot("x", 8 + count + 7), case.slot("packed", 2 + count + 5));
    // The second place; the first begins 4 values after the start of the slot.
    let packed_offset = Word::scaled(Var::Place, count).plus(4);
    (x, packed, Operands { x, x_offset: 8.into(), packed, packed_offset, count: Word::scaled(Var::Steps, 4) })
}

fn values(count: u32) -> Values {
    Values::default().with(Var::Steps, count / 4).with(Var::Place, 1)
}

#[test]
pub(super) fn pack() {
    for count in [4, 252, 256, 260, 4004, 200_000] {
        let mut case = Case::new(u64::from(count));
        let (x, packed, operands) = slots(&mut case, count);
        let edges =
            [0.0, -0.0, 1.0, -65504.0, 65519.9, 65520.0, -1e9, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-8, -6e-8, 1e-40, 2f32.powi(-25)];
        let mut numbers = Vec::new();
        for i in 0..count {
            // Edges, midpoints or random points between neighbouring halves, and values typical of states.
            let number = match i % 4 {
                0 => edges[(i / 4) as usize % edges.len()],
                1 => case.uniform(),
                2 => {
                    let half = case.below(INFINITE - 1);
                    (0.5 * (value(half) + value(half + 1))) as f32
                }
                _ => {
                    let half = case.below(INFINITE);
                    f32::from_bits((value(half) as f32).to_bits() + case.below(3)) * if case.below(2) == 0 { 1.0 } else { -1.0 }
                }
            };
            case.put(x, 8 + i, number);
            numbers.push(number);
        }
        let words: Vec<u32> = numbers.chunks(2).map(|n| nearest(n[0]) | nearest(n[1]) << 16).collect();
        let first = 2 + count / 2;
        (first..).zip(&words).for_each(|(at, &word)| case.want(packed, at, Want::Bits(word)));
        check(&format!("pack {count}"), &case, Forms::Plain, &values(count), &|r, caps| pack::pack(r, "pack", caps.matmul, operands));
    }
}

#[test]
pub(super) fn unpack() {
    for count in [4, 252, 256, 260, 1 << 16] {
        let mut case = Case::new(u64::from(count));
        let (x, packed, operands) = slots(&mut case, count);
        // All halves, or some over the whole range.
        let halves: Vec<u32> = (0..count).map(|i| (i * ((1 << 16) / count) + count % 7) & 0xffff).collect();
        for (at, pair) in (2 + count / 2..).zip(halves.chunks(2)) {
            case.put_bits(packed, at, pair[0] | pair[1] << 16);
        }
        for (at, &half) in (8..).zip(&halves) {
            let number = value(half);
            case.want(x, at, if number.is_nan() { Want::Nan } else { Want::Bits((number as f32).to_bits()) });
        }
        check(&format!("unpack {count}"), &case, Forms::Plain, &values(count), &|r, caps| pack::unpack(r, "unpack", caps.matmul, operands));
    }
}
